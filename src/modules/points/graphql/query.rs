//! Root queries, and the module's part of `me`.

use async_graphql::{Context, Object};

use super::leaderboard::{self, LeaderboardTotal};
use super::types::PointAccount;
use super::{must_see, viewer};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::page::Connection;
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
        Ok(PointAccount::new(ctx.facade::<PointsFacade>()?.account(user_id.uuid()).await?))
    }

    /// The accounts with the most points, best first: one consistent list. Of equal balances the id decides, and of users
    /// who are gone nothing is shown. `pointAccounts` goes on where it ends. For teachers and above; one's own rank is in
    /// `me { pointAccount { rank } }`.
    async fn point_leaderboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 0 to 100.", default = 20)] first: i32,
    ) -> Result<Vec<PointAccount>> {
        leaderboard::best(ctx, first).await
    }

    /// All accounts by balance, in the order of `pointLeaderboard`, a page at a time; 20 unless `first` or `last` says
    /// otherwise, never both. The pages of this list move: an account whose balance changes between two pages can be met
    /// twice or not at all. For teachers and above.
    async fn point_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<PointAccount, LeaderboardTotal>> {
        leaderboard::page(ctx, first, after.as_deref(), last, before.as_deref()).await
    }
}

/// The module's part of `Viewer`.
#[derive(Default)]
pub struct PointsViewer;

#[Object]
impl PointsViewer {
    /// The user's points.
    async fn point_account(&self, ctx: &Context<'_>) -> Result<PointAccount> {
        Ok(PointAccount::new(ctx.facade::<PointsFacade>()?.account(viewer(ctx).await?).await?))
    }
}
