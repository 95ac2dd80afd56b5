//! Points in the schema.

mod leaderboard;
mod mutation;
mod query;
mod subscription;
mod types;

pub use mutation::PointsMutation;
pub use query::{PointsQuery, PointsViewer};
pub use subscription::PointsSubscription;
pub use types::{PointAccount, PointAccountKind, PointTransaction, PointTransactionIdKind};

use async_graphql::{Context, OutputType as _};
use uuid::Uuid;

use super::{PointsFacade, TEACHERS};
use crate::kernel::auth::{Access, Session};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::graphql::{BoxNode, NodeKind};

/// The id of the token's user.
async fn viewer(ctx: &Context<'_>) -> Result<Uuid> {
    ctx.facade::<PointsFacade>()?.users().viewer_id(Session::of(ctx)).await
}

/// Whether the token may see a user's account.
async fn may_see(ctx: &Context<'_>, user: Uuid) -> Result<bool> {
    Ok(Session::of(ctx).has_any(TEACHERS) || viewer(ctx).await? == user)
}

/// Refuses who may not see a user's account.
async fn must_see(ctx: &Context<'_>, user: Uuid) -> Result<()> {
    match may_see(ctx, user).await? {
        true => ctx.facade::<PointsFacade>()?.users().exists(user).await,
        false => Err(Error::new(Code::FORBIDDEN, "accounts of others are for teachers and above")),
    }
}

/// `node(id:)`: one's own, and for teachers and above everybody's.
pub(super) fn nodes() -> Vec<NodeKind> {
    let account = NodeKind {
        prefix: "point_account",
        access: Access::SignedIn,
        register: PointAccount::create_type_info,
        load: |ctx, user| {
            Box::pin(async move {
                let facade = ctx.facade::<PointsFacade>()?;
                if !may_see(ctx, user).await? || facade.users().find(user).await?.is_none() {
                    return Ok(None);
                }
                Ok(Some(BoxNode::new(PointAccount::new(facade.account(user).await?))))
            })
        },
    };
    let transaction = NodeKind {
        prefix: "point_transaction",
        access: Access::SignedIn,
        register: PointTransaction::create_type_info,
        load: |ctx, id| {
            Box::pin(async move {
                let Some(found) = ctx.facade::<PointsFacade>()?.transaction(id).await? else { return Ok(None) };
                Ok(may_see(ctx, found.user_id).await?.then(|| BoxNode::new(PointTransaction(found))))
            })
        },
    };
    vec![account, transaction]
}
