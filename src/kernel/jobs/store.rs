//! The statements of jobs and of their runs.

use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Fence, Tx};
use crate::kernel::error::Result;

async fn run(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected())
}

fn optional(moment: Option<Millis>) -> Value {
    moment.map(|moment| moment.0).into()
}

/// Makes a job's row, or takes over a new schedule. One that is due already stays due: it was missed. The next tick of
/// a clock that is behind may be one that ran already: it is not taken for the next, unless the clock that
/// says so was beyond `horizon`.
pub(super) async fn ensure(
    tx: &Tx,
    name: &str,
    schedule: &str,
    Moment { now, horizon }: Moment,
    next: Option<Millis>,
) -> Result<()> {
    let sql = "INSERT INTO jobs (name, schedule, next_run_at, owner, lease_until, fence)
               VALUES ($1, $2, $3, '', 0, 0)
               ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule, next_run_at = CASE
                   WHEN jobs.next_run_at <= $4 AND (excluded.schedule <> 'off' OR jobs.schedule = 'off')
                   THEN jobs.next_run_at ELSE excluded.next_run_at END
               WHERE jobs.schedule <> excluded.schedule OR jobs.next_run_at IS NULL
                   OR (jobs.next_run_at > excluded.next_run_at AND (excluded.next_run_at > coalesce(jobs.last_tick, 0)
                       OR jobs.last_tick > $5))";
    run(tx, sql, [name.into(), schedule.into(), optional(next), now.0.into(), horizon.0.into()]).await?;
    Ok(())
}

/// A moment by this node's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Millis,
    /// What is later was written by a clock that jumped: those of nodes differ by less than a lease.
    pub(super) horizon: Millis,
}

impl Moment {
    pub(super) fn new(now: Millis, lease_millis: i64) -> Self {
        Self { now, horizon: now.plus(2 * lease_millis) }
    }
}

/// A job's row while it is being claimed.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Claimable {
    pub(super) name: String,
    pub(super) next_run_at: Option<Millis>,
    /// Of a run that has begun and has not ended.
    pub(super) tick: Option<Millis>,
    last_tick: Option<Millis>,
    pub(super) fence: i64,
    /// 1 when somebody asked for the run, or it is tried again; 0 when its schedule did.
    pub(super) woken: i16,
}

/// Due at $1, with the horizon $2: a lease beyond it ends by a clock that jumped. This process, $3, still runs what is its
/// own: its next renewal is by the clock as it is.
const DUE: &str = "(owner = '' OR lease_until <= $1 OR lease_until > $2 AND owner <> $3)
    AND (tick IS NOT NULL OR next_run_at <= $1)";
/// What a last tick beyond the horizon says of the schedule is not waited for; nor is the first tick of a job that was
/// made by such a clock.
const ASTRAY: &str = "tick IS NULL AND owner = '' AND schedule <> 'off'
    AND (last_tick > $2 OR last_tick IS NULL AND next_run_at > $2)";

impl Claimable {
    /// The last tick, unless a clock that jumped took it.
    pub(super) fn last_tick(&self, at: Moment) -> Option<Millis> {
        self.last_tick.filter(|last| *last <= at.horizon)
    }

    /// Whether a clock that jumped left this row.
    pub(super) fn is_astray(&self, at: Moment) -> bool {
        self.last_tick != self.last_tick(at)
    }

    /// Whether it is to run; else it is here because it is astray.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.tick.is_some() || self.next_run_at.is_some_and(|next| next <= now)
    }
}

