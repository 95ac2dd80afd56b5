//! Follows the chain of a ledger from its beginning, and stops at the first link that is broken.

use uuid::Uuid;

use super::ledger::{Kind, TransactionRecord, genesis, hex, lane};
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
            broken: Vec::new(),
        }
    }

    /// Takes the next transaction in the order of sequences.
    pub(super) fn take(&mut self, next: &TransactionRecord) {
        self.looked = next.sequence;
        if !self.broken.is_empty() {
            return;
        }
        let faults = self.faults(next);
        if faults.is_empty() {
            self.sequence = next.sequence;
            self.balance = next.balance_after;
            self.hash.clone_from(&next.hash);
            self.overdraft_limit = next.overdraft_limit;
            self.newest = next.created_at;
            return;
        }
        let (id, number) = (Id::<UserKind>::new(self.user).to_string(), next.sequence);
        self.broken = faults
            .into_iter()
            .map(|(field, actual)| Drift {
                id: id.clone(),
                field: format!("{field} of transaction {number}"),
                stored: next.text_of(field),
                actual,
            })
            .collect();
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
