//! `tally import`: transactions of another system, with their own times, while servers run.
//!
//! Each call is one transaction of this process's own writer: the ledger's code verifies, chains and seals what comes over
//! as it does any entry. What was taken over before changes nothing: an import that was cut off is run again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::board::CHANGED;
use super::commands::post::{Change, Entry, Post};
pub use super::facade::REASON_MOST;
use super::facade::texts;
use super::ledger::{Kind, TransactionRecord, lane, transaction_id};
use super::store::batch;
pub use super::store::imported::Imported;
use super::store::imported::imported_sums;
use super::writer::PointsWriter;
use crate::kernel::batch::BatchWriter as _;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::live::Live;

/// What the idempotency key of everything that an import writes begins with.
pub const IMPORTED: &str = "import:";

/// A transaction of another system.
#[derive(Clone, Debug)]
pub struct OldTransaction {
    /// Whose points.
    pub user: Uuid,
    /// One whose sign `amount` has: neither a reversal nor a limit.
    pub kind: Kind,
    /// What it adds; negative when it takes. Not 0, and not the smallest number, which has no opposite.
    pub amount: i64,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// By which a repetition is known, 1 to 200 characters; begins with [`IMPORTED`].
    pub key: String,
    /// Who did it.
    pub actor: Uuid,
    /// When. An account's moments never go back: behind a newer transaction it counts from the moment of that.
    pub at: Millis,
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new, as of this moment.
    Added(Millis),
    /// It was there.
    There,
    /// Under its key there is one of another amount, kind or reason: a ledger is not edited.
    Another,
}

/// Writes imports.
pub struct Importer {
    kernel: Kernel,
    writer: Arc<PointsWriter>,
}

impl Importer {
    /// Needs no running server.
    #[must_use]
    pub fn open(kernel: &Kernel) -> Self {
        // Nobody listens to this process.
        let live = Live::start(Duration::from_secs(1), &kernel.tasks, kernel.shutdown.clone());
        Self { kernel: kernel.clone(), writer: Arc::new(PointsWriter::of_old_news(kernel, &live)) }
    }

    /// Takes transactions over, of each account in their order, in one transaction; durable when it returns. An outcome
    /// each, in their order. A balance may go below zero: it was there.
    ///
    /// # Errors
    /// The database's own; then nothing was taken over. Of one: `INVALID_INPUT` for texts, amounts and signs that are none
    /// and for a balance beyond 64 bits, `LEDGER_BROKEN`.
    pub async fn import(&self, transactions: &[OldTransaction]) -> Result<Vec<Result<Outcome>>> {
        let mut outcomes: Vec<Option<Result<Outcome>>> = Vec::with_capacity(transactions.len());
        let mut by_user: BTreeMap<(i16, Uuid), (Vec<usize>, Vec<Entry>)> = BTreeMap::new();
        for (place, told) in transactions.iter().enumerate() {
            match self.entry(told) {
                Ok(entry) => {
                    let (places, entries) = by_user.entry((lane(entry.user), entry.user)).or_default();
                    places.push(place);
                    entries.push(entry);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let users: Vec<Uuid> = by_user.keys().map(|(_, user)| *user).collect();
        let (places, entries): (Vec<_>, Vec<_>) = by_user.into_values().unzip();
        let posts = entries.into_iter().map(|entries| Post { entries, atomic: false, dry_run: false });
        let posts: Arc<Vec<Post>> = Arc::new(posts.collect());
        let writer = Arc::clone(&self.writer);
        let written = self.kernel.db.write(move |tx| {
            let (writer, posts) = (Arc::clone(&writer), Arc::clone(&posts));
            Box::pin(async move { write(&writer, tx, &posts).await })
        });
        let written = written.await?;
        // Without it they learn of it later.
        if let Err(error) = self.kernel.peers.tell_now(&self.kernel.db, CHANGED, &users).await {
            tracing::warn!(error = error.for_operator(), "servers could not be told of what was imported");
        }
        for (place, outcome) in places.into_iter().flatten().zip(written) {
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
        let missing = || Err(Error::internal("a transaction without an outcome"));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
    }

    /// What imports brought into the ledgers of these users, by user; those without any are left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn imported(&self, users: &[Uuid]) -> Result<HashMap<Uuid, Imported>> {
        imported_sums(&self.kernel.db, users).await
    }

    fn entry(&self, told: &OldTransaction) -> Result<Entry> {
        let (reason, key) = texts(&told.reason, &told.key)?;
        let has_sign = match told.kind {
            Kind::AddPoints => told.amount > 0,
            Kind::DeductPoints | Kind::Redeem => told.amount < 0 && told.amount != i64::MIN,
            Kind::Adjustment => told.amount != 0 && told.amount != i64::MIN,
            Kind::Reversal | Kind::OverdraftLimit => false,
        };
        if !has_sign || !key.starts_with(IMPORTED) {
            return Err(Error::invalid("the amount has not the sign of its kind, or the key is none of an import"));
        }
        let id = transaction_id(self.kernel.ids.next(), told.user);
        let (user, kind, change, actor) = (told.user, told.kind, Change::Told(told.amount, told.at), told.actor);
        Ok(Entry { id, user, kind, change, reason, actor, key, user_is_gone: false })
    }
}

/// Writes the entries, and looks at those whose key another transaction has.
async fn write(writer: &PointsWriter, tx: &Tx, posts: &[Post]) -> Result<Vec<Result<Outcome>>> {
    if posts.is_empty() {
        return Ok(Vec::new());
    }
    let mut outcomes = Vec::new();
    for outcome in writer.apply(tx, posts).await?.outcomes {
        outcomes.extend(outcome?.into_iter().map(|posted| match posted {
            Ok(posted) if posted.replayed => Ok(Outcome::There),
            Ok(posted) => Ok(Outcome::Added(posted.transaction.created_at)),
            Err(error) if error.code() == Code::CONFLICT => Ok(Outcome::Another),
            Err(error) => Err(error),
        }));
    }
    let entries: Vec<&Entry> = posts.iter().flat_map(|post| &post.entries).collect();
    let another = |outcome: &Result<Outcome>| matches!(outcome, Ok(Outcome::Another));
    let asked: Vec<&Entry> =
        entries.iter().zip(&outcomes).filter(|(_, outcome)| another(outcome)).map(|(entry, _)| *entry).collect();
    if asked.is_empty() {
        return Ok(outcomes);
    }
    let held = batch::transaction_by_keys(tx, asked.iter().map(|entry| (entry.user, entry.key.as_str()))).await?;
    let held: HashMap<(Uuid, &str), &TransactionRecord> =
        held.iter().map(|row| ((row.user_id, row.idempotency_key.as_str()), row)).collect();
    for (entry, outcome) in entries.iter().zip(&mut outcomes).filter(|(_, outcome)| another(outcome)) {
        // Who did it is not compared: a teacher who was deleted since is another user, or nobody.
        let same = |row: &&TransactionRecord| {
            matches!(entry.change, Change::Told(amount, _) if amount == row.amount)
                && row.kind() == Some(entry.kind)
                && row.reason == entry.reason
        };
        if held.get(&(entry.user, entry.key.as_str())).is_some_and(same) {
            *outcome = Ok(Outcome::There);
        }
    }
    Ok(outcomes)
}
