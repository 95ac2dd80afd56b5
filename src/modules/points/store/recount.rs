//! What checks and explanations read: accounts as they are stored, and what their ledgers say.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::LAST;
use super::walk::{Link, link};
use super::{ACCOUNT, KEYS, TRANSACTION, keys, limit};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::kernel::page::Page;
use crate::modules::points::ledger::{AccountRecord, Kind, TransactionRecord};

/// The users after `after` who have an account or a ledger.
pub(in super::super) async fn user_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    users_beside_accounts(connection, backend, ("point_transactions", "true"), after, size).await
}

/// The users after `after` who have an account, or such rows in another table.
pub(super) async fn users_beside_accounts(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (table, which): (&'static str, &'static str),
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let text = format!(
        "SELECT lane, user_id FROM
         (SELECT lane, user_id FROM point_accounts WHERE (lane, user_id) > ($1, $2)
          ORDER BY lane, user_id LIMIT $3) a
         UNION SELECT lane, user_id FROM
         (SELECT DISTINCT lane, user_id FROM {table} WHERE (lane, user_id) > ($1, $2) AND {which}
          ORDER BY lane, user_id LIMIT $3) t
         ORDER BY lane, user_id LIMIT $3"
    );
    let values: [Value; 3] = [after.0.into(), after.1.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let found = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "user_id")?)));
    Ok(found.collect::<Result<_, DbErr>>()?)
}

/// The ledger of a user, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Sum {
    /// How many transactions.
    pub(in super::super) count: i64,
    /// All amounts; beyond 64 bits where somebody wrote into the ledger by hand.
    pub(in super::super) total: i128,
}

#[derive(FromQueryResult)]
struct SumRow {
    lane: i16,
    user_id: Uuid,
    n: i64,
    high: i64,
    low: i64,
}

/// An account as it is stored, and what its ledger says.
pub(in super::super) struct Recounted {
    pub(in super::super) stored: Option<AccountRecord>,
    pub(in super::super) last: Option<TransactionRecord>,
    pub(in super::super) sum: Sum,
    /// How often something of it was found to differ.
    pub(in super::super) incidents: i64,
}

#[derive(FromQueryResult)]
struct CountRow {
    lane: i16,
    user_id: Uuid,
    n: i64,
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

/// The account under each key, if there is one.
pub(in super::super) async fn account_by_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<HashMap<Key, AccountRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "SELECT a.lane, {ACCOUNT} FROM {{rows}} {{cross}} point_accounts a ON a.lane = r.lane AND a.user_id = r.id"
        );
        Sql::new(&text, KEYS)
    });
    let found = connection.query_all_raw(SQL.bind(backend, keys(&SQL, wanted.iter().copied()), [])).await?;
    let found = found.iter().map(|row| {
        let account = AccountRecord::from_query_result(row, "")?;
        Ok(((row.try_get("", "lane")?, account.user_id), account))
    });
    Ok(found.collect::<Result<_, DbErr>>()?)
}

/// How often something of these accounts was found to differ; 0 is left out.
pub(in super::super) async fn incident_counts(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<HashMap<Key, i64>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.lane, r.id AS user_id, count(*) AS n FROM {rows} {cross} point_incidents i
             ON i.lane = r.lane AND i.user_id = r.id GROUP BY r.lane, r.id",
            KEYS,
        )
    });
    let found: Vec<CountRow> = rows(connection, backend, &SQL, wanted).await?;
    Ok(found.into_iter().map(|row| ((row.lane, row.user_id), row.n)).collect())
}

/// These ledgers, added up; those without transactions are left out.
pub(in super::super) async fn sums(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<HashMap<Key, Sum>> {
    // In two halves: amounts that were written by hand may add up to more than 64 bits, which both databases refuse.
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.lane, r.id AS user_id, count(*) AS n, CAST(sum(t.amount / 4294967296) AS bigint) AS high,
             CAST(sum(t.amount % 4294967296) AS bigint) AS low
             FROM {rows} {cross} point_transactions t ON t.lane = r.lane AND t.user_id = r.id GROUP BY r.lane, r.id",
            KEYS,
        )
    });
    let found: Vec<SumRow> = rows(connection, backend, &SQL, wanted).await?;
    let sum = |row: SumRow| {
        let total = (i128::from(row.high) << 32) + i128::from(row.low);
        ((row.lane, row.user_id), Sum { count: row.n, total })
    };
    Ok(found.into_iter().map(sum).collect())
}

