//! The module's settings, and their versions: each set of weights, half-life and thresholds is one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryOrder as _};

use super::entity::{Column, Entity, Model};
use super::hotness::{HeatSettings, Hotness, Thresholds};
use super::store::in_force::{self, Lock};
use crate::kernel::clock::Millis;
use crate::kernel::config::{Form, Setting, Settings};
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
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
    count(
        "engagement.history_days",
        "0",
        0,
        36_500,
        "days that hot history is kept, but for the newest row of each content, which stays; 0 keeps it for ever",
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
    number(
        "engagement.recalculation_pause_ms",
        "10",
        0.0,
        60_000.0,
        "`tally recalculate` pauses so long between two chunks, for others to write",
    ),
    number(
        "engagement.stale_hours",
        "24",
        0.0,
        87_600.0,
        "`tally recalculate --stale` takes contents that nobody touched for so long",
    ),
    number(
        "engagement.settings_poll_ms",
        "1000",
        10.0,
        3_600_000.0,
        "a server looks so often whether a recalculation has put other settings in force",
    ),
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
        "when old tombstones, deleted comments and hot history are removed: a cron expression with seconds, in UTC, or `off`",
    ),
    Setting {
        key: "engagement.tombstone_days",
        alias: None,
        default: Some("30"),
        form: Form::Count(1, 3650),
        doc: "days that it is remembered that a like or favorite was taken back, or a comment deleted; acts told later than \
              that are refused. Of what an import told of it is remembered for good; what older \
              versions imported, from the next import on",
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

/// The settings as they are configured, of no version yet.
///
/// # Errors
/// Thresholds that do not rise.
pub(super) fn wanted(settings: &Settings) -> Result<Hotness> {
    let heat = HeatSettings {
        version: 0,
        half_life_ms: millis(settings, "engagement.half_life_hours", Millis::HOUR as f64),
        like_weight: thousandths(settings, "engagement.like_weight"),
        favorite_weight: thousandths(settings, "engagement.favorite_weight"),
        comment_weight: thousandths(settings, "engagement.comment_weight"),
        share_weight: thousandths(settings, "engagement.share_weight"),
        view_weight: thousandths(settings, "engagement.view_weight"),
        publish_weight: thousandths(settings, "engagement.publish_weight"),
    };
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

/// How long it is remembered that a like or favorite was taken back.
pub(super) fn tombstone_ms(settings: &Settings) -> i64 {
    i64::from(settings.count("engagement.tombstone_days")) * Millis::DAY
}

/// Every version that stored levels may be made with, for checks.
///
/// # Errors
/// The database's own.
pub(super) async fn for_checks(kernel: &Kernel) -> Result<Versions> {
    let (versions, configured) = (Versions::default(), thresholds(&kernel.settings));
    for row in Entity::find().all(kernel.db.reader()).await? {
        versions.add(of_row(&row, configured));
    }
    Ok(versions)
}

/// What is in force, and what is wanted instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// What every figure is made with.
    pub(super) in_force: Hotness,
    /// What this process is configured with, where that is something else: `tally recalculate` is due.
    pub(super) pending: Option<Hotness>,
}

/// Finds what is in force, and gives what is configured a version of its own if it is something else. The first start
/// puts what is configured in force at once: nothing is made yet.
///
/// # Errors
/// Thresholds that do not rise, and the database's own.
pub(super) async fn register(kernel: &Kernel) -> Result<Standing> {
    let (wanted, now) = (wanted(&kernel.settings)?, kernel.clock.now());
    kernel.db.write(move |tx| Box::pin(register_in(tx, wanted, now))).await
}

async fn register_in(tx: &Tx, wanted: Hotness, now: Millis) -> Result<Standing> {
    let Some(state) = in_force::in_force(tx.connection(), tx.backend(), Lock::Own).await? else {
        if Entity::find().one(tx.connection()).await?.is_some() {
            return Err(in_force::nothing_in_force());
        }
        let first = with_version(wanted, 1);
        insert(tx, &first, now).await?;
        in_force::in_force_insert(tx, 1).await?;
        return Ok(Standing { in_force: first, pending: None });
    };
    let rows = Entity::find().order_by_asc(Column::Version).all(tx.connection()).await?;
    if let Some(row) = rows.iter().find(|row| row.version == state.version && row.warm_from.is_none()) {
        // A database of before thresholds had versions: those that are configured were in force.
        let Thresholds { warm, hot, blazing } = wanted.thresholds;
        in_force::thresholds_update(tx, row.version, [warm, hot, blazing]).await?;
    }
    let known: Vec<Hotness> = rows.iter().map(|row| of_row(row, wanted.thresholds)).collect();
    let standing = compare(&known, state.version, wanted)?;
    if let Some(pending) = standing.pending
        && !known.iter().any(|hotness| hotness.heat.version == pending.heat.version)
    {
        insert(tx, &pending, now).await?;
    }
    Ok(standing)
}

/// What is in force now, and what this process wants instead; reads only.
///
/// # Errors
/// As [`register`].
pub(super) async fn standing(kernel: &Kernel) -> Result<Standing> {
    let (connection, wanted) = (kernel.db.reader(), wanted(&kernel.settings)?);
    // The versions last: of one that came into force in between the row is there.
    let state = in_force::in_force(connection, kernel.backend(), Lock::None).await?;
    let rows = Entity::find().order_by_asc(Column::Version).all(connection).await?;
    let known: Vec<Hotness> = rows.iter().map(|row| of_row(row, wanted.thresholds)).collect();
    match state {
        Some(state) => compare(&known, state.version, wanted),
        None => Ok(Standing { in_force: with_version(wanted, 1), pending: None }),
    }
}

/// Versions rise with what comes into force: values that were in force long ago get a new one.
fn compare(known: &[Hotness], version: i64, wanted: Hotness) -> Result<Standing> {
    let same = |hotness: &Hotness| with_version(*hotness, 0) == wanted;
    let in_force = known.iter().find(|hotness| hotness.heat.version == version).copied();
    let in_force = in_force.ok_or_else(|| in_force::not_stored(version))?;
    if same(&in_force) {
        return Ok(Standing { in_force, pending: None });
    }
    let newer = known.iter().find(|hotness| hotness.heat.version > version && same(hotness)).copied();
    let newest = known.iter().map(|hotness| hotness.heat.version).max().unwrap_or(version);
    Ok(Standing { in_force, pending: Some(newer.unwrap_or(with_version(wanted, newest + 1))) })
}

fn with_version(hotness: Hotness, version: i64) -> Hotness {
    Hotness { heat: HeatSettings { version, ..hotness.heat }, ..hotness }
}

fn of_row(row: &Model, configured: Thresholds) -> Hotness {
    let heat = HeatSettings {
        version: row.version,
        half_life_ms: row.half_life_ms,
        like_weight: row.like_weight,
        favorite_weight: row.favorite_weight,
        comment_weight: row.comment_weight,
        share_weight: row.share_weight,
        view_weight: row.view_weight,
        publish_weight: row.publish_weight,
    };
    let thresholds = Thresholds {
        warm: row.warm_from.unwrap_or(configured.warm),
        hot: row.hot_from.unwrap_or(configured.hot),
        blazing: row.blazing_from.unwrap_or(configured.blazing),
    };
    Hotness { heat, thresholds }
}

async fn insert(tx: &Tx, hotness: &Hotness, now: Millis) -> Result<()> {
    let Hotness { heat, thresholds } = *hotness;
    let model = Model {
        version: heat.version,
        half_life_ms: heat.half_life_ms,
        like_weight: heat.like_weight,
        favorite_weight: heat.favorite_weight,
        comment_weight: heat.comment_weight,
        share_weight: heat.share_weight,
        view_weight: heat.view_weight,
        publish_weight: heat.publish_weight,
        warm_from: Some(thresholds.warm),
        hot_from: Some(thresholds.hot),
        blazing_from: Some(thresholds.blazing),
        created_at: now,
    };
    model.into_active_model().insert(tx.connection()).await?;
    Ok(())
}

/// The versions that this process has met: a row of figures says with which one to read it.
#[derive(Default)]
pub(super) struct Versions(RwLock<BTreeMap<i64, Arc<Hotness>>>);

impl Versions {
    /// A version that was met before.
    pub(super) fn known(&self, version: i64) -> Option<Arc<Hotness>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    /// Any version; the values of one never change.
    ///
    /// # Errors
    /// One that is not stored, and the database's own.
    pub(super) async fn of(&self, connection: &impl ConnectionTrait, version: i64) -> Result<Arc<Hotness>> {
        if let Some(known) = self.known(version) {
            return Ok(known);
        }
        let row = Entity::find_by_id(version).one(connection).await?;
        let row = row.ok_or_else(|| in_force::not_stored(version))?;
        // A server stores thresholds before it reads a version; checks that need them have them from `for_checks`.
        Ok(self.add(of_row(&row, Thresholds { warm: 20.0, hot: 50.0, blazing: 100.0 })))
    }

    /// Remembers a version.
    pub(super) fn add(&self, hotness: Hotness) -> Arc<Hotness> {
        let added = Arc::new(hotness);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(hotness.heat.version, Arc::clone(&added));
        added
    }
}
