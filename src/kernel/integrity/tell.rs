//! Who has to hear of what a run changed: indexes and other processes while it goes on, operators at its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Check, Key};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;

/// How often a check is told of changes at most while a run goes on: what follows may be that every server reads an index
/// anew, whole.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// What the checks have not been told yet of what was changed in their names.
pub(super) struct Tell {
    untold: Vec<(Arc<dyn Check>, BTreeSet<Key>)>,
    told: Instant,
}

impl Tell {
    pub(super) fn new() -> Self {
        Self { untold: Vec::new(), told: Instant::now() }
    }

    /// Notes items that were changed.
    pub(super) fn note(&mut self, check: &Arc<dyn Check>, keys: impl IntoIterator<Item = Key>) {
        match self.untold.iter_mut().find(|(noted, _)| Arc::ptr_eq(noted, check)) {
            Some((_, noted)) => noted.extend(keys),
            None => self.untold.push((Arc::clone(check), keys.into_iter().collect())),
        }
    }

    /// Tells, if it is time.
    pub(super) async fn by_the_way(&mut self, kernel: &Kernel) -> Result<()> {
        if self.told.elapsed() < TOLD_EVERY { Ok(()) } else { self.now(kernel).await }
    }

    /// Tells. One check that fails keeps the others from nothing; it is told again the next time.
    pub(super) async fn now(&mut self, kernel: &Kernel) -> Result<()> {
        let mut done = Ok(());
        for (check, keys) in std::mem::take(&mut self.untold) {
            let told: Vec<Key> = keys.iter().copied().collect();
            if !told.is_empty()
                && let Err(error) = check.changed(kernel, &told).await
            {
                self.untold.push((check, keys));
                done = Err(error);
            }
        }
        self.told = Instant::now();
        done
    }

    /// Tells at the end of a run, also of one that failed: what was changed until then stays changed.
    pub(super) async fn after<T>(mut self, kernel: &Kernel, done: Result<T>) -> Result<T> {
        let told = self.now(kernel).await;
        done.and_then(|done| told.map(|()| done))
    }
}
