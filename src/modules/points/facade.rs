//! How resolvers and other modules reach points.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::board::{self, Board};
use super::commands::post::{Change, Entry, Post, Posted};
use super::events::PointsEvent;
use super::importing::IMPORTED;
use super::ledger::{AccountRecord, Kind, TransactionRecord, lane, transaction_id};
use super::loaders::Loaders;
use super::metrics::PointsMetrics;
use super::rules;
use super::store::read;
use super::writer::PointsWriter;
use crate::kernel::batch::Batcher;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::live::{Listener, Live};
use crate::kernel::text;
use crate::modules::users::UsersFacade;

/// Entries of one call at most.
pub const BATCH_MOST: usize = 1_000;
/// Characters of a reason at most.
pub const REASON_MOST: usize = 500;
/// Characters of an idempotency key at most.
const KEY_MOST: usize = 200;
/// Items that an error names.
const NAMED: usize = 20;

/// Points to be given or taken.
#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// Whose points.
    pub user: Uuid,
    /// One that [`PointsFacade::add`] takes: neither a reversal nor a limit.
    pub kind: Kind,
    /// How many: above 0, and of an adjustment not 0.
    pub amount: i64,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// By which a repetition is known, 1 to 200 characters; unique in the account.
    pub key: String,
    /// Who does it.
    pub actor: Uuid,
    /// Whether that is somebody who may make an adjustment.
    pub may_adjust: bool,
}

/// Ledgers and balances. Cheap to clone.
#[derive(Clone)]
pub struct PointsFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    users: UsersFacade,
    loaders: Loaders,
    writer: Arc<PointsWriter>,
    batcher: Batcher<PointsWriter>,
    live: Arc<Live<PointsEvent>>,
    board: Arc<Board>,
    metrics: PointsMetrics,
}

impl PointsFacade {
    /// Starts the writer, and fills the leaderboard.
    pub(super) async fn start(kernel: &Kernel, users: UsersFacade, metrics: PointsMetrics) -> Result<Self> {
        let interval = Duration::from_millis(kernel.settings.count("points.live_interval_ms").into());
        let live = Live::start(interval, &kernel.tasks, kernel.shutdown.clone());
        let board = Board::new(kernel, &live);
        // Listen first, read then: what is committed in between is heard of.
        let (changed, gone) = (kernel.peers.listen(board::CHANGED), users.listen_for_gone());
        board.read_all().await?;
        let every = Duration::from_secs(kernel.settings.count("points.ranking_reread_secs").into());
        kernel.tasks.spawn(Arc::clone(&board).follow(changed, gone, every));
        let writer = Arc::new(PointsWriter::new(kernel, &live, &board, &metrics));
        let batcher = kernel.batcher(Arc::clone(&writer));
        let (kernel, loaders) = (kernel.clone(), Loaders::new(kernel));
        Ok(Self(Arc::new(Inner { kernel, users, loaders, writer, batcher, live, board, metrics })))
    }

