//! The read loader (dataloader): the keys that sibling resolvers ask for become one statement.
//!
//! async-graphql's own loader waits for a timer on another task: how many statements a request takes then depends on
//! the machine's load. Here the first asker lets its siblings, which the same task polls, run once, and then reads for
//! all of them: the same request always takes the same number of statements, and an idle server waits for nothing.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::kernel::error::Result;

/// One edge of the graph: how the values of many keys are read at once.
pub trait Load: Send + Sync + 'static {
    /// What is asked for.
    type Key: Eq + Hash + Clone + Send + Sync + 'static;
    /// What is found; cheap to clone.
    type Value: Clone + Send + Sync + 'static;

    /// Reads `keys`, which are distinct; keys without a value are left out of the answer.
    ///
    /// # Errors
    /// As the store's.
    fn load(&self, keys: Vec<Self::Key>) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>>> + Send;
}

/// Gathers keys for a [`Load`]. Shared by all requests, whose reads may meet in a batch; nothing is kept past a batch,
/// so that nobody reads what is old.
pub struct Loader<L: Load> {
    load: L,
    /// The batch that still takes keys.
    open: Mutex<Option<Arc<Batch<L>>>>,
}

struct Batch<L: Load> {
    keys: Mutex<HashSet<L::Key>>,
    /// The error too: it is that of every key.
    found: OnceCell<Result<HashMap<L::Key, L::Value>>>,
}

impl<L: Load> Loader<L> {
    /// A loader with no keys yet.
    pub fn new(load: L) -> Self {
        Self { load, open: Mutex::new(None) }
    }

    /// The value of `key`, read together with its siblings'.
    ///
    /// # Errors
    /// Those of the read, for every key of the batch.
    pub async fn one(&self, key: L::Key) -> Result<Option<L::Value>> {
        let batch = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let batch = open
                .get_or_insert_with(|| Arc::new(Batch { keys: Mutex::new(HashSet::new()), found: OnceCell::new() }));
            batch.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
            Arc::clone(batch)
        };
        tokio::task::yield_now().await;
        let found = batch.found.get_or_init(|| self.read(&batch)).await;
        Ok(found.as_ref().map_err(Clone::clone)?.get(&key).cloned())
    }

    async fn read(&self, batch: &Arc<Batch<L>>) -> Result<HashMap<L::Key, L::Value>> {
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, batch)) {
                *open = None;
            }
        }
        let keys = batch.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        self.load.load(keys).await
    }
}
