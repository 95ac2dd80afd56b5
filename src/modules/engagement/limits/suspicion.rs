//! Who does more in an hour than people do: found in memory, recorded in the database.
//!
//! A finding begins when an actor has more acts than the threshold in the hour that ends now. It is that hour's: it goes
//! back to the first of those acts, takes in what follows until the hour from there is over, and then counting begins
//! anew. So there is one finding, and one line in the log, per actor and hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::Actor;
use super::sliding::SlidingLog;
use crate::kernel::clock::Millis;
use crate::kernel::id::Ids;
use crate::modules::engagement::metrics::LimitMetrics;
use crate::modules::engagement::store::suspicion::{ADDRESS, Finding, USER};
use crate::modules::engagement::viewers::Viewers;

/// Findings under way, and findings not yet recorded, at most each; about 200 bytes. Past it new ones are only counted.
const FINDINGS_MOST: usize = 10_000;

/// From how many acts an hour on whom is suspicious: more than these; 0 is never.
#[derive(Clone, Copy)]
pub(super) struct Thresholds {
    pub(super) user: u32,
    pub(super) address: u32,
}

/// See the module.
pub(super) struct Suspicion {
    thresholds: Thresholds,
    /// Makes of addresses what tells them apart and not who they are.
    viewers: Viewers,
    ids: Arc<Ids>,
    metrics: LimitMetrics,
    held: Mutex<Held>,
    /// Told when there is something to record at once.
    pub(super) opened: Notify,
}

struct Held {
    log: SlidingLog,
    /// By the actor's key, with the log's time at which each is over.
    open: HashMap<u64, (Finding, i64)>,
    /// Their newest states.
    unwritten: HashMap<Uuid, Finding>,
}

/// The hour of an actor that turned out to be too much.
struct Found {
    actions: i64,
    since: Millis,
    /// By the log's time.
    ends: i64,
}

impl Suspicion {
    pub(super) fn new(
        thresholds: Thresholds,
        remembered: usize,
        viewers: Viewers,
        ids: Arc<Ids>,
        metrics: LimitMetrics,
    ) -> Self {
        let held = Held { log: SlidingLog::new(remembered), open: HashMap::new(), unwritten: HashMap::new() };
        Self { thresholds, viewers, ids, metrics, held: Mutex::new(held), opened: Notify::new() }
    }

    /// Counts acts of an actor.
    pub(super) fn note(&self, key: u64, actor: Actor, acts: u32, now: Millis) {
        let most = match actor {
            Actor::User(_) => self.thresholds.user,
            Actor::Address(_) => self.thresholds.address,
        };
        if most == 0 || acts == 0 {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.log.forgotten();
        let found = held.note(key, acts, most as usize, now);
        self.metrics.forgot(held.log.forgotten() - before);
        let Some(Found { actions, since, ends }) = found else { return };
        let (actor_kind, actor) = match actor {
            Actor::User(user) => (USER, user),
            Actor::Address(address) => (ADDRESS, self.viewers.group(address)),
        };
        let id = self.ids.at(since);
        let finding = Finding { id, actor_kind, actor, actions, since_at: since, until_at: now };
        let recorded = held.open(key, finding, ends);
        drop(held);
        let kind = if actor_kind == USER { "user" } else { "address" };
        self.metrics.suspected(kind, recorded);
        if recorded {
            self.opened.notify_one();
            tracing::warn!(kind, %actor, actions, "suspicious activity: more than {most} acts in an hour");
        }
    }

    /// What is to be recorded; it counts as recorded unless [`Self::put_back`] is called.
    pub(super) fn unwritten(&self) -> Vec<Finding> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings: Vec<_> = std::mem::take(&mut held.unwritten).into_values().collect();
        // The order in which rows are locked.
        findings.sort_unstable_by_key(|finding| finding.id);
        findings
    }

    /// What could not be recorded, unless it has a newer state by now.
    pub(super) fn put_back(&self, findings: &[Finding]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for finding in findings {
            held.unwritten.entry(finding.id).or_insert(*finding);
        }
    }
}

impl Held {
    /// Adds acts. Says when they are too many.
    fn note(&mut self, key: u64, acts: u32, most: usize, now: Millis) -> Option<Found> {
        let time = self.log.time(now);
        if let Some((finding, ends)) = self.open.get_mut(&key) {
            if time < *ends {
                finding.actions += i64::from(acts);
                finding.until_at = finding.until_at.max(now);
                let finding = *finding;
                self.unwritten.insert(finding.id, finding);
                return None;
            }
            self.open.remove(&key);
        }
        for left in (0..acts).rev() {
            let (count, first) = self.log.push(key, now);
            if count > most {
                self.log.take_out(key);
                let actions = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(left.into());
                return Some(Found { actions, since: now.plus(first - time), ends: first + Millis::HOUR });
            }
        }
        None
    }

    /// Keeps a finding, if there is room.
    fn open(&mut self, key: u64, finding: Finding, ends: i64) -> bool {
        if self.open.len() >= FINDINGS_MOST {
            let time = self.log.time(finding.until_at);
            self.open.retain(|_, (_, ends)| time < *ends);
        }
        let room = self.open.len() < FINDINGS_MOST && self.unwritten.len() < FINDINGS_MOST;
        if room {
            self.open.insert(key, (finding, ends));
            self.unwritten.insert(finding.id, finding);
        }
        room
    }
}
