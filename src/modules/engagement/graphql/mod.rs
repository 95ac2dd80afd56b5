//! Engagement in the schema.

mod ids;
mod input;
mod interactions;
mod list;
mod mutation;
mod query;
mod settings;
mod subscription;
mod suspicion;
mod types;

pub(super) use ids::content_id_text;
pub use ids::{ArtworkKind, CommentKind, ContentId, ShareKind, VideoKind};
pub use interactions::{Comment, Share};
pub use mutation::EngagementMutation;
pub use query::EngagementQuery;
pub use subscription::EngagementSubscription;
pub use types::{Artwork, Content, Video};

use async_graphql::Context;
use uuid::Uuid;

use super::EngagementFacade;
use super::content::{ContentRecord, Kind};
use crate::kernel::auth::Access;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::{BoxNode, NodeKind};

/// A content of a kind; none if the id is another kind's.
pub(super) async fn find(ctx: &Context<'_>, kind: Kind, id: Uuid) -> Result<Option<ContentRecord>> {
    let found = ctx.facade::<EngagementFacade>()?.content(id).await?;
    Ok(found.filter(|content| content.info.kind == kind))
}

/// `node(id:)` of artworks, videos and comments.
pub(super) fn nodes() -> Vec<NodeKind> {
    vec![
        NodeKind {
            prefix: "artwork",
            access: Access::Anyone,
            register: <Artwork as async_graphql::OutputType>::create_type_info,
            load: |ctx, id| {
                Box::pin(
                    async move { Ok(find(ctx, Kind::Artwork, id).await?.map(|found| BoxNode::new(Artwork(found)))) },
                )
            },
        },
        NodeKind {
            prefix: "video",
            access: Access::Anyone,
            register: <Video as async_graphql::OutputType>::create_type_info,
            load: |ctx, id| {
                Box::pin(async move { Ok(find(ctx, Kind::Video, id).await?.map(|found| BoxNode::new(Video(found)))) })
            },
        },
        NodeKind {
            prefix: "comment",
            access: Access::Anyone,
            register: <Comment as async_graphql::OutputType>::create_type_info,
            load: |ctx, id| {
                Box::pin(async move {
                    let found = ctx.facade::<EngagementFacade>()?.find_comment(id).await?;
                    Ok(found.map(|found| BoxNode::new(Comment(found))))
                })
            },
        },
    ]
}
