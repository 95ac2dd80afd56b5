//! The table `point_accounts`. The other tables have their rows in `ledger.rs` and `store/`: constant SQL text, see
//! `docs/adr/0004-hot-paths-in-sql.md`.

use sea_orm::entity::prelude::*;

use super::ledger::AccountRecord;

/// What a user's transactions add up to.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "point_accounts")]
pub struct Model {
    /// That of the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: i16,
    /// Whose points.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// How many transactions and incidents there were.
    pub version: i64,
    /// The points.
    pub balance: i64,
    /// That of the last transaction.
    pub sequence: i64,
    /// That of the last transaction.
    pub last_hash: Vec<u8>,
    /// How far below zero the balance may go.
    pub overdraft_limit: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for AccountRecord {
    fn from(model: Model) -> Self {
        Self {
            user_id: model.user_id,
            version: model.version,
            balance: model.balance,
            sequence: model.sequence,
            last_hash: model.last_hash,
            overdraft_limit: model.overdraft_limit,
        }
    }
}
