//! What resolvers read.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::NOTIFICATION;
use crate::kernel::db::{Db, Sql};
use crate::kernel::error::Result;
use crate::kernel::page::Page;
use crate::modules::notifications::entity::Model;
use crate::modules::notifications::notification::{NotificationRecord, lane};

/// Which of a user's notifications a list shows.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Filter {
    pub(in super::super) user_id: Uuid,
    pub(in super::super) unread_only: bool,
}

impl Filter {
    /// The conditions, in the words of the indexes.
    fn conditions(self) -> (&'static str, Vec<Value>) {
        let shown = if self.unread_only {
            "n.lane = $1 AND n.user_id = $2 AND n.unread = 1"
        } else {
            "n.lane = $1 AND n.user_id = $2 AND n.actor_count > 0"
        };
        (shown, vec![lane(self.user_id).into(), self.user_id.into()])
    }
}

fn records(found: &[sea_orm::QueryResult]) -> Result<Vec<NotificationRecord>> {
    Ok(found.iter().map(|row| NotificationRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// One notification more than the page holds, in the direction of reading; the list is newest first.
pub(in super::super) async fn notification_page(
    db: &Db,
    filter: Filter,
    page: &Page,
) -> Result<Vec<NotificationRecord>> {
    let (conditions, mut values) = filter.conditions();
    let mut text = conditions.to_owned();
    let (further, back, direction) = if page.backward { (">", "<", "ASC") } else { ("<", ">", "DESC") };
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.value.unwrap_or(i64::MIN).into());
            values.push(cursor.id.into());
            text.push_str(&format!(" AND (n.updated_at, n.id) {side} (${}, ${})", values.len() - 1, values.len()));
        }
    }
    values.push(i64::try_from(page.size + 1).unwrap_or(i64::MAX).into());
    let text = format!(
        "SELECT {NOTIFICATION} FROM notifications n WHERE {text}
         ORDER BY n.updated_at {direction}, n.id {direction} LIMIT ${}",
        values.len()
    );
    records(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)
}

/// How many notifications a list has.
pub(in super::super) async fn notification_count(db: &Db, filter: Filter) -> Result<i64> {
    let (conditions, values) = filter.conditions();
    let text = format!("SELECT count(*) AS n FROM notifications n WHERE {conditions}");
    let rows = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(rows.first().map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// One of a user's notifications, if somebody is left of it.
pub(in super::super) async fn notification_of(db: &Db, user: Uuid, id: Uuid) -> Result<Option<NotificationRecord>> {
    let text = format!(
        "SELECT {NOTIFICATION} FROM notifications n
         WHERE n.lane = $1 AND n.id = $2 AND n.user_id = $3 AND n.actor_count > 0"
    );
    let values: [Value; 3] = [lane(user).into(), id.into(), user.into()];
    Ok(records(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)?.pop())
}

/// How many notifications users have not read; those who were never told anything are left out.
pub(in super::super) async fn unread_counts(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = "SELECT t.* FROM {rows} {cross} notification_totals t ON t.lane = r.lane AND t.user_id = r.id";
        Sql::new(text, super::KEYS)
    });
    let rows = super::keys(&SQL, users.iter().map(|user| (lane(*user), *user)));
    let found = db.query(SQL.bind(db.backend(), rows, [])).await?;
    let total = |row| Model::from_query_result(row, "").map(|total| (total.user_id, total.unread_count));
    Ok(found.iter().map(total).collect::<Result<_, _>>()?)
}

/// Somebody whose act holds in a notification.
#[derive(FromQueryResult)]
pub(in super::super) struct ActorRow {
    pub(in super::super) notification_id: Uuid,
    pub(in super::super) actor_id: Uuid,
}

/// The `size` newest actors of each notification, newest first; each once, by the newest of their acts.
pub(in super::super) async fn actor_by_ids(db: &Db, keys: &[(i16, Uuid)], size: usize) -> Result<Vec<ActorRow>> {
    // The first act that still belongs to the newest ones is found in the index; from there it is a range.
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let newest = |a: &str| {
            format!(
                "{a}.lane = r.lane AND {a}.notification_id = r.id AND {a}.present = 1 AND NOT EXISTS
                 (SELECT 1 FROM notification_acts o WHERE o.actor_id = {a}.actor_id AND o.lane = r.lane
                  AND o.notification_id = r.id AND o.present = 1 AND o.sequence > {a}.sequence)"
            )
        };
        Sql::new(
            &format!(
                "SELECT a.notification_id, a.actor_id FROM {{rows}} {{cross}} notification_acts a ON {}
                 AND a.sequence >= coalesce((SELECT b.sequence FROM notification_acts b WHERE {}
                     ORDER BY b.sequence DESC LIMIT 1 OFFSET {{1}}), {{2}})
                 ORDER BY a.notification_id, a.sequence DESC",
                newest("a"),
                newest("b")
            ),
            super::KEYS,
        )
    });
    let offset = i64::try_from(size).unwrap_or(i64::MAX) - 1;
    let statement = SQL.bind(db.backend(), super::keys(&SQL, keys.iter().copied()), [offset.into(), i64::MIN.into()]);
    let found = db.query(statement).await?;
    Ok(found.iter().map(|row| ActorRow::from_query_result(row, "")).collect::<Result<_, _>>()?)
}
