//! Ledgers link by link, and accounts against their ledgers.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::chain::Chain;
use super::graphql::PointAccountKind;
use super::incidents::{PointIncidents, sealed};
use super::ledger::{AccountRecord, TransactionRecord, lane};
use super::rules::PointRules;
use super::standing::{Lost, claims, differences, is_behind, lost};
use super::store::batch::{self, IncidentRow};
use super::store::recount;
use super::store::walk::{self, Link};
use super::work::overtaken;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{Id, parse_any};
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::users::{UserKind, UsersFacade};

pub(super) const START: Key = (i16::MIN, Uuid::nil());
/// Transactions read at once.
const PAGE: usize = 1_000;

/// All of them.
pub(super) fn all() -> Vec<Arc<dyn Check>> {
    vec![Arc::new(PointChain), Arc::new(PointBalance), Arc::new(PointIncidents), Arc::new(PointRules)]
}

/// The account of a user's id, or of an account's.
pub(super) fn account_key(id: &str) -> Result<Key> {
    let user = match parse_any(id) {
        Ok((prefix, _)) if prefix == "point_account" => id.parse::<Id<PointAccountKind>>()?.uuid(),
        _ => id.parse::<Id<UserKind>>()?.uuid(),
    };
    Ok((lane(user), user))
}

/// Follows a ledger as far as it goes, without a lock: what is there never changes.
async fn follow(kernel: &Kernel, key: Key) -> Result<Chain> {
    let mut chain = Chain::new(key);
    loop {
        let (reader, backend) = (kernel.db.reader(), kernel.backend());
        let rows = walk::transaction_after(reader, backend, key, chain.looked, PAGE).await?;
        rows.iter().for_each(|row| chain.take(row));
        if rows.len() < PAGE {
            return Ok(chain);
        }
    }
}

/// The rest of a ledger, which came since.
async fn follow_on(tx: &Tx, key: Key, mut chain: Chain) -> Result<Chain> {
    loop {
        let rows = walk::transaction_after(tx.connection(), tx.backend(), key, chain.looked, PAGE).await?;
        rows.iter().for_each(|row| chain.take(row));
        if rows.len() < PAGE {
            return Ok(chain);
        }
    }
}

/// A user, or what is left of a ledger.
pub(super) async fn is_there(kernel: &Kernel, id: &str) -> Result<bool> {
    let key = account_key(id)?;
    if !UsersFacade::among(&kernel.db, &[key.1]).await?.is_empty() {
        return Ok(true);
    }
    let found = recount::recount(kernel.db.reader(), kernel.backend(), &[key]).await?;
    Ok(found.iter().any(|found| found.stored.is_some() || found.sum.count > 0))
}

/// The first link of a ledger that does not hold, or is lost: no repair puts its account right.
pub(super) async fn broken_link(kernel: &Kernel, key: Key) -> Result<Option<String>> {
    Ok(PointChain.confirm(kernel, key).await?.into_iter().next().map(|drift| drift.field))
}

/// Every ledger's chain: hashes, a sequence without gaps, balances after each transaction, and that it ends no earlier
/// than its account knows of.
struct PointChain;

#[async_trait]
impl Check for PointChain {
    fn module(&self) -> &'static str {
        "points"
    }

    fn name(&self) -> &'static str {
        "point-chain"
    }

    fn key(&self, id: &str) -> Option<Key> {
        account_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "somebody wrote into the ledger past tally: compare it with a backup and put the row back by hand; docs/operations.md has the steps",
        )
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.unwrap_or(START);
        let keys = recount::user_keys(kernel.db.reader(), kernel.backend(), after, size).await?;
        // Before the ledgers: these have what the accounts know of, and more if something comes meanwhile.
        let accounts = recount::account_by_keys(kernel.db.reader(), kernel.backend(), &keys).await?;
        let chain = |key: &Key| match accounts.get(key).filter(|_| key.0 == lane(key.1)) {
            Some(account) => Chain::awaiting(*key, account),
            None => Chain::new(*key),
        };
        let mut chains: BTreeMap<Key, Chain> = keys.iter().map(|key| (*key, chain(key))).collect();
        if let Some(last) = keys.last() {
            let mut from = (after, i64::MAX);
            loop {
                // Transactions are only ever added, each after the one before it: a page tells the same whenever it is read.
                let rows = walk::transaction_range(&kernel.db, from, *last, PAGE).await?;
                for row in &rows {
                    from = row.place();
                    chains.entry(from.0).or_insert_with(|| Chain::new(from.0)).take(row);
                }
                if rows.len() < PAGE {
                    break;
                }
            }
        }
        let suspects = chains.iter().filter(|(_, chain)| chain.is_suspect()).map(|(key, _)| *key).collect();
        let next = keys.last().copied().filter(|_| keys.len() == size);
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let chain = follow(kernel, key).await?;
        if !chain.broken.is_empty() {
            return Ok(chain.broken);
        }
        Ok(compare_locked(kernel, key, chain).await?.broken)
    }
}

