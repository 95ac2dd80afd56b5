//! The database: a pool that reads and cannot write, a pool that writes, and the transactions between them.

mod alone;
mod durability;
mod guard;
mod listen;
mod migrate;
mod open;
#[cfg(test)]
pub(crate) mod plans;
mod renewal;
mod snapshot;
mod sql;
pub(crate) mod tables;
mod tx;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, QueryResult, Statement};

pub(crate) use alone::{PostgresAt, Use, sqlite_error};
pub use durability::Durability;
pub(crate) use guard::{belongs_like, take as take_sqlite};
pub(crate) use listen::Listener;
pub(crate) use migrate::MIGRATION_LOCK;
pub use migrate::{MigrationState, Migrations};
pub use sql::{Col, Rows, Sql};
pub use tx::Tx;
pub(crate) use tx::{Fence, retry_pauses};

use super::error::{Error, Result, Retry};
use super::telemetry::DbMetrics;

/// The database behind `DATABASE_URL`. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    backend: DbBackend,
    /// SQLite: one connection, because SQLite has one writer. PostgreSQL: a pool.
    writer: DatabaseConnection,
    /// `query_only` on SQLite, `default_transaction_read_only` on PostgreSQL: a stray write fails here.
    reader: DatabaseConnection,
    metrics: DbMetrics,
    /// PostgreSQL: how to connect once more, to listen.
    listening: Option<std::sync::Arc<sqlx::postgres::PgConnectOptions>>,
    /// SQLite: the lock that says that somebody has it open.
    guard: Option<std::sync::Arc<std::fs::File>>,
}

/// How many connections a pool has.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// All of them.
    pub open: u64,
    /// Those that nobody uses.
    pub idle: u64,
    /// How many there may be.
    pub most: u64,
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
        self.query_on(&self.reader, statement).await
    }

    /// The same for the tables of queues, which may be empty at noon and have millions of rows a minute later: on
    /// PostgreSQL with the writer's plans, which never read a whole table. Which index they walk is the statement's
    /// care: of an empty table every index is as good as any other.
    pub(crate) async fn query_by_key(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let postgres = self.backend == DbBackend::Postgres;
        self.query_on(if postgres { &self.writer } else { &self.reader }, statement).await
    }

    async fn query_on(&self, pool: &DatabaseConnection, statement: Statement) -> Result<Vec<QueryResult>> {
        let mut pauses = retry_pauses();
        loop {
            let error = match pool.query_all_raw(statement.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => Error::from(error),
            };
            match pauses.next() {
                Some(pause) if error.retry() == Retry::Soon => {
                    self.metrics.reader().tried_again();
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// How many statements ran since the start, transaction control left out. Tests watch it.
    #[must_use]
    pub fn statement_count(&self) -> u64 {
        self.metrics.statement_count()
    }

    /// What happened in the pools, counted.
    #[must_use]
    pub fn metrics(&self) -> &DbMetrics {
        &self.metrics
    }

    /// The connections of the pool that reads, and of the one that writes. Who waits for one, sqlx does not tell.
    #[must_use]
    pub fn connections(&self) -> (Connections, Connections) {
        let count = |connection: &DatabaseConnection| match self.backend {
            DbBackend::Sqlite => connections_of(connection.get_sqlite_connection_pool()),
            _ => connections_of(connection.get_postgres_connection_pool()),
        };
        (count(&self.reader), count(&self.writer))
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
        // Clones that are still about have nothing open either.
        if let Some(guard) = &self.guard {
            let _ = guard.unlock();
        }
        Ok(())
    }
}

fn connections_of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Connections {
    let most = pool.options().get_max_connections();
    Connections { open: pool.size().into(), idle: pool.num_idle() as u64, most: most.into() }
}
