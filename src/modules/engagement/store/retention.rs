//! Statements of what is kept for a time only: tombstones, and rows of hot history.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::figures_lock;
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::first_at;
use crate::modules::engagement::content::key;

/// The first rows that a statement finds of before `before`. Their contents' figures are locked then, as every writer of
/// them does first; what was done again meanwhile the statement that removes sees.
async fn oldest(tx: &Tx, text: &str, before: Millis, size: usize) -> Result<Vec<QueryResult>> {
    let values: [Value; 2] = [before.0.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = tx.connection().query_all_raw(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    let contents = found.iter().map(|row| row.try_get("", "content_id")).collect::<Result<Vec<Uuid>, DbErr>>()?;
    let mut keys: Vec<_> = contents.into_iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    figures_lock(tx, &keys.into_iter().map(|(_, id)| id).collect::<Vec<_>>()).await?;
    Ok(found)
}

/// Removes at most `size` tombstones of likes and favorites that were taken back before `before`: how many were found. Those
/// of imported ones stay, because their source tells of them again whenever it is imported again.
pub(in super::super) async fn behavior_prune(tx: &Tx, before: Millis, size: usize) -> Result<usize> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "DELETE FROM behaviors WHERE (lane, content_id, user_id, kind) IN
             (SELECT o.lane, o.content_id, o.user_id, o.kind FROM {rows} {cross} behaviors o
              ON o.lane = r.lane AND o.content_id = r.content_id AND o.user_id = r.user_id AND o.kind = r.kind
              AND o.removed_at < {1} AND o.imported = 0)",
            &[("lane", Col::Small), ("content_id", Col::Id), ("user_id", Col::Id), ("kind", Col::Small)],
        )
    });
    let text = "SELECT content_id, user_id, kind FROM behaviors
         WHERE removed_at IS NOT NULL AND imported = 0 AND removed_at < $1 ORDER BY removed_at LIMIT $2";
    let found = oldest(tx, text, before, size).await?;
    let mut rows = SQL.rows();
    for row in &found {
        let (lane, content) = key(row.try_get("", "content_id")?);
        let (user, kind): (Uuid, i16) = (row.try_get("", "user_id")?, row.try_get("", "kind")?);
        rows.push([lane.into(), content.into(), user.into(), kind.into()]);
    }
    tx.execute(SQL.bind(tx.backend(), rows, [before.0.into()])).await?;
    Ok(found.len())
}

/// The same, of comments that were deleted before `before`.
pub(in super::super) async fn comment_prune(tx: &Tx, before: Millis, size: usize) -> Result<usize> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "DELETE FROM comments WHERE (lane, content_id, id) IN
             (SELECT o.lane, o.content_id, o.id FROM {rows} {cross} comments o
              ON o.lane = r.lane AND o.content_id = r.content_id AND o.id = r.id AND o.deleted_at < {1})",
            &[("lane", Col::Small), ("content_id", Col::Id), ("id", Col::Id)],
        )
    });
    let text = "SELECT content_id, id FROM comments
         WHERE deleted_at IS NOT NULL AND deleted_at < $1 ORDER BY deleted_at LIMIT $2";
    let found = oldest(tx, text, before, size).await?;
    let mut rows = SQL.rows();
    for row in &found {
        let (lane, content) = key(row.try_get("", "content_id")?);
        rows.push([lane.into(), content.into(), row.try_get::<Uuid>("", "id")?.into()]);
    }
    tx.execute(SQL.bind(tx.backend(), rows, [before.0.into()])).await?;
    Ok(found.len())
}

/// A content with old rows of history, and the id before which its rows may go.
pub(in super::super) type OldHistory = (Uuid, Uuid);

/// Of the next `size` contents that have any history, in key order after `after`: those with a row of before `before`
/// that is not their newest. Returns them, and the last key that was looked at, unless there are no more.
pub(in super::super) async fn history_old(
    db: &Db,
    after: (i16, Uuid),
    before: Millis,
    size: usize,
) -> Result<(Vec<OldHistory>, Option<(i16, Uuid)>)> {
    let limit = i64::try_from(size).unwrap_or(i64::MAX);
    let values: [Value; 4] = [after.0.into(), after.1.into(), Uuid::max().into(), limit.into()];
    let found = db.query_by_key(Statement::from_sql_and_values(db.backend(), history_old_text(), values)).await?;
    let (mut old, mut last) = (Vec::new(), None);
    for row in &found {
        let key: (i16, Uuid) = (row.try_get("", "lane")?, row.try_get("", "content_id")?);
        let (oldest, newest): (Uuid, Uuid) = (row.try_get("", "oldest")?, row.try_get("", "newest")?);
        // The ids begin with their moment, and only newer ones come.
        let until = newest.min(first_at(before));
        if oldest < until {
            old.push((key.1, until));
        }
        last = Some(key);
    }
    Ok((old, last.filter(|_| found.len() == size)))
}

/// A loose index scan, as that of roll-ups: two seeks a content, however much history it has.
fn history_old_text() -> String {
    let next = |after: &str, column: &str| {
        format!(
            "(SELECT t.{column} FROM hot_history t WHERE (t.lane, t.content_id, t.id) > ({after}, $3)
              ORDER BY t.lane, t.content_id, t.id LIMIT 1)"
        )
    };
    let end = |order: &str| {
        format!(
            "(SELECT t.id FROM hot_history t WHERE t.lane = s.lane AND t.content_id = s.content_id
              ORDER BY t.id {order} LIMIT 1)"
        )
    };
    let (first, then) = ("$1, $2", "s.lane, s.content_id");
    format!(
        "WITH RECURSIVE seen(n, lane, content_id) AS (
             SELECT 1, {}, {}
             UNION ALL
             SELECT s.n + 1, {}, {} FROM seen s WHERE s.n < $4 AND s.lane IS NOT NULL
         )
         SELECT s.lane, s.content_id, {} AS oldest, {} AS newest
         FROM seen s WHERE s.lane IS NOT NULL ORDER BY s.lane, s.content_id",
        next(first, "lane"),
        next(first, "content_id"),
        next(then, "lane"),
        next(then, "content_id"),
        end("ASC"),
        end("DESC"),
    )
}

/// Removes at most `size` old rows of these contents: how many. No lock: nobody changes a row of history, and what is
/// newer than it stays.
pub(in super::super) async fn history_prune(tx: &Tx, contents: &[OldHistory], size: usize) -> Result<u64> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "DELETE FROM hot_history WHERE (lane, content_id, id) IN
             (SELECT h.lane, h.content_id, h.id FROM {rows} {cross} hot_history h
              ON h.lane = r.lane AND h.content_id = r.content_id AND h.id < r.until LIMIT {1})",
            &[("lane", Col::Small), ("content_id", Col::Id), ("until", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for (content, until) in contents {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into(), (*until).into()]);
    }
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    Ok(tx.execute(SQL.bind(tx.backend(), rows, [size.into()])).await?.rows_affected())
}
