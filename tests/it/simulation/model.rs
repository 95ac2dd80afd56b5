//! What a content and its notifications must be, by a model that knows nothing of batches, rows, timers or events.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tally::kernel::clock::Millis;
use tally::modules::engagement::hotness::{Hotness, Level, artwork_quality};
use uuid::Uuid;

pub(crate) const LIKE: usize = 0;
const FAVORITE: usize = 1;
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
    pub(crate) id: Value,
    pub(crate) user: usize,
    /// The user's key: again with it is the same comment.
    pub(crate) key: Option<u64>,
    at: i64,
    deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) id: Value,
    pub(crate) user: usize,
    /// As a comment's.
    pub(crate) key: Option<u64>,
    at: i64,
}

impl Comment {
    /// As GraphQL has it.
    fn shown(&self) -> Value {
        let body = (!self.deleted).then_some("well");
        json!({ "id": self.id, "body": body, "createdAt": moment(self.at) })
    }
}

impl Share {
    fn shown(&self) -> Value {
        json!({ "id": self.id, "channel": "WECHAT", "sharedAt": moment(self.at) })
    }
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
    pub(crate) published_at: i64,
    /// The newest moment that it has seen.
    newest: i64,
    registers: HashMap<(usize, usize), Register>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) shares: Vec<Share>,
    views: BTreeSet<(usize, i64)>,
    masses: BTreeMap<i64, i64>,
    heat: Option<i64>,
    level: Level,
    /// Moment and level of each change of level.
    history: Vec<(i64, Level)>,
    /// Moments at which what a deleted user did was taken out: in as many steps as the server likes.
    taken_out: BTreeSet<i64>,
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
            shares: Vec::new(),
            views: BTreeSet::new(),
            masses: BTreeMap::new(),
            heat: None,
            level: Level::New,
            history: vec![(at, Level::New)],
            taken_out: BTreeSet::new(),
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

    /// A comment, or one with a key that has made one; what the server is to answer. A new one has the id of `made`.
    pub(crate) fn comment(
        &mut self,
        hotness: &Hotness,
        user: usize,
        key: Option<u64>,
        made: &Value,
        now: i64,
    ) -> Value {
        let first = self.comments.iter().find(|first| key.is_some() && (first.user, first.key) == (user, key));
        if let Some(first) = first {
            return json!({ "changed": false, "comment": first.shown() });
        }
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.comment_weight, at, 1);
        let comment = Comment { id: made["comment"]["id"].clone(), user, key, at, deleted: false };
        self.tell(COMMENTED, comment.id.to_string(), user, true);
        let shown = comment.shown();
        self.comments.push(comment);
        self.settle(hotness, at, false);
        json!({ "changed": true, "comment": shown })
    }

    /// Deletes a comment; whether it was there.
    pub(crate) fn delete_comment(&mut self, hotness: &Hotness, number: usize, now: i64) -> bool {
        let comment = self.comments[number].clone();
        if comment.deleted {
            return false;
        }
        self.comments[number].deleted = true;
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.comment_weight, comment.at, -1);
        self.tell(COMMENTED, comment.id.to_string(), comment.user, false);
        self.settle(hotness, at, true);
        true
    }

    /// As [`Content::comment`].
    pub(crate) fn share(&mut self, hotness: &Hotness, user: usize, key: Option<u64>, made: &Value, now: i64) -> Value {
        let first = self.shares.iter().find(|first| key.is_some() && (first.user, first.key) == (user, key));
        if let Some(first) = first {
            return json!({ "changed": false, "share": first.shown() });
        }
        let at = self.moment(now);
        self.fade(hotness, at);
        self.add(hotness, hotness.heat.share_weight, at, 1);
        self.tell(SHARED, user.to_string(), user, true);
        let share = Share { id: made["share"]["id"].clone(), user, key, at };
        let shown = share.shown();
        self.shares.push(share);
        self.settle(hotness, at, false);
        json!({ "changed": true, "share": shown })
    }

    /// All that a deleted user did leaves, as if it had been taken back. Views stay: nobody knows whose they are.
    pub(crate) fn forget(&mut self, hotness: &Hotness, user: usize, now: i64) {
        let heat = &hotness.heat;
        let mut left = Vec::new();
        for (kind, weight) in [(LIKE, heat.like_weight), (FAVORITE, heat.favorite_weight)] {
            let since = self.registers.remove(&(user, kind)).and_then(|register| register.since);
            left.extend(since.map(|since| (weight, since)));
        }
        for comment in self.comments.extract_if(.., |comment| comment.user == user) {
            left.extend((!comment.deleted).then_some((heat.comment_weight, comment.at)));
        }
        left.extend(self.shares.extract_if(.., |share| share.user == user).map(|share| (heat.share_weight, share.at)));
        for told in &mut self.told {
            told.acts.retain(|_, (who, _, _)| *who != user);
        }
        if left.is_empty() {
            return;
        }
        let at = self.moment(now);
        self.fade(hotness, at);
        left.into_iter().for_each(|(weight, since)| self.add(hotness, weight, since, -1));
        self.settle(hotness, at, true);
        self.taken_out.insert(at);
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
        [held(LIKE), held(FAVORITE), comments, self.shares.len(), self.views.len()]
    }

    /// What its masses add up to.
    pub(crate) fn heat(&self) -> Option<i64> {
        self.heat
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Moment and level of each change of level.
    pub(crate) fn history(&self) -> Vec<(String, String)> {
        let name = |level: Level| format!("{level:?}").to_uppercase();
        let rows = self.history.iter().map(|(at, level)| (moment(*at), name(*level)));
        self.last_of_steps(rows.collect())
    }

    /// Of the rows of one moment at which something was taken out the last.
    pub(crate) fn last_of_steps(&self, mut rows: Vec<(String, String)>) -> Vec<(String, String)> {
        let steps: BTreeSet<_> = self.taken_out.iter().map(|at| moment(*at)).collect();
        rows.reverse();
        rows.dedup_by(|older, newer| older.0 == newer.0 && steps.contains(&newer.0));
        rows.reverse();
        rows
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

/// As GraphQL writes it.
fn moment(at: i64) -> String {
    Millis(at).to_utc().to_rfc3339()
}