/// The jobs that are due and that nobody runs, and those whose row a clock that jumped left.
pub(super) async fn due(db: &Db, owner: &str, at: Moment) -> Result<Vec<Claimable>> {
    let sql = format!(
        "SELECT name, next_run_at, tick, last_tick, fence, woken FROM jobs WHERE ({DUE}) OR ({ASTRAY}) ORDER BY name"
    );
    let values = [at.now.0.into(), at.horizon.0.into(), owner.into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, values)).await?;
    Ok(found.iter().map(|row| Claimable::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// Sets the next run of a row that is astray to what the schedule says by this node's clock, if that is earlier.
pub(super) async fn set_right(tx: &Tx, name: &str, fence: i64, next: Millis) -> Result<()> {
    let sql = "UPDATE jobs SET next_run_at = $1 WHERE name = $2 AND fence = $3 AND tick IS NULL AND owner = ''
               AND (next_run_at IS NULL OR next_run_at > $1)";
    run(tx, sql, [next.0.into(), name.into(), fence.into()]).await?;
    Ok(())
}

/// A claim to be made.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) job: &'static str,
    pub(super) owner: String,
    pub(super) tick: Millis,
    /// Whether its run was begun before. What is due next is left alone then: a wake while it ran stays due.
    pub(super) begun: bool,
    pub(super) next: Option<Millis>,
    /// The row's, before the claim.
    pub(super) fence: i64,
    pub(super) until: Millis,
}

/// Claims a job that is still as it was read. How often its tick was begun, or none when another node was faster.
pub(super) async fn claim(tx: &Tx, claim: &Claim, Moment { now, horizon }: Moment) -> Result<Option<i64>> {
    let Claim { job, owner, tick, begun, next, fence, until } = claim;
    // `owner = $3`: our own claim, whose COMMIT was not answered, has the next fence already.
    let sql = format!(
        "UPDATE jobs SET owner = $3, lease_until = $9, fence = $4 + 1, tick = $5, last_tick = $5,
         next_run_at = CASE WHEN $8 = 1 THEN next_run_at ELSE $6 END, woken = CASE WHEN $8 = 1 THEN woken ELSE 0 END
         WHERE name = $7 AND ((fence = $4 AND {DUE}) OR (fence = $4 + 1 AND owner = $3))"
    );
    let values = [
        now.0.into(),
        horizon.0.into(),
        owner.as_str().into(),
        (*fence).into(),
        tick.0.into(),
        optional(*next),
        (*job).into(),
        i64::from(*begun).into(),
        until.0.into(),
    ];
    if run(tx, &sql, values).await? == 0 {
        return Ok(None);
    }
    #[derive(FromQueryResult)]
    struct Attempts {
        attempts: i64,
    }
    let sql = "INSERT INTO job_runs (job, tick, owner, attempts, started_at) VALUES ($1, $2, $3, 1, $4)
               ON CONFLICT (job, tick) DO UPDATE SET owner = excluded.owner, attempts = job_runs.attempts + 1,
               started_at = excluded.started_at RETURNING attempts";
    let values = [(*job).into(), tick.0.into(), owner.as_str().into(), now.0.into()];
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    let written = Attempts::find_by_statement(statement).one(tx.connection()).await?;
    Ok(written.map(|row| row.attempts))
}

/// Renews a lease; false when it is lost.
pub(super) async fn renew(tx: &Tx, job: &str, fence: i64, until: Millis) -> Result<bool> {
    let sql = "UPDATE jobs SET lease_until = $1 WHERE name = $2 AND fence = $3 AND tick IS NOT NULL";
    Ok(run(tx, sql, [until.0.into(), job.into(), fence.into()]).await? == 1)
}

/// What a write of a run holds on to. The share lock conflicts with the update by which another takes over.
pub(super) fn fence(backend: DbBackend, job: &'static str, fence: i64) -> Fence {
    let sql = match backend {
        DbBackend::Postgres => "SELECT fence FROM jobs WHERE name = $1 AND fence = $2 AND tick IS NOT NULL FOR SHARE",
        _ => "SELECT fence FROM jobs WHERE name = $1 AND fence = $2 AND tick IS NOT NULL",
    };
    Fence { guard: Statement::from_sql_and_values(backend, sql, [job.into(), fence.into()]), what: job }
}

/// The outcome of a run that did its work.
pub(super) const OK: &str = "OK";

/// The end of a run.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) job: &'static str,
    pub(super) tick: Millis,
    pub(super) fence: i64,
    pub(super) outcome: &'static str,
    pub(super) detail: String,
    /// When it runs again at the latest, whatever its schedule says.
    pub(super) again: Option<Millis>,
}

