//! What checks read of roll-ups, tombstones, and rows that belong to nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use super::recount::{Range, WITHIN, Which};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::engagement::hotness::RolledUp;

/// What is wrong with a content's views.
#[derive(FromQueryResult)]
pub(in super::super) struct HoursRow {
    pub(in super::super) id: Uuid,
    pub(in super::super) kind: i16,
    /// Sums of no whole hour, of none, or of an hour that views still come to.
    pub(in super::super) wrong_hours: i64,
    /// Rows of viewers of no whole hour.
    pub(in super::super) wrong_views: i64,
}

async fn rows<T: FromQueryResult>(reads: &DatabaseTransaction, text: String, values: Vec<Value>) -> Result<Vec<T>> {
    let found = reads.query_all_raw(Statement::from_sql_and_values(reads.get_database_backend(), text, values)).await?;
    Ok(found.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// The wanted contents, and what is wrong with their hours.
pub(in super::super) async fn hours_of(reads: &DatabaseTransaction, which: Which) -> Result<Vec<HoursRow>> {
    let text = format!(
        "SELECT c.lane, c.id, c.kind,
         (SELECT count(*) FROM content_view_hours t WHERE t.lane = c.lane AND t.content_id = c.id
          AND (t.hour % 3600000 <> 0 OR t.count < 1 OR t.hour >= (SELECT max(closed_before) FROM view_state)))
         AS wrong_hours,
         (SELECT count(*) FROM content_views t WHERE t.lane = c.lane AND t.content_id = c.id AND t.hour % 3600000 <> 0)
         AS wrong_views FROM {} ORDER BY c.lane, c.id",
        which.source("lane, id, kind")
    );
    rows(reads, text, which.values().to_vec()).await
}

/// The epochs that views of a range were summed up into, with the version of the settings that each is of.
pub(in super::super) async fn epochs_within(
    reads: &DatabaseTransaction,
    range: Range,
) -> Result<HashMap<Uuid, Vec<(i64, RolledUp)>>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT t.content_id, t.heat_version, t.epoch, t.count, t.mass FROM content_view_epochs t WHERE {WITHIN}"
        )
    });
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), &*SQL, range.values());
    let mut found: HashMap<Uuid, Vec<_>> = HashMap::new();
    for row in reads.query_all_raw(statement).await? {
        let (count, mass) = (row.try_get("", "count")?, row.try_get("", "mass")?);
        let views = RolledUp { epoch: row.try_get("", "epoch")?, count, mass };
        found.entry(row.try_get("", "content_id")?).or_default().push((row.try_get("", "heat_version")?, views));
    }
    Ok(found)
}

/// What is wrong with a content's tombstones.
#[derive(FromQueryResult)]
pub(in super::super) struct TombstoneRow {
    pub(in super::super) id: Uuid,
    pub(in super::super) kind: i16,
    pub(in super::super) old: i64,
    pub(in super::super) early: i64,
    /// Deleted comments that are as old.
    pub(in super::super) old_comments: i64,
}

/// The wanted contents, and how many of their tombstones are from before `before` and of no import, or from before what they
/// take back.
pub(in super::super) async fn tombstones_of(
    reads: &DatabaseTransaction,
    which: Which,
    before: Millis,
) -> Result<Vec<TombstoneRow>> {
    let count = |condition: &str| {
        format!(
            "(SELECT count(*) FROM behaviors t WHERE t.lane = c.lane AND t.content_id = c.id
              AND t.removed_at IS NOT NULL AND {condition})"
        )
    };
    let text = format!(
        "SELECT c.lane, c.id, c.kind, {} AS old, {} AS early,
         (SELECT count(*) FROM comments t WHERE t.lane = c.lane AND t.content_id = c.id AND t.deleted_at < $4)
         AS old_comments FROM {} ORDER BY c.lane, c.id",
        count("t.removed_at < $4 AND t.imported = 0"),
        count("t.removed_at < t.acted_at"),
        which.source("lane, id, kind")
    );
    let mut values = which.values().to_vec();
    values.push(before.0.into());
    rows(reads, text, values).await
}

