//! Reads that belong together: of one moment, and in walks along the keys.

use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseTransaction, DbBackend, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};

use super::Db;
use crate::kernel::error::Result;

/// Whatever the statistics say, a range of keys is a walk along their index: a table that has just grown is not read as
/// a whole for each chunk of it.
const BY_KEYS: &str = "SET LOCAL jit = off; SET LOCAL enable_seqscan = off";

impl Db {
    /// Begins a read-only transaction that sees the database as it was at its first statement. Short ones only: while it
    /// lasts, SQLite's write-ahead log grows and PostgreSQL keeps old rows. Whoever has read all commits it.
    ///
    /// # Errors
    /// The database's own.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction> {
        let postgres = self.backend == DbBackend::Postgres;
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
        };
        let begun = self.reader.begin_with_options(options).await?;
        if postgres {
            begun.execute_unprepared(BY_KEYS).await?;
        }
        Ok(begun)
    }
}
