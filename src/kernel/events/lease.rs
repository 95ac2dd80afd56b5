//! One relay a consumer in the whole cluster: a lease with a fence.

use crate::kernel::clock::{Clock, Millis};
use crate::kernel::db::{Db, Fence};
use crate::kernel::error::Result;

use super::store;

/// A consumer's lease as this process knows it.
pub(super) struct Lease {
    consumer: &'static str,
    owner: String,
    millis: i64,
    held: Option<Held>,
}

#[derive(Clone, Copy)]
struct Held {
    fence: i64,
    until: Millis,
}

impl Lease {
    pub(super) fn new(consumer: &'static str, owner: String, millis: i64) -> Self {
        Self { consumer, owner, millis, held: None }
    }

    /// Takes or renews it, which costs nothing while most of it is left. Its fence, or none while another has it.
    pub(super) async fn hold(&mut self, db: &Db, clock: &dyn Clock) -> Result<Option<Fence>> {
        let now = clock.now();
        let until = now.plus(self.millis);
        let term = store::Term { now, until, horizon: now.plus(2 * self.millis) };
        if let Some(held) = self.held
            && now.plus(self.millis * 2 / 3) > held.until
        {
            let consumer = self.consumer;
            let renewed = db.write(move |tx| Box::pin(store::lease_renew(tx, consumer, held.fence, until))).await?;
            self.held = renewed.then_some(Held { until, ..held });
        }
        if self.held.is_none() {
            // A read alone, at each look, while another has it: to ask by a write is to wait for its transactions.
            if store::lease_is_of_another(db, self.consumer, &self.owner, term).await? {
                return Ok(None);
            }
            let (consumer, owner) = (self.consumer, self.owner.clone());
            let taken = db.write(move |tx| {
                let owner = owner.clone();
                Box::pin(async move { store::lease_take(tx, consumer, &owner, term).await })
            });
            self.held = taken.await?.map(|fence| Held { fence, until });
        }
        Ok(self.held.map(|held| store::fence(db.backend(), self.consumer, held.fence)))
    }

    /// Another node has it.
    pub(super) fn lost(&mut self) {
        self.held = None;
    }

    /// Gives it back, so that another node need not wait for its end.
    pub(super) async fn release(&mut self, db: &Db) -> Result<()> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        let consumer = self.consumer;
        db.write(move |tx| Box::pin(store::lease_release(tx, consumer, held.fence))).await
    }
}
