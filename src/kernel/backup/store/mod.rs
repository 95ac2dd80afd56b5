//! The statements of backups and of restoring them.

pub(super) mod postgres;
pub(super) mod script;
pub(super) mod sqlite;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Applied, Counted};
use crate::kernel::error::Result;

/// A name as SQL takes it, whatever is in it.
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
             AND tablename LIKE 'migrations\\_%'"
        }
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'migrations\\_%' ESCAPE '\\'",
    };
    let mut applied = Applied::new();
    for table in column::<String>(on, Statement::from_string(backend, tables)).await? {
        let sql = format!("SELECT version FROM {}", quoted(&table));
        let mut names: Vec<String> = column(on, Statement::from_string(backend, sql)).await?;
        // Not by the database's collation: manifests are compared.
        names.sort_unstable();
        applied.insert(table.trim_start_matches("migrations_").to_owned(), names);
    }
    Ok(applied)
}

/// How many rows tables have.
pub(super) async fn count(on: &impl ConnectionTrait, tables: &BTreeSet<String>) -> Result<Counted> {
    let mut counted = BTreeMap::new();
    for table in tables {
        let rows = one(on, &format!("SELECT count(*) FROM {}", quoted(table))).await?;
        counted.insert(table.clone(), rows.unsigned_abs());
    }
    Ok(counted)
}
