//! Masses by epoch: what heat is made of.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::hotness::{Fact, HeatSettings, Source};
use super::store::batch::MassRow;

/// Masses by epoch.
pub(super) type Sums = BTreeMap<i64, i64>;

/// The masses of a content in work, and which of them changed.
#[derive(Default)]
pub(super) struct Masses {
    sums: Sums,
    dirty: BTreeSet<i64>,
}

impl Masses {
    /// As they are.
    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Takes one as it is stored.
    pub(super) fn take(&mut self, epoch: i64, mass: i64) {
        self.sums.insert(epoch, mass);
    }

    /// The epoch of facts and its mass with them; `None` when it does not fit.
    pub(super) fn sum(&self, settings: &HeatSettings, fact: &Fact) -> Option<(i64, i64)> {
        let epoch = settings.epoch(fact.at);
        let held = self.sums.get(&epoch).copied().unwrap_or(0);
        Some((epoch, held.checked_add(settings.mass(fact)?)?))
    }

    /// Changes the mass of an epoch.
    pub(super) fn set(&mut self, (epoch, mass): (i64, i64)) {
        self.sums.insert(epoch, mass);
        self.dirty.insert(epoch);
    }

    /// What must be added, so that they are those of `facts`.
    pub(super) fn short_of(&self, facts: &Sums) -> Sums {
        let epochs: BTreeSet<i64> = self.sums.keys().chain(facts.keys()).copied().collect();
        let mass = |sums: &Sums, epoch: i64| sums.get(&epoch).copied().unwrap_or(0);
        let short = epochs.into_iter().map(|epoch| (epoch, mass(facts, epoch).wrapping_sub(mass(&self.sums, epoch))));
        short.filter(|(_, short)| *short != 0).collect()
    }

    /// Adds to several epochs, all or nothing; whether that changes anything. `None` when it does not fit.
    pub(super) fn add_all(&mut self, sums: &Sums) -> Option<bool> {
        let held = |epoch| self.sums.get(epoch).copied().unwrap_or(0);
        let sums: Option<Vec<_>> =
            sums.iter().map(|(epoch, mass)| Some((*epoch, held(epoch).checked_add(*mass)?))).collect();
        let sums = sums?;
        let changes = !sums.is_empty();
        sums.into_iter().for_each(|sum| self.set(sum));
        Some(changes)
    }

    /// What is to be written.
    pub(super) fn dirty(&self, content_id: Uuid) -> impl Iterator<Item = MassRow> + '_ {
        self.dirty.iter().map(move |epoch| {
            let mass = self.sums.get(epoch).copied().unwrap_or(0);
            MassRow { content_id, epoch: *epoch, mass }
        })
    }
}

/// Adds a source to sums; `None` stays `None`, and becomes it when a sum does not fit.
pub(super) fn add(sums: &mut Option<Sums>, settings: &HeatSettings, source: &Source) {
    if let Some(held) = sums {
        let added = settings.adds(source).and_then(|(epoch, more)| {
            let mass = held.entry(epoch).or_insert(0);
            *mass = mass.checked_add(more)?;
            Some(())
        });
        if added.is_none() {
            *sums = None;
        }
    }
}
