//! Read loaders: every edge of the graph reads by batch.

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::{AccountRecord, TransactionRecord};
use super::store::read;
use crate::kernel::batch::{Load, Loader};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;

/// The module's loaders.
pub(super) struct Loaders {
    /// The account of a user.
    pub(super) accounts: Loader<Accounts>,
    /// A transaction by id.
    pub(super) transactions: Loader<Transactions>,
}

impl Loaders {
    pub(super) fn new(kernel: &Kernel) -> Self {
        Self {
            accounts: Loader::new(Accounts(kernel.clone())),
            transactions: Loader::new(Transactions(kernel.clone())),
        }
    }
}

/// See [`Loaders::accounts`].
pub(super) struct Accounts(Kernel);

impl Load for Accounts {
    type Key = Uuid;
    type Value = AccountRecord;

    async fn load(&self, users: Vec<Uuid>) -> Result<HashMap<Uuid, AccountRecord>> {
        read::account_by_users(&self.0.db, &users).await
    }
}

/// See [`Loaders::transactions`].
pub(super) struct Transactions(Kernel);

impl Load for Transactions {
    type Key = Uuid;
    type Value = TransactionRecord;

    async fn load(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, TransactionRecord>> {
        read::transaction_by_ids(&self.0.db, &ids).await
    }
}
