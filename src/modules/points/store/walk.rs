//! Ledgers in the order of their chains.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement, TryGetable, Value};
use uuid::Uuid;

use super::{TRANSACTION, limit};
use crate::kernel::clock::Millis;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::points::ledger::TransactionRecord;

/// A transaction as it is stored.
pub(in super::super) enum Link {
    /// One that can be read.
    Read(Box<TransactionRecord>),
    /// One with a value that is none of its column's: SQLite takes texts that are none, and anything into tables that
    /// were made without STRICT.
    Unreadable {
        /// Whose.
        key: Key,
        /// Its place in the ledger.
        sequence: i64,
        /// The first such field.
        field: &'static str,
    },
}

impl Link {
    /// Of which ledger it is, and its place in that.
    pub(in super::super) fn place(&self) -> (Key, i64) {
        match self {
            Self::Read(row) => ((row.lane, row.user_id), row.sequence),
            Self::Unreadable { key, sequence, .. } => (*key, *sequence),
        }
    }
}

/// Whether a column of a row is not of its type.
type Unreadable = fn(&QueryResult, &str) -> bool;

fn not<T: TryGetable>(row: &QueryResult, column: &str) -> bool {
    row.try_get::<T>("", column).is_err()
}

/// Fields, their columns and types; those of the key apart.
const COLUMNS: [(&str, &str, Unreadable); 14] = [
    ("id", "id", not::<Uuid>),
    ("amount", "amount", not::<i64>),
    ("balanceAfter", "balance_after", not::<i64>),
    ("overdraftLimit", "overdraft_limit", not::<i64>),
    ("kind", "kind", not::<i16>),
    ("reason", "reason", not::<String>),
    ("actorId", "actor_id", not::<Uuid>),
    ("idempotencyKey", "idempotency_key", not::<String>),
    ("inputHash", "input_hash", not::<Vec<u8>>),
    ("reversesId", "reverses_id", not::<Option<Uuid>>),
    ("prevHash", "prev_hash", not::<Vec<u8>>),
    ("fieldMarks", "field_marks", not::<Vec<u8>>),
    ("hash", "hash", not::<Vec<u8>>),
    ("createdAt", "created_at", not::<Millis>),
];

pub(super) fn link(row: &QueryResult) -> Result<Link> {
    let error = match TransactionRecord::from_query_result(row, "") {
        Ok(read) => return Ok(Link::Read(Box::new(read))),
        Err(error) => error,
    };
    let field = COLUMNS.iter().find(|(_, column, unreadable)| unreadable(row, column));
    match field {
        Some((field, ..)) => Ok(Link::Unreadable {
            key: (row.try_get("", "lane")?, row.try_get("", "user_id")?),
            sequence: row.try_get("", "sequence")?,
            field,
        }),
        None => Err(error.into()),
    }
}

/// Rows as they are stored.
pub(super) fn links(rows: &[QueryResult]) -> Result<Vec<Link>> {
    rows.iter().map(link).collect()
}

/// The transactions of one account after a sequence.
pub(in super::super) async fn transaction_after(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
    sequence: i64,
    size: usize,
) -> Result<Vec<Link>> {
    let text = format!(
        "SELECT {TRANSACTION} FROM point_transactions t WHERE t.lane = $1 AND t.user_id = $2 AND t.sequence > $3
         ORDER BY t.lane, t.user_id, t.sequence LIMIT $4"
    );
    let values: [Value; 4] = [lane.into(), user.into(), sequence.into(), limit(size).into()];
    links(&connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?)
}

/// The transactions of all accounts up to `to`, after a sequence of one.
pub(in super::super) async fn transaction_range(db: &Db, from: (Key, i64), to: Key, size: usize) -> Result<Vec<Link>> {
    let text = format!(
        "SELECT {TRANSACTION} FROM point_transactions t
         WHERE (t.lane, t.user_id, t.sequence) > ($1, $2, $3) AND (t.lane, t.user_id) <= ($4, $5)
         ORDER BY t.lane, t.user_id, t.sequence LIMIT $6"
    );
    let ((lane, user), sequence) = from;
    let values: [Value; 6] = [lane.into(), user.into(), sequence.into(), to.0.into(), to.1.into(), limit(size).into()];
    links(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)
}
