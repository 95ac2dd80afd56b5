//! The statements of the list of nodes.

use sea_orm::{FromQueryResult, Statement, Value};

use super::Node;
use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::Result;

async fn run(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected())
}

/// Writes a sign of life. Who listens on the same address of the same host was there before: it has died.
pub(super) async fn beat(tx: &Tx, node: &Node, now: Millis) -> Result<()> {
    let sql = "DELETE FROM nodes WHERE host = $1 AND listen = $2 AND id <> $3";
    run(tx, sql, [node.host.as_str().into(), node.listen.clone().into(), node.id.as_str().into()]).await?;
    let sql = "INSERT INTO nodes (id, host, version, role, works, listen, beat_secs, started_at, seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
    let values = [
        node.id.as_str().into(),
        node.host.as_str().into(),
        env!("CARGO_PKG_VERSION").into(),
        node.role.into(),
        i16::from(node.works).into(),
        node.listen.clone().into(),
        node.beat_secs.into(),
        node.started_at.0.into(),
        now.0.into(),
    ];
    run(tx, sql, values).await?;
    Ok(())
}

/// Takes a node off the list.
pub(super) async fn leave(tx: &Tx, id: &str) -> Result<()> {
    run(tx, "DELETE FROM nodes WHERE id = $1", [id.into()]).await?;
    Ok(())
}

/// Removes nodes that were last seen before a moment. How many.
pub(super) async fn prune(tx: &Tx, before: Millis) -> Result<u64> {
    run(tx, "DELETE FROM nodes WHERE seen_at < $1", [before.0.into()]).await
}

/// Empties the list: that of a restored backup is of another time.
pub(crate) async fn clear(tx: &Tx) -> Result<()> {
    run(tx, "DELETE FROM nodes", []).await?;
    Ok(())
}

/// A node.
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct NodeState {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) role: String,
    /// Whether it delivers events and runs jobs: 0 or 1.
    pub(crate) works: i16,
    /// Where a server listens.
    pub(crate) listen: Option<String>,
    /// Seconds between two signs of life.
    pub(crate) beat_secs: i64,
    pub(crate) started_at: Millis,
    pub(crate) seen_at: Millis,
}

/// All nodes, those that have been there longest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<NodeState>> {
    let sql = "SELECT id, version, role, works, listen, beat_secs, started_at, seen_at FROM nodes
               ORDER BY started_at, id";
    let found = db.query(Statement::from_string(db.backend(), sql)).await?;
    Ok(found.iter().map(|row| NodeState::from_query_result(row, "")).collect::<Result<_, _>>()?)
}
