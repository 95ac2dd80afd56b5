//! Masses and heat, against the facts: streamed into sums, so that memory is that of a chunk's sums.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::locked::{Locked, Place, number, number_or};
use super::{Found, Ground, NEXT, OfContents, moments, of_next};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::key;
use crate::modules::engagement::hotness::{Fact, HeatSettings, Source, Weight};
use crate::modules::engagement::masses::Sums;
use crate::modules::engagement::store::facts;
use crate::modules::engagement::store::recount::{self, Range, Stored, StoredMass, Which};

/// The sum of each epoch: equal to the last bit.
pub(super) struct HeatMass;

/// What follows from facts and quality, which version of the settings it was made with, and the moment of the last
/// interaction, as far as it can be told: it is not to come, and not before the newest fact but views.
pub(super) struct Heat;

/// Some contents, and what their facts add up to by the settings in force, and by those to come.
struct Recounted {
    contents: Vec<Stored>,
    range: Option<Range>,
    in_force: HeatSettings,
    next: Option<HeatSettings>,
    sums: HashMap<Uuid, [Sums; 2]>,
    /// The moment of the newest fact of each, publications included. No views: by a clock that is behind the hour that one
    /// counts in may have yet to begin.
    newest: HashMap<Uuid, Millis>,
}

impl Recounted {
    async fn read(ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Option<Self>> {
        let Some(hotness) = &ground.hotness else { return Ok(None) };
        let contents = recount::stored_of(reads, which).await?;
        let keys: Vec<_> = contents.iter().map(|stored| key(stored.id)).collect();
        let next = ground.next.as_ref().map(|next| next.heat);
        let in_force = hotness.heat;
        let mut sums: HashMap<Uuid, [Sums; 2]> =
            contents.iter().map(|stored| (stored.id, [Sums::new(), Sums::new()])).collect();
        let mut newest: HashMap<Uuid, Millis> = HashMap::with_capacity(contents.len());
        let mut take = |id: Uuid, source: Source| {
            // What is not asked for lies in the range: rows of a content that is being deleted, or of none at all.
            let Some(sums) = sums.get_mut(&id) else { return };
            if let Source::Fact(fact) = &source
                && fact.weight != Weight::View
            {
                let newest = newest.entry(id).or_insert(fact.at);
                *newest = fact.at.max(*newest);
            }
            for (sums, heat) in sums.iter_mut().zip([Some(in_force), next]) {
                // A fact that does not fit was refused when it came; here it would show as a drift.
                if let Some((epoch, mass)) = heat.and_then(|heat| heat.adds(&source)) {
                    let sum = sums.entry(epoch).or_default();
                    *sum = sum.saturating_add(mass);
                }
            }
        };
        for stored in &contents {
            let weight = Weight::Publish { by_hand: stored.base_weight };
            take(stored.id, Source::Fact(Fact { weight, at: stored.published_at, count: 1 }));
        }
        let range = Range::of(&keys);
        if let Some(range) = range {
            facts::each_within(reads, &ground.versions, range, &mut take).await?;
        }
        Ok(Some(Self { contents, range, in_force, next, sums, newest }))
    }

    fn sums(&self, id: Uuid) -> [&Sums; 2] {
        static NONE: Sums = Sums::new();
        self.sums.get(&id).map_or([&NONE, &NONE], |[in_force, next]| [in_force, next])
    }
}

/// What a content of a check's range holds by epoch; `None` where one of its masses cannot be read.
fn by_content(rows: Vec<StoredMass>) -> HashMap<Uuid, Option<Sums>> {
    let mut held: HashMap<Uuid, Option<Sums>> = HashMap::new();
    for (id, epoch, mass) in rows {
        let sums = held.entry(id).or_insert_with(|| Some(Sums::new()));
        match (sums.as_mut(), mass) {
            (Some(sums), Some(mass)) => {
                sums.insert(epoch, mass);
            }
            _ => *sums = None,
        }
    }
    held
}

const MASS: &str = "mass of epoch ";

#[async_trait]
impl OfContents for HeatMass {
    fn name(&self) -> &'static str {
        "heat-mass"
    }

    fn is_of_figures(&self) -> bool {
        false
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let Some(recounted) = Recounted::read(ground, reads, which).await? else { return Ok(found) };
        let (mut held, mut next) = (HashMap::new(), HashMap::new());
        let done = ground.next_figures_within(reads, recounted.range).await?;
        if let Some(range) = recounted.range {
            held = by_content(recount::mass_within(reads, range).await?);
            if let Some(heat) = recounted.next {
                next = by_content(recount::next_mass_within(reads, range, heat.version).await?);
            }
        }
        let none = Some(Sums::new());
        for stored in &recounted.contents {
            let [in_force, to_come] = recounted.sums(stored.id);
            let mut drifts = found.of(stored.kind, stored.id);
            let held = Some(("", held.get(&stored.id).unwrap_or(&none), in_force));
            // Where a recalculation has not come by yet there is nothing to compare.
            let next = done.get(&stored.id).map(|_| (NEXT, next.get(&stored.id).unwrap_or(&none), to_come));
            for (name, held, actual) in held.into_iter().chain(next) {
                let Some(held) = held else { continue };
                let epochs: BTreeSet<i64> = held.keys().chain(actual.keys()).copied().collect();
                for epoch in epochs {
                    let mass = |sums: &Sums| sums.get(&epoch).copied().unwrap_or(0);
                    if mass(held) != mass(actual) {
                        drifts.add(format!("{name}{MASS}{epoch}"), mass(held).to_string(), mass(actual).to_string());
                    }
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, epoch) = epoch_of(drift)?;
        let Some(place) = locked.place(is_next) else { return Ok(false) };
        locked.put_mass(place, epoch, number(&drift.actual)?);
        Ok(true)
    }

    /// The difference comes back: what happened since stays in the sum. Masses of other settings are other numbers, and
    /// were made of the facts: there is nothing to put back into.
    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, epoch) = epoch_of(drift)?;
        let Some(place) = locked.place(is_next) else { return Ok(false) };
        let difference = number(&drift.stored)?.checked_sub(number(&drift.actual)?);
        let held = locked.mass(place, epoch).await?;
        let mass = difference.and_then(|difference| held.checked_add(difference));
        let Some(mass) = mass else { return Ok(false) };
        locked.put_mass(place, epoch, mass);
        Ok(true)
    }
}

