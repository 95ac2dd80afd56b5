//! What the database promises of a commit.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::Db;
use crate::kernel::error::Result;

/// What holds for the connections that write.
pub struct Durability {
    /// Whether a committed transaction survives the loss of power.
    pub holds: bool,
    /// The database's settings behind that.
    pub text: String,
}

impl Db {
    /// Asks the writing connection itself, inside a transaction: settings of a pool's options may not have taken.
    ///
    /// # Errors
    /// The database's own.
    pub async fn durability(&self) -> Result<Durability> {
        let tx = self.begin().await?;
        let read = async |sql: &str| -> Result<Option<String>> {
            let row = tx.connection().query_one_raw(Statement::from_string(self.backend, sql)).await?;
            Ok(row.and_then(|row| {
                row.try_get_by_index::<String>(0)
                    .or_else(|_| row.try_get_by_index::<i64>(0).map(|n| n.to_string()))
                    .ok()
            }))
        };
        if self.backend == DbBackend::Postgres {
            let fsync = read("SHOW fsync").await?.unwrap_or_default();
            let commit = read("SHOW synchronous_commit").await?.unwrap_or_default();
            let holds = fsync == "on" && commit != "off";
            return Ok(Durability { holds, text: format!("fsync {fsync}, synchronous_commit {commit}") });
        }
        let journal = read("PRAGMA journal_mode").await?.unwrap_or_default();
        let synchronous = read("PRAGMA synchronous").await?.unwrap_or_default();
        // 2 is FULL, 3 is EXTRA: https://www.sqlite.org/pragma.html#pragma_synchronous
        let holds = matches!(synchronous.as_str(), "2" | "3");
        Ok(Durability { holds, text: format!("journal_mode {journal}, synchronous {synchronous}") })
    }
}
