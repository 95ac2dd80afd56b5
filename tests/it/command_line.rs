//! The real binary: what it prints, with which status it ends, and what it keeps to itself.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tally::app::{App as _, Tally};
use tally::kernel::config;
use tally::kernel::module::Modules;

use crate::harness::{Backend, Client, Process, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    a_token_is_printed_alone_and_taken_by_the_server,
    a_clean_database_tallies,
    every_planted_drift_is_found_and_named,
    a_database_without_the_schema_is_not_checked,
    migrate_brings_the_schema_up_once,
    doctor_says_what_is_well_and_what_is_not,
    acknowledged_writes_survive_a_loss_of_power,
);

/// Runs a command on a database, with the tests' secret.
async fn on(database: &TestDatabase, arguments: &[&str]) -> (i32, String, String) {
    let environment =
        [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LISTEN", "127.0.0.1:0")];
    run(arguments, &environment, tempfile::tempdir().unwrap().path()).await
}

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn a_token_is_printed_alone_and_taken_by_the_server(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let arguments = ["token", "--user", "somebody", "--role", "USER", "--role", "operator", "--hours", "1"];
    let (status, token, errors) = on(&database, &arguments).await;
    assert_eq!((status, &*errors), (0, ""));
    assert_eq!(token.lines().count(), 1, "alone, so that TOKEN=$(tally token …) works");

    let server = Process::serve(&database).await;
    let client = Client::new(&server.url, Some(token.trim().to_owned()));
    let answer = client.query("{ me { roles } }").await;
    assert_eq!(answer.data()["me"], json!({ "roles": ["USER", "OPERATOR"] }));
    server.kill().await;
    for wrong in [&["token"][..], &["token", "--user", ""], &["token", "--user", "x", "--role", "KING"]] {
        let (status, output, errors) = on(&database, wrong).await;
        assert_eq!((status, &*output), (2, ""), "{wrong:?}");
        assert!(!errors.is_empty(), "{wrong:?}");
    }
    database.remove().await;
}

/// A stopped database in which one artwork has two likes and a favorite; its id.
async fn furnished(backend: Backend) -> (TestDatabase, String) {
    let app = TestApp::start(backend).await;
    let id = app.user("author").publish("one").await;
    for (who, verb) in [("ann", "like"), ("ben", "like"), ("ann", "favorite")] {
        app.user(who).act(verb, &id).await.data();
    }
    (app.stop().await, id)
}

async fn a_clean_database_tallies(backend: Backend) {
    let (database, _) = furnished(backend).await;
    let (status, output, errors) = on(&database, &["check"]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert!(output.ends_with("every number tallies\n"), "{output}");
    let (status, output, _) = on(&database, &["check", "--json"]).await;
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((status, &report["state"]), (0, &json!("OK")));
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    let of_contents = [
        "types",
        "figures",
        "like-count",
        "favorite-count",
        "comment-count",
        "share-count",
        "view-count",
        "heat-mass",
        "heat",
        "announced-level",
        "history",
        "view-rollups",
        "tombstones",
        "orphans",
    ];
    let of_users = ["user-remains", "user-orphans"];
    let others = [
        "notification-types",
        "notification-actors",
        "unread-count",
        "notification-orphans",
        "notification-user-remains",
        "notification-user-orphans",
        "point-chain",
        "point-balance",
        "point-incidents",
        "point-rules",
        "outbox",
    ];
    assert_eq!(names, [&of_contents[..], &of_users, &others].concat());
    // One content, its author, who was not told of it yet, and two users who liked it.
    let checked = |check: &Value| match check["name"].as_str() {
        Some("user-remains" | "user-orphans") => 3,
        Some("outbox") => 1,
        _ => i32::from(check["module"] == "engagement"),
    };
    // Those of what cells hold count the items of every table, of those tables that the database does not see to.
    let counts = |check: &Value| !check["name"].as_str().unwrap().ends_with("types");
    assert!(checks.iter().all(|check| !counts(check) || check["checked"] == checked(check)), "{report:#}");
    assert!(checks.iter().all(|check| check["drifted"] == 0), "{report:#}");

    let (status, output, _) = on(&database, &["check", "--check", "heat", "--module", "engagement"]).await;
    assert_eq!((status, output.matches("engagement").count()), (0, 1), "one line: {output}");
    let (status, output, errors) = on(&database, &["check", "--check", "nonsense"]).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("there are engagement/types, engagement/figures, engagement/like-count, "), "{errors}");
    database.remove().await;
}

async fn every_planted_drift_is_found_and_named(backend: Backend) {
    let (database, id) = furnished(backend).await;
    let planted = [
        (
            "UPDATE content_figures SET like_count = 41",
            "UPDATE content_figures SET like_count = 2",
            vec![("like-count", "likeCount", Some("41"), Some("2"))],
        ),
        (
            "UPDATE content_figures SET favorite_count = -1",
            "UPDATE content_figures SET favorite_count = 1",
            vec![("favorite-count", "favoriteCount", Some("-1"), Some("1"))],
        ),
        // One unit of 2^-24 points.
        (
            "UPDATE content_heat SET mass = mass + 1",
            "UPDATE content_heat SET mass = mass - 1",
            vec![("heat-mass", "mass of epoch", None, None)],
        ),
        (
            "UPDATE content_figures SET heat = heat + 1",
            "UPDATE content_figures SET heat = heat - 1",
            vec![("heat", "heat", None, None)],
        ),
        (
            "INSERT INTO content_heat SELECT lane, content_id, 7, 5 FROM content_figures",
            "DELETE FROM content_heat WHERE epoch = 7",
            vec![("heat-mass", "mass of epoch 7", Some("5"), Some("0"))],
        ),
        // The last, for it is not mended: a fact is gone, and whatever was made of it is wrong.
        (
            "DELETE FROM behaviors WHERE kind = 1",
            "",
            vec![
                ("favorite-count", "favoriteCount", Some("1"), Some("0")),
                ("heat-mass", "mass of epoch", None, None),
                ("heat", "heat", None, None),
            ],
        ),
    ];
    for (plant, mend, expected) in planted {
        database.sql(plant).await;
        let (status, output, _) = on(&database, &["check", "--json"]).await;
        let report: Value = serde_json::from_str(&output).unwrap();
        assert_eq!((status, &report["state"]), (1, &json!("DRIFT")), "{plant}");
        let drifted: Vec<_> =
            report["checks"].as_array().unwrap().iter().filter(|check| check["drifted"] != 0).collect();
        assert_eq!(drifted.len(), expected.len(), "{plant}: {report:#}");
        let (status, text, _) = on(&database, &["check"]).await;
        assert!(status == 1 && text.ends_with("drift found\n"), "{text}");
        for (check, (name, field, stored, actual)) in drifted.iter().zip(expected) {
            assert_eq!((&check["name"], &check["drifted"]), (&json!(name), &json!(1)), "{plant}: {report:#}");
            let drift = &check["examples"][0];
            assert_eq!(drift["id"], json!(id), "{plant}");
            assert!(drift["field"].as_str().unwrap().starts_with(field), "{plant}: {drift}");
            assert!(stored.is_none_or(|stored| drift["stored"] == stored), "{plant}: {drift}");
            assert!(actual.is_none_or(|actual| drift["actual"] == actual), "{plant}: {drift}");
            assert_ne!(drift["stored"], drift["actual"]);
            let (field, stored, actual) = (&drift["field"], &drift["stored"], &drift["actual"]);
            let line = [id.as_str(), field.as_str().unwrap()].join(" ");
            let line =
                format!("  {line}: stored {}, the facts say {}\n", stored.as_str().unwrap(), actual.as_str().unwrap());
            assert!(text.contains(&line), "«{line}» is not in:\n{text}");
        }
        if !mend.is_empty() {
            database.sql(mend).await;
            assert_eq!(on(&database, &["check"]).await.0, 0, "mended: {plant}");
        }
    }
    database.remove().await;
}

async fn a_database_without_the_schema_is_not_checked(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    if let Some(file) = database.url.strip_prefix("sqlite:") {
        let (status, _, errors) = on(&database, &["check"]).await;
        assert!(status == 2 && errors.contains("there is no database yet"), "{errors}");
        assert!(!Path::new(file).exists(), "a check makes no database");
        std::fs::write(file, "").unwrap();
    }
    let (status, output, errors) = on(&database, &["check"]).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("run `tally migrate` first"), "{errors}");
    database.remove().await;
}

