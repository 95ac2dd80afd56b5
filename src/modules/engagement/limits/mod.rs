//! How much one user may do to one content in an hour, and who does more in all than people do.
//!
//! - An act is an act: a like and its taking back are two acts on likes. One that was refused, by a limit or for any
//!   other reason, is none, nor is one that is sent again under its client key. The hour slides, by the injected clock.
//! - The limits are each process's own, in memory and bounded: after a restart, on another node, and past
//!   `engagement.acts_remembered`, a user has more. They keep people from playing, not a database from lies.
//! - Services and operators have none: they import, and act for many. The suspicion counts their acts for the user they
//!   act for; those that happened earlier (`Act::at`) come from importers and count nowhere.

mod record;
mod repeats;
mod sliding;
mod suspicion;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use self::record::Recorder;
pub(super) use self::record::retention;
use self::sliding::SlidingLog;
use self::suspicion::{Suspicion, Thresholds};
use super::metrics::LimitMetrics;
use super::viewers::Viewers;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::http::Mode;

/// What has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A like, or its taking back.
    Like,
    /// A favorite, or its taking back.
    Favorite,
    /// A comment.
    Comment,
    /// A share.
    Share,
}

impl Action {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Like, Self::Favorite, Self::Comment, Self::Share];

    /// The setting of its limit.
    fn setting(self) -> &'static str {
        match self {
            Self::Like => "engagement.likes_per_hour",
            Self::Favorite => "engagement.favorites_per_hour",
            Self::Comment => "engagement.comments_per_hour",
            Self::Share => "engagement.shares_per_hour",
        }
    }

    /// What the limit counts, in words.
    fn counted(self) -> &'static str {
        match self {
            Self::Like => "likes of a content, given or taken back",
            Self::Favorite => "favorites of a content, given or taken back",
            Self::Comment => "comments on a content",
            Self::Share => "shares of a content",
        }
    }

    /// A label of a metric.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Favorite => "favorite",
            Self::Comment => "comment",
            Self::Share => "share",
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A user, whoever sends the act.
    User(Uuid),
    /// Nobody that is known: the group of an address, as [`crate::kernel::http::ClientAddress::group`] has it.
    Address(IpAddr),
}

/// The counters of this process. Cheap to clone.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    /// By [`Action`]; 0 is none.
    per_hour: [u32; 4],
    /// Hides who did what in keys of 8 bytes. Random, so that nobody can look for two that share one.
    hasher: RandomState,
    log: Mutex<SlidingLog>,
    suspicion: Arc<Suspicion>,
    recorder: Arc<Recorder>,
    metrics: LimitMetrics,
}

impl Limits {
    /// Reads the settings, and starts the task that records findings where anything is counted.
    pub(super) fn start(kernel: &Kernel, viewers: Viewers, metrics: LimitMetrics) -> Self {
        let settings = &kernel.settings;
        let remembered = settings.count("engagement.acts_remembered") as usize;
        let thresholds = Thresholds {
            user: Mode::limit(settings, "engagement.suspicious_per_hour"),
            address: Mode::limit(settings, "engagement.suspicious_views_per_hour"),
        };
        let counts = thresholds.user > 0 || thresholds.address > 0;
        let ids = Arc::clone(&kernel.ids);
        let suspicion = Arc::new(Suspicion::new(thresholds, remembered, viewers, ids, metrics.clone()));
        let recorder = Recorder::new(kernel, &suspicion);
        if counts {
            kernel.tasks.spawn(Arc::clone(&recorder).run());
        }
        Self(Arc::new(Inner {
            per_hour: Action::ALL.map(|action| Mode::limit(settings, action.setting())),
            hasher: RandomState::new(),
            log: Mutex::new(SlidingLog::new(remembered)),
            suspicion,
            recorder,
            metrics,
        }))
    }

    /// Records what this process found so far: whoever reads after it sees all.
    ///
    /// # Errors
    /// The database's own.
    pub async fn record(&self) -> Result<()> {
        self.0.recorder.flush().await
    }

    /// Counts an act of a user on a content.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`] with the time to wait; nothing was counted then.
    pub fn take(&self, user: Uuid, content: Uuid, action: Action, now: Millis) -> Result<()> {
        self.count(user, content, action, now).map_err(|wait_ms| self.refuse(action, wait_ms))
    }

    /// The same; the milliseconds to wait where it is one too many.
    fn count(&self, user: Uuid, content: Uuid, action: Action, now: Millis) -> std::result::Result<(), i64> {
        let most = self.0.per_hour[action as usize];
        if most == 0 {
            return Ok(());
        }
        let mut log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        let before = log.forgotten();
        let taken = log.take(self.key(user, content, action), most as usize, now);
        self.0.metrics.forgot(log.forgotten() - before);
        taken
    }

    fn refuse(&self, action: Action, wait_ms: i64) -> Error {
        self.0.metrics.refused(action);
        let (most, counted) = (self.0.per_hour[action as usize], action.counted());
        let text = format!("no more than {most} {counted}, in an hour: try again in {wait_ms} ms");
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(1));
        Error::new(Code::RATE_LIMITED, text).with_retry_after(wait)
    }

    /// Takes the count of an act back that was refused after all, or was none.
    pub fn give_back(&self, user: Uuid, content: Uuid, action: Action) {
        if self.0.per_hour[action as usize] > 0 {
            let key = self.key(user, content, action);
            self.0.log.lock().unwrap_or_else(PoisonError::into_inner).give_back(key);
        }
    }

    /// Counts acts of whoever it is, those that are refused too, to see who does more than people do.
    pub fn note(&self, actor: Actor, acts: u32, now: Millis) {
        let key = self.0.hasher.hash_one(actor);
        self.0.suspicion.note(key, actor, acts, now);
    }

    /// Does `act` for a user, under the limit unless `exempt`, and counts it, unless it is one sent again whose answer was
    /// lost: `known` looks whether it has been done, `repeated` tells it by its outcome.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`] with the time to wait, and nothing was done then; those of `known` and of `act`.
    pub async fn watch<T>(
        &self,
        (user, content, action): (Uuid, Uuid, Action),
        exempt: bool,
        now: Millis,
        known: impl Future<Output = Result<bool>>,
        repeated: impl Fn(&T) -> bool,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.note(Actor::User(user), 1, now);
        if exempt {
            return act.await;
        }
        if let Err(wait_ms) = self.count(user, content, action, now) {
            // Looked up where it matters only.
            return if known.await? { act.await } else { Err(self.refuse(action, wait_ms)) };
        }
        // Whoever goes away in between has acted: the act is on its way.
        let outcome = act.await;
        if outcome.as_ref().map_or(true, repeated) {
            self.give_back(user, content, action);
        }
        outcome
    }

    fn key(&self, user: Uuid, content: Uuid, action: Action) -> u64 {
        self.0.hasher.hash_one((user, content, action))
    }
}
