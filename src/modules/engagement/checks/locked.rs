//! One locked content, and what a repair makes of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Key;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::item::history_id;
use crate::modules::engagement::store::batch::{self, HistoryRow, MassRow};
use crate::modules::engagement::store::in_force::{self, InForce, Lock};
use crate::modules::engagement::store::recount::{self, Which};
use crate::modules::engagement::store::{next, repairs};

/// `calculation_method` of a row that a repair wrote.
pub(super) const REPAIR: i16 = 3;

/// What a repair replaces besides what its drifts name, and what they are drifts of: kept with them, for the undo.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// The version of the settings in force.
    settings: i64,
    /// The version of the settings to come.
    next: Option<i64>,
    /// The moment of the newest row of history in the figures: before, and after.
    last_history_at: Option<[i64; 2]>,
    /// The same in the figures to come.
    next_last_history_at: Option<[i64; 2]>,
    /// Rows of history that it wrote.
    history: Vec<Uuid>,
    /// Epochs of masses that had no row.
    masses: Vec<i64>,
    /// The same of the masses to come.
    next_masses: Vec<i64>,
    /// A row of figures that was missing, as it was made.
    made: Option<Vec<i64>>,
}

/// Where the figures of a version are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In force.
    InForce,
    /// Beside what is in force, made by a recalculation under way.
    Next,
}

/// A locked content in work. Everything is written once, at the end, with a new version.
pub(super) struct Locked<'a> {
    kernel: &'a Kernel,
    pub(super) tx: &'a Tx,
    pub(super) id: Uuid,
    state: InForce,
    pub(super) figures: Figures,
    /// Whether there was no row of figures.
    missing: bool,
    /// Whether a missing row is made anew.
    pub(super) made: bool,
    /// Whether the row of figures goes.
    pub(super) unmade: bool,
    /// What a recalculation under way has made of it.
    pub(super) next: Option<Figures>,
    /// The version of that row, where it is to be another than that of the figures.
    pub(super) next_version: Option<i64>,
    /// Masses to be written, of the settings in force and of those to come.
    masses: [Vec<MassRow>; 2],
    /// Whether a row of history says what the announced level is now.
    pub(super) announced: bool,
    pub(super) changed: bool,
    /// What the repair that is undone kept.
    kept: Option<Kept>,
}

/// Locks one content's figures, as every writer of it does first.
pub(super) async fn lock(tx: &Tx, content: Key) -> Result<()> {
    batch::figures_lock_only(tx, &[content.1]).await
}

impl<'a> Locked<'a> {
    /// A content whose lock is held. One without figures has those of a content without facts, and a version after all
    /// that there can have been: nobody knows its last one. `kept`: of the repair that is undone.
    pub(super) async fn open(kernel: &'a Kernel, tx: &'a Tx, content: Key, kept: Option<Kept>) -> Result<Option<Self>> {
        let id = content.1;
        let state = in_force::in_force(tx.connection(), tx.backend(), Lock::None).await?;
        let Some(state) = state else { return Ok(None) };
        let held = batch::figures_lock(tx, &[id]).await?.pop();
        let next = match state.next_version {
            Some(version) => {
                let rows = next::figures_by_ids(tx.connection(), tx.backend(), &[id]).await?;
                rows.into_iter().map(|row| row.figures).find(|figures| figures.heat_version == version)
            }
            None => None,
        };
        let missing = held.is_none();
        let figures = match held {
            Some(row) => row.figures,
            None => Figures {
                version: kernel.clock.now().0,
                like_count: 0,
                favorite_count: 0,
                comment_count: 0,
                share_count: 0,
                view_count: 0,
                heat: None,
                wake_at: None,
                hot_level: 0,
                hot_score: 0.0,
                last_hot_update: Millis(i64::MIN),
                last_history_at: Millis(i64::MIN),
                heat_version: state.version,
            },
        };
        Ok(Some(Self {
            kernel,
            tx,
            id,
            state,
            figures,
            missing,
            made: false,
            unmade: false,
            next,
            next_version: None,
            masses: [Vec::new(), Vec::new()],
            announced: false,
            changed: false,
            kept,
        }))
    }

