//! What is removed: of deleted contents and users, and of old age. In chunks; a notification goes first and at once,
//! its acts follow.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{KEYS, NEXT_BY_KEY, NOTIFICATION, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::hash_of;
use crate::modules::notifications::notification::{NotificationRecord, lane};

/// Remembers deleted contents and users by hashes of their ids; of `pending` ones something is left to be removed.
pub(in super::super) async fn gone_put(
    tx: &Tx,
    gone: impl IntoIterator<Item = (Uuid, bool)>,
    now: Millis,
) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO notification_gone (id_hash, gone_at, pending_id)
             SELECT r.id_hash, r.gone_at, CASE WHEN r.pending = 1 THEN r.id END FROM {rows}
             WHERE true ON CONFLICT (id_hash) DO NOTHING",
            &[("id_hash", Col::Id), ("id", Col::Id), ("gone_at", Col::Int), ("pending", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (id, pending) in gone {
        rows.push([hash_of(id).into(), id.into(), now.0.into(), i16::from(pending).into()]);
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
        let text = "SELECT r.id FROM {rows} {cross} notification_gone g ON g.id_hash = r.id_hash";
        Sql::new(text, &[("id", Col::Id), ("id_hash", Col::Id)])
    });
    let mut rows = SQL.rows();
    for id in ids {
        rows.push([id.into(), hash_of(id).into()]);
    }
    let found: Vec<IdRow> = tx.select(&SQL, rows).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// A deleted user of whom something may be left.
pub(in super::super) async fn gone_pending(db: &Db) -> Result<Option<Uuid>> {
    let text = "SELECT pending_id FROM notification_gone WHERE pending_id IS NOT NULL ORDER BY pending_id LIMIT 1";
    let found = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(found.first().map(|row| row.try_get("", "pending_id")).transpose()?)
}

/// Nothing is left of a deleted user; its totals go with it.
pub(in super::super) async fn gone_settled(tx: &Tx, user: Uuid) -> Result<()> {
    let totals = "DELETE FROM notification_totals WHERE lane = $1 AND user_id = $2";
    let values: [Value; 2] = [lane(user).into(), user.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), totals, values)).await?;
    let settled = "UPDATE notification_gone SET pending_id = NULL WHERE id_hash = $1";
    tx.execute(Statement::from_sql_and_values(tx.backend(), settled, [hash_of(user).into()])).await?;
    Ok(())
}

/// Something is to be removed of a deleted user once more.
pub(in super::super) async fn gone_resume(tx: &Tx, user: Uuid, now: Millis) -> Result<()> {
    let text = "INSERT INTO notification_gone (id_hash, gone_at, pending_id) VALUES ($1, $2, $3)
         ON CONFLICT (id_hash) DO UPDATE SET pending_id = excluded.pending_id, begun = CASE
             WHEN notification_gone.pending_id IS NULL THEN 0 ELSE notification_gone.begun END";
    let values: [Value; 3] = [hash_of(user).into(), now.0.into(), user.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    Ok(())
}

/// Notes that the job has begun with a deleted user: from then on nobody calls it off. False when somebody has.
pub(in super::super) async fn gone_begin(tx: &Tx, user: Uuid) -> Result<bool> {
    let text = "UPDATE notification_gone SET begun = 1 WHERE id_hash = $1 AND pending_id IS NOT NULL";
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, [hash_of(user).into()])).await?.rows_affected()
        == 1)
}

/// Takes that back. Whether it was still to be done, and not begun.
pub(in super::super) async fn gone_call_off(tx: &Tx, user: Uuid) -> Result<bool> {
    let text = "UPDATE notification_gone SET pending_id = NULL
         WHERE id_hash = $1 AND pending_id IS NOT NULL AND begun = 0";
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, [hash_of(user).into()])).await?.rows_affected()
        == 1)
}

