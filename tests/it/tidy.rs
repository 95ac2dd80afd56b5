//! The rules of the house that a test can check. Each failure says which rule, where, and where the rule is explained.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A text of the repository, by its path from the root.
struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All texts under a folder, in order. What is not text is left out.
fn texts(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // Not the project's own: what Git and builds put there.
                if ![".git", "target", "node_modules", "data", "dist"].contains(&&*name) {
                    folders.push(path);
                }
            } else if name != ".git"
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust(folders: &[&str]) -> Vec<Source> {
    let all = folders.iter().flat_map(|folder| texts(folder));
    let found: Vec<_> = all.filter(|source| source.path.ends_with(".rs")).collect();
    assert!(found.len() > 5, "nothing is read under {folders:?}");
    found
}

impl Source {
    /// Numbered lines of code: comments and the unit tests at a file's end left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        (1..).zip(lines).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// `file:line` of each line of code for which `wrong` holds.
    fn breaches(&self, wrong: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.code().filter(|(_, line)| wrong(line));
        lines.map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim())).collect()
    }
}

/// Fails with every breach of a rule and where the rule is explained.
fn hold(rule: &str, explained: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule} (see {explained}):\n  {}", breaches.join("\n  "));
}

#[test]
fn the_kernel_names_no_module() {
    let breaches: Vec<_> =
        rust(&["src/kernel"]).iter().flat_map(|source| source.breaches(|line| line.contains("modules::"))).collect();
    hold("the kernel names no module", "ARCHITECTURE.md, Invariants", &breaches);
}

#[test]
fn sql_is_in_stores_only() {
    let at_home = |path: &str| {
        path.contains("/store/")
            || path.ends_with("/store.rs")
            || path.starts_with("src/kernel/db/")
            || path.starts_with("src/kernel/batch/")
    };
    let sql = |line: &str| {
        ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE", "ALTER TABLE", "PRAGMA "]
            .iter()
            .any(|word| line.contains(word))
    };
    let sources = rust(&["src"]);
    let (home, elsewhere): (Vec<_>, Vec<_>) = sources.iter().partition(|source| at_home(&source.path));
    assert!(home.iter().any(|source| !source.breaches(sql).is_empty()), "this test does not see SQL where it is");
    let breaches: Vec<_> = elsewhere.iter().flat_map(|source| source.breaches(sql)).collect();
    hold("SQL is in stores, in the kernel's db and batch, and in migrations only", "ARCHITECTURE.md, Map", &breaches);
}

/// What a module may use of another: its facade, what that takes and gives, and its GraphQL types.
const REACH: &[(&str, &str, &[&str])] = &[
    ("engagement", "users", &["UsersFacade", "UserKind", "NewUser", "graphql::User"]),
    ("notifications", "users", &["UsersFacade", "UserKind", "graphql::User"]),
    ("notifications", "engagement", &["EngagementFacade", "Whereabouts", "graphql::Content", "hotness::Level"]),
    ("points", "users", &["UsersFacade", "UserKind", "graphql::User"]),
];

#[test]
fn modules_reach_one_another_through_facades() {
    let mut breaches = Vec::new();
    let names = modules();
    for module in &names {
        for source in rust(&["src/modules"]).iter().filter(|s| s.path.starts_with(&format!("src/modules/{module}/"))) {
            for (number, line) in source.code() {
                for other in names.iter().filter(|other| *other != module) {
                    let allowed = REACH.iter().find(|(from, to, _)| from == module && to == other);
                    let used = used(line, other);
                    let wrong =
                        used.iter().filter(|name| !allowed.is_some_and(|(.., names)| names.contains(&&***name)));
                    breaches.extend(wrong.map(|name| format!("{}:{number}: {other}::{name}", source.path)));
                }
            }
        }
    }
    hold("modules reach one another through their facades", "ARCHITECTURE.md, Invariants", &breaches);
    assert_eq!(used("use crate::modules::users::{UserKind, store};", "users"), ["UserKind", "store"]);
    assert_eq!(used("use crate::modules::users::graphql::User;", "users"), ["graphql::User"]);
}

/// The names that a line uses of a module.
fn used(line: &str, module: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once(&format!("modules::{module}::")) else {
        return Vec::new();
    };
    let names = match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default(),
        None => rest.split([';', ',', ')', '>', '(', ' ']).next().unwrap_or_default(),
    };
    names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The names of the module folders.
fn modules() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("src/modules")).unwrap().map(|entry| entry.unwrap().path());
    let names =
        folders.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 2, "{names:?}");
    names
}

#[test]
fn every_module_has_the_same_rooms() {
    let mut breaches = Vec::new();
    for module in modules() {
        let folder = root().join("src/modules").join(&module);
        // A room that outgrows a file becomes a folder of its name.
        for room in ["mod", "facade", "entity", "store", "commands", "graphql"] {
            if !folder.join(format!("{room}.rs")).is_file() && !folder.join(room).join("mod.rs").is_file() {
                breaches.push(format!("src/modules/{module}: no {room}"));
            }
        }
        for room in ["mutation.rs", "query.rs", "types.rs"] {
            if !folder.join("graphql").join(room).is_file() {
                breaches.push(format!("src/modules/{module}/graphql: no {room}"));
            }
        }
        if !root().join(format!("migration/src/{module}.rs")).is_file() {
            breaches.push(format!("migration/src: no {module}.rs"));
        }
    }
    hold("every module has the same rooms", "docs/modules.md and ARCHITECTURE.md, Map", &breaches);
}

