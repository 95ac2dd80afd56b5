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

migration!(
    /// What rules know of acts that give points.
    M0002PointRules,
    [
        // A register: up to which event an act is known, and the award that stands for it. `subject_id` is who did it,
        // of a comment the comment. `day` is that of `acted_at` in the time zone of the time.
        "CREATE TABLE point_rule_acts (
            lane {small} NOT NULL,
            user_id {id} NOT NULL,
            rule {small} NOT NULL,
            content_id {id} NOT NULL,
            subject_id {id} NOT NULL,
            sequence {int} NOT NULL,
            acted_at {int} NOT NULL,
            day {int} NOT NULL,
            award_id {id},
            points {int} NOT NULL,
            day_most {int} NOT NULL,
            PRIMARY KEY (lane, user_id, rule, content_id, subject_id)
        ) {clustered}",
        // What a day has given: by the moment, so that PostgreSQL takes no other index while the table is empty.
        "CREATE INDEX point_rule_acts_by_day
            ON point_rule_acts (lane, user_id, rule, day, acted_at) WHERE award_id IS NOT NULL",
        "CREATE UNIQUE INDEX point_rule_acts_by_award
            ON point_rule_acts (lane, user_id, award_id) WHERE award_id IS NOT NULL",
    ]
);

migration!(
    /// Seals of what is known of acts. A row from before has none until its act is heard of again.
    M0003PointRuleSeals,
    ["ALTER TABLE point_rule_acts ADD COLUMN seal {bytes}"]
);

migration!(
    /// The rules from when on.
    M0004PointRuleVersions,
    [
        // The first one is of all times before the second.
        "CREATE TABLE point_rule_versions (
            from_at {int} NOT NULL PRIMARY KEY,
            rules {text} NOT NULL,
            contents {text} NOT NULL,
            time_zone {text} NOT NULL
        ) {strict}",
    ]
);

/// The module's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![
        Box::new(M0001Points),
        Box::new(M0002PointRules),
        Box::new(M0003PointRuleSeals),
        Box::new(M0004PointRuleVersions),
    ]
}
