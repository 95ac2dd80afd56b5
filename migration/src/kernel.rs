//! Tables that every module's writes stand on.

use crate::dialect::migration;

migration!(
    /// `batches`: one marker a committed batch, so that a retry after a COMMIT of unknown outcome can tell.
    M0001Batches,
    [
        "CREATE TABLE batches (id {id} NOT NULL PRIMARY KEY, committed_at {int} NOT NULL) {clustered}",
    ]
);

migration!(
    /// `outbox`: an event and durable consumer a row, gone once its effect is there; `relays`: who delivers to a consumer.
    M0002Outbox,
    [
        "CREATE TABLE outbox (
            consumer {text} NOT NULL, lane {small} NOT NULL, key {id} NOT NULL, sequence {int} NOT NULL,
            id {id} NOT NULL, kind {text} NOT NULL, payload {text} NOT NULL, created_at {int} NOT NULL,
            attempts {int} NOT NULL, due_at {int} NOT NULL, error {text}, set_aside_at {int},
            PRIMARY KEY (consumer, lane, key, sequence)) {clustered} {queue}",
        "CREATE INDEX outbox_due ON outbox (consumer, due_at, created_at) WHERE set_aside_at IS NULL",
        "CREATE INDEX outbox_set_aside ON outbox (consumer, set_aside_at, id) WHERE set_aside_at IS NOT NULL",
        "CREATE TABLE relays (consumer {text} NOT NULL PRIMARY KEY, owner {text} NOT NULL, lease_until {int} NOT NULL,
            fence {int} NOT NULL) {clustered} {hot}",
    ]
);

migration!(
    /// `jobs`: when each runs next and who runs it; `job_runs`: what came of it, a tick a row.
    M0003Jobs,
    [
        "CREATE TABLE jobs (
            name {text} NOT NULL PRIMARY KEY, schedule {text} NOT NULL, next_run_at {int}, tick {int}, last_tick {int},
            last_success_at {int}, owner {text} NOT NULL, lease_until {int} NOT NULL, fence {int} NOT NULL) {clustered} {hot}",
        "CREATE TABLE job_runs (
            job {text} NOT NULL, tick {int} NOT NULL, owner {text} NOT NULL, attempts {int} NOT NULL,
            started_at {int} NOT NULL, ended_at {int}, outcome {text}, detail {text},
            PRIMARY KEY (job, tick)) {clustered}",
    ]
);

migration!(
    /// `integrity_runs`: checks, repairs and what undoes them; `integrity_changes`: what a repair replaced, as it was;
    /// `integrity_results`: what each check found last.
    M0004Integrity,
    [
        "CREATE TABLE integrity_runs (
            id {id} NOT NULL PRIMARY KEY, kind {text} NOT NULL, state {text} NOT NULL, dry_run {small} NOT NULL,
            scope {text} NOT NULL, started_by {text} NOT NULL, began_at {int} NOT NULL, ended_at {int},
            alive_until {int} NOT NULL, undoes {id}, undone_by {id}, report {text} NOT NULL) {clustered}",
        "CREATE INDEX integrity_runs_by_time ON integrity_runs (began_at, id)",
        "CREATE TABLE integrity_changes (
            run {id} NOT NULL, number {int} NOT NULL, module {text} NOT NULL, check_name {text} NOT NULL,
            lane {small} NOT NULL, item {id} NOT NULL, id {text} NOT NULL, field {text} NOT NULL,
            stored {text} NOT NULL, actual {text} NOT NULL, put_back {small},
            PRIMARY KEY (run, number)) {clustered}",
        "CREATE TABLE integrity_results (
            module {text} NOT NULL, check_name {text} NOT NULL, run {id} NOT NULL, ran_at {int} NOT NULL,
            checked {int} NOT NULL, drifted {int} NOT NULL, line {text} NOT NULL,
            PRIMARY KEY (module, check_name)) {clustered}",
    ]
);

migration!(
    /// `nodes`: the processes that serve or work, each with its last sign of life.
    M0005Nodes,
    [
        "CREATE TABLE nodes (
            id {text} NOT NULL PRIMARY KEY, host {text} NOT NULL, version {text} NOT NULL, role {text} NOT NULL,
            works {small} NOT NULL, listen {text}, beat_secs {int} NOT NULL, started_at {int} NOT NULL,
            seen_at {int} NOT NULL) {clustered} {hot}",
    ]
);

migration!(
    /// `jobs.woken`: whether somebody asked for the next run.
    M0006JobsWoken,
    ["ALTER TABLE jobs ADD COLUMN woken {small} NOT NULL DEFAULT 0"]
);

migration!(
    /// `integrity_changes.kept`: what else a repair replaced, for its undo; the index finds what a newer repair replaces
    /// again. `integrity_untold`: repairs, and what undoes them, of which somebody has yet to hear.
    M0007IntegrityKept,
    [
        "ALTER TABLE integrity_changes ADD COLUMN kept {text}",
        "CREATE INDEX integrity_changes_by_item ON integrity_changes (lane, item) WHERE put_back IS NULL",
        "CREATE TABLE integrity_untold (run {id} NOT NULL PRIMARY KEY) {clustered}",
    ]
);

migration!(
    /// `integrity_changes.replaced_by`: the newer repair that replaced the figure again, until that one is undone.
    M0008IntegrityReplaced,
    [
        "ALTER TABLE integrity_changes ADD COLUMN replaced_by {id}",
        "CREATE INDEX integrity_changes_replaced ON integrity_changes (replaced_by) WHERE replaced_by IS NOT NULL",
    ]
);

/// The kernel's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![
        Box::new(M0001Batches),
        Box::new(M0002Outbox),
        Box::new(M0003Jobs),
        Box::new(M0004Integrity),
        Box::new(M0005Nodes),
        Box::new(M0006JobsWoken),
        Box::new(M0007IntegrityKept),
        Box::new(M0008IntegrityReplaced),
    ]
}
