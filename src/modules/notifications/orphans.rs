//! The check of acts that belong to no notification, and of deletions that do not end.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};

use super::checks::START;
use super::graphql::notification_id_text;
use super::notification::lane;
use super::store::recount;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::users::UserKind;

/// Acts of notifications that do not exist, and whatever is left of users who were deleted long ago.
pub(super) struct Orphans;

/// How long a clean-up may take until somebody should look at the job.
const GRACE: i64 = 7 * Millis::DAY;

async fn drifts(kernel: &Kernel, reads: &DatabaseTransaction, wanted: Key) -> Result<Vec<Drift>> {
    let backend = reads.get_database_backend();
    let mut drifts = Vec::new();
    let acts = recount::acts_of(reads, backend, wanted).await?;
    if acts > 0 {
        let (id, field) = (notification_id_text(wanted.1), "acts of no notification".to_owned());
        drifts.push(Drift { id, field, stored: acts.to_string(), actual: "0".to_owned() });
    }
    for (user, at) in recount::gone_before(reads, backend, kernel.clock.now().plus(-GRACE)).await? {
        if user == wanted.1 {
            let (id, field) = (Id::<UserKind>::new(user).to_string(), "deletion".to_owned());
            drifts.push(Drift { id, field, stored: format!("accepted at {}", at.0), actual: "ended".to_owned() });
        }
    }
    Ok(drifts)
}

#[async_trait]
impl Check for Orphans {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        "notification-orphans"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "acts of no notification: it was removed by hand, remove them too; a deletion that does not end is the job \
             `notifications.cleanup`'s: see `tally jobs`",
        )
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let found = recount::act_orphans(&reads, backend, after.unwrap_or(START), size).await?;
        let next = found.last().map(|(key, _)| *key).filter(|_| found.len() == size);
        let mut suspects: Vec<Key> = found.iter().filter(|(_, orphan)| *orphan).map(|(key, _)| *key).collect();
        if next.is_none() {
            let late = recount::gone_before(&reads, backend, kernel.clock.now().plus(-GRACE)).await?;
            suspects.extend(late.into_iter().map(|(user, _)| (lane(user), user)));
        }
        reads.commit().await?;
        Ok(Chunk { checked: found.len() as u64, suspects, next })
    }

    /// No lock: a notification is written with its first act, and is removed before its acts.
    async fn confirm(&self, kernel: &Kernel, wanted: Key) -> Result<Vec<Drift>> {
        let reads = kernel.db.snapshot().await?;
        let found = drifts(kernel, &reads, wanted).await?;
        reads.commit().await?;
        Ok(found)
    }
}
