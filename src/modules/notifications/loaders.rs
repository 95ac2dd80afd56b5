//! Read loaders: every edge of the graph reads by batch.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::store::read;
use crate::kernel::batch::{Load, Loader};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;

/// The module's loaders.
pub(super) struct Loaders {
    /// The newest actors of a notification, by (its key, how many).
    pub(super) actors: Loader<Actors>,
    /// The unread count of a user.
    pub(super) unread: Loader<Unread>,
}

impl Loaders {
    pub(super) fn new(kernel: &Kernel) -> Self {
        Self { actors: Loader::new(Actors(kernel.clone())), unread: Loader::new(Unread(kernel.clone())) }
    }
}

/// See [`Loaders::actors`].
pub(super) struct Actors(Kernel);

impl Load for Actors {
    type Key = ((i16, Uuid), usize);
    type Value = Arc<[Uuid]>;

    /// One statement a size: a request asks for one size.
    async fn load(&self, keys: Vec<Self::Key>) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut by_size: HashMap<usize, HashMap<Uuid, i16>> = HashMap::new();
        for ((lane, id), size) in keys {
            by_size.entry(size).or_default().insert(id, lane);
        }
        let mut found: HashMap<Self::Key, Vec<Uuid>> = HashMap::new();
        for (size, lanes) in by_size {
            let keys: Vec<_> = lanes.iter().map(|(id, lane)| (*lane, *id)).collect();
            for row in read::actor_by_ids(&self.0.db, &keys, size).await? {
                let lane = lanes.get(&row.notification_id).copied().unwrap_or_default();
                found.entry(((lane, row.notification_id), size)).or_default().push(row.actor_id);
            }
        }
        Ok(found.into_iter().map(|(key, actors)| (key, actors.into())).collect())
    }
}

/// See [`Loaders::unread`].
pub(super) struct Unread(Kernel);

impl Load for Unread {
    type Key = Uuid;
    type Value = i64;

    async fn load(&self, users: Vec<Uuid>) -> Result<HashMap<Uuid, i64>> {
        read::unread_counts(&self.0.db, &users).await
    }
}
