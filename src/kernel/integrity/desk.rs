//! The checks and explanations of a process, and what is known without running any.

use std::fmt;
use std::sync::Arc;

use super::report::{CheckLine, Kind, Report, RunKind, State};
use super::{Change, Check, Explain, Explained, Key, store};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::kernel::page::Page;

/// A check, and the item that it is limited to.
pub(super) type Chosen = (Arc<dyn Check>, Option<Key>);

/// What a run is limited to; by default to nothing.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// A module's checks.
    pub module: Option<String>,
    /// The check of this name.
    pub check: Option<String>,
    /// The item with this TypeID.
    pub id: Option<String>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("module", &self.module), ("check", &self.check), ("id", &self.id)];
        let mut space = "";
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{space}{name} {value}")?;
                space = ", ";
            }
        }
        Ok(())
    }
}

/// All checks and explanations of a process. Cheap to clone.
#[derive(Clone)]
pub struct Integrity {
    pub(super) checks: Arc<[Arc<dyn Check>]>,
    /// How many of the checks, the first ones, need no running server.
    anywhere: usize,
    explanations: Arc<[Arc<dyn Explain>]>,
}

impl Integrity {
    /// Checks that every process has, those of this process alone, and the explanations.
    #[must_use]
    pub fn new(
        mut checks: Vec<Arc<dyn Check>>,
        live: Vec<Arc<dyn Check>>,
        explanations: Vec<Arc<dyn Explain>>,
    ) -> Self {
        let anywhere = checks.len();
        checks.extend(live);
        Self { checks: checks.into(), anywhere, explanations: explanations.into() }
    }

    /// All checks, those of this process alone too.
    #[must_use]
    pub fn checks(&self) -> &[Arc<dyn Check>] {
        &self.checks
    }

    /// The checks of a scope, and the key of its item.
    pub(super) fn choose(&self, scope: &Scope) -> Result<Vec<Chosen>> {
        let of_names = self.of(scope.module.as_deref(), scope.check.as_deref());
        if of_names.is_empty() {
            let all: Vec<_> = self.checks.iter().map(|check| format!("{}/{}", check.module(), check.name())).collect();
            return Err(Error::invalid(format!("no such check; there are {}", all.join(", "))));
        }
        let Some(id) = &scope.id else {
            return Ok(of_names.into_iter().map(|check| (Arc::clone(check), None)).collect());
        };
        let keyed = of_names.into_iter().filter_map(|check| Some((Arc::clone(check), Some(check.key(id)?))));
        let chosen: Vec<_> = keyed.collect();
        if chosen.is_empty() {
            return Err(Error::invalid(format!("none of these checks is about {id}: expected the id of an item")));
        }
        Ok(chosen)
    }

    /// [`Integrity::choose`], of an item that there is.
    ///
    /// # Errors
    /// [`Code::NOT_FOUND`] when no check knows it: there would be nothing to find, and all would seem well.
    pub(super) async fn choose_there(&self, kernel: &Kernel, scope: &Scope) -> Result<Vec<Chosen>> {
        let chosen = self.choose(scope)?;
        let Some(id) = &scope.id else { return Ok(chosen) };
        for (check, _) in &chosen {
            let there = match check.is_there(kernel, id).await {
                Ok(there) => there,
                // What cannot be read is there, and its checks say what is wrong with it.
                Err(error) => super::check::failure(check.as_ref(), error).map(|_| true)?,
            };
            if there {
                return Ok(chosen);
            }
        }
        Err(Error::not_found(format!("there is no {id}")))
    }

    fn of(&self, module: Option<&str>, name: Option<&str>) -> Vec<&Arc<dyn Check>> {
        let of_module = self.checks.iter().filter(|check| module.is_none_or(|module| module == check.module()));
        of_module.filter(|check| name.is_none_or(|name| name == check.name())).collect()
    }

    /// The module that a scope is limited to, by its name or by a check's.
    pub(crate) fn module_of(&self, module: Option<&str>, name: Option<&str>) -> Option<String> {
        let named = name.and_then(|_| Some(self.of(module, name).first()?.module()));
        module.or(named).map(str::to_owned)
    }

