//! The check of what views were summed up into.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::{Found, Ground, OfContents};
use crate::kernel::error::Result;
use crate::kernel::integrity::Remedy;
use crate::modules::engagement::content::key;
use crate::modules::engagement::hotness::RolledUp;
use crate::modules::engagement::store::recount::{Range, Which};
use crate::modules::engagement::store::rollups;

/// Roll-ups are facts: what they sum up is gone. What can be told: hours are whole hours that no view comes to any more,
/// sums are of at least one view, and what an epoch adds to its mass lies between what so many views add at its beginning
/// and at its end.
pub(super) struct Rollups;

#[async_trait]
impl OfContents for Rollups {
    fn name(&self) -> &'static str {
        "view-rollups"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("a sum of views was changed by hand, and what it summed up is gone: take it from a backup")
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let contents = rollups::hours_of(reads, which).await?;
        let keys: Vec<_> = contents.iter().map(|row| key(row.id)).collect();
        let mut epochs = match Range::of(&keys) {
            Some(range) => rollups::epochs_within(reads, range).await?,
            None => std::collections::HashMap::new(),
        };
        for row in contents {
            let mut drifts = found.of(row.kind, row.id);
            drifts.compare("hours that cannot be", &row.wrong_hours, &0);
            drifts.compare("rows of viewers between hours", &row.wrong_views, &0);
            for (version, views) in epochs.remove(&row.id).unwrap_or_default() {
                let RolledUp { epoch, count, mass } = views;
                let heat = ground.versions.of(reads, version).await?.heat;
                let end = heat.epoch_start(epoch.saturating_add(1)).plus(-1);
                let at = |at| heat.contribution(heat.view_weight, at).and_then(|one| one.checked_mul(count));
                let (Some(least), Some(most)) = (at(heat.epoch_start(epoch)), at(end)) else { continue };
                if count < 1 || mass < least || mass > most {
                    let field = format!("views of epoch {epoch}, settings {version}");
                    drifts.add(field, format!("{count} views of mass {mass}"), format!("mass {least} to {most}"));
                }
            }
        }
        Ok(found)
    }
}
