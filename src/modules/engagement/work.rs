//! The working set of one batch: what the locked rows hold, folded command by command, then written as net results.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::content::{BehaviorKind, ContentInfo, ContentRecord, Figures, Status};
use super::hotness::{Fact, Hotness, Level};
use super::interactions::Interactions;
use super::masses::{Masses, Sums};
use super::outbox::{Happened, Pending};
use super::store::batch::{BehaviorRow, HeldMassRow, HistoryRow, MassRow};
use super::store::next::NextMassRow;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;

/// `calculation_method` of a row that a command wrote.
pub(super) const REALTIME: i16 = 0;
/// `calculation_method` of a row of a moment at which time alone changed the level.
pub(super) const SCHEDULED: i16 = 1;
/// `calculation_method` of a row that a recalculation wrote.
pub(super) const RECALCULATION: i16 = 2;

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

/// Masses of a version that is not in force yet.
struct Next {
    hotness: Arc<Hotness>,
    masses: Masses,
}

/// What to add to masses, so that they are what the facts add up to.
#[derive(Default)]
pub(super) struct Correction {
    in_force: Sums,
    next: Option<Sums>,
}

/// A content in work.
pub(super) struct Item {
    pub(super) info: Arc<ContentInfo>,
    pub(super) figures: Figures,
    /// The figures before the batch; `None` for a new content.
    pub(super) before: Option<Figures>,
    masses: Masses,
    /// What a recalculation under way has already made of it: kept up with those in force.
    next: Option<Next>,
    /// What the facts say and the masses do not, when somebody asked for a recalculation of this content.
    pub(super) correction: Option<Result<Correction>>,
    /// An author's key of a new content.
    pub(super) client_key: Option<String>,
    pub(super) status_changed: bool,
    /// Whether this batch accepts its deletion.
    pub(super) deleted_now: bool,
    /// The last cause, once something changed.
    pub(super) cause: Option<Cause>,
    /// Whether anything but a recalculation changed it.
    somebody: bool,
    /// Whether the heat changed since the level was announced.
    unsettled: bool,
    /// The level of the newest row of history; a new content has none yet.
    recorded: Option<i16>,
    /// Rows of history to be, one a moment, in their order.
    history: Vec<Moment>,
}

/// A row of history to be, before it has an id.
struct Moment {
    at: Millis,
    level: i16,
    score: f64,
    method: i16,
}

impl Item {
    /// A content that is there.
    pub(super) fn stored(info: ContentInfo, figures: Figures) -> Self {
        Self {
            info: Arc::new(info),
            figures,
            before: Some(figures),
            masses: Masses::default(),
            next: None,
            correction: None,
            client_key: None,
            status_changed: false,
            deleted_now: false,
            cause: None,
            somebody: false,
            unsettled: false,
            recorded: Some(figures.hot_level),
            history: Vec::new(),
        }
    }

    /// A content to be, without a mass yet.
    pub(super) fn new(work: &Work<'_>, info: ContentInfo, client_key: Option<String>) -> Self {
        let at = info.published_at;
        let figures = Figures {
            version: 0,
            like_count: 0,
            favorite_count: 0,
            comment_count: 0,
            share_count: 0,
            view_count: 0,
            heat: None,
            wake_at: None,
            hot_level: Level::New.number(),
            hot_score: 0.0,
            last_hot_update: at,
            last_history_at: at,
            heat_version: work.hotness.heat.version,
        };
        let next = work.next.clone().map(|hotness| Next { hotness, masses: Masses::default() });
        Self { before: None, client_key, next, recorded: None, ..Self::stored(info, figures) }
    }

    /// What the one who asked gets.
    pub(super) fn record(&self) -> ContentRecord {
        ContentRecord { info: Arc::clone(&self.info), figures: self.figures }
    }

    /// Adds facts to the masses, or takes them back; all or nothing.
    ///
    /// # Errors
    /// When a sum does not fit: the facts are then refused.
    pub(super) fn add(&mut self, hotness: &Hotness, fact: &Fact) -> Result<()> {
        let overflow = || Error::internal(format!("the mass of content {} overflows", self.info.id));
        let sum = self.masses.sum(&hotness.heat, fact).ok_or_else(overflow)?;
        if let Some(next) = &mut self.next {
            let sum = next.masses.sum(&next.hotness.heat, fact).ok_or_else(overflow)?;
            next.masses.set(sum);
        }
        self.masses.set(sum);
        Ok(())
    }

    /// Compares the masses with those that the facts add up to.
    pub(super) fn compare(&mut self, in_force: Option<Sums>, next: Option<Sums>) {
        let fits = |sums: Option<Sums>| {
            sums.ok_or_else(|| Error::internal(format!("the mass of content {} overflows", self.info.id)))
        };
        let corrected = fits(in_force).and_then(|sums| {
            let next = self.next.as_ref().map(|held| Ok::<_, Error>(held.masses.short_of(&fits(next)?))).transpose()?;
            Ok(Correction { in_force: self.masses.short_of(&sums), next })
        });
        self.correction = Some(corrected);
    }

    /// The version to come, where this content is done for it.
    pub(super) fn next_hotness(&self) -> Option<Arc<Hotness>> {
        self.next.as_ref().map(|next| Arc::clone(&next.hotness))
    }