/// Forgets deletions that are older than `before`; returns how many.
pub(in super::super) async fn gone_prune(tx: &Tx, before: Millis, size: i64) -> Result<u64> {
    let text = "DELETE FROM notification_gone WHERE id_hash IN
         (SELECT id_hash FROM notification_gone WHERE pending_id IS NULL AND gone_at < $1 ORDER BY gone_at LIMIT $2)";
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
    // In the order of the index: a chunk is of few lanes.
    let text = "SELECT DISTINCT a.lane, a.notification_id AS id, n.user_id FROM notification_acts a
         JOIN notifications n ON n.lane = a.lane AND n.id = a.notification_id
         WHERE a.actor_id = $1 ORDER BY a.lane, a.notification_id LIMIT $2";
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, [actor.into(), size.into()])).await?;
    let row = |row: &sea_orm::QueryResult| {
        Ok((row.try_get("", "user_id")?, (row.try_get("", "lane")?, row.try_get("", "id")?)))
    };
    Ok(found.iter().map(row).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// Notifications whose last act is older than `before`: unread ones, or those that were read or that nobody is left of.
pub(in super::super) async fn notification_older(
    db: &Db,
    unread: bool,
    before: Millis,
    size: i64,
) -> Result<Vec<(Uuid, (i16, Uuid))>> {
    // Not a parameter: each is the condition of an index.
    let text = if unread {
        "SELECT lane, id, user_id FROM notifications WHERE unread = 1 AND updated_at < $1 ORDER BY updated_at LIMIT $2"
    } else {
        "SELECT lane, id, user_id FROM notifications WHERE unread = 0 AND updated_at < $1 ORDER BY updated_at LIMIT $2"
    };
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, [before.0.into(), size.into()])).await?;
    let row = |row: &sea_orm::QueryResult| {
        Ok((row.try_get("", "user_id")?, (row.try_get("", "lane")?, row.try_get("", "id")?)))
    };
    Ok(found.iter().map(row).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// PostgreSQL deletes by the rows' places: any join of keys with a table that was empty when it planned is a walk over
/// all of it. The places hold, because the rows of locked users are written by nobody else. SQLite would walk whole
/// lanes for pairs, and looks up each lane and id instead: an id has one lane, so that both mean the same.
static BURY: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "DELETE FROM notifications WHERE ctid = ANY (ARRAY(
                 SELECT n.place FROM {{rows}} CROSS JOIN LATERAL (SELECT ctid AS place, id {NEXT_BY_KEY}) n
                 WHERE n.id = r.id))"
        ),
        "DELETE FROM notifications
         WHERE lane IN (SELECT r.lane FROM {rows}) AND id IN (SELECT r.id FROM {rows})",
        KEYS,
    )
});

/// The same, of the acts of one actor.
static ACT_DELETE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        "DELETE FROM notification_acts WHERE ctid = ANY (ARRAY(
             SELECT a.place FROM {rows} CROSS JOIN LATERAL (SELECT ctid AS place FROM notification_acts
                 WHERE actor_id = {1} AND lane = r.lane AND notification_id = r.id
                 ORDER BY actor_id, lane, notification_id, present, sequence OFFSET 0) a))",
        "DELETE FROM notification_acts WHERE actor_id = {1}
         AND lane IN (SELECT r.lane FROM {rows}) AND notification_id IN (SELECT r.id FROM {rows})",
        KEYS,
    )
});

/// Some acts of one notification. SQLite would walk the lane for whole keys, and looks up each subject; PostgreSQL
/// would look for each act in all of them, and takes their places.
static GRAVE_ACTS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        "DELETE FROM notification_acts WHERE ctid = ANY (ARRAY(SELECT ctid FROM notification_acts
             WHERE lane = {1} AND notification_id = {2} ORDER BY lane, notification_id, subject_id LIMIT {3}))",
        "DELETE FROM notification_acts WHERE lane = {1} AND notification_id = {2} AND subject_id IN
             (SELECT subject_id FROM notification_acts WHERE lane = {1} AND notification_id = {2} LIMIT {3})",
        &[],
    )
});

/// Removes notifications of locked users; their acts are left to be removed.
pub(in super::super) async fn notification_bury(tx: &Tx, buried: &[NotificationRecord]) -> Result<()> {
    static GRAVES: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new("INSERT INTO notification_graves (lane, notification_id) SELECT r.lane, r.id FROM {rows}", KEYS)
    });
    tx.write_all(&BURY, keys(&BURY, buried.iter().map(NotificationRecord::key))).await?;
    tx.write_all(&GRAVES, keys(&GRAVES, buried.iter().map(NotificationRecord::key))).await
}

