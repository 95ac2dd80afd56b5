//! Adds entries to ledgers: awards and deductions, adjustments, reversals, limits.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::{Lane, Lanes};
use crate::modules::points::ledger::{AccountRecord, Kind, TransactionRecord, input_hash, lane};
use crate::modules::points::rules::SYSTEM;
use crate::modules::points::work::{Work, broken, unsealed};

/// The account has not so many points.
pub const INSUFFICIENT_POINTS: Code = Code("INSUFFICIENT_POINTS");

/// What an entry does to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Change {
    /// Adds so many points; takes them when negative.
    Add(i64),
    /// Takes another transaction of the account back.
    Reverse(Uuid),
    /// Sets how far below zero the account may go.
    Limit(i64),
    /// Adds so many points at a moment that has passed, as another system tells. It was done there: no limit holds it up.
    Told(i64, Millis),
}

/// An entry to be, of valid texts and an amount of the right sign.
#[derive(Clone, Debug)]
pub(in super::super) struct Entry {
    /// Of the transaction that it makes.
    pub(in super::super) id: Uuid,
    pub(in super::super) user: Uuid,
    pub(in super::super) kind: Kind,
    pub(in super::super) change: Change,
    pub(in super::super) reason: String,
    pub(in super::super) actor: Uuid,
    pub(in super::super) key: String,
    /// Whether there is no such user any more: what was done for them before is told all the same, and nothing is added.
    pub(in super::super) user_is_gone: bool,
}

impl Entry {
    fn input_hash(&self) -> Vec<u8> {
        let (number, reverses) = match self.change {
            Change::Add(number) | Change::Limit(number) | Change::Told(number, _) => (number, None),
            Change::Reverse(id) => (0, Some(id)),
        };
        input_hash(self.user, self.kind, number, reverses, &self.reason, self.actor)
    }
}

/// Entries that are asked for together.
#[derive(Clone, Debug)]
pub(in super::super) struct Post {
    pub(in super::super) entries: Vec<Entry>,
    /// All of them, or none. If not, they are of one lane.
    pub(in super::super) atomic: bool,
    /// Says what would come of them, and leaves all as it is.
    pub(in super::super) dry_run: bool,
}

impl Post {
    pub(in super::super) fn lanes(&self) -> Lanes {
        self.entries.iter().map(|entry| Lane::of(entry.user)).collect()
    }
}

/// What came of an entry.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The transaction; of a dry run, as it would be.
    pub transaction: TransactionRecord,
    /// The account after it; of a dry run, as it would be.
    pub account: AccountRecord,
    /// Whether it was there before: the same was asked for under the same key.
    pub replayed: bool,
}

/// Folds entries into a batch: an outcome an entry. Of atomic ones that are refused nothing is left, and the outcomes of
/// the others say what would have come of them.
pub(in super::super) fn fold(work: &mut Work, post: &Post) -> Result<Vec<Result<Posted>>> {
    if !post.atomic && !post.dry_run {
        return Ok(post.entries.iter().map(|entry| fold_one(work, entry)).collect());
    }
    let mark = work.mark();
    let users: BTreeSet<Uuid> = post.entries.iter().map(|entry| entry.user).collect();
    let before = users.into_iter().map(|user| {
        let account = work.known(user)?;
        Ok((account.row.clone(), account.newest))
    });
    let before = before.collect::<Result<Vec<_>>>()?;
    let outcomes: Vec<_> = post.entries.iter().map(|entry| fold_one(work, entry)).collect();
    if post.dry_run || outcomes.iter().any(Result::is_err) {
        work.back_to(mark, before);
    }
    Ok(outcomes)
}

