//! How many operations a client may send: by its token's subject, or by its address without one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::header::{HeaderValue, RETRY_AFTER};

use super::client::ClientAddress;
use super::mode::Mode;
use crate::kernel::auth::{Role, Session};
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};

/// Whose demands are their own affair unless `limits.rate_service` says otherwise.
const SERVICES: [Role; 3] = [Role::Service, Role::Operator, Role::Admin];
/// After so many checks buckets that are full again are forgotten: what is remembered is bounded by this, and by whom
/// the last `limits.burst_secs` heard of.
const PRUNE_EVERY: u32 = 1 << 16;
/// Addresses that are shut out at once; beyond them a bad token costs its signature's check, as it does anyway.
const SHUT_OUT_MOST: u32 = 10_000;

/// The buckets of all clients. Time is the machine's own, not the kernel's clock: that may go backwards, and would
/// leave everybody with an empty bucket.
pub struct Limits<C: Clock = MonotonicClock> {
    clock: C,
    anonymous: Option<Buckets<C>>,
    users: Option<Buckets<C>>,
    services: Option<Buckets<C>>,
    /// Hides subjects and addresses in keys of 8 bytes. Random, so that nobody can look for two that share a bucket.
    hasher: RandomState,
    /// Until when an address gets no token checked, because too many of its tokens were bad.
    shut_out: Mutex<HashMap<IpAddr, C::Instant>>,
    /// Whether `shut_out` has anybody: spares the lock.
    any_shut_out: AtomicBool,
}

/// One bucket a key: a leak of `rate` a second, and room for a burst. Source: GCRA, as `governor` has it.
struct Buckets<C: Clock> {
    limiter: RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    burst: NonZeroU32,
    checks: AtomicU32,
}

impl Limits {
    /// Reads `limits.…`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::on(MonotonicClock, settings)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn on(clock: C, settings: &Settings) -> Self {
        let secs = settings.count("limits.burst_secs");
        let buckets = |key| {
            let rate = NonZeroU32::new(Mode::limit(settings, key))?;
            Some(Buckets::new(clock.clone(), rate, rate.saturating_mul(NonZeroU32::new(secs)?)))
        };
        Self {
            anonymous: buckets("limits.rate_anonymous"),
            users: buckets("limits.rate_user"),
            services: buckets("limits.rate_service"),
            hasher: RandomState::new(),
            shut_out: Mutex::default(),
            any_shut_out: AtomicBool::new(false),
            clock,
        }
    }

    /// Takes `cost` operations out of the bucket of whoever asks. More than a bucket holds empty it, so that every
    /// request passes at some time.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`] with the time to wait; nothing was taken.
    pub fn check(&self, session: &Session, address: ClientAddress, cost: NonZeroU32) -> Result<()> {
        let (buckets, key) = match &session.0 {
            None => (&self.anonymous, self.hasher.hash_one(address.group())),
            Some(principal) if principal.has_any(&SERVICES) => {
                (&self.services, self.hasher.hash_one(&principal.subject))
            }
            Some(principal) => (&self.users, self.hasher.hash_one(&principal.subject)),
        };
        match buckets {
            Some(buckets) => buckets.take(&self.clock, key, cost).map_err(|wait| limited("too many operations", wait)),
            None => Ok(()),
        }
    }

    /// Whether a token of this address may be looked at: asked before its signature costs anything.
    ///
    /// # Errors
    /// [`Code::RATE_LIMITED`] after too many bad ones.
    pub fn may_sign_in(&self, address: ClientAddress) -> Result<()> {
        if !self.any_shut_out.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut shut_out = self.shut_out.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match shut_out.get(&address.group()) {
            Some(until) if *until > now => Err(limited("too many bad tokens from this address", wait(*until, now))),
            Some(_) => {
                shut_out.remove(&address.group());
                self.any_shut_out.store(!shut_out.is_empty(), Ordering::Relaxed);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts a bad token against its address, as one anonymous operation.
    pub fn sign_in_failed(&self, address: ClientAddress) {
        let Some(buckets) = &self.anonymous else { return };
        let Err(span) = buckets.take(&self.clock, self.hasher.hash_one(address.group()), NonZeroU32::MIN) else {
            return;
        };
        let mut shut_out = self.shut_out.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if shut_out.len() >= SHUT_OUT_MOST as usize {
            shut_out.retain(|_, until| *until > now);
        }
        if shut_out.len() < SHUT_OUT_MOST as usize {
            shut_out.insert(address.group(), now + span.into());
            self.any_shut_out.store(true, Ordering::Relaxed);
        }
    }
}

impl<C: Clock> Buckets<C> {
    fn new(clock: C, rate: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(rate).allow_burst(burst);
        Self { limiter: RateLimiter::dashmap_with_clock(quota, clock), burst, checks: AtomicU32::new(0) }
    }

    /// Takes `cost` out, or says how long to wait until it may be taken.
    fn take(&self, clock: &C, key: u64, cost: NonZeroU32) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        match self.limiter.check_key_n(&key, cost.min(self.burst)) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(clock.now())),
        }
    }
}

