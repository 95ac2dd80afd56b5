//! The durable consumer of engagement's events.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::change;
use super::commands::apply_events;
use super::events::NotificationEvent;
use super::notification::Kind;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};
use crate::kernel::live::Live;

/// Its name in the outbox: never changes.
pub(super) const NAME: &str = "notifications";

/// What it takes.
pub(super) const CONSUMES: Consumes = Consumes { consumer: NAME, kinds: change::KINDS };

/// Turns events into notifications.
pub(super) struct NotificationsConsumer {
    pub(super) kernel: Kernel,
    pub(super) kinds: HashSet<Kind>,
    pub(super) live: Arc<Live<NotificationEvent>>,
}

impl Consumer for NotificationsConsumer {
    fn consume<'a>(&'a self, tx: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        Box::pin(async move {
            let mut changes = Vec::with_capacity(events.len());
            for event in events {
                changes.extend(change::changes(event)?);
            }
            let now = self.kernel.clock.now();
            let heard = apply_events::run(tx, &self.kernel.ids, &self.kinds, changes, now).await?;
            let live = Arc::clone(&self.live);
            Ok(Some(Box::new(move || live.publish(heard)) as Box<dyn FnOnce() + Send>))
        })
    }
}
