//! The root fields that belong to no module: two that are composed from all of them, and the rules of the others.

use std::marker::PhantomData;
use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::{Node, NodeKinds};
use crate::app::App;
use crate::kernel::auth::{Access, Role, Root, Session};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::parse_any;

/// Who may use the kernel's own root fields.
pub const CORE_ACCESS: &[(Root, &str, Access)] = &[
    (Root::Query, "me", Access::Anyone),
    (Root::Query, "node", Access::Anyone),
    (Root::Query, "integrityReport", OPERATORS),
    (Root::Query, "explain", OPERATORS),
    (Root::Query, "systemHealth", OPERATORS),
    (Root::Mutation, "repairIntegrity", OPERATORS),
];

const OPERATORS: Access = Access::Roles(&[Role::Operator]);

/// `me` and `node`.
pub struct CoreQuery<A>(PhantomData<fn() -> A>);

impl<A> Default for CoreQuery<A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

#[Object]
impl<A: App> CoreQuery<A> {
    /// Whoever the token speaks for; null without one.
    async fn me(&self, ctx: &Context<'_>) -> Option<A::Viewer> {
        Session::of(ctx).0.as_ref().map(|_| A::Viewer::default())
    }

    /// Anything by its id; null where there is none.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A TypeID of any kind.")] id: ID,
    ) -> Result<Option<Node<A>>> {
        let (prefix, uuid) = parse_any(&id)?;
        let kinds = ctx.data_opt::<Arc<NodeKinds>>().ok_or_else(|| Error::internal("no node kinds in the schema"))?;
        let Some(kind) = kinds.find(&prefix) else {
            return Err(Error::invalid(format!("nothing has ids that begin with {prefix}_")));
        };
        kind.access.authorize("node", Session::of(ctx))?;
        Ok((kind.load)(ctx, uuid).await?.map(Node::new))
    }
}
