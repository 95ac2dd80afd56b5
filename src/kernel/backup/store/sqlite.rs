//! SQLite's statements.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};

use super::column;
use crate::kernel::db::sqlite_error;
use crate::kernel::error::Result;

/// Writes what one snapshot shows to an empty file.
pub(in super::super) async fn vacuum_into(source: &DatabaseConnection, file: &str) -> Result<()> {
    source.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [file.into()])).await?;
    Ok(())
}

/// What is wrong with a file's pages and indexes; the word `ok` when nothing is.
pub(in super::super) async fn integrity_check(on: &DatabaseConnection) -> Result<Vec<String>> {
    column(on, Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check(20)")).await
}

/// Takes the lock that keeps even readers out, until the connection closes, and reads which tables there are.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] if the file is no database.
pub(in super::super) async fn lock_all(on: &DatabaseConnection) -> Result<BTreeSet<String>> {
    on.execute_unprepared("BEGIN EXCLUSIVE").await.map_err(sqlite_error)?;
    tables(on).await
}

/// The tables, SQLite's own left out.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] if the file is no database.
pub(in super::super) async fn tables(on: &DatabaseConnection) -> Result<BTreeSet<String>> {
    let statement = Statement::from_string(DbBackend::Sqlite, TABLES);
    let rows = on.query_all_raw(statement).await.map_err(sqlite_error)?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<std::result::Result<_, _>>()?)
}

const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
