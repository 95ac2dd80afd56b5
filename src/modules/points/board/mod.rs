//! The leaderboard: accounts by balance, in the rank index of this process. Of users who are gone it shows nothing.
//!
//! Read from the database at start, written through before a write is answered, told of what other servers commit, and
//! read anew now and then: a word between servers may be lost, and on SQLite the commands beside a server say none.

pub(super) mod check;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use uuid::Uuid;

use super::events::PointsEvent;
use super::ledger::{AccountRecord, TransactionRecord};
use super::store::{board, read};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::live::Live;
use crate::kernel::page::Page;
use crate::kernel::peers::{Ear, News};
use crate::kernel::ranking::{Place, RankIndex, Slice, Standing, View};
use crate::modules::users::UsersFacade;

/// What other servers are told of: accounts that changed, by their users.
pub(super) const CHANGED: &str = "points.changed";

/// Accounts read at once.
const CHUNK: usize = 5_000;
/// How often a page is made anew because what it shows has changed meanwhile.
const TRIES: usize = 3;
/// How long after a failure all is read anew.
const AGAIN: Duration = Duration::from_secs(5);
/// No windows: points do not age.
const ALL: View = View { board: None, window: None, now: Millis(0) };

/// The leaderboard of this process.
pub(super) struct Board {
    kernel: Kernel,
    live: Arc<Live<PointsEvent>>,
    index: RankIndex,
    /// Users who are gone, as far as this process has heard of them or of their accounts.
    gone: RwLock<HashSet<Uuid>>,
    /// One reads all at a time.
    reading: tokio::sync::Mutex<()>,
}

/// An account on the leaderboard.
pub(super) struct Ranked {
    pub(super) rank: usize,
    pub(super) standing: Standing,
    pub(super) account: AccountRecord,
}

