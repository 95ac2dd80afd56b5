//! PostgreSQL's statements; those that `psql` runs around an archive are in [`super::script`].

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement};

use super::{column, one, quoted};
use crate::kernel::db::{MIGRATION_LOCK, tables::MARK};
use crate::kernel::error::{Error, Result};

/// The major version.
pub(in super::super) async fn server_major(on: &impl ConnectionTrait) -> Result<u32> {
    let number = one(on, "SELECT current_setting('server_version_num')::bigint").await?;
    Ok(u32::try_from(number / 10_000).unwrap_or_default())
}

/// The name of what this transaction sees, under which another session sees the same.
pub(in super::super) async fn export_snapshot(tx: &DatabaseTransaction) -> Result<String> {
    let names = column(tx, Statement::from_string(DbBackend::Postgres, "SELECT pg_export_snapshot()")).await?;
    Ok(names.into_iter().next().unwrap_or_default())
}

/// The schema that tally's tables are in: the first of the connection's `search_path` that is there.
pub(in super::super) async fn schema(on: &impl ConnectionTrait) -> Result<String> {
    let sql = "SELECT current_schema()::text";
    let names = column::<Option<String>>(on, Statement::from_string(DbBackend::Postgres, sql)).await?;
    let none = || Error::invalid("no schema of the connection's search_path is there: CREATE SCHEMA makes it");
    names.into_iter().next().flatten().ok_or_else(none)
}

/// Whether there is such a schema.
pub(in super::super) async fn has_schema(on: &impl ConnectionTrait, schema: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    Ok(column::<bool>(on, Statement::from_sql_and_values(DbBackend::Postgres, sql, [schema.into()])).await? == [true])
}

/// Takes the lock of migrations, so that a server that begins now waits. False when somebody has it.
pub(in super::super) async fn lock_migrations(on: &DatabaseConnection) -> Result<bool> {
    let sql = "SELECT pg_try_advisory_lock($1)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [MIGRATION_LOCK.into()]);
    Ok(column::<bool>(on, statement).await? == [true])
}

/// Sessions of servers, workers and commands on this database.
pub(in super::super) async fn sessions(on: &DatabaseConnection) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'tally' AND pid <> pg_backend_pid()";
    one(on, sql).await
}

/// The names that a schema has for tables, views and the like, all programs' together.
pub(in super::super) async fn names_in(on: &impl ConnectionTrait, schema: &str) -> Result<BTreeSet<String>> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [schema.into()]);
    Ok(column(on, statement).await?.into_iter().collect())
}

/// The tables of a schema that are tally's: by the marks of migrations, or by name where tally is installed at all.
pub(in super::super) async fn own_tables(
    on: &impl ConnectionTrait,
    schema: &str,
    known: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
                 AND (obj_description(c.oid, 'pg_class') = $2 OR c.relname = ANY($3) AND EXISTS (
                     SELECT FROM pg_class k WHERE k.relnamespace = n.oid AND k.relname = 'migrations_kernel'))";
    let known: Vec<String> = known.iter().cloned().collect();
    let values = [schema.into(), MARK.into(), known.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    Ok(column(on, statement).await?.into_iter().collect())
}

/// Statistics of tables that were just filled; queries would be planned without.
pub(in super::super) async fn analyze(on: &DatabaseConnection, tables: &BTreeSet<String>) -> Result<()> {
    let tables: Vec<_> = tables.iter().map(|table| quoted(table)).collect();
    on.execute_unprepared(&format!("ANALYZE {}", tables.join(", "))).await?;
    Ok(())
}
