//! Settings: defaults, then `tally.toml`, then environment variables, then flags. One list gives keys, names of
//! variables, checks and the table in `docs/settings.md`; every problem is reported at once, and no secret is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

mod list;
mod operations;

pub use list::SETTINGS;
pub use operations::OPERATIONS;

use super::error::{Error, Result};

/// One setting. Modules declare theirs as a constant list.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `section.key`, as in `tally.toml`. The variable is `TALLY_SECTION_KEY`.
    pub key: &'static str,
    /// A short variable that scripts rely on, beside the long one.
    pub alias: Option<&'static str>,
    /// What holds when nobody says anything; `None`: nothing does.
    pub default: Option<&'static str>,
    /// What it must look like.
    pub form: Form,
    /// What it does, with its unit.
    pub doc: &'static str,
}

/// What a setting's text must look like.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Any text.
    Text,
    /// Text that is never shown; at least so many characters.
    Secret(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A whole number within these bounds.
    Count(u32, u32),
    /// A decimal number within these bounds.
    Number(f64, f64),
    /// Entries between commas, each of which the function takes or says what it must be; in `tally.toml` an array of
    /// texts, too.
    List(fn(&str) -> Result<(), &'static str>),
    /// Text that the function takes as a whole, or says what is wrong with it; in `tally.toml` an array of texts, too.
    Checked(fn(&str) -> Result<(), String>),
    /// When a job runs: a cron expression with seconds, in UTC (`0 30 3 * * *`: each day at 03:30), or `off`.
    Schedule,
}

impl Setting {
    /// A setting, what holds when nobody says anything, what it must look like, and what it does.
    #[must_use]
    pub const fn new(key: &'static str, default: Option<&'static str>, form: Form, doc: &'static str) -> Self {
        Self { key, alias: None, default, form, doc }
    }

    /// Adds a short variable.
    #[must_use]
    pub const fn called(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// The long environment variable: `TALLY_DATABASE_URL`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TALLY_{}", self.key.replace('.', "_").to_uppercase())
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let refuse = |what: String| Err(format!("must be {what}"));
        match self.form {
            Form::Text => Ok(()),
            Form::Secret(least) if value.chars().count() < least => refuse(format!("{least} characters or more")),
            Form::Secret(_) => Ok(()),
            Form::Word(words) if !words.contains(&value) => refuse(format!("one of {}", words.join(", "))),
            Form::Word(_) => Ok(()),
            Form::Switch if !matches!(value, "true" | "false") => refuse("true or false".into()),
            Form::Switch => Ok(()),
            Form::Count(least, most) => match value.parse::<u32>() {
                Ok(count) if (least..=most).contains(&count) => Ok(()),
                _ => refuse(format!("a whole number from {least} to {most}")),
            },
            Form::Number(least, most) => match value.parse::<f64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => refuse(format!("a number from {least} to {most}")),
            },
            Form::List(check) => match entries(value).find_map(|entry| Some((entry, check(entry).err()?))) {
                None => Ok(()),
                Some((entry, what)) => Err(format!("«{entry}» must be {what}")),
            },
            Form::Checked(check) => check(value),
            Form::Schedule => super::jobs::Schedule::parse(value).map(drop),
        }
    }
}

/// Checked settings: every key of the list has a value of its form, or none where none is allowed.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<&'static str, (String, Source)>);

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The list.
    Default,
    /// `tally.toml`.
    File,
    /// An environment variable, by its name.
    Variable(String),
    /// The command line, or the caller.
    Flag,
}

