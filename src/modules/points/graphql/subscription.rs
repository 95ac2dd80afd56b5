//! Root subscriptions: served by the node that committed at once, by the others when they hear of it; conflated, bounded.

use std::future::ready;

use async_graphql::{Context, Subscription};
use futures_util::stream::{Stream, StreamExt as _};

use super::must_see;
use super::types::PointTransaction;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
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
        let heard = ctx.facade::<PointsFacade>()?.listen(user);
        // Two servers may tell of them in another order than they committed, or both of the same one.
        let mut last = 0;
        Ok(heard.filter_map(move |heard| {
            ready(match heard {
                Ok((_, event)) if event.0.sequence > last => {
                    last = event.0.sequence;
                    Some(Ok(PointTransaction(event.0.clone())))
                }
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        }))
    }
}
