//! What rules there were, and from when on.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::modules::points::rules::Wording;

const VERSION: &str = "SELECT from_at, rules, contents, time_zone FROM point_rule_versions";

fn version(row: &QueryResult) -> Result<(Millis, Wording), DbErr> {
    let text = |name| row.try_get::<String>("", name);
    let wording = Wording { rules: text("rules")?, contents: text("contents")?, time_zone: text("time_zone")? };
    Ok((Millis(row.try_get("", "from_at")?), wording))
}

/// All of them, oldest first: one a change of settings.
pub(in super::super) async fn version_all(tx: &Tx) -> Result<Vec<(Millis, Wording)>> {
    let statement = Statement::from_string(tx.backend(), format!("{VERSION} ORDER BY from_at"));
    let found = tx.connection().query_all_raw(statement).await?;
    Ok(found.iter().map(version).collect::<Result<_, _>>()?)
}

/// The newest.
pub(in super::super) async fn version_last(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
) -> Result<Option<(Millis, Wording)>> {
    let statement = Statement::from_string(backend, format!("{VERSION} ORDER BY from_at DESC LIMIT 1"));
    let found = connection.query_one_raw(statement).await?;
    Ok(found.as_ref().map(version).transpose()?)
}

/// Removes those that are from later on; how many.
pub(in super::super) async fn versions_remove_after(tx: &Tx, latest: Millis) -> Result<u64> {
    let text = "DELETE FROM point_rule_versions WHERE from_at > $1";
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, [latest.0.into()])).await?.rows_affected())
}

/// Adds one. Of two servers that add one from the same moment on, the second is refused, and looks again.
pub(in super::super) async fn version_insert(tx: &Tx, from: Millis, wording: &Wording) -> Result<()> {
    let text = "INSERT INTO point_rule_versions (from_at, rules, contents, time_zone) VALUES ($1, $2, $3, $4)";
    let Wording { rules, contents, time_zone } = wording.clone();
    let values: [Value; 4] = [from.0.into(), rules.into(), contents.into(), time_zone.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    Ok(())
}
