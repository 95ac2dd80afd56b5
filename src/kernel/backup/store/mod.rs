//! The statements of backups and of restoring them.

pub(super) mod archive;
pub(super) mod postgres;
pub(super) mod script;
pub(super) mod sqlite;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{Applied, Counted};
use crate::kernel::db::{Migrations, tables::MARK};
use crate::kernel::error::{Error, Result};

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

/// The migrations that a database has, by module; those of modules that this build lacks among them. Other programs have
/// tables of such names too. On PostgreSQL tally's are marked, or of modules that are `known`; a SQLite file has no marks,
/// and there they are the tables of tally's form, to the column.
pub(super) async fn applied(on: &impl ConnectionTrait, known: &[Migrations]) -> Result<Applied> {
    let backend = on.get_database_backend();
    let names: Vec<_> = known.iter().map(|own| format!("{PREFIX}{}", own.module)).collect();
    let tables = match backend {
        DbBackend::Postgres => Statement::from_sql_and_values(backend, POSTGRES, [names.into(), MARK.into()]),
        _ => {
            let names = serde_json::to_string(&names).map_err(Error::internal)?;
            Statement::from_sql_and_values(backend, SQLITE, [names.into()])
        }
    };
    let mut applied = Applied::new();
    for table in column::<String>(on, tables).await? {
        let Some(module) = table.strip_prefix(PREFIX) else { continue };
        let sql = format!("SELECT version FROM {}", quoted(&table));
        let mut names: Vec<String> = column(on, Statement::from_string(backend, sql)).await?;
        // Not by the database's collation: manifests are compared.
        names.sort_unstable();
        applied.insert(module.to_owned(), names);
    }
    Ok(applied)
}

/// What tables of migrations are called, with the module's name behind it.
const PREFIX: &str = "migrations_";

const POSTGRES: &str = "
    SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND c.relname LIKE 'migrations\\_%'
      AND (c.relname = ANY($1) OR obj_description(c.oid, 'pg_class') = $2)
      AND 2 = (SELECT count(*) FROM pg_attribute a
               WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname IN ('version', 'applied_at'))";

const SQLITE: &str = "
    SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND m.name LIKE 'migrations\\_%' ESCAPE '\\'
      AND 2 = (SELECT count(*) FROM pragma_table_info(m.name) c WHERE c.name IN ('version', 'applied_at'))
      AND (m.name IN (SELECT value FROM json_each($1)) OR 2 = (SELECT count(*) FROM pragma_table_info(m.name)))";

/// How many rows tables have.
pub(super) async fn count(on: &impl ConnectionTrait, tables: &BTreeSet<String>) -> Result<Counted> {
    let mut counted = BTreeMap::new();
    for table in tables {
        let rows = one(on, &format!("SELECT count(*) FROM {}", quoted(table))).await?;
        counted.insert(table.clone(), rows.unsigned_abs());
    }
    Ok(counted)
}
