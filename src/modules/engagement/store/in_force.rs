//! Which version of the settings is in force, which one is being made, and how far that is.
//!
//! Locks, in this order everywhere: `heat_in_force`, `heat_recalculation`, then the contents.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::{Code, Error, Result, Retry};

/// The row of `heat_in_force`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(in super::super) struct InForce {
    /// What `content_figures` and `content_heat` are made with.
    pub(in super::super) version: i64,
    /// What `content_figures_next` and `content_heat_next` are being made with, while a recalculation is under way.
    pub(in super::super) next_version: Option<i64>,
    /// Raised when figures changed behind the back of the servers' rank indexes.
    pub(in super::super) generation: i64,
}

/// The row of `heat_recalculation`: the last one, under way or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(in super::super) struct Progress {
    /// Which version it makes.
    pub(in super::super) version: i64,
    /// Contents up to this key are done.
    pub(in super::super) done_lane: i16,
    /// Contents up to this key are done.
    pub(in super::super) done_id: Uuid,
    /// Contents that are done.
    pub(in super::super) succeeded: i64,
    /// Contents that could not be done.
    pub(in super::super) failed: i64,
    /// When it began.
    pub(in super::super) started_at: Millis,
    /// When its version came into force.
    pub(in super::super) switched_at: Option<Millis>,
}

/// How a row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lock {
    /// Not at all.
    None,
    /// It stays as it is until the transaction ends.
    Share,
    /// Nobody else locks it until the transaction ends.
    Own,
}

impl Lock {
    /// SQLite has one writer, which holds the whole database.
    fn clause(self, backend: DbBackend) -> &'static str {
        match (backend, self) {
            (DbBackend::Postgres, Self::Share) => " FOR SHARE",
            (DbBackend::Postgres, Self::Own) => " FOR UPDATE",
            _ => "",
        }
    }
}

async fn row<T: FromQueryResult>(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    select: &str,
    lock: Lock,
) -> Result<Option<T>> {
    let text = format!("{select} WHERE one = 1{}", lock.clause(backend));
    let found: Vec<QueryResult> = connection.query_all_raw(Statement::from_string(backend, text)).await?;
    Ok(found.first().map(|row| T::from_query_result(row, "")).transpose()?)
}

/// What is in force; `None` before the first start.
pub(in super::super) async fn in_force(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    lock: Lock,
) -> Result<Option<InForce>> {
    row(connection, backend, "SELECT version, next_version, generation FROM heat_in_force", lock).await
}

/// The last recalculation.
pub(in super::super) async fn progress(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    lock: Lock,
) -> Result<Option<Progress>> {
    let select =
        "SELECT version, done_lane, done_id, succeeded, failed, started_at, switched_at FROM heat_recalculation";
    row(connection, backend, select, lock).await
}

async fn write_one(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<()> {
    let written = tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected();
    if written == 1 { Ok(()) } else { Err(Error::internal(format!("{written} rows written instead of 1: {text}"))) }
}

/// The first version, at the first start.
pub(in super::super) async fn in_force_insert(tx: &Tx, version: i64) -> Result<()> {
    let text = "INSERT INTO heat_in_force (one, version, generation) VALUES (1, $1, 0)";
    write_one(tx, text, [version.into()]).await
}

/// Writes a locked row.
pub(in super::super) async fn in_force_update(tx: &Tx, state: &InForce) -> Result<()> {
    let text = "UPDATE heat_in_force SET version = $1, next_version = $2, generation = $3 WHERE one = 1";
    write_one(tx, text, [state.version.into(), state.next_version.into(), state.generation.into()]).await
}

/// Tells the servers that figures changed behind the back of their rank indexes: each reads its own anew.
pub(in super::super) async fn generation_raise(tx: &Tx) -> Result<()> {
    write_one(tx, "UPDATE heat_in_force SET generation = generation + 1 WHERE one = 1", []).await
}

/// Writes how far it is.
pub(in super::super) async fn progress_put(tx: &Tx, progress: &Progress) -> Result<()> {
    let text = "INSERT INTO heat_recalculation
             (one, version, done_lane, done_id, succeeded, failed, started_at, switched_at)
         VALUES (1, $1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (one) DO UPDATE SET version = excluded.version, done_lane = excluded.done_lane,
             done_id = excluded.done_id, succeeded = excluded.succeeded, failed = excluded.failed,
             started_at = excluded.started_at, switched_at = excluded.switched_at";
    let values: [Value; 7] = [
        progress.version.into(),
        progress.done_lane.into(),
        progress.done_id.into(),
        progress.succeeded.into(),
        progress.failed.into(),
        progress.started_at.0.into(),
        progress.switched_at.map(|at| at.0).into(),
    ];
    write_one(tx, text, values).await
}

/// Notes the thresholds of a version that was stored without them.
pub(in super::super) async fn thresholds_update(tx: &Tx, version: i64, thresholds: [f64; 3]) -> Result<()> {
    let text = "UPDATE heat_settings SET warm_from = $2, hot_from = $3, blazing_from = $4 WHERE version = $1";
    let [warm, hot, blazing] = thresholds;
    write_one(tx, text, [version.into(), warm.into(), hot.into(), blazing.into()]).await
}

/// Swaps the tables that were made with those in force. On PostgreSQL it waits for whoever is in the middle of something,
/// half a second at most, because behind it everybody else waits as well; then it fails, and is not to be tried again at
/// once.
pub(in super::super) async fn swap(tx: &Tx) -> Result<()> {
    let connection = tx.connection();
    if tx.backend() == DbBackend::Postgres {
        connection.execute_unprepared("SET LOCAL lock_timeout = '500ms'").await?;
        let tables = "content_figures, content_figures_next, content_heat, content_heat_next";
        let locked = connection.execute_unprepared(&format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")).await;
        locked.map_err(|error| {
            let error = Error::from(error);
            // The kernel would try again within milliseconds: five times half a second in a row.
            if error.retry() == Retry::Soon { in_use(&error) } else { error }
        })?;
    }
    for table in ["content_figures", "content_heat"] {
        for (from, to) in [("", "_old"), ("_next", ""), ("_old", "_next")] {
            connection.execute_unprepared(&format!("ALTER TABLE {table}{from} RENAME TO {table}{to}")).await?;
        }
    }
    Ok(())
}

/// Of a swap that somebody is in the way of.
pub(in super::super) const TABLES_IN_USE: Code = Code("TABLES_IN_USE");

fn in_use(cause: &Error) -> Error {
    Error::new(TABLES_IN_USE, "somebody holds on to the tables").caused_by(cause.for_operator())
}

/// Nobody says which settings the figures are made with.
pub(in super::super) fn nothing_in_force() -> Error {
    Error::new(Code::INTERNAL, "the table heat_in_force is empty: which settings are in force is lost").caused_by(
        "take it from a backup; or INSERT INTO heat_in_force (one, version, generation) VALUES (1, VERSION, 0), with the \
         heat_version that content_figures has, then run `tally check`",
    )
}

/// A version of the settings is named, and is nowhere.
pub(in super::super) fn not_stored(version: i64) -> Error {
    Error::new(Code::INTERNAL, format!("settings of version {version} are not in the table heat_settings")).caused_by(
        "heat_in_force.version, heat_in_force.next_version or content_view_epochs.heat_version names them: put back the \
         row of heat_settings from a backup; or set heat_in_force.version to the heat_version that content_figures has",
    )
}
