//! Ledgers in the order of their chains.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement, Value};

use super::{TRANSACTION, limit};
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::points::ledger::TransactionRecord;

fn records(rows: &[QueryResult]) -> Result<Vec<TransactionRecord>> {
    Ok(rows.iter().map(|row| TransactionRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// The transactions of one account after a sequence.
pub(in super::super) async fn transaction_after(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
    sequence: i64,
    size: usize,
) -> Result<Vec<TransactionRecord>> {
    let text = format!(
        "SELECT {TRANSACTION} FROM point_transactions t WHERE t.lane = $1 AND t.user_id = $2 AND t.sequence > $3
         ORDER BY t.lane, t.user_id, t.sequence LIMIT $4"
    );
    let values: [Value; 4] = [lane.into(), user.into(), sequence.into(), limit(size).into()];
    records(&connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?)
}

/// The transactions of all accounts up to `to`, after a sequence of one.
pub(in super::super) async fn transaction_range(
    db: &Db,
    from: (Key, i64),
    to: Key,
    size: usize,
) -> Result<Vec<TransactionRecord>> {
    let text = format!(
        "SELECT {TRANSACTION} FROM point_transactions t
         WHERE (t.lane, t.user_id, t.sequence) > ($1, $2, $3) AND (t.lane, t.user_id) <= ($4, $5)
         ORDER BY t.lane, t.user_id, t.sequence LIMIT $6"
    );
    let ((lane, user), sequence) = from;
    let values: [Value; 6] = [lane.into(), user.into(), sequence.into(), to.0.into(), to.1.into(), limit(size).into()];
    records(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)
}
