//! Root mutations.

use async_graphql::{Context, Object};

use super::types::{MarkNotificationsReadPayload, NotificationIdKind};
use super::viewer;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::Count;
use crate::kernel::id::Id;
use crate::modules::notifications::NotificationsFacade;

/// Root mutations.
#[derive(Default)]
pub struct NotificationsMutation;

#[Object]
impl NotificationsMutation {
    /// Marks notifications of the token's own as read: given ones, or all up to now; what arrives meanwhile is unread.
    /// Those that were read already and those of others change nothing. `INVALID_INPUT` for no ids and more than 1,000.
    async fn mark_notifications_read(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 1,000 ids of notifications; all when left out.")] ids: Option<
            Vec<Id<NotificationIdKind>>,
        >,
    ) -> Result<MarkNotificationsReadPayload> {
        let ids = ids.map(|ids| ids.into_iter().map(Id::uuid).collect());
        let marked = ctx.facade::<NotificationsFacade>()?.mark_read(viewer(ctx).await?, ids).await?;
        Ok(MarkNotificationsReadPayload { marked: Count(marked.marked), unread_notifications: Count(marked.unread) })
    }
}
