//! What a run says of itself: to operators, to clients, and to the table of runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Check, CheckReport, Drift, Key, Remedy, Scope};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error};
use crate::kernel::id::Id;

crate::id_kind! {
    /// Ids of runs of checks and repairs.
    RunKind = "integrity";
}

/// Declares an enum whose values are words, in tables, in JSON and in GraphQL.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, async_graphql::Enum)]
        #[serde(rename_all = "UPPERCASE")]
        #[graphql(name_type)]
        pub enum $name { $($(#[$word_doc])* $word,)+ }

        impl async_graphql::TypeName for $name {
            fn type_name() -> std::borrow::Cow<'static, str> {
                concat!("Integrity", stringify!($name)).into()
            }
        }

        impl $name {
            /// The word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }

            pub(super) fn of_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$word),)+ _ => None }
            }
        }
    };
}

words!(
    /// What a run of checks is for.
    Kind {
        /// It compares figures with their facts.
        Check = "CHECK",
        /// It puts right what differs.
        Repair = "REPAIR",
        /// It puts back what a repair replaced.
        Undo = "UNDO",
    }
);

words!(
    /// What came of a run, or how figures stand.
    State {
        /// Every figure is what its facts add up to.
        Ok = "OK",
        /// Some figure is not.
        Drift = "DRIFT",
        /// The run has not ended.
        Running = "RUNNING",
        /// The run ended with an error, or one of its checks could not be made.
        Failed = "FAILED",
        /// The run was stopped, or its process is gone; what it did is recorded.
        Interrupted = "INTERRUPTED",
        /// Nobody has looked yet.
        Unknown = "UNKNOWN",
    }
);

/// What a run did and found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The run.
    #[serde(rename = "run", serialize_with = "as_text")]
    pub id: Id<RunKind>,
    /// What it is for.
    pub kind: Kind,
    /// What came of it.
    pub state: State,
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// When it began.
    #[serde(rename = "ranAt", serialize_with = "as_time")]
    pub began_at: Millis,
    /// When it ended.
    #[serde(serialize_with = "as_optional_time")]
    pub ended_at: Option<Millis>,
    /// Who started it: `cli`, `job`, `api SUBJECT`.
    pub started_by: String,
    /// What it was limited to; empty: to nothing.
    pub scope: String,
    /// The repair that it undoes.
    #[serde(serialize_with = "as_optional_text")]
    pub undoes: Option<Id<RunKind>>,
    /// The share of the compared items of which every figure tallies, in the least consistent check.
    pub consistency_rate: f64,
    /// What each check found; after a repair, what it finds then.
    pub checks: Vec<CheckLine>,
    /// What to do about it.
    pub recommendations: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What a check found, in a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckLine {
    /// The check's module.
    pub module: String,
    /// The check's name.
    pub name: String,
    /// How many items were compared.
    pub checked: u64,
    /// How many figures differ.
    pub drifted: u64,
    /// Of how many items they are.
    #[serde(default)]
    pub items: u64,
    /// How many figures the run put right, would put right, or put back.
    #[serde(default)]
    pub changed: u64,
    /// How many it left as they were because something else has happened to them since.
    #[serde(default)]
    pub left: u64,
    /// The first of those that differ.
    pub examples: Vec<Drift>,
    /// Why the check could not be made, or its repair; the numbers are then of what was done before.
    #[serde(flatten)]
    pub failure: Option<Failure>,
}

/// Why a check could not be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What the operator reads.
    pub error: String,
    /// What a client reads.
    pub client_error: String,
}

/// A figure that a repair replaced.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its place in the run.
    pub number: i64,
    /// The check's module.
    pub module: String,
    /// The check.
    #[serde(rename = "check")]
    pub name: String,
    /// Its item.
    #[serde(skip)]
    pub key: Key,
    /// What was wrong: what was stored, and what is stored instead.
    #[serde(flatten)]
    pub drift: Drift,
    /// Of one that an undo tried: whether the old value is back.
    pub put_back: Option<bool>,
    /// What else was replaced with it: see [`Check::repair_keeping`].
    #[serde(skip)]
    pub(super) kept: Option<String>,
    /// Whether a newer repair has replaced the figure again.
    #[serde(skip)]
    pub(super) replaced_since: bool,
}

impl From<CheckReport> for CheckLine {
    fn from(report: CheckReport) -> Self {
        let CheckReport { module, name, checked, drifted, items, examples } = report;
        let (module, name) = (module.to_owned(), name.to_owned());
        Self { module, name, checked, drifted, items, changed: 0, left: 0, examples, failure: None }
    }
}

impl CheckLine {
    /// Of a check that has not looked.
    pub(super) fn without_look(module: &str, name: &str, changed: u64, left: u64) -> Self {
        let (module, name) = (module.to_owned(), name.to_owned());
        Self { module, name, checked: 0, drifted: 0, items: 0, changed, left, examples: Vec::new(), failure: None }
    }

    /// The line of a change's check, among others or new.
    pub(super) fn among<'a>(lines: &'a mut Vec<Self>, change: &Change) -> &'a mut Self {
        let found = lines.iter().position(|line| line.module == change.module && line.name == change.name);
        let place = found.unwrap_or_else(|| {
            lines.push(Self::without_look(&change.module, &change.name, 0, 0));
            lines.len() - 1
        });
        &mut lines[place]
    }

    pub(super) fn is_of(&self, check: &dyn Check) -> bool {
        self.module == check.module() && self.name == check.name()
    }
}

