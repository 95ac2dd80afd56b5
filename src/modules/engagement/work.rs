//! The working set of one batch: what the locked rows hold, folded command by command, then written as net results.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::content::{BehaviorKind, ContentInfo, ContentRecord, Figures};
use super::hotness::{Hotness, Level};
use super::interactions::Interactions;
use super::outbox::{Happened, Pending, takes_back};
use super::store::batch::{BehaviorRow, HistoryRow, MassRow};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;

/// `calculation_method` of a row that a command wrote.
pub(super) const REALTIME: i16 = 0;

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
    /// A view.
    Viewed,
}

/// A content in work.
pub(super) struct Item {
    pub(super) info: Arc<ContentInfo>,
    pub(super) figures: Figures,
    /// The figures before the batch; `None` for a new content.
    pub(super) before: Option<Figures>,
    masses: BTreeMap<i64, i64>,
    dirty_epochs: HashSet<i64>,
    /// An author's key of a new content.
    pub(super) client_key: Option<String>,
    pub(super) status_changed: bool,
    /// The last cause, once something changed.
    pub(super) cause: Option<Cause>,
}

impl Item {
    /// A content that is there.
    pub(super) fn stored(info: ContentInfo, figures: Figures) -> Self {
        Self {
            info: Arc::new(info),
            figures,
            before: Some(figures),
            masses: BTreeMap::new(),
            dirty_epochs: HashSet::new(),
            client_key: None,
            status_changed: false,
            cause: None,
        }
    }

    /// A content to be, without a mass yet.
    pub(super) fn new(info: ContentInfo, client_key: Option<String>) -> Self {
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
        };
        Self { before: None, client_key, ..Self::stored(info, figures) }
    }

    /// What the one who asked gets.
    pub(super) fn record(&self) -> ContentRecord {
        ContentRecord { info: Arc::clone(&self.info), figures: self.figures }
    }

    /// Adds to the mass of an epoch; all or nothing.
    ///
    /// # Errors
    /// When the sum does not fit: the fact is then refused.
    pub(super) fn add_mass(&mut self, epoch: i64, mass: Option<i64>) -> Result<()> {
        let held = self.masses.entry(epoch).or_insert(0);
        let sum = mass.and_then(|mass| held.checked_add(mass));
        *held = sum.ok_or_else(|| Error::internal(format!("the mass of content {} overflows", self.info.id)))?;
        self.dirty_epochs.insert(epoch);
        Ok(())
    }

    /// Notes a change: a new version, the heat of the masses, and the time.
    pub(super) fn touch(&mut self, hotness: &Hotness, cause: Cause, at: Millis) {
        self.cause = Some(cause);
        self.figures.version = self.before.map_or(0, |before| before.version) + 1;
        self.figures.heat = hotness.heat.heat(self.info.quality, &self.masses);
        self.figures.last_hot_update = self.figures.last_hot_update.max(at);
    }
}

/// What one batch works on.
pub(super) struct Work<'a> {
    pub(super) hotness: &'a Hotness,
    /// The clock's time at the beginning of the batch.
    pub(super) now: Millis,
    pub(super) items: HashMap<Uuid, Item>,
    pub(super) behaviors: HashMap<BehaviorKey, Behavior>,
    dirty_behaviors: HashSet<BehaviorKey>,
    pub(super) external_ids: HashMap<String, Uuid>,
    pub(super) client_keys: HashMap<(Uuid, String), Uuid>,
    pub(super) interactions: Interactions,
    /// What happened, in order.
    pub(super) events: Vec<Pending>,
}

impl<'a> Work<'a> {
    pub(super) fn new(hotness: &'a Hotness, now: Millis) -> Self {
        Self {
            hotness,
            now,
            items: HashMap::new(),
            behaviors: HashMap::new(),
            dirty_behaviors: HashSet::new(),
            external_ids: HashMap::new(),
            client_keys: HashMap::new(),
            interactions: Interactions::default(),
            events: Vec::new(),
        }
    }

    pub(super) fn take_masses(&mut self, rows: Vec<MassRow>) {
        for row in rows {
            if let Some(item) = self.items.get_mut(&row.content_id) {
                item.masses.insert(row.epoch, row.mass);
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
        self.items.get_mut(&id).ok_or_else(|| Error::not_found("no such content"))
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

    /// Announces levels, and says what history to keep: a row a change of level, and one an interval.
    pub(super) fn settle(&mut self, ids: &Ids, interval_ms: i64) -> Vec<HistoryRow> {
        let mut history = Vec::new();
        for item in self.items.values_mut().filter(|item| item.cause.is_some()) {
            let (published_at, at) = (item.info.published_at, item.figures.last_hot_update);
            let level = self.hotness.level(item.figures.heat, published_at, at).number();
            let score = self.hotness.heat.score(item.figures.heat, at);
            let previous = item.figures.hot_level;
            let announced = item.before.is_none() || level != previous;
            item.figures.wake_at = self.hotness.next_change(item.figures.heat, published_at, at);
            item.figures.hot_level = level;
            item.figures.hot_score = score;
            if level != previous {
                let taken_back = item.cause.is_some_and(takes_back);
                let changed = Happened::LevelChanged { level, previous, score, taken_back };
                self.events.push(Pending::new(&item.record(), at, changed));
            }
            if announced || at.0 - item.figures.last_history_at.0 >= interval_ms {
                item.figures.last_history_at = at;
                let content_id = item.info.id;
                history.push(HistoryRow { content_id, id: ids.at(at), score, level, at, method: REALTIME });
            }
        }
        history
    }

    pub(super) fn touched(&self) -> impl Iterator<Item = &Item> {
        self.items.values().filter(|item| item.cause.is_some())
    }

    pub(super) fn dirty_masses(&self) -> impl Iterator<Item = MassRow> + '_ {
        self.touched().flat_map(|item| {
            item.dirty_epochs.iter().map(|epoch| MassRow {
                content_id: item.info.id,
                epoch: *epoch,
                mass: item.masses.get(epoch).copied().unwrap_or(0),
            })
        })
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
        let changed = self.touched().filter(|item| item.status_changed && item.before.is_some());
        changed.map(|item| (item.info.id, item.info.status.number()))
    }
}
