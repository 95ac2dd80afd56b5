//! What a content and its notifications must be, by a model that knows nothing of batches, rows, timers or events.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tally::kernel::clock::Millis;
use tally::modules::engagement::hotness::{Hotness, Level, artwork_quality};
use uuid::Uuid;

pub(crate) const LIKE: usize = 0;
/// Kinds of notifications, as GraphQL names them.
pub(crate) const TOLD: [&str; 5] = ["LIKED", "FAVORITED", "COMMENTED", "SHARED", "LEVEL_UP"];
const COMMENTED: usize = 2;
const SHARED: usize = 3;
const LEVEL_UP: usize = 4;

/// A like or favorite: when the last change was, and since when it holds.
#[derive(Clone, Copy, Debug)]
struct Register {
    changed_at: i64,
    since: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Comment {
    /// Its place among all comments on the content.
    pub(crate) number: usize,
    pub(crate) id: String,
    user: usize,
    at: i64,
    deleted: bool,
}

/// What an author is told of one content and kind: acts by what can be taken back.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Who, in which order, and whether it holds.
    acts: HashMap<String, (usize, u64, bool)>,
    read: Option<u64>,
}

impl Told {
    fn newest(&self) -> Option<u64> {
        self.acts.values().filter(|(_, _, holds)| *holds).map(|(_, order, _)| *order).max()
    }
}

/// A content in the model.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) id: String,
    pub(crate) uuid: Uuid,
    pub(crate) author: usize,
    pub(crate) listed: bool,
    published_at: i64,
    /// The newest moment that it has seen.
    newest: i64,
    registers: HashMap<(usize, usize), Register>,
    pub(crate) comments: Vec<Comment>,
    shares: i64,
    views: BTreeSet<(usize, i64)>,
    masses: BTreeMap<i64, i64>,
    heat: Option<i64>,
    level: Level,
    /// Moment and level of each change of level.
    pub(crate) history: Vec<(i64, Level)>,
    told: [Told; 5],
    order: u64,
}

impl Content {
    pub(crate) fn new(id: String, uuid: Uuid, author: usize, at: i64, hotness: &Hotness) -> Self {
        let mut content = Self {
            id,
            uuid,
            author,
            listed: true,
            published_at: at,
            newest: at,
            registers: HashMap::new(),
            comments: Vec::new(),
            shares: 0,
            views: BTreeSet::new(),
            masses: BTreeMap::new(),
            heat: None,
            level: Level::New,
            history: vec![(at, Level::New)],
            told: std::array::from_fn(|_| Told::default()),
            order: 0,
        };
        content.add(hotness, hotness.heat.publish_weight, at, 1);
        content.heat = hotness.heat.heat(artwork_quality(None, false, false), &content.masses);
        content
    }

    fn add(&mut self, hotness: &Hotness, weight: i64, at: i64, sign: i64) {
        let mass = hotness.heat.contribution(weight, Millis(at)).expect("it fits");
        *self.masses.entry(hotness.heat.epoch(Millis(at))).or_insert(0) += sign * mass;
    }

    /// The levels that time takes away until `at`, each at its moment.
    pub(crate) fn fade(&mut self, hotness: &Hotness, at: i64) {
        let published_at = Millis(self.published_at);
        let mut seen = self.history.last().map_or(self.newest, |(at, _)| *at).max(self.newest);
        while let Some(next) = hotness.next_change(self.heat, published_at, Millis(seen)).filter(|next| next.0 <= at) {
            self.level = hotness.level(self.heat, published_at, next);
            self.history.push((next.0, self.level));
            seen = next.0;
        }
    }

    /// What follows from changed masses at `at`.
    fn settle(&mut self, hotness: &Hotness, at: i64, taken_back: bool) {
        self.newest = at;
        self.heat = hotness.heat.heat(artwork_quality(None, false, false), &self.masses);
        let level = hotness.level(self.heat, Millis(self.published_at), Millis(at));
        if level == self.level {
            return;
        }
        let (before, after) = (self.level.number(), level.number());
        self.level = level;
        self.history.push((at, level));
        if after > before || taken_back {
            for crossed in before.min(after) + 1..=before.max(after) {
                if crossed >= Level::Warm.number() {
                    self.tell(LEVEL_UP, crossed.to_string(), usize::MAX, after > before);
                }
            }
        }
    }

    /// The moment that the server gives to an act: never before what it knows.
    fn moment(&self, now: i64) -> i64 {
        now.max(self.newest)
    }