fn fold_one(work: &mut Work, entry: &Entry) -> Result<Posted> {
    let input_hash = entry.input_hash();
    if let Some(first) = work.of_key(entry.user, &entry.key) {
        // A repeat is told what was done, and not what somebody wrote in since.
        let account = work.account(entry.user)?;
        if let Some(field) = first.changed_fields().first() {
            return Err(broken(unsealed(field, first)));
        }
        if first.input_hash != input_hash {
            return Err(Error::conflict("this idempotencyKey was used for another transaction of this account"));
        }
        return Ok(Posted { transaction: first.clone(), account: account.row.clone(), replayed: true });
    }
    if entry.user_is_gone {
        return Err(Error::not_found("no such user"));
    }
    let (amount, reverses_id) = amount_of(work, entry)?;
    let account = work.account(entry.user)?;
    let row = &account.row;
    let balance = row.balance.checked_add(amount).ok_or_else(|| {
        Error::invalid("the balance would leave the range of 64 bits").with_detail("balance", row.balance.to_string())
    })?;
    // What a rule gave goes with what it was given for, whatever has become of the points; what another system tells has
    // happened.
    let told = if let Change::Told(_, at) = entry.change { Some(at) } else { None };
    let bounded = amount < 0 && entry.actor != SYSTEM && told.is_none();
    if bounded && i128::from(balance) < -i128::from(row.overdraft_limit) {
        return Err(insufficient(row, amount));
    }
    let transaction = TransactionRecord {
        lane: lane(entry.user),
        user_id: entry.user,
        sequence: row.sequence.checked_add(1).ok_or_else(|| Error::internal("a ledger without an end"))?,
        id: entry.id,
        amount,
        balance_after: balance,
        overdraft_limit: if let Change::Limit(limit) = entry.change { limit } else { row.overdraft_limit },
        kind: entry.kind.number(),
        reason: entry.reason.clone(),
        actor_id: entry.actor,
        idempotency_key: entry.key.clone(),
        input_hash,
        reverses_id,
        prev_hash: row.last_hash.clone(),
        field_marks: Vec::new(),
        hash: Vec::new(),
        // Clocks go backwards; moments within a ledger do not.
        created_at: told.unwrap_or(work.now).max(account.newest),
    }
    .sealed();
    work.add(transaction.clone())?;
    Ok(Posted { transaction, account: work.known(entry.user)?.row.clone(), replayed: false })
}

/// What an entry adds, and which transaction it takes back.
fn amount_of(work: &Work, entry: &Entry) -> Result<(i64, Option<Uuid>)> {
    let id = match entry.change {
        Change::Add(amount) | Change::Told(amount, _) => return Ok((amount, None)),
        Change::Limit(_) => return Ok((0, None)),
        Change::Reverse(id) => id,
    };
    let original = work.originals.get(&id).filter(|original| original.user_id == entry.user);
    let original = original.ok_or_else(|| Error::not_found("no such transaction"))?;
    // Nor is taken back what somebody wrote in by hand.
    if let Some(field) = original.changed_fields().first() {
        return Err(broken(unsealed(field, original)));
    }
    match original.kind() {
        Some(Kind::Reversal) => return Err(Error::invalid("a reversal cannot be reversed")),
        Some(Kind::OverdraftLimit) => return Err(Error::invalid("this transaction moved no points")),
        Some(_) => {}
        None => return Err(Error::internal(format!("transaction {id} is of a kind that there is not"))),
    }
    if work.reversal_of(id).is_some() {
        return Err(Error::conflict("this transaction was reversed before"));
    }
    let amount = original.amount.checked_neg().ok_or_else(|| Error::internal("an amount that has no opposite"))?;
    Ok((amount, Some(id)))
}

fn insufficient(account: &AccountRecord, amount: i64) -> Error {
    let (balance, limit) = (account.balance, account.overdraft_limit);
    let limited = if limit == 0 { String::new() } else { format!(", and may go {limit} below zero") };
    let text = format!("the account has {balance} points{limited}: {} are too many", amount.unsigned_abs());
    Error::new(INSUFFICIENT_POINTS, text)
        // Texts: a JSON number of this size is not the same for everybody.
        .with_detail("balance", balance.to_string())
        .with_detail("overdraftLimit", limit.to_string())
}
