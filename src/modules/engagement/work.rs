//! The working set of one batch: what the locked rows hold, folded command by command, then written as net results.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::content::{BehaviorKind, ContentRecord, Figures};
use super::hotness::{Hotness, Level};
use super::interactions::Interactions;
use super::item::{IMPORT, Item, Moment, Next, REALTIME, RECALCULATION, history_id, made_with};
use super::masses::Masses;
use super::outbox::{Happened, Pending};
use super::store::batch::{BehaviorRow, HeldMassRow, HistoryRow, MassRow};
use super::store::next::NextMassRow;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;

/// Which like or favorite.
pub(super) type BehaviorKey = (Uuid, Uuid, BehaviorKind);

/// A like or favorite as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behavior {
    /// When it was done.
    pub(super) acted_at: Millis,
    /// When it was taken back: a tombstone, so that a late older one does not come back.
    pub(super) removed_at: Option<Millis>,
}

/// Why a content's hotness changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "HotnessCause")]
pub enum Cause {
    /// It was published, or shown again.
    Published,
    /// It was hidden.
    Unpublished,
    /// A like.
    Liked,
    /// A like taken back.
    Unliked,
    /// A favorite.
    Favorited,
    /// A favorite taken back.
    Unfavorited,
    /// A comment.
    Commented,
    /// A comment deleted.
    CommentDeleted,
    /// A share.
    Shared,
    /// A share taken out, with the user whose it was.
    Unshared,
    /// A view.
    Viewed,
    /// Nobody did anything: it faded below a level, or is no longer new.
    Cooled,
    /// It was recalculated from its facts, and something else came out.
    Recalculated,
}

/// What one batch works on.
pub(super) struct Work<'a> {
    pub(super) hotness: &'a Hotness,
    /// The version that a recalculation under way makes.
    pub(super) next: Option<Arc<Hotness>>,
    /// The clock's time at the beginning of the batch.
    pub(super) now: Millis,
    /// Acts that are told with an earlier moment are refused: tombstones that would tell whether they come late are gone.
    pub(super) oldest_told: Millis,
    pub(super) items: HashMap<Uuid, Item>,
    pub(super) behaviors: HashMap<BehaviorKey, Behavior>,
    dirty_behaviors: HashSet<BehaviorKey>,
    gone_behaviors: HashSet<BehaviorKey>,
    /// Those that an import told of.
    imported_behaviors: HashSet<BehaviorKey>,
    /// Contents whose figures are of settings that are not in force.
    pub(super) foreign: HashSet<Uuid>,
    /// Those of the batch's users who were deleted.
    pub(super) deleted_users: HashSet<Uuid>,
    pub(super) external_ids: HashMap<String, Uuid>,
    pub(super) client_keys: HashMap<(Uuid, String), Uuid>,
    pub(super) interactions: Interactions,
    /// What happened, in order.
    pub(super) events: Vec<Pending>,
}

impl<'a> Work<'a> {
    pub(super) fn new(hotness: &'a Hotness, next: Option<Arc<Hotness>>, now: Millis, oldest_told: Millis) -> Self {
        Self {
            hotness,
            next,
            now,
            oldest_told,
            items: HashMap::new(),
            behaviors: HashMap::new(),
            dirty_behaviors: HashSet::new(),
            gone_behaviors: HashSet::new(),
            imported_behaviors: HashSet::new(),
            foreign: HashSet::new(),
            deleted_users: HashSet::new(),
            external_ids: HashMap::new(),
            client_keys: HashMap::new(),
            interactions: Interactions::default(),
            events: Vec::new(),
        }
    }

    pub(super) fn take_masses(&mut self, rows: Vec<HeldMassRow>) {
        for row in rows {
            if let Some(item) = self.items.get_mut(&row.content_id) {
                item.masses.take(row.epoch, row.mass);
            }
        }
    }

    /// Takes what time did to the contents' levels before their settings came into force.
    pub(super) fn came_into_force(&mut self, at: Millis) {
        let hotness = *self.hotness;
        self.items.values_mut().for_each(|item| item.came_into_force(&hotness, at));
    }

    /// Refuses a content whose figures are of settings that are not in force: this batch's weights are none of theirs.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INTERNAL`]
    pub(super) fn refuse_foreign(&self, id: Uuid) -> Result<()> {
        if self.foreign.contains(&id) {
            return Err(Error::internal(format!("the figures of content {id} are of settings that are not in force")));
        }
        Ok(())
    }

    /// Takes the masses of contents that are done for the version to come.
    pub(super) fn take_next_masses(&mut self, rows: Vec<NextMassRow>, hotness: &Arc<Hotness>) {
        for row in rows {
            if let Some(item) = self.items.get_mut(&row.content_id) {
                let none = || Next { hotness: Arc::clone(hotness), masses: Masses::default() };
                item.next.get_or_insert_with(none).masses.take(row.epoch, row.mass);
            }
        }
    }

    pub(super) fn take_behaviors(&mut self, rows: Vec<BehaviorRow>) {
        for row in rows {
            let kind =
                if row.kind == BehaviorKind::Like.number() { BehaviorKind::Like } else { BehaviorKind::Favorite };
            let behavior = Behavior { acted_at: row.acted_at, removed_at: row.removed_at };
            self.behaviors.insert((row.content_id, row.user_id, kind), behavior);
        }
    }

    /// A content, which must exist.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::NOT_FOUND`]
    pub(super) fn item(&mut self, id: Uuid) -> Result<&mut Item> {
        let item = self.items.get_mut(&id).filter(|item| !item.info.deleted);
        item.ok_or_else(|| Error::not_found("no such content"))
    }

