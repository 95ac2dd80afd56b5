//! Like, unlike, favorite, unfavorite. The state of a (content, user, kind) is a register in which the last moment
//! wins: repeats and latecomers change nothing.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::{BehaviorKind, ContentRecord, Kind, Status};
use crate::modules::engagement::hotness::Fact;
use crate::modules::engagement::outbox::Happened;
use crate::modules::engagement::work::{Behavior, Cause, Work};

/// An act of a user on a content.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// On what.
    pub content: Uuid,
    /// What the caller thinks that it is; checked.
    pub content_kind: Kind,
    /// Whose act, an existing user.
    pub user: Uuid,
    /// Which.
    pub kind: BehaviorKind,
    /// To do it, or to take it back.
    pub on: bool,
    /// When, if it happened elsewhere and is told late; `None`: now. Not longer ago than `engagement.tombstone_days`.
    pub at: Option<Millis>,
}

/// What came of an act.
#[derive(Clone, Debug)]
pub struct ActOutcome {
    /// The content after it.
    pub content: ContentRecord,
    /// Whether it changed anything.
    pub changed: bool,
}

/// Folds an act into a batch.
///
/// # Errors
/// An unknown content, a like of an unpublished one, a moment too long ago, a mass that overflows: nothing is changed then.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, act: &Act) -> Result<ActOutcome> {
    let key = (act.content, act.user, act.kind);
    let held = work.behaviors.get(&key).copied();
    let (hotness, now, oldest_told) = (*work.hotness, work.now, work.oldest_told);
    let item = work.item(act.content)?;
    if item.info.kind != act.content_kind {
        return Err(Error::not_found("no such content"));
    }
    if act.on && item.info.status != Status::Published {
        return Err(Error::conflict("the content is not published"));
    }
    if act.at.is_some_and(|at| at < oldest_told) {
        return Err(Error::invalid("`at` is longer ago than it is remembered what was taken back"));
    }
    // Never earlier than what the row already knows: clocks go backwards, and differ between nodes.
    let at = act.at.unwrap_or_else(|| now.max(item.figures.last_hot_update).max(after_last(held)));
    let Some(next) = step(held, act.on, at) else {
        return Ok(ActOutcome { content: item.record(), changed: false });
    };

    let held_before = held.filter(|held| held.removed_at.is_none());
    let holds_now = next.removed_at.is_none();
    if held_before.is_none() && !holds_now {
        if act.at.is_none() {
            // Nothing to take back, and no late like to guard against that has a moment of its own.
            return Ok(ActOutcome { content: item.record(), changed: false });
        }
        // An unlike that came before its like: remembered, and no figure moves.
        let content = item.record();
        work.put_behavior(key, next);
        return Ok(ActOutcome { content, changed: false });
    }
    // The same integer that was added: the row holds its moment.
    let (sign, moment) =
        if holds_now { (1, next.acted_at) } else { (-1, held_before.map_or(at, |held| held.acted_at)) };
    item.add(&hotness, &Fact { weight: act.kind.weight(), at: moment, count: sign })?;
    *item.figures.count_of(act.kind) += sign;
    item.touch(&hotness, cause(act), at);
    let content = item.record();
    work.happened(&content, at, Happened::Acted { user: act.user, kind: act.kind, on: act.on });
    work.put_behavior(key, next);
    Ok(ActOutcome { content, changed: true })
}

/// The first millisecond after the last change, so that of two acts in one millisecond the later one counts.
fn after_last(held: Option<Behavior>) -> Millis {
    held.map_or(Millis(i64::MIN), |held| held.removed_at.unwrap_or(held.acted_at).plus(1))
}

/// The register's next state; `None` when the act is a repeat or comes too late.
pub(super) fn step(held: Option<Behavior>, on: bool, at: Millis) -> Option<Behavior> {
    match (held, on) {
        (None, true) => Some(Behavior { acted_at: at, removed_at: None }),
        (None, false) => Some(Behavior { acted_at: at, removed_at: Some(at) }),
        (Some(Behavior { removed_at: None, .. }), true) => None,
        (Some(Behavior { acted_at, removed_at: None }), false) => {
            (at > acted_at).then_some(Behavior { acted_at, removed_at: Some(at) })
        }
        (Some(Behavior { removed_at: Some(removed_at), .. }), true) => {
            (at > removed_at).then_some(Behavior { acted_at: at, removed_at: None })
        }
        (Some(Behavior { acted_at, removed_at: Some(removed_at) }), false) => {
            (at > removed_at).then_some(Behavior { acted_at, removed_at: Some(at) })
        }
    }
}

fn cause(act: &Act) -> Cause {
    match (act.kind, act.on) {
        (BehaviorKind::Like, true) => Cause::Liked,
        (BehaviorKind::Like, false) => Cause::Unliked,
        (BehaviorKind::Favorite, true) => Cause::Favorited,
        (BehaviorKind::Favorite, false) => Cause::Unfavorited,
    }
}