/// Every account against its ledger: balance, sequence, last hash, limit, version. One whose ledger is broken is compared
/// with nothing: what was written into the ledger must not become a balance.
struct PointBalance;

/// An account under its lock.
struct Compared {
    stored: Option<AccountRecord>,
    /// What the ledger says.
    actual: AccountRecord,
    /// What differs, and is put right by the ledger.
    drifts: Vec<Drift>,
    /// The first broken link of the ledger, or the first one that is lost: nothing is put right by that.
    broken: Vec<Drift>,
}

async fn compare_locked(kernel: &Kernel, key: Key, chain: Chain) -> Result<Compared> {
    let write = kernel.db.write(move |tx| {
        let chain = chain.clone();
        Box::pin(compare(tx, key, chain))
    });
    write.await
}

async fn compare(tx: &Tx, key: Key, chain: Chain) -> Result<Compared> {
    let (connection, backend) = (tx.connection(), tx.backend());
    let stored = recount::account_lock(tx, key).await?;
    let chain = follow_on(tx, key, chain).await?;
    if stored.is_none() && recount::account_by_keys(connection, backend, &[key]).await?.contains_key(&key) {
        // What could not be locked may go on changing.
        return Err(overtaken(key.1));
    }
    let incidents = recount::incident_counts(connection, backend, &[key]).await?;
    let incidents = incidents.get(&key).copied().unwrap_or(0);
    let actual = AccountRecord {
        user_id: key.1,
        version: chain.sequence.saturating_add(incidents),
        balance: chain.balance,
        sequence: chain.sequence,
        last_hash: chain.hash,
        overdraft_limit: chain.overdraft_limit,
    };
    let id = Id::<UserKind>::new(key.1).to_string();
    let (mut found, mut broken) = (Vec::new(), chain.broken);
    if let Some(row) = &stored
        && key.0 == lane(key.1)
        && broken.is_empty()
    {
        broken = lost_link(tx, key, row, &actual).await?;
    }
    if key.0 != lane(key.1) && stored.is_some() {
        found.push(("lane", key.0.to_string(), lane(key.1).to_string()));
    } else if broken.is_empty() {
        match &stored {
            Some(row) => {
                found = differences(row, &actual);
                if row.version != actual.version {
                    found.push(("version", row.version.to_string(), actual.version.to_string()));
                }
            }
            None if actual.sequence > 0 => {
                found.push(("account", "none".to_owned(), format!("sequence {}", actual.sequence)));
            }
            None => {}
        }
    }
    let drift = |(field, stored, actual): (&str, String, String)| Drift {
        id: id.clone(),
        field: field.to_owned(),
        stored,
        actual,
    };
    let drifts = found.into_iter().map(drift).collect();
    Ok(Compared { stored, actual, drifts, broken })
}

/// The link that an account knows of and its ledger has not; with what else the account says: named, and not put right,
/// because it may be the ledger that is another.
async fn lost_link(tx: &Tx, key: Key, row: &AccountRecord, end: &AccountRecord) -> Result<Vec<Drift>> {
    let at = known_to(tx, key, row, end).await?;
    let Some(Lost { field, stored, actual }) = lost(row, end, at.as_ref()) else { return Ok(Vec::new()) };
    let claimed = claims(row, at.as_ref()).into_iter();
    let claimed = claimed.map(|(field, stored, actual)| (format!("{field} of the account"), stored, actual));
    let id = Id::<UserKind>::new(key.1).to_string();
    let drift = |(field, stored, actual)| Drift { id: id.clone(), field, stored, actual };
    Ok(std::iter::once((field, stored, actual)).chain(claimed).map(drift).collect())
}

/// What the ledger says at the sequence of an account that is not ahead of it.
async fn known_to(tx: &Tx, key: Key, row: &AccountRecord, end: &AccountRecord) -> Result<Option<AccountRecord>> {
    if row.sequence == 0 {
        return Ok(Some(AccountRecord::new(key.1)));
    }
    if row.sequence == end.sequence {
        return Ok(Some(end.clone()));
    }
    if !is_behind(row, end) {
        return Ok(None);
    }
    let before = row.sequence.saturating_sub(1);
    let found = walk::transaction_after(tx.connection(), tx.backend(), key, before, 1).await?;
    let at = found.iter().find_map(|link| match link {
        Link::Read(at) if at.sequence == row.sequence => Some(TransactionRecord::account(at)),
        _ => None,
    });
    Ok(at)
}

/// What was found of an account, as facts: its version counts them.
fn incidents(kernel: &Kernel, user: Uuid, drifts: &[Drift], found_by: &'static str) -> Vec<IncidentRow> {
    let now = kernel.clock.now();
    let incident = |drift: &Drift| {
        let difference = (drift.field.as_str(), drift.stored.clone(), drift.actual.clone());
        sealed(kernel.ids.next(), user, difference, found_by, now)
    };
    drifts.iter().map(incident).collect()
}

