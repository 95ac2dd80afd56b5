//! Root mutations.

use std::sync::Arc;

use async_graphql::{Context, Object};

use super::User;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::modules::users::{NewUser, UsersFacade};

/// Root mutations.
#[derive(Default)]
pub struct UsersMutation;

#[Object]
impl UsersMutation {
    /// The user of a subject, made when it is new; a given name or external id is taken over. For services.
    async fn ensure_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The `sub` of the user's tokens, 1 to 200 characters.")] subject: String,
        #[graphql(desc = "What others see, at most 100 characters.")] name: Option<String>,
        #[graphql(desc = "The platform's own id, at most 200 characters, unique.")] external_id: Option<String>,
    ) -> Result<User> {
        let user = ctx.facade::<UsersFacade>()?.ensure(NewUser { subject, name, external_id }).await?;
        Ok(User(Arc::new(user)))
    }
}
