//! Follows the chain of a ledger from its beginning, and stops at the first link that is broken.

use uuid::Uuid;

use super::ledger::{AccountRecord, Kind, TransactionRecord, genesis, hex, lane};
use super::store::walk::Link;
use crate::kernel::clock::Millis;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Drift, Key};
use crate::modules::users::UserKind;

/// What a field that was changed should be, where nobody can tell.
const HASHED: &str = "what was hashed";

/// How far a ledger was followed, and what it says until there.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    user: Uuid,
    /// That of the last transaction that was looked at, whatever it is.
    pub(super) looked: i64,
    pub(super) sequence: i64,
    pub(super) balance: i64,
    pub(super) hash: Vec<u8>,
    pub(super) overdraft_limit: i64,
    newest: Millis,
    /// The last hash that the account knows of, until a transaction with it comes.
    awaited: Option<Vec<u8>>,
    /// What is wrong with the first broken link.
    pub(super) broken: Vec<Drift>,
}

impl Chain {
    /// A ledger of which nothing was looked at.
    pub(super) fn new((_, user): Key) -> Self {
        Self {
            user,
            looked: i64::MIN,
            sequence: 0,
            balance: 0,
            hash: genesis(user),
            overdraft_limit: 0,
            newest: Millis(i64::MIN),
            awaited: None,
            broken: Vec::new(),
        }
    }

    /// The same of a ledger that should have the last transaction which its account, read before, knows of.
    pub(super) fn awaiting(key: Key, account: &AccountRecord) -> Self {
        let chain = Self::new(key);
        let awaited = Some(account.last_hash.clone()).filter(|hash| *hash != chain.hash);
        Self { awaited, ..chain }
    }

    /// Whether there is something to look at again.
    pub(super) fn is_suspect(&self) -> bool {
        !self.broken.is_empty() || self.awaited.is_some()
    }

    /// Takes the next transaction in the order of sequences.
    pub(super) fn take(&mut self, next: &Link) {
        self.looked = next.place().1;
        if !self.broken.is_empty() {
            return;
        }
        match next {
            Link::Read(next) => self.take_read(next),
            Link::Unreadable { sequence, field, .. } => {
                let drift = self.drift(field, *sequence, "a value that is none of its column's", HASHED);
                self.broken.push(drift);
            }
        }
    }

    fn drift(&self, field: &str, sequence: i64, stored: impl Into<String>, actual: impl Into<String>) -> Drift {
        Drift {
            id: Id::<UserKind>::new(self.user).to_string(),
            field: format!("{field} of transaction {sequence}"),
            stored: stored.into(),
            actual: actual.into(),
        }
    }

    fn take_read(&mut self, next: &TransactionRecord) {
        let faults = self.faults(next);
        if faults.is_empty() {
            self.sequence = next.sequence;
            self.balance = next.balance_after;
            self.hash.clone_from(&next.hash);
            self.overdraft_limit = next.overdraft_limit;
            self.newest = next.created_at;
            self.awaited.take_if(|hash| *hash == next.hash);
            return;
        }
        let drift = |(field, actual)| self.drift(field, next.sequence, next.text_of(field), actual);
        self.broken = faults.into_iter().map(drift).collect();
    }

    /// The fields of a link that are wrong, and what they should be.
    fn faults(&self, next: &TransactionRecord) -> Vec<(&'static str, String)> {
        let changed = next.changed_fields();
        if !changed.is_empty() {
            return changed.into_iter().map(|field| (field, self.expected(field, next))).collect();
        }
        // Hashed as it is; does it stand where it should?
        let balance = self.balance.checked_add(next.amount);
        let sets_limit = next.kind() == Some(Kind::OverdraftLimit);
        let wrong = [
            ("lane", next.lane != lane(self.user)),
            ("sequence", self.sequence.checked_add(1) != Some(next.sequence)),
            ("prevHash", next.prev_hash != self.hash),
            ("kind", next.kind().is_none()),
            ("amount", !has_sign_of_kind(next)),
            ("balanceAfter", balance != Some(next.balance_after)),
            ("overdraftLimit", !sets_limit && next.overdraft_limit != self.overdraft_limit),
            ("createdAt", next.created_at < self.newest),
        ];
        let wrong = wrong.into_iter().find(|(_, wrong)| *wrong);
        wrong.map(|(field, _)| (field, self.expected(field, next))).into_iter().collect()
    }

    /// What the chain until here, or the other fields, say of a field.
    fn expected(&self, field: &str, next: &TransactionRecord) -> String {
        match field {
            "lane" => lane(self.user).to_string(),
            "userId" => HASHED.to_owned(),
            "sequence" => (i128::from(self.sequence) + 1).to_string(),
            "prevHash" => hex(&self.hash),
            "balanceAfter" => (i128::from(self.balance) + i128::from(next.amount)).to_string(),
            "amount" => (i128::from(next.balance_after) - i128::from(self.balance)).to_string(),
            "overdraftLimit" if next.kind() != Some(Kind::OverdraftLimit) => self.overdraft_limit.to_string(),
            "hash" | "fieldMarks" => {
                let sealed = next.clone().sealed();
                sealed.text_of(field)
            }
            _ => HASHED.to_owned(),
        }
    }
}

fn has_sign_of_kind(next: &TransactionRecord) -> bool {
    match next.kind() {
        Some(Kind::AddPoints) => next.amount > 0,
        Some(Kind::DeductPoints | Kind::Redeem) => next.amount < 0,
        Some(Kind::Adjustment | Kind::Reversal) => next.amount != 0,
        Some(Kind::OverdraftLimit) => next.amount == 0,
        None => false,
    }
}
