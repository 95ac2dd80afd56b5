//! The module's settings, and those that the stored masses were made with.

use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryOrder as _};

use super::entity::{Column, Entity, Model};
use super::hotness::{HeatSettings, Hotness, Thresholds};
use crate::kernel::clock::Millis;
use crate::kernel::config::{Form, Setting, Settings};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};

const fn number(key: &'static str, default: &'static str, least: f64, most: f64, doc: &'static str) -> Setting {
    Setting { key, alias: None, default: Some(default), form: Form::Number(least, most), doc }
}

const fn count(key: &'static str, default: &'static str, least: u32, most: u32, doc: &'static str) -> Setting {
    Setting { key, alias: None, default: Some(default), form: Form::Count(least, most), doc }
}

const fn schedule(key: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, alias: None, default: Some(default), form: Form::Schedule, doc }
}

/// The module's settings.
pub(super) const SETTINGS: &[Setting] = &[
    number("engagement.half_life_hours", "72", 1.0, 8_760.0, "hours in which a score halves"),
    number("engagement.like_weight", "2", 0.0, 1_000.0, "points of a like"),
    number("engagement.favorite_weight", "5", 0.0, 1_000.0, "points of a favorite"),
    number("engagement.comment_weight", "3", 0.0, 1_000.0, "points of a comment"),
    number("engagement.share_weight", "8", 0.0, 1_000.0, "points of a share"),
    number("engagement.view_weight", "0.1", 0.0, 1_000.0, "points of a view"),
    number("engagement.publish_weight", "10", 0.0, 1_000.0, "points of being published"),
    number("engagement.warm_from", "20", 0.001, 1e9, "score from which a content is WARM"),
    number("engagement.hot_from", "50", 0.001, 1e9, "score from which a content is HOT"),
    number("engagement.blazing_from", "100", 0.001, 1e9, "score from which a content is BLAZING"),
    number(
        "engagement.history_interval_secs",
        "300",
        0.0,
        31_536_000.0,
        "a row of hot history at most this often; 0 keeps every update",
    ),
    number(
        "engagement.view_open_hours",
        "24",
        1.0,
        8_760.0,
        "hours that the keys of an hour's viewers are kept; then the hour is a count",
    ),
    number(
        "engagement.view_hours_days",
        "90",
        1.0,
        36_500.0,
        "days that views are counted by the hour; then by epochs of 8 half-lives",
    ),
    Setting {
        key: "engagement.view_rollup",
        alias: None,
        default: Some("0 7 * * * *"),
        form: Form::Schedule,
        doc: "when views are summed up: a cron expression with seconds, in UTC, or `off`",
    },
    number("engagement.live_interval_ms", "100", 10.0, 60_000.0, "listeners hear of a content at most this often"),
    schedule(
        "engagement.cooling",
        "* * * * * *",
        "when levels that end by themselves are announced: a cron expression with seconds, in UTC, or `off`",
    ),
    schedule(
        "engagement.deletions",
        "30 * * * * *",
        "when accepted deletions go on (a new one begins at once): a cron expression with seconds, in UTC, or `off`",
    ),
    schedule(
        "engagement.retention",
        "0 47 3 * * *",
        "when old tombstones are removed: a cron expression with seconds, in UTC, or `off`",
    ),
    Setting {
        key: "engagement.tombstone_days",
        alias: None,
        default: Some("30"),
        form: Form::Count(1, 3650),
        doc: "days that it is remembered that a like or favorite was taken back; acts told later than that are refused",
    },
    count(
        "engagement.likes_per_hour",
        "10",
        0,
        10_000,
        "likes of one content by one user within an hour, given or taken back; 0 is no limit, and so is development unless \
         this is set; services and operators have none",
    ),
    count("engagement.favorites_per_hour", "5", 0, 10_000, "favorites likewise"),
    count("engagement.comments_per_hour", "20", 0, 10_000, "comments likewise; to delete one is not counted"),
    count("engagement.shares_per_hour", "3", 0, 10_000, "shares likewise"),
    count(
        "engagement.suspicious_per_hour",
        "100",
        0,
        10_000,
        "acts of one user within an hour, on all contents and refused ones too, above which `suspiciousActivity` has the \
         user; 0 is never, and so is development unless this is set",
    ),
    count(
        "engagement.suspicious_views_per_hour",
        "100",
        0,
        1_000_000,
        "views of one address without a token likewise; more where many people share one",
    ),
    count(
        "engagement.acts_remembered",
        "500000",
        1_000,
        100_000_000,
        "acts within the last hour that limits and suspicion each remember at most, about 150 bytes an act; above it they \
         forget the oldest",
    ),
    count("engagement.suspicious_days", "90", 0, 36_500, "days that suspicious activity is kept; 0 keeps it for ever"),
    Setting::new(
        "engagement.suspicious_retention",
        Some("0 27 3 * * *"),
        Form::Schedule,
        "when older suspicious activity is removed: a cron expression with seconds, in UTC, or `off`",
    ),
];

