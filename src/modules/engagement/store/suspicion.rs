//! Findings of suspicious activity.

use std::sync::LazyLock;

use sea_orm::{FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::deletions;
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::page::Page;

/// `actor_kind` of a user.
pub(in super::super) const USER: i16 = 0;
/// `actor_kind` of an address.
pub(in super::super) const ADDRESS: i16 = 1;

/// Too much of one actor in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(in super::super) struct Finding {
    pub(in super::super) id: Uuid,
    pub(in super::super) actor_kind: i16,
    /// A user's id, or what stands for an address.
    pub(in super::super) actor: Uuid,
    pub(in super::super) actions: i64,
    pub(in super::super) since_at: Millis,
    pub(in super::super) until_at: Millis,
}

const COLUMNS: &str = "id, actor_kind, actor, actions, since_at, until_at";

/// Writes findings as they are now; none of a user who was deleted meanwhile.
pub(in super::super) async fn finding_put(tx: &Tx, findings: &[Finding]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!(
                "INSERT INTO suspicious_activity ({COLUMNS}) SELECT {COLUMNS} FROM {{rows}} WHERE true
                 ON CONFLICT (id) DO UPDATE SET actions = excluded.actions, until_at = excluded.until_at"
            ),
            &[
                ("id", Col::Id),
                ("actor_kind", Col::Small),
                ("actor", Col::Id),
                ("actions", Col::Int),
                ("since_at", Col::Int),
                ("until_at", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for finding in findings {
        rows.push([
            finding.id.into(),
            finding.actor_kind.into(),
            finding.actor.into(),
            finding.actions.into(),
            finding.since_at.0.into(),
            finding.until_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await?;
    // After the write: from then on the end of a deletion waits for this transaction.
    let users = findings.iter().filter(|finding| finding.actor_kind == USER).map(|finding| finding.actor).collect();
    for user in deletions::deleted_among(tx, &users).await? {
        let text = "DELETE FROM suspicious_activity WHERE actor = $1";
        tx.execute(Statement::from_sql_and_values(tx.backend(), text, [user.into()])).await?;
    }
    Ok(())
}

/// Removes at most `size` findings that began before a moment. How many went.
pub(in super::super) async fn finding_prune(tx: &Tx, before: Millis, size: usize) -> Result<u64> {
    let text = "DELETE FROM suspicious_activity WHERE id IN
         (SELECT id FROM suspicious_activity WHERE since_at < $1 ORDER BY since_at, id LIMIT $2)";
    let values: [Value; 2] = [before.0.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected())
}

/// One finding more than the page holds, the newest first when it is read forward.
pub(in super::super) async fn finding_page(db: &Db, page: &Page) -> Result<Vec<Finding>> {
    let mut text = format!("SELECT {COLUMNS} FROM suspicious_activity WHERE true");
    let mut values: Vec<Value> = Vec::new();
    let (further, back, direction) = if page.backward { (">", "<", "ASC") } else { ("<", ">", "DESC") };
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.value.unwrap_or(i64::MIN).into());
            values.push(cursor.id.into());
            text.push_str(&format!(" AND (since_at, id) {side} (${}, ${})", values.len() - 1, values.len()));
        }
    }
    values.push(i64::try_from(page.size + 1).unwrap_or(i64::MAX).into());
    text.push_str(&format!(" ORDER BY since_at {direction}, id {direction} LIMIT ${}", values.len()));
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(found.iter().map(|row| Finding::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// How many findings there are.
pub(in super::super) async fn finding_count(db: &Db) -> Result<i64> {
    let text = "SELECT count(*) AS n FROM suspicious_activity";
    let rows = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(rows.first().map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}
