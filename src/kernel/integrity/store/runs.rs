//! Runs, and what each check found last.

use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::super::{CheckLine, Kind, Report, State};
use super::{read, run, select};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::{Error, Result};

/// A run, as its row has it.
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct RunRow {
    pub(crate) id: Uuid,
    kind: String,
    state: String,
    dry_run: i16,
    pub(crate) scope: String,
    pub(crate) started_by: String,
    pub(crate) began_at: Millis,
    pub(crate) ended_at: Option<Millis>,
    alive_until: Millis,
    pub(crate) undoes: Option<Uuid>,
    pub(crate) undone_by: Option<Uuid>,
    /// How many changes are recorded.
    pub(crate) changes: i64,
}

impl RunRow {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of_word(&self.kind).unwrap_or(Kind::Check)
    }

    /// A run whose process is gone is interrupted, though nobody could write so.
    pub(crate) fn state(&self, now: Millis) -> State {
        match State::of_word(&self.state).unwrap_or(State::Unknown) {
            State::Running if self.alive_until < now => State::Interrupted,
            state => state,
        }
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.dry_run != 0
    }
}

const ROW: &str =
    "SELECT r.id, r.kind, r.state, r.dry_run, r.scope, r.started_by, r.began_at, r.ended_at, r.alive_until,
                   r.undoes, r.undone_by,
                   (SELECT count(*) FROM integrity_changes c WHERE c.run = r.id) AS changes FROM integrity_runs r";

/// Writes down that a run begins.
pub(in super::super) async fn run_begin(tx: &Tx, report: &Report, until: Millis) -> Result<()> {
    let sql = "INSERT INTO integrity_runs (id, kind, state, dry_run, scope, started_by, began_at, alive_until, undoes,
               report) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}') ON CONFLICT (id) DO NOTHING";
    let values = [
        report.id.uuid().into(),
        report.kind.word().into(),
        State::Running.word().into(),
        i16::from(report.dry_run).into(),
        report.scope.as_str().into(),
        report.started_by.as_str().into(),
        report.began_at.0.into(),
        until.0.into(),
        report.undoes.map(|run| run.uuid()).into(),
    ];
    run(tx, sql, values).await?;
    if report.kind != Kind::Check && !report.dry_run {
        let sql = "INSERT INTO integrity_untold (run) VALUES ($1) ON CONFLICT (run) DO NOTHING";
        run(tx, sql, [report.id.uuid().into()]).await?;
    }
    Ok(())
}

/// Repairs, and what undoes them, of which somebody has yet to hear, oldest first: their process is gone, or could not
/// tell. One whose process may still be alive is left out, unless it is by `gone`, who is known to be gone.
pub(in super::super) async fn runs_untold(db: &Db, now: Millis, gone: Option<&str>) -> Result<Vec<RunRow>> {
    let sql = format!(
        "{ROW} JOIN integrity_untold t ON t.run = r.id
         WHERE r.ended_at IS NOT NULL OR r.alive_until < $1 OR (r.kind = 'REPAIR' AND r.started_by = $2)
         ORDER BY r.began_at, r.id"
    );
    read(db, &sql, [now.0.into(), gone.unwrap_or_default().into()]).await
}

/// Writes down that everybody has heard of a run.
pub(in super::super) async fn run_told(tx: &Tx, id: Uuid) -> Result<()> {
    run(tx, "DELETE FROM integrity_untold WHERE run = $1", [id.into()]).await?;
    Ok(())
}

/// Says that a run goes on.
pub(in super::super) async fn run_alive(tx: &Tx, id: Uuid, until: Millis) -> Result<()> {
    let sql = "UPDATE integrity_runs SET alive_until = $1 WHERE id = $2 AND ended_at IS NULL";
    run(tx, sql, [until.0.into(), id.into()]).await?;
    Ok(())
}

/// Writes down how a run ended.
pub(in super::super) async fn run_end(tx: &Tx, report: &Report) -> Result<()> {
    let sql = "UPDATE integrity_runs SET state = $1, ended_at = $2, report = $3 WHERE id = $4";
    let text = serde_json::to_string(report).map_err(Error::internal)?;
    let ended: Value = report.ended_at.map(|at| at.0).into();
    run(tx, sql, [report.state.word().into(), ended, text.into(), report.id.uuid().into()]).await?;
    Ok(())
}

/// Whether the run before this one by the same hand, for the same, failed.
pub(in super::super) async fn is_after_failure(db: &Db, report: &Report) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Ended {
        state: String,
    }
    let sql = "SELECT state FROM integrity_runs WHERE began_at <= $1 AND id <> $2 AND kind = $3 AND started_by = $4
               AND scope = $5 ORDER BY began_at DESC, id DESC LIMIT 1";
    let values = [
        report.began_at.0.into(),
        report.id.uuid().into(),
        report.kind.word().into(),
        report.started_by.as_str().into(),
        report.scope.as_str().into(),
    ];
    let last: Vec<Ended> = read(db, sql, values).await?;
    Ok(last.first().is_some_and(|run| run.state == State::Failed.word()))
}

/// The newest runs.
pub(crate) async fn runs_page(db: &Db, most: i64) -> Result<Vec<RunRow>> {
    read(db, &format!("{ROW} ORDER BY r.began_at DESC, r.id DESC LIMIT $1"), [most.into()]).await
}

/// A run.
pub(in super::super) async fn run_by_id(db: &Db, id: Uuid) -> Result<Option<RunRow>> {
    Ok(read(db, &format!("{ROW} WHERE r.id = $1"), [id.into()]).await?.pop())
}

