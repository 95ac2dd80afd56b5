//! Every figure of the module, recomputed from its facts.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::graphql::notification_id_text;
use super::notification::{NONE, lane};
use super::store::batch;
use super::store::recount::{self, Recounted};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::users::UserKind;

/// All of them.
pub(super) fn all() -> Vec<Arc<dyn Check>> {
    vec![Arc::new(UnreadCount), Arc::new(Actors)]
}

const START: Key = (i16::MIN, Uuid::nil());

/// A user's unread count against the user's unread notifications.
struct UnreadCount;

impl UnreadCount {
    async fn drifts(connection: &impl ConnectionTrait, backend: DbBackend, users: &[Key]) -> Result<Vec<(Key, Drift)>> {
        let found = recount::unread_recount(connection, backend, users).await?;
        let drifted = found.into_iter().filter(|row| row.stored.unwrap_or(0) != row.actual).map(|row| {
            let drift = Drift {
                id: Id::<UserKind>::new(row.user_id).to_string(),
                field: "unreadNotifications".into(),
                stored: row.stored.map_or("none".into(), |stored| stored.to_string()),
                actual: row.actual.to_string(),
            };
            ((lane(row.user_id), row.user_id), drift)
        });
        Ok(drifted.collect())
    }
}

#[async_trait]
impl Check for UnreadCount {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        "unread-count"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (connection, backend) = (kernel.db.reader(), kernel.backend());
        let keys = recount::user_keys(connection, backend, after.unwrap_or(START), size).await?;
        let drifts = Self::drifts(connection, backend, &keys).await?;
        Ok(chunk(&keys, size, drifts.into_iter().map(|(key, _)| key).collect()))
    }

    async fn confirm(&self, kernel: &Kernel, user: Key) -> Result<Vec<Drift>> {
        let write = kernel.db.write(move |tx| {
            Box::pin(async move {
                batch::totals_lock(tx, [user]).await?;
                Self::drifts(tx.connection(), tx.backend(), &[user]).await
            })
        });
        Ok(write.await?.into_iter().map(|(_, drift)| drift).collect())
    }
}

/// What a notification says against the acts that hold in it.
struct Actors;

impl Actors {
    fn compare(id: Uuid, recounted: &Recounted) -> Vec<Drift> {
        let Recounted { stored, actors, ends } = recounted;
        let mut drifts = Vec::new();
        let mut compare = |field: &str, held: &dyn Display, actual: &dyn Display| {
            let (held, actual) = (held.to_string(), actual.to_string());
            if held != actual {
                drifts.push(Drift { id: notification_id_text(id), field: field.into(), stored: held, actual });
            }
        };
        compare("actorCount", &stored.actor_count, actors);
        compare("newest sequence", &stored.newest_sequence, &ends.map_or(NONE, |ends| ends.sequence));
        compare("lastActor", &stored.last_actor_id, &ends.map_or(Uuid::nil(), |ends| ends.actor_id));
        compare("level", &stored.level, &ends.map_or(0, |ends| ends.level));
        let unread = ends.is_some_and(|ends| ends.sequence > stored.read_sequence);
        compare("unread", &stored.unread, &unread);
        if let Some(ends) = ends {
            compare("updatedAt", &stored.updated_at.0, &ends.newest_at.0);
            compare("createdAt", &stored.created_at.0, &ends.first_at.0);
        }
        drifts
    }
}

#[async_trait]
impl Check for Actors {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn name(&self) -> &'static str {
        "notification-actors"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (connection, backend) = (kernel.db.reader(), kernel.backend());
        let keys = recount::notification_keys(connection, backend, after.unwrap_or(START), size).await?;
        let found = recount::notification_recount(connection, backend, &keys).await?;
        let drifted = found.iter().filter(|(id, recounted)| !Self::compare(**id, recounted).is_empty());
        Ok(chunk(&keys, size, drifted.map(|(_, recounted)| recounted.stored.key()).collect()))
    }

    async fn confirm(&self, kernel: &Kernel, notification: Key) -> Result<Vec<Drift>> {
        let write = kernel.db.write(move |tx| {
            Box::pin(async move {
                // Whose it is never changes: the lock of the user's totals is the one that every writer of it takes.
                let found = batch::notification_by_ids(tx, [notification]).await?;
                batch::totals_lock(tx, found.iter().map(|found| (lane(found.user_id), found.user_id))).await?;
                recount::notification_recount(tx.connection(), tx.backend(), &[notification]).await
            })
        });
        Ok(write.await?.iter().flat_map(|(id, recounted)| Self::compare(*id, recounted)).collect())
    }
}

fn chunk(keys: &[Key], size: usize, suspects: Vec<Key>) -> Chunk {
    Chunk { checked: keys.len() as u64, suspects, next: keys.last().copied().filter(|_| keys.len() == size) }
}
