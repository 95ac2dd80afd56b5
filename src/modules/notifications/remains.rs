//! The checks of what users were told, or did, who are not there.

use std::collections::HashMap;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use super::checks::START;
use super::commands::clean_up;
use super::consumer;
use super::notification::lane;
use super::store::{clean, recount};
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::jobs;
use crate::modules::engagement::{EngagementFacade, Whereabouts};
use crate::modules::users::UserKind;

/// Rows of users who were deleted and of whom nothing is to be removed any more, which is then begun again; or of users
/// whom nobody knows.
pub(super) struct Remains {
    name: &'static str,
    of: Whereabouts,
    what: &'static str,
}

/// Of users who were deleted.
pub(super) const DELETED: Remains =
    Remains { name: "notification-user-remains", of: Whereabouts::Deleted, what: "a deleted user" };
/// Of users who never were.
pub(super) const UNKNOWN: Remains =
    Remains { name: "notification-user-orphans", of: Whereabouts::Unknown, what: "no user" };

/// After the last lane a scan goes through those who did something.
const ACTORS: i16 = i16::MAX;
/// Before the first: a user as both.
const BOTH: i16 = -1;

impl Remains {
    /// Whether it is a user whom it is about; one of whom something still waits to be removed is not.
    async fn are(&self, kernel: &Kernel, users: &[Uuid]) -> Result<HashMap<Uuid, bool>> {
        let known = EngagementFacade::whereabouts(&kernel.db, users).await?;
        let mut are = HashMap::with_capacity(users.len());
        for (user, known) in known {
            // Also while the rest of the deletion goes on: here it had its part in it, and it has ended.
            let deleted = [Whereabouts::Leaving, Whereabouts::Deleted].contains(&known);
            let is = (if self.of == Whereabouts::Deleted { deleted } else { known == self.of })
                && !kernel.outbox.waits_for(consumer::NAME, user).await?
                && !recount::gone_is_pending(&kernel.db, user).await?;
            are.insert(user, is);
        }
        Ok(are)
    }

    async fn is(&self, kernel: &Kernel, user: Uuid) -> Result<bool> {
        Ok(self.are(kernel, &[user]).await?.get(&user) == Some(&true))
    }

    async fn drifts(&self, reads: &DatabaseTransaction, (part, user): Key) -> Result<Vec<Drift>> {
        let backend = reads.get_database_backend();
        let rows = recount::user_rows(reads, backend, (lane(user), user)).await?;
        let wanted = rows.into_iter().filter(|(table, count)| {
            let is_act = *table == recount::ACTS;
            *count > 0 && (part == BOTH || (part == ACTORS) == is_act)
        });
        let drift = |(table, count): (&str, i64)| Drift {
            id: Id::<UserKind>::new(user).to_string(),
            field: format!("rows in {table} of {}", self.what),
            stored: count.to_string(),
            actual: "0".to_owned(),
        };
        Ok(wanted.map(drift).collect())
    }
}

#[async_trait]
impl Check for Remains {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn key(&self, id: &str) -> Option<Key> {
        Some((BOTH, id.parse::<Id<UserKind>>().ok()?.uuid()))
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        let user = id.parse::<Id<UserKind>>()?.uuid();
        if EngagementFacade::whereabouts(&kernel.db, &[user]).await?.get(&user) != Some(&Whereabouts::Unknown) {
            return Ok(true);
        }
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let rows = recount::user_rows(&reads, backend, (lane(user), user)).await?;
        reads.commit().await?;
        Ok(rows.iter().any(|(_, count)| *count > 0))
    }

    fn remedy(&self) -> Remedy {
        match self.of {
            Whereabouts::Deleted => Remedy::Repair,
            _ => Remedy::Advice(
                "rows of a user who is not there and was never deleted: the user was removed by hand, take the user from \
                 a backup; or remove the rows too",
            ),
        }
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.unwrap_or(START);
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let keys: Vec<Key> = match after {
            (ACTORS, actor) => {
                let actors = recount::actor_page(&reads, backend, actor, size).await?;
                actors.into_iter().map(|actor| (ACTORS, actor)).collect()
            }
            after => recount::told_keys(&reads, backend, after, size).await?,
        };
        reads.commit().await?;
        let users: Vec<Uuid> = keys.iter().map(|(_, user)| *user).collect();
        let are = self.are(kernel, &users).await?;
        let suspects = keys.iter().copied().filter(|(_, user)| are.get(user) == Some(&true)).collect();
        let last = keys.last().copied().filter(|_| keys.len() == size);
        let next = last.or((after.0 != ACTORS).then_some((ACTORS, Uuid::nil())));
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    /// No lock: nothing of a user comes after the deletion, and nothing of one who never was.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        if !self.is(kernel, key.1).await? {
            return Ok(Vec::new());
        }
        let reads = kernel.db.snapshot().await?;
        let found = self.drifts(&reads, key).await?;
        reads.commit().await?;
        Ok(found)
    }

    /// Lets the job remove it, in chunks and with all that follows.
    async fn repair(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<Vec<Drift>> {
        if self.of != Whereabouts::Deleted {
            return Err(Error::internal(format!("{} repairs nothing", self.name)));
        }
        if !self.is(kernel, key.1).await? {
            return Ok(Vec::new());
        }
        let found = self.drifts(tx.connection(), key).await?;
        if !found.is_empty() {
            let now = kernel.clock.now();
            clean::gone_resume(tx, key.1, now).await?;
            jobs::wake(tx, clean_up::JOB, now).await?;
        }
        Ok(found)
    }

    /// As long as the job has not come to it.
    async fn restore(&self, _: &Kernel, tx: &Tx, key: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let back = clean::gone_call_off(tx, key.1).await?;
        Ok(vec![back; drifts.len()])
    }
}
