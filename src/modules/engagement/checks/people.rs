//! The checks of what users did who are not there.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::jobs;
use crate::modules::engagement::deleting;
use crate::modules::engagement::facade::EngagementFacade;
use crate::modules::engagement::people::Whereabouts;
use crate::modules::engagement::store::people;
use crate::modules::users::UserKind;

/// Rows of users who were deleted, and whose deletion has ended without them. It is taken up again: the job takes each
/// act back through the writer, so that counts, heat and ranks follow.
pub(super) struct Remains;

/// Rows of users whom nobody knows. Whether the rows are wrong or the user is missing, nobody can tell here.
pub(super) struct Strangers;

async fn drifts(reads: &DatabaseTransaction, user: Uuid, what: &str) -> Result<Vec<Drift>> {
    let rows = people::user_rows(reads, user).await?;
    let drift = |(table, count): (&str, i64)| Drift {
        id: Id::<UserKind>::new(user).to_string(),
        field: format!("rows in {table} of {what}"),
        stored: count.to_string(),
        // Who looks before a repair is to see how far it goes.
        actual: if table == people::CONTENTS && what == DELETED { WITH_CONTENTS } else { "0" }.to_owned(),
    };
    Ok(rows.into_iter().map(drift).collect())
}

async fn is(kernel: &Kernel, user: Uuid, wanted: Whereabouts) -> Result<bool> {
    Ok(EngagementFacade::whereabouts(&kernel.db, &[user]).await?.get(&user) == Some(&wanted))
}

async fn scan(kernel: &Kernel, after: Option<Key>, size: usize, wanted: Whereabouts) -> Result<Chunk> {
    let users = people::user_page(&kernel.db, after.map_or(Uuid::nil(), |after| after.1), size).await?;
    let known = EngagementFacade::whereabouts(&kernel.db, &users).await?;
    let suspects = users.iter().filter(|user| known.get(user) == Some(&wanted)).map(|user| key(*user)).collect();
    let next = users.last().filter(|_| users.len() == size).map(|user| key(*user));
    Ok(Chunk { checked: users.len() as u64, suspects, next })
}

/// No lock: nothing of a user comes after the deletion, and nothing of one who never was.
async fn confirm(kernel: &Kernel, user: Uuid, wanted: Whereabouts, what: &str) -> Result<Vec<Drift>> {
    if !is(kernel, user, wanted).await? {
        return Ok(Vec::new());
    }
    let reads = kernel.db.snapshot().await?;
    let found = drifts(&reads, user, what).await?;
    reads.commit().await?;
    Ok(found)
}

/// Users are in the order of their ids, whatever their lanes.
fn key(user: Uuid) -> Key {
    (0, user)
}

fn user_key(id: &str) -> Option<Key> {
    Some(key(id.parse::<Id<UserKind>>().ok()?.uuid()))
}

async fn is_there(kernel: &Kernel, id: &str) -> Result<bool> {
    let user = id.parse::<Id<UserKind>>()?.uuid();
    if !is(kernel, user, Whereabouts::Unknown).await? {
        return Ok(true);
    }
    let reads = kernel.db.snapshot().await?;
    let rows = people::user_rows(&reads, user).await?;
    reads.commit().await?;
    Ok(!rows.is_empty())
}

const DELETED: &str = "a deleted user";
const UNKNOWN: &str = "no user";
const WITH_CONTENTS: &str = "0: contents are deleted with all that others did to them";

#[async_trait]
impl Check for Remains {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        "user-remains"
    }

    fn key(&self, id: &str) -> Option<Key> {
        user_key(id)
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        scan(kernel, after, size, Whereabouts::Deleted).await
    }

    async fn confirm(&self, kernel: &Kernel, user: Key) -> Result<Vec<Drift>> {
        confirm(kernel, user.1, Whereabouts::Deleted, DELETED).await
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, user: Key) -> Result<Vec<Drift>> {
        if !is(kernel, user.1, Whereabouts::Deleted).await? {
            return Ok(Vec::new());
        }
        let found = drifts(tx.connection(), user.1, DELETED).await?;
        let now = kernel.clock.now();
        if found.is_empty() || !people::deletion_resume(tx, user.1, now).await? {
            return Ok(Vec::new());
        }
        jobs::wake(tx, deleting::JOB, now).await?;
        Ok(found)
    }

    /// As long as the job has not begun with it.
    async fn restore(&self, _: &Kernel, tx: &Tx, user: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let back = people::deletion_call_off(tx, user.1).await?;
        Ok(vec![back; drifts.len()])
    }
}

#[async_trait]
impl Check for Strangers {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        "user-orphans"
    }

    fn key(&self, id: &str) -> Option<Key> {
        user_key(id)
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "rows of a user who is not there and was never deleted: the user was removed by hand, take the user from a \
             backup; or put the user back and delete it with `deleteUser`, which takes its acts out of all figures",
        )
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        scan(kernel, after, size, Whereabouts::Unknown).await
    }

    async fn confirm(&self, kernel: &Kernel, user: Key) -> Result<Vec<Drift>> {
        confirm(kernel, user.1, Whereabouts::Unknown, UNKNOWN).await
    }
}
