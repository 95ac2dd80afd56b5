//! The check of the history of levels.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::announced::{level_number, level_text};
use super::locked::{Locked, number};
use super::{Found, Ground, OfContents};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::key;
use crate::modules::engagement::item::RECALCULATION;
use crate::modules::engagement::store::recount::{self, Which};

/// What of the history can be told: that each row stands at the moment that its id was made for, that none but
/// a recalculation's is newer than the figures know, and that the newest one, where it is of the moment that was last looked at, says the announced level
/// (or what that should be: then it is the check `announced-level` that complains). Scores of the past were made with
/// settings and facts of the past.
pub(super) struct History;

const LEVEL: &str = "level of the newest row";
const NEWEST: &str = "lastHistoryAt";
const MOMENT: &str = "moment of row ";

#[async_trait]
impl OfContents for History {
    fn name(&self) -> &'static str {
        "history"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        for row in recount::history_of(reads, which).await? {
            let mut drifts = found.of(row.stored.kind, row.stored.id);
            let (Some(figures), Some(newest)) = (row.stored.figures, row.newest) else { continue };
            // What a change of settings did is written down afterwards, beside figures that were made before.
            if newest.at > figures.last_history_at && newest.method != RECALCULATION {
                drifts.add(NEWEST, figures.last_history_at.0.to_string(), newest.at.0.to_string());
            }
            if newest.at == figures.last_history_at && newest.level != figures.hot_level {
                let due = ground
                    .hotness
                    .as_ref()
                    .map(|hotness| hotness.level(figures.heat, row.stored.published_at, figures.settled_at()).number());
                if due != Some(newest.level) {
                    drifts.add(LEVEL, level_text(newest.level), level_text(figures.hot_level));
                }
            }
            if row.misplaced > 0 {
                for (id, at) in recount::history_misplaced(reads, key(row.stored.id)).await? {
                    let due = recount::moment_of(id);
                    drifts.add(format!("{MOMENT}{id}"), at.0.to_string(), due.0.to_string());
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        match drift.field.as_str() {
            LEVEL => locked.announced = true,
            NEWEST => locked.figures.last_history_at = Millis(number(&drift.actual)?),
            field => {
                let (from, to) = (number(&drift.stored)?, number(&drift.actual)?);
                recount::history_move(locked.tx, locked.id, row_of(field)?, from, to).await?;
            }
        }
        locked.changed = true;
        Ok(true)
    }

    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let figures = &locked.figures;
        let back = match drift.field.as_str() {
            LEVEL => {
                let level = level_number(&drift.actual)?;
                let back = recount::repaired_row_delete(locked.tx, locked.id, figures.last_history_at, level).await?;
                if back {
                    // The row before it is the newest again.
                    let rows = recount::history_of(locked.tx.connection(), Which::One(key(locked.id))).await?;
                    if let Some(newest) = rows.first().and_then(|row| row.newest) {
                        locked.figures.last_history_at = newest.at;
                    }
                }
                back
            }
            NEWEST => {
                let held = figures.last_history_at.0 == number(&drift.actual)?;
                if held {
                    locked.figures.last_history_at = Millis(number(&drift.stored)?);
                }
                held
            }
            field => {
                let (from, to) = (number(&drift.actual)?, number(&drift.stored)?);
                recount::history_move(locked.tx, locked.id, row_of(field)?, from, to).await?
            }
        };
        locked.changed |= back;
        Ok(back)
    }
}

fn row_of(field: &str) -> Result<uuid::Uuid> {
    let row = field.strip_prefix(MOMENT).and_then(|id| id.parse().ok());
    row.ok_or_else(|| Error::internal(format!("{field} is no field of this check")))
}
