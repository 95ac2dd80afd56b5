//! The working set of one batch: locked accounts and what is known of their ledgers, folded entry by entry.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::incidents::sealed;
use super::ledger::{AccountRecord, TransactionRecord, lane};
use super::standing::{Difference, differences, is_behind, lost};
use super::store::batch::{Absent, IncidentRow};
use super::store::walk::Link;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Error, Result, Retry};
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
    drifts: Vec<Difference>,
    /// Why nothing can be built on its ledger, for operators.
    broken: Option<String>,
    /// How many transactions this batch adds.
    made: i64,
}

impl Account {
    /// Takes a row and compares it with the last transaction: from here on what that says counts.
    fn verified(user: Uuid, read: &OfAccount<'_>) -> Self {
        let mut actual = AccountRecord::new(user);
        let mut newest = Millis(i64::MIN);
        let mut broken = None;
        if let Some(last) = read.last {
            actual = last.account();
            newest = last.created_at;
            broken = last.changed_fields().first().map(|field| unsealed(field, last));
        }
        let incidents = read.absent.map_or(0, |absent| absent.incidents);
        actual.version = read.row.map_or_else(|| actual.sequence.saturating_add(incidents), |row| row.version);
        let mut drifts = Vec::new();
        if let Some(cause) = read.unreadable {
            broken = Some(cause.clone());
        }
        match read.row {
            // What it is to be compared with is not known.
            Some(row) if read.unreadable.is_some() => actual = row.clone(),
            Some(row) => {
                let at = if row.sequence == 0 {
                    Some(AccountRecord::new(user))
                } else if row.sequence == actual.sequence {
                    Some(actual.clone())
                } else {
                    read.at.map(TransactionRecord::account)
                };
                match lost(row, &actual, at.as_ref()) {
                    Some(lost) => {
                        let cause = format!("{} of user {user}: {}, but {}", lost.field, lost.stored, lost.actual);
                        broken = broken.or(Some(cause));
                    }
                    None => drifts = differences(row, &actual),
                }
            }
            None if actual.sequence > 0 => {
                drifts.push(("account", "none".to_owned(), format!("sequence {}", actual.sequence)));
            }
            None => {}
        }
        Self { stored: read.row.is_some(), row: actual, newest, drifts, broken, made: 0 }
    }
}

/// Why a transaction is not built on: it is not as it was hashed.
pub(super) fn unsealed(field: &str, transaction: &TransactionRecord) -> String {
    let TransactionRecord { sequence, user_id, .. } = transaction;
    format!("{field} of transaction {sequence} of user {user_id} is not as it was hashed")
}

/// Refuses to build on what does not hold.
pub(super) fn broken(cause: String) -> Error {
    let error = Error::new(LEDGER_BROKEN, "the ledger of this account does not hold; operators are told");
    error.our_fault().caused_by(cause)
}

/// Another server made an account between two statements: read again, it is there and can be locked.
pub(super) fn overtaken(user: Uuid) -> Error {
    let error = Error::new(Code::UNAVAILABLE, "another server wrote to this account first, try again");
    error.caused_by(format!("the account of user {user} was made since it was to be locked")).with_retry(Retry::Soon)
}

/// What is read of accounts before anything is folded.
#[derive(Default)]
pub(super) struct Ledgers {
    locked: HashMap<Uuid, AccountRecord>,
    last: HashMap<Uuid, TransactionRecord>,
    /// Why the last transaction cannot be read.
    unreadable: HashMap<Uuid, String>,
    /// The transaction with the sequence of an account that is behind its ledger.
    at: HashMap<Uuid, TransactionRecord>,
    absent: HashMap<Uuid, Absent>,
}

/// The same of one account.
struct OfAccount<'a> {
    row: Option<&'a AccountRecord>,
    last: Option<&'a TransactionRecord>,
    unreadable: Option<&'a String>,
    at: Option<&'a TransactionRecord>,
    absent: Option<&'a Absent>,
}

