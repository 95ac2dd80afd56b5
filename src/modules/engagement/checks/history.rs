//! The check of the history of levels.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::announced::{level_number, level_text};
use super::locked::{Locked, number};
use super::{Found, Ground, NEXT, OfContents, moments, of_next};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::store::recount::{self, Newest, Stored, Which};
use crate::modules::engagement::store::repairs;

/// What of the history can be told: that each row stands at the moment that its id was made for, that the figures know of
/// the newest one (but a recalculation's, which is written afterwards) and of none to come, and that it says the announced
/// level, where it is of the moment that was last looked at and that level is right (else it is the check
/// `announced-level` that complains). Scores of the past were made with settings and facts of the past.
pub(super) struct History;

const LEVEL: &str = "level of the newest row";
const NEWEST: &str = "lastHistoryAt";
const MOMENT: &str = "moment of row ";

/// The level of the newest row and the announced one, where they differ and the announced one is right.
async fn level(
    ground: &Ground,
    reads: &DatabaseTransaction,
    stored: &Stored,
    figures: &Figures,
    newest: Option<Newest>,
) -> Result<Option<[i16; 2]>> {
    let (Some(newest), Some(hotness)) = (newest, &ground.hotness) else { return Ok(None) };
    let differs = newest.at == figures.last_history_at && newest.level != figures.hot_level;
    let due = hotness.level(figures.heat, stored.published_at, figures.settled_at()).number();
    if !differs || due != figures.hot_level || moments::are_wrong(ground, reads, stored, figures).await? {
        return Ok(None);
    }
    Ok(Some([newest.level, figures.hot_level]))
}

#[async_trait]
impl OfContents for History {
    fn name(&self) -> &'static str {
        "history"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let (contents, rows): (Vec<Stored>, Vec<_>) = recount::history_of(reads, which)
            .await?
            .into_iter()
            .map(|row| (row.stored, (row.newest, row.misplaced)))
            .unzip();
        let next = ground.next_figures(reads, &contents).await?;
        for (stored, (newest, misplaced)) in contents.iter().zip(rows) {
            let mut drifts = found.of(stored.kind, stored.id);
            let Some(figures) = stored.figures else { continue };
            for (of, figures) in [("", Some(&figures)), (NEXT, next.get(&stored.id))] {
                let Some(figures) = figures else { continue };
                if let Some(due) = moments::history_at(ground, reads, stored, figures, newest).await? {
                    drifts.add(format!("{of}{NEWEST}"), figures.last_history_at.0.to_string(), due.0.to_string());
                }
            }
            if let Some([held, due]) = level(ground, reads, stored, &figures, newest).await? {
                drifts.add(LEVEL, level_text(held), level_text(due));
            }
            if misplaced > 0 {
                for (id, at) in recount::history_misplaced(reads, key(stored.id)).await? {
                    let due = recount::moment_of(id);
                    drifts.add(format!("{MOMENT}{id}"), at.0.to_string(), due.0.to_string());
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, field) = of_next(&drift.field);
        match field {
            LEVEL => locked.announced = true,
            NEWEST => {
                let Some(figures) = locked.place(is_next).and_then(|place| locked.at(place)) else { return Ok(false) };
                figures.last_history_at = Millis(number(&drift.actual)?);
            }
            field => {
                let (from, to) = (number(&drift.stored)?, number(&drift.actual)?);
                repairs::history_move(locked.tx, locked.id, row_of(field)?, from, to).await?;
            }
        }
        locked.changed = true;
        Ok(true)
    }

    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, field) = of_next(&drift.field);
        let back = match field {
            LEVEL => locked.unannounce(level_number(&drift.actual)?).await?,
            NEWEST => {
                let Some(figures) = locked.place(is_next).and_then(|place| locked.at(place)) else { return Ok(false) };
                let held = figures.last_history_at.0 == number(&drift.actual)?;
                if held {
                    figures.last_history_at = Millis(number(&drift.stored)?);
                }
                held
            }
            field => {
                let (from, to) = (number(&drift.actual)?, number(&drift.stored)?);
                repairs::history_move(locked.tx, locked.id, row_of(field)?, from, to).await?
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
