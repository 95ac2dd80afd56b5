//! The database: a pool that reads and cannot write, a pool that writes, and the transactions between them.

mod durability;
mod migrate;
mod open;
mod sql;
mod tx;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, QueryResult, Statement};

pub use durability::Durability;
pub use migrate::{MigrationState, Migrations};
pub use sql::{Col, Rows, Sql};
pub use tx::Tx;
pub(crate) use tx::retry_pauses;

use super::error::{Error, Result, Retry};

/// The database behind `DATABASE_URL`. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    backend: DbBackend,
    /// SQLite: one connection, because SQLite has one writer. PostgreSQL: a pool.
    writer: DatabaseConnection,
    /// `query_only` on SQLite, `default_transaction_read_only` on PostgreSQL: a stray write fails here.
    reader: DatabaseConnection,
    statements: Arc<AtomicU64>,
}

impl Db {
    /// Which dialect it speaks.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.backend
    }

    /// For reads outside a transaction.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Runs a read, again after a connection that broke: reads change nothing, so there is nothing to lose.
    ///
    /// # Errors
    /// The database's own.
    pub async fn query(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let mut pauses = retry_pauses();
        loop {
            let error = match self.reader.query_all_raw(statement.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => Error::from(error),
            };
            match pauses.next() {
                Some(pause) if error.retry() == Retry::Soon => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    /// How many statements ran since the start, transaction control left out. Tests watch it.
    #[must_use]
    pub fn statement_count(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// The database's own.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.reader.ping().await?)
    }

    /// Ends all connections; on SQLite this folds the write-ahead log into the file.
    ///
    /// # Errors
    /// The database's own.
    pub async fn close(self) -> Result<()> {
        self.reader.close().await?;
        self.writer.close().await?;
        Ok(())
    }
}
