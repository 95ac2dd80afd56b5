//! Follows an issuer's published keys. One task fetches, on a timer and when somebody holds a token of an unknown key;
//! whoever asks meanwhile waits for the same answer. So a request that goes away cannot stop a fetch, and a flood of
//! invented key ids costs the issuer one fetch a cooldown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::config::JwksConfig;
use super::fetch::Fetcher;
use super::keys::{Found, Key, KeySet};
use crate::kernel::clock::{Clock, Millis};
use crate::kernel::error::{Code, Error, Result};

/// The keys of an issuer, kept up to date.
pub(super) struct Jwks {
    config: JwksConfig,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    /// What is trusted now: the newest set that could be fetched.
    keys: ArcSwap<KeySet>,
    asking: Mutex<Asking>,
    /// Wakes the task before its time.
    wanted: Notify,
    /// Changes with each fetch that has ended: whether it failed.
    fetched: watch::Sender<Last>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    None,
    Good,
    Failed,
}

#[derive(Default)]
struct Asking {
    /// When a token asked last, for the cooldown. Fetches on the timer do not count.
    asked_at: Option<Millis>,
    /// Whether a fetch has been asked for and has not ended.
    under_way: bool,
}

impl Jwks {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub(super) fn new(config: JwksConfig, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Result<Self> {
        Ok(Self {
            fetcher: Fetcher::new(config.url.clone())?,
            config,
            clock,
            shutdown,
            keys: ArcSwap::default(),
            asking: Mutex::default(),
            wanted: Notify::new(),
            fetched: watch::Sender::new(Last::default()),
        })
    }

    /// The generation of the present set.
    pub(super) fn generation(&self) -> u64 {
        self.keys.load().generation
    }

    /// The key of a token with this `kid` and `alg`, and the generation of its set.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] when the issuer has no such key; [`Code::UNAVAILABLE`] when it may have one, but could
    /// not be asked.
    pub(super) async fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<(Arc<Key>, u64)> {
        let foreign = || Error::new(Code::UNAUTHENTICATED, "the token was signed with another key");
        let mut asked = false;
        loop {
            let keys = self.keys.load_full();
            match keys.find(kid, algorithm) {
                Found::Key(key) => return Ok((key, keys.generation)),
                Found::Refused => return Err(foreign()),
                Found::Unknown if !asked => {
                    asked = true;
                    self.ask().await;
                }
                Found::Unknown if *self.fetched.borrow() == Last::Good => return Err(foreign()),
                Found::Unknown => {
                    let why = "the keys of the token's issuer cannot be had now; try again";
                    return Err(Error::new(Code::UNAVAILABLE, why));
                }
            }
        }
    }

    /// Waits for a fetch: the one under way, or one of its own unless somebody else has just asked for one.
    async fn ask(&self) {
        let mut fetched = {
            let mut asking = self.asking();
            if !asking.under_way {
                let now = self.clock.now();
                // Clocks step backwards: a moment to come is no reason to wait for it.
                let since = asking.asked_at.map_or(i128::MAX, |at| i128::from(now.0) - i128::from(at.0));
                if (0..i128::from(self.config.cooldown.as_secs()) * 1000).contains(&since) {
                    return;
                }
                *asking = Asking { asked_at: Some(now), under_way: true };
                self.wanted.notify_one();
            }
            // Under the lock, so that the fetch cannot end unnoticed before.
            self.fetched.subscribe()
        };
        tokio::select! {
            _ = fetched.changed() => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Fetches until the shutdown.
    pub(super) async fn follow(self: Arc<Self>) {
        let JwksConfig { refresh, cooldown, .. } = self.config;
        loop {
            // An issuer that was down is asked again soon.
            let pause = if *self.fetched.borrow() == Last::Good { refresh } else { cooldown.min(refresh) };
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                // A fetch on the timer may have answered the one who asked.
                () = self.wanted.notified() => if !self.asking().under_way { continue },
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.fetch() => {}
            }
        }
    }

    /// Fetches once. A failure leaves the old keys in use, and is logged the first time.
    pub(super) async fn fetch(&self) {
        self.asking().under_way = true;
        let last = match self.fetcher.fetch().await {
            Ok(keys) => {
                self.take(keys);
                Last::Good
            }
            Err(why) if *self.fetched.borrow() == Last::Failed => {
                tracing::debug!(why, "the issuer's keys still cannot be fetched");
                Last::Failed
            }
            Err(why) => {
                let keys = self.keys.load().len();
                tracing::warn!(why, keys, "the issuer's keys cannot be fetched; those that are known stay in use");
                Last::Failed
            }
        };
        let mut asking = self.asking();
        asking.under_way = false;
        self.fetched.send_replace(last);
    }

    fn take(&self, mut keys: KeySet) {
        let known = self.keys.load();
        if *self.fetched.borrow() != Last::None && keys.same_keys(&known) {
            return;
        }
        if keys.len() == 0 {
            tracing::warn!("the issuer publishes no key that tally can use: all its tokens are refused");
        }
        tracing::info!(keys = keys.len(), before = known.len(), "the issuer's keys are others now");
        keys.generation = known.generation + 1;
        self.keys.store(Arc::new(keys));
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
