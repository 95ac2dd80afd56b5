//! The check of what was taken back.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::{Found, Ground, OfContents};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::Remedy;
use crate::modules::engagement::store::recount::Which;
use crate::modules::engagement::store::rollups;

/// A tombstone is not older than its time, with a week for the job that removes it, unless an import told of what was taken
/// back; and nothing was taken back before it was done.
pub(super) struct Tombstones;

#[async_trait]
impl OfContents for Tombstones {
    fn name(&self) -> &'static str {
        "tombstones"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "old tombstones and deleted comments are the job `engagement.retention`'s to remove: see `tally jobs`; a like that was taken back \
             before it was given was written by hand",
        )
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let before = ground.tombstones_before.unwrap_or(Millis(i64::MIN));
        for row in rollups::tombstones_of(reads, which, before).await? {
            let mut drifts = found.of(row.kind, row.id);
            drifts.compare("old tombstones", &row.old, &0);
            drifts.compare("old deleted comments", &row.old_comments, &0);
            drifts.compare("taken back before they were done", &row.early, &0);
        }
        Ok(found)
    }
}
