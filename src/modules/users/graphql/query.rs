//! Root queries, and the module's part of `me`.

use async_graphql::{Context, Object};

use super::User;
use crate::kernel::auth::{Role, Session};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::modules::users::{UserKind, UsersFacade};

/// Root queries.
#[derive(Default)]
pub struct UsersQuery;

#[Object]
impl UsersQuery {
    /// A user by id; null where there is none.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A user's id.")] id: Id<UserKind>,
    ) -> Result<Option<User>> {
        User::find(ctx, id.uuid()).await
    }
}

/// The module's part of `Viewer`.
#[derive(Default)]
pub struct UsersViewer;

#[Object]
impl UsersViewer {
    /// The user that the token speaks for.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        let users = ctx.facade::<UsersFacade>()?;
        let id = users.viewer_id(Session::of(ctx)).await?;
        let user = users.find(id).await?.ok_or_else(|| Error::new(Code::FORBIDDEN, "this user was deleted"))?;
        Ok(User(user))
    }

    /// The token's roles.
    async fn roles(&self, ctx: &Context<'_>) -> Result<Vec<Role>> {
        Ok(Session::of(ctx).required()?.roles.clone())
    }
}
