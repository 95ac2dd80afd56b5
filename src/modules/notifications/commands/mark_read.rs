//! Marks notifications as read: given ones, or all up to now.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::live::Live;
use crate::modules::notifications::events::NotificationEvent;
use crate::modules::notifications::store::batch;
use crate::modules::notifications::work::{self, Totals};

/// Notifications that one transaction marks.
const CHUNK: i64 = 1_000;

/// What was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Notifications that were unread and are read now.
    pub marked: i64,
    /// Notifications that are unread still, or again.
    pub unread: i64,
}

struct Chunk {
    marked: Marked,
    /// The user's version before the first chunk: what changes later is not marked.
    up_to: i64,
    events: Vec<NotificationEvent>,
}

/// Marks `ids`, each given once and those of others left out, or all that is unread when it begins. What arrives
/// meanwhile is unread. Listeners hear nothing of what was marked.
///
/// # Errors
/// The database's own.
pub(in super::super) async fn run(
    kernel: &Kernel,
    user: Uuid,
    ids: Option<Vec<Uuid>>,
    live: &Live<NotificationEvent>,
) -> Result<Marked> {
    let now = kernel.clock.now();
    let (mut marked, mut up_to) = (0, None);
    loop {
        let given = ids.clone();
        let chunk = kernel.db.write(move |tx| Box::pin(mark(tx, user, given.clone(), up_to, now))).await?;
        marked += chunk.marked.marked;
        up_to = Some(chunk.up_to);
        live.publish(chunk.events);
        if ids.is_some() || chunk.marked.marked < CHUNK {
            return Ok(Marked { marked, unread: chunk.marked.unread });
        }
    }
}

async fn mark(tx: &Tx, user: Uuid, ids: Option<Vec<Uuid>>, up_to: Option<i64>, now: Millis) -> Result<Chunk> {
    let mut totals = Totals::lock(tx, [user], &BTreeSet::new()).await?;
    let Some(row) = totals.get(user) else {
        return Ok(Chunk { marked: Marked { marked: 0, unread: 0 }, up_to: 0, events: Vec::new() });
    };
    let up_to = up_to.unwrap_or(row.version);
    let unread = match ids {
        Some(ids) => batch::unread_by_ids(tx, user, &ids).await?,
        None => batch::unread_up_to(tx, user, up_to, CHUNK).await?,
    };
    let events = work::read(tx, &mut totals, unread, now).await?;
    let unread = totals.get(user).map_or(0, |row| row.unread_count);
    totals.write(tx).await?;
    Ok(Chunk { marked: Marked { marked: whole(events.len()), unread }, up_to, events })
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
