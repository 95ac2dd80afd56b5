//! Statements of deletions: what accepts one, what finds the rows that go, what removes them in chunks.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::hash_of;
use crate::modules::engagement::content::{DELETED, key};
use crate::modules::engagement::interactions::ShareRecord;
use crate::modules::engagement::work::BehaviorKey;

/// What is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Target {
    Content,
    User,
}

impl Target {
    fn number(self) -> i16 {
        self as i16
    }
}

/// Which of these users were deleted.
pub(in super::super) async fn deleted_among(tx: &Tx, users: &BTreeSet<Uuid>) -> Result<HashSet<Uuid>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = "SELECT r.id FROM {rows} {cross} deleted_users d ON d.id_hash = r.id_hash";
        Sql::new(text, &[("id", Col::Id), ("id_hash", Col::Id)])
    });
    let mut rows = SQL.rows();
    for user in users {
        rows.push([(*user).into(), hash_of(*user).into()]);
    }
    let found = tx.connection().query_all_raw(SQL.bind(tx.backend(), rows, [])).await?;
    // SQLite gives a blob that `unhex` made back as it took it.
    Ok(found.iter().map(|row| row.try_get("", "id")).collect::<Result<_, DbErr>>()?)
}

/// Hides contents for good, frees their keys, and notes that their rows are to go; their figures are locked.
pub(in super::super) async fn content_accept(tx: &Tx, contents: impl Iterator<Item = Uuid>, now: Millis) -> Result<()> {
    static HIDE: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "UPDATE contents AS c SET status = {DELETED}, external_id = NULL, client_key = NULL FROM {{rows}}
             WHERE c.lane = r.lane AND c.id = r.id"
        );
        Sql::new(&text, &[("lane", Col::Small), ("id", Col::Id)])
    });
    static NOTE: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO deletions (id, kind, accepted_at, removed) SELECT r.id, r.kind, r.accepted_at, 0 FROM {rows}",
            &[("id", Col::Id), ("kind", Col::Small), ("accepted_at", Col::Int)],
        )
    });
    let (mut hide, mut note) = (HIDE.rows(), NOTE.rows());
    for content in contents {
        let (lane, id) = key(content);
        hide.push([lane.into(), id.into()]);
        note.push([id.into(), Target::Content.number().into(), now.0.into()]);
    }
    tx.write_all(&HIDE, hide).await?;
    tx.write_all(&NOTE, note).await
}

/// Notes that a user is deleted; whether that is new.
pub(in super::super) async fn user_accept(tx: &Tx, user: Uuid, now: Millis) -> Result<bool> {
    let remember = "INSERT INTO deleted_users (id_hash, deleted_at) VALUES ($1, $2) ON CONFLICT (id_hash) DO NOTHING";
    let values: [Value; 2] = [hash_of(user).into(), now.0.into()];
    let new = tx.execute(Statement::from_sql_and_values(tx.backend(), remember, values)).await?.rows_affected();
    if new == 0 {
        return Ok(false);
    }
    let note = "INSERT INTO deletions (id, kind, accepted_at, removed) VALUES ($1, $2, $3, 0)";
    let values: [Value; 3] = [user.into(), Target::User.number().into(), now.0.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), note, values)).await?;
    Ok(true)
}

/// Notes that the job has begun with a deletion of a user: from then on nobody calls it off. False when somebody has.
pub(in super::super) async fn user_begin(tx: &Tx, user: Uuid) -> Result<bool> {
    // 0 says that nothing was begun.
    let text =
        "UPDATE deletions SET removed = CASE WHEN removed = 0 THEN 1 ELSE removed END WHERE id = $1 AND kind = $2";
    let values: [Value; 2] = [user.into(), Target::User.number().into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected() == 1)
}

/// The next unfinished deletion of a kind after `after`, by id.
pub(in super::super) async fn pending_next(db: &Db, target: Target, after: Uuid) -> Result<Option<Uuid>> {
    let text = "SELECT id FROM deletions WHERE id > $1 AND kind = $2 ORDER BY id LIMIT 1";
    let find = Statement::from_sql_and_values(db.backend(), text, [after.into(), target.number().into()]);
    let found = db.query(find).await?;
    Ok(found.first().map(|row| row.try_get("", "id")).transpose()?)
}

/// Notes that so many more rows are gone.
pub(in super::super) async fn progress_add(tx: &Tx, id: Uuid, rows: u64) -> Result<()> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let text = "UPDATE deletions SET removed = removed + $2 WHERE id = $1";
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, [id.into(), rows.into()])).await?;
    Ok(())
}

/// Ends a deletion.
pub(in super::super) async fn pending_remove(tx: &Tx, id: Uuid) -> Result<()> {
    tx.execute(Statement::from_sql_and_values(tx.backend(), "DELETE FROM deletions WHERE id = $1", [id.into()]))
        .await?;
    Ok(())
}