    fn tell(&mut self, kind: usize, subject: String, actor: usize, holds: bool) {
        if actor == self.author {
            return;
        }
        self.order += 1;
        self.told[kind].acts.insert(subject, (actor, self.order, holds));
    }

    /// A like or favorite, or one taken back; whether it changed anything.
    pub(crate) fn act(&mut self, hotness: &Hotness, user: usize, kind: usize, on: bool, now: i64) -> bool {
        let register = self.registers.get(&(user, kind)).copied();
        let held = register.and_then(|register| register.since);
        if held.is_some() == on {
            return false;
        }
        let at = self.moment(now).max(register.map_or(i64::MIN, |register| register.changed_at + 1));
        self.fade(hotness, at);
        self.registers.insert((user, kind), Register { changed_at: at, since: on.then_some(at) });
        let weight = if kind == LIKE { hotness.heat.like_weight } else { hotness.heat.favorite_weight };
        self.add(hotness, weight, held.unwrap_or(at), if on { 1 } else { -1 });
        self.tell(kind, user.to_string(), user, on);
        self.settle(hotness, at, !on);
        true
    }

    pub(crate) fn comment(&mut self, hotness: &Hotness, user: usize, id: String, now: i64) {
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.comment_weight, at, 1);
        self.tell(COMMENTED, id.clone(), user, true);
        self.comments.push(Comment { number: self.comments.len(), id, user, at, deleted: false });
        self.settle(hotness, at, false);
    }

    /// Deletes a comment; deleting it again changes nothing.
    pub(crate) fn delete_comment(&mut self, hotness: &Hotness, number: usize, now: i64) {
        let comment = self.comments[number].clone();
        if comment.deleted {
            return;
        }
        self.comments[number].deleted = true;
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.comment_weight, comment.at, -1);
        self.tell(COMMENTED, comment.id, comment.user, false);
        self.settle(hotness, at, true);
    }

    pub(crate) fn share(&mut self, hotness: &Hotness, user: usize, now: i64) {
        let at = self.moment(now);
        self.fade(hotness, at);
        self.shares += 1;
        self.add(hotness, hotness.heat.share_weight, at, 1);
        self.tell(SHARED, user.to_string(), user, true);
        self.settle(hotness, at, false);
    }

    /// Whether the view counts: the first of its viewer and hour, of a content that is shown.
    pub(crate) fn view(&mut self, hotness: &Hotness, viewer: usize, now: i64) -> bool {
        let hour = now - now.rem_euclid(Millis::HOUR);
        if !self.listed || !self.views.insert((viewer, hour)) {
            return false;
        }
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.view_weight, hour, 1);
        self.settle(hotness, at, false);
        true
    }

    /// Hides it, or shows it again.
    pub(crate) fn turn(&mut self, hotness: &Hotness, now: i64) {
        let at = self.moment(now);
        self.fade(hotness, at);
        self.listed = !self.listed;
        self.settle(hotness, at, false);
    }

    /// Its author has read all that there is.
    pub(crate) fn read(&mut self) -> i64 {
        let mut marked = 0;
        for told in &mut self.told {
            if told.newest() > told.read {
                told.read = told.newest();
                marked += 1;
            }
        }
        marked
    }

    /// Likes, favorites, comments, shares, views.
    pub(crate) fn counts(&self) -> [usize; 5] {
        let held = |kind| self.registers.iter().filter(|((_, k), r)| *k == kind && r.since.is_some()).count();
        let comments = self.comments.iter().filter(|comment| !comment.deleted).count();
        [held(0), held(1), comments, usize::try_from(self.shares).expect("a few"), self.views.len()]
    }

    /// What its masses add up to.
    pub(crate) fn heat(&self) -> Option<i64> {
        self.heat
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Kind, how many others, whether unread: of each notification that somebody is left of.
    pub(crate) fn notifications(&self) -> Vec<(&'static str, usize, bool)> {
        let mut shown = Vec::new();
        for (kind, told) in TOLD.into_iter().zip(&self.told) {
            let actors: BTreeSet<_> =
                told.acts.values().filter(|(_, _, holds)| *holds).map(|(who, _, _)| *who).collect();
            if let Some(newest) = told.newest() {
                let count = if kind == "LEVEL_UP" { 0 } else { actors.len() };
                shown.push((kind, count, told.read.is_none_or(|read| newest > read)));
            }
        }
        shown
    }
}
