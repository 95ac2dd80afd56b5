//! Users in the schema.

mod mutation;
mod query;
mod types;

pub use mutation::UsersMutation;
pub use query::{UsersQuery, UsersViewer};
pub use types::User;

use async_graphql::Context;
use uuid::Uuid;

use crate::kernel::auth::Access;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{BoxNode, NodeKind};
use crate::modules::users::UsersFacade;

/// `node(id: "user_…")`.
pub(super) const USER_NODE: NodeKind = NodeKind {
    prefix: "user",
    access: Access::Anyone,
    register: <User as async_graphql::OutputType>::create_type_info,
    load: |ctx, id| Box::pin(async move { Ok(User::find(ctx, id).await?.map(BoxNode::new)) }),
};

impl User {
    /// A user by id; siblings are read together.
    ///
    /// # Errors
    /// The database's own.
    pub async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<Self>> {
        Ok(ctx.facade::<UsersFacade>()?.find(id).await?.map(User))
    }
}