impl Ledgers {
    /// Locked accounts, and the last transactions of all that are asked for.
    pub(super) fn new(locked: Vec<AccountRecord>, last: Vec<Link>) -> Self {
        let locked = locked.into_iter().map(|row| (row.user_id, row)).collect();
        let mut ledgers = Self { locked, ..Self::default() };
        for link in last {
            match link {
                Link::Read(row) => {
                    ledgers.last.insert(row.user_id, *row);
                }
                Link::Unreadable { key: (_, user), sequence, field } => {
                    let cause = format!("{field} of transaction {sequence} of user {user} cannot be read");
                    ledgers.unreadable.insert(user, cause);
                }
            }
        }
        ledgers
    }

    pub(super) fn is_locked(&self, user: Uuid) -> bool {
        self.locked.contains_key(&user)
    }

    /// The accounts that know of an earlier state than their ledger has, with their sequences.
    pub(super) fn behind(&self) -> Vec<(Uuid, i64)> {
        let behind = self
            .locked
            .values()
            .filter(|row| self.last.get(&row.user_id).is_some_and(|last| is_behind(row, &last.account())));
        behind.map(|row| (row.user_id, row.sequence)).collect()
    }

    /// Takes the transactions of [`Ledgers::behind`].
    pub(super) fn know_behind(&mut self, at: Vec<TransactionRecord>) {
        self.at = by_user(at);
    }

    /// Takes what there is in the place of accounts that could not be locked.
    ///
    /// # Errors
    /// To be tried again where an account is there by now: it was not locked.
    pub(super) fn know_absent(&mut self, absent: Vec<Absent>) -> Result<()> {
        if let Some(made) = absent.iter().find(|absent| absent.accounts > 0) {
            return Err(overtaken(made.user_id));
        }
        self.absent = absent.into_iter().map(|absent| (absent.user_id, absent)).collect();
        Ok(())
    }

    fn of(&self, user: Uuid) -> OfAccount<'_> {
        OfAccount {
            row: self.locked.get(&user),
            last: self.last.get(&user),
            unreadable: self.unreadable.get(&user),
            at: self.at.get(&user),
            absent: self.absent.get(&user),
        }
    }
}

fn by_user(rows: Vec<TransactionRecord>) -> HashMap<Uuid, TransactionRecord> {
    rows.into_iter().map(|row| (row.user_id, row)).collect()
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
    pub(super) fn new(now: Millis, users: impl IntoIterator<Item = (i16, Uuid)>, ledgers: &Ledgers) -> Self {
        let accounts = users.into_iter().map(|key| (key, Account::verified(key.1, &ledgers.of(key.1))));
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
    ///
    /// # Errors
    /// To be tried again where one is of an account that was not there yet when the accounts were locked.
    pub(super) fn know(
        &mut self,
        by_keys: Vec<TransactionRecord>,
        originals: Vec<TransactionRecord>,
        reversals: &[TransactionRecord],
    ) -> Result<()> {
        for row in by_keys.iter().chain(&originals).chain(reversals) {
            let account = self.accounts.get(&(row.lane, row.user_id));
            if account.is_some_and(|account| !account.stored && account.row.sequence < row.sequence) {
                return Err(overtaken(row.user_id));
            }
        }
        let key = |row: TransactionRecord| ((row.user_id, row.idempotency_key.clone()), row);
        self.keys.extend(by_keys.into_iter().map(key));
        self.originals.extend(originals.into_iter().map(|row| (row.id, row)));
        self.reversals.extend(reversals.iter().filter_map(|row| Some((row.reverses_id?, row.id))));
        Ok(())
    }

    /// An account that may be added to.
    ///
    /// # Errors
    /// `LEDGER_BROKEN` where the last transaction is not as it was hashed, or not the last one that the account knows of:
    /// what it says cannot be built on.
    pub(super) fn account(&self, user: Uuid) -> Result<&Account> {
        let account = self.known(user)?;
        match &account.broken {
            Some(cause) => Err(broken(cause.clone())),
            None => Ok(account),
        }
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

    /// Adds what was found to differ to the accounts that are written. An account that nothing is added to is left as it
    /// is: whoever is refused writes nothing.
    pub(super) fn settle(&mut self, ids: &Ids) -> Vec<IncidentRow> {
        let mut incidents = Vec::new();
        for ((_, user), account) in self.accounts.iter_mut().filter(|(_, account)| account.made > 0) {
            for difference in account.drifts.drain(..) {
                account.row.version += 1;
                incidents.push(sealed(ids.next(), *user, difference, "WRITE", self.now));
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