    /// Where that is now of which a drift was, when it was of what is in force, or of what is to come. `None`: other
    /// settings have come into force since, or a recalculation was given up, and there is no such figure any more.
    pub(super) fn place(&self, of_next: bool) -> Option<Place> {
        let next = self.next.map(|next| next.heat_version);
        let version = match &self.kept {
            Some(kept) if of_next => kept.next?,
            Some(kept) => kept.settings,
            None if of_next => return next.map(|_| Place::Next),
            None => return Some(Place::InForce),
        };
        if version == self.state.version {
            return Some(Place::InForce);
        }
        next.filter(|next| *next == version).map(|_| Place::Next)
    }

    /// The figures at a place.
    pub(super) fn at(&mut self, place: Place) -> Option<&mut Figures> {
        match place {
            Place::InForce => Some(&mut self.figures),
            Place::Next => self.next.as_mut(),
        }
    }

    /// The mass of an epoch at a place.
    pub(super) async fn mass(&self, place: Place, epoch: i64) -> Result<i64> {
        let (tx, id) = (self.tx, self.id);
        let held = match (place, self.next) {
            (Place::InForce, _) => {
                let rows = batch::mass_by_ids(tx, &[id]).await?;
                rows.into_iter().find(|row| row.epoch == epoch).map(|row| row.mass)
            }
            (Place::Next, Some(next)) => {
                let rows = next::mass_by_ids(tx.connection(), tx.backend(), &[id], next.heat_version).await?;
                rows.into_iter().find(|row| row.epoch == epoch).map(|row| row.mass)
            }
            (Place::Next, None) => None,
        };
        Ok(held.unwrap_or(0))
    }

    /// Notes a mass to be written.
    pub(super) fn put_mass(&mut self, place: Place, epoch: i64, mass: i64) {
        let [masses, next] = &mut self.masses;
        let masses = if place == Place::InForce { masses } else { next };
        masses.push(MassRow { content_id: self.id, epoch, mass });
        self.changed = true;
    }

    /// Whether the row of figures is the one that the repair made, but for its version. One that kept none cannot say.
    pub(super) fn is_as_made(&self) -> bool {
        let made = self.kept.as_ref().and_then(|kept| kept.made.as_ref());
        made.is_none_or(|made| *made == columns(&self.figures))
    }

    /// Takes back the row of history that the repair wrote, and the moment that it set. Whether there was one.
    pub(super) async fn unannounce(&mut self, level: i16) -> Result<bool> {
        let (tx, id, at) = (self.tx, self.id, self.figures.last_history_at);
        let Some(kept) = &self.kept else {
            let gone = repairs::history_delete_newest(tx, id, at, level).await?;
            let rows = recount::history_of(tx.connection(), Which::One(key(id))).await?;
            if let Some(newest) = rows.first().and_then(|row| row.newest).filter(|_| gone) {
                self.figures.last_history_at = newest.at;
            }
            return Ok(gone);
        };
        let mut gone = false;
        for row in &kept.history {
            gone |= repairs::history_delete(tx, id, *row).await?;
        }
        if let Some([before, after]) = kept.last_history_at
            && at.0 == after
        {
            self.figures.last_history_at = Millis(before);
        }
        if let (Some([before, after]), Some(next)) = (kept.next_last_history_at, &mut self.next)
            && next.last_history_at.0 == after
            && kept.next == Some(next.heat_version)
        {
            next.last_history_at = Millis(before);
        }
        Ok(gone)
    }

    /// Writes what changed. What a repair is to keep.
    pub(super) async fn write(mut self) -> Result<Kept> {
        let (tx, id) = (self.tx, self.id);
        let next = self.next.map(|next| next.heat_version);
        let mut kept = Kept { settings: self.state.version, next, ..Kept::default() };
        if self.unmade {
            repairs::figures_delete(tx, id).await?;
            return Ok(kept);
        }
        if !self.changed {
            return Ok(kept);
        }
        [kept.masses, kept.next_masses] = self.write_masses().await?;
        if self.missing && !self.made {
            // Masses can be put right without figures; those are another check's.
            return Ok(kept);
        }
        self.figures.version += 1;
        if self.announced {
            self.announce(&mut kept).await?;
        }
        let figures = self.figures;
        if self.missing {
            batch::figures_insert(tx, std::iter::once((id, figures))).await?;
            kept.made = Some(columns(&figures));
        }
        repairs::figures_write(tx, id, &figures, false).await?;
        if let Some(next) = self.next {
            let version = self.next_version.unwrap_or(figures.version);
            repairs::figures_write(tx, id, &Figures { version, ..next }, true).await?;
        }
        Ok(kept)
    }