/// A user's contents that are still to be seen by somebody.
pub(in super::super) async fn content_by_author(db: &Db, author: Uuid, size: usize) -> Result<Vec<Uuid>> {
    let text = "SELECT id FROM contents WHERE author_id = $1 AND status <> $2 LIMIT $3";
    let values: [Value; 3] = [author.into(), DELETED.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(found.iter().map(|row| row.try_get("", "id")).collect::<Result<_, DbErr>>()?)
}

/// THE LIST of tables whose rows belong to a content, with the rest of their keys. What is summed up goes before its sum.
const OF_CONTENT: &[(&str, &str)] = &[
    ("content_views", "hour, viewer_key"),
    ("content_view_hours", "hour"),
    ("content_view_epochs", "heat_version, epoch"),
    ("content_openings", "figure"),
    ("comments", "id"),
    ("shares", "id"),
    ("behaviors", "user_id, kind"),
    ("hot_history", "id"),
    ("content_heat", "epoch"),
    ("content_heat_next", "epoch"),
];

/// Removes at most `size` rows of a content whose figures are locked, of the first tables that have any; how many.
pub(in super::super) async fn content_rows_remove(tx: &Tx, content: Uuid, size: u64) -> Result<u64> {
    static SQL: LazyLock<Vec<Sql>> = LazyLock::new(|| {
        let remove = |(table, rest): &(&str, &str)| {
            // The key alone on both sides, so that both databases seek each row.
            let text = format!(
                "DELETE FROM {table} WHERE (lane, content_id, {rest}) IN
                 (SELECT lane, content_id, {rest} FROM {table} WHERE lane = {{1}} AND content_id = {{2}} LIMIT {{3}})"
            );
            Sql::new(&text, &[])
        };
        OF_CONTENT.iter().map(remove).collect()
    });
    let (lane, id) = key(content);
    let mut removed = 0;
    for sql in SQL.iter() {
        let left = i64::try_from(size - removed).unwrap_or(i64::MAX);
        removed += tx
            .execute(sql.bind(tx.backend(), sql.rows(), [lane.into(), id.into(), left.into()]))
            .await?
            .rows_affected();
        if removed >= size {
            break;
        }
    }
    Ok(removed)
}

/// Removes a content whose rows in all other tables are gone, and with it its deletion.
pub(in super::super) async fn content_remove(tx: &Tx, content: Uuid) -> Result<()> {
    let (lane, id) = key(content);
    for (table, column) in [
        ("artworks", "content_id"),
        ("videos", "content_id"),
        ("content_figures", "content_id"),
        ("content_figures_next", "content_id"),
        ("contents", "id"),
    ] {
        let text = format!("DELETE FROM {table} WHERE lane = $1 AND {column} = $2");
        tx.execute(Statement::from_sql_and_values(tx.backend(), text, [lane.into(), id.into()])).await?;
    }
    pending_remove(tx, content).await
}

/// A row of a user at a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Trace {
    /// A like or favorite, or the tombstone of one.
    Behavior,
    /// A comment, or the tombstone of one.
    Comment(Uuid),
    /// A share.
    Share(Uuid),
}

/// THE LIST of tables whose rows belong to the user who did something to another's content.
/// Those that the writer does not know have a statement each: [`deleter_forget`], [`finding_forget`].
const OF_USER: &[(&str, &str)] = &[("behaviors", "user_id"), ("comments", "id"), ("shares", "id")];

/// THE LIST of tables in which nothing of a user is left at the end of a deletion, with the columns that say whose.
pub(super) const USER_TABLES: &[(&str, &str)] = &[
    ("behaviors", "user_id"),
    ("comments", "user_id"),
    ("shares", "user_id"),
    ("contents", "author_id"),
    ("comments", "deleted_by"),
    ("suspicious_activity", "actor"),
];

/// At most `size` rows of a user, of the first table that has any: (content, row).
pub(in super::super) async fn user_traces(db: &Db, user: Uuid, size: usize) -> Result<Vec<(Uuid, Trace)>> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    for (table, id) in OF_USER {
        let text = format!("SELECT content_id, {id} AS id FROM {table} WHERE user_id = $1 LIMIT $2");
        let found = db.query(Statement::from_sql_and_values(db.backend(), text, [user.into(), size.into()])).await?;
        let trace = |row: &sea_orm::QueryResult| {
            let id = row.try_get("", "id")?;
            let trace = match *table {
                "comments" => Trace::Comment(id),
                "shares" => Trace::Share(id),
                _ => Trace::Behavior,
            };
            Ok((row.try_get("", "content_id")?, trace))
        };
        if !found.is_empty() {
            return Ok(found.iter().map(trace).collect::<Result<_, DbErr>>()?);
        }
    }
    Ok(Vec::new())
}

/// Forgets that a user deleted comments of others; how many, at most `size`.
pub(in super::super) async fn deleter_forget(tx: &Tx, user: Uuid, size: i64) -> Result<u64> {
    let text = "UPDATE comments SET deleted_by = NULL WHERE (lane, id) IN
         (SELECT lane, id FROM comments WHERE deleted_by = $1 LIMIT $2)";
    Ok(tx
        .execute(Statement::from_sql_and_values(tx.backend(), text, [user.into(), size.into()]))
        .await?
        .rows_affected())
}

