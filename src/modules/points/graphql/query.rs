//! Root queries, and the module's part of `me`.

use async_graphql::{Context, Object};

use super::types::PointAccount;
use super::{must_see, viewer};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::modules::points::PointsFacade;
use crate::modules::users::UserKind;

/// Root queries.
#[derive(Default)]
pub struct PointsQuery;

#[Object]
impl PointsQuery {
    /// A user's points; an account without transactions where there are none yet. One's own; of others for teachers and
    /// above. `NOT_FOUND` for an unknown user.
    async fn point_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] user_id: Id<UserKind>,
    ) -> Result<PointAccount> {
        must_see(ctx, user_id.uuid()).await?;
        Ok(PointAccount(ctx.facade::<PointsFacade>()?.account(user_id.uuid()).await?))
    }
}

/// The module's part of `Viewer`.
#[derive(Default)]
pub struct PointsViewer;

#[Object]
impl PointsViewer {
    /// The user's points.
    async fn point_account(&self, ctx: &Context<'_>) -> Result<PointAccount> {
        Ok(PointAccount(ctx.facade::<PointsFacade>()?.account(viewer(ctx).await?).await?))
    }
}
