//! Integrity for operators: what checks found, repairs, and the facts behind a figure.

use std::time::Duration;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::Count;
use super::errors::InField as _;
use super::health::SystemHealth;
use super::service::{ModuleService, OverviewTable};
use crate::kernel::auth::Session;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::integrity::{CheckLine, Drift, Explained, Fact, Integrity, Kind, Report, Scope, Silent, State};
use crate::kernel::module::Overviews;
use crate::kernel::page::{Connection, Page};

/// How long a client waits for a repair's end: it goes on without, and the report is there later.
const PATIENCE: Duration = Duration::from_secs(10);

/// The checks of this server, in the schema's data.
#[derive(Clone)]
pub struct IntegrityDesk {
    /// The kernel's services.
    pub kernel: Kernel,
    /// The checks and explanations.
    pub integrity: Integrity,
    /// What modules show beside their checks.
    pub overviews: Overviews,
}

impl IntegrityDesk {
    pub(super) fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self> {
        ctx.data_opt::<Self>().ok_or_else(|| Error::internal("no integrity in the schema"))
    }
}

/// A figure that is not what its facts add up to.
#[derive(SimpleObject)]
struct IntegrityDrift {
    /// The item.
    id: ID,
    /// Which of its figures.
    field: String,
    /// What is stored.
    stored: String,
    /// What the facts say.
    actual: String,
}

impl From<Drift> for IntegrityDrift {
    fn from(Drift { id, field, stored, actual }: Drift) -> Self {
        Self { id: id.into(), field, stored, actual }
    }
}

/// What a check found.
struct IntegrityCheck(CheckLine);

/// What a check found.
#[Object]
impl IntegrityCheck {
    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The module whose figure it is about.
    async fn module(&self) -> &str {
        &self.0.module
    }

    /// How many items were compared with their facts.
    async fn checked(&self) -> Count {
        self.0.checked.into()
    }

    /// How many figures differ.
    async fn drifted(&self) -> Count {
        self.0.drifted.into()
    }

    /// How many figures the repair put right; of a dry run, how many it would.
    async fn repaired(&self) -> Count {
        self.0.changed.into()
    }

    /// The first of those that differ, 20 at most.
    async fn examples(&self) -> Vec<IntegrityDrift> {
        self.0.examples.iter().cloned().map(IntegrityDrift::from).collect()
    }

    /// Why the check could not be made, or its repair, in words that may change; null where it was. The numbers are then
    /// of what was done before. Operators find the cause in the log and in `tally check`.
    async fn error(&self) -> Option<&str> {
        self.0.failure.as_ref().map(|failure| failure.client_error.as_str())
    }
}

/// Whether figures are what their facts add up to.
struct IntegrityReport {
    report: Report,
    ran_at: Option<Millis>,
    /// The module that it is of, if of one.
    module: Option<String>,
}

/// Whether figures are what their facts add up to.
#[Object]
impl IntegrityReport {
    /// How they stand; `UNKNOWN` while a check of these has never run, `FAILED` when one could not be made.
    async fn state(&self) -> State {
        self.report.state
    }

    /// The share of the compared items of which every figure tallies, from 0 to 1, in the least consistent of the checks;
    /// null while nobody has looked, a check could not be made, or a repair goes on.
    async fn consistency_rate(&self) -> Option<f64> {
        let known = matches!(self.report.state, State::Ok | State::Drift);
        known.then_some(self.report.consistency_rate)
    }

    /// What each check found when it ran last; after a repair, what it finds then.
    async fn checks(&self) -> Vec<IntegrityCheck> {
        self.report.checks.iter().cloned().map(IntegrityCheck).collect()
    }

    /// What to do about it.
    async fn recommendations(&self) -> &[String] {
        &self.report.recommendations
    }

    /// When the run began that this is of: the oldest, if it is of several.
    async fn ran_at(&self) -> Option<Millis> {
        self.ran_at
    }

    /// The run of a repair, for `tally repair --undo`; null in a report of what was found.
    async fn run(&self) -> Option<ID> {
        (self.report.kind == Kind::Repair).then(|| self.report.id.to_string().into())
    }

    /// Numbers of the modules that these checks are of, beside the checks: how many accounts there are. Looked up now.
    async fn overview(&self, ctx: &Context<'_>) -> Result<Vec<OverviewTable>> {
        async {
            let desk = IntegrityDesk::of(ctx)?;
            let tables = desk.overviews.look(&desk.kernel, self.module.as_deref()).await?;
            Ok(tables.into_iter().map(OverviewTable::from).collect())
        }
        .await
        .in_field(ctx)
    }

    /// How the modules that these checks are of serve clients: errors and response times.
    async fn service(&self, ctx: &Context<'_>) -> Result<Vec<ModuleService>> {
        async {
            let served = IntegrityDesk::of(ctx)?.kernel.metrics.all_served().into_iter();
            let own = served.filter(|served| self.module.as_deref().is_none_or(|module| module == served.module));
            Ok(own.map(ModuleService::from).collect())
        }
        .await
        .in_field(ctx)
    }

