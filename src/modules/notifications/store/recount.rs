//! What checks read: stored figures, and the facts that they must equal.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::{ENDS, EndsRow};
use super::{KEYS, NOTIFICATION, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::kernel::page::Page;
use crate::modules::notifications::notification::NotificationRecord;

/// A user's unread count as it is stored and as it must be.
#[derive(FromQueryResult)]
pub(in super::super) struct UnreadRow {
    pub(in super::super) user_id: Uuid,
    pub(in super::super) stored: Option<i64>,
    pub(in super::super) actual: i64,
}

fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The users after `after` who have totals, or something unread and no totals.
pub(in super::super) async fn user_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let text = "SELECT lane, user_id AS id FROM
         (SELECT lane, user_id FROM notification_totals WHERE (lane, user_id) > ($1, $2)
          ORDER BY lane, user_id LIMIT $3) t
         UNION SELECT lane, user_id AS id FROM
         (SELECT DISTINCT lane, user_id FROM notifications WHERE unread = 1 AND (lane, user_id) > ($1, $2)
          ORDER BY lane, user_id LIMIT $3) n
         ORDER BY lane, id LIMIT $3";
    key_rows(connection, backend, text, after, size).await
}

/// The users after `after` who have totals, or any notification.
pub(in super::super) async fn told_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let text = "SELECT lane, user_id AS id FROM
         (SELECT lane, user_id FROM notification_totals WHERE (lane, user_id) > ($1, $2)
          ORDER BY lane, user_id LIMIT $3) t
         UNION SELECT lane, user_id AS id FROM
         (SELECT DISTINCT lane, user_id FROM notifications WHERE (lane, user_id) > ($1, $2)
          ORDER BY lane, user_id LIMIT $3) n
         ORDER BY lane, id LIMIT $3";
    key_rows(connection, backend, text, after, size).await
}

/// The notifications after `after`.
pub(in super::super) async fn notification_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let text = "SELECT lane, id FROM notifications WHERE (lane, id) > ($1, $2) ORDER BY lane, id LIMIT $3";
    key_rows(connection, backend, text, after, size).await
}

async fn key_rows(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    text: &str,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let values: [Value; 3] = [after.0.into(), after.1.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let found = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "id")?)));
    Ok(found.collect::<Result<_, DbErr>>()?)
}

/// The unread counts of these users.
pub(in super::super) async fn unread_recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    users: &[Key],
) -> Result<Vec<UnreadRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.id AS user_id,
             (SELECT t.unread_count FROM notification_totals t WHERE t.lane = r.lane AND t.user_id = r.id) AS stored,
             (SELECT count(*) FROM notifications n WHERE n.lane = r.lane AND n.user_id = r.id AND n.unread = 1)
             AS actual FROM {rows}",
            KEYS,
        )
    });
    let found = connection.query_all_raw(SQL.bind(backend, keys(&SQL, users.iter().copied()), [])).await?;
    // Totals that are no number are the check `notification-types`' to say.
    Ok(found.iter().filter_map(|row| UnreadRow::from_query_result(row, "").ok()).collect())
}

/// A notification as it is stored, and what holds in it.
pub(in super::super) struct Recounted {
    pub(in super::super) stored: NotificationRecord,
    /// Whether it is unread, as it is stored: 0 or 1.
    pub(in super::super) unread: i16,
    pub(in super::super) actors: i64,
    pub(in super::super) ends: Option<EndsRow>,
}

#[derive(FromQueryResult)]
struct ActorsRow {
    notification_id: Uuid,
    actors: i64,
}

