//! Types.

use std::sync::Arc;

use async_graphql::Object;

use crate::kernel::clock::Millis;
use crate::kernel::id::Id;
use crate::modules::users::{UserKind, UserRecord};

/// A user.
pub struct User(pub Arc<UserRecord>);

/// Somebody who acts: an author, a viewer.
#[Object]
impl User {
    /// `user_…`; never changes.
    async fn id(&self) -> Id<UserKind> {
        Id::new(self.0.id)
    }

    /// What others see, at most 100 characters.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The platform's own id, unique among users; null when it gave none.
    async fn external_id(&self) -> Option<&str> {
        self.0.external_id.as_deref()
    }

    /// When the user was first seen.
    async fn created_at(&self) -> Millis {
        self.0.created_at
    }
}
