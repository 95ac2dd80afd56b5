//! Takes a content over from another system, with likes and favorites of their own moments and counts that have no rows
//! behind them. Idempotent: by the external id, by (content, user, kind), and by (content, figure).

use indexmap::IndexMap;
use uuid::Uuid;

use super::act;
use super::publish::{Publish, publication};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::{BehaviorKind, ContentInfo};
use crate::modules::engagement::hotness::Fact;
use crate::modules::engagement::item::Item;
use crate::modules::engagement::openings::Opening;
use crate::modules::engagement::work::{Cause, Work};

/// A content with what others did to it.
pub(in crate::modules::engagement) struct Import {
    /// Which; with `publish`, the id that it is to have.
    pub(in crate::modules::engagement) content: Uuid,
    /// What it is made of, where there is none yet.
    pub(in crate::modules::engagement) publish: Option<Publish>,
    pub(in crate::modules::engagement) acts: Vec<ImportedAct>,
    pub(in crate::modules::engagement) openings: Vec<Opening>,
}

/// A like or favorite of another system. No event tells of it: it is no news to anybody.
#[derive(Clone, Copy, Debug)]
pub struct ImportedAct {
    /// Whose.
    pub user: Uuid,
    /// Which.
    pub kind: BehaviorKind,
    /// When.
    pub at: Millis,
}

/// What came of an import of one content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// The content; where another import was first, another one than was asked for, and nothing else was done.
    pub content: Uuid,
    /// Whether it is new.
    pub created: bool,
    /// Likes and favorites that are new.
    pub added: u64,
    /// Those that were there, or were taken back since.
    pub repeated: u64,
    /// Those of users who were deleted.
    pub of_deleted: u64,
    /// Openings that are new or say something else now.
    pub opened: u64,
    /// By how much they change what their counts opened with before.
    pub opened_by: i64,
}

/// Folds an import into a batch.
///
/// # Errors
/// An unknown content, an external id of another kind of content, a mass that overflows: nothing is changed then.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, import: &Import) -> Result<ImportOutcome> {
    let mut outcome = ImportOutcome { content: import.content, ..ImportOutcome::default() };
    if let Some(publish) = &import.publish {
        if let Some(first) = taken(work, publish)? {
            return Ok(ImportOutcome { content: first, ..outcome });
        }
        create(work, publish)?;
        outcome.created = true;
    }
    let hotness = *work.hotness;
    work.item(import.content)?;
    let (mut facts, mut registers) = (Vec::new(), Vec::new());
    let acts = once_each(&import.acts);
    outcome.repeated += (import.acts.len() - acts.len()) as u64;
    for told in &acts {
        if work.deleted_users.contains(&told.user) {
            outcome.of_deleted += 1;
            continue;
        }
        let register = (import.content, told.user, told.kind);
        // Also of one that is there: its source will tell of it again when it was taken back here.
        work.mark_imported(register);
        match act::step(work.behaviors.get(&register).copied(), true, told.at) {
            Some(next) => {
                facts.push(Fact { weight: told.kind.weight(), at: next.acted_at, count: 1 });
                registers.push((register, next));
            }
            None => outcome.repeated += 1,
        }
    }
    let mut openings = Vec::new();
    // Of a figure one, the last: each is compared with what the row holds.
    let told: IndexMap<_, _> = import.openings.iter().map(|opening| (opening.figure, *opening)).collect();
    for opening in told.values() {
        let held = work.interactions.openings.get(&(import.content, opening.figure)).copied();
        if held != Some(*opening) {
            facts.extend(held.map(|held| Fact { count: -held.count, ..held.fact() }));
            facts.push(opening.fact());
            openings.push((*opening, opening.count - held.map_or(0, |held| held.count)));
        }
    }
    let item = work.item(import.content)?;
    item.add_each(&hotness, &facts)?;
    for ((_, _, kind), _) in &registers {
        *item.figures.count_of(*kind) += 1;
    }
    for (opening, more) in &openings {
        *opening.figure.of(&mut item.figures) += more;
    }
    if outcome.created || !facts.is_empty() {
        // All at once, as of the last of them: in between nobody announced anything.
        let last = facts.iter().map(|fact| fact.at).max().unwrap_or(item.figures.last_hot_update);
        item.imported = true;
        item.touch(&hotness, Cause::Recalculated, last.max(item.settled_at()));
    }
    (outcome.added, outcome.opened) = (registers.len() as u64, openings.len() as u64);
    outcome.opened_by = openings.iter().map(|(_, more)| more).sum();
    registers.into_iter().for_each(|(register, next)| work.put_behavior(register, next));
    openings.into_iter().for_each(|(opening, _)| work.interactions.put_opening(import.content, opening));
    Ok(outcome)
}

/// One act a register, the newest: a source may know one user of ours under two names (a subject and an external id), and
/// tell of them in any order.
fn once_each(acts: &[ImportedAct]) -> Vec<ImportedAct> {
    let mut newest: IndexMap<_, ImportedAct> = IndexMap::with_capacity(acts.len());
    for told in acts {
        let held = newest.entry((told.user, told.kind)).or_insert(*told);
        held.at = held.at.max(told.at);
    }
    newest.into_values().collect()
}

/// The content that has the external id already.
fn taken(work: &mut Work<'_>, publish: &Publish) -> Result<Option<Uuid>> {
    let external_id = publish.info.external_id.as_ref();
    let Some(owner) = external_id.and_then(|external_id| work.external_ids.get(external_id)).copied() else {
        return Ok(None);
    };
    match work.item(owner) {
        Ok(item) if item.info.kind == publish.info.kind => Ok(Some(owner)),
        Ok(_) => Err(Error::conflict("a content of another kind has this externalId")),
        Err(_) => Ok(None),
    }
}

fn create(work: &mut Work<'_>, publish: &Publish) -> Result<()> {
    let info = ContentInfo { published_at: publish.published_at.unwrap_or(work.now), ..publish.info.clone() };
    let mut item = Item::new(work, info, None);
    item.add(work.hotness, &publication(&item.info))?;
    let id = item.info.id;
    if let Some(external_id) = &item.info.external_id {
        work.external_ids.insert(external_id.clone(), id);
    }
    work.items.insert(id, item);
    Ok(())
}
