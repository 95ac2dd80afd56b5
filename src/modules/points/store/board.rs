//! What the leaderboard is read from.

use sea_orm::{DbErr, Statement, Value};
use uuid::Uuid;

use super::batch::LAST;
use super::{keys_of_users, limit};
use crate::kernel::clock::Millis;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::kernel::ranking::Standing;
use crate::modules::points::ledger::{AccountRecord, TransactionRecord, lane};
use sea_orm::FromQueryResult as _;

/// How an account stands, of a user who is there.
pub(in super::super) fn standing(id: Uuid, version: i64, balance: i64) -> Standing {
    Standing { id, version, board: 0, heat: Some(balance), since: Millis(0), listed: true }
}

impl AccountRecord {
    /// How it stands.
    pub(in super::super) fn standing(&self) -> Standing {
        standing(self.user_id, self.version, self.balance)
    }
}

/// The accounts after a key, in key order: where the last one is, and how they stand. One in a lane that is not its
/// user's is left out: nothing finds it.
pub(in super::super) async fn standing_chunk(db: &Db, after: Key, size: usize) -> Result<(Option<Key>, Vec<Standing>)> {
    let text = "SELECT lane, user_id, version, balance FROM point_accounts WHERE (lane, user_id) > ($1, $2)
         ORDER BY lane, user_id LIMIT $3";
    let values: [Value; 3] = [after.0.into(), after.1.into(), limit(size).into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    let row = |row: &sea_orm::QueryResult| {
        let key: Key = (row.try_get("", "lane")?, row.try_get("", "user_id")?);
        Ok((key, standing(key.1, row.try_get("", "version")?, row.try_get("", "balance")?)))
    };
    let rows = found.iter().map(row).collect::<Result<Vec<_>, DbErr>>()?;
    let last = rows.last().map(|(key, _)| *key).filter(|_| rows.len() == size);
    let own = rows.into_iter().filter(|((of, user), _)| *of == lane(*user));
    Ok((last, own.map(|(_, standing)| standing).collect()))
}

/// The last transaction of each of these users, to tell of. One that cannot be read is left out: nobody's news wait for it,
/// and `point-chain` finds it.
pub(in super::super) async fn last_by_users(db: &Db, users: &[Uuid]) -> Result<Vec<TransactionRecord>> {
    let found = db.query(LAST.bind(db.backend(), keys_of_users(&LAST, users), [])).await?;
    Ok(found.iter().filter_map(|row| TransactionRecord::from_query_result(row, "").ok()).collect())
}
