//! The module's settings.

use crate::kernel::config::{Form, Setting};

/// The module's settings.
pub(super) const SETTINGS: &[Setting] = &[Setting::new(
    "points.live_interval_ms",
    Some("100"),
    Form::Count(10, 60_000),
    "listeners hear of an account at most this often",
)];
