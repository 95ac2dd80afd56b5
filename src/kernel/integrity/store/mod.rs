//! The statements of runs, of what repairs replaced, of what each check found last, and of cells that cannot be read.

pub(super) mod cells;
mod changes;
mod runs;

use sea_orm::{DbErr, FromQueryResult, Statement, Value};

pub(crate) use changes::changes_page;
pub(super) use changes::{changes_from, changes_open, changes_put, changes_tried, kept_before};
pub(crate) use runs::{RunRow, last_runs, results, runs_page, runs_prune};
pub(super) use runs::{
    is_after_failure, repairs_alive, result_put, results_since, run_alive, run_begin, run_by_id, run_claim_undo,
    run_end, run_told, runs_untold,
};

use crate::kernel::db::{Db, Tx};
use crate::kernel::error::Result;

async fn run(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected())
}

async fn read<T: FromQueryResult>(db: &Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<T>> {
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, values)).await?;
    Ok(found.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
}

async fn select<T: FromQueryResult>(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<T>> {
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    Ok(T::find_by_statement(statement).all(tx.connection()).await?)
}
