//! Transactions. Every write of every module goes through a [`Tx`], and only the kernel makes one.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, ExecResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
};
use tracing::Instrument as _;

use super::{Db, Rows, Sql};
use crate::kernel::error::{Code, Error, Result, Retry};

/// An open write transaction. Dropped without [`Tx::commit`], it rolls back.
pub struct Tx {
    inner: DatabaseTransaction,
    backend: DbBackend,
}

impl Tx {
    /// The transaction as SeaORM's connection, for entities.
    #[must_use]
    pub fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Runs `sql` with `rows` and returns what it selects.
    ///
    /// # Errors
    /// The database's own, or a row of another shape.
    pub async fn select<T: sea_orm::FromQueryResult>(&self, sql: &Sql, rows: Rows) -> Result<Vec<T>> {
        let found = self.inner.query_all_raw(sql.bind(self.backend, rows, [])).await?;
        Ok(found.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, _>>()?)
    }

    /// Runs a write that must touch every one of its rows, no more and no fewer.
    ///
    /// # Errors
    /// The database's own; [`crate::kernel::error::Code::INTERNAL`] when the count is another.
    pub async fn write_all(&self, sql: &Sql, rows: Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let expected = rows.len() as u64;
        let written = self.inner.execute_raw(sql.bind(self.backend, rows, [])).await?.rows_affected();
        if written == expected {
            return Ok(());
        }
        Err(Error::internal(format!("{written} rows written instead of {expected}: {}", sql.text(self.backend))))
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// The database's own.
    pub async fn execute(&self, statement: Statement) -> Result<ExecResult> {
        Ok(self.inner.execute_raw(statement).await?)
    }

    /// Which dialect it speaks.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.backend
    }

    /// Makes its writes durable. An error here leaves the outcome unknown: the answer may have been lost in transit.
    ///
    /// # Errors
    /// The database's own.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }
}

/// A lease that a transaction holds on to: whoever would take it waits for the transaction's end.
pub(crate) struct Fence {
    /// Finds the lease's row while it is still ours, and locks it against an update.
    pub(crate) guard: Statement,
    /// Of what it is the lease.
    pub(crate) what: &'static str,
}

impl Fence {
    /// Another node has the lease.
    pub(crate) fn lost(what: &str) -> Error {
        Error::new(Code::LEASE_LOST, "another node has taken over").caused_by(format!("the lease of {what} is lost"))
    }
}

impl Db {
    /// Begins a write transaction. On SQLite it takes the write lock at once: a deferred one that read first fails at
    /// its first write, whatever the busy timeout.
    ///
    /// # Errors
    /// The database's own.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(Tx { inner: self.writer.begin_with_options(options).await?, backend: self.backend })
    }

    /// Runs `work` in one transaction, again after a passing failure. `work` must be idempotent by its own keys: a
    /// COMMIT whose answer was lost is run again. It owns what it needs (`Kernel` is cheap to clone): the compiler cannot
    /// yet see that the future of an `AsyncFn` which borrows is `Send`.
    ///
    /// # Errors
    /// Those of `work` and of the database.
    pub async fn write<T: Send>(
        &self,
        work: impl for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        self.transact(None, work).await
    }

    /// The same, while a fence holds: `guard` locks and finds its row in the transaction, or nothing is written.
    ///
    /// # Errors
    /// [`Fence::lost`] when the row is not there; those of `work` and of the database.
    pub(crate) async fn write_fenced<T: Send>(
        &self,
        fence: &Fence,
        work: impl for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        self.transact(Some(fence), work).await
    }

    async fn transact<T: Send>(
        &self,
        fence: Option<&Fence>,
        work: impl for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let mut pauses = retry_pauses();
        loop {
            let tried = async {
                let tx = self.begin().await?;
                if let Some(Fence { guard, what }) = fence
                    && tx.inner.query_one_raw(guard.clone()).await?.is_none()
                {
                    return Err(Fence::lost(what));
                }
                let value = work(&tx).await?;
                tx.commit().await?;
                Ok(value)
            };
            let done: Result<T> = tried.instrument(tracing::debug_span!("transaction")).await;
            match done {
                Err(error) if matches!(error.retry(), Retry::Soon | Retry::Taken) => match pauses.next() {
                    Some(pause) => {
                        self.metrics.writer().tried_again();
                        tokio::time::sleep(pause).await;
                    }
                    None => return Err(error),
                },
                done => return done,
            }
        }
    }
}

/// The pauses between the tries of one write: 5 in all, within about a second.
pub(crate) fn retry_pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_factor(3.0)
        .with_max_times(4)
        .with_jitter()
        .build()
}
