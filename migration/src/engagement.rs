//! Tables of the `engagement` module. Times are milliseconds since 1970 UTC, weights and quality are thousandths.

use crate::dialect::migration;

migration!(
    /// What changes slowly: contents and what only artworks or only videos have.
    M0001Contents,
    [
        "CREATE TABLE contents (
            lane {small} NOT NULL,
            id {id} NOT NULL,
            external_id {text} UNIQUE,
            client_key {text},
            kind {small} NOT NULL,
            author_id {id} NOT NULL,
            title {text} NOT NULL,
            cover_url {text},
            status {small} NOT NULL,
            published_at {int} NOT NULL,
            quality {int} NOT NULL,
            base_weight {int} NOT NULL,
            source {text},
            PRIMARY KEY (lane, id),
            UNIQUE (author_id, client_key)
        ) {clustered}",
        // The lists: newest first by kind, and an author's own. Status is last: it filters few rows out.
        "CREATE INDEX contents_by_time ON contents (kind, published_at, id, status)",
        "CREATE INDEX contents_by_author ON contents (author_id, kind, published_at, id)",
        "CREATE TABLE artworks (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            prompt {text},
            model {text},
            width {int},
            height {int},
            image_url {text},
            PRIMARY KEY (lane, content_id)
        ) {clustered}",
        "CREATE TABLE videos (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            item_id {text},
            duration_ms {int},
            video_url {text},
            PRIMARY KEY (lane, content_id)
        ) {clustered}",
    ]
);

migration!(
    /// What is written often: narrow rows, one index.
    M0002Figures,
    [
        "CREATE TABLE content_figures (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            version {int} NOT NULL,
            like_count {int} NOT NULL,
            favorite_count {int} NOT NULL,
            comment_count {int} NOT NULL,
            share_count {int} NOT NULL,
            view_count {int} NOT NULL,
            heat {int},
            wake_at {int},
            hot_level {small} NOT NULL,
            hot_score {float} NOT NULL,
            last_hot_update {int} NOT NULL,
            last_history_at {int} NOT NULL,
            PRIMARY KEY (lane, content_id)
        ) {hot}",
        // No heat is last in every ranking, on both databases: hence the stand-in below every heat there can be.
        "CREATE INDEX content_figures_by_heat ON content_figures (coalesce(heat, -4611686018427387904), content_id)",
        "CREATE TABLE content_heat (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            epoch {int} NOT NULL,
            mass {int} NOT NULL,
            PRIMARY KEY (lane, content_id, epoch)
        ) {clustered}",
        "CREATE TABLE behaviors (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            user_id {id} NOT NULL,
            kind {small} NOT NULL,
            acted_at {int} NOT NULL,
            removed_at {int},
            PRIMARY KEY (lane, content_id, user_id, kind)
        ) {clustered}",
        "CREATE TABLE hot_history (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            id {id} NOT NULL,
            hot_score {float} NOT NULL,
            hot_level {small} NOT NULL,
            calculated_at {int} NOT NULL,
            calculation_method {small} NOT NULL,
            metadata {text},
            PRIMARY KEY (lane, content_id, id)
        ) {clustered}",
    ]
);

migration!(
    /// The weights and the half-life that the stored masses were made with: two settings are never mixed.
    M0003HeatSettings,
    [
        "CREATE TABLE heat_settings (
            version {int} NOT NULL PRIMARY KEY,
            half_life_ms {int} NOT NULL,
            like_weight {int} NOT NULL,
            favorite_weight {int} NOT NULL,
            publish_weight {int} NOT NULL,
            created_at {int} NOT NULL
        )",
    ]
);

migration!(
    /// Weights of comments, shares and views: those who started before have the defaults, of which nothing was made yet.
    M0004ActWeights,
    [
        "ALTER TABLE heat_settings ADD COLUMN comment_weight {int} NOT NULL DEFAULT 3000",
        "ALTER TABLE heat_settings ADD COLUMN share_weight {int} NOT NULL DEFAULT 8000",
        "ALTER TABLE heat_settings ADD COLUMN view_weight {int} NOT NULL DEFAULT 100",
    ]
);

