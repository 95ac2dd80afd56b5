//! The facts behind a figure of one content, a page of a kind at a time.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;

/// Facts of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Of {
    Likes,
    Favorites,
    Comments,
    Shares,
    /// Views by the hour: rows of viewers and what they were summed up into.
    Hours,
}

/// A fact, and where it stands among those of its kind: by id, or by hour.
pub(in super::super) struct FactRow {
    pub(in super::super) place: i64,
    pub(in super::super) id: Uuid,
    pub(in super::super) at: Millis,
    pub(in super::super) count: i64,
}

impl Of {
    /// Place, id, moment and count of each; of hours, `{from}` is where a condition on them belongs, so that the hours of
    /// other pages are not counted.
    fn text(self) -> &'static str {
        match self {
            Self::Likes => {
                "SELECT CAST(0 AS bigint) AS place, user_id AS id, acted_at AS at, CAST(1 AS bigint) AS count FROM behaviors
                 WHERE lane = $1 AND content_id = $2 AND kind = 0 AND removed_at IS NULL"
            }
            Self::Favorites => {
                "SELECT CAST(0 AS bigint) AS place, user_id AS id, acted_at AS at, CAST(1 AS bigint) AS count FROM behaviors
                 WHERE lane = $1 AND content_id = $2 AND kind = 1 AND removed_at IS NULL"
            }
            Self::Comments => {
                "SELECT CAST(0 AS bigint) AS place, id, commented_at AS at, CAST(1 AS bigint) AS count FROM comments
                 WHERE lane = $1 AND content_id = $2 AND deleted_at IS NULL"
            }
            Self::Shares => {
                "SELECT CAST(0 AS bigint) AS place, id, shared_at AS at, CAST(1 AS bigint) AS count FROM shares
                 WHERE lane = $1 AND content_id = $2"
            }
            Self::Hours => {
                "SELECT hour AS place, $2 AS id, hour AS at, CAST(sum(count) AS bigint) AS count FROM (
                 SELECT hour, count(*) AS count FROM content_views WHERE lane = $1 AND content_id = $2 {from} GROUP BY hour
                 UNION ALL SELECT hour, count FROM content_view_hours WHERE lane = $1 AND content_id = $2 {from}) h
                 GROUP BY hour"
            }
        }
    }

    /// What they are in the order of.
    fn by_hour(self) -> bool {
        self == Self::Hours
    }
}

/// At most `size` facts of a content that come after a place, in the direction of reading.
pub(in super::super) async fn fact_page(
    reads: &DatabaseTransaction,
    of: Of,
    content: Key,
    after: Option<(i64, Uuid)>,
    backward: bool,
    size: usize,
) -> Result<Vec<FactRow>> {
    let (side, direction) = if backward { ("<", "DESC") } else { (">", "ASC") };
    let column = if of.by_hour() { "place" } else { "id" };
    let mut values: Vec<Value> =
        vec![content.0.into(), content.1.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let (mut hours, mut ids) = (String::new(), String::new());
    if let Some((place, id)) = after {
        if of.by_hour() {
            hours = format!("AND hour {side} $4");
            values.push(place.into());
        } else {
            ids = format!("WHERE id {side} $4");
            values.push(id.into());
        }
    }
    let facts = of.text().replace("{from}", &hours);
    let text = format!("SELECT * FROM ({facts}) t {ids} ORDER BY {column} {direction} LIMIT $3");
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, values);
    let row = |row: &QueryResult| {
        Ok(FactRow {
            place: row.try_get("", "place")?,
            id: row.try_get("", "id")?,
            at: row.try_get("", "at")?,
            count: row.try_get("", "count")?,
        })
    };
    Ok(reads.query_all_raw(statement).await?.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// How many facts of a kind a content has.
pub(in super::super) async fn fact_count(reads: &DatabaseTransaction, of: Of, content: Key) -> Result<i64> {
    let text = format!("SELECT count(*) AS n FROM ({}) t", of.text().replace("{from}", ""));
    let statement =
        Statement::from_sql_and_values(reads.get_database_backend(), text, [content.0.into(), content.1.into()]);
    let found = reads.query_one_raw(statement).await?;
    Ok(found.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}
