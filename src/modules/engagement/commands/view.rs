//! Views: one counts once a viewer, content and hour. One command holds the views of one lane.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::Lane;
use crate::modules::engagement::content::{Kind, Status};
use crate::modules::engagement::hotness::{Fact, Weight};
use crate::modules::engagement::viewers::Viewer;
use crate::modules::engagement::work::{Cause, Work};

/// Most views in one request.
pub(in crate::modules::engagement) const VIEWS_MOST: usize = 1_000;

/// What one viewer looked at, all of one lane.
#[derive(Clone, Debug)]
pub(in crate::modules::engagement) struct View {
    /// Each once; never empty.
    pub(in crate::modules::engagement) contents: Vec<(Uuid, Kind)>,
    pub(in crate::modules::engagement) viewer: Viewer,
}

/// One command a lane, duplicates left out.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] for none or too many.
pub(in crate::modules::engagement) fn check(contents: &[(Uuid, Kind)], viewer: Viewer) -> Result<Vec<View>> {
    if !(1..=VIEWS_MOST).contains(&contents.len()) {
        return Err(Error::invalid(format!("give 1 to {VIEWS_MOST} contentIds, got {}", contents.len())));
    }
    let mut lanes: BTreeMap<Lane, Vec<(Uuid, Kind)>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (id, kind) in contents {
        if seen.insert((*id, kind.number())) {
            lanes.entry(Lane::of(*id)).or_default().push((*id, *kind));
        }
    }
    Ok(lanes.into_values().map(|contents| View { contents, viewer }).collect())
}

/// Folds views into a batch; returns how many count. What is unknown or not published is left out: a page of contents
/// was looked at, and what went away meanwhile is no reason to refuse the rest.
///
/// # Errors
/// A mass that overflows: the views before it hold.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, view: &View) -> Result<u32> {
    let (hotness, now, hour) = (*work.hotness, work.now, work.interactions.hour);
    let viewer = view.viewer.key(hour);
    let mut counted = 0;
    for (content, kind) in &view.contents {
        if work.interactions.viewed.contains(&(*content, viewer)) {
            continue;
        }
        let Ok(item) = work.item(*content) else { continue };
        if item.info.kind != *kind || item.info.status != Status::Published {
            continue;
        }
        // At the start of the hour, so that a count an hour is all that has to be kept.
        item.add(&hotness, &Fact { weight: Weight::View, at: hour, count: 1 })?;
        item.figures.view_count += 1;
        item.touch(&hotness, Cause::Viewed, now.max(item.figures.last_hot_update));
        work.interactions.add_view(*content, viewer);
        counted += 1;
    }
    Ok(counted)
}
