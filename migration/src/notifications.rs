//! Tables of the `notifications` module. `lane` is that of the user who is told.

use crate::dialect::migration;

migration!(
    /// What users are told, of which acts it is made, and what is still to be cleaned up.
    M0001Notifications,
    [
        // Its row is the lock of everything that a user is told.
        "CREATE TABLE notification_totals (
            lane {small} NOT NULL,
            user_id {id} NOT NULL,
            version {int} NOT NULL,
            unread_count {int} NOT NULL,
            PRIMARY KEY (lane, user_id)
        ) {hot}",
        "CREATE TABLE notifications (
            lane {small} NOT NULL,
            id {id} NOT NULL,
            user_id {id} NOT NULL,
            content_id {id} NOT NULL,
            kind {small} NOT NULL,
            version {int} NOT NULL,
            actor_count {int} NOT NULL,
            last_actor_id {id} NOT NULL,
            level {small} NOT NULL,
            newest_sequence {int} NOT NULL,
            read_sequence {int} NOT NULL,
            unread {small} NOT NULL,
            read_at {int},
            created_at {int} NOT NULL,
            updated_at {int} NOT NULL,
            PRIMARY KEY (lane, id),
            UNIQUE (lane, user_id, content_id, kind)
        ) {hot}",
        // The lists, all and unread only: what nobody is left of is in neither.
        "CREATE INDEX notifications_by_time ON notifications (lane, user_id, updated_at, id) WHERE actor_count > 0",
        "CREATE INDEX notifications_unread ON notifications (lane, user_id, updated_at, id) WHERE unread = 1",
        "CREATE INDEX notifications_by_age ON notifications (updated_at) WHERE unread = 0",
        "CREATE TABLE notification_acts (
            lane {small} NOT NULL,
            notification_id {id} NOT NULL,
            subject_id {id} NOT NULL,
            actor_id {id} NOT NULL,
            level {small} NOT NULL,
            sequence {int} NOT NULL,
            acted_at {int} NOT NULL,
            present {small} NOT NULL,
            PRIMARY KEY (lane, notification_id, subject_id)
        ) {clustered}",
        "CREATE INDEX notification_acts_by_sequence
            ON notification_acts (lane, notification_id, sequence, subject_id) WHERE present = 1",
        // With all that a look for a newer act of the same actor reads: else SQLite walks the notification's acts for it.
        "CREATE INDEX notification_acts_by_actor
            ON notification_acts (actor_id, lane, notification_id, present, sequence)",
        // Whose acts go in chunks, after the notification itself.
        "CREATE TABLE notification_graves (
            lane {small} NOT NULL,
            notification_id {id} NOT NULL,
            PRIMARY KEY (lane, notification_id)
        ) {clustered}",
        // Deleted contents and users, so that late events do not bring them back. Of a user something may be left.
        "CREATE TABLE notification_gone (
            id_hash {id} NOT NULL PRIMARY KEY,
            gone_at {int} NOT NULL,
            pending_id {id}
        ) {clustered}",
        "CREATE INDEX notification_gone_pending ON notification_gone (pending_id) WHERE pending_id IS NOT NULL",
        "CREATE INDEX notification_gone_by_age ON notification_gone (gone_at) WHERE pending_id IS NULL",
    ]
);

migration!(
    /// Those that nobody reads are removed of old age, too.
    M0002UnreadByAge,
    ["CREATE INDEX notifications_unread_by_age ON notifications (updated_at) WHERE unread = 1"]
);

migration!(
    /// `notification_gone.begun`: whether the job has begun to remove what is left.
    M0003GoneBegun,
    ["ALTER TABLE notification_gone ADD COLUMN begun {small} NOT NULL DEFAULT 0"]
);

/// The module's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![Box::new(M0001Notifications), Box::new(M0002UnreadByAge), Box::new(M0003GoneBegun)]
}
