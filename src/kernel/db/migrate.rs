//! Brings the schema up: a list and a migration table a module, all in one transaction.

use sea_orm::{ConnectionTrait as _, DbBackend, DynIden, Statement};
use sea_orm_migration::sea_query::{Alias, IntoIden as _};
use sea_orm_migration::{MigrationStatus, MigrationTrait, MigratorTraitSelf};

use super::{Db, tables};
use crate::kernel::error::{Error, Result};

/// Any number that no other program takes: two servers that start at once migrate one after the other.
pub(crate) const MIGRATION_LOCK: i64 = 0x7461_6c6c_7921;

/// The migrations of one module.
pub struct Migrations {
    /// The module's name; the table is `migrations_NAME`.
    pub module: &'static str,
    /// Makes its list, oldest first.
    pub list: fn() -> Vec<Box<dyn MigrationTrait>>,
}

/// One line of `tally migrate --status`.
pub struct MigrationState {
    /// The module that it belongs to.
    pub module: &'static str,
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

#[async_trait::async_trait]
impl MigratorTraitSelf for Migrations {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        (self.list)()
    }

    fn migration_table_name(&self) -> DynIden {
        Alias::new(format!("migrations_{}", self.module)).into_iden()
    }
}

impl Db {
    /// Applies what is pending, all or nothing. Returns how many were applied.
    ///
    /// # Errors
    /// The database's own; a migration table that knows of migrations which this binary does not (a downgrade).
    pub async fn migrate(&self, modules: &[Migrations]) -> Result<usize> {
        let tx = self.begin().await?;
        if self.backend == DbBackend::Postgres {
            let lock = Statement::from_sql_and_values(
                self.backend,
                "SELECT pg_advisory_xact_lock($1)",
                [MIGRATION_LOCK.into()],
            );
            tx.connection().query_one_raw(lock).await?;
        }
        let before = tables::before(tx.connection()).await?;
        let mut applied = 0;
        for module in modules {
            let pending = module.get_pending_migrations(tx.connection()).await.map_err(Error::internal)?;
            applied += pending.len();
            module.up(tx.connection(), None).await.map_err(Error::internal)?;
        }
        if applied > 0 {
            tables::mark(tx.connection(), &before).await?;
        }
        tx.commit().await?;
        Ok(applied)
    }

    /// What is applied and what is pending.
    ///
    /// # Errors
    /// The database's own.
    pub async fn migration_states(&self, modules: &[Migrations]) -> Result<Vec<MigrationState>> {
        let mut states = Vec::new();
        for module in modules {
            let files = module.get_migration_with_status_read_only(self.reader()).await.map_err(Error::internal)?;
            states.extend(files.iter().map(|file| MigrationState {
                module: module.module,
                name: file.name().to_owned(),
                applied: file.status() == MigrationStatus::Applied,
            }));
        }
        Ok(states)
    }
}
