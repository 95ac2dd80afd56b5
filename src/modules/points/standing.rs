//! How an account stands to its ledger: what of it is put right, and when the ledger is not the one it was written with.

use super::ledger::{AccountRecord, hex};

/// A field of an account that is not what its ledger says.
pub(super) type Difference = (&'static str, String, String);

/// The first link that an account knows of, and its ledger has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// `transaction 5` where the ledger ends before it, `hash of transaction 5` where another is in its place.
    pub(super) field: String,
    /// What the ledger has.
    pub(super) stored: String,
    /// What the account knows of.
    pub(super) actual: String,
}

/// The fields in which an account's row is not what its ledger says; the version apart.
pub(super) fn differences(row: &AccountRecord, actual: &AccountRecord) -> Vec<Difference> {
    let pairs = [
        ("balance", row.balance.to_string(), actual.balance.to_string()),
        ("sequence", row.sequence.to_string(), actual.sequence.to_string()),
        ("lastHash", hex(&row.last_hash), hex(&actual.last_hash)),
        ("overdraftLimit", row.overdraft_limit.to_string(), actual.overdraft_limit.to_string()),
    ];
    pairs.into_iter().filter(|(_, stored, actual)| stored != actual).collect()
}

/// What else an account says than its ledger does at the same sequence, where the hashes differ: of an account that
/// nobody puts right. None where the ledger ends before it.
pub(super) fn claims(row: &AccountRecord, at: Option<&AccountRecord>) -> Vec<Difference> {
    let differences = at.map(|at| differences(row, at)).unwrap_or_default().into_iter();
    let named = differences.filter(|(field, ..)| !["sequence", "lastHash"].contains(field));
    named.map(|(field, stored, actual)| (field, stored, format!("{actual} by the ledger as it is"))).collect()
}

/// Whether [`lost`] has to be told what the ledger says at the sequence of the row.
pub(super) fn is_behind(row: &AccountRecord, end: &AccountRecord) -> bool {
    row.sequence < end.sequence && row.last_hash != end.last_hash
}

/// The link that is lost, if the account was written with another ledger than the one that is there: its last hash is
/// neither that of the ledger's `end` nor `at` its own sequence, and it is not the only field that differs. Then
/// nobody can tell which of the two was written past tally, and neither is put right by the other.
pub(super) fn lost(row: &AccountRecord, end: &AccountRecord, at: Option<&AccountRecord>) -> Option<Lost> {
    let knows = |ledger: &AccountRecord| ledger.last_hash == row.last_hash;
    if knows(end) || at.is_some_and(knows) {
        return None;
    }
    if row.sequence > end.sequence {
        return Some(Lost {
            field: format!("transaction {}", i128::from(end.sequence) + 1),
            stored: "none".to_owned(),
            actual: format!("the account knows of {}", row.sequence),
        });
    }
    let only_hash = AccountRecord { last_hash: end.last_hash.clone(), version: end.version, ..row.clone() } == *end;
    if only_hash {
        return None;
    }
    Some(Lost {
        field: format!("hash of transaction {}", row.sequence),
        stored: at.map_or_else(|| "none".to_owned(), |at| hex(&at.last_hash)),
        actual: format!("the account knows of {}", hex(&row.last_hash)),
    })
}
