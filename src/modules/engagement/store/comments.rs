//! Statements on comments: constant text for any number of rows.

use std::sync::LazyLock;

use sea_orm::{FromQueryResult as _, Statement};
use uuid::Uuid;

use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::Lane;
use crate::kernel::page::Page;
use crate::modules::engagement::content::{DELETED, key};
use crate::modules::engagement::interactions::{CommentRecord, body_hash};

const COLUMNS: &str = "m.id, m.content_id, m.user_id, m.body, m.body_hash, m.client_key, m.commented_at, \
     m.deleted_at, m.deleted_by";

const IDS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];

static BY_IDS: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!("SELECT {COLUMNS} FROM {{rows}} {{cross}} comments m ON m.lane = r.lane AND m.id = r.id");
    Sql::new(&text, IDS)
});

fn id_rows(ids: &[Uuid]) -> crate::kernel::db::Rows {
    let mut rows = BY_IDS.rows();
    for id in ids {
        // A comment's id ends in its content's lane.
        rows.push([i16::from(Lane::of(*id).0).into(), (*id).into()]);
    }
    rows
}

/// Comments by their ids, deleted ones too, as the writer sees them.
pub(in super::super) async fn comment_by_ids_in(tx: &Tx, ids: &[Uuid]) -> Result<Vec<CommentRecord>> {
    tx.select(&BY_IDS, id_rows(ids)).await
}

/// Comments by their ids, deleted ones too; those of a content that is being deleted are left out.
pub(in super::super) async fn comment_by_ids(db: &Db, ids: &[Uuid]) -> Result<Vec<CommentRecord>> {
    static SHOWN: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "SELECT {COLUMNS} FROM {{rows}} {{cross}} comments m ON m.lane = r.lane AND m.id = r.id
             JOIN contents c ON c.lane = m.lane AND c.id = m.content_id WHERE c.status <> {DELETED}"
        );
        Sql::new(&text, IDS)
    });
    let found = db.query(SHOWN.bind(db.backend(), id_rows(ids), [])).await?;
    Ok(found.iter().map(|row| CommentRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// Comments that were made with these (user, client key).
pub(in super::super) async fn comment_by_client_keys(tx: &Tx, keys: &[(Uuid, &str)]) -> Result<Vec<CommentRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "SELECT {COLUMNS} FROM {{rows}} {{cross}} comments m
             ON m.user_id = r.user_id AND m.client_key = r.client_key"
        );
        Sql::new(&text, &[("user_id", Col::Id), ("client_key", Col::Text)])
    });
    let mut rows = SQL.rows();
    for (user, client_key) in keys {
        rows.push([(*user).into(), (*client_key).into()]);
    }
    tx.select(&SQL, rows).await
}

/// Whether a user has made a comment with this key.
pub(in super::super) async fn client_key_exists(db: &Db, user: Uuid, client_key: &str) -> Result<bool> {
    let text = "SELECT 1 AS one FROM comments WHERE user_id = $1 AND client_key = $2";
    let find = Statement::from_sql_and_values(db.backend(), text, [user.into(), client_key.into()]);
    Ok(!db.query(find).await?.is_empty())
}

