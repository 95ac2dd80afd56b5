//! Root subscriptions: served by the node that committed, conflated, bounded.

use async_graphql::{Context, Subscription};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::must_see;
use super::types::PointTransaction;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::modules::points::PointsFacade;
use crate::modules::users::UserKind;

/// Root subscriptions.
#[derive(Default)]
pub struct PointsSubscription;

#[Subscription]
impl PointsSubscription {
    /// Hears when a user's points change; of several transactions within an interval the newest, whose `balanceAfter` is
    /// the balance and whose `sequence` tells how many there were. One's own; of others for teachers and above. Ends with
    /// the token, and with `OVERLOADED` for a listener that falls 64 intervals behind: subscribe again.
    async fn points_changed<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(desc = "Whose.")] user_id: Id<UserKind>,
    ) -> Result<impl Stream<Item = Result<PointTransaction>> + use<'a>> {
        let user = user_id.uuid();
        must_see(ctx, user).await?;
        let ticks = stream::unfold(Some(ctx.facade::<PointsFacade>()?.listen()), |receiver| async {
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
                Ok(tick) => {
                    let own = tick.iter().filter(|event| event.0.user_id == user);
                    own.map(|event| Ok(PointTransaction(event.0.clone()))).collect()
                }
                Err(error) => vec![Err(error)],
            };
            stream::iter(heard)
        }))
    }
}