migration!(
    /// Comments and shares. A comment's id ends in its content's lane, so that the id alone finds its shard.
    M0005CommentsAndShares,
    [
        "CREATE TABLE comments (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            id {id} NOT NULL,
            user_id {id} NOT NULL,
            body {text} NOT NULL,
            client_key {text},
            commented_at {int} NOT NULL,
            deleted_at {int},
            deleted_by {id},
            PRIMARY KEY (lane, content_id, id),
            UNIQUE (user_id, client_key)
        ) {clustered}",
        "CREATE UNIQUE INDEX comments_by_id ON comments (lane, id)",
        "CREATE TABLE shares (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            id {id} NOT NULL,
            user_id {id} NOT NULL,
            channel {small} NOT NULL,
            client_key {text},
            shared_at {int} NOT NULL,
            PRIMARY KEY (lane, content_id, id),
            UNIQUE (user_id, client_key)
        ) {clustered}",
    ]
);

migration!(
    /// Views: a row a viewer, content and hour at first; then a count an hour; then a count and a mass an epoch, of a
    /// version of the settings. Each step is one transaction that writes the sum and removes what it sums up.
    M0006Views,
    [
        "CREATE TABLE content_views (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            hour {int} NOT NULL,
            viewer_key {id} NOT NULL,
            PRIMARY KEY (lane, content_id, hour, viewer_key)
        ) {clustered}",
        "CREATE TABLE content_view_hours (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            hour {int} NOT NULL,
            count {int} NOT NULL,
            PRIMARY KEY (lane, content_id, hour)
        ) {clustered}",
        "CREATE TABLE content_view_epochs (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            heat_version {int} NOT NULL,
            epoch {int} NOT NULL,
            count {int} NOT NULL,
            mass {int} NOT NULL,
            PRIMARY KEY (lane, content_id, heat_version, epoch)
        ) {clustered}",
        // One row: what viewers' keys are made with, and the moment before which no view is recorded any more.
        "CREATE TABLE view_state (
            id {small} NOT NULL PRIMARY KEY,
            secret {text} NOT NULL,
            closed_before {int} NOT NULL
        )",
    ]
);

migration!(
    /// The contents whose level ends by a moment: the timer's question, every second. One entry more to write a like, as
    /// the moment moves with the heat; cold contents have none.
    M0010Cooling,
    [
        "CREATE INDEX content_figures_due ON content_figures (wake_at, content_id) WHERE wake_at IS NOT NULL",
    ]
);

migration!(
    /// Deletions that were accepted and are not finished, and what finds the rows that go: what a user did, and
    /// tombstones whose time is over. By user alone: SQLite adds the primary key to each entry, and PostgreSQL keeps the
    /// many rows of a user in a few entries. Both cost a like one entry more, an unlike two.
    M0011Deletions,
    [
        "CREATE TABLE deletions (
            id {id} NOT NULL PRIMARY KEY,
            kind {small} NOT NULL,
            accepted_at {int} NOT NULL,
            removed {int} NOT NULL
        ) {clustered}",
        // For good, so that no late act brings a deleted user back: a hash of the id, not the id.
        "CREATE TABLE deleted_users (
            id_hash {id} NOT NULL PRIMARY KEY,
            deleted_at {int} NOT NULL
        ) {clustered}",
        "CREATE INDEX behaviors_by_user ON behaviors (user_id)",
        "CREATE INDEX comments_by_deleter ON comments (deleted_by) WHERE deleted_by IS NOT NULL",
        "CREATE INDEX behaviors_removed ON behaviors (removed_at) WHERE removed_at IS NOT NULL",
    ]
);

migration!(
    /// Versions of settings: thresholds belong to one too (null: as configured when the server starts next), and every row
    /// of figures says which version it was made with. The two `_next` tables hold what a recalculation makes, then swap
    /// names with those in force: see `docs/adr/0012-recalculation.md`. They have the same columns and the same indexes.
    M0020Recalculation,
    [
        "ALTER TABLE heat_settings ADD COLUMN warm_from {float}",
        "ALTER TABLE heat_settings ADD COLUMN hot_from {float}",
        "ALTER TABLE heat_settings ADD COLUMN blazing_from {float}",
        "ALTER TABLE content_figures ADD COLUMN heat_version {int} NOT NULL DEFAULT 1",
        "CREATE TABLE content_figures_next (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            version {int} NOT NULL,
            like_count {int} NOT NULL,
            favorite_count {int} NOT NULL,
            comment_count {int} NOT NULL,
            share_count {int} NOT NULL,
            view_count {int} NOT NULL,
            heat {int},
            wake_at {int},
            hot_level {small} NOT NULL,
            hot_score {float} NOT NULL,
            last_hot_update {int} NOT NULL,
            last_history_at {int} NOT NULL,
            heat_version {int} NOT NULL DEFAULT 1,
            PRIMARY KEY (lane, content_id)
        ) {hot}",
        "CREATE INDEX content_figures_next_by_heat
            ON content_figures_next (coalesce(heat, -4611686018427387904), content_id)",
        "CREATE INDEX content_figures_next_due ON content_figures_next (wake_at, content_id) WHERE wake_at IS NOT NULL",
        "CREATE TABLE content_heat_next (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            epoch {int} NOT NULL,
            mass {int} NOT NULL,
            PRIMARY KEY (lane, content_id, epoch)
        ) {clustered}",
        // One row: what is in force, what is being made, and how often the figures of all changed at once.
        "CREATE TABLE heat_in_force (
            one {small} NOT NULL PRIMARY KEY,
            version {int} NOT NULL,
            next_version {int},
            generation {int} NOT NULL
        )",
        "INSERT INTO heat_in_force (one, version, generation) SELECT 1, version, 0 FROM heat_settings",
        // One row: how far the recalculation is. Apart, so that its chunks do not meet those who publish.
        "CREATE TABLE heat_recalculation (
            one {small} NOT NULL PRIMARY KEY,
            version {int} NOT NULL,
            done_lane {small} NOT NULL,
            done_id {id} NOT NULL,
            succeeded {int} NOT NULL,
            failed {int} NOT NULL,
            started_at {int} NOT NULL,
            switched_at {int}
        )",
    ]
);