impl Board {
    pub(super) fn new(kernel: &Kernel, live: &Arc<Live<PointsEvent>>) -> Arc<Self> {
        Arc::new(Self {
            kernel: kernel.clone(),
            live: Arc::clone(live),
            index: RankIndex::new(&[]),
            gone: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Takes committed accounts.
    pub(super) fn take<'a>(&self, accounts: impl IntoIterator<Item = &'a AccountRecord>) {
        self.take_standings(accounts.into_iter().map(AccountRecord::standing));
    }

    fn take_standings(&self, standings: impl Iterator<Item = Standing>) {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        let listed = standings.map(|standing| Standing { listed: !gone.contains(&standing.id), ..standing });
        self.index.apply(ALL.now, listed);
    }

    /// As it stands on the list: not at all once its user is gone.
    fn listed(&self, standing: Standing) -> Standing {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        Standing { listed: !gone.contains(&standing.id), ..standing }
    }

    /// A user's rank, from 1, in O(log n); `None` without an account.
    pub(super) fn rank(&self, user: Uuid) -> Option<usize> {
        self.index.rank(ALL, user)
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.index.size(ALL)
    }

    /// One account more than the page holds, best first, in the direction of reading.
    ///
    /// # Errors
    /// The database's own.
    pub(super) async fn page(&self, page: &Page) -> Result<Vec<Ranked>> {
        let place = |cursor: crate::kernel::page::Cursor| Place::new(cursor.value, cursor.id);
        let (from, until) = (page.from.map(place), page.until.map(place));
        let slice = Slice { size: page.size + 1, backward: page.backward, from, until };
        let mut left = TRIES;
        loop {
            left -= 1;
            let places = self.index.slice(ALL, slice);
            let users: Vec<Uuid> = places.iter().map(|(_, standing)| standing.id).collect();
            let mut accounts = read::account_by_users(&self.kernel.db, &users).await?;
            let people = UsersFacade::among(&self.kernel.db, &users).await?;
            let changed = places.iter().filter(|(_, standing)| {
                let same = |account: &AccountRecord| account.version == standing.version;
                !people.contains(&standing.id) || !accounts.get(&standing.id).is_some_and(same)
            });
            let changed: HashSet<Uuid> = changed.map(|(_, standing)| standing.id).collect();
            if changed.is_empty() || left == 0 {
                let ranked = places.into_iter().filter(|(_, standing)| people.contains(&standing.id));
                let ranked = ranked.filter_map(|(rank, standing)| {
                    Some(Ranked { rank, standing, account: accounts.remove(&standing.id)? })
                });
                return Ok(ranked.collect());
            }
            self.look(changed).await?;
        }
    }

    /// Reads all accounts and takes what is newer; what is there no more goes.
    ///
    /// # Errors
    /// The database's own.
    pub(super) async fn read_all(&self) -> Result<()> {
        let _one = self.reading.lock().await;
        let (mut after, mut seen) = (Some((i16::MIN, Uuid::nil())), HashSet::new());
        while let Some(key) = after {
            let (last, standings) = board::standing_chunk(&self.kernel.db, key, CHUNK).await?;
            seen.extend(standings.iter().map(|standing| standing.id));
            let users: Vec<Uuid> = standings.iter().map(|standing| standing.id).collect();
            self.leave_out(&users).await?;
            let is_older =
                |read: &&Standing| self.index.standing(read.id).is_some_and(|held| held.version > read.version);
            let older: HashSet<Uuid> = standings.iter().filter(is_older).map(|read| read.id).collect();
            self.take_in(standings).await?;
            self.look(older).await?;
            after = last;
        }
        let mut from = 0;
        while let Some(listed) = self.index.listed_chunk(from, CHUNK) {
            self.look(listed.into_iter().filter(|user| !seen.contains(user)).collect()).await?;
            from += CHUNK;
        }
        Ok(())
    }

    /// Takes states that were read, and tells listeners of those that are newer than what was known.
    async fn take_in(&self, mut standings: Vec<Standing>) -> Result<()> {
        standings.retain(|read| self.is_newer(read));
        // Before any is taken: what fails here, or is dropped with its request, is still news to the next who looks.
        let last = self.last_of(standings.iter().map(|standing| standing.id)).await?;
        // A write of this process, which it told of itself, may have come meanwhile. No await from here on.
        standings.retain(|read| self.is_newer(read));
        let newer: HashSet<Uuid> = standings.iter().map(|standing| standing.id).collect();
        self.take_standings(standings.into_iter());
        self.live.publish(last.into_iter().filter(|last| newer.contains(&last.user_id)).map(PointsEvent));
        Ok(())
    }

    fn is_newer(&self, read: &Standing) -> bool {
        self.index.standing(read.id).is_none_or(|held| held.version < read.version)
    }

    /// Lists those of these users no more who are gone. That is for good.
    async fn leave_out(&self, users: &[Uuid]) -> Result<()> {
        let people = UsersFacade::among(&self.kernel.db, users).await?;
        let left: Vec<Uuid> = users.iter().filter(|user| !people.contains(user)).copied().collect();
        if !left.is_empty() {
            // Held throughout: what is written meanwhile comes before, or is not listed.
            let mut gone = self.gone.write().unwrap_or_else(PoisonError::into_inner);
            for user in left.into_iter().filter(|user| gone.insert(*user)).collect::<Vec<_>>() {
                self.index.put(ALL.now, user, None);
            }
        }
        Ok(())
    }

    /// Reads these accounts, and takes what is newer or gone.
    async fn look(&self, users: HashSet<Uuid>) -> Result<()> {
        let users: Vec<Uuid> = users.into_iter().collect();
        for users in users.chunks(CHUNK) {
            // Before the read: what the index had by then was committed.
            let early: HashMap<Uuid, Standing> =
                users.iter().filter_map(|user| Some((*user, self.index.standing(*user)?))).collect();
            let found = read::account_by_users(&self.kernel.db, users).await?;
            self.leave_out(users).await?;
            for (user, early) in early {
                let read = found.get(&user).map(|read| self.listed(read.standing()));
                // Only a repair or its undoing leads back: to a lower version, or to no account at all. Whatever the index
                // takes meanwhile is newer than what was read.
                if read.is_none_or(|read| read.version < early.version) {
                    self.index.put_back(ALL.now, early, read);
                }
            }
            self.take_in(found.values().map(AccountRecord::standing).collect()).await?;
        }
        Ok(())
    }

    /// The last transactions of these users, to tell listeners of; none where nobody listens.
    async fn last_of(&self, users: impl Iterator<Item = Uuid>) -> Result<Vec<TransactionRecord>> {
        let users: Vec<Uuid> = users.filter(|_| self.live.is_heard()).collect();
        if users.is_empty() { Ok(Vec::new()) } else { board::last_by_users(&self.kernel.db, &users).await }
    }

    /// Follows what others change, until the server stops.
    pub(super) async fn follow(self: Arc<Self>, mut changed: Ear, mut gone: Ear, every: Duration) {
        let shutdown = self.kernel.shutdown.clone();
        let following = async {
            let mut due = tokio::time::Instant::now() + every;
            loop {
                let news = tokio::select! {
                    news = changed.next() => news,
                    news = gone.next() => news,
                    () = tokio::time::sleep_until(due) => News { missed: true, ..News::default() },
                };
                let followed = if news.missed { self.read_all().await } else { self.look(news.ids).await };
                if news.missed {
                    due = tokio::time::Instant::now() + every;
                }
                if let Err(error) = followed {
                    tracing::warn!(error = error.for_operator(), "the leaderboard could not follow");
                    due = due.min(tokio::time::Instant::now() + AGAIN);
                }
            }
        };
        let _: Option<()> = shutdown.run_until_cancelled(following).await;
    }
}
