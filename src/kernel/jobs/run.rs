//! One run of a job: what its function is handed.

use futures_util::future::BoxFuture;

use super::store;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::{Fence, Tx};
use crate::kernel::error::{Code, Error, Result};

/// One run of a job, with the lease that it holds.
#[derive(Clone)]
pub struct JobRun {
    /// The kernel's services.
    pub kernel: Kernel,
    /// The moment of the schedule that it runs for: the last one, if several were missed. Rises with every run.
    pub tick: Millis,
    /// 1 when it begins; more when it takes over from a node that died or stopped in the middle.
    pub attempt: i64,
    pub(super) job: &'static str,
    pub(super) fence: i64,
    pub(super) lease_millis: i64,
}

impl JobRun {
    /// A write transaction as [`crate::kernel::db::Db::write`], refused when the lease is lost: the fence is checked,
    /// and locked, inside it.
    ///
    /// # Errors
    /// [`Code::LEASE_LOST`]; those of `work` and of the database.
    pub async fn write<T: Send>(
        &self,
        work: impl for<'a> Fn(&'a Tx) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        self.kernel.db.write_fenced(&self.held(), work).await
    }

    /// Renews the lease. To be called between chunks.
    ///
    /// # Errors
    /// [`Code::LEASE_LOST`] when another node has taken over, [`Code::UNAVAILABLE`] when the server stops: the job is to
    /// end, and its tick goes on elsewhere.
    pub async fn go_on(&self) -> Result<()> {
        if self.kernel.shutdown.is_cancelled() {
            return Err(Error::new(Code::UNAVAILABLE, "the server is shutting down"));
        }
        if self.renew().await? { Ok(()) } else { Err(Fence::lost(self.job)) }
    }

    pub(super) async fn renew(&self) -> Result<bool> {
        let (job, fence) = (self.job, self.fence);
        let until = self.kernel.clock.now().plus(self.lease_millis);
        self.kernel.db.write(move |tx| Box::pin(store::renew(tx, job, fence, until))).await
    }

    fn held(&self) -> Fence {
        store::fence(self.kernel.backend(), self.job, self.fence)
    }
}