/// Adds comments, none of them deleted yet.
pub(in super::super) async fn comment_insert(tx: &Tx, comments: &[&CommentRecord]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "lane, content_id, id, user_id, body, client_key, commented_at";
        Sql::new(
            &format!("INSERT INTO comments ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("id", Col::Id),
                ("user_id", Col::Id),
                ("body", Col::Text),
                ("client_key", Col::OptText),
                ("commented_at", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for comment in comments {
        let (lane, content_id) = key(comment.content_id);
        rows.push([
            lane.into(),
            content_id.into(),
            comment.id.into(),
            comment.user_id.into(),
            comment.body.clone().into(),
            comment.client_key.clone().into(),
            comment.commented_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// Makes comments tombstones, as their records say: of a text that a client key may ask for again its hash stays.
pub(in super::super) async fn comment_delete(tx: &Tx, deleted: &[&CommentRecord]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE comments AS m SET deleted_at = r.deleted_at, deleted_by = r.deleted_by, body = '',
             body_hash = r.body_hash FROM {rows}
             WHERE m.lane = r.lane AND m.content_id = r.content_id AND m.id = r.id AND m.deleted_at IS NULL",
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("id", Col::Id),
                ("deleted_at", Col::Int),
                ("deleted_by", Col::Id),
                ("body_hash", Col::OptText),
            ],
        )
    });
    let mut rows = SQL.rows();
    for comment in deleted {
        let (lane, content_id) = key(comment.content_id);
        let (Some(at), Some(by)) = (comment.deleted_at, comment.deleted_by) else { continue };
        let hash = comment.client_key.as_ref().map(|_| body_hash(comment.id, &comment.body));
        rows.push([lane.into(), content_id.into(), comment.id.into(), at.0.into(), by.into(), hash.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// One comment more than the page holds of each content, in the direction of reading, newest first.
pub(in super::super) async fn comment_page(db: &Db, contents: &[Uuid], page: &Page) -> Result<Vec<CommentRecord>> {
    // As in `history_by_ids`: the last row of the page is found in the key; up to there it is a range. Of two bounds on
    // one side SQLite would take the first, and walk all that was ever said: hence the one, and `<>`. In the index of
    // those that were not deleted: a page does not walk over tombstones.
    static DOWN: LazyLock<Sql> = LazyLock::new(|| page_sql("<", ">", ">=", "DESC"));
    static UP: LazyLock<Sql> = LazyLock::new(|| page_sql(">", "<", "<=", "ASC"));
    let (sql, first, last) =
        if page.backward { (&*UP, Uuid::nil(), Uuid::max()) } else { (&*DOWN, Uuid::max(), Uuid::nil()) };
    let mut rows = sql.rows();
    for content in contents {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into()]);
    }
    let from = page.from.map_or(first, |cursor| cursor.id);
    let until = page.until.map_or(last, |cursor| cursor.id);
    let size = i64::try_from(page.size).unwrap_or(i64::MAX);
    let found = db.query(sql.bind(db.backend(), rows, [from.into(), until.into(), size.into()])).await?;
    Ok(found.iter().map(|row| CommentRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

fn page_sql(after: &str, before: &str, within: &str, order: &str) -> Sql {
    Sql::new(
        &format!(
            "SELECT {COLUMNS} FROM {{rows}} {{cross}} comments m {{by comments_live}}
             ON m.lane = r.lane AND m.content_id = r.id AND m.deleted_at IS NULL AND m.id {after} {{1}} AND m.id <> {{2}} AND m.id {within} coalesce(
                 (SELECT n.id FROM comments n {{by comments_live}} WHERE n.lane = r.lane AND n.content_id = r.id AND n.deleted_at IS NULL
                  AND n.id {after} {{1}} AND n.id {before} {{2}} ORDER BY n.id {order} LIMIT 1 OFFSET {{3}}), {{2}})
             ORDER BY m.content_id, m.id {order}"
        ),
        IDS,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sea_orm::{ConnectionTrait as _, DbBackend};

    use super::*;
    use crate::kernel::config::{SETTINGS, Settings};
    use crate::kernel::db::Migrations;

    /// However many were deleted, a page seeks those that were not. PostgreSQL knows what its index leaves out.
    #[tokio::test]
    async fn a_page_walks_over_no_tombstones() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/comments.db", folder.path().display());
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &[("database.url", url)]).unwrap();
        let db = Db::open(&settings).await.unwrap();
        let kernel = Migrations { module: "kernel", list: tally_migration::kernel::migrations };
        let engagement = Migrations { module: "engagement", list: tally_migration::engagement::migrations };
        db.migrate(&[kernel, engagement]).await.unwrap();
        for (sql, side) in [(page_sql("<", ">", ">=", "DESC"), "<"), (page_sql(">", "<", "<=", "ASC"), ">")] {
            let text = sql.text(DbBackend::Sqlite);
            let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {text}"));
            let rows = db.reader().query_all_raw(explain).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            for table in ["m", "n"] {
                let seek = format!("SEARCH {table} USING");
                let step = plan.iter().find(|step| step.starts_with(&seek)).unwrap();
                assert!(step.contains("INDEX comments_live (lane=? AND content_id=? AND id"), "{side} {step}");
            }
        }
    }
}
