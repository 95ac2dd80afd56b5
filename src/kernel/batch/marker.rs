//! Markers: a row a batch, by which a retry after a COMMIT of unknown outcome learns whether it passed.

use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::first_at;

/// A marker is only looked for by the process that wrote it, within its retries: ten minutes are ample.
const LIFE_MS: i64 = 600_000;

/// Writes a marker; no row is written where it is there already.
pub(super) fn insert(backend: DbBackend, marker: Uuid, now: Millis) -> Statement {
    Statement::from_sql_and_values(
        backend,
        "INSERT INTO batches (id, committed_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        [marker.into(), now.0.into()],
    )
}

/// Removes markers that nobody looks for any more, so many that it does not take long. How many.
///
/// # Errors
/// The database's own.
pub(crate) async fn markers_prune(tx: &Tx, now: Millis) -> Result<u64> {
    // The ids begin with their time: a range of the primary key.
    let before = first_at(now.plus(-LIFE_MS));
    let sql = "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE id < $1 LIMIT 5000)";
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, [before.into()])).await?.rows_affected())
}

/// The same, by the writer on its way: it must not fail of that.
pub(super) async fn prune(db: &Db, now: Millis) {
    if let Err(error) = db.write(move |tx| Box::pin(markers_prune(tx, now))).await {
        tracing::warn!(error = error.for_operator(), "old batch markers stay for now");
    }
}
