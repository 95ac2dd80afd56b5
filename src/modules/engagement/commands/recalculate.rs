//! Makes heat, level and next change of a content anew from its facts. Counts stay: those that drifted are for `check`.

use uuid::Uuid;

use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::Kind;
use crate::modules::engagement::work::{Cause, Work};

/// A recalculation of one content.
#[derive(Clone, Copy, Debug)]
pub struct Recalculate {
    /// Of what.
    pub content: Uuid,
    /// What the caller thinks that it is; checked.
    pub content_kind: Kind,
}

/// Folds a recalculation into a batch. Whether anything came out otherwise.
///
/// # Errors
/// An unknown content; masses that do not fit.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, recalculate: &Recalculate) -> Result<bool> {
    let (hotness, now) = (*work.hotness, work.now);
    let item = work.item(recalculate.content)?;
    if item.info.kind != recalculate.content_kind {
        return Err(Error::not_found("no such content"));
    }
    // The facts were read before the batch was folded: what it added since is in the masses already.
    let corrected = match item.correction.take() {
        Some(correction) => item.correct(&correction?)?,
        // Asked for twice in one batch.
        None => false,
    };
    // Where a level has ended that the timer has not announced yet, as of the moment before: that is the timer's to say.
    let settled_at = item.settled_at();
    let due = item.figures.wake_at.is_some_and(|wake_at| wake_at <= now);
    let at = if due { settled_at } else { now.max(settled_at) };
    let (held, anew) = (item.figures, item.made_anew(&hotness, at));
    let derived = (held.heat, held.hot_level, held.wake_at) != (anew.heat, anew.hot_level, anew.wake_at);
    if corrected || derived {
        item.touch(&hotness, Cause::Recalculated, at);
    }
    Ok(corrected || derived)
}