    /// Adds what was missing. Whether anything was.
    ///
    /// # Errors
    /// When a sum does not fit.
    pub(super) fn correct(&mut self, correction: &Correction) -> Result<bool> {
        let overflow = || Error::internal(format!("the mass of content {} overflows", self.info.id));
        let mut changed = self.masses.add_all(&correction.in_force).ok_or_else(overflow)?;
        if let (Some(next), Some(sums)) = (&mut self.next, &correction.next) {
            changed |= next.masses.add_all(sums).ok_or_else(overflow)?;
        }
        Ok(changed)
    }

    /// The figures as they would be if everything were made anew at a moment.
    pub(super) fn made_anew(&self, hotness: &Hotness, at: Millis) -> Figures {
        made_with(self.figures, &self.info, hotness, self.masses.sums(), at)
    }

    /// Notes a change: a new version, the heat of the masses, and the time. What faded before that moment unobserved
    /// goes into history first, as the timer would have written it.
    pub(super) fn touch(&mut self, hotness: &Hotness, cause: Cause, at: Millis) {
        if self.figures.wake_at.is_some_and(|wake_at| wake_at < at) || self.unsettled && self.settled_at() < at {
            self.announce(hotness);
            self.fade(hotness, at.plus(-1));
        }
        self.note(cause);
        self.unsettled = true;
        self.figures.heat = hotness.heat.heat(self.info.quality, self.masses.sums());
        self.figures.last_hot_update = self.figures.last_hot_update.max(at);
    }

    /// From now on there is no such content; its rows go later. Its keys are free, and no level of it ends.
    pub(super) fn delete(&mut self) {
        let info = Arc::make_mut(&mut self.info);
        (info.deleted, info.status, info.external_id) = (true, Status::Unpublished, None);
        (self.deleted_now, self.unsettled, self.figures.wake_at) = (true, false, None);
        self.note(Cause::Unpublished);
    }

    /// Fades until a moment, that one included; whether any level ended by then.
    pub(super) fn cool(&mut self, hotness: &Hotness, until: Millis) -> bool {
        self.announce(hotness);
        let cooled = self.fade(hotness, until);
        if cooled {
            self.note(Cause::Cooled);
        }
        cooled
    }

    fn note(&mut self, cause: Cause) {
        self.cause = Some(cause);
        self.somebody |= cause != Cause::Recalculated;
        self.figures.version = self.before.map_or(0, |before| before.version) + 1;
    }

    /// The moment that the announced level is of: the last interaction's, or a later one at which a level ended.
    pub(super) fn settled_at(&self) -> Millis {
        self.figures.settled_at()
    }

    /// Announces the level that the last interaction left, and when it ends.
    fn announce(&mut self, hotness: &Hotness) {
        if std::mem::take(&mut self.unsettled) {
            let at = self.settled_at();
            self.set_level(hotness, at);
        }
    }

    fn set_level(&mut self, hotness: &Hotness, at: Millis) {
        let (heat, published_at) = (self.figures.heat, self.info.published_at);
        self.figures.hot_level = hotness.level(heat, published_at, at).number();
        self.figures.hot_score = hotness.heat.score(heat, at);
        self.figures.wake_at = hotness.next_change(heat, published_at, at);
    }

    /// Ends every level that ends by `until`: a row of history each, at its computed moment. Moments are compared, never
    /// scores, and each next one is later: it cannot spin.
    fn fade(&mut self, hotness: &Hotness, until: Millis) -> bool {
        let mut faded = false;
        while let Some(at) = self.figures.wake_at.filter(|at| *at <= until) {
            // What acts of this batch announced before, and nobody has recorded yet.
            let settled_at = self.settled_at();
            self.write_down(settled_at, REALTIME, i64::MAX);
            self.set_level(hotness, at);
            self.write_down(at, SCHEDULED, i64::MAX);
            // Also where thresholds were set anew meanwhile and no level ended: the moment counts as looked at.
            self.figures.last_history_at = at;
            faded = true;
        }
        faded
    }

    /// A row of history, if the level is another than that of the newest row, or that one is older than the interval.
    fn write_down(&mut self, at: Millis, method: i16, interval_ms: i64) {
        let level = self.figures.hot_level;
        if self.recorded != Some(level) || at.0.saturating_sub(self.figures.last_history_at.0) >= interval_ms {
            self.recorded = Some(level);
            self.figures.last_history_at = at;
            self.history.push(Moment { at, level, score: self.figures.hot_score, method });
        }
    }
}

/// The id of a row of history: ordered by its moment, and within one millisecond by the version that wrote it.
fn history_id(ids: &Ids, at: Millis, version: i64) -> Uuid {
    let mut bytes = *ids.at(at).as_bytes();
    let [.., high, low] = version.to_be_bytes();
    // The 12 bits of a UUIDv7 after its version, which RFC 9562 gives to a counter.
    (bytes[6], bytes[7]) = (0x70 | high & 0x0F, low);
    Uuid::from_bytes(bytes)
}

/// Figures with everything that follows from masses: heat, and level, score and next change at a moment.
pub(super) fn made_with(figures: Figures, info: &ContentInfo, hotness: &Hotness, masses: &Sums, at: Millis) -> Figures {
    let heat = hotness.heat.heat(info.quality, masses);
    Figures {
        heat,
        wake_at: hotness.next_change(heat, info.published_at, at),
        hot_level: hotness.level(heat, info.published_at, at).number(),
        hot_score: hotness.heat.score(heat, at),
        heat_version: hotness.heat.version,
        ..figures
    }
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
