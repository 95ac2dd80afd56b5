//! Time is injected: nothing outside this file asks the operating system what time it is (`clippy.toml` bans it).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime, Utc};

/// Milliseconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, sea_orm::DeriveValueType,
)]
pub struct Millis(pub i64);

impl Millis {
    /// One minute.
    pub const MINUTE: i64 = 60_000;
    /// One hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// One day of 24 hours.
    pub const DAY: i64 = 24 * Self::HOUR;

    /// This moment and `millis` more.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// RFC 3339 to the second, as operators read it: `2026-05-01T08:30:00Z`.
    #[must_use]
    pub fn to_text(self) -> String {
        self.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// RFC 3339 at the edge; moments that no calendar holds become its ends.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

/// A moment as RFC 3339 text, in UTC when the server writes it: `2026-05-01T08:30:00.250+00:00`. Kept in milliseconds.
#[Scalar(name = "DateTime", specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for Millis {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text.parse::<DateTime<Utc>>()?.timestamp_millis())),
            value => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_utc().to_rfc3339())
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. May step backwards: what needs order must not rely on it.
    fn now(&self) -> Millis;
}

/// The operating system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
    fn now(&self) -> Millis {
        // Not by way of a calendar: it is asked several times a request.
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Millis(ms(since)),
            Err(until) => Millis(-ms(until.duration())),
        }
    }
}

/// A clock that stands still until it is set; for tests and simulations.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn new(at: Millis) -> Self {
        Self(AtomicI64::new(at.0))
    }

    /// Sets it, backwards too.
    pub fn set(&self, at: Millis) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}
