//! Markers: a row a batch, by which a retry after a COMMIT of unknown outcome learns whether it passed.

use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Db;

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

/// Removes markers that nobody looks for any more.
pub(super) async fn prune(db: &Db, now: Millis) {
    // The ids begin with their time: a range of the primary key.
    let before = uuid_at(now.plus(-LIFE_MS));
    let pruned = db
        .write(|tx| {
            let sql = "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE id < $1 LIMIT 5000)";
            let delete = Statement::from_sql_and_values(tx.backend(), sql, [before.into()]);
            Box::pin(tx.execute(delete))
        })
        .await;
    if let Err(error) = pruned {
        tracing::warn!(error = error.for_operator(), "old batch markers stay for now");
    }
}

/// The smallest UUIDv7 of a moment.
fn uuid_at(at: Millis) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &[0; 10]).into_uuid()
}
