//! Masses and heat, against the facts: streamed into sums, so that memory is that of a chunk's sums.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::locked::{Locked, number, number_or};
use super::{Found, Ground, OfContents};
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::hotness::{Fact, HeatSettings, Source, Weight};
use crate::modules::engagement::masses::Sums;
use crate::modules::engagement::store::batch::{self, MassRow};
use crate::modules::engagement::store::recount::{self, Range, Stored, Which};
use crate::modules::engagement::store::{facts, next};

/// The sum of each epoch: equal to the last bit.
pub(super) struct HeatMass;

/// What follows from facts and quality, and which version of the settings it was made with.
pub(super) struct Heat;

/// Some contents, and what their facts add up to by the settings in force, and by those to come.
struct Recounted {
    contents: Vec<Stored>,
    range: Option<Range>,
    in_force: HeatSettings,
    next: Option<HeatSettings>,
    sums: HashMap<Uuid, [Sums; 2]>,
}

impl Recounted {
    async fn read(ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Option<Self>> {
        let (Some(state), Some(hotness)) = (ground.state, &ground.hotness) else { return Ok(None) };
        let contents = recount::stored_of(reads, which).await?;
        let keys: Vec<_> = contents.iter().map(|stored| key(stored.id)).collect();
        let next = match state.next_version {
            Some(version) => Some(ground.versions.of(reads, version).await?.heat),
            None => None,
        };
        let in_force = hotness.heat;
        let mut sums: HashMap<Uuid, [Sums; 2]> =
            contents.iter().map(|stored| (stored.id, [Sums::new(), Sums::new()])).collect();
        let mut take = |id: Uuid, source: Source| {
            // What is not asked for lies in the range: rows of a content that is being deleted, or of none at all.
            let Some(sums) = sums.get_mut(&id) else { return };
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
        Ok(Some(Self { contents, range, in_force, next, sums }))
    }

    fn sums(&self, id: Uuid) -> [&Sums; 2] {
        static NONE: Sums = Sums::new();
        self.sums.get(&id).map_or([&NONE, &NONE], |[in_force, next]| [in_force, next])
    }

    /// What is made for the settings to come, by content.
    async fn next_figures(&self, reads: &DatabaseTransaction) -> Result<HashMap<Uuid, Figures>> {
        match (self.range, self.next) {
            (Some(range), Some(next)) => {
                Ok(recount::next_figures_within(reads, range, next.version).await?.into_iter().collect())
            }
            _ => Ok(HashMap::new()),
        }
    }
}

/// What a content of a check's range holds by epoch.
fn by_content(rows: Vec<(Uuid, i64, i64)>) -> HashMap<Uuid, Sums> {
    let mut held: HashMap<Uuid, Sums> = HashMap::new();
    for (id, epoch, mass) in rows {
        held.entry(id).or_default().insert(epoch, mass);
    }
    held
}

const MASS: &str = "mass of epoch ";
const NEXT_MASS: &str = "next mass of epoch ";

#[async_trait]
impl OfContents for HeatMass {
    fn name(&self) -> &'static str {
        "heat-mass"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let Some(recounted) = Recounted::read(ground, reads, which).await? else { return Ok(found) };
        let (mut held, mut next) = (HashMap::new(), HashMap::new());
        if let Some(range) = recounted.range {
            held = by_content(recount::mass_within(reads, range).await?);
            if let Some(heat) = recounted.next {
                next = by_content(recount::next_mass_within(reads, range, heat.version).await?);
            }
        }
        let none = Sums::new();
        for stored in &recounted.contents {
            let [in_force, to_come] = recounted.sums(stored.id);
            let mut drifts = found.of(stored.kind, stored.id);
            let held = Some((MASS, held.get(&stored.id).unwrap_or(&none), in_force));
            // Where a recalculation has not come by yet there is nothing to compare.
            let next = next.get(&stored.id).map(|next| (NEXT_MASS, next, to_come));
            for (name, held, actual) in held.into_iter().chain(next) {
                let epochs: BTreeSet<i64> = held.keys().chain(actual.keys()).copied().collect();
                for epoch in epochs {
                    let mass = |sums: &Sums| sums.get(&epoch).copied().unwrap_or(0);
                    if mass(held) != mass(actual) {
                        drifts.add(format!("{name}{epoch}"), mass(held).to_string(), mass(actual).to_string());
                    }
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, epoch) = epoch_of(drift)?;
        let row = MassRow { content_id: locked.id, epoch, mass: number(&drift.actual)? };
        put(locked, is_next, row);
        Ok(true)
    }

    /// The difference comes back: what happened since stays in the sum.
    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let (is_next, epoch) = epoch_of(drift)?;
        let (id, tx) = (locked.id, locked.tx);
        let held = match (is_next, locked.next) {
            (false, _) => {
                let rows = batch::mass_by_ids(tx, &[id]).await?;
                rows.into_iter().find(|row| row.epoch == epoch).map(|row| row.mass)
            }
            (true, Some(next)) => {
                let rows = next::mass_by_ids(tx.connection(), tx.backend(), &[id], next.heat_version).await?;
                rows.into_iter().find(|row| row.epoch == epoch).map(|row| row.mass)
            }
            (true, None) => return Ok(false),
        };
        let difference = number(&drift.stored)?.checked_sub(number(&drift.actual)?);
        let mass = difference.and_then(|difference| held.unwrap_or(0).checked_add(difference));
        let Some(mass) = mass else { return Ok(false) };
        put(locked, is_next, MassRow { content_id: id, epoch, mass });
        Ok(true)
    }
}

fn put(locked: &mut Locked<'_>, is_next: bool, row: MassRow) {
    if is_next {
        locked.next_masses.push(row);
    } else {
        locked.masses.push(row);
    }
    locked.changed = true;
}

/// Whether it is a mass of the settings to come, and which.
fn epoch_of(drift: &Drift) -> Result<(bool, i64)> {
    let epoch = match drift.field.strip_prefix(NEXT_MASS) {
        Some(epoch) => Some((true, epoch)),
        None => drift.field.strip_prefix(MASS).map(|epoch| (false, epoch)),
    };
    let (is_next, epoch) = epoch.ok_or_else(|| unknown(drift))?;
    Ok((is_next, number(epoch)?))
}

fn unknown(drift: &Drift) -> Error {
    Error::internal(format!("{} is no field of this check", drift.field))
}

const HEAT: &str = "heat";
const NEXT_HEAT: &str = "next heat";
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
        let next = recounted.next_figures(reads).await?;
        for stored in &recounted.contents {
            let mut drifts = found.of(stored.kind, stored.id);
            let Some(figures) = stored.figures else { continue };
            let [in_force, to_come] = recounted.sums(stored.id);
            let actual = recounted.in_force.heat(stored.quality, in_force);
            if figures.heat != actual {
                drifts.add(HEAT, text(figures.heat), text(actual));
            }
            if let (Some(next), Some(heat)) = (next.get(&stored.id), &recounted.next) {
                let actual = heat.heat(stored.quality, to_come);
                if next.heat != actual {
                    drifts.add(NEXT_HEAT, text(next.heat), text(actual));
                }
                drifts.compare(NEXT_VERSION, &next.version, &figures.version);
            }
            drifts.compare(SETTINGS, &figures.heat_version, &recounted.in_force.version);
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        set(locked, drift, &drift.actual)
    }

    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        let next = locked.next;
        let held = match drift.field.as_str() {
            HEAT => Some(text(locked.figures.heat)),
            NEXT_HEAT => next.map(|next| text(next.heat)),
            NEXT_VERSION => next.filter(|next| next.version == locked.figures.version).map(|_| drift.actual.clone()),
            SETTINGS => Some(locked.figures.heat_version.to_string()),
            _ => return Err(unknown(drift)),
        };
        // Only while it is what the repair made of it: an act since has made it of the masses.
        if held.as_deref() == Some(&drift.actual) { set(locked, drift, &drift.stored) } else { Ok(false) }
    }
}

fn set(locked: &mut Locked<'_>, drift: &Drift, value: &str) -> Result<bool> {
    match (drift.field.as_str(), &mut locked.next) {
        (HEAT, _) => locked.figures.heat = number_or(NONE, value)?,
        (NEXT_HEAT, Some(next)) => next.heat = number_or(NONE, value)?,
        (NEXT_VERSION, Some(_)) if value == drift.actual => {}
        (NEXT_VERSION, Some(_)) => locked.next_version = Some(number(value)?),
        (SETTINGS, _) => locked.figures.heat_version = number(value)?,
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
