//! How much memory the answers under way may take together: what one operation may cost says nothing of thousands of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};

/// What a unit of cost may take, in KiB: see [`crate::kernel::gate`], where long text costs more than a number.
const KIB_EACH: u64 = 2;
/// What an operation may cost without being counted: a connection's buffers hold as much.
const UNCOUNTED: u64 = 8;
/// How long an operation waits for the answers before it.
const WAIT: Duration = Duration::from_secs(3);

/// The room for answers that are being made, or wait to be written.
pub(super) struct Room {
    kib: Arc<Semaphore>,
    most: u32,
}

/// What one request holds of it, until it is dropped.
#[must_use]
pub(super) struct Share(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Room {
    pub(super) fn new(settings: &Settings) -> Self {
        let most = settings.count("server.answers_mib").saturating_mul(1024);
        Self { kib: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Room for operations of this cost, once there is some; first come, first served. One that may take more than all
    /// there is runs alone.
    ///
    /// # Errors
    /// [`Code::OVERLOADED`] after a while.
    pub(super) async fn take(&self, cost: u64) -> Result<Share> {
        if cost <= UNCOUNTED {
            return Ok(Share(None));
        }
        let wanted = u32::try_from(cost.saturating_mul(KIB_EACH)).unwrap_or(u32::MAX).min(self.most);
        match tokio::time::timeout(WAIT, Arc::clone(&self.kib).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(Share(Some(permit))),
            // It is never closed.
            Ok(Err(_)) | Err(_) => {
                Err(Error::new(Code::OVERLOADED, "too many large answers are under way; ask for less, or again"))
            }
        }
    }
}
