//! Notifications in the schema.

mod mutation;
mod query;
mod subscription;
mod types;

pub use mutation::NotificationsMutation;
pub use query::{NotificationsQuery, NotificationsViewer};
pub use subscription::NotificationsSubscription;
pub use types::{Notification, NotificationIdKind};

use async_graphql::Context;
use uuid::Uuid;

use super::NotificationsFacade;
use crate::kernel::auth::{Access, Session};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{BoxNode, NodeKind};
use crate::kernel::id::Id;
use crate::modules::users::UsersFacade;

/// The id of the token's user.
async fn viewer(ctx: &Context<'_>) -> Result<Uuid> {
    ctx.facade::<UsersFacade>()?.viewer_id(Session::of(ctx)).await
}

/// `node(id: "notification_…")`: one's own only.
pub(super) const NOTIFICATION_NODE: NodeKind = NodeKind {
    prefix: "notification",
    access: Access::SignedIn,
    register: <Notification as async_graphql::OutputType>::create_type_info,
    load: |ctx, id| {
        Box::pin(async move {
            let found = ctx.facade::<NotificationsFacade>()?.find(viewer(ctx).await?, id).await?;
            Ok(found.map(|found| BoxNode::new(Notification(found))))
        })
    },
};

/// The TypeID of a notification.
pub(super) fn notification_id_text(id: Uuid) -> String {
    Id::<NotificationIdKind>::new(id).to_string()
}
