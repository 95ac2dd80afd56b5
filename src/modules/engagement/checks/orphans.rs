//! The check of rows that belong to nothing, and of deletions that do not end.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use super::START;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::engagement::content::key;
use crate::modules::engagement::graphql::content_id_text;
use crate::modules::engagement::store::{recount, rollups};
use crate::modules::users::UserKind;

/// Facts, figures, masses and history of contents that do not exist; and whatever is left of what was deleted long ago.
pub(super) struct Orphans;

/// How long a deletion may take until somebody should look at the job.
const GRACE: i64 = 7 * Millis::DAY;

async fn drifts(kernel: &Kernel, reads: &DatabaseTransaction, wanted: Key) -> Result<Vec<Drift>> {
    let mut drifts = Vec::new();
    for (table, count) in rollups::orphan_rows(reads, wanted).await? {
        // Which kind it was only its row could say.
        let id = content_id_text(0, wanted.1);
        let field = format!("rows in {table} of no content");
        drifts.push(Drift { id, field, stored: count.to_string(), actual: "0".to_owned() });
    }
    for (id, is_user, accepted_at) in rollups::deletions_before(reads, kernel.clock.now().plus(-GRACE)).await? {
        if id == wanted.1 {
            let id = if is_user { Id::<UserKind>::new(id).to_string() } else { content_id_text(0, id) };
            let stored = format!("accepted at {}", accepted_at.0);
            drifts.push(Drift { id, field: "deletion".to_owned(), stored, actual: "ended".to_owned() });
        }
    }
    Ok(drifts)
}

#[async_trait]
impl Check for Orphans {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        "orphans"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "rows of no content: their content was removed by hand, take it from a backup or remove them too; a deletion \
             that does not end is the job `engagement.deletions`'s: see `tally jobs`",
        )
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.unwrap_or(START);
        let reads = kernel.db.snapshot().await?;
        // Up to the last content of the chunk, and at the end all that follows.
        let keys = recount::content_keys(&reads, reads.get_database_backend(), after, size).await?;
        let next = keys.last().copied().filter(|_| keys.len() == size);
        let (mut suspects, cut) = rollups::orphan_keys(&reads, after, next, size).await?;
        // So many that the rest of the chunk is for the next one.
        let next = cut.or(next);
        let checked = keys.iter().filter(|key| next.is_none_or(|next| **key <= next)).count();
        if next.is_none() {
            let late = rollups::deletions_before(&reads, kernel.clock.now().plus(-GRACE)).await?;
            suspects.extend(late.into_iter().map(|(id, ..)| key(id)));
        }
        reads.commit().await?;
        Ok(Chunk { checked: checked as u64, suspects, next })
    }

    /// No lock: nobody writes rows of what is not there, and one who publishes writes all at once.
    async fn confirm(&self, kernel: &Kernel, wanted: Key) -> Result<Vec<Drift>> {
        let reads = kernel.db.snapshot().await?;
        let found = drifts(kernel, &reads, wanted).await?;
        reads.commit().await?;
        Ok(found)
    }
}