    /// Gives or takes points; durable when it returns. A dry run says what would come of it, and writes nothing.
    ///
    /// # Errors
    /// `FORBIDDEN` for an adjustment of somebody who may make none, `INVALID_INPUT` for texts and amounts that are none
    /// and for a balance beyond 64 bits, `NOT_FOUND` for an unknown user, `CONFLICT` for a key that was used otherwise,
    /// `INSUFFICIENT_POINTS`, `LEDGER_BROKEN`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn add(&self, new: &NewTransaction, dry_run: bool) -> Result<Posted> {
        let mut entry = self.entry(new)?;
        entry.user_is_gone = self.is_gone(entry.user).await?;
        self.post_one(entry, dry_run).await
    }

    /// Takes a transaction back, once; durable when it returns.
    ///
    /// # Errors
    /// As [`PointsFacade::add`]; `NOT_FOUND` for an unknown transaction, `INVALID_INPUT` for one that is itself a reversal
    /// or moved no points, `CONFLICT` for one that was reversed before.
    pub async fn reverse(&self, transaction: Uuid, reason: &str, key: &str, actor: Uuid) -> Result<Posted> {
        let (reason, key) = clients_texts(reason, key)?;
        // Whose it is never changes: it may be read before the batch.
        let original = self.transaction(transaction).await?.ok_or_else(|| Error::not_found("no such transaction"))?;
        let (user, change) = (original.user_id, Change::Reverse(transaction));
        let id = transaction_id(self.0.kernel.ids.next(), user);
        let (kind, user_is_gone) = (Kind::Reversal, false);
        self.post_one(Entry { id, user, kind, change, reason, actor, key, user_is_gone }, false).await
    }

    /// Sets how far below zero an account may go, as an entry of its ledger; durable when it returns. An account that is
    /// further below already stays so.
    ///
    /// # Errors
    /// As [`PointsFacade::add`]; `INVALID_INPUT` for a limit below 0.
    pub async fn set_overdraft_limit(
        &self,
        user: Uuid,
        limit: i64,
        reason: &str,
        key: &str,
        actor: Uuid,
    ) -> Result<Posted> {
        let (reason, key) = clients_texts(reason, key)?;
        if limit < 0 {
            return Err(Error::invalid("the limit must not be below 0"));
        }
        let user_is_gone = self.is_gone(user).await?;
        let id = transaction_id(self.0.kernel.ids.next(), user);
        let (kind, change) = (Kind::OverdraftLimit, Change::Limit(limit));
        self.post_one(Entry { id, user, kind, change, reason, actor, key, user_is_gone }, false).await
    }

    /// Gives or takes points of many, all of it or nothing, in one transaction; durable when it returns.
    ///
    /// # Errors
    /// As [`PointsFacade::add`], with the code of the first item that is refused; the message names the items, and so do
    /// the details `items`.
    pub async fn add_all(&self, items: &[NewTransaction], dry_run: bool) -> Result<Vec<Posted>> {
        let entries = all(self.entries(items).await?)?;
        all(self.submit(Post { entries, atomic: true, dry_run }).await?)
    }

    /// Gives or takes points of many, each for itself: an outcome an item, in their order. After an error those of others
    /// may hold, and a repeat does the rest.
    ///
    /// # Errors
    /// `INVALID_INPUT` for no items, more than 1,000, and a key that two of them have.
    pub async fn add_each(&self, items: &[NewTransaction], dry_run: bool) -> Result<Vec<Result<Posted>>> {
        let mut by_lane: BTreeMap<i16, (Vec<usize>, Vec<Entry>)> = BTreeMap::new();
        let mut outcomes: Vec<Option<Result<Posted>>> = Vec::with_capacity(items.len());
        for (at, entry) in self.entries(items).await?.into_iter().enumerate() {
            match entry {
                Ok(entry) => {
                    let (places, entries) = by_lane.entry(lane(entry.user)).or_default();
                    places.push(at);
                    entries.push(entry);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let submitted = by_lane.into_values().map(async |(places, entries)| {
            let post = Post { entries, atomic: false, dry_run };
            (places, self.submit(post).await)
        });
        // All of them, whatever comes of one: what was queued is carried out anyhow.
        for (places, posted) in futures_util::future::join_all(submitted).await {
            let mut posted = posted.map(Vec::into_iter);
            for at in places {
                let outcome = match &mut posted {
                    Ok(posted) => posted.next(),
                    Err(error) => Some(Err(error.clone())),
                };
                if let Some(slot) = outcomes.get_mut(at) {
                    *slot = outcome;
                }
            }
        }
        let missing = || Err(Error::internal("an item without an outcome"));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
    }

    /// A user's account, read together with others that are asked for at the same time; one without transactions where
    /// there are none.
    ///
    /// # Errors
    /// The database's own.
    pub async fn account(&self, user: Uuid) -> Result<AccountRecord> {
        Ok(self.0.loaders.accounts.one(user).await?.unwrap_or_else(|| AccountRecord::new(user)))
    }

    /// A transaction, read together with others that are asked for at the same time.
    ///
    /// # Errors
    /// The database's own.
    pub async fn transaction(&self, id: Uuid) -> Result<Option<TransactionRecord>> {
        self.0.loaders.transactions.one(id).await
    }

    /// A user's balance at a moment, that moment's transactions included; 0 before the first one.
    ///
    /// # Errors
    /// The database's own.
    pub async fn balance_at(&self, user: Uuid, at: Millis) -> Result<i64> {
        read::balance_at(&self.0.kernel.db, user, at).await
    }

    /// Hears of every change of a user's account from now on.
    #[must_use]
    pub fn listen(&self, user: Uuid) -> Listener<PointsEvent> {
        self.0.live.listen_to([user])
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    pub(super) fn users(&self) -> &UsersFacade {
        &self.0.users
    }

    /// Has a command carried out, and counts what comes of its entries.
    async fn submit(&self, post: Post) -> Result<Vec<Result<Posted>>> {
        let kinds: Vec<Kind> = post.entries.iter().filter(|_| !post.dry_run).map(|entry| entry.kind).collect();
        let atomic = post.atomic;
        let outcomes = self.0.batcher.submit(post).await;
        let metrics = &self.0.metrics;
        match outcomes.as_ref().map(|outcomes| (outcomes, outcomes.iter().find_map(|outcome| outcome.as_ref().err()))) {
            Err(error) => metrics.not_done(kinds, error),
            // All of them or nothing: what the others would have come to is not done.
            Ok((_, Some(error))) if atomic => metrics.not_done(kinds, error),
            Ok((outcomes, _)) => kinds.into_iter().zip(outcomes).for_each(|(kind, of)| metrics.ended(kind, of)),
        }
        outcomes
    }

    /// What writes ledgers, for a transaction that somebody else began.
    pub(super) fn writer(&self) -> Arc<PointsWriter> {
        Arc::clone(&self.0.writer)
    }

    async fn post_one(&self, entry: Entry, dry_run: bool) -> Result<Posted> {
        let post = Post { entries: vec![entry], atomic: true, dry_run };
        let outcome = self.submit(post).await?.pop();
        outcome.ok_or_else(|| Error::internal("an entry without an outcome"))?
    }

    /// The entries of a batch, each checked for itself.
    async fn entries(&self, items: &[NewTransaction]) -> Result<Vec<Result<Entry>>> {
        if items.is_empty() || items.len() > BATCH_MOST {
            return Err(Error::invalid(format!("give 1 to {BATCH_MOST} items")));
        }
        let mut keys = HashSet::new();
        if let Some(at) = items.iter().position(|item| !keys.insert(item.key.as_str())) {
            return Err(Error::invalid(format!("item {at}: another item has the same idempotencyKey")));
        }
        let users: HashSet<Uuid> = items.iter().map(|item| item.user).collect();
        let looked = users.into_iter().map(async |user| (user, self.is_gone(user).await));
        let gone: BTreeMap<Uuid, Result<bool>> = futures_util::future::join_all(looked).await.into_iter().collect();
        let entries = items.iter().map(|item| {
            let entry = self.entry(item)?;
            let user_is_gone = gone.get(&item.user).cloned().unwrap_or(Ok(false))?;
            Ok(Entry { user_is_gone, ..entry })
        });
        Ok(entries.collect())
    }

    fn entry(&self, new: &NewTransaction) -> Result<Entry> {
        if new.kind == Kind::Adjustment && !new.may_adjust {
            return Err(Error::new(Code::FORBIDDEN, "adjustments are for administrators"));
        }
        let (reason, key) = clients_texts(&new.reason, &new.key)?;
        let amount = match new.kind {
            Kind::AddPoints if new.amount > 0 => new.amount,
            Kind::DeductPoints | Kind::Redeem if new.amount > 0 => -new.amount,
            // The smallest number has no opposite.
            Kind::Adjustment if new.amount != 0 && new.amount != i64::MIN => new.amount,
            Kind::Adjustment if new.amount == 0 => {
                return Err(Error::invalid("the amount of an adjustment must not be 0"));
            }
            Kind::Adjustment => {
                let text = format!("the amount of an adjustment must be above {}: it could not be reversed", i64::MIN);
                return Err(Error::invalid(text));
            }
            Kind::Reversal | Kind::OverdraftLimit => return Err(Error::invalid("this kind is not added so")),
            Kind::AddPoints | Kind::DeductPoints | Kind::Redeem => {
                return Err(Error::invalid("the amount must be above 0: the kind gives the sign"));
            }
        };
        let id = transaction_id(self.0.kernel.ids.next(), new.user);
        let (user, change, actor) = (new.user, Change::Add(amount), new.actor);
        Ok(Entry { id, user, kind: new.kind, change, reason, actor, key, user_is_gone: false })
    }

    /// Whether there is no such user. No error: whoever repeats what was done is told so, whatever has become of the user.
    async fn is_gone(&self, user: Uuid) -> Result<bool> {
        match self.0.users.exists(user).await {
            Err(error) if error.code() != Code::NOT_FOUND => Err(error),
            there => Ok(there.is_err()),
        }
    }
}

/// As [`texts`], of whoever imports nothing: a key of an import's would count as imported, and keep the real one out.
fn clients_texts(reason: &str, key: &str) -> Result<(String, String)> {
    let (reason, key) = texts(reason, key)?;
    if key.starts_with(IMPORTED) {
        return Err(Error::invalid(format!("an idempotencyKey that begins with {IMPORTED} is that of an import")));
    }
    Ok((reason, key))
}

pub(super) fn texts(reason: &str, key: &str) -> Result<(String, String)> {
    let (reason, key) =
        (text::required("reason", reason, REASON_MOST)?, text::required("idempotencyKey", key, KEY_MOST)?);
    if rules::is_reserved(&key) {
        return Err(Error::invalid("an idempotencyKey of this form is that of a rule's award"));
    }
    Ok((reason, key))
}

/// All values, or one error that names the items of all errors.
fn all<T>(outcomes: Vec<Result<T>>) -> Result<Vec<T>> {
    let (mut values, mut errors) = (Vec::with_capacity(outcomes.len()), Vec::new());
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => values.push(value),
            Err(error) => errors.push((at, error)),
        }
    }
    let Some((_, first)) = errors.first() else { return Ok(values) };
    let named: Vec<_> = errors.iter().take(NAMED).map(|(at, error)| format!("item {at}: {error}")).collect();
    let more = if errors.len() > NAMED { format!("; and {} more", errors.len() - NAMED) } else { String::new() };
    let items = errors.iter().map(|(at, error)| {
        let said = [("item", json!(at)), ("code", json!(error.code().0)), ("message", json!(error.client()))];
        let all = said.into_iter().chain(error.details().iter().cloned());
        all.map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>()
    });
    let text = format!("nothing was written: {}{more}", named.join("; "));
    let refused = Error::new(first.code(), text).with_detail("items", items.collect::<Vec<_>>());
    let ours = errors.iter().any(|(_, error)| error.is_ours());
    let refused = if ours { refused.our_fault() } else { refused };
    Err(errors.iter().find_map(|(_, error)| error.cause()).into_iter().fold(refused, Error::caused_by))
}
