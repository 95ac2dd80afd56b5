//! What the timer reads.

use sea_orm::{DbErr, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Db;
use crate::kernel::error::Result;

/// A content whose announced level ends at a moment.
pub(in super::super) type Due = (Millis, Uuid);

/// Those whose level ends by `until`, the earliest first, from after `after`: a range of an index.
pub(in super::super) async fn content_due(db: &Db, until: Millis, after: Due, size: usize) -> Result<Vec<Due>> {
    let text = "SELECT wake_at, content_id FROM content_figures
         WHERE wake_at <= $1 AND (wake_at, content_id) > ($2, $3) ORDER BY wake_at, content_id LIMIT $4";
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let values: [Value; 4] = [until.0.into(), after.0.0.into(), after.1.into(), size.into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    let due = found.iter().map(|row| Ok((row.try_get("", "wake_at")?, row.try_get("", "content_id")?)));
    Ok(due.collect::<Result<_, DbErr>>()?)
}
