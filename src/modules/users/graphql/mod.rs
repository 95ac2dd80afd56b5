//! Users in the schema.

mod mutation;
mod query;
mod types;

pub use mutation::UsersMutation;
pub use query::{UsersQuery, UsersViewer};
pub use types::User;

use crate::kernel::auth::Access;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::graphql::{BoxNode, NodeKind};
use crate::modules::users::UsersFacade;

/// `node(id: "user_…")`.
pub(super) const USER_NODE: NodeKind = NodeKind {
    prefix: "user",
    access: Access::Anyone,
    register: <User as async_graphql::OutputType>::create_type_info,
    load: |ctx, id| {
        Box::pin(async move { Ok(ctx.facade::<UsersFacade>()?.find(id).await?.map(|user| BoxNode::new(User(user)))) })
    },
};
