//! What resolvers read.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::BY_IDS;
use super::{KEYS, TRANSACTION, keys_of_users, limit};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Sql};
use crate::kernel::error::Result;
use crate::kernel::page::Page;
use crate::modules::points::entity::Model;
use crate::modules::points::ledger::{AccountRecord, Kind, TransactionRecord, lane};

/// Which of a user's transactions a list shows.
#[derive(Clone, Debug)]
pub(in super::super) struct Filter {
    pub(in super::super) user_id: Uuid,
    /// Of one of these kinds; of all without any.
    pub(in super::super) kinds: Vec<Kind>,
    pub(in super::super) actor_id: Option<Uuid>,
    /// From this moment on.
    pub(in super::super) from: Option<Millis>,
    /// Before this moment.
    pub(in super::super) to: Option<Millis>,
}

impl Filter {
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut text = "t.lane = $1 AND t.user_id = $2".to_owned();
        let mut values: Vec<Value> = vec![lane(self.user_id).into(), self.user_id.into()];
        let mut also = |condition: &str, value: Value| {
            values.push(value);
            text.push_str(&format!(" AND t.{condition} ${}", values.len()));
        };
        if let Some(actor) = self.actor_id {
            also("actor_id =", actor.into());
        }
        if let Some(from) = self.from {
            also("created_at >=", from.0.into());
        }
        if let Some(to) = self.to {
            also("created_at <", to.0.into());
        }
        if let [kind] = self.kinds[..] {
            also("kind =", kind.number().into());
        } else if !self.kinds.is_empty() {
            let numbers: Vec<_> = self.kinds.iter().map(|kind| kind.number().to_string()).collect();
            text.push_str(&format!(" AND t.kind IN ({})", numbers.join(", ")));
        }
        (text, values)
    }
}

fn records(rows: &[QueryResult]) -> Result<Vec<TransactionRecord>> {
    Ok(rows.iter().map(|row| TransactionRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// Up to one transaction more than the page holds, newest first, in the direction of reading.
pub(in super::super) async fn transaction_page(
    db: &Db,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<TransactionRecord>> {
    let (conditions, mut values) = filter.conditions();
    let mut text = format!("SELECT {TRANSACTION} FROM point_transactions t WHERE {conditions}");
    let (further, back, direction) = if page.backward { (">", "<", "ASC") } else { ("<", ">", "DESC") };
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.value.unwrap_or_default().into());
            text.push_str(&format!(" AND t.sequence {side} ${}", values.len()));
        }
    }
    values.push(limit(page.size + 1).into());
    text.push_str(&format!(" ORDER BY t.sequence {direction} LIMIT ${}", values.len()));
    records(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)
}

/// How many transactions a list has.
pub(in super::super) async fn transaction_count(db: &Db, filter: &Filter) -> Result<i64> {
    let (conditions, values) = filter.conditions();
    let text = format!("SELECT count(*) AS n FROM point_transactions t WHERE {conditions}");
    let rows = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(rows.first().map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// A user's balance at a moment; 0 before the first transaction.
pub(in super::super) async fn balance_at(db: &Db, user: Uuid, at: Millis) -> Result<i64> {
    let text = "SELECT balance_after AS n FROM point_transactions WHERE lane = $1 AND user_id = $2 AND created_at <= $3
         ORDER BY created_at DESC, sequence DESC LIMIT 1";
    let values: [Value; 3] = [lane(user).into(), user.into(), at.0.into()];
    let rows = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(rows.first().map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}

/// The accounts of users; those without one are left out.
pub(in super::super) async fn account_by_users(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, AccountRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        // PostgreSQL does not see how few keys there are, and would rather read some ten thousand accounts for one of them.
        Sql::of_both(
            "SELECT a.* FROM {rows} CROSS JOIN LATERAL (SELECT * FROM point_accounts p
             WHERE p.lane = r.lane AND p.user_id = r.id LIMIT 1) a",
            "SELECT a.* FROM {rows} {cross} point_accounts a ON a.lane = r.lane AND a.user_id = r.id",
            KEYS,
        )
    });
    let found = db.query(SQL.bind(db.backend(), keys_of_users(&SQL, users), [])).await?;
    let account = |row| Model::from_query_result(row, "").map(|model| (model.user_id, AccountRecord::from(model)));
    Ok(found.iter().map(account).collect::<Result<_, _>>()?)
}

/// Transactions by their ids, whose lane is in them.
pub(in super::super) async fn transaction_by_ids(db: &Db, ids: &[Uuid]) -> Result<HashMap<Uuid, TransactionRecord>> {
    let found = db.query(BY_IDS.bind(db.backend(), keys_of_users(&BY_IDS, ids), [])).await?;
    Ok(records(&found)?.into_iter().map(|record| (record.id, record)).collect())
}
