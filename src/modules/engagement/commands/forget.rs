//! Takes out what a deleted user did to a content, as if each act had been taken back, and leaves no tombstone.

use uuid::Uuid;

use crate::kernel::error::Result;
use crate::modules::engagement::content::BehaviorKind;
use crate::modules::engagement::work::{Cause, Work};

/// Which user's acts on which content.
#[derive(Clone, Copy, Debug)]
pub(in crate::modules::engagement) struct Forget {
    pub(in crate::modules::engagement) content: Uuid,
    /// A user whose deletion was accepted: nothing of theirs comes after this.
    pub(in crate::modules::engagement) user: Uuid,
}

/// Folds it into a batch; how many rows go. A content that is being deleted keeps its figures, which nobody sees.
///
/// # Errors
/// A mass that overflows.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, forget: &Forget) -> Result<u64> {
    let (hotness, now) = (*work.hotness, work.now);
    let mut gone = 0;
    for (kind, cause) in [(BehaviorKind::Like, Cause::Unliked), (BehaviorKind::Favorite, Cause::Unfavorited)] {
        let Some(held) = work.take_behavior((forget.content, forget.user, kind)) else {
            continue;
        };
        gone += 1;
        let Ok(item) = work.item(forget.content) else { continue };
        if held.removed_at.is_some() {
            continue;
        }
        // The same integer that was added: the row held its moment.
        let mass = hotness.heat.contribution(kind.weight(&hotness.heat), held.acted_at).map(|mass| -mass);
        item.add_mass(hotness.heat.epoch(held.acted_at), mass)?;
        *item.figures.count_of(kind) -= 1;
        let at = now.max(item.figures.last_hot_update);
        item.touch(&hotness, cause, at);
    }
    Ok(gone)
}
