//! The write side of points: one batch locks accounts, reads their ledgers, folds, writes.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::board::{Board, CHANGED};
use super::commands::post::{self, Change, Post, Posted};
use super::events::{PointsEvent, transacted};
use super::ledger::{AccountRecord, lane};
use super::metrics::PointsMetrics;
use super::store::batch::{self, IncidentRow};
use super::work::{Ledgers, Work};
use crate::kernel::batch::{Applied, BatchWriter};
use crate::kernel::clock::Clock;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::events::{Event, Outbox};
use crate::kernel::id::{Ids, Lane, Lanes};
use crate::kernel::live::Live;
use crate::kernel::peers::Peers;

/// Writes ledgers and what they add up to.
pub(super) struct PointsWriter {
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    live: Arc<Live<PointsEvent>>,
    board: Arc<Board>,
    peers: Peers,
    metrics: PointsMetrics,
    outbox: Outbox,
    /// Whether what it writes is news to consumers.
    is_news: bool,
}

impl PointsWriter {
    pub(super) fn new(
        kernel: &Kernel,
        live: &Arc<Live<PointsEvent>>,
        board: &Arc<Board>,
        metrics: &PointsMetrics,
    ) -> Self {
        Self {
            clock: Arc::clone(&kernel.clock),
            ids: Arc::clone(&kernel.ids),
            live: Arc::clone(live),
            board: Arc::clone(board),
            peers: kernel.peers.clone(),
            metrics: metrics.clone(),
            outbox: kernel.outbox.clone(),
            is_news: true,
        }
    }

    /// One that writes what another system knew of: no event tells of it.
    pub(super) fn of_old_news(kernel: &Kernel, live: &Arc<Live<PointsEvent>>) -> Self {
        // Nothing reads this process's leaderboard, nor its metrics.
        let (board, metrics) = (Board::new(kernel, live), PointsMetrics::default());
        Self { is_news: false, ..Self::new(kernel, live, &board, &metrics) }
    }

    /// Locks the accounts, then reads what their ledgers know of the commands.
    async fn read(&self, tx: &Tx, commands: &[Post]) -> Result<Work> {
        let entries = || commands.iter().flat_map(|post| &post.entries);
        let users: BTreeSet<(i16, Uuid)> = entries().map(|entry| (lane(entry.user), entry.user)).collect();
        let locked = batch::account_lock(tx, users.iter().copied()).await?;
        let last = batch::last_by_accounts(tx, users.iter().copied()).await?;
        let mut ledgers = Ledgers::new(locked, last);
        let behind = ledgers.behind();
        if !behind.is_empty() {
            ledgers.know_behind(batch::transaction_by_sequences(tx, behind).await?);
        }
        let absent: Vec<_> = users.iter().copied().filter(|(_, user)| !ledgers.is_locked(*user)).collect();
        if !absent.is_empty() {
            ledgers.know_absent(batch::absent_accounts(tx, absent).await?)?;
        }
        let mut work = Work::new(self.clock.now(), users, &ledgers);
        let keys: HashSet<(Uuid, &str)> = entries().map(|entry| (entry.user, entry.key.as_str())).collect();
        let by_keys = batch::transaction_by_keys(tx, keys).await?;
        let reversed: BTreeSet<(Uuid, Uuid)> = entries()
            .filter_map(|entry| match entry.change {
                Change::Reverse(id) => Some((entry.user, id)),
                Change::Add(_) | Change::Limit(_) | Change::Told(..) => None,
            })
            .collect();
        let (mut originals, mut reversals) = (Vec::new(), Vec::new());
        if !reversed.is_empty() {
            let ids: Vec<Uuid> = reversed.iter().map(|(_, id)| *id).collect();
            originals = batch::transaction_by_ids(tx, &ids).await?;
            reversals = batch::reversal_by_ids(tx, reversed).await?;
        }
        work.know(by_keys, originals, &reversals)?;
        Ok(work)
    }

    /// Counts what came of entries of a transaction that somebody else began, once it is committed.
    pub(super) fn count(&self, done: &[Posted]) {
        for (kind, replayed) in done.iter().filter_map(|posted| Some((posted.transaction.kind()?, posted.replayed))) {
            self.metrics.done(kind, replayed);
        }
    }

    /// Writes the net results, tables in one order everywhere; what was put right on the way.
    async fn write(&self, tx: &Tx, work: &mut Work) -> Result<Vec<IncidentRow>> {
        let incidents = work.settle(&self.ids);
        batch::account_insert(tx, work.changed(false)).await?;
        batch::account_update(tx, work.changed(true)).await?;
        batch::transaction_insert(tx, work.made()).await?;
        batch::incident_insert(tx, &incidents).await?;
        if !self.is_news {
            return Ok(incidents);
        }
        let events: Vec<Event> = work.made().iter().map(|made| transacted(self.ids.next(), made)).collect();
        // A command beside the servers has no consumers, and nothing to tell them.
        if !events.is_empty() {
            self.outbox.put(tx, &events).await?;
        }
        Ok(incidents)
    }
}

/// What a batch did, once it is committed.
pub(super) struct Effects {
    made: Vec<PointsEvent>,
    accounts: Vec<AccountRecord>,
    put_right: Vec<IncidentRow>,
}

impl BatchWriter for PointsWriter {
    type Command = Post;
    type Outcome = Vec<Result<Posted>>;
    type Effects = Effects;

    const NAME: &'static str = "points";

    fn lane(&self, post: &Post) -> Lane {
        Lane::of(post.entries.first().map_or(Uuid::nil(), |entry| entry.user))
    }

    fn lanes(&self, post: &Post) -> Lanes {
        post.lanes()
    }

    fn weight(&self, post: &Post) -> usize {
        post.entries.len()
    }

    fn apply<'a>(&'a self, tx: &'a Tx, commands: &'a [Post]) -> BoxFuture<'a, Result<Applied<Self>>> {
        Box::pin(async move {
            let mut work = self.read(tx, commands).await?;
            let outcomes = commands.iter().map(|command| post::fold(&mut work, command)).collect();
            let put_right = self.write(tx, &mut work).await?;
            let made = work.made().iter().cloned().map(PointsEvent).collect();
            let accounts = [false, true].into_iter().flat_map(|stored| work.changed(stored)).cloned().collect();
            Ok(Applied { outcomes, effects: Effects { made, accounts, put_right } })
        })
    }

    fn committed(&self, Effects { made, accounts, put_right }: Effects) {
        // Not before: a try that is rolled back has put nothing right.
        for IncidentRow { user_id: user, field, stored, actual, .. } in &put_right {
            tracing::error!(%user, field, stored, actual, "an account was not what its ledger says: put right");
        }
        self.metrics.found(&put_right);
        if !made.is_empty() {
            self.board.take(&accounts);
            self.peers.tell(CHANGED, accounts.iter().map(|account| account.user_id));
            self.live.publish(made);
            self.outbox.wake();
        }
    }
}