async fn migrate_brings_the_schema_up_once(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let lines = |output: &str, word: &str| output.lines().filter(|line| line.starts_with(word)).count();
    let (status, output, _) = on(&database, &["migrate", "--status"]).await;
    let all = output.lines().count();
    assert!(status == 0 && all > 3 && lines(&output, "pending  ") == all, "{output}");
    for module in ["kernel", "users", "engagement"] {
        assert!(output.contains(&format!("pending  {module}  M0001")), "{output}");
    }
    let (status, output, _) = on(&database, &["migrate"]).await;
    assert!(status == 0 && output.starts_with(&format!("{all} migration(s) applied\n")), "{output}");
    let (status, output, _) = on(&database, &["migrate"]).await;
    assert!(status == 0 && output.starts_with("0 migration(s) applied\n"), "{output}");
    let (status, output, _) = on(&database, &["migrate", "--status"]).await;
    assert!(status == 0 && lines(&output, "applied  ") == all, "{output}");
    let (status, ..) = on(&database, &["check"]).await;
    assert_eq!(status, 0, "an empty database tallies");
    database.remove().await;
}

async fn doctor_says_what_is_well_and_what_is_not(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let (status, output, _) = on(&database, &["doctor"]).await;
    assert!(status == 0 && output.lines().all(|line| line.starts_with("ok    ")), "{output}");
    if let Some(file) = database.url.strip_prefix("sqlite:") {
        assert!(output.contains("no database yet") && !Path::new(file).exists(), "{output}");
        std::fs::write(file, "").unwrap();
    }
    let output = on(&database, &["doctor"]).await.1;
    assert!(output.contains("acknowledged writes survive"), "{output}");
    assert!(output.contains("migration(s) pending"), "{output}");
    on(&database, &["migrate"]).await;
    assert!(on(&database, &["doctor"]).await.1.contains("the schema is up to date"));

    for (variables, line) in [
        (
            &[][..],
            "ok    development mode, for only this machine can reach server.listen: GraphiQL on, introspection on",
        ),
        (
            &[("TALLY_SERVER_HTTPS", "true")],
            "ok    production mode, for a proxy is in front: GraphiQL off, introspection off",
        ),
        (
            &[("TALLY_SERVER_MODE", "production"), ("TALLY_GRAPHQL_INTROSPECTION", "on")],
            "ok    production mode, for server.mode says so: GraphiQL off, introspection on",
        ),
        (&[("TALLY_LISTEN", "0.0.0.0:0")], "ok    production mode, for other machines can reach server.listen: "),
    ] {
        let environment = [&[("DATABASE_URL", &*database.url), ("TALLY_LISTEN", "127.0.0.1:0")], variables].concat();
        let output = run(&["doctor"], &environment, folder.path()).await.1;
        assert!(output.contains(line), "«{line}» is not in:\n{output}");
    }

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_LISTEN", &*address)];
    let (status, output, _) = run(&["doctor"], &environment, folder.path()).await;
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("FAIL  no key to check tokens with: set TALLY_AUTH_SECRET"), "{output}");
    assert!(output.contains(&format!("FAIL  cannot listen on {address}")), "{output}");
    assert!(output.contains("ok    the database opens"), "one fault does not hide the rest: {output}");
    database.remove().await;
}