/// Forgets that a user did more than people do; how many findings, at most `size`.
pub(in super::super) async fn finding_forget(tx: &Tx, user: Uuid, size: i64) -> Result<u64> {
    let text = "DELETE FROM suspicious_activity WHERE id IN
         (SELECT id FROM suspicious_activity WHERE actor = $1 ORDER BY id LIMIT $2)";
    Ok(tx
        .execute(Statement::from_sql_and_values(tx.backend(), text, [user.into(), size.into()]))
        .await?
        .rows_affected())
}

/// The transactions under way that have read `deleted_users` and may write: looked at after a deletion was accepted,
/// they are all that may not know of it. Each holds a lock on the table that lets everybody else in, and keeps it to its
/// end; those that only read (a backup) have no transaction's number. On SQLite nobody writes beside anybody.
pub(in super::super) async fn writers_under_way(db: &Db) -> Result<HashSet<String>> {
    if db.backend() != DbBackend::Postgres {
        return Ok(HashSet::new());
    }
    let text = "SELECT DISTINCT l.virtualtransaction AS writer FROM pg_locks l
         JOIN pg_locks x ON x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'
             AND x.mode = 'ExclusiveLock' AND x.granted
         WHERE l.locktype = 'relation' AND l.relation = 'deleted_users'::regclass
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let found = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(found.iter().map(|row| row.try_get("", "writer")).collect::<Result<_, DbErr>>()?)
}

/// Whether any row of a user is left; ends the deletion if none is. For when every write has ended that may have begun
/// before the deletion was accepted.
pub(in super::super) async fn user_finish(tx: &Tx, user: Uuid) -> Result<bool> {
    for (table, column) in USER_TABLES {
        let text = format!("SELECT 1 AS one FROM {table} WHERE {column} = $1 LIMIT 1");
        let find = Statement::from_sql_and_values(tx.backend(), text, [user.into()]);
        if tx.connection().query_one_raw(find).await?.is_some() {
            return Ok(false);
        }
    }
    pending_remove(tx, user).await?;
    Ok(true)
}

/// Removes behaviors of locked contents.
pub(in super::super) async fn behavior_remove(tx: &Tx, behaviors: impl Iterator<Item = BehaviorKey>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "DELETE FROM behaviors WHERE (lane, content_id, user_id, kind) IN
             (SELECT o.lane, o.content_id, o.user_id, o.kind FROM {rows} {cross} behaviors o
              ON o.lane = r.lane AND o.content_id = r.content_id AND o.user_id = r.user_id AND o.kind = r.kind)",
            &[("lane", Col::Small), ("content_id", Col::Id), ("user_id", Col::Id), ("kind", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (content, user, kind) in behaviors {
        let (lane, id) = key(content);
        rows.push([lane.into(), id.into(), user.into(), kind.number().into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// Shares by (content, id), as far as there are any.
pub(in super::super) async fn share_by_ids(tx: &Tx, ids: &[(Uuid, Uuid)]) -> Result<Vec<ShareRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT s.id, s.content_id, s.user_id, s.channel, s.client_key, s.shared_at FROM {rows} {cross} shares s
             ON s.lane = r.lane AND s.content_id = r.content_id AND s.id = r.id",
            IDS,
        )
    });
    tx.select(&SQL, id_rows(&SQL, ids)).await
}

const IDS: &[(&str, Col)] = &[("lane", Col::Small), ("content_id", Col::Id), ("id", Col::Id)];

fn id_rows(sql: &Sql, ids: &[(Uuid, Uuid)]) -> crate::kernel::db::Rows {
    let mut rows = sql.rows();
    for (content, id) in ids {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into(), (*id).into()]);
    }
    rows
}

/// Removes comments of locked contents, with no tombstone.
pub(in super::super) async fn comment_remove(tx: &Tx, ids: &[(Uuid, Uuid)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| rows_remove("comments"));
    tx.write_all(&SQL, id_rows(&SQL, ids)).await
}

/// Removes shares of locked contents.
pub(in super::super) async fn share_remove(tx: &Tx, ids: &[(Uuid, Uuid)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| rows_remove("shares"));
    tx.write_all(&SQL, id_rows(&SQL, ids)).await
}

fn rows_remove(table: &str) -> Sql {
    let text = format!(
        "DELETE FROM {table} WHERE (lane, content_id, id) IN
         (SELECT o.lane, o.content_id, o.id FROM {{rows}} {{cross}} {table} o
          ON o.lane = r.lane AND o.content_id = r.content_id AND o.id = r.id)"
    );
    Sql::new(&text, IDS)
}

/// An error where a step that must remove something removed nothing: it would be tried for ever.
pub(in super::super) fn stuck(id: Uuid) -> Error {
    Error::internal(format!("the deletion of {id} finds rows and removes none"))
}