    /// Writes masses; the epochs among them that had no row, in force and to come.
    async fn write_masses(&mut self) -> Result<[Vec<i64>; 2]> {
        let (tx, id) = (self.tx, self.id);
        let mut new = [Vec::new(), Vec::new()];
        for (place, is_next) in [false, true].into_iter().enumerate() {
            let (Some(rows), Some(new)) = (self.masses.get_mut(place), new.get_mut(place)) else { continue };
            if rows.is_empty() {
                continue;
            }
            let rows = std::mem::take(rows);
            let held = repairs::mass_epochs(tx, id, is_next).await?;
            new.extend(rows.iter().map(|row| row.epoch).filter(|epoch| !held.contains(epoch)));
            let none: Vec<i64> = rows.iter().filter(|row| row.mass == 0).map(|row| row.epoch).collect();
            if is_next {
                next::mass_put(tx, rows.into_iter()).await?;
            } else {
                batch::mass_put(tx, rows.into_iter()).await?;
            }
            // A row that the repair made goes again, if it comes to nothing.
            let kept = self.kept.as_ref();
            let made = kept.map_or(&[][..], |kept| if is_next { &kept.next_masses } else { &kept.masses });
            for epoch in none.into_iter().filter(|epoch| made.contains(epoch)) {
                repairs::mass_delete(tx, id, epoch, is_next).await?;
            }
        }
        Ok(new)
    }

    /// Writes down the announced level. The moment that level and wake-up are of stays what it is.
    async fn announce(&mut self, kept: &mut Kept) -> Result<()> {
        let at = self.figures.settled_at();
        kept.last_history_at = Some([self.figures.last_history_at.0, at.0]);
        self.figures.last_history_at = at;
        if let Some(next) = &mut self.next
            && next.last_history_at < at
        {
            // What comes into force knows of the row, too.
            kept.next_last_history_at = Some([next.last_history_at.0, at.0]);
            next.last_history_at = at;
        }
        let figures = self.figures;
        let mut row_id = history_id(&self.kernel.ids, at, figures.version);
        // It must be the newest one, also of its millisecond: an id holds twelve bits of the version only.
        let rows = recount::history_of(self.tx.connection(), Which::One(key(self.id))).await?;
        if let Some(newest) = rows.first().and_then(|row| row.newest)
            && newest.at == at
            && newest.id >= row_id
        {
            row_id = Uuid::from_u128(newest.id.as_u128() + 1);
        }
        let row = HistoryRow {
            content_id: self.id,
            id: row_id,
            score: figures.hot_score,
            level: figures.hot_level,
            at,
            method: REPAIR,
        };
        kept.history.push(row.id);
        batch::history_insert(self.tx, &[row]).await
    }
}

/// All columns of figures but the version.
fn columns(f: &Figures) -> Vec<i64> {
    let none = i64::MIN;
    vec![
        f.like_count,
        f.favorite_count,
        f.comment_count,
        f.share_count,
        f.view_count,
        f.heat.unwrap_or(none),
        f.wake_at.map_or(none, |at| at.0),
        f.hot_level.into(),
        f.hot_score.to_bits().cast_signed(),
        f.last_hot_update.0,
        f.last_history_at.0,
        f.heat_version,
    ]
}

/// A number of a report, as it was written there.
pub(super) fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::internal(format!("{text} is no number of a drift")))
}

/// The same, where there may be none.
pub(super) fn number_or(none: &str, text: &str) -> Result<Option<i64>> {
    if text == none { Ok(None) } else { number(text).map(Some) }
}
