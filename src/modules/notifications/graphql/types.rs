//! Types.

use async_graphql::{Context, Object, SimpleObject};

use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{Count, InField};
use crate::kernel::id::Id;
use crate::kernel::page::checked_size;
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::graphql::Content;
use crate::modules::engagement::hotness::Level;
use crate::modules::notifications::NotificationsFacade;
use crate::modules::notifications::notification::{Kind, NotificationRecord};
use crate::modules::users::graphql::User;

crate::id_kind! {
    /// Ids of notifications.
    NotificationIdKind = "notification";
}

/// What happened to a content of the token's user.
pub struct Notification(pub(crate) NotificationRecord);

/// All that a user is told of one content and kind: «12 people liked it». Whoever acts joins it, and makes it unread
/// again; whoever takes the act back leaves it, and with the last one it is gone.
#[Object]
impl Notification {
    /// `notification_…`; never changes.
    async fn id(&self) -> Id<NotificationIdKind> {
        Id::new(self.0.id)
    }

    /// What happened.
    async fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The content to which it happened; null once it is gone.
    async fn content(&self, ctx: &Context<'_>) -> Option<Result<Content>> {
        let found = match ctx.facade::<EngagementFacade>() {
            Ok(engagement) => engagement.content(self.0.content_id).await,
            Err(error) => Err(error),
        };
        found.map(|found| found.map(Content::from)).transpose()
    }

    /// Who did it, each once, the newest first; nobody for a LEVEL_UP. Users who are gone are left out.
    async fn actors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 0 to 100.", default = 3)] first: i32,
    ) -> Result<Vec<User>> {
        async {
            let size = checked_size("first", first)?;
            if size == 0 || self.0.kind == Kind::LevelUp {
                return Ok(Vec::new());
            }
            let facade = ctx.facade::<NotificationsFacade>()?;
            let ids = facade.loaders().actors.one((self.0.key(), size)).await?.unwrap_or_default();
            let users = futures_util::future::try_join_all(ids.iter().map(|id| User::find(ctx, *id))).await?;
            Ok(users.into_iter().flatten().collect())
        }
        .await
        .in_field(ctx)
    }

    /// How many users did it and did not take it back, each counted once; 0 for a LEVEL_UP.
    async fn actor_count(&self) -> Count {
        Count(if self.0.kind == Kind::LevelUp { 0 } else { self.0.actor_count })
    }

    /// Who did it last; null for a LEVEL_UP, and once that user is gone.
    async fn last_actor(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        if self.0.kind == Kind::LevelUp {
            return None;
        }
        User::find(ctx, self.0.last_actor_id).await.transpose()
    }

    /// The level to which the content rose last; null for other kinds.
    async fn level(&self) -> Option<Level> {
        self.0.level()
    }

    /// When it was marked as read; null while there is something in it that was not.
    async fn read_at(&self) -> Option<Millis> {
        self.0.read_at.filter(|_| !self.0.unread)
    }

    /// When the first of those who did it did so.
    async fn created_at(&self) -> Millis {
        self.0.created_at
    }

    /// When the last of those who did it did so. The list is in this order.
    async fn updated_at(&self) -> Millis {
        self.0.updated_at
    }
}

/// What `markNotificationsRead` did.
#[derive(SimpleObject)]
pub struct MarkNotificationsReadPayload {
    /// How many were unread and are read now.
    pub(super) marked: Count,
    /// How many of the user's notifications are unread now.
    pub(super) unread_notifications: Count,
}