/// Whether it is a mass of the settings to come, and which.
fn epoch_of(drift: &Drift) -> Result<(bool, i64)> {
    let (is_next, field) = of_next(&drift.field);
    let epoch = field.strip_prefix(MASS).ok_or_else(|| unknown(drift))?;
    Ok((is_next, number(epoch)?))
}

fn unknown(drift: &Drift) -> Error {
    Error::internal(format!("{} is no field of this check", drift.field))
}

const HEAT: &str = "heat";
const TOUCHED: &str = "lastHotUpdate";
const NEXT_VERSION: &str = "next version";
const SETTINGS: &str = "version of the settings";
/// The heat of a content whose masses are all gone.
const NONE: &str = "none";

fn text(heat: Option<i64>) -> String {
    heat.map_or_else(|| NONE.to_owned(), |heat| heat.to_string())
}

#[async_trait]
impl OfContents for Heat {
    fn name(&self) -> &'static str {
        "heat"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let Some(recounted) = Recounted::read(ground, reads, which).await? else { return Ok(found) };
        let next = ground.next_figures_within(reads, recounted.range).await?;
        for stored in &recounted.contents {
            let mut drifts = found.of(stored.kind, stored.id);
            let Some(figures) = stored.figures else { continue };
            let [in_force, to_come] = recounted.sums(stored.id);
            let rows = [
                ("", Some(&figures), Some(&recounted.in_force), in_force),
                (NEXT, next.get(&stored.id), recounted.next.as_ref(), to_come),
            ];
            for (of, figures, heat, sums) in rows {
                let (Some(figures), Some(heat)) = (figures, heat) else { continue };
                let actual = heat.heat(stored.quality, sums);
                if figures.heat != actual {
                    drifts.add(format!("{of}{HEAT}"), text(figures.heat), text(actual));
                }
                let newest = recounted.newest.get(&stored.id).copied();
                if let Some(actual) = moments::hot_update(ground, reads, stored, figures, newest).await? {
                    drifts.add(format!("{of}{TOUCHED}"), figures.last_hot_update.0.to_string(), actual.0.to_string());
                }
            }
            if let Some(next) = next.get(&stored.id) {
                drifts.compare(NEXT_VERSION, &next.version, &figures.version);
            }
            drifts.compare(SETTINGS, &figures.heat_version, &recounted.in_force.version);
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        set(locked, drift, &drift.actual)
    }

    /// Only while it is what the repair made of it: an act since has made it of the masses.
    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let version = locked.figures.version;
        let (is_next, field) = of_next(&drift.field);
        let Some(figures) = locked.place(is_next).and_then(|place| locked.at(place)) else { return Ok(false) };
        let held = match (drift.field.as_str(), field) {
            (NEXT_VERSION, _) if figures.version == version => drift.actual.clone(),
            (NEXT_VERSION, _) => return Ok(false),
            (_, HEAT) => text(figures.heat),
            (_, TOUCHED) => figures.last_hot_update.0.to_string(),
            (SETTINGS, _) => figures.heat_version.to_string(),
            _ => return Err(unknown(drift)),
        };
        if held == drift.actual { set(locked, drift, &drift.stored) } else { Ok(false) }
    }
}

fn set(locked: &mut Locked<'_>, drift: &Drift, value: &str) -> Result<bool> {
    let (is_next, field) = of_next(&drift.field);
    let Some(place) = locked.place(is_next) else { return Ok(false) };
    if drift.field == NEXT_VERSION {
        // What is written gets the version of the figures by itself.
        let other = if value == drift.actual { None } else { Some(number(value)?) };
        if other.is_some() && place != Place::Next {
            return Ok(false);
        }
        locked.next_version = other;
        locked.changed = true;
        return Ok(true);
    }
    let Some(figures) = locked.at(place) else { return Ok(false) };
    match field {
        HEAT => figures.heat = number_or(NONE, value)?,
        TOUCHED => figures.last_hot_update = Millis(number(value)?),
        SETTINGS => figures.heat_version = number(value)?,
        _ => return Ok(false),
    }
    locked.changed = true;
    Ok(true)
}

/// What the facts of one content make its heat.
pub(super) async fn of_one(ground: &Ground, reads: &DatabaseTransaction, one: Which) -> Result<Option<i64>> {
    let Some(recounted) = Recounted::read(ground, reads, one).await? else { return Ok(None) };
    let stored = recounted.contents.first();
    Ok(stored.and_then(|stored| recounted.in_force.heat(stored.quality, recounted.sums(stored.id)[0])))
}
