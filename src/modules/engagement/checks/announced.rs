//! The check of announced levels.

use std::collections::HashMap;

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::locked::{Locked, Place, number, number_or};
use super::{Found, Ground, NEXT, OfContents, moments, of_next};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::hotness::{Hotness, Level};
use crate::modules::engagement::store::recount::{self, Stored, Which};

/// The stored level, its score, and the moment at which it ends, against what the stored heat says of the moment that they
/// were made for: the later one of the last interaction and the last row of history. That the heat itself is right is the
/// check `heat`'s to say, and of the moments `heat`'s and `history`'s: while one of them is wrong, nothing that is made for
/// it can be told. A timer that is late is no drift: score and level are computed when they are read, and what was
/// announced before holds until it announces anew. The same of what a recalculation makes.
pub(super) struct AnnouncedLevel;

const LEVEL: &str = "hotLevel";
const SCORE: &str = "hotScore";
const WAKE: &str = "wakeAt";
const NEVER: &str = "never";

/// A level, or the number that is none.
pub(super) fn level_text(number: i16) -> String {
    Level::from_number(number).map_or_else(|| number.to_string(), |level| format!("{level:?}"))
}

pub(super) fn level_number(text: &str) -> Result<i16> {
    match Level::ALL.into_iter().find(|level| format!("{level:?}") == text) {
        Some(level) => Ok(level.number()),
        None => i16::try_from(number(text)?).map_err(Error::internal),
    }
}

/// The same score, as finely as heat is kept: SQLite's parser of decimals, which it passes, may miss its last bits.
fn same(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

fn score(text: &str) -> Result<f64> {
    text.parse().map_err(|_| Error::internal(format!("{text} is no score")))
}

/// What differs: field, stored, actual.
fn compare(stored: &Stored, figures: &Figures, hotness: &Hotness) -> Vec<(&'static str, String, String)> {
    let mut differs = Vec::new();
    let (heat, published_at, at) = (figures.heat, stored.published_at, figures.settled_at());
    let level = hotness.level(heat, published_at, at);
    if figures.hot_level != level.number() {
        differs.push((LEVEL, level_text(figures.hot_level), format!("{level:?}")));
    }
    let actual = hotness.heat.score(heat, at);
    if !same(figures.hot_score, actual) {
        differs.push((SCORE, figures.hot_score.to_string(), actual.to_string()));
    }
    let moment = |at: Option<Millis>| at.map_or_else(|| NEVER.to_owned(), |at| at.0.to_string());
    let actual = hotness.next_change(heat, published_at, at);
    if figures.wake_at != actual {
        differs.push((WAKE, moment(figures.wake_at), moment(actual)));
    }
    differs
}

#[async_trait]
impl OfContents for AnnouncedLevel {
    fn name(&self) -> &'static str {
        "announced-level"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let contents = recount::stored_of(reads, which).await?;
        let next: HashMap<Uuid, Figures> = ground.next_figures(reads, &contents).await?;
        for stored in contents {
            let mut drifts = found.of(stored.kind, stored.id);
            let (Some(figures), Some(hotness)) = (stored.figures, &ground.hotness) else { continue };
            let rows =
                [("", Some(figures), Some(hotness)), (NEXT, next.get(&stored.id).copied(), ground.next.as_ref())];
            for (of, figures, hotness) in rows {
                let (Some(figures), Some(hotness)) = (figures, hotness) else { continue };
                let differs = compare(&stored, &figures, hotness);
                let suspicious = !differs.is_empty() || figures.settled_at() > ground.latest;
                if suspicious && moments::are_wrong(ground, reads, &stored, &figures).await? {
                    continue;
                }
                for (field, stored, actual) in differs {
                    drifts.add(format!("{of}{field}"), stored, actual);
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let Some(place) = locked.place(of_next(&drift.field).0) else { return Ok(false) };
        if drift.field == LEVEL {
            let (level, reads) = (level_number(&drift.actual)?, locked.tx.connection());
            // Where it is on record already, only the figures are wrong.
            let newest = recount::history_of(reads, Which::One(key(locked.id))).await?.pop().and_then(|row| row.newest);
            locked.announced = newest.is_none_or(|newest| newest.level != level);
        }
        set(locked, place, drift, &drift.actual)
    }

    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, field) = of_next(&drift.field);
        let Some(place) = locked.place(is_next) else { return Ok(false) };
        let Some(figures) = locked.at(place) else { return Ok(false) };
        let held = match field {
            LEVEL => figures.hot_level == level_number(&drift.actual)?,
            SCORE => same(figures.hot_score, score(&drift.actual)?),
            _ => figures.wake_at == number_or(NEVER, &drift.actual)?.map(Millis),
        };
        if !held {
            return Ok(false);
        }
        if drift.field == LEVEL {
            locked.unannounce(level_number(&drift.actual)?).await?;
        }
        set(locked, place, drift, &drift.stored)
    }
}

fn set(locked: &mut Locked<'_>, place: Place, drift: &Drift, value: &str) -> Result<bool> {
    let Some(figures) = locked.at(place) else { return Ok(false) };
    match of_next(&drift.field).1 {
        LEVEL => figures.hot_level = level_number(value)?,
        SCORE => figures.hot_score = score(value)?,
        WAKE => figures.wake_at = number_or(NEVER, value)?.map(Millis),
        _ => return Ok(false),
    }
    locked.changed = true;
    Ok(true)
}
