//! Root subscriptions: served by the node that committed, conflated, bounded.

use std::future::ready;

use async_graphql::{Context, Subscription};
use futures_util::stream::{Stream, StreamExt as _};

use super::types::Notification;
use super::viewer;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::modules::notifications::NotificationsFacade;

/// Root subscriptions.
#[derive(Default)]
pub struct NotificationsSubscription;

#[Subscription]
impl NotificationsSubscription {
    /// Hears when something new is in a notification of the token's own; of several changes of one within an interval,
    /// the newest state. Ends with the token, and with `OVERLOADED` for a listener that falls 64 intervals behind:
    /// subscribe again.
    async fn notification_received<'a>(
        &self,
        ctx: &Context<'a>,
    ) -> Result<impl Stream<Item = Result<Notification>> + use<'a>> {
        let user = viewer(ctx).await?;
        let heard = ctx.facade::<NotificationsFacade>()?.listen(user);
        Ok(heard.filter_map(|heard| {
            ready(match heard {
                Ok((_, event)) => event.is_received().then(|| Ok(Notification(event.notification.clone()))),
                Err(error) => Some(Err(error)),
            })
        }))
    }
}