impl Report {
    pub(super) fn begin(kernel: &Kernel, kind: Kind, scope: &Scope, by: &str) -> Self {
        Self {
            id: Id::new(kernel.ids.next()),
            kind,
            state: State::Running,
            dry_run: false,
            began_at: kernel.clock.now(),
            ended_at: None,
            started_by: by.to_owned(),
            scope: scope.to_string(),
            undoes: None,
            consistency_rate: 1.0,
            checks: Vec::new(),
            recommendations: Vec::new(),
            error: None,
        }
    }

    /// How many figures differ.
    #[must_use]
    pub fn drifted(&self) -> u64 {
        self.checks.iter().map(|line| line.drifted).sum()
    }

    /// How many figures the run put right, would put right, or put back.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.checks.iter().map(|line| line.changed).sum()
    }

    /// How many figures an undo left as they were.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.checks.iter().map(|line| line.left).sum()
    }

    /// The checks that could not be made.
    fn failed(&self) -> impl Iterator<Item = (&CheckLine, &Failure)> {
        self.checks.iter().filter_map(|line| Some((line, line.failure.as_ref()?)))
    }

    /// The error of a run in which not every check could be made; `None` if all were.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        let (names, causes): (Vec<_>, Vec<_>) =
            self.failed().map(|(line, failure)| (&*line.name, format!("{}: {}", line.name, failure.error))).unzip();
        let text = (!names.is_empty()).then(|| format!("checks that could not be made: {}", names.join(", ")));
        text.map(|text| Error::new(Code::INTERNAL, text).caused_by(causes.join("; ")))
    }

    /// State and rate, from what the checks found.
    pub(super) fn conclude(&mut self) {
        let failure = self.failure();
        self.state = match failure {
            Some(_) => State::Failed,
            None if self.drifted() > 0 => State::Drift,
            None => State::Ok,
        };
        self.error = failure.map(|error| error.client().to_owned());
        self.consistency_rate = consistency(&self.checks);
    }

    /// What to do about what the checks found.
    pub(super) fn recommend(&mut self, checks: &[Arc<dyn Check>]) {
        let drifted: Vec<_> = self.checks.iter().filter(|line| line.drifted > 0).collect();
        let remedies = drifted.iter().filter_map(|line| {
            let check = checks.iter().find(|check| line.is_of(check.as_ref()))?;
            Some((*line, check.remedy()))
        });
        let (mut repairs, mut advice) = (Vec::new(), Vec::new());
        for (line, remedy) in remedies {
            match remedy {
                Remedy::Repair => repairs.push(line.name.as_str()),
                Remedy::RepairOr(what) => {
                    repairs.push(line.name.as_str());
                    advice.push(format!("{}: {what}", line.name));
                }
                Remedy::Advice(what) => advice.push(format!("{}: {what}", line.name)),
            }
        }
        let mut all = Vec::new();
        if !repairs.is_empty() {
            let command =
                if let [one] = repairs[..] { format!("tally repair --check {one}") } else { "tally repair".into() };
            all.push(format!(
                "`{command}` puts right what {} found; with `--dry-run` it only says what it would do",
                repairs.join(", ")
            ));
            // An operator who only mends never learns what breaks.
            all.push("`tally explain FIGURE ID` lists the facts behind a figure".to_owned());
        }
        all.extend(advice);
        all.extend(self.failed().map(|(line, _)| {
            format!("{0}: could not be made; `tally check --check {0}` and the log say why", line.name)
        }));
        self.recommendations = all;
    }
}

/// The share of the items that tallied in the least consistent of the checks; 1 of none. Not of all their items together:
/// beside a million items of other checks, an account in 50 that is wrong would not show. 0 with a check that could not be
/// made: of its items nobody knows that they tally.
pub(crate) fn consistency(checks: &[CheckLine]) -> f64 {
    let share = |line: &CheckLine| {
        if line.failure.is_some() {
            return 0.0;
        }
        // What a check finds missing was never compared.
        let all = line.checked.max(line.items);
        #[expect(clippy::cast_precision_loss, reason = "a share, shown to a few digits")]
        let share = if all == 0 { 1.0 } else { (all - line.items) as f64 / all as f64 };
        share
    };
    checks.iter().map(share).fold(1.0, f64::min)
}

/// A share in percent, rounded down: 100 % is all of them.
#[must_use]
pub fn percent(share: f64) -> String {
    if share >= 1.0 { "100 %".to_owned() } else { format!("{:.4} %", (share * 1e6).floor().min(999_999.0) / 1e4) }
}

fn as_text<S: serde::Serializer>(id: &Id<RunKind>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

fn as_optional_text<S: serde::Serializer>(id: &Option<Id<RunKind>>, to: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(to)
}

fn as_time<S: serde::Serializer>(at: &Millis, to: S) -> Result<S::Ok, S::Error> {
    at.to_text().serialize(to)
}

fn as_optional_time<S: serde::Serializer>(at: &Option<Millis>, to: S) -> Result<S::Ok, S::Error> {
    at.map(Millis::to_text).serialize(to)
}