fn count(drifts: &[Drift]) -> i64 {
    i64::try_from(drifts.len()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Check for PointBalance {
    fn module(&self) -> &'static str {
        "points"
    }

    fn name(&self) -> &'static str {
        "point-balance"
    }

    fn key(&self, id: &str) -> Option<Key> {
        account_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let keys = recount::user_keys(&reads, backend, after.unwrap_or(START), size).await?;
        let found = recount::recount(&reads, backend, &keys).await?;
        reads.commit().await?;
        let suspects = keys.iter().zip(found).filter(|(key, found)| !tallies(**key, found));
        Ok(Chunk {
            checked: keys.len() as u64,
            suspects: suspects.map(|(key, _)| *key).collect(),
            next: keys.last().copied().filter(|_| keys.len() == size),
        })
    }

    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let chain = follow(kernel, key).await?;
        Ok(compare_locked(kernel, key, chain).await?.drifts)
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<Vec<Drift>> {
        let chain = follow(kernel, key).await?;
        let Compared { stored, mut actual, drifts, .. } = compare(tx, key, chain).await?;
        if drifts.is_empty() || key.0 != lane(key.1) {
            // A row in a lane that is not its user's has no ledger: by hand.
            return Ok(Vec::new());
        }
        actual.version = actual.version.saturating_add(count(&drifts));
        match stored {
            Some(_) => batch::account_update(tx, [&actual]).await?,
            None => batch::account_insert(tx, [&actual]).await?,
        }
        batch::incident_insert(tx, &incidents(kernel, key.1, &drifts, "REPAIR")).await?;
        Ok(drifts)
    }

    async fn changed(&self, kernel: &Kernel, keys: &[Key]) -> Result<()> {
        let users: Vec<Uuid> = keys.iter().map(|(_, user)| *user).collect();
        kernel.peers.tell_now(&kernel.db, super::board::CHANGED, &users).await
    }

    async fn restore(&self, kernel: &Kernel, tx: &Tx, key: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let Some(mut row) = recount::account_lock(tx, key).await? else { return Ok(vec![false; drifts.len()]) };
        let mut back = Vec::with_capacity(drifts.len());
        for drift in drifts {
            if drift.field == "account" {
                // Only while nothing came since.
                let same = drift.actual == format!("sequence {}", row.sequence);
                if same {
                    recount::account_delete(tx, key).await?;
                }
                return Ok(vec![same; drifts.len()]);
            }
            back.push(put_back(&mut row, drift)?);
        }
        let undone: Vec<Drift> = drifts
            .iter()
            .zip(&back)
            .filter(|(drift, back)| **back && drift.field != "version")
            .map(|(drift, _)| Drift { stored: drift.actual.clone(), actual: drift.stored.clone(), ..drift.clone() })
            .collect();
        row.version = row.version.saturating_add(count(&undone));
        batch::account_update(tx, [&row]).await?;
        batch::incident_insert(tx, &incidents(kernel, key.1, &undone, "UNDO")).await?;
        Ok(back)
    }
}

/// Puts one field of an account back to what it was before a repair, if it is still what the repair made of it. A balance
/// gets its difference back: what came since stays counted.
fn put_back(row: &mut AccountRecord, drift: &Drift) -> Result<bool> {
    let number = |text: &str| text.parse::<i64>().map_err(Error::internal);
    let same = match drift.field.as_str() {
        "balance" => {
            let difference = i128::from(number(&drift.stored)?) - i128::from(number(&drift.actual)?);
            match i64::try_from(i128::from(row.balance) + difference) {
                Ok(balance) => {
                    row.balance = balance;
                    true
                }
                Err(_) => false,
            }
        }
        "sequence" => put_number(&mut row.sequence, number(&drift.stored)?, number(&drift.actual)?),
        "overdraftLimit" => put_number(&mut row.overdraft_limit, number(&drift.stored)?, number(&drift.actual)?),
        // It counts what was found, this too: nothing to put back that would not be wrong anew.
        "version" => false,
        "lastHash" => {
            let same = super::ledger::hex(&row.last_hash) == drift.actual;
            if same {
                row.last_hash = bytes(&drift.stored)?;
            }
            same
        }
        _ => false,
    };
    Ok(same)
}

fn put_number(field: &mut i64, stored: i64, actual: i64) -> bool {
    let same = *field == actual;
    if same {
        *field = stored;
    }
    same
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(Error::internal)).collect()
}

/// Whether an account seems to be what its ledger says.
fn tallies(key: Key, found: &recount::Recounted) -> bool {
    let recount::Recounted { stored, last, sum, incidents } = found;
    match (stored, last) {
        (Some(row), Some(last)) => {
            key.0 == lane(key.1)
                && i128::from(row.balance) == sum.total
                && row.balance == last.balance_after
                && row.sequence == last.sequence
                && row.sequence == sum.count
                && row.last_hash == last.hash
                && row.overdraft_limit == last.overdraft_limit
                && row.version == last.sequence.saturating_add(*incidents)
        }
        (Some(row), None) => {
            let none = AccountRecord { version: *incidents, ..AccountRecord::new(key.1) };
            key.0 == lane(key.1) && *row == none
        }
        (None, last) => last.is_none(),
    }
}