async fn acknowledged_writes_survive_a_loss_of_power(backend: Backend) {
    let app = TestApp::start(backend).await;
    let durability = app.kernel.db.durability().await.unwrap();
    assert!(durability.holds, "{}", durability.text);
    if backend == Backend::Sqlite {
        assert_eq!(durability.text, "journal_mode wal, synchronous 2");
    }
    app.finish().await;
}

#[tokio::test]
async fn serve_without_a_secret_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let (status, output, errors) = run(&["serve"], &[("TALLY_LISTEN", "127.0.0.1:0")], folder.path()).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("set TALLY_AUTH_SECRET to 32 characters or more"), "{errors}");
    assert!(errors.contains("or TALLY_AUTH_JWKS_URL to where"), "{errors}");
    let (status, _, errors) = run(&["token", "--user", "x"], &[], folder.path()).await;
    assert!(status == 2 && errors.contains("set TALLY_AUTH_SECRET"), "{errors}");
    let issuer = [("TALLY_AUTH_JWKS_URL", "https://issuer.example/keys")];
    let (status, _, errors) = run(&["token", "--user", "x"], &issuer, folder.path()).await;
    assert!(status == 2 && errors.contains("tokens come from the issuer of auth.jwks_url"), "{errors}");
    for wrong in ["issuer.example/hush", "ftp://hush@issuer.example/", "file:///hush"] {
        let (status, _, errors) = run(&["serve"], &[("TALLY_AUTH_JWKS_URL", wrong)], folder.path()).await;
        assert!(status == 2 && errors.contains("auth.jwks_url: must be a URL that begins with"), "{errors}");
        assert!(!errors.contains("hush"), "{errors}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made before it was refused");
}