    /// Whether a repair only says what it would do.
    async fn dry_run(&self) -> bool {
        self.report.dry_run
    }
}

/// Something that happened, and what it adds to a figure.
#[derive(SimpleObject)]
#[graphql(name = "Fact")]
struct FactNode {
    /// What happened: `LIKE`, `COMMENT`, `VIEWS_OF_AN_HOUR`.
    kind: &'static str,
    /// Whose it is, or which one; null where nobody remembers.
    source: Option<ID>,
    /// When it happened.
    at: Millis,
    /// What it adds, in the unit of the figure: a number, as text, because some are larger than a JSON number holds.
    contribution: String,
}

/// A figure, beside the page of its facts.
struct FactFields(Explained);

/// A figure, beside the page of its facts.
#[Object]
impl FactFields {
    /// What is stored.
    async fn stored(&self) -> &str {
        &self.0.stored
    }

    /// What all the facts add up to, those of other pages too.
    async fn actual(&self) -> &str {
        &self.0.actual
    }

    /// What contributions are counted in.
    async fn unit(&self) -> &str {
        self.0.unit
    }

    /// How many facts there are.
    async fn total_count(&self) -> Count {
        self.0.total.into()
    }

    /// Of a figure that does not tally, what to do where no repair puts it right; null where one does.
    async fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
}

/// The root queries of integrity.
#[derive(Default)]
pub struct IntegrityQuery;

#[Object]
impl IntegrityQuery {
    /// What the checks found when they ran last, by the daily job or the command line. Reads what is stored, and runs
    /// nothing. For operators.
    async fn integrity_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this module's checks.")] module: Option<String>,
        #[graphql(desc = "Only the check of this name.")] check: Option<String>,
    ) -> Result<IntegrityReport> {
        let desk = IntegrityDesk::of(ctx)?;
        let latest = desk.integrity.latest(&desk.kernel, module.as_deref(), check.as_deref()).await?;
        let module = desk.integrity.module_of(module.as_deref(), check.as_deref());
        Ok(IntegrityReport { report: latest.report, ran_at: latest.ran_at, module })
    }

    /// The facts that add up to a figure, with what each adds. For operators.
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which figure: `like-count`; an unknown one is answered with all names.")] figure: String,
        #[graphql(desc = "Whose figure.")] id: ID,
        #[graphql(desc = "How many facts, 100 at most; 20 when nobody says.")] first: Option<i32>,
        #[graphql(desc = "Only the facts after this cursor.")] after: Option<String>,
    ) -> Result<Connection<FactNode, FactFields>> {
        let desk = IntegrityDesk::of(ctx)?;
        let page = Page::forward(first, after.as_deref())?;
        let mut explained = desk.integrity.explain(&desk.kernel, &figure, &id, page).await?;
        let (facts, more) = (std::mem::take(&mut explained.facts), explained.more);
        let nodes = facts.into_iter().map(|fact| {
            let Fact { cursor, kind, source, at, contribution } = fact;
            (cursor, FactNode { kind, source: source.map(ID), at, contribution })
        });
        Ok(page.connection_of(nodes.collect(), more, FactFields(explained)))
    }

    /// Whether everything runs: database, events, jobs, checks. For operators.
    async fn system_health(&self, ctx: &Context<'_>) -> Result<SystemHealth> {
        SystemHealth::look(IntegrityDesk::of(ctx)?).await
    }
}

/// The root mutations of integrity.
#[derive(Default)]
pub struct IntegrityMutation;

#[Object]
impl IntegrityMutation {
    /// Puts right what the checks find, keeps what was there before, and checks again. A repair that takes more than ten
    /// seconds is answered with `RUNNING` and goes on; its end is in `integrityReport` and in `tally repair --list`.
    /// CONFLICT while another goes on. For operators.
    async fn repair_integrity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this module's checks.")] module: Option<String>,
        #[graphql(desc = "Only the check of this name.")] check: Option<String>,
        #[graphql(default, desc = "Whether only to say what would be done.")] dry_run: bool,
    ) -> Result<IntegrityReport> {
        let IntegrityDesk { kernel, integrity, .. } = IntegrityDesk::of(ctx)?.clone();
        let of_module = integrity.module_of(module.as_deref(), check.as_deref());
        let scope = Scope { module, check, id: None };
        let by = format!("api {}", Session::of(ctx).required()?.subject);
        let begun = integrity.repair_to_be(&kernel, &scope, dry_run, &by)?;
        if !dry_run && integrity.is_repairing(&kernel).await? {
            return Err(Error::conflict("another repair goes on; ask for the report later"));
        }
        let answer = begun.clone();
        // A task of its own: a client that goes away leaves no repair half done.
        let tasks = kernel.tasks.clone();
        let work = tasks.spawn(async move { integrity.repair_begun(&kernel, &scope, begun, &Silent).await });
        let report = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(done)) => done?,
            Ok(Err(_)) => return Err(Error::new(Code::INTERNAL, "the repair ended in the middle")),
            Err(_) => answer,
        };
        let ran_at = Some(report.began_at);
        Ok(IntegrityReport { report, ran_at, module: of_module })
    }
}
