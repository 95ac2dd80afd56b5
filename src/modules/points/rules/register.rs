//! The working set of one transaction: what is known of acts, folded event by event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;
use uuid::Uuid;

use super::heard::{Heard, Subject};
use super::versions::Versions;
use super::{Act, SYSTEM, award_key, back_key};
use crate::kernel::clock::Millis;
use crate::kernel::id::Ids;
use crate::modules::points::commands::post::{Change, Entry};
use crate::modules::points::ledger::{Kind, transaction_id};

/// What is known of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Known {
    /// The event's up to which it is known.
    pub(in super::super) sequence: i64,
    /// That event's moment.
    pub(in super::super) at: Millis,
    /// The day of the moment.
    pub(in super::super) day: i64,
    /// The award that stands for it.
    pub(in super::super) award: Option<Award>,
}

/// An award that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Award {
    /// The transaction.
    pub(in super::super) id: Uuid,
    /// How many points.
    pub(in super::super) points: i64,
    /// How many a day there might be when it was given.
    pub(in super::super) day_most: i64,
}

/// Whose day under which rule.
pub(in super::super) type Day = (Uuid, Act, i64);

/// What one transaction works on.
pub(super) struct Register<'a> {
    pub(super) rules: &'a Versions,
    pub(super) ids: &'a Ids,
    /// Authors who exist.
    pub(super) authors: HashSet<Uuid>,
    /// What awards that stand add up to.
    pub(super) given: HashMap<Day, i64>,
    known: BTreeMap<Subject, Known>,
    changed: BTreeSet<Subject>,
    /// New awards by their ids, in the order in which they are given.
    awards: IndexMap<Uuid, Entry>,
    /// The ids of stored awards that go, and their subjects as they were.
    backs: Vec<(Uuid, Subject, Millis)>,
}

impl<'a> Register<'a> {
    pub(super) fn new(rules: &'a Versions, ids: &'a Ids, known: BTreeMap<Subject, Known>) -> Self {
        Self {
            rules,
            ids,
            authors: HashSet::new(),
            given: HashMap::new(),
            known,
            changed: BTreeSet::new(),
            awards: IndexMap::new(),
            backs: Vec::new(),
        }
    }

    /// Takes over what was heard. `remember`: also of what nothing is known and nothing stands, because an older event
    /// of it may still come.
    pub(super) fn take(&mut self, heard: &Heard, remember: bool) {
        let subject = heard.subject;
        let before = self.known.get(&subject).copied();
        // A share is never taken back: the first one is the one that counts.
        if before.is_some_and(|before| before.sequence >= heard.sequence || subject.act == Act::Share) {
            return;
        }
        if let Some(Known { award: Some(award), at, day, .. }) = before {
            self.take_back(subject, award, at, day);
        }
        let day = self.rules.at(heard.at).days.day(heard.at);
        let award = if heard.on { self.award(heard, day) } else { None };
        if before.is_some() || award.is_some() || remember {
            self.known.insert(subject, Known { sequence: heard.sequence, at: heard.at, day, award });
            self.changed.insert(subject);
        }
    }

    /// Gives what the rule gives, if it does not exceed the day.
    fn award(&mut self, heard: &Heard, day: i64) -> Option<Award> {
        let subject = heard.subject;
        let rule = self.rules.at(heard.at).of_act(subject.act, heard.content_kind)?;
        let given = self.given.entry((subject.author, subject.act, day)).or_default();
        if !self.authors.contains(&subject.author) || given.saturating_add(rule.points) > rule.day_most {
            return None;
        }
        *given += rule.points;
        let id = transaction_id(self.ids.next(), subject.author);
        let entry = Entry {
            id,
            user: subject.author,
            kind: Kind::AddPoints,
            change: Change::Add(rule.points),
            reason: subject.act.reason().to_owned(),
            actor: SYSTEM,
            key: award_key(subject.act, subject.content, subject.id, heard.at),
            user_is_gone: false,
        };
        self.awards.insert(id, entry);
        Some(Award { id, points: rule.points, day_most: rule.day_most })
    }

    /// Takes an award away: one that is not in the ledger yet is never given.
    fn take_back(&mut self, subject: Subject, award: Award, at: Millis, day: i64) {
        // Of days that nothing is added to nobody asks.
        if let Some(given) = self.given.get_mut(&(subject.author, subject.act, day)) {
            *given -= award.points;
        }
        if self.awards.shift_remove(&award.id).is_none() {
            self.backs.push((award.id, subject, at));
        }
    }

    /// The awards in the ledger that go, with their authors.
    pub(super) fn gone(&self) -> impl Iterator<Item = (Uuid, Uuid)> {
        self.backs.iter().map(|(id, subject, _)| (subject.author, *id))
    }

    /// What is to be written into ledgers: first what goes, but for what somebody has taken back already.
    pub(super) fn entries(&self, reversed: &HashSet<Uuid>) -> Vec<Entry> {
        let backs = self.backs.iter().filter(|(id, ..)| !reversed.contains(id)).map(|(id, subject, at)| Entry {
            id: transaction_id(self.ids.next(), subject.author),
            user: subject.author,
            kind: Kind::Reversal,
            change: Change::Reverse(*id),
            reason: subject.act.reason_back().to_owned(),
            actor: SYSTEM,
            key: back_key(&award_key(subject.act, subject.content, subject.id, *at)),
            user_is_gone: false,
        });
        backs.chain(self.awards.values().cloned()).collect()
    }

    /// What the ledger calls an award that was there under its key already.
    pub(super) fn renamed(&mut self, asked: Uuid, made: Uuid) {
        let known = self.known.values_mut().filter_map(|known| known.award.as_mut());
        known.filter(|award| award.id == asked).for_each(|award| award.id = made);
    }

    /// The act stands without the award that was asked for. Whether there was one: what takes an award back is none.
    pub(super) fn leave_out(&mut self, asked: Uuid) -> bool {
        let without = self.known.values_mut().find(|known| known.award.is_some_and(|award| award.id == asked));
        without.and_then(|known| known.award.take()).is_some()
    }

    /// What is known otherwise now, in key order.
    pub(super) fn changed(&self) -> impl Iterator<Item = (Subject, Known)> {
        self.changed.iter().filter_map(|subject| Some((*subject, *self.known.get(subject)?)))
    }
}
