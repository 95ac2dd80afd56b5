//! Root queries, and the module's part of `me`.

use async_graphql::{Context, Object};

use super::types::Notification;
use super::viewer;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{Count, InField};
use crate::kernel::page::{Connection, Cursor, Page};
use crate::modules::notifications::NotificationsFacade;
use crate::modules::notifications::store::read::{self, Filter};

/// Marks the cursors of this list; another number than those of other lists.
const ORDER: u8 = 32;

/// A page of notifications, and how many there are in all.
pub struct NotificationTotal(Filter);

/// What a connection has besides its page.
#[Object]
impl NotificationTotal {
    /// How many notifications the whole list has; counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        async { Ok(Count(read::notification_count(&ctx.facade::<NotificationsFacade>()?.kernel().db, self.0).await?)) }
            .await
            .in_field(ctx)
    }
}

/// Root queries.
#[derive(Default)]
pub struct NotificationsQuery;

#[Object]
impl NotificationsQuery {
    /// What the token's user is told, changed last first; 20 unless `first` or `last` says otherwise, never both. A
    /// notification that moves to the top between two pages is met again, or on no later page.
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only those with something in them that was not read.", default)] unread_only: bool,
    ) -> Result<Connection<Notification, NotificationTotal>> {
        let page = Page::new(ORDER, first, after.as_deref(), last, before.as_deref())?;
        let filter = Filter { user_id: viewer(ctx).await?, unread_only };
        let found = match page.size {
            0 => Vec::new(),
            _ => read::notification_page(&ctx.facade::<NotificationsFacade>()?.kernel().db, filter, &page).await?,
        };
        Ok(page.connection(found, NotificationTotal(filter), |record| {
            let cursor = Cursor { order: ORDER, value: Some(record.updated_at.0), id: record.id };
            (cursor, Notification(record))
        }))
    }
}

/// The module's part of `Viewer`.
#[derive(Default)]
pub struct NotificationsViewer;

#[Object]
impl NotificationsViewer {
    /// How many notifications have something in them that was not read.
    async fn unread_notifications(&self, ctx: &Context<'_>) -> Result<Count> {
        async { Ok(Count(ctx.facade::<NotificationsFacade>()?.unread_count(viewer(ctx).await?).await?)) }
            .await
            .in_field(ctx)
    }
}
