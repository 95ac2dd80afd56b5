//! Takes out what a deleted user did to a content, as if each act had been taken back, and leaves no tombstone.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::modules::engagement::content::{BehaviorKind, Figures};
use crate::modules::engagement::hotness::{Fact, Weight};
use crate::modules::engagement::work::{Cause, Work};

/// Which user's acts on which content.
#[derive(Clone, Debug)]
pub(in crate::modules::engagement) struct Forget {
    pub(in crate::modules::engagement) content: Uuid,
    /// A user whose deletion was accepted: nothing of theirs comes after this.
    pub(in crate::modules::engagement) user: Uuid,
    /// Some of the comments.
    pub(in crate::modules::engagement) comments: Vec<Uuid>,
    /// Some of the shares.
    pub(in crate::modules::engagement) shares: Vec<Uuid>,
}

/// Folds it into a batch; how many rows go. Rows that another server has taken out already do not count.
///
/// # Errors
/// A mass that overflows.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, forget: &Forget) -> Result<u64> {
    let mut gone = 0;
    for (kind, cause) in [(BehaviorKind::Like, Cause::Unliked), (BehaviorKind::Favorite, Cause::Unfavorited)] {
        if let Some(held) = work.take_behavior((forget.content, forget.user, kind)) {
            gone += 1;
            if held.removed_at.is_none() {
                let (weight, at) = (kind.weight(), held.acted_at);
                take_back(work, forget.content, weight, at, cause, |figures| *figures.count_of(kind) -= 1)?;
            }
        }
    }
    for id in &forget.comments {
        if let Some(comment) = work.interactions.take_comment(*id) {
            gone += 1;
            if comment.deleted_at.is_none() {
                let (weight, at) = (Weight::Comment, comment.commented_at);
                let cause = Cause::CommentDeleted;
                take_back(work, forget.content, weight, at, cause, |figures| figures.comment_count -= 1)?;
            }
        }
    }
    for id in &forget.shares {
        if let Some(share) = work.interactions.forget_share(*id) {
            gone += 1;
            let (weight, at) = (Weight::Share, share.shared_at);
            take_back(work, forget.content, weight, at, Cause::Unshared, |figures| figures.share_count -= 1)?;
        }
    }
    Ok(gone)
}

/// Takes a fact's mass and count away. A content that is being deleted keeps its figures, which nobody sees.
fn take_back(
    work: &mut Work<'_>,
    content: Uuid,
    weight: Weight,
    moment: Millis,
    cause: Cause,
    count: impl FnOnce(&mut Figures),
) -> Result<()> {
    let (hotness, now) = (*work.hotness, work.now);
    let Ok(item) = work.item(content) else {
        return Ok(());
    };
    // The same integer that was added: the row held its moment.
    item.add(&hotness, &Fact { weight, at: moment, count: -1 })?;
    count(&mut item.figures);
    let at = now.max(item.figures.last_hot_update);
    item.touch(&hotness, cause, at);
    Ok(())
}