migration!(
    /// Who did more in an hour than people do, for operators.
    M0030Suspicion,
    [
        "CREATE TABLE suspicious_activity (
            id {id} NOT NULL,
            actor_kind {small} NOT NULL,
            actor {id} NOT NULL,
            actions {int} NOT NULL,
            since_at {int} NOT NULL,
            until_at {int} NOT NULL,
            PRIMARY KEY (id)
        ) {clustered}",
        // Newest first, and the oldest go.
        "CREATE INDEX suspicious_activity_by_time ON suspicious_activity (since_at, id)",
        // When a user goes, what is theirs goes.
        "CREATE INDEX suspicious_activity_by_actor ON suspicious_activity (actor)",
    ]
);

migration!(
    /// Comments: pages read those that were not deleted; a deleted one keeps a hash of its text at most, and goes in time.
    /// Texts that a client key may still ask for are left to that time.
    M0040CommentTombstones,
    [
        "ALTER TABLE comments ADD COLUMN body_hash {text}",
        "UPDATE comments SET body = '' WHERE deleted_at IS NOT NULL AND client_key IS NULL",
        "CREATE INDEX comments_live ON comments (lane, content_id, id) WHERE deleted_at IS NULL",
        "CREATE INDEX comments_removed ON comments (deleted_at) WHERE deleted_at IS NOT NULL",
    ]
);

migration!(
    /// The job is called as its setting: what remembers the old name goes.
    M0041SuspiciousRetention,
    [
        "DELETE FROM job_runs WHERE job = 'engagement.suspicion_retention'",
        "DELETE FROM jobs WHERE name = 'engagement.suspicion_retention'",
    ]
);

migration!(
    /// Counts that an import took over with no rows behind them: facts that say «so many, at this moment».
    M0042Openings,
    [
        "CREATE TABLE content_openings (
            lane {small} NOT NULL,
            content_id {id} NOT NULL,
            figure {small} NOT NULL,
            count {int} NOT NULL,
            at {int} NOT NULL,
            PRIMARY KEY (lane, content_id, figure)
        ) {clustered}",
    ]
);

migration!(
    /// Which likes and favorites an import told of: that one was taken back is never forgotten, since its source tells of it
    /// again. The job that removes old tombstones walks the others alone.
    M0050ImportedBehaviors,
    [
        "ALTER TABLE behaviors ADD COLUMN imported {small} NOT NULL DEFAULT 0",
        "DROP INDEX behaviors_removed",
        "CREATE INDEX behaviors_removed ON behaviors (removed_at) WHERE removed_at IS NOT NULL AND imported = 0",
    ]
);

/// The module's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![
        Box::new(M0001Contents),
        Box::new(M0002Figures),
        Box::new(M0003HeatSettings),
        Box::new(M0004ActWeights),
        Box::new(M0005CommentsAndShares),
        Box::new(M0006Views),
        Box::new(M0010Cooling),
        Box::new(M0011Deletions),
        Box::new(M0020Recalculation),
        Box::new(M0030Suspicion),
        Box::new(M0040CommentTombstones),
        Box::new(M0041SuspiciousRetention),
        Box::new(M0042Openings),
        Box::new(M0050ImportedBehaviors),
    ]
}
