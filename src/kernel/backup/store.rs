//! The statements of backups and of restoring them.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait as _};

use super::Applied;
use crate::kernel::db::MIGRATION_LOCK;
use crate::kernel::error::Result;

/// Where tables go that a backup replaces, with a moment behind it.
pub(super) const REPLACED: &str = "tally_replaced_";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All values of one column.
async fn column<T: sea_orm::TryGetable>(on: &impl ConnectionTrait, statement: Statement) -> Result<Vec<T>> {
    let rows = on.query_all_raw(statement).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

async fn one(on: &impl ConnectionTrait, sql: &str) -> Result<i64> {
    let found = column::<i64>(on, Statement::from_string(on.get_database_backend(), sql)).await?;
    Ok(found.first().copied().unwrap_or_default())
}

/// The migrations that a database has, by module: whatever modules this binary knows.
pub(super) async fn applied(on: &impl ConnectionTrait) -> Result<Applied> {
    let backend = on.get_database_backend();
    let tables = match backend {
        DbBackend::Postgres => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()
             AND tablename LIKE 'migrations\\_%' ORDER BY 1"
        }
        _ => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'migrations\\_%' ESCAPE '\\' ORDER BY 1"
        }
    };
    let mut applied = Applied::new();
    for table in column::<String>(on, Statement::from_string(backend, tables)).await? {
        let sql = format!("SELECT version FROM {} ORDER BY version", quoted(&table));
        let names = column(on, Statement::from_string(backend, sql)).await?;
        applied.insert(table.trim_start_matches("migrations_").to_owned(), names);
    }
    Ok(applied)
}

/// SQLite: writes what one snapshot shows to an empty file.
pub(super) async fn vacuum_into(source: &DatabaseConnection, file: &str) -> Result<()> {
    source.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [file.into()])).await?;
    Ok(())
}

/// SQLite: what is wrong with a file's pages and indexes; the word `ok` when nothing is.
pub(super) async fn integrity_check(on: &DatabaseConnection) -> Result<Vec<String>> {
    column(on, Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check(20)")).await
}

/// SQLite: takes the lock that keeps even readers out, until the connection closes.
pub(super) async fn lock_all(on: &DatabaseConnection) -> Result<()> {
    on.execute_unprepared("BEGIN EXCLUSIVE").await?;
    Ok(())
}

/// SQLite: how many tables there are.
pub(super) async fn tables(on: &DatabaseConnection) -> Result<i64> {
    one(on, "SELECT count(*) FROM sqlite_master WHERE type = 'table'").await
}

/// PostgreSQL's major version.
pub(super) async fn server_major(on: &impl ConnectionTrait) -> Result<u32> {
    let number = one(on, "SELECT current_setting('server_version_num')::bigint").await?;
    Ok(u32::try_from(number / 10_000).unwrap_or_default())
}

/// PostgreSQL: the name of what this transaction sees, under which another session sees the same.
pub(super) async fn export_snapshot(tx: &DatabaseTransaction) -> Result<String> {
    let names = column(tx, Statement::from_string(DbBackend::Postgres, "SELECT pg_export_snapshot()")).await?;
    Ok(names.into_iter().next().unwrap_or_default())
}

/// PostgreSQL: the schema that tally's tables are in.
pub(super) async fn schema(on: &impl ConnectionTrait) -> Result<String> {
    let names = column(on, Statement::from_string(DbBackend::Postgres, "SELECT current_schema()::text")).await?;
    Ok(names.into_iter().next().unwrap_or_else(|| "public".to_owned()))
}

/// PostgreSQL: takes the lock of migrations, so that a server that begins now waits. False when somebody has it.
pub(super) async fn lock_migrations(on: &DatabaseConnection) -> Result<bool> {
    let sql = "SELECT pg_try_advisory_lock($1)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [MIGRATION_LOCK.into()]);
    Ok(column::<bool>(on, statement).await? == [true])
}

/// PostgreSQL: sessions of servers, workers and commands on this database.
pub(super) async fn sessions(on: &DatabaseConnection) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'tally' AND pid <> pg_backend_pid()";
    one(on, sql).await
}

/// PostgreSQL: the tables of a schema.
pub(super) async fn tables_in(on: &impl ConnectionTrait, schema: &str) -> Result<Vec<String>> {
    let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
    column(on, Statement::from_sql_and_values(DbBackend::Postgres, sql, [schema.into()])).await
}

/// PostgreSQL: moves all tables of a schema, with their indexes, to a new one, in one transaction.
pub(super) async fn move_away(on: &DatabaseConnection, from: &str, to: &str) -> Result<()> {
    let tx = on.begin().await?;
    tx.execute_unprepared(&format!("CREATE SCHEMA {}", quoted(to))).await?;
    move_tables(&tx, from, to).await?;
    Ok(tx.commit().await?)
}

/// PostgreSQL: takes [`move_away`] back.
pub(super) async fn move_back(on: &DatabaseConnection, from: &str, to: &str) -> Result<()> {
    let tx = on.begin().await?;
    move_tables(&tx, from, to).await?;
    tx.execute_unprepared(&format!("DROP SCHEMA {}", quoted(from))).await?;
    Ok(tx.commit().await?)
}

async fn move_tables(tx: &DatabaseTransaction, from: &str, to: &str) -> Result<()> {
    for table in tables_in(tx, from).await? {
        let sql = format!("ALTER TABLE {}.{} SET SCHEMA {}", quoted(from), quoted(&table), quoted(to));
        tx.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// PostgreSQL: statistics of tables that were just filled; queries would be planned without.
pub(super) async fn analyze(on: &DatabaseConnection) -> Result<()> {
    on.execute_unprepared("ANALYZE").await?;
    Ok(())
}
