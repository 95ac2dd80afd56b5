//! The working set of one batch: locked accounts and what is known of their ledgers, folded entry by entry.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::ledger::{AccountRecord, TransactionRecord, hex, lane};
use super::store::batch::IncidentRow;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Ids;

/// The ledger of the account does not hold: nothing can be added to it.
const LEDGER_BROKEN: Code = Code("LEDGER_BROKEN");

/// An account in work.
pub(super) struct Account {
    pub(super) row: AccountRecord,
    /// When its last transaction was.
    pub(super) newest: Millis,
    stored: bool,
    /// What its row said that its ledger does not: field, stored, actual.
    drifts: Vec<(&'static str, String, String)>,
    /// The first field of its last transaction that is not as it was hashed.
    broken: Option<&'static str>,
    /// How many transactions this batch adds.
    made: i64,
}

impl Account {
    /// Takes a locked row, or none, and compares it with the last transaction: from here on what that says counts.
    fn verified(user: Uuid, row: Option<&AccountRecord>, last: Option<&TransactionRecord>) -> Self {
        let mut actual = AccountRecord::new(user);
        let mut newest = Millis(i64::MIN);
        let mut broken = None;
        if let Some(last) = last {
            actual.balance = last.balance_after;
            actual.sequence = last.sequence;
            actual.last_hash.clone_from(&last.hash);
            actual.overdraft_limit = last.overdraft_limit;
            newest = last.created_at;
            broken = last.changed_fields().first().copied();
        }
        // Of a ledger without an account no version is known: it counts from what there is.
        actual.version = row.map_or(actual.sequence, |row| row.version);
        let drifts = match row {
            Some(row) => differences(row, &actual),
            None if actual.sequence > 0 => {
                vec![("account", "none".to_owned(), format!("sequence {}", actual.sequence))]
            }
            None => Vec::new(),
        };
        Self { stored: row.is_some(), row: actual, newest, drifts, broken, made: 0 }
    }
}

/// The fields in which an account's row is not what its ledger says; the version apart.
pub(super) fn differences(row: &AccountRecord, actual: &AccountRecord) -> Vec<(&'static str, String, String)> {
    let pairs = [
        ("balance", row.balance.to_string(), actual.balance.to_string()),
        ("sequence", row.sequence.to_string(), actual.sequence.to_string()),
        ("lastHash", hex(&row.last_hash), hex(&actual.last_hash)),
        ("overdraftLimit", row.overdraft_limit.to_string(), actual.overdraft_limit.to_string()),
    ];
    pairs.into_iter().filter(|(_, stored, actual)| stored != actual).collect()
}

/// Refuses to build on a transaction that is not as it was hashed.
pub(super) fn broken(field: &str, user: Uuid, sequence: i64) -> Error {
    let cause = format!("{field} of transaction {sequence} of user {user} is not as it was hashed");
    Error::new(LEDGER_BROKEN, "the ledger of this account does not hold; operators are told").caused_by(cause)
}

/// What one batch works on.
pub(super) struct Work {
    /// The clock's time at the beginning of the batch.
    pub(super) now: Millis,
    accounts: BTreeMap<(i16, Uuid), Account>,
    /// By user and idempotency key: stored ones, and those of this batch.
    keys: HashMap<(Uuid, String), TransactionRecord>,
    /// Transactions that are to be taken back.
    pub(super) originals: HashMap<Uuid, TransactionRecord>,
    /// What takes a transaction back, by that.
    reversals: HashMap<Uuid, Uuid>,
    /// New transactions, in order.
    made: Vec<TransactionRecord>,
}

impl Work {
    pub(super) fn new(
        now: Millis,
        users: impl IntoIterator<Item = (i16, Uuid)>,
        locked: Vec<AccountRecord>,
        last: Vec<TransactionRecord>,
    ) -> Self {
        let locked: HashMap<Uuid, AccountRecord> = locked.into_iter().map(|row| (row.user_id, row)).collect();
        let last: HashMap<Uuid, TransactionRecord> = last.into_iter().map(|row| (row.user_id, row)).collect();
        let accounts = users.into_iter().map(|key| {
            let (_, user) = key;
            (key, Account::verified(user, locked.get(&user), last.get(&user)))
        });
        Self {
            now,
            accounts: accounts.collect(),
            keys: HashMap::new(),
            originals: HashMap::new(),
            reversals: HashMap::new(),
            made: Vec::new(),
        }
    }