    /// What the checks of a scope found when they ran last, whoever ran them: a read of few rows, whatever there is to
    /// check. The moment is that of the oldest of these runs. [`State::Unknown`] while one of them never ran, unless
    /// another found a drift.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for names without checks; the database's own.
    pub async fn latest(&self, kernel: &Kernel, module: Option<&str>, name: Option<&str>) -> Result<Latest> {
        let scope = Scope { module: module.map(str::to_owned), check: name.map(str::to_owned), id: None };
        let chosen = self.choose(&scope)?;
        let found = store::results(&kernel.db).await?;
        let of_check = |check: &dyn Check| found.iter().find(|(_, line)| line.is_of(check));
        let expected = self.checks.iter().take(self.anywhere);
        let expected = expected.filter(|check| chosen.iter().any(|(chosen, _)| Arc::ptr_eq(chosen, check)));
        let unknown = expected.into_iter().any(|check| of_check(check.as_ref()).is_none());
        let lines: Vec<_> = chosen.iter().filter_map(|(check, _)| of_check(check.as_ref())).collect();

        let mut report = Report::begin(kernel, Kind::Check, &scope, "");
        report.checks = lines.iter().map(|(_, line)| line.clone()).collect();
        report.conclude();
        report.recommend(&self.checks);
        if report.state == State::Ok && (unknown || lines.is_empty()) {
            report.state = State::Unknown;
            report.recommendations.push("`tally check` looks at everything; the job integrity.check does daily".into());
        }
        let ran_at = lines.iter().map(|(ran_at, _)| *ran_at).min();
        Ok(Latest { report, ran_at })
    }

    /// The last runs, newest first.
    pub(crate) async fn runs(&self, kernel: &Kernel, most: i64) -> Result<Vec<store::RunRow>> {
        store::runs_page(&kernel.db, most).await
    }

    /// What a repair replaced, a page of it after a number.
    ///
    /// # Errors
    /// The database's own.
    pub async fn changes(&self, kernel: &Kernel, run: Id<RunKind>, after: i64, most: i64) -> Result<Vec<Change>> {
        store::changes_page(&kernel.db, run.uuid(), after, most).await
    }

    /// Whether a repair, or what undoes one, goes on in some process.
    ///
    /// # Errors
    /// The database's own.
    pub async fn is_repairing(&self, kernel: &Kernel) -> Result<bool> {
        store::repairs_alive(&kernel.db, kernel.clock.now()).await
    }

    /// The facts behind a figure.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`] for a figure that nobody explains, or an id of another kind;
    /// [`crate::kernel::error::Code::NOT_FOUND`] when there is no such item; the database's own.
    pub async fn explain(&self, kernel: &Kernel, figure: &str, id: &str, page: Page) -> Result<Explained> {
        let all: Vec<_> = self.explanations.iter().map(|explanation| explanation.figure()).collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        let Some(explanation) = self.explanations.iter().find(|explanation| explanation.figure() == figure) else {
            return Err(Error::invalid(format!("there is no figure {figure:?} to explain; there are {all}")));
        };
        match explanation.explain(kernel, id, page).await {
            Ok(Some(explained)) => Ok(explained),
            Ok(None) => Err(Error::not_found(format!("there is no {id} with a {figure}; figures are {all}"))),
            Err(error) if error.code() == Code::INVALID_INPUT => {
                Err(Error::invalid(format!("{figure}: {}; figures are {all}", error.client())))
            }
            Err(error) => Err(error),
        }
    }
}

/// What checks found last.
pub struct Latest {
    /// All that they found.
    pub report: Report,
    /// When the oldest of their runs began; `None` while there is none.
    pub ran_at: Option<crate::kernel::clock::Millis>,
}

impl Latest {
    /// What each check found.
    #[must_use]
    pub fn checks(&self) -> &[CheckLine] {
        &self.report.checks
    }
}
