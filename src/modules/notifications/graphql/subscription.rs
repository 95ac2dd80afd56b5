//! Root subscriptions: served by the node that committed, conflated, bounded.

use std::future::ready;

use async_graphql::{Context, Subscription};
use futures_util::stream::{Stream, StreamExt as _};

use super::types::Notification;
use super::viewer;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::live::changes;
use crate::modules::notifications::NotificationsFacade;
use crate::modules::notifications::events::NotificationEvent;

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
        let heard = changes(ctx.facade::<NotificationsFacade>()?.listen());
        Ok(heard.filter_map(move |heard| {
            let own = |event: &NotificationEvent| event.notification.user_id == user && event.is_received();
            ready(match heard {
                Ok((_, event)) => own(&event).then(|| Ok(Notification(event.notification.clone()))),
                Err(error) => Some(Err(error)),
            })
        }))
    }
}