/// These accounts and what their ledgers say, in the order of the keys.
pub(in super::super) async fn recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<Vec<Recounted>> {
    let mut stored = account_by_keys(connection, backend, wanted).await?;
    let last = connection.query_all_raw(LAST.bind(backend, keys(&LAST, wanted.iter().copied()), [])).await?;
    // One that cannot be read is none: its account is looked at again, and its chain says what is wrong.
    let last = last.iter().filter_map(|row| TransactionRecord::from_query_result(row, "").ok());
    let mut last: HashMap<Key, TransactionRecord> = last.map(|row| ((row.lane, row.user_id), row)).collect();
    let sums = sums(connection, backend, wanted).await?;
    let incidents = incident_counts(connection, backend, wanted).await?;
    let recounted = wanted.iter().map(|key| Recounted {
        stored: stored.remove(key),
        last: last.remove(key),
        sum: sums.get(key).copied().unwrap_or_default(),
        incidents: incidents.get(key).copied().unwrap_or(0),
    });
    Ok(recounted.collect())
}

/// Locks an account, whatever its lane, and returns it; none is locked where there is none.
pub(in super::super) async fn account_lock(tx: &Tx, (lane, user): Key) -> Result<Option<AccountRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text =
            format!("SELECT {ACCOUNT} FROM point_accounts a WHERE a.lane = {{1}} AND a.user_id = {{2}} {{lock a}}");
        Sql::new(&text, &[])
    });
    let statement = SQL.bind(tx.backend(), SQL.rows(), [lane.into(), user.into()]);
    let found = tx.connection().query_one_raw(statement).await?;
    Ok(found.map(|row| AccountRecord::from_query_result(&row, "")).transpose()?)
}

/// Removes an account that a repair made, if that is undone.
pub(in super::super) async fn account_delete(tx: &Tx, (lane, user): Key) -> Result<()> {
    let text = "DELETE FROM point_accounts WHERE lane = $1 AND user_id = $2";
    tx.execute(Statement::from_sql_and_values(tx.backend(), text, [lane.into(), user.into()])).await?;
    Ok(())
}

/// What an explanation lists of a transaction: of one that cannot be read, what can.
#[derive(Clone, Copy)]
pub(in super::super) struct Listed {
    pub(in super::super) sequence: i64,
    pub(in super::super) id: Option<Uuid>,
    pub(in super::super) kind: Option<Kind>,
    pub(in super::super) amount: Option<i64>,
    pub(in super::super) at: Option<Millis>,
    /// The first field that cannot be read.
    pub(in super::super) unreadable: Option<&'static str>,
}

impl Listed {
    fn of(row: &QueryResult) -> Result<Self> {
        let unreadable = match link(row)? {
            Link::Read(_) => None,
            Link::Unreadable { field, .. } => Some(field),
        };
        let kind = row.try_get("", "kind").ok().and_then(Kind::from_number);
        let (id, amount) = (row.try_get("", "id").ok(), row.try_get("", "amount").ok());
        let (sequence, at) = (row.try_get("", "sequence")?, row.try_get("", "created_at").ok());
        Ok(Self { sequence, id, kind, amount, at, unreadable })
    }
}

/// One transaction of a user more than the page holds, oldest first, in the direction of reading.
pub(in super::super) async fn transaction_page(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
    page: &Page,
) -> Result<Vec<Listed>> {
    let (further, back, direction) = if page.backward { ("<", ">", "DESC") } else { (">", "<", "ASC") };
    let mut text = format!("SELECT {TRANSACTION} FROM point_transactions t WHERE t.lane = $1 AND t.user_id = $2");
    let mut values: Vec<Value> = vec![lane.into(), user.into(), limit(page.size + 1).into()];
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.value.unwrap_or_default().into());
            text.push_str(&format!(" AND t.sequence {side} ${}", values.len()));
        }
    }
    text.push_str(&format!(" ORDER BY t.sequence {direction} LIMIT $3"));
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    found.iter().map(Listed::of).collect()
}

/// How many accounts and how many incidents there are, for operators.
pub(in super::super) async fn totals(connection: &impl ConnectionTrait, backend: DbBackend) -> Result<(i64, i64)> {
    let text = "SELECT (SELECT count(*) FROM point_accounts) AS accounts,
         (SELECT count(*) FROM point_incidents) AS incidents";
    let row = connection.query_one_raw(Statement::from_string(backend, text)).await?;
    let number = |name| row.as_ref().map(|row| row.try_get("", name)).transpose();
    Ok((number("accounts")?.unwrap_or(0), number("incidents")?.unwrap_or(0)))
}
