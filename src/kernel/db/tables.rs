//! Which tables are tally's: a schema of PostgreSQL may hold those of other programs too.
//!
//! Two sources, because neither knows all. Lists of migrations name the tables of this version and of all before it. What
//! a later version made, whose migrations an older one lacks on the way back, says so itself: in its comment.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, SqlxSqliteConnector, Statement};
use sea_orm_migration::MigratorTraitSelf as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::Migrations;
use crate::kernel::error::{Error, Result};

/// The comment of a table that a migration made.
pub(crate) const MARK: &str = "tally";

/// Every table that these migrations make, those that later ones remove among them: they are run one by one, in memory.
///
/// # Errors
/// A migration that fails.
pub(crate) async fn known(modules: &[Migrations]) -> Result<BTreeSet<String>> {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options).await.map_err(Error::internal)?;
    let database = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    let mut known = BTreeSet::new();
    for module in modules {
        // At least once: even a module without migrations has its table of them.
        for _ in 0..(module.list)().len().max(1) {
            module.up(&database, Some(1)).await.map_err(Error::internal)?;
            known.extend(names(&database).await?);
        }
    }
    database.close().await?;
    Ok(known)
}

/// The tables that are there.
async fn names(on: &impl ConnectionTrait) -> Result<BTreeSet<String>> {
    let sql = match on.get_database_backend() {
        DbBackend::Postgres => "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    };
    let rows = on.query_all_raw(Statement::from_string(on.get_database_backend(), sql)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// The tables before migrations; what [`mark`] needs to know afterwards.
pub(super) async fn before(tx: &DatabaseTransaction) -> Result<BTreeSet<String>> {
    if tx.get_database_backend() == DbBackend::Postgres { names(tx).await } else { Ok(BTreeSet::new()) }
}

/// PostgreSQL: says of the tables that came since that they are tally's.
pub(super) async fn mark(tx: &DatabaseTransaction, before: &BTreeSet<String>) -> Result<()> {
    if tx.get_database_backend() == DbBackend::Postgres {
        for name in names(tx).await?.difference(before) {
            let quoted = name.replace('"', "\"\"");
            tx.execute_unprepared(&format!("COMMENT ON TABLE \"{quoted}\" IS '{MARK}'")).await?;
        }
    }
    Ok(())
}