#[test]
fn an_error_of_a_nullable_field_stays_there() {
    // Root fields are in the other rooms; the guards of the roots see to them.
    let sources = rust(&["src/modules"]);
    let types = sources.iter().filter(|source| source.path.ends_with("graphql/types.rs"));
    let breaches: Vec<_> = types.flat_map(|source| source.breaches(|line| line.contains("Result<Option<"))).collect();
    hold("a field that may fail and may be null is an Option<Result<_>>", "docs/modules.md", &breaches);
}

#[test]
fn nothing_is_allowed_silently() {
    // In two halves, so that this file does not break the rule itself.
    let outer = ["#[", "allow("].concat();
    let inner = ["#![", "allow("].concat();
    let breaches: Vec<_> = rust(&["src", "migration", "tests"])
        .iter()
        .flat_map(|source| source.breaches(|line| line.contains(&outer) || line.contains(&inner)))
        .collect();
    hold("a lint is expected with a reason, never allowed", "CONTRIBUTING.md", &breaches);
    let reasonless =
        |line: &str| line.contains("#[expect(") && line.trim_end().ends_with(")]") && !line.contains("reason");
    let breaches: Vec<_> = rust(&["src", "migration"]).iter().flat_map(|source| source.breaches(reasonless)).collect();
    hold("an expected lint says why", "CONTRIBUTING.md", &breaches);
}

#[test]
fn nothing_outside_tests_can_panic_on_purpose() {
    let words = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("];
    let wrong = |line: &str| words.iter().any(|word| line.contains(word));
    let breaches: Vec<_> = rust(&["src", "migration"]).iter().flat_map(|source| source.breaches(wrong)).collect();
    hold("errors are returned, nothing panics outside tests", "CONTRIBUTING.md", &breaches);
}

#[test]
fn a_file_fits_in_a_head() {
    const MOST: usize = 450;
    let sizes = rust(&["src", "migration", "tests"]);
    let sizes = sizes.iter().map(|source| (&source.path, source.text.lines().count()));
    let breaches: Vec<_> = sizes
        .filter(|(_, lines)| *lines > MOST)
        .map(|(path, lines)| format!("{path}:{lines}: more than {MOST}"))
        .collect();
    hold("a file has at most 450 lines", "CONTRIBUTING.md", &breaches);
}

#[test]
fn every_file_says_what_it_is_for() {
    let sources = rust(&["src", "migration", "tests"]);
    let silent = sources.iter().filter(|source| !source.text.starts_with("//! "));
    let breaches: Vec<_> = silent.map(|source| format!("{}:1: no //! line", source.path)).collect();
    hold("every file begins with a line that says what it is for", "CONTRIBUTING.md", &breaches);
}

#[test]
fn no_text_knows_the_machine_it_was_written_on() {
    // In halves, so that this file does not break the rule itself.
    let homes = [["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"], ["/tm", "p/"]].map(|halves| halves.concat());
    let mut breaches = Vec::new();
    for source in texts("") {
        for (number, line) in (1..).zip(source.text.lines()) {
            if homes.iter().any(|home| line.contains(home)) {
                breaches.push(format!("{}:{number}: a path of a machine", source.path));
            }
            // Lock files name the public registries or none: a mirror's host is nobody else's.
            let foreign = match &*source.path {
                "Cargo.lock" => {
                    line.starts_with("source = ")
                        && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
                }
                path if path.ends_with("package-lock.json") => {
                    line.contains("\"resolved\"") && !line.contains("https://registry.npmjs.org/")
                }
                path if path.ends_with(".npmrc") => line.contains("registry=") || line.contains("_auth"),
                path if path.starts_with(".cargo/") => line.contains("registry"),
                _ => false,
            };
            if foreign {
                breaches.push(format!("{}:{number}: a registry of a machine", source.path));
            }
        }
    }
    hold("tracked texts know nothing of a machine", "CONTRIBUTING.md", &breaches);
}

#[test]
fn every_decision_is_numbered_and_listed() {
    let listed = std::fs::read_to_string(root().join("docs/adr/README.md"))
        .unwrap_or_else(|error| panic!("docs/adr/README.md lists the decisions (see CONTRIBUTING.md): {error}"));
    let decisions: Vec<_> =
        texts("docs/adr").into_iter().filter(|source| !source.path.ends_with("README.md")).collect();
    let mut breaches = Vec::new();
    for (decision, number) in decisions.iter().zip(1..) {
        let name = Path::new(&decision.path).file_name().unwrap().to_string_lossy();
        if !name.starts_with(&format!("{number:04}-")) || !name.ends_with(".md") {
            breaches.push(format!("{}: should be number {number:04}", decision.path));
        }
        if !listed.contains(&format!("({name})")) {
            breaches.push(format!("{}: docs/adr/README.md has no link to it", decision.path));
        }
    }
    assert!(!decisions.is_empty());
    hold("decisions are numbered without gaps and listed", "docs/adr/README.md", &breaches);
}

#[test]
fn every_document_that_a_comment_names_exists() {
    let mut named = BTreeSet::new();
    let mut breaches = Vec::new();
    for source in rust(&["src", "migration", "tests"]) {
        for (number, line) in (1..).zip(source.text.lines()) {
            for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || "/-_.".contains(c))) {
                let path = word.trim_end_matches('.');
                let document = (path.starts_with("docs/") && path.ends_with(".md"))
                    || path.starts_with("tests/it/") && path.ends_with(".rs");
                if document && named.insert(path.to_owned()) && !root().join(path).is_file() {
                    breaches.push(format!("{}:{number}: {path}", source.path));
                }
            }
        }
    }
    assert!(!named.is_empty(), "this test does not see what comments name");
    hold("a document that a comment names exists", "CONTRIBUTING.md", &breaches);
}