#[tokio::test]
async fn wrong_settings_are_all_named_at_once_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[server]\nlisten = \"127.0.0.1:0\"\ncolour = \"red\"\n\
         trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/33\"]\n[batch]\nqueue = 0\n[auth]\nsecret = \"hush-in-file\"\n";
    std::fs::write(folder.path().join("tally.toml"), file).unwrap();
    let environment = [
        ("TALLY_AUTH_SECRET", "hush-in-variable"),
        ("TALLY_COLOUR", "hush-unknown"),
        ("TALLY_BATCH_COMMANDS", "many"),
        ("TALLY_ENGAGEMENT_HALF_LIFE_HOURS", "NaN"),
        ("TALLY_TELEMETRY_FORMAT", "xml"),
        ("TALLY_BATCH_SINGLE_LANE", "perhaps"),
        ("TALLY_SERVER_CORS_ORIGINS", "https://a.example, b.example"),
    ];
    let problems = [
        "11 wrong setting(s)",
        "server.colour: no such setting",
        "server.trusted_proxies: «10.0.0.0/33» must be an address or a network like 10.0.0.0/8",
        "TALLY_SERVER_CORS_ORIGINS: «b.example» must be an origin like https://example.org, or *",
        "batch.queue: must be a whole number from 1 to 1000000",
        "auth.secret: must be 32 characters or more",
        "TALLY_AUTH_SECRET: must be 32 characters or more",
        "TALLY_COLOUR: no such setting",
        "TALLY_BATCH_COMMANDS: must be a whole number from 1 to 10000",
        "TALLY_ENGAGEMENT_HALF_LIFE_HOURS: must be a number from 1 to 8760",
        "TALLY_TELEMETRY_FORMAT: must be one of text, json",
        "TALLY_BATCH_SINGLE_LANE: must be true or false",
    ];
    for (arguments, expected) in [(["serve"], 2), (["check"], 2), (["migrate"], 2), (["doctor"], 1)] {
        let (status, output, errors) = run(&arguments, &environment, folder.path()).await;
        let said = output + &errors;
        assert_eq!(status, expected, "{said}");
        for problem in problems {
            assert!(said.contains(problem), "{arguments:?}: «{problem}» is not in:\n{said}");
        }
        assert!(!said.contains("hush"), "{arguments:?} shows a secret:\n{said}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_had_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [
        format!("postgres://somebody:hush-password@{closed}/tally"),
        "postgres://somebody:hush-password@[broken/tally".to_owned(),
        "mysql://somebody:hush-password@localhost/tally".to_owned(),
        "sqlite:file/tally.db".to_owned(),
        "sqlite::memory:".to_owned(),
    ] {
        let environment = [("DATABASE_URL", &*url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LISTEN", "127.0.0.1:0")];
        for (arguments, expected) in [(["serve"], 2), (["check"], 2), (["migrate"], 2), (["doctor"], 1)] {
            let (status, output, errors) = run(&arguments, &environment, folder.path()).await;
            let said = output + &errors;
            assert_eq!(status, expected, "{url}: {said}");
            assert!(said.contains("database") || said.contains("DATABASE_URL"), "{url}: {said}");
            assert!(!said.contains("hush") && !said.contains(SECRET), "{url}: {said}");
        }
    }
}

#[tokio::test]
async fn unknown_commands_and_flags_end_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [&["dance"][..], &["serve", "--fast"], &["check", "--json=yes"], &[]] {
        let (status, output, errors) = run(wrong, &[], folder.path()).await;
        assert_eq!((status, &*output), (2, ""), "{wrong:?}");
        assert!(errors.contains("Usage: tally"), "{errors}");
    }
    let (status, output, _) = run(&["--version"], &[], folder.path()).await;
    assert_eq!((status, output), (0, format!("tally {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn schema_graphql_is_that_of_the_code_or_run_make_schema() {
    let folder = tempfile::tempdir().unwrap();
    let (status, printed, errors) = run(&["schema"], &[], folder.path()).await;
    assert_eq!((status, &*errors), (0, ""));
    same_or_blessed("schema.graphql", &printed, "make schema");
}

#[test]
fn docs_settings_md_is_that_of_the_code_or_bless_it() {
    let list = Modules::new(Tally::modules()).map_err(|error| error.for_operator()).unwrap().settings();
    let heading = "# Settings\n\nDefaults, then `tally.toml` in the working directory, then environment variables, then \
        flags: the later wins. All\nproblems are reported at once. Generated from the code: after a change run\n\
        `TALLY_TEST_BLESS=1 cargo test --test it docs_settings`.\n\n";
    let expected = heading.to_owned() + &config::markdown(&list);
    same_or_blessed("docs/settings.md", &expected, "TALLY_TEST_BLESS=1 cargo test --test it docs_settings");
}

/// Compares a committed file with what the code makes of it; `TALLY_TEST_BLESS=1` writes it.
pub(crate) fn same_or_blessed(path: &str, expected: &str, how: &str) {
    if std::env::var_os("TALLY_TEST_BLESS").is_some() {
        std::fs::write(repository(path), expected).unwrap();
    }
    let committed = std::fs::read_to_string(repository(path)).unwrap_or_default();
    let differs = committed.lines().zip(expected.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(expected.lines().count())) + 1;
    assert!(
        committed == expected,
        "{path} is not that of the code, from line {line} on: run `{how}` and look at the change"
    );
}
