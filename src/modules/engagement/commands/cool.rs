//! Ends the levels whose time has come: nobody acted, the score faded below a threshold, or the content is new no more.

use uuid::Uuid;

use crate::modules::engagement::work::Work;

/// Folds the passing of time into a batch: a row of history a threshold crossed, each at its computed moment, also after
/// days of downtime; the level after the last is announced. Whether anything changed; a content that is gone, that is not
/// due, or that another server has cooled already changes nothing.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, content: Uuid) -> bool {
    let (hotness, now) = (*work.hotness, work.now);
    work.item(content).is_ok_and(|item| item.cool(&hotness, now))
}