impl Settings {
    /// Reads all sources.
    ///
    /// `file` is the text of `tally.toml`, if there is one; `variables` the environment; `flags` win over all.
    ///
    /// # Errors
    /// [`super::error::Code::INVALID_INPUT`] with every problem, one a line: unknown keys, values of another form.
    pub fn read(
        list: &[Setting],
        file: Option<&str>,
        variables: &BTreeMap<String, String>,
        flags: &[(&str, String)],
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let mut given: Vec<(String, String, Source)> = Vec::new();
        if let Some(text) = file {
            match text.parse::<toml::Table>() {
                Ok(table) => flatten(&table, "", &mut given),
                Err(error) => problems.push(format!("tally.toml: {}", error.message())),
            }
        }
        for setting in list {
            for name in [Some(setting.variable()), setting.alias.map(str::to_owned)].into_iter().flatten() {
                if let Some(value) = variables.get(&name) {
                    given.push((setting.key.to_owned(), value.clone(), Source::Variable(name)));
                }
            }
        }
        for name in variables.keys().filter(|name| name.starts_with("TALLY_") && !set_by_others(name)) {
            if !list.iter().any(|setting| setting.variable() == *name || setting.alias == Some(name)) {
                problems.push(format!("{name}: no such setting"));
            }
        }
        given.extend(flags.iter().map(|(key, value)| ((*key).to_owned(), value.clone(), Source::Flag)));

        let mut settings = Self::default();
        for setting in list {
            if let Some(default) = setting.default {
                settings.0.insert(setting.key, (default.to_owned(), Source::Default));
            }
        }
        for (key, value, source) in given {
            let name = match &source {
                Source::Variable(name) => name.clone(),
                _ => key.clone(),
            };
            match list.iter().find(|setting| setting.key == key) {
                None => problems.push(format!("{key}: no such setting")),
                Some(setting) => match setting.check(&value) {
                    Ok(()) => {
                        settings.0.insert(setting.key, (value, source));
                    }
                    Err(problem) => problems.push(format!("{name}: {problem}")),
                },
            }
        }
        if problems.is_empty() {
            return Ok(settings);
        }
        Err(Error::invalid(format!("{} wrong setting(s):\n  {}", problems.len(), problems.join("\n  "))))
    }

    /// Reads `tally.toml` in the working directory, the process's environment, and `flags`.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn load(list: &[Setting], flags: &[(&str, String)]) -> Result<Self> {
        let file = match std::fs::read_to_string(Path::new("tally.toml")) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::invalid(format!("tally.toml: {error}"))),
        };
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::read(list, file.as_deref(), &variables.collect(), flags)
    }

    /// A setting that has a value; the empty text if it has none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        debug_assert!(key.contains('.'), "{key} is no setting");
        self.0.get(key).map_or("", |(value, _)| value)
    }

    /// A setting that may have no value.
    #[must_use]
    pub fn optional(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(value, _)| value.as_str())
    }

    /// A setting of [`Form::Count`].
    #[must_use]
    pub fn count(&self, key: &str) -> u32 {
        self.text(key).parse().unwrap_or_default()
    }

    /// A setting of [`Form::Number`].
    #[must_use]
    pub fn number(&self, key: &str) -> f64 {
        self.text(key).parse().unwrap_or_default()
    }

    /// A setting of [`Form::Switch`].
    #[must_use]
    pub fn switch(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    /// The entries of a setting of [`Form::List`]; none where it has no value.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        entries(self.text(key))
    }

    /// Where a value came from; `None` where there is none.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.0.get(key).map(|(_, source)| source)
    }
}

impl std::fmt::Debug for Settings {
    /// Keys and sources; the values stay out, because some of them are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, (_, source))| (key, source))).finish()
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Variables of the test harness, those that Kubernetes sets for a service named `tally`, and what `tally import` reads.
fn set_by_others(name: &str) -> bool {
    ["TALLY_TEST_", "TALLY_PORT", "TALLY_SERVICE_", "TALLY_FROM"].iter().any(|prefix| name.starts_with(prefix))
}

fn flatten(table: &toml::Table, prefix: &str, given: &mut Vec<(String, String, Source)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(inner, &key, given),
            toml::Value::String(text) => given.push((key, text.clone(), Source::File)),
            toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                let items: Vec<_> = items.iter().filter_map(toml::Value::as_str).collect();
                given.push((key, items.join(","), Source::File));
            }
            other => given.push((key, other.to_string(), Source::File)),
        }
    }
}

/// The settings as a Markdown table: `docs/settings.md` is this, and a test compares them.
#[must_use]
pub fn markdown(list: &[Setting]) -> String {
    let mut table = String::from("| key in `tally.toml` | variable | default | what it does |\n|---|---|---|---|\n");
    for setting in list {
        let variable = match setting.alias {
            Some(alias) => format!("`{alias}` or `{}`", setting.variable()),
            None => format!("`{}`", setting.variable()),
        };
        let default = setting.default.map_or("none".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(table, "| `{}` | {variable} | {default} | {} |", setting.key, setting.doc);
    }
    table
}
