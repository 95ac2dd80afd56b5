//! One locked content, and what a repair makes of it.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Key;
use crate::modules::engagement::content::Figures;
use crate::modules::engagement::item::history_id;
use crate::modules::engagement::store::batch::{self, HistoryRow, MassRow};
use crate::modules::engagement::store::in_force::{self, Lock};
use crate::modules::engagement::store::{next, recount};

/// `calculation_method` of a row that a repair wrote.
pub(super) const REPAIR: i16 = 3;

/// A locked content in work. Everything is written once, at the end, with a new version.
pub(super) struct Locked<'a> {
    kernel: &'a Kernel,
    pub(super) tx: &'a Tx,
    pub(super) id: Uuid,
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
    pub(super) masses: Vec<MassRow>,
    pub(super) next_masses: Vec<MassRow>,
    /// Whether a row of history says what the announced level is now.
    pub(super) announced: bool,
    pub(super) changed: bool,
}

/// Locks one content's figures, as every writer of it does first.
pub(super) async fn lock(tx: &Tx, content: Key) -> Result<()> {
    batch::figures_lock(tx, &[content.1]).await.map(|_| ())
}

impl<'a> Locked<'a> {
    /// A content whose lock is held. One without figures has those of a content without facts, and a version after all
    /// that there can have been: nobody knows its last one.
    pub(super) async fn open(kernel: &'a Kernel, tx: &'a Tx, content: Key) -> Result<Option<Self>> {
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
            figures,
            missing,
            made: false,
            unmade: false,
            next,
            next_version: None,
            masses: Vec::new(),
            next_masses: Vec::new(),
            announced: false,
            changed: false,
        }))
    }

    /// Writes what changed.
    pub(super) async fn write(mut self) -> Result<()> {
        let (tx, id) = (self.tx, self.id);
        if self.unmade {
            return recount::figures_delete(tx, id).await;
        }
        if !self.changed {
            return Ok(());
        }
        self.figures.version += 1;
        if self.announced {
            // The moment that level and wake-up are of stays what it is.
            self.figures.last_history_at = self.figures.settled_at();
        }
        let figures = self.figures;
        if self.missing && !self.made {
            // Masses can be put right without figures; those are another check's.
            return batch::mass_put(tx, self.masses.into_iter()).await;
        }
        if self.missing {
            batch::figures_insert(tx, std::iter::once((id, figures))).await?;
        } else {
            batch::figures_update(tx, std::iter::once((id, figures))).await?;
            recount::heat_version_update(tx, id, figures.heat_version).await?;
        }
        batch::mass_put(tx, self.masses.into_iter()).await?;
        if let Some(next) = self.next {
            let version = self.next_version.unwrap_or(figures.version);
            next::figures_put(tx, std::iter::once((id, Figures { version, ..next }))).await?;
        }
        next::mass_put(tx, self.next_masses.into_iter()).await?;
        if self.announced {
            let at = figures.last_history_at;
            let row = HistoryRow {
                content_id: id,
                id: history_id(&self.kernel.ids, at, figures.version),
                score: figures.hot_score,
                level: figures.hot_level,
                at,
                method: REPAIR,
            };
            batch::history_insert(tx, &[row]).await?;
        }
        Ok(())
    }
}

/// A number of a report, as it was written there.
pub(super) fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::internal(format!("{text} is no number of a drift")))
}

/// The same, where there may be none.
pub(super) fn number_or(none: &str, text: &str) -> Result<Option<i64>> {
    if text == none { Ok(None) } else { number(text).map(Some) }
}
