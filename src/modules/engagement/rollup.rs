//! The roll-up of views: rows of viewers become counts an hour, and these, later, counts and masses an epoch.
//!
//! Each step writes a sum and removes what it sums up in one transaction, under the locks of the contents' figures, so
//! that `view_count` = rows + hours + epochs at any moment, and masses likewise. Before anything of an hour is summed up
//! the hour is closed, for good: a view that comes later, from a node whose clock is behind, counts in the first hour
//! that is open. It is not lost, and it is not counted twice: in that hour its viewer still has a row.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::content::key;
use super::hotness::HeatSettings;
use super::settings::{self, Versions};
use super::store::batch;
use super::store::in_force::{self, Lock};
use super::store::views::{self, HourRow, Level};
use super::viewers::hour_of;
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::jobs::{Job, JobRun};

/// Contents that are looked at, and at most locked, at once.
const CONTENTS: usize = 256;
/// Rows that are summed up in one transaction.
const ROWS: usize = 4_000;

/// `engagement.view_rollup`
pub(super) fn job() -> Job {
    Job::new("engagement.view_rollup", "engagement.view_rollup", run)
}

async fn run(run: JobRun) -> Result<String> {
    let kernel = &run.kernel;
    let (now, settings) = (kernel.clock.now(), &kernel.settings);
    let open_ms = settings::millis(settings, "engagement.view_open_hours", Millis::HOUR as f64);
    let kept_ms = settings::millis(settings, "engagement.view_hours_days", Millis::DAY as f64);
    let (heat, versions) = (settings::standing(kernel).await?.in_force.heat, Arc::new(Versions::default()));
    // Closed is closed, for every node: a clock that is ahead of the database's does not close what is yet to come.
    let sure = views::database_now(&kernel.db).await?.map_or(now, |theirs| now.min(theirs));
    let before = hour_of(sure.plus(-open_ms));
    let closed = run.write(move |tx| Box::pin(views::close_before(tx, before))).await?;
    let viewed = sweep(&run, Level::Views, closed, &versions).await?;
    // Whole epochs only: a content's views of an epoch become one row.
    let whole = heat.epoch_start(heat.epoch(now.plus(-kept_ms))).min(closed);
    let hours = sweep(&run, Level::Hours, whole, &versions).await?;
    Ok(format!("{viewed} views summed up by the hour, {hours} hours by the epoch"))
}

/// Sums up all that is older than `before`; returns how many rows that were.
async fn sweep(run: &JobRun, level: Level, before: Millis, versions: &Arc<Versions>) -> Result<u64> {
    let mut after = Some((i16::MIN, Uuid::nil()));
    let mut done = 0;
    while let Some(from) = after {
        let (contents, next) = views::rollup_contents(&run.kernel.db, level, from, before, CONTENTS).await?;
        let contents: Arc<[Uuid]> = contents.into();
        // A content can have more old rows than a transaction takes.
        while !contents.is_empty() {
            let (chunk, versions) = (Arc::clone(&contents), Arc::clone(versions));
            let moved = run
                .write(move |tx| {
                    let (chunk, versions) = (Arc::clone(&chunk), Arc::clone(&versions));
                    Box::pin(async move { sum_up(tx, level, &chunk, before, &versions).await })
                })
                .await?;
            done += moved as u64;
            run.go_on().await?;
            if moved < ROWS {
                break;
            }
        }
        run.go_on().await?;
        after = next;
    }
    Ok(done)
}

async fn sum_up(tx: &Tx, level: Level, contents: &[Uuid], before: Millis, versions: &Versions) -> Result<usize> {
    // As every writer of them: in key order, before anything else. The store's answer is in that order.
    let mut contents = contents.to_vec();
    contents.sort_by_key(|id| key(*id));
    let locked = batch::figures_lock(tx, &contents).await?;
    // One that is being deleted may have no figures any more, and so no lock: its rows go with it.
    let has_lock: HashSet<Uuid> = locked.iter().map(|row| row.content_id).collect();
    contents.retain(|id| has_lock.contains(id));
    match level {
        Level::Views => {
            let rows = views::view_before(tx, &contents, before, ROWS).await?;
            let mut counts: BTreeMap<(Uuid, Millis), i64> = BTreeMap::new();
            for row in &rows {
                *counts.entry((row.content_id, row.hour)).or_default() += 1;
            }
            let counts: Vec<_> =
                counts.into_iter().map(|((content_id, hour), count)| HourRow { content_id, hour, count }).collect();
            views::hour_add(tx, &counts).await?;
            views::view_delete(tx, &rows).await?;
            Ok(rows.len())
        }
        Level::Hours => {
            let state = in_force::in_force(tx.connection(), tx.backend(), Lock::None).await?;
            let version = locked.first().map(|row| row.figures.heat_version);
            let (Some(version), None) = (version, state.and_then(|state| state.next_version)) else {
                // A recalculation is under way: it has counted hours where it is done, and is to find them so. They are
                // summed up once its version is in force.
                return Ok(0);
            };
            let heat = &versions.of(tx.connection(), version).await?.heat;
            let rows = views::hour_before(tx, &contents, before, ROWS).await?;
            let mut sums: BTreeMap<(Uuid, i64), (i64, i64)> = BTreeMap::new();
            for row in &rows {
                let sum = sums.entry((row.content_id, heat.epoch(row.hour))).or_default();
                let mass = view_mass(heat, row.hour, row.count).and_then(|mass| sum.1.checked_add(mass));
                let mass = mass.ok_or_else(|| Error::internal(format!("views of {} overflow", row.content_id)))?;
                *sum = (sum.0 + row.count, mass);
            }
            let sums: Vec<_> =
                sums.into_iter().map(|((content, epoch), (count, mass))| (content, epoch, count, mass)).collect();
            views::epoch_add(tx, version, &sums).await?;
            views::hour_delete(tx, &rows).await?;
            Ok(rows.len())
        }
    }
}

/// What `count` views of an hour add to the mass of its epoch: each the same integer.
fn view_mass(heat: &HeatSettings, hour: Millis, count: i64) -> Option<i64> {
    heat.contribution(heat.view_weight, hour)?.checked_mul(count)
}
