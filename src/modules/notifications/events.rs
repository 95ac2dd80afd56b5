//! What listeners are told.

use uuid::Uuid;

use super::notification::NotificationRecord;
use crate::kernel::live::Conflate;

/// A notification changed.
#[derive(Clone, Debug)]
pub struct NotificationEvent {
    /// The notification after it.
    pub notification: NotificationRecord,
    /// The sequence of the newest act that held before it.
    pub before: i64,
}

impl NotificationEvent {
    /// Whether there is something new in it that its user has not read: of acts that were taken back within the same
    /// interval, and of marks, nobody hears.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.notification.unread && self.notification.newest_sequence > self.before
    }
}

impl Conflate for NotificationEvent {
    type Key = Uuid;
    type Topic = Uuid;

    fn key(&self) -> Uuid {
        self.notification.id
    }

    fn topic(&self) -> Uuid {
        self.notification.user_id
    }

    fn absorb(&mut self, newer: Self) {
        // Relay and marks commit side by side, and may publish in another order.
        self.before = self.before.min(newer.before);
        if newer.notification.version > self.notification.version {
            self.notification = newer.notification;
        }
    }
}
