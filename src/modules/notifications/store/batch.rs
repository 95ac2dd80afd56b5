//! What writers lock, read and write. The row of a user's totals is the lock of all that the user is told.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use super::{KEYS, NEXT_BY_KEY, NOTIFICATION, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::notifications::notification::{Kind, NotificationRecord, lane};

/// A user's totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(in super::super) struct TotalsRow {
    pub(in super::super) user_id: Uuid,
    pub(in super::super) version: i64,
    pub(in super::super) unread_count: i64,
}

/// Makes the totals of users who have none yet. `users` are in key order: two writers wait for one another, and no more.
pub(in super::super) async fn totals_ensure(tx: &Tx, users: impl IntoIterator<Item = (i16, Uuid)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO notification_totals (lane, user_id, version, unread_count)
             SELECT r.lane, r.id, 0, 0 FROM {rows} WHERE true ORDER BY r.lane, r.id
             ON CONFLICT (lane, user_id) DO NOTHING",
            KEYS,
        )
    });
    tx.execute(SQL.bind(tx.backend(), keys(&SQL, users), [])).await?;
    Ok(())
}

/// Locks the totals of users in key order and returns them; users without any are left out.
pub(in super::super) async fn totals_lock(
    tx: &Tx,
    users: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<TotalsRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT t.user_id, t.version, t.unread_count FROM {rows} {cross} notification_totals t
             ON t.lane = r.lane AND t.user_id = r.id ORDER BY t.lane, t.user_id {lock t}",
            KEYS,
        )
    });
    tx.select(&SQL, keys(&SQL, users)).await
}

