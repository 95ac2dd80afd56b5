//! Tables of the `points` module. `lane` is that of the user whose points they are.

use crate::dialect::migration;

migration!(
    /// The ledger, what it adds up to, and what was found to differ.
    M0001Points,
    [
        // Its row is the lock of the user's ledger.
        "CREATE TABLE point_accounts (
            {small lane} NOT NULL,
            {id user_id} NOT NULL,
            version {int} NOT NULL,
            balance {int} NOT NULL,
            sequence {int} NOT NULL,
            last_hash {bytes} NOT NULL,
            overdraft_limit {int} NOT NULL,
            PRIMARY KEY (lane, user_id)
        ) {strict} {hot}",
        // Facts: no row is ever updated or removed.
        "CREATE TABLE point_transactions (
            {small lane} NOT NULL,
            {id user_id} NOT NULL,
            sequence {int} NOT NULL,
            {id id} NOT NULL,
            amount {int} NOT NULL,
            balance_after {int} NOT NULL,
            overdraft_limit {int} NOT NULL,
            {small kind} NOT NULL,
            reason {text} NOT NULL,
            {id actor_id} NOT NULL,
            idempotency_key {text} NOT NULL,
            input_hash {bytes} NOT NULL,
            {id reverses_id},
            prev_hash {bytes} NOT NULL,
            field_marks {bytes} NOT NULL,
            hash {bytes} NOT NULL,
            created_at {int} NOT NULL,
            PRIMARY KEY (lane, user_id, sequence)
        ) {clustered and strict}",
        // The last byte of an id is its lane.
        "CREATE UNIQUE INDEX point_transactions_by_id ON point_transactions (lane, id)",
        "CREATE UNIQUE INDEX point_transactions_by_key ON point_transactions (lane, user_id, idempotency_key)",
        "CREATE UNIQUE INDEX point_transactions_by_reversed
            ON point_transactions (lane, user_id, reverses_id) WHERE reverses_id IS NOT NULL",
        // The histories: moments never fall within an account.
        "CREATE INDEX point_transactions_by_time ON point_transactions (lane, user_id, created_at, sequence)",
        "CREATE INDEX point_transactions_by_kind ON point_transactions (lane, user_id, kind, sequence)",
        "CREATE INDEX point_transactions_by_actor ON point_transactions (lane, user_id, actor_id, sequence)",
        "CREATE TABLE point_incidents (
            {small lane} NOT NULL,
            {id user_id} NOT NULL,
            {id id} NOT NULL,
            field {text} NOT NULL,
            stored {text} NOT NULL,
            actual {text} NOT NULL,
            found_by {text} NOT NULL,
            found_at {int} NOT NULL,
            PRIMARY KEY (lane, user_id, id)
        ) {clustered and strict}",
    ]
);

/// The module's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![Box::new(M0001Points)]
}
