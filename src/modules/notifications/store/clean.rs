//! What is removed: of deleted contents and users, and of old age. In chunks; a notification goes first and at once,
//! its acts follow.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{KEYS, NOTIFICATION, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::notifications::notification::{NotificationRecord, lane};

/// Remembers deleted contents and users; of `pending` ones something is left to be removed.
pub(in super::super) async fn gone_put(
    tx: &Tx,
    gone: impl IntoIterator<Item = (Uuid, bool)>,
    now: Millis,
) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO notification_gone (id, gone_at, pending) SELECT r.id, r.gone_at, r.pending FROM {rows}
             WHERE true ON CONFLICT (id) DO NOTHING",
            &[("id", Col::Id), ("gone_at", Col::Int), ("pending", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (id, pending) in gone {
        rows.push([id.into(), now.0.into(), i16::from(pending).into()]);
    }
    if !rows.is_empty() {
        tx.execute(SQL.bind(tx.backend(), rows, [])).await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct IdRow {
    id: Uuid,
}

/// Which of these contents and users are deleted.
pub(in super::super) async fn gone_among(tx: &Tx, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<Uuid>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new("SELECT g.id FROM {rows} {cross} notification_gone g ON g.id = r.id", &[("id", Col::Id)])
    });
    let mut rows = SQL.rows();
    for id in ids {
        rows.push([id.into()]);
    }
    let found: Vec<IdRow> = tx.select(&SQL, rows).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// A deleted user of whom something may be left.
pub(in super::super) async fn gone_pending(db: &Db) -> Result<Option<Uuid>> {
    let text = "SELECT id FROM notification_gone WHERE pending = 1 ORDER BY id LIMIT 1";
    let found = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(found.first().map(|row| row.try_get("", "id")).transpose()?)
}

/// Nothing is left of a deleted user; its totals go with it.
pub(in super::super) async fn gone_settled(tx: &Tx, user: Uuid) -> Result<()> {
    let totals = "DELETE FROM notification_totals WHERE lane = $1 AND user_id = $2";
    let values: [Value; 2] = [lane(user).into(), user.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), totals, values)).await?;
    let settled = "UPDATE notification_gone SET pending = 0 WHERE id = $1";
    tx.execute(Statement::from_sql_and_values(tx.backend(), settled, [user.into()])).await?;
    Ok(())
}

/// Forgets deletions that are older than `before`; returns how many.
pub(in super::super) async fn gone_prune(tx: &Tx, before: Millis, size: i64) -> Result<u64> {
    let text = "DELETE FROM notification_gone WHERE id IN
         (SELECT id FROM notification_gone WHERE pending = 0 AND gone_at < $1 ORDER BY gone_at LIMIT $2)";
    let delete = Statement::from_sql_and_values(tx.backend(), text, [before.0.into(), size.into()]);
    Ok(tx.execute(delete).await?.rows_affected())
}

/// All notifications of these (author, content), whatever their kind.
pub(in super::super) async fn notification_by_contents(
    tx: &Tx,
    contents: impl IntoIterator<Item = (Uuid, Uuid)>,
) -> Result<Vec<NotificationRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!(
                "SELECT {NOTIFICATION} FROM {{rows}} {{cross}} notifications n
                 ON n.lane = r.lane AND n.user_id = r.user_id AND n.content_id = r.content_id"
            ),
            &[("lane", Col::Small), ("user_id", Col::Id), ("content_id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for (user, content) in contents {
        rows.push([lane(user).into(), user.into(), content.into()]);
    }
    tx.select(&SQL, rows).await
}

