//! The module's settings.

use std::collections::HashSet;

use super::notification::Kind;
use crate::kernel::config::{Form, Setting, Settings};

/// The key of the schedule on which old notifications are removed.
pub(super) const RETENTION_SCHEDULE: &str = "notifications.retention_schedule";
/// The key of the schedule on which what deleted users and contents left is removed.
pub(super) const CLEANUP_SCHEDULE: &str = "notifications.cleanup_schedule";

/// The module's settings.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "notifications.kinds",
        Some("LIKED,FAVORITED,COMMENTED,SHARED,LEVEL_UP"),
        Form::List(|word| Kind::from_word(word).map(|_| ()).ok_or("LIKED, FAVORITED, COMMENTED, SHARED or LEVEL_UP")),
        "what authors are told of; what they were told before stays, and is still taken back",
    ),
    Setting::new(
        "notifications.retention_days",
        Some("90"),
        Form::Count(1, 36_500),
        "days after the last act in it until a notification that was read is removed",
    ),
    Setting::new(
        "notifications.unread_retention_days",
        Some("365"),
        Form::Count(1, 36_500),
        "the same for one that nobody read; never less than that of those that were read",
    ),
    Setting::new(RETENTION_SCHEDULE, Some("0 30 3 * * *"), Form::Schedule, "when old notifications are removed"),
    Setting::new(
        CLEANUP_SCHEDULE,
        Some("45 * * * * *"),
        Form::Schedule,
        "when what deleted users and contents left is removed; a deletion does not wait for it",
    ),
    Setting::new(
        "notifications.live_interval_ms",
        Some("100"),
        Form::Count(10, 60_000),
        "listeners hear of a notification at most this often",
    ),
];

/// The kinds that authors are told of.
pub(super) fn kinds(settings: &Settings) -> HashSet<Kind> {
    settings.list("notifications.kinds").filter_map(Kind::from_word).collect()
}
