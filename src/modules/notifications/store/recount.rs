//! What checks read: stored figures, and the facts that they must equal.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::{ENDS, EndsRow};
use super::{KEYS, NOTIFICATION, keys};
use crate::kernel::db::Sql;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
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
    rows(connection, backend, &SQL, users).await
}

/// A notification as it is stored, and what holds in it.
pub(in super::super) struct Recounted {
    pub(in super::super) stored: NotificationRecord,
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
    let stored: Vec<NotificationRecord> = rows(connection, backend, &STORED, wanted).await?;
    let actors: Vec<ActorsRow> = rows(connection, backend, &ACTORS, wanted).await?;
    let ends: Vec<EndsRow> = rows(connection, backend, &ENDS, wanted).await?;
    let actors: BTreeMap<_, _> = actors.into_iter().map(|row| (row.notification_id, row.actors)).collect();
    let mut ends: BTreeMap<_, _> = ends.into_iter().map(|row| (row.notification_id, row)).collect();
    let recounted = stored.into_iter().map(|stored| {
        let id = stored.id;
        (id, Recounted { stored, actors: actors.get(&id).copied().unwrap_or(0), ends: ends.remove(&id) })
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