    /// Takes what is known of the batch's keys, and of the transactions that it takes back.
    pub(super) fn know(
        &mut self,
        by_keys: Vec<TransactionRecord>,
        originals: Vec<TransactionRecord>,
        reversals: &[TransactionRecord],
    ) {
        let key = |row: TransactionRecord| ((row.user_id, row.idempotency_key.clone()), row);
        self.keys.extend(by_keys.into_iter().map(key));
        self.originals.extend(originals.into_iter().map(|row| (row.id, row)));
        self.reversals.extend(reversals.iter().filter_map(|row| Some((row.reverses_id?, row.id))));
    }

    /// An account that may be added to.
    ///
    /// # Errors
    /// `LEDGER_BROKEN` where the last transaction is not as it was hashed: what it says cannot be built on.
    pub(super) fn account(&self, user: Uuid) -> Result<&Account> {
        let account = self.known(user)?;
        if let Some(field) = account.broken {
            return Err(broken(field, user, account.row.sequence));
        }
        Ok(account)
    }

    /// An account as it is now.
    pub(super) fn known(&self, user: Uuid) -> Result<&Account> {
        self.accounts.get(&(lane(user), user)).ok_or_else(|| Error::internal("an account that was not locked"))
    }

    /// The transaction of a user's key.
    pub(super) fn of_key(&self, user: Uuid, key: &str) -> Option<&TransactionRecord> {
        self.keys.get(&(user, key.to_owned()))
    }

    /// What takes a transaction back.
    pub(super) fn reversal_of(&self, id: Uuid) -> Option<Uuid> {
        self.reversals.get(&id).copied()
    }

    /// How many transactions were made until now: where to go back to.
    pub(super) fn mark(&self) -> usize {
        self.made.len()
    }

    /// Adds a transaction; the account is after it.
    pub(super) fn add(&mut self, made: TransactionRecord) -> Result<()> {
        let account = self
            .accounts
            .get_mut(&(made.lane, made.user_id))
            .ok_or_else(|| Error::internal("an account that was not locked"))?;
        account.row.balance = made.balance_after;
        account.row.sequence = made.sequence;
        account.row.last_hash.clone_from(&made.hash);
        account.row.overdraft_limit = made.overdraft_limit;
        account.row.version += 1;
        account.newest = made.created_at;
        account.made += 1;
        if let Some(reversed) = made.reverses_id {
            self.reversals.insert(reversed, made.id);
        }
        self.keys.insert((made.user_id, made.idempotency_key.clone()), made.clone());
        self.made.push(made);
        Ok(())
    }

    /// Takes back what was made since a mark, `before` being the accounts as they were then.
    pub(super) fn back_to(&mut self, mark: usize, before: Vec<(AccountRecord, Millis)>) {
        for gone in self.made.drain(mark..) {
            self.keys.remove(&(gone.user_id, gone.idempotency_key));
            if let Some(reversed) = gone.reverses_id {
                self.reversals.remove(&reversed);
            }
            if let Some(account) = self.accounts.get_mut(&(gone.lane, gone.user_id)) {
                account.made -= 1;
            }
        }
        for (row, newest) in before {
            if let Some(account) = self.accounts.get_mut(&(lane(row.user_id), row.user_id)) {
                account.row = row;
                account.newest = newest;
            }
        }
    }

    /// Adds what was found to differ to the accounts that are written, and says it. An account that nothing is added to
    /// is left as it is: whoever is refused writes nothing.
    pub(super) fn settle(&mut self, ids: &Ids) -> Vec<IncidentRow> {
        let mut incidents = Vec::new();
        for ((_, user), account) in self.accounts.iter_mut().filter(|(_, account)| account.made > 0) {
            for (field, stored, actual) in account.drifts.drain(..) {
                account.row.version += 1;
                tracing::error!(%user, field, stored, actual, "an account was not what its ledger says: put right");
                incidents.push(IncidentRow {
                    user_id: *user,
                    id: ids.next(),
                    field: field.to_owned(),
                    stored,
                    actual,
                    found_by: "WRITE",
                    found_at: self.now,
                });
            }
        }
        incidents
    }

    /// The accounts that were changed, in key order: new ones, or those that are there.
    pub(super) fn changed(&self, stored: bool) -> impl Iterator<Item = &AccountRecord> {
        let changed = self.accounts.values().filter(move |account| account.made > 0 && account.stored == stored);
        changed.map(|account| &account.row)
    }

    /// The new transactions, in order.
    pub(super) fn made(&self) -> &[TransactionRecord] {
        &self.made
    }
}