/// THE LIST of tables whose rows belong to a content.
const OF_CONTENT: [&str; 14] = [
    "content_figures",
    "content_figures_next",
    "content_heat",
    "content_heat_next",
    "behaviors",
    "comments",
    "shares",
    "content_views",
    "content_view_hours",
    "content_view_epochs",
    "content_openings",
    "hot_history",
    "artworks",
    "videos",
];

/// At most about `size` keys after `after`, up to `until`, that a table has rows of, and that are no content's; and up to
/// which key these are all of them, where there are more.
pub(in super::super) async fn orphan_keys(
    reads: &DatabaseTransaction,
    after: Key,
    until: Option<Key>,
    size: usize,
) -> Result<(Vec<Key>, Option<Key>)> {
    let (last_lane, last_id) = until.unwrap_or((i16::MAX, Uuid::max()));
    let mut keys = std::collections::BTreeSet::new();
    let mut cut: Option<Key> = None;
    for table in OF_CONTENT {
        // The distinct keys first: a content with a million rows is looked up once.
        let text = format!(
            "SELECT k.lane, k.content_id FROM
             (SELECT DISTINCT t.lane, t.content_id FROM {table} t WHERE (t.lane, t.content_id) > ($1, $2)
              AND (t.lane, t.content_id) <= ($3, $4) AND t.lane >= $1 AND t.lane <= $3) k
             WHERE NOT EXISTS (SELECT 1 FROM contents c WHERE c.lane = k.lane AND c.id = k.content_id)
             ORDER BY k.lane, k.content_id LIMIT $5"
        );
        let most = i64::try_from(size).unwrap_or(i64::MAX);
        let values: [Value; 5] = [after.0.into(), after.1.into(), last_lane.into(), last_id.into(), most.into()];
        let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, values);
        let found = reads.query_all_raw(statement).await?;
        let found = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "content_id")?)));
        let found: Vec<Key> = found.collect::<Result<_, DbErr>>()?;
        if let Some(last) = found.last().filter(|_| found.len() == size) {
            cut = Some(cut.map_or(*last, |cut| cut.min(*last)));
        }
        keys.extend(found);
    }
    if let Some(cut) = cut {
        keys.retain(|key| *key <= cut);
    }
    Ok((keys.into_iter().collect(), cut))
}

/// How many rows of each table are of a key that is no content's.
pub(in super::super) async fn orphan_rows(reads: &DatabaseTransaction, key: Key) -> Result<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for table in OF_CONTENT {
        // In one statement: who publishes writes all at once.
        let text = format!(
            "SELECT count(*) AS n FROM {table} t WHERE t.lane = $1 AND t.content_id = $2
             AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.lane = $1 AND c.id = $2)"
        );
        let values: [Value; 2] = [key.0.into(), key.1.into()];
        let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, values);
        let count: Option<i64> =
            reads.query_one_raw(statement).await?.map(|row: QueryResult| row.try_get("", "n")).transpose()?;
        found.extend(count.filter(|count| *count > 0).map(|count| (table, count)));
    }
    Ok(found)
}

/// Deletions that were accepted before `before` and are not finished: of a content or of a user, and when.
pub(in super::super) async fn deletions_before(
    reads: &DatabaseTransaction,
    before: Millis,
) -> Result<Vec<(Uuid, bool, Millis)>> {
    let text = "SELECT id, kind, accepted_at FROM deletions WHERE accepted_at < $1 ORDER BY id LIMIT 100";
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, [before.0.into()]);
    let row = |row: &QueryResult| {
        let user = row.try_get::<i16>("", "kind")? == 1;
        Ok((row.try_get("", "id")?, user, row.try_get("", "accepted_at")?))
    };
    Ok(reads.query_all_raw(statement).await?.iter().map(row).collect::<Result<_, DbErr>>()?)
}