/// Some notifications of a user, hidden ones too.
pub(in super::super) async fn notification_of_user(tx: &Tx, user: Uuid, size: i64) -> Result<Vec<NotificationRecord>> {
    let text = format!("SELECT {NOTIFICATION} FROM notifications n WHERE n.lane = $1 AND n.user_id = $2 LIMIT $3");
    let values: [Value; 3] = [lane(user).into(), user.into(), size.into()];
    let found = tx.connection().query_all_raw(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    Ok(found.iter().map(|row| NotificationRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// The users and keys of some notifications in which `actor` did something.
pub(in super::super) async fn notification_by_actor(
    db: &Db,
    actor: Uuid,
    size: i64,
) -> Result<Vec<(Uuid, (i16, Uuid))>> {
    let text = "SELECT DISTINCT n.lane, n.id, n.user_id FROM notification_acts a
         JOIN notifications n ON n.lane = a.lane AND n.id = a.notification_id
         WHERE a.actor_id = $1 LIMIT $2";
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, [actor.into(), size.into()])).await?;
    let row = |row: &sea_orm::QueryResult| {
        Ok((row.try_get("", "user_id")?, (row.try_get("", "lane")?, row.try_get("", "id")?)))
    };
    Ok(found.iter().map(row).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// Notifications that were read, or that nobody is left of, and whose last act is older than `before`.
pub(in super::super) async fn notification_older(
    db: &Db,
    before: Millis,
    size: i64,
) -> Result<Vec<(Uuid, (i16, Uuid))>> {
    let text = "SELECT lane, id, user_id FROM notifications WHERE unread = 0 AND updated_at < $1
         ORDER BY updated_at LIMIT $2";
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, [before.0.into(), size.into()])).await?;
    let row = |row: &sea_orm::QueryResult| {
        Ok((row.try_get("", "user_id")?, (row.try_get("", "lane")?, row.try_get("", "id")?)))
    };
    Ok(found.iter().map(row).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// Removes notifications of locked users; their acts are left to be removed.
pub(in super::super) async fn notification_bury(tx: &Tx, buried: &[NotificationRecord]) -> Result<()> {
    static DELETE: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new("DELETE FROM notifications WHERE (lane, id) IN (SELECT r.lane, r.id FROM {rows})", KEYS)
    });
    static GRAVES: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new("INSERT INTO notification_graves (lane, notification_id) SELECT r.lane, r.id FROM {rows}", KEYS)
    });
    tx.write_all(&DELETE, keys(&DELETE, buried.iter().map(NotificationRecord::key))).await?;
    tx.write_all(&GRAVES, keys(&GRAVES, buried.iter().map(NotificationRecord::key))).await
}

/// Removes all acts of an actor in these notifications, whose users are locked.
pub(in super::super) async fn act_delete(
    tx: &Tx,
    actor: Uuid,
    notifications: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<u64> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "DELETE FROM notification_acts WHERE actor_id = {1}
             AND (lane, notification_id) IN (SELECT r.lane, r.id FROM {rows})",
            KEYS,
        )
    });
    let delete = SQL.bind(tx.backend(), keys(&SQL, notifications), [actor.into()]);
    Ok(tx.execute(delete).await?.rows_affected())
}

/// Removes up to `size` acts of some removed notifications, and forgets those that have none left. Returns how many rows
/// went; 0: nothing is left of any.
pub(in super::super) async fn grave_clear(tx: &Tx, size: i64) -> Result<u64> {
    let acts = "DELETE FROM notification_acts WHERE (lane, notification_id, subject_id) IN
         (SELECT a.lane, a.notification_id, a.subject_id
          FROM (SELECT lane, notification_id FROM notification_graves ORDER BY lane, notification_id LIMIT $1) g
          JOIN notification_acts a ON a.lane = g.lane AND a.notification_id = g.notification_id LIMIT $1)";
    let cleared = tx.execute(Statement::from_sql_and_values(tx.backend(), acts, [size.into()])).await?;
    let empty = "DELETE FROM notification_graves WHERE (lane, notification_id) IN
         (SELECT g.lane, g.notification_id FROM notification_graves g WHERE NOT EXISTS
          (SELECT 1 FROM notification_acts a WHERE a.lane = g.lane AND a.notification_id = g.notification_id)
          ORDER BY g.lane, g.notification_id LIMIT $1)";
    let emptied = tx.execute(Statement::from_sql_and_values(tx.backend(), empty, [size.into()])).await?;
    Ok(cleared.rows_affected() + emptied.rows_affected())
}
