//! What a batch stands on: the version of the settings that cannot change before it ends, and the locked figures.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::content::{Figures, key};
use super::hotness::Hotness;
use super::store::batch;
use super::store::in_force::{self, InForce, Lock};
use super::wanted::Wanted;
use super::writer::EngagementWriter;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;

/// See the module.
pub(super) struct Ground {
    pub(super) hotness: Arc<Hotness>,
    pub(super) next: Option<Arc<Hotness>>,
    pub(super) figures: HashMap<Uuid, Figures>,
    /// Contents whose figures are of another version than the batch: drift, which no weights of the batch may touch.
    pub(super) foreign: HashSet<Uuid>,
}

impl EngagementWriter {
    /// Locks the figures in key order. Every row says which version it was made with, and the lock keeps its table where
    /// it is. Those who publish lock no row: they hold on to the state itself, so that a recalculation begins before them,
    /// and they write for it too, or after them, and it finds what they published.
    pub(super) async fn lock(&self, tx: &Tx, wanted: &mut Wanted<'_>) -> Result<Ground> {
        let (connection, backend) = (tx.connection(), tx.backend());
        let state = match wanted.publishes {
            true => in_force::in_force(connection, backend, Lock::Share).await?,
            false => None,
        };
        if !wanted.publications.is_empty() {
            wanted.taken = batch::content_taken(tx, &wanted.publications).await?;
            wanted.contents.extend(wanted.taken.iter().map(|taken| key(taken.id)));
        }
        let locked = match wanted.contents.is_empty() {
            true => Vec::new(),
            false => batch::figures_lock(tx, &wanted.ids()).await?,
        };
        let first = locked.first().map(|row| row.figures.heat_version);
        let version = match state {
            Some(state) => Some(state.version),
            // All of one version, but for rows that no recalculation has found. After the locks: what is in force stays so.
            None if locked.iter().any(|row| Some(row.figures.heat_version) != first) => {
                in_force::in_force(connection, backend, Lock::None).await?.map(|state| state.version)
            }
            None => first,
        };
        let hotness = match version {
            Some(version) => self.versions.of(connection, version).await?,
            // Nothing there to work on: any version refuses it alike.
            None => self.ranks.hotness(),
        };
        let next = match state {
            Some(InForce { next_version: Some(version), .. }) => Some(self.versions.of(connection, version).await?),
            _ => None,
        };
        let (own, foreign): (Vec<_>, Vec<_>) =
            locked.into_iter().partition(|row| row.figures.heat_version == hotness.heat.version);
        let figures = own.into_iter().map(|row| (row.content_id, row.figures)).collect();
        let foreign = foreign.into_iter().map(|row| row.content_id).collect();
        Ok(Ground { hotness, next, figures, foreign })
    }
}