/// Whether a repair, or what undoes one, goes on somewhere.
pub(in super::super) async fn repairs_alive(db: &Db, now: Millis) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Alive {
        id: Uuid,
    }
    let sql = "SELECT id FROM integrity_runs WHERE began_at > $1 AND ended_at IS NULL AND alive_until >= $2
               AND kind <> 'CHECK' AND dry_run = 0 LIMIT 1";
    // Nobody repairs for longer than a month; the index ends there.
    let since = now.plus(-30 * Millis::DAY);
    let alive: Vec<Alive> = read(db, sql, [since.0.into(), now.0.into()]).await?;
    Ok(alive.iter().any(|run| !run.id.is_nil()))
}

/// Takes a repair to be undone: it is so once. One whose undo was interrupted is taken again, and goes on. Which undo has
/// it, when it is not to be had.
pub(in super::super) async fn run_claim_undo(tx: &Tx, of: Uuid, by: Uuid, now: Millis) -> Result<Option<Uuid>> {
    let sql = "UPDATE integrity_runs SET undone_by = $1 WHERE id = $2 AND (undone_by IS NULL OR undone_by = $1
               OR undone_by IN (SELECT u.id FROM integrity_runs u WHERE u.state IN ('FAILED', 'INTERRUPTED')
                                OR (u.ended_at IS NULL AND u.alive_until < $3)))";
    if run(tx, sql, [by.into(), of.into(), now.0.into()]).await? == 1 {
        return Ok(None);
    }
    #[derive(FromQueryResult)]
    struct Taken {
        undone_by: Option<Uuid>,
    }
    let sql = "SELECT undone_by FROM integrity_runs WHERE id = $1";
    let taken: Vec<Taken> = select(tx, sql, [of.into()]).await?;
    // Gone by retention: it cannot be undone either.
    Ok(Some(taken.first().and_then(|taken| taken.undone_by).unwrap_or_default()))
}

/// Keeps what a check of everything found, unless a later run has found something since. Of two that began in one
/// millisecond, what was looked at last: ids of one millisecond are in no order.
pub(in super::super) async fn result_put(tx: &Tx, line: &CheckLine, of: Uuid, began: Millis) -> Result<()> {
    let sql = "INSERT INTO integrity_results (module, check_name, run, ran_at, checked, drifted, line)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (module, check_name) DO UPDATE SET run = excluded.run,
               ran_at = excluded.ran_at, checked = excluded.checked, drifted = excluded.drifted, line = excluded.line
               WHERE integrity_results.ran_at <= excluded.ran_at";
    let number = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let text = serde_json::to_string(line).map_err(Error::internal)?;
    let values = [
        line.module.as_str().into(),
        line.name.as_str().into(),
        of.into(),
        began.0.into(),
        number(line.checked),
        number(line.drifted),
        text.into(),
    ];
    run(tx, sql, values).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Found {
    ran_at: Millis,
    line: String,
}

/// What each check found last, and when that run began.
pub(crate) async fn results(db: &Db) -> Result<Vec<(Millis, CheckLine)>> {
    let found: Vec<Found> =
        read(db, "SELECT ran_at, line FROM integrity_results ORDER BY module, check_name", []).await?;
    found.into_iter().map(|row| Ok((row.ran_at, line(&row.line)?))).collect()
}

/// What was found by runs that began at a moment or later.
pub(in super::super) async fn results_since(db: &Db, since: Millis) -> Result<Vec<CheckLine>> {
    let found = results(db).await?;
    Ok(found.into_iter().filter(|(ran_at, _)| *ran_at >= since).map(|(_, line)| line).collect())
}

fn line(text: &str) -> Result<CheckLine> {
    serde_json::from_str(text).map_err(Error::internal)
}

/// The last run of everything of each kind that ended by itself: kind, end, how long it took in milliseconds.
pub(crate) async fn last_runs(db: &Db) -> Result<Vec<(Kind, Millis, i64)>> {
    #[derive(FromQueryResult)]
    struct Row {
        began_at: Millis,
        ended_at: Millis,
    }
    let sql = "SELECT began_at, ended_at FROM integrity_runs WHERE kind = $1 AND scope = '' AND dry_run = 0
               AND state IN ('OK', 'DRIFT') ORDER BY began_at DESC, id DESC LIMIT 1";
    let mut last = Vec::new();
    for kind in [Kind::Check, Kind::Repair] {
        let found: Vec<Row> = read(db, sql, [kind.word().into()]).await?;
        last.extend(found.iter().map(|row| (kind, row.ended_at, row.ended_at.0 - row.began_at.0)));
    }
    Ok(last)
}

/// Removes runs that began before a moment, their changes first. How many rows went; 0 when there are no more.
pub(crate) async fn runs_prune(tx: &Tx, before: Millis, most: i64) -> Result<u64> {
    let sql = "DELETE FROM integrity_changes WHERE (run, number) IN (
                   SELECT c.run, c.number FROM integrity_changes c JOIN integrity_runs r ON r.id = c.run
                   WHERE r.began_at < $1 LIMIT $2)";
    let gone = run(tx, sql, [before.0.into(), most.into()]).await?;
    if gone > 0 {
        return Ok(gone);
    }
    let sql = "DELETE FROM integrity_untold WHERE run IN (SELECT id FROM integrity_runs WHERE began_at < $1)";
    run(tx, sql, [before.0.into()]).await?;
    let sql = "DELETE FROM integrity_runs WHERE id IN (SELECT id FROM integrity_runs WHERE began_at < $1 LIMIT $2)";
    run(tx, sql, [before.0.into(), most.into()]).await
}