    /// Notes a like or favorite as it stands now.
    pub(super) fn put_behavior(&mut self, key: BehaviorKey, behavior: Behavior) {
        self.behaviors.insert(key, behavior);
        self.dirty_behaviors.insert(key);
    }

    /// Notes that an import tells of a like or favorite, and may do so again: that it was taken back is never forgotten.
    pub(super) fn mark_imported(&mut self, key: BehaviorKey) {
        self.imported_behaviors.insert(key);
    }

    /// What [`Work::mark_imported`] noted.
    pub(super) fn imported_behaviors(&self) -> impl Iterator<Item = BehaviorKey> + '_ {
        self.imported_behaviors.iter().copied()
    }

    /// Notes an event of a content as it is after it.
    pub(super) fn happened(&mut self, content: &ContentRecord, at: Millis, happened: Happened) {
        self.events.push(Pending::new(content, at, happened));
    }

    /// Takes a like or favorite out, with no tombstone; what it was.
    pub(super) fn take_behavior(&mut self, key: BehaviorKey) -> Option<Behavior> {
        let held = self.behaviors.remove(&key)?;
        self.dirty_behaviors.remove(&key);
        self.gone_behaviors.insert(key);
        Some(held)
    }

    pub(super) fn gone_behaviors(&self) -> impl Iterator<Item = BehaviorKey> + '_ {
        self.gone_behaviors.iter().copied()
    }

    pub(super) fn deleted_contents(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.touched().filter(|item| item.deleted_now).map(|item| item.info.id)
    }

    /// Announces levels, and says what history to keep: a row a change of level, and one an interval.
    pub(super) fn settle(&mut self, ids: &Ids, interval_ms: i64) -> Vec<HistoryRow> {
        let mut history = Vec::new();
        for item in self.items.values_mut().filter(|item| item.cause.is_some()) {
            let (content_id, version) = (item.info.id, item.figures.version);
            if item.unsettled {
                item.announce(self.hotness);
                let at = item.settled_at();
                match item.cause {
                    Some(Cause::Recalculated) if item.imported => item.write_down(at, IMPORT, i64::MAX),
                    // Always a row: it says that the earlier ones were wrong.
                    Some(Cause::Recalculated) => item.write_down(at, RECALCULATION, 0),
                    _ => item.write_down(at, REALTIME, interval_ms),
                }
            }
            // What a recalculation puts right nobody did: there is nobody to tell.
            if item.somebody && !item.info.deleted {
                let changes = level_changes(self.hotness, item);
                self.events.extend(changes.map(|changed| Pending::new(&item.record(), item.settled_at(), changed)));
            }
            history.extend(item.history.drain(..).map(|row| {
                let Moment { at, level, score, method } = row;
                HistoryRow { content_id, id: history_id(ids, at, version), score, level, at, method }
            }));
        }
        history
    }

    pub(super) fn touched(&self) -> impl Iterator<Item = &Item> {
        self.items.values().filter(|item| item.cause.is_some())
    }

    pub(super) fn dirty_masses(&self) -> impl Iterator<Item = MassRow> + '_ {
        self.touched().flat_map(|item| item.masses.dirty(item.info.id))
    }

    /// The settled figures of those that are done for the version to come, as that version makes them.
    pub(super) fn next_figures(&self) -> impl Iterator<Item = (Uuid, Figures)> + '_ {
        self.touched().filter_map(|item| {
            let (next, at) = (item.next.as_ref()?, item.settled_at());
            let made = made_with(item.figures, &item.info, &next.hotness, next.masses.sums(), at);
            // No level of what is deleted ends.
            let wake_at = made.wake_at.filter(|_| !item.info.deleted);
            Some((item.info.id, Figures { wake_at, ..made }))
        })
    }

    pub(super) fn next_dirty_masses(&self) -> impl Iterator<Item = MassRow> + '_ {
        self.touched().flat_map(|item| item.next.iter().flat_map(|next| next.masses.dirty(item.info.id)))
    }

    pub(super) fn dirty_behaviors(&self) -> impl Iterator<Item = BehaviorRow> + '_ {
        self.dirty_behaviors.iter().filter_map(|key| {
            let behavior = self.behaviors.get(key)?;
            let (content_id, user_id, kind) = *key;
            let kind = kind.number();
            Some(BehaviorRow {
                content_id,
                user_id,
                kind,
                acted_at: behavior.acted_at,
                removed_at: behavior.removed_at,
            })
        })
    }

    pub(super) fn changed_statuses(&self) -> impl Iterator<Item = (Uuid, i16)> + '_ {
        let changed = self.touched().filter(|item| item.status_changed && !item.deleted_now && item.before.is_some());
        changed.map(|item| (item.info.id, item.info.status.number()))
    }
}

/// The levels that were announced since the batch began, as consumers are told: what time took away first, then what
/// the batch changed, so that nobody can tell how late the timer was. An act that was taken back is the reason where
/// the level would be higher without the batch.
fn level_changes(hotness: &Hotness, item: &Item) -> impl Iterator<Item = Happened> + use<> {
    let (published_at, at) = (item.info.published_at, item.settled_at());
    let new = Level::New.number();
    let announced = item.before.map_or(new, |before| before.hot_level);
    let faded = item.before.map_or(new, |before| hotness.level(before.heat, published_at, at).number());
    let Figures { hot_level: level, hot_score: score, .. } = item.figures;
    let steps = [(announced, faded, false), (faded, level, level < faded)];
    let changed = steps.into_iter().filter(|(previous, level, _)| previous != level);
    changed.map(move |(previous, level, taken_back)| Happened::LevelChanged { level, previous, score, taken_back })
}
