//! What changes notifications.

pub(super) mod apply_events;
pub(super) mod clean_up;
pub(super) mod mark_read;
pub(super) mod prune_old;
