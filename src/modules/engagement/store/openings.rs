//! Statements on openings, and what an import looks up: constant text for any number of rows.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::batch::{KEYS, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::engagement::content::key;
use crate::modules::engagement::openings::{Counted, Opening};
use crate::modules::engagement::work::BehaviorKey;

/// An opening of a figure that is known; the check `types` says which are not.
fn opening(row: &QueryResult) -> Result<Option<Opening>, DbErr> {
    let Ok(figure) = Counted::from_number(row.try_get("", "figure")?) else { return Ok(None) };
    Ok(Some(Opening { figure, count: row.try_get("", "count")?, at: row.try_get("", "at")? }))
}

/// The openings of locked contents.
pub(in super::super) async fn opening_by_ids(tx: &Tx, ids: &[Uuid]) -> Result<Vec<(Uuid, Opening)>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT o.content_id, o.figure, o.count, o.at FROM {rows} {cross} content_openings o
             ON o.lane = r.lane AND o.content_id = r.id",
            KEYS,
        )
    });
    let found = tx.connection().query_all_raw(SQL.bind(tx.backend(), keys(&SQL, ids), [])).await?;
    let rows = found.iter().filter_map(|row| opening(row).transpose().map(|opening| (row, opening)));
    Ok(rows.map(|(row, opening)| Ok((row.try_get("", "content_id")?, opening?))).collect::<Result<_, DbErr>>()?)
}

/// The openings of one content, in the order of their figures.
pub(in super::super) async fn opening_of(reads: &DatabaseTransaction, content: Key) -> Result<Vec<Opening>> {
    let text = "SELECT figure, count, at FROM content_openings WHERE lane = $1 AND content_id = $2 ORDER BY figure";
    let values = [content.0.into(), content.1.into()];
    let found = reads.query_all_raw(Statement::from_sql_and_values(reads.get_database_backend(), text, values)).await?;
    Ok(found.iter().filter_map(|row| opening(row).transpose()).collect::<Result<_, DbErr>>()?)
}

/// Writes openings of locked contents as they are now.
pub(in super::super) async fn opening_put(tx: &Tx, openings: impl Iterator<Item = (Uuid, Opening)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_openings (lane, content_id, figure, count, at)
             SELECT r.lane, r.content_id, r.figure, r.count, r.at FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, figure) DO UPDATE SET count = excluded.count, at = excluded.at",
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("figure", Col::Small),
                ("count", Col::Int),
                ("at", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (content, opening) in openings {
        let (lane, id) = key(content);
        rows.push([lane.into(), id.into(), opening.figure.number().into(), opening.count.into(), opening.at.0.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// Marks likes and favorites that an import told of. What is marked already is not written again.
pub(in super::super) async fn behavior_mark(tx: &Tx, behaviors: impl Iterator<Item = BehaviorKey>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE behaviors AS b SET imported = 1 FROM {rows} WHERE b.lane = r.lane AND b.content_id = r.content_id
             AND b.user_id = r.user_id AND b.kind = r.kind AND b.imported = 0",
            &[("lane", Col::Small), ("content_id", Col::Id), ("user_id", Col::Id), ("kind", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (content, user, kind) in behaviors {
        let (lane, id) = key(content);
        rows.push([lane.into(), id.into(), user.into(), kind.number().into()]);
    }
    if !rows.is_empty() {
        tx.execute(SQL.bind(tx.backend(), rows, [])).await?;
    }
    Ok(())
}

/// The contents that have these external ids: (external id, id, number of the kind, when it was
/// published).
pub(in super::super) async fn content_by_external_ids(
    db: &Db,
    ids: &[String],
) -> Result<Vec<(String, Uuid, i16, Millis)>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT c.external_id, c.id, c.kind, c.published_at FROM {rows} {cross} contents c
             ON c.external_id = r.external_id",
            &[("external_id", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for id in ids {
        rows.push([id.clone().into()]);
    }
    let found = db.query_by_key(SQL.bind(db.backend(), rows, [])).await?;
    let contents = found.iter().map(|row| {
        let (external_id, id) = (row.try_get("", "external_id")?, row.try_get("", "id")?);
        Ok((external_id, id, row.try_get("", "kind")?, row.try_get("", "published_at")?))
    });
    Ok(contents.collect::<Result<_, DbErr>>()?)
}
