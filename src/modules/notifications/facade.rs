//! How resolvers and other modules reach notifications.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::commands::mark_read;
pub use super::commands::mark_read::Marked;
use super::events::NotificationEvent;
use super::loaders::Loaders;
use super::notification::NotificationRecord;
use super::store::read;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::{Listener, Live};

/// Most ids of one `mark_read`.
const IDS_MOST: usize = 1_000;

/// What users are told. Cheap to clone.
#[derive(Clone)]
pub struct NotificationsFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    loaders: Loaders,
    live: Arc<Live<NotificationEvent>>,
}

impl NotificationsFacade {
    pub(super) fn new(kernel: &Kernel) -> Self {
        let interval = Duration::from_millis(kernel.settings.count("notifications.live_interval_ms").into());
        let live = Live::start(interval, &kernel.tasks, kernel.shutdown.clone());
        Self(Arc::new(Inner { kernel: kernel.clone(), loaders: Loaders::new(kernel), live }))
    }

    /// How many notifications a user has not read.
    ///
    /// # Errors
    /// The database's own.
    pub async fn unread_count(&self, user: Uuid) -> Result<i64> {
        Ok(self.0.loaders.unread.one(user).await?.unwrap_or(0))
    }

    /// One of a user's notifications; none if it is another's, or nobody is left of it.
    ///
    /// # Errors
    /// The database's own.
    pub async fn find(&self, user: Uuid, id: Uuid) -> Result<Option<NotificationRecord>> {
        read::notification_of(&self.0.kernel.db, user, id).await
    }

    /// Marks a user's notifications as read: `ids`, or all up to now. Others' and unknown ids are left out.
    ///
    /// # Errors
    /// `INVALID_INPUT` for no ids and for more than 1,000; `UNAVAILABLE`.
    pub async fn mark_read(&self, user: Uuid, ids: Option<Vec<Uuid>>) -> Result<Marked> {
        if ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > IDS_MOST) {
            return Err(Error::invalid(format!("give 1 to {IDS_MOST} ids, or leave them out")));
        }
        let once = ids.map(|ids| ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect());
        mark_read::run(&self.0.kernel, user, once, &self.0.live).await
    }

    /// Hears of every change of a user's notifications from now on.
    #[must_use]
    pub fn listen(&self, user: Uuid) -> Listener<NotificationEvent> {
        self.0.live.listen_to([user])
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    pub(super) fn loaders(&self) -> &Loaders {
        &self.0.loaders
    }

    pub(super) fn live(&self) -> &Arc<Live<NotificationEvent>> {
        &self.0.live
    }
}