/// These notifications, recomputed from their acts.
pub(in super::super) async fn notification_recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<BTreeMap<Uuid, Recounted>> {
    static STORED: LazyLock<Sql> = LazyLock::new(|| {
        let text =
            format!("SELECT {NOTIFICATION} FROM {{rows}} {{cross}} notifications n ON n.lane = r.lane AND n.id = r.id");
        Sql::new(&text, KEYS)
    });
    static ACTORS: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.id AS notification_id, count(DISTINCT a.actor_id) AS actors
             FROM {rows} {cross} notification_acts a
             ON a.lane = r.lane AND a.notification_id = r.id AND a.present = 1 GROUP BY r.id",
            KEYS,
        )
    });
    let stored = connection.query_all_raw(STORED.bind(backend, keys(&STORED, wanted.iter().copied()), [])).await?;
    // What cannot be read, such as a kind that there is not, is the check `notification-types`' to say.
    let stored = stored.iter().filter_map(|row| {
        Some((NotificationRecord::from_query_result(row, "").ok()?, row.try_get::<i16>("", "unread").ok()?))
    });
    let actors: Vec<ActorsRow> = rows(connection, backend, &ACTORS, wanted).await?;
    let ends: Vec<EndsRow> = rows(connection, backend, &ENDS, wanted).await?;
    let actors: BTreeMap<_, _> = actors.into_iter().map(|row| (row.notification_id, row.actors)).collect();
    let mut ends: BTreeMap<_, _> = ends.into_iter().map(|row| (row.notification_id, row)).collect();
    let recounted = stored.map(|(stored, unread)| {
        let id = stored.id;
        (id, Recounted { stored, unread, actors: actors.get(&id).copied().unwrap_or(0), ends: ends.remove(&id) })
    });
    Ok(recounted.collect())
}

async fn rows<T: FromQueryResult>(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    sql: &Sql,
    wanted: &[Key],
) -> Result<Vec<T>> {
    let found = connection.query_all_raw(sql.bind(backend, keys(sql, wanted.iter().copied()), [])).await?;
    Ok(found.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// Writes what no notification is, if a repair that made it one or the other is undone.
pub(in super::super) async fn unread_write(tx: &Tx, (lane, id): Key, unread: i16) -> Result<()> {
    let text = "UPDATE notifications SET unread = $3 WHERE lane = $1 AND id = $2";
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, [lane.into(), id.into(), unread.into()])).await?;
    Ok(())
}

/// Removes the totals of a locked user, if a repair that made them is undone.
pub(in super::super) async fn totals_delete(tx: &Tx, (lane, user): Key) -> Result<()> {
    let text = "DELETE FROM notification_totals WHERE lane = $1 AND user_id = $2";
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, [lane.into(), user.into()])).await?;
    Ok(())
}