/// Removes all acts of an actor in these notifications, whose users are locked.
pub(in super::super) async fn act_delete(
    tx: &Tx,
    actor: Uuid,
    notifications: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<u64> {
    let statement = ACT_DELETE.bind(tx.backend(), keys(&ACT_DELETE, notifications), [actor.into()]);
    Ok(tx.execute(statement).await?.rows_affected())
}

/// Removes up to `size` acts of some removed notifications, and forgets those that have none left. Returns how many
/// rows went; 0: nothing is left of any. One notification after the other: for a list of pairs SQLite walks whole
/// lanes.
pub(in super::super) async fn grave_clear(tx: &Tx, size: i64) -> Result<u64> {
    let graves = "SELECT lane, notification_id FROM notification_graves ORDER BY lane, notification_id LIMIT 100";
    let grave = "DELETE FROM notification_graves WHERE lane = $1 AND notification_id = $2";
    let (mut left, mut gone) = (size, 0);
    for row in tx.connection().query_all_raw(Statement::from_string(tx.backend(), graves)).await? {
        let (lane, id): (i16, Uuid) = (row.try_get("", "lane")?, row.try_get("", "notification_id")?);
        let values: [Value; 3] = [lane.into(), id.into(), left.into()];
        let statement = GRAVE_ACTS.bind(tx.backend(), GRAVE_ACTS.rows(), values);
        let cleared = tx.execute(statement).await?.rows_affected();
        gone += cleared;
        left -= i64::try_from(cleared).unwrap_or(i64::MAX);
        if left <= 0 {
            break;
        }
        let values: [Value; 2] = [lane.into(), id.into()];
        gone += tx.execute(Statement::from_sql_and_values(tx.backend(), grave, values)).await?.rows_affected();
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::super::batch::{BY_IDS, ENDS};
    use super::*;
    use crate::kernel::db::{Migrations, plans};

    /// With the plans that PostgreSQL makes while the tables are empty, and keeps.
    #[tokio::test]
    async fn acts_are_found_by_whole_keys_on_postgres() {
        let backend = DbBackend::Postgres;
        let of_rows = "Index Cond: ((lane = u.lane) AND (notification_id = u.id))";
        let wanted: [(&str, &str, &[&str]); 5] = [
            (
                ENDS.text(backend),
                of_rows,
                &["Scan Backward using notification_acts_by_sequence", "Scan using notification_acts_by_sequence"],
            ),
            (
                ACT_DELETE.text(backend),
                "Index Cond: ((actor_id = $?) AND (lane = u.lane) AND (notification_id = u.id))",
                &["using notification_acts_by_actor", "Tid Scan"],
            ),
            (
                GRAVE_ACTS.text(backend),
                "Index Cond: ((lane = $?) AND (notification_id = $?))",
                &["using notification_acts_pkey", "Tid Scan"],
            ),
            (
                BURY.text(backend),
                "Index Cond: (ROW(lane, id) >= ROW(u.lane, u.id))",
                &["using notifications_pkey", "Tid Scan"],
            ),
            (BY_IDS.text(backend), "Index Cond: (ROW(lane, id) >= ROW(u.lane, u.id))", &["using notifications_pkey"]),
        ];
        let module = Migrations { module: "notifications", list: tally_migration::notifications::migrations };
        let plans = plans::of_empty_tables(&[module], &wanted.map(|(text, ..)| text)).await.unwrap();
        for (plans, (text, condition, parts)) in plans.iter().zip(wanted) {
            for plan in plans {
                let of_any = (1..10).fold(plan.clone(), |plan, n| plan.replace(&format!("${n}"), "$?"));
                assert!(of_any.contains(condition), "{text}\n{plan}");
                assert!(parts.iter().all(|part| plan.contains(part)), "{text}\n{plan}");
                assert!(!plan.contains("Sort") && !plan.contains("Join Filter"), "{text}\n{plan}");
            }
        }
    }
}