#[expect(clippy::cast_possible_truncation, reason = "bounded by the settings' forms")]
fn thousandths(settings: &Settings, key: &str) -> i64 {
    libm::round(settings.number(key) * 1000.0) as i64
}

/// A setting in seconds or hours, as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the settings' forms")]
pub(super) fn millis(settings: &Settings, key: &str, unit_ms: f64) -> i64 {
    libm::round(settings.number(key) * unit_ms) as i64
}

fn wanted(settings: &Settings) -> HeatSettings {
    HeatSettings {
        version: 1,
        half_life_ms: millis(settings, "engagement.half_life_hours", Millis::HOUR as f64),
        like_weight: thousandths(settings, "engagement.like_weight"),
        favorite_weight: thousandths(settings, "engagement.favorite_weight"),
        comment_weight: thousandths(settings, "engagement.comment_weight"),
        share_weight: thousandths(settings, "engagement.share_weight"),
        view_weight: thousandths(settings, "engagement.view_weight"),
        publish_weight: thousandths(settings, "engagement.publish_weight"),
    }
}

/// The settings that are in force: thresholds as set, weights and half-life as stored. Others are stored at the first
/// start; a later change needs every mass to be made anew, so the server goes on with the old ones and says so.
pub(super) async fn in_force(kernel: &Kernel) -> Result<Hotness> {
    let settings = &kernel.settings;
    let wanted = wanted(settings);
    let heat = match stored(kernel.db.reader()).await? {
        Some(heat) => heat,
        None => {
            let now = kernel.clock.now();
            kernel.db.write(move |tx| Box::pin(store(tx, wanted, now))).await?
        }
    };
    if (HeatSettings { version: heat.version, ..wanted }) != heat {
        tracing::warn!(
            ?wanted,
            in_force = ?heat,
            "weights or half-life were changed; the old ones stay in force, because the stored heat was made with them"
        );
    }
    let thresholds = thresholds(settings);
    let Thresholds { warm, hot, blazing } = thresholds;
    if !(warm < hot && hot < blazing) {
        return Err(Error::invalid("engagement.warm_from, hot_from and blazing_from must rise in this order"));
    }
    Ok(Hotness { heat, thresholds })
}

fn thresholds(settings: &Settings) -> Thresholds {
    Thresholds {
        warm: settings.number("engagement.warm_from"),
        hot: settings.number("engagement.hot_from"),
        blazing: settings.number("engagement.blazing_from"),
    }
}

/// What the stored levels were made with, for checks.
pub(super) async fn for_checks(kernel: &Kernel) -> Result<Hotness> {
    Ok(Hotness { heat: heat(kernel).await?, thresholds: thresholds(&kernel.settings) })
}

/// What the stored masses were made with, for checks; as set, where nothing was stored yet.
pub(super) async fn heat(kernel: &Kernel) -> Result<HeatSettings> {
    Ok(stored(kernel.db.reader()).await?.unwrap_or_else(|| wanted(&kernel.settings)))
}

async fn stored(connection: &impl ConnectionTrait) -> Result<Option<HeatSettings>> {
    let newest = Entity::find().order_by_desc(Column::Version).one(connection).await?;
    Ok(newest.map(|model| HeatSettings {
        version: model.version,
        half_life_ms: model.half_life_ms,
        like_weight: model.like_weight,
        favorite_weight: model.favorite_weight,
        comment_weight: model.comment_weight,
        share_weight: model.share_weight,
        view_weight: model.view_weight,
        publish_weight: model.publish_weight,
    }))
}

async fn store(tx: &crate::kernel::db::Tx, wanted: HeatSettings, now: Millis) -> Result<HeatSettings> {
    if let Some(first) = stored(tx.connection()).await? {
        return Ok(first);
    }
    let model = Model {
        version: wanted.version,
        half_life_ms: wanted.half_life_ms,
        like_weight: wanted.like_weight,
        favorite_weight: wanted.favorite_weight,
        comment_weight: wanted.comment_weight,
        share_weight: wanted.share_weight,
        view_weight: wanted.view_weight,
        publish_weight: wanted.publish_weight,
        created_at: now,
    };
    model.into_active_model().insert(tx.connection()).await?;
    Ok(wanted)
}