/// The newest version that a user's notifications know; 0 without any.
pub(in super::super) async fn newest_version(tx: &Tx, (lane, user): Key) -> Result<i64> {
    let text = "SELECT coalesce(max(version), 0) AS n FROM notifications WHERE lane = $1 AND user_id = $2";
    let statement = Statement::from_sql_and_values(tx.backend(), text, [lane.into(), user.into()]);
    let found = tx.connection().query_one_raw(statement).await?;
    Ok(found.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// Notifications after `after` that acts name, and which of them there are not, removed ones apart.
pub(in super::super) async fn act_orphans(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<(Key, bool)>> {
    let text = "SELECT k.lane, k.notification_id AS id,
         NOT EXISTS (SELECT 1 FROM notifications n WHERE n.lane = k.lane AND n.id = k.notification_id)
         AND NOT EXISTS (SELECT 1 FROM notification_graves g
             WHERE g.lane = k.lane AND g.notification_id = k.notification_id) AS orphan
         FROM (SELECT DISTINCT lane, notification_id FROM notification_acts WHERE (lane, notification_id) > ($1, $2)
               ORDER BY lane, notification_id LIMIT $3) k ORDER BY k.lane, k.notification_id";
    let values: [Value; 3] = [after.0.into(), after.1.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let row = |row: &sea_orm::QueryResult| {
        Ok(((row.try_get("", "lane")?, row.try_get("", "id")?), row.try_get::<bool>("", "orphan")?))
    };
    Ok(found.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// How many acts name a notification that there is not.
pub(in super::super) async fn acts_of(connection: &impl ConnectionTrait, backend: DbBackend, key: Key) -> Result<i64> {
    let text = "SELECT count(*) AS n FROM notification_acts a WHERE a.lane = $1 AND a.notification_id = $2
         AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.lane = $1 AND n.id = $2)
         AND NOT EXISTS (SELECT 1 FROM notification_graves g WHERE g.lane = $1 AND g.notification_id = $2)";
    let statement = Statement::from_sql_and_values(backend, text, [key.0.into(), key.1.into()]);
    let found = connection.query_one_raw(statement).await?;
    Ok(found.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// Deleted users of whom something was still left to be removed, from before `before`.
pub(in super::super) async fn gone_before(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    before: Millis,
) -> Result<Vec<(Uuid, Millis)>> {
    let text = "SELECT pending_id, gone_at FROM notification_gone
         WHERE pending_id IS NOT NULL AND gone_at < $1 ORDER BY pending_id LIMIT 100";
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, [before.0.into()])).await?;
    let rows = found.iter().map(|row| Ok((row.try_get("", "pending_id")?, row.try_get("", "gone_at")?)));
    Ok(rows.collect::<Result<_, DbErr>>()?)
}

/// One unread notification of a user more than the page holds, by id, in the direction of reading.
pub(in super::super) async fn unread_page(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
    page: &Page,
) -> Result<Vec<NotificationRecord>> {
    let (further, back, direction) = if page.backward { ("<", ">", "DESC") } else { (">", "<", "ASC") };
    let mut text =
        format!("SELECT {NOTIFICATION} FROM notifications n WHERE n.lane = $1 AND n.user_id = $2 AND n.unread = 1");
    let mut values: Vec<Value> = vec![lane.into(), user.into(), limit(page.size + 1).into()];
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.id.into());
            text.push_str(&format!(" AND n.id {side} ${}", values.len()));
        }
    }
    text.push_str(&format!(" ORDER BY n.id {direction} LIMIT $3"));
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(found.iter().map(|row| NotificationRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// The users after `after` who did something that others were told of.
pub(in super::super) async fn actor_page(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Uuid,
    size: usize,
) -> Result<Vec<Uuid>> {
    // Those of levels are nobody's: the content stands for whoever did it.
    let text = "SELECT DISTINCT actor_id FROM notification_acts WHERE actor_id > $1 AND level = 0
         ORDER BY actor_id LIMIT $2";
    let values: [Value; 2] = [after.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(found.iter().map(|row| row.try_get("", "actor_id")).collect::<Result<_, DbErr>>()?)
}

/// The table of what users did.
pub(in super::super) const ACTS: &str = "notification_acts";

/// How many rows of each table are of a user.
pub(in super::super) async fn user_rows(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
) -> Result<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for (table, condition) in [
        ("notification_totals", "lane = $1 AND user_id = $2"),
        ("notifications", "lane = $1 AND user_id = $2"),
        // Acts are in the lanes of those who are told.
        (ACTS, "$1 >= 0 AND actor_id = $2 AND level = 0"),
    ] {
        let text = format!("SELECT count(*) AS n FROM {table} WHERE {condition}");
        let values: [Value; 2] = [lane.into(), user.into()];
        let row = connection.query_one_raw(Statement::from_sql_and_values(backend, text, values)).await?;
        found.push((table, row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0)));
    }
    Ok(found)
}

/// Whether something of a user is still to be removed.
pub(in super::super) async fn gone_is_pending(db: &Db, user: Uuid) -> Result<bool> {
    let text = "SELECT gone_at FROM notification_gone WHERE pending_id = $1";
    Ok(!db.query(Statement::from_sql_and_values(db.backend(), text, [user.into()])).await?.is_empty())
}