fn wait<I: governor::clock::Reference>(until: I, now: I) -> Duration {
    until.duration_since(now).into()
}

fn limited(what: &str, wait: Duration) -> Error {
    // A client that waits as long as it is told must get through: up, never down.
    let wait_ms = wait.as_nanos().div_ceil(1_000_000).max(1);
    Error::new(Code::RATE_LIMITED, format!("{what}: try again in {wait_ms} ms"))
        .with_retry_after(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX)))
}

/// Adds `Retry-After`, in whole seconds, to an answer to a request that was refused for now.
pub(super) fn with_retry_after(wait: Option<Duration>, mut response: Response) -> Response {
    if let Some(wait) = wait {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::kernel::auth::Principal;
    use crate::kernel::clock::Millis;
    use crate::kernel::config::SETTINGS;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn limits(flags: &[(&str, &str)]) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &flags).unwrap();
        (Limits::on(clock.clone(), &settings), clock)
    }

    fn address(n: u32) -> ClientAddress {
        ClientAddress(IpAddr::from(n.to_be_bytes()))
    }

    fn session(subject: &str, roles: &[Role]) -> Session {
        let principal = Principal { subject: subject.to_owned(), roles: roles.to_vec(), expires_at: Millis(i64::MAX) };
        Session(Some(std::sync::Arc::new(principal)))
    }

    #[test]
    fn a_bucket_is_a_burst_and_a_rate_and_says_how_long_to_wait() {
        let (limits, clock) = limits(&[("limits.rate_anonymous", "10"), ("limits.burst_secs", "2")]);
        let ask = |n, cost| limits.check(&Session(None), address(n), NonZeroU32::new(cost).unwrap());
        (0..20).for_each(|_| ask(1, 1).unwrap());
        let error = ask(1, 1).unwrap_err();
        assert_eq!((error.code(), error.retry_after()), (Code::RATE_LIMITED, Some(Duration::from_millis(100))));
        assert_eq!(error.client(), "too many operations: try again in 100 ms");
        ask(2, 20).unwrap();
        clock.advance(Duration::from_millis(99));
        ask(1, 1).unwrap_err();
        clock.advance(Duration::from_millis(1));
        ask(1, 1).unwrap();
        assert_eq!(ask(1, 5).unwrap_err().retry_after(), Some(Duration::from_millis(500)));
        // More than a bucket holds: passes when it is full.
        clock.advance(Duration::from_secs(2));
        ask(1, 1_000).unwrap();
        ask(1, 1).unwrap_err();
    }

    #[test]
    fn subjects_have_buckets_of_their_own_and_services_none() {
        let (limits, _) =
            limits(&[("limits.rate_anonymous", "1"), ("limits.rate_user", "1"), ("limits.burst_secs", "1")]);
        let ask = |session: &Session| limits.check(session, address(1), ONE);
        for session in [Session(None), session("ann", &[Role::User]), session("ben", &[Role::Teacher])] {
            ask(&session).unwrap();
            ask(&session).unwrap_err();
        }
        for role in SERVICES {
            (0..100).for_each(|_| ask(&session("robot", &[Role::User, role])).unwrap());
        }
    }

    #[test]
    fn bad_tokens_shut_their_address_out_for_a_while() {
        let (limits, clock) = limits(&[("limits.rate_anonymous", "10"), ("limits.burst_secs", "1")]);
        for _ in 0..10 {
            limits.may_sign_in(address(1)).unwrap();
            limits.sign_in_failed(address(1));
        }
        limits.may_sign_in(address(1)).unwrap();
        limits.sign_in_failed(address(1));
        let error = limits.may_sign_in(address(1)).unwrap_err();
        assert_eq!((error.code(), error.retry_after()), (Code::RATE_LIMITED, Some(Duration::from_millis(100))));
        limits.may_sign_in(address(2)).unwrap();
        clock.advance(Duration::from_millis(100));
        limits.may_sign_in(address(1)).unwrap();
        assert!(limits.shut_out.lock().unwrap().is_empty() && !limits.any_shut_out.load(Ordering::Relaxed));
    }

    #[test]
    fn what_is_remembered_of_many_addresses_is_bounded() {
        let (limits, clock) = limits(&[("server.mode", "production")]);
        let mut most = 0;
        for n in 0..1_000_000 {
            limits.check(&Session(None), address(n), ONE).unwrap();
            if n % 100 == 0 {
                clock.advance(Duration::from_millis(1));
                most = most.max(limits.anonymous.as_ref().unwrap().limiter.len());
            }
        }
        // An operation is forgotten 40 ms later: after the 20 ms in which its bucket fills again, and as long once more,
        // which is how `governor` looks at it. At this pace that is 4,000 addresses.
        assert!(most <= PRUNE_EVERY as usize + 4_100, "{most}");

        let (limits, _) = self::limits(&[("limits.rate_anonymous", "1"), ("limits.burst_secs", "1")]);
        for n in 0..2 * SHUT_OUT_MOST {
            (0..2).for_each(|_| limits.sign_in_failed(address(n)));
        }
        assert_eq!(limits.shut_out.lock().unwrap().len(), SHUT_OUT_MOST as usize);
    }
}