/// Ends a run; false when its lease is lost.
pub(super) async fn end(tx: &Tx, end: &End, now: Millis) -> Result<bool> {
    let sql = "UPDATE jobs SET owner = '', lease_until = 0, tick = NULL,
               next_run_at = CASE WHEN $1 < next_run_at OR next_run_at IS NULL THEN $1 ELSE next_run_at END,
               woken = CASE WHEN $1 IS NULL THEN woken ELSE 1 END,
               last_success_at = coalesce($4, last_success_at)
               WHERE name = $2 AND fence = $3 AND tick IS NOT NULL";
    let success = (end.outcome == OK).then_some(now);
    if run(tx, sql, [optional(end.again), end.job.into(), end.fence.into(), optional(success)]).await? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE job_runs SET ended_at = $1, outcome = $2, detail = $3 WHERE job = $4 AND tick = $5";
    let values = [now.0.into(), end.outcome.into(), end.detail.as_str().into(), end.job.into(), end.tick.0.into()];
    Ok(run(tx, sql, values).await? == 1)
}

/// Lets go of a run that the shutdown interrupts: whoever is there next goes on with its tick.
pub(super) async fn release(tx: &Tx, job: &str, fence: i64) -> Result<()> {
    let sql = "UPDATE jobs SET owner = '', lease_until = 0 WHERE name = $1 AND fence = $2";
    run(tx, sql, [job.into(), fence.into()]).await?;
    Ok(())
}

/// Makes a job due now. False when there is no such job.
pub(crate) async fn wake(tx: &Tx, name: &str, now: Millis) -> Result<bool> {
    let sql = "UPDATE jobs SET woken = 1, next_run_at = CASE WHEN next_run_at < $1 THEN next_run_at ELSE $1 END
               WHERE name = $2";
    Ok(run(tx, sql, [now.0.into(), name.into()]).await? == 1)
}

/// Removes records of runs before a moment, the last of each job excepted. How many.
pub(super) async fn runs_prune(tx: &Tx, before: Millis, most: i64) -> Result<u64> {
    let sql = "DELETE FROM job_runs WHERE (job, tick) IN (
                   SELECT r.job, r.tick FROM job_runs r LEFT JOIN jobs j ON j.name = r.job
                   WHERE r.tick < $1 AND r.tick <> coalesce(j.last_tick, $1) LIMIT $2)";
    run(tx, sql, [before.0.into(), most.into()]).await
}

/// A job with its last run.
#[derive(Clone, Debug, FromQueryResult, serde::Serialize)]
pub(crate) struct JobState {
    pub(crate) name: String,
    pub(crate) schedule: String,
    pub(crate) next_run_at: Option<Millis>,
    /// Who runs it now; empty when nobody does.
    pub(crate) owner: String,
    pub(crate) lease_until: Millis,
    pub(crate) last_tick: Option<Millis>,
    pub(crate) last_success_at: Option<Millis>,
    pub(crate) started_at: Option<Millis>,
    pub(crate) ended_at: Option<Millis>,
    pub(crate) outcome: Option<String>,
    pub(crate) detail: Option<String>,
}

/// All jobs, by name.
pub(crate) async fn states(db: &Db) -> Result<Vec<JobState>> {
    let sql = "SELECT j.name, j.schedule, j.next_run_at, j.owner, j.lease_until, j.last_tick, j.last_success_at, r.started_at, r.ended_at,
               r.outcome, r.detail FROM jobs j LEFT JOIN job_runs r ON r.job = j.name AND r.tick = j.last_tick
               ORDER BY j.name";
    let found = db.query(Statement::from_string(db.backend(), sql)).await?;
    Ok(found.iter().map(|row| JobState::from_query_result(row, "")).collect::<Result<_, _>>()?)
}
