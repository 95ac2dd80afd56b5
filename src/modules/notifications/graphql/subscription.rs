//! Root subscriptions: served by the node that committed, conflated, bounded.

use async_graphql::{Context, Subscription};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::types::Notification;
use super::viewer;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
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
        let ticks = stream::unfold(Some(ctx.facade::<NotificationsFacade>()?.listen()), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Ok(tick) => Some((Ok(tick), Some(receiver))),
                Err(RecvError::Lagged(_)) => {
                    let behind = Error::new(Code::OVERLOADED, "this listener fell behind; subscribe again");
                    Some((Err(behind), None))
                }
                Err(RecvError::Closed) => None,
            }
        });
        Ok(ticks.flat_map(move |tick| {
            let heard: Vec<_> = match tick {
                Ok(tick) => tick
                    .iter()
                    .filter(|event| event.notification.user_id == user && event.is_received())
                    .map(|event| Ok(Notification(event.notification.clone())))
                    .collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(heard)
        }))
    }
}