/// Writes totals of locked users.
pub(in super::super) async fn totals_update(tx: &Tx, totals: impl IntoIterator<Item = TotalsRow>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE notification_totals AS t SET version = r.version, unread_count = r.unread_count
             FROM {rows} WHERE t.lane = r.lane AND t.user_id = r.id",
            &[("lane", Col::Small), ("id", Col::Id), ("version", Col::Int), ("unread_count", Col::Int)],
        )
    });
    let mut rows = SQL.rows();
    for row in totals {
        rows.push([lane(row.user_id).into(), row.user_id.into(), row.version.into(), row.unread_count.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// The notifications of these (user, content, kind), as far as there are any.
pub(in super::super) async fn notification_by_keys(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (Uuid, Uuid, Kind)>,
) -> Result<Vec<NotificationRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!(
                "SELECT {NOTIFICATION} FROM {{rows}} {{cross}} notifications n ON n.lane = r.lane
                 AND n.user_id = r.user_id AND n.content_id = r.content_id AND n.kind = r.kind"
            ),
            &[("lane", Col::Small), ("user_id", Col::Id), ("content_id", Col::Id), ("kind", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (user, content, kind) in wanted {
        rows.push([lane(user).into(), user.into(), content.into(), kind.number().into()]);
    }
    tx.select(&SQL, rows).await
}

pub(in super::super) static BY_IDS: LazyLock<Sql> = LazyLock::new(|| {
    let by_key =
        format!("SELECT {NOTIFICATION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * {NEXT_BY_KEY}) n WHERE n.id = r.id");
    let join =
        format!("SELECT {NOTIFICATION} FROM {{rows}} {{cross}} notifications n ON n.lane = r.lane AND n.id = r.id");
    Sql::of_both(&by_key, &join, KEYS)
});

/// Notifications of locked users by their keys.
pub(in super::super) async fn notification_by_ids(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<NotificationRecord>> {
    tx.select(&BY_IDS, keys(&BY_IDS, wanted)).await
}

/// An act: who did what, or took it back, by the event with the highest sequence so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ActRow {
    pub(in super::super) notification_id: Uuid,
    pub(in super::super) subject_id: Uuid,
    pub(in super::super) actor_id: Uuid,
    pub(in super::super) level: i16,
    pub(in super::super) sequence: i64,
    pub(in super::super) acted_at: Millis,
    pub(in super::super) present: bool,
}

impl FromQueryResult for ActRow {
    fn from_query_result(row: &sea_orm::QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        Ok(Self {
            notification_id: row.try_get(prefix, "notification_id")?,
            subject_id: row.try_get(prefix, "subject_id")?,
            actor_id: row.try_get(prefix, "actor_id")?,
            level: row.try_get(prefix, "level")?,
            sequence: row.try_get(prefix, "sequence")?,
            acted_at: row.try_get(prefix, "acted_at")?,
            present: row.try_get::<i16>(prefix, "present")? != 0,
        })
    }
}

/// All acts of these (lane, notification, actor).
pub(in super::super) async fn act_by_actors(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (i16, Uuid, Uuid)>,
) -> Result<Vec<ActRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT a.notification_id, a.subject_id, a.actor_id, a.level, a.sequence, a.acted_at, a.present
             FROM {rows} {cross} notification_acts a
             ON a.actor_id = r.actor_id AND a.lane = r.lane AND a.notification_id = r.id",
            &[("lane", Col::Small), ("id", Col::Id), ("actor_id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for (lane, notification, actor) in wanted {
        rows.push([lane.into(), notification.into(), actor.into()]);
    }
    tx.select(&SQL, rows).await
}

/// Writes acts as they are now, each with the lane of its notification.
pub(in super::super) async fn act_put(tx: &Tx, acts: impl IntoIterator<Item = (i16, ActRow)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO notification_acts
             (lane, notification_id, subject_id, actor_id, level, sequence, acted_at, present)
             SELECT r.lane, r.notification_id, r.subject_id, r.actor_id, r.level, r.sequence, r.acted_at, r.present
             FROM {rows} WHERE true
             ON CONFLICT (lane, notification_id, subject_id) DO UPDATE SET actor_id = excluded.actor_id,
             level = excluded.level, sequence = excluded.sequence, acted_at = excluded.acted_at,
             present = excluded.present",
            &[
                ("lane", Col::Small),
                ("notification_id", Col::Id),
                ("subject_id", Col::Id),
                ("actor_id", Col::Id),
                ("level", Col::Small),
                ("sequence", Col::Int),
                ("acted_at", Col::Int),
                ("present", Col::Small),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (lane, act) in acts {
        rows.push([
            lane.into(),
            act.notification_id.into(),
            act.subject_id.into(),
            act.actor_id.into(),
            act.level.into(),
            act.sequence.into(),
            act.acted_at.0.into(),
            i16::from(act.present).into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// The ends of what holds in a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub(in super::super) struct EndsRow {
    pub(in super::super) notification_id: Uuid,
    pub(in super::super) sequence: i64,
    pub(in super::super) actor_id: Uuid,
    pub(in super::super) level: i16,
    pub(in super::super) newest_at: Millis,
    pub(in super::super) first_at: Millis,
}

/// The newest and the first act that hold, in two steps along the index. Of the levels that one event reached the
/// highest is the newest.
pub(in super::super) static ENDS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        // In the words of the index, and with limits: joined, PostgreSQL reads every act of the notification.
        "SELECT r.id AS notification_id, l.sequence, l.actor_id, l.level, l.acted_at AS newest_at, f.acted_at AS first_at
         FROM {rows}
         CROSS JOIN LATERAL (SELECT a.sequence, a.actor_id, a.level, a.acted_at FROM notification_acts a
             WHERE a.lane = r.lane AND a.notification_id = r.id AND a.present = 1
             ORDER BY a.lane DESC, a.notification_id DESC, a.sequence DESC, a.subject_id DESC LIMIT 1) l
         CROSS JOIN LATERAL (SELECT a.acted_at FROM notification_acts a
             WHERE a.lane = r.lane AND a.notification_id = r.id AND a.present = 1
             ORDER BY a.lane, a.notification_id, a.sequence, a.subject_id LIMIT 1) f",
        "SELECT r.id AS notification_id, l.sequence, l.actor_id, l.level, l.acted_at AS newest_at, f.acted_at AS first_at
         FROM {rows}
         {cross} notification_acts l ON l.lane = r.lane AND l.notification_id = r.id AND l.subject_id =
             (SELECT a.subject_id FROM notification_acts a WHERE a.lane = r.lane AND a.notification_id = r.id
              AND a.present = 1 ORDER BY a.sequence DESC, a.subject_id DESC LIMIT 1)
         {cross} notification_acts f ON f.lane = r.lane AND f.notification_id = r.id AND f.subject_id =
             (SELECT a.subject_id FROM notification_acts a WHERE a.lane = r.lane AND a.notification_id = r.id
              AND a.present = 1 ORDER BY a.sequence, a.subject_id LIMIT 1)",
        KEYS,
    )
});

/// The ends of notifications in which something holds.
pub(in super::super) async fn ends_by_ids(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<EndsRow>> {
    tx.select(&ENDS, keys(&ENDS, wanted)).await
}

/// Writes notifications of locked users as they are now.
pub(in super::super) async fn notification_put<'a>(
    tx: &Tx,
    notifications: impl IntoIterator<Item = &'a NotificationRecord>,
) -> Result<()> {
    const COLUMNS: &[(&str, Col)] = &[
        ("lane", Col::Small),
        ("id", Col::Id),
        ("user_id", Col::Id),
        ("content_id", Col::Id),
        ("kind", Col::Small),
        ("version", Col::Int),
        ("actor_count", Col::Int),
        ("last_actor_id", Col::Id),
        ("level", Col::Small),
        ("newest_sequence", Col::Int),
        ("read_sequence", Col::Int),
        ("unread", Col::Small),
        ("read_at", Col::OptInt),
        ("created_at", Col::Int),
        ("updated_at", Col::Int),
    ];
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        // Whose it is, of what: that never changes.
        let set: Vec<_> = names[5..].iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let (names, set) = (names.join(", "), set.join(", "));
        Sql::new(
            &format!(
                "INSERT INTO notifications ({names}) SELECT {names} FROM {{rows}} WHERE true
                 ON CONFLICT (lane, id) DO UPDATE SET {set}"
            ),
            COLUMNS,
        )
    });
    let mut rows = SQL.rows();
    for n in notifications {
        rows.push([
            lane(n.user_id).into(),
            n.id.into(),
            n.user_id.into(),
            n.content_id.into(),
            n.kind.number().into(),
            n.version.into(),
            n.actor_count.into(),
            n.last_actor_id.into(),
            n.level.into(),
            n.newest_sequence.into(),
            n.read_sequence.into(),
            i16::from(n.unread).into(),
            n.read_at.map(|at| at.0).into(),
            n.created_at.0.into(),
            n.updated_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// The unread ones among these ids, of a locked user.
pub(in super::super) async fn unread_by_ids(tx: &Tx, user: Uuid, ids: &[Uuid]) -> Result<Vec<NotificationRecord>> {
    let found = notification_by_ids(tx, ids.iter().map(|id| (lane(user), *id))).await?;
    Ok(found.into_iter().filter(|n| n.user_id == user && n.unread).collect())
}

/// Up to `size` unread ones of a locked user that last changed by a version up to `version`.
pub(in super::super) async fn unread_up_to(
    tx: &Tx,
    user: Uuid,
    version: i64,
    size: i64,
) -> Result<Vec<NotificationRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "SELECT {NOTIFICATION} FROM notifications n WHERE n.lane = {{1}} AND n.user_id = {{2}} AND n.unread = 1
             AND n.version <= {{3}} ORDER BY n.updated_at, n.id LIMIT {{4}}"
        );
        Sql::new(&text, &[])
    });
    let scalars = [lane(user).into(), user.into(), version.into(), size.into()];
    found(&tx.connection().query_all_raw(SQL.bind(tx.backend(), SQL.rows(), scalars)).await?)
}

fn found<T: FromQueryResult>(rows: &[sea_orm::QueryResult]) -> Result<Vec<T>> {
    Ok(rows.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, _>>()?)
}
