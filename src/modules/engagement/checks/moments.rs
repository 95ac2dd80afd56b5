//! The moments of figures: what level, score and wake-up are made for must be able to be.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use super::Ground;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::item::RECALCULATION;
use crate::modules::engagement::store::in_force::{self, Lock};
use crate::modules::engagement::store::recount::{self, Newest, Stored, Which};

/// How far the clock of another node, or this one's before it was set, may be ahead.
pub(super) const CLOCK_SKEW: i64 = 10 * 60_000;

/// The moment of the last interaction as it should be, where the stored one cannot be: to come, and later than any fact;
/// or before `held`, the newest fact that holds, unless that is to come itself. (Another one nobody can tell: hiding a
/// content moves it, too, and leaves no fact.)
pub(super) async fn hot_update(
    ground: &Ground,
    reads: &DatabaseTransaction,
    stored: &Stored,
    figures: &Figures,
    held: Option<Millis>,
) -> Result<Option<Millis>> {
    let at = figures.last_hot_update;
    let missed = held.filter(|held| at < *held && *held <= ground.latest);
    if at <= ground.latest && missed.is_none() {
        return Ok(None);
    }
    let newest = recount::newest_fact(reads, key(stored.id)).await?;
    let newest = newest.unwrap_or(stored.published_at).max(stored.published_at);
    if let Some(held) = missed {
        // What is done next is done after this: never a moment to come.
        return Ok(Some(if newest <= ground.latest { newest } else { held }));
    }
    Ok((at > newest && is_to_come(ground, reads, at).await?).then_some(newest))
}

/// The moment of the newest row of history as it should be, where the stored one cannot be: before that row, or to come,
/// and later than it.
pub(super) async fn history_at(
    ground: &Ground,
    reads: &DatabaseTransaction,
    stored: &Stored,
    figures: &Figures,
    newest: Option<Newest>,
) -> Result<Option<Millis>> {
    let at = figures.last_history_at;
    // What a change of settings did is written down afterwards, beside figures that were made before.
    if let Some(newest) = newest.filter(|newest| newest.at > at && newest.method != RECALCULATION) {
        return Ok(Some(newest.at));
    }
    let recorded = newest.map_or(stored.published_at, |newest| newest.at);
    let wrong = at > recorded.max(stored.published_at) && is_to_come(ground, reads, at).await?;
    Ok(wrong.then_some(recorded))
}

/// Whether a moment is later than any clock can have said. A recalculation looks at every content, whatever its clock
/// says.
async fn is_to_come(ground: &Ground, reads: &DatabaseTransaction, at: Millis) -> Result<bool> {
    if at <= ground.latest {
        return Ok(false);
    }
    let progress = in_force::progress(reads, reads.get_database_backend(), Lock::None).await?;
    let known = progress.map(|progress| progress.switched_at.unwrap_or(progress.started_at).max(progress.started_at));
    Ok(known.is_none_or(|known| at > known.plus(CLOCK_SKEW)))
}

/// Whether the moments of a content are such that nothing that follows from them can be told.
pub(super) async fn are_wrong(
    ground: &Ground,
    reads: &DatabaseTransaction,
    stored: &Stored,
    figures: &Figures,
) -> Result<bool> {
    let held = recount::newest_held(reads, key(stored.id)).await?;
    let held = held.unwrap_or(stored.published_at).max(stored.published_at);
    if hot_update(ground, reads, stored, figures, Some(held)).await?.is_some() {
        return Ok(true);
    }
    let history = recount::history_of(reads, Which::One(key(stored.id))).await?.pop();
    Ok(history_at(ground, reads, stored, figures, history.and_then(|row| row.newest)).await?.is_some())
}
