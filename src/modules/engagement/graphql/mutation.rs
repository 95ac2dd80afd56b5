//! Root mutations.

use async_graphql::{Context, Object};
use uuid::Uuid;

use super::ids::{CommentKind, ContentId};
use super::input::{
    BatchError, BatchResult, BehaviorPayload, ContentPayload, DeletePayload, PublishArtworkInput,
    PublishArtworkPayload, PublishVideoInput, PublishVideoPayload,
};
use super::interactions::{Comment, CommentPayload, RecordViewsPayload, Share, SharePayload};
use super::query::IDS_MOST;
use super::types::{Artwork, Video};
use crate::kernel::auth::{Role, Session};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::http::ClientAddress;
use crate::kernel::id::Id;
use crate::modules::engagement::content::{BehaviorKind, Detail, Status};
use crate::modules::engagement::interactions::Channel;
use crate::modules::engagement::limits::{Action, Actor};
use crate::modules::engagement::{
    Act, CommentOutcome, DeleteContent, EngagementFacade, NewComment, NewContent, NewShare, Recalculate, SetStatus,
    ShareOutcome,
};
use crate::modules::users::{UserKind, UsersFacade};

/// Those who may act for others and weigh by hand.
const PRIVILEGED: &[Role] = &[Role::Service, Role::Operator];

async fn author(ctx: &Context<'_>, author: Option<Id<UserKind>>, base_weight: Option<f64>) -> Result<Uuid> {
    let session = Session::of(ctx);
    if base_weight.is_some() && !session.has_any(PRIVILEGED) {
        return Err(Error::new(Code::FORBIDDEN, "baseWeight is for services and operators"));
    }
    ctx.facade::<UsersFacade>()?.acting_for(session, author).await
}

/// Does `act` for a user on a content under the limit of an hour, which services and operators do not have. With a client
/// key that has made one already it is no further one: `repeated` tells it by its outcome.
async fn limited<T>(
    ctx: &Context<'_>,
    what: (Uuid, Uuid, Action),
    client_key: Option<&str>,
    repeated: impl Fn(&T) -> bool + Send,
    act: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let engagement = ctx.facade::<EngagementFacade>()?;
    let exempt = Session::of(ctx).has_any(PRIVILEGED);
    let known = engagement.has_made(what.0, what.2, client_key);
    engagement.limits().watch(what, exempt, engagement.now(), known, repeated, act).await
}

async fn act(
    ctx: &Context<'_>,
    content: ContentId,
    user: Option<Id<UserKind>>,
    kind: BehaviorKind,
    on: bool,
) -> Result<BehaviorPayload> {
    let user = ctx.facade::<UsersFacade>()?.acting_for(Session::of(ctx), user).await?;
    let act = Act { content: content.uuid, content_kind: content.kind, user, kind, on, at: None };
    let action = match kind {
        BehaviorKind::Like => Action::Like,
        BehaviorKind::Favorite => Action::Favorite,
    };
    let engagement = ctx.facade::<EngagementFacade>()?;
    let outcome = limited(ctx, (user, content.uuid, action), None, |_| false, engagement.act(act)).await?;
    Ok(BehaviorPayload { content: outcome.content.into(), changed: outcome.changed })
}

async fn set_status(ctx: &Context<'_>, content: ContentId, status: Status) -> Result<ContentPayload> {
    let session = Session::of(ctx);
    let actor = ctx.facade::<UsersFacade>()?.viewer_id(session).await?;
    let privileged = session.has_any(PRIVILEGED);
    let set = SetStatus { content: content.uuid, content_kind: content.kind, actor, privileged, status };
    let outcome = ctx.facade::<EngagementFacade>()?.set_status(set).await?;
    Ok(ContentPayload { content: outcome.content.into(), changed: outcome.changed })
}

fn commented(outcome: CommentOutcome) -> CommentPayload {
    let CommentOutcome { comment, content, changed } = outcome;
    CommentPayload { comment: Comment(comment), content: content.into(), changed }
}

/// Root mutations.
#[derive(Default)]
pub struct EngagementMutation;

#[Object]
impl EngagementMutation {
    /// Publishes an artwork, for oneself; for services and operators, for others too. `CONFLICT` when its externalId is
    /// taken, `INVALID_INPUT` for a field out of its bounds.
    async fn publish_artwork(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The artwork.")] input: PublishArtworkInput,
    ) -> Result<PublishArtworkPayload> {
        let content = NewContent {
            author_id: author(ctx, input.author_id, input.base_weight).await?,
            title: input.title,
            cover_url: input.cover_url,
            external_id: input.external_id,
            client_key: input.client_key,
            source: input.source,
            base_weight: input.base_weight,
            published_at: None,
            detail: Detail::Artwork {
                prompt: input.prompt,
                model: input.model,
                width: input.width,
                height: input.height,
                image_url: input.image_url,
            },
        };
        let outcome = ctx.facade::<EngagementFacade>()?.publish(content).await?;
        Ok(PublishArtworkPayload { artwork: Artwork(outcome.content), created: outcome.created })
    }

    /// Publishes a video, for oneself; for services and operators, for others too. `CONFLICT` when its externalId is
    /// taken, `INVALID_INPUT` for a field out of its bounds.
    async fn publish_video(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The video.")] input: PublishVideoInput,
    ) -> Result<PublishVideoPayload> {
        let content = NewContent {
            author_id: author(ctx, input.author_id, input.base_weight).await?,
            title: input.title,
            cover_url: input.cover_url,
            external_id: input.external_id,
            client_key: input.client_key,
            source: input.source,
            base_weight: input.base_weight,
            published_at: None,
            detail: Detail::Video {
                item_id: input.item_id,
                duration_ms: input.duration_ms,
                video_url: input.video_url,
            },
        };
        let outcome = ctx.facade::<EngagementFacade>()?.publish(content).await?;
        Ok(PublishVideoPayload { video: Video(outcome.content), created: outcome.created })
    }

    /// Hides a content from lists and rankings; it takes no likes then. Facts and figures stay. For its author,
    /// services and operators.
    async fn unpublish_content(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] id: ContentId,
    ) -> Result<ContentPayload> {
        set_status(ctx, id, Status::Unpublished).await
    }

    /// Shows an unpublished content again, with the figures that it had. For its author, services and operators.
    async fn republish_content(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] id: ContentId,
    ) -> Result<ContentPayload> {
        set_status(ctx, id, Status::Published).await
    }

    /// Deletes a content for good: from the answer on there is no such content. Its likes, comments and all else go with
    /// it, soon; its externalId and clientKey are free at once. A repeat changes nothing, and says so. For its author
    /// and operators; `FORBIDDEN` for others.
    async fn delete_content(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] id: ContentId,
    ) -> Result<DeletePayload> {
        let session = Session::of(ctx);
        let actor = ctx.facade::<UsersFacade>()?.viewer_id(session).await?;
        let privileged = session.has_any(&[Role::Operator]);
        let delete = DeleteContent { content: id.uuid, content_kind: Some(id.kind), actor, privileged };
        let changed = ctx.facade::<EngagementFacade>()?.delete_content(delete).await?;
        Ok(DeletePayload { id: id.to_string().into(), changed })
    }

    /// Deletes a user for good, with all contents, likes, favorites, comments and shares: from the answer on there is
    /// neither the user nor any of their contents, and what they did to others' contents goes soon, counts and ranks with
    /// it. A token of the user is refused from then on, until `ensureUser` makes a new user of its subject. A repeat
    /// changes nothing, and says so. For the user, services and operators; `FORBIDDEN` for others.
    async fn delete_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A user's id.")] id: Id<UserKind>,
    ) -> Result<DeletePayload> {
        let users = ctx.facade::<UsersFacade>()?;
        // Of one who is gone nobody can tell any more whose token may ask.
        let changed = match users.find(id.uuid()).await? {
            None => false,
            Some(_) => {
                let user = users.acting_for(Session::of(ctx), Some(id)).await?;
                ctx.facade::<EngagementFacade>()?.delete_user(users, user).await?
            }
        };
        Ok(DeletePayload { id: id.to_string().into(), changed })
    }

    /// Likes a content. A repeat changes nothing, and says so. `NOT_FOUND` when there is no such content, `CONFLICT` when
    /// it is not published, `FORBIDDEN` for others without the role, `RATE_LIMITED` above the likes of an hour.
    async fn like(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<BehaviorPayload> {
        act(ctx, content_id, user_id, BehaviorKind::Like, true).await
    }

    /// Takes a like back, of an unpublished content too. A repeat changes nothing, and says so. `NOT_FOUND` when there is
    /// no such content, `RATE_LIMITED` above the likes of an hour: to take one back is one.
    async fn unlike(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<BehaviorPayload> {
        act(ctx, content_id, user_id, BehaviorKind::Like, false).await
    }

    /// Makes a content a favorite. A repeat changes nothing, and says so. `NOT_FOUND` when there is no such content,
    /// `CONFLICT` when it is not published, `FORBIDDEN` for others without the role, `RATE_LIMITED` above the favorites of
    /// an hour.
    async fn favorite(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<BehaviorPayload> {
        act(ctx, content_id, user_id, BehaviorKind::Favorite, true).await
    }

    /// Takes a favorite back, of an unpublished content too. A repeat changes nothing, and says so. `NOT_FOUND` when there
    /// is no such content, `RATE_LIMITED` above the favorites of an hour: to take one back is one.
    async fn unfavorite(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<BehaviorPayload> {
        act(ctx, content_id, user_id, BehaviorKind::Favorite, false).await
    }

    /// Comments on a content. `INVALID_INPUT` for a body that is blank or too long, `NOT_FOUND` when there is no such
    /// content, `CONFLICT` when it is not published or when the clientKey made another comment, `FORBIDDEN` for others
    /// without the role, `RATE_LIMITED` above the comments of an hour.
    async fn comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "What it says, 1 to 2,000 characters; blanks around it are taken away.")] body: String,
        #[graphql(desc = "Of the comment's author, at most 200 characters: with it again the first comment returns.")]
        client_key: Option<String>,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<CommentPayload> {
        let user = ctx.facade::<UsersFacade>()?.acting_for(Session::of(ctx), user_id).await?;
        let (key, content) = (client_key.clone(), (content_id.uuid, content_id.kind));
        let comment = NewComment { content: content.0, content_kind: content.1, user, body, client_key };
        let act = ctx.facade::<EngagementFacade>()?.comment(comment);
        let what = (user, content_id.uuid, Action::Comment);
        let outcome = limited(ctx, what, key.as_deref(), |outcome: &CommentOutcome| !outcome.changed, act).await?;
        Ok(commented(outcome))
    }

    /// Deletes a comment: for its author and for operators. A repeat changes nothing, and says so. `NOT_FOUND` when there
    /// is no such comment, `FORBIDDEN` for another's.
    async fn delete_comment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A comment's id.")] id: Id<CommentKind>,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<CommentPayload> {
        let session = Session::of(ctx);
        let actor = ctx.facade::<UsersFacade>()?.acting_for(session, user_id).await?;
        let privileged = session.has_any(&[Role::Operator]);
        let outcome = ctx.facade::<EngagementFacade>()?.delete_comment(id.uuid(), actor, privileged).await?;
        Ok(commented(outcome))
    }

    /// Passes a content on. Each share counts, but for a repeat under the same clientKey. `NOT_FOUND` when there is no
    /// such content, `CONFLICT` when it is not published or when the clientKey made another share, `FORBIDDEN` for
    /// others without the role, `RATE_LIMITED` above the shares of an hour.
    async fn share(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's or video's id.")] content_id: ContentId,
        #[graphql(desc = "Which way it was passed on.")] channel: Channel,
        #[graphql(desc = "Of the user, at most 200 characters: with it again the first share returns.")]
        client_key: Option<String>,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<SharePayload> {
        let user = ctx.facade::<UsersFacade>()?.acting_for(Session::of(ctx), user_id).await?;
        let (key, content) = (client_key.clone(), (content_id.uuid, content_id.kind));
        let share = NewShare { content: content.0, content_kind: content.1, user, channel, client_key };
        let act = ctx.facade::<EngagementFacade>()?.share(share);
        let what = (user, content_id.uuid, Action::Share);
        let outcome = limited(ctx, what, key.as_deref(), |outcome: &ShareOutcome| !outcome.changed, act).await?;
        let (share, content) = (Share(outcome.share), outcome.content.into());
        Ok(SharePayload { share, content, changed: outcome.changed })
    }

    /// Counts views, each once a viewer, content and hour of the clock; without a token the address is the viewer. What
    /// is unknown or not published is left out. `INVALID_INPUT` unless there are 1 to 1,000 ids. After `OVERLOADED` or
    /// `UNAVAILABLE` a part may have been counted: a repeat counts the rest.
    async fn record_views(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 1,000 ids of artworks and videos; duplicates count once.")] content_ids: Vec<ContentId>,
        #[graphql(desc = "For whom, the token's user when left out; for services and operators.")] user_id: Option<
            Id<UserKind>,
        >,
    ) -> Result<RecordViewsPayload> {
        let (session, engagement) = (Session::of(ctx), ctx.facade::<EngagementFacade>()?);
        let viewer = match (session.0.is_some() || user_id.is_some(), ctx.data_opt::<ClientAddress>()) {
            (false, Some(address)) => {
                let views = u32::try_from(content_ids.len()).unwrap_or(u32::MAX);
                engagement.limits().note(Actor::Address(address.group()), views, engagement.now());
                engagement.viewer_at(address.group())
            }
            (false, None) => return Err(Error::internal("a mutation without its client's address")),
            (true, _) => {
                let user = ctx.facade::<UsersFacade>()?.acting_for(session, user_id).await?;
                engagement.viewer_of_user(user)
            }
        };
        let contents: Vec<_> = content_ids.iter().map(|id| (id.uuid, id.kind)).collect();
        let counted = engagement.record_views(&contents, viewer).await?;
        Ok(RecordViewsPayload { counted: i64::try_from(counted).map_err(Error::internal)? })
    }

    /// Makes score, level and next change of contents anew from their facts, with the settings in force; an entry
    /// `RECALCULATION` in the history of each for which something else came out. For operators. `INVALID_INPUT` unless 1 to
    /// 1,000 ids are given; an id that is nothing's, or of the other kind, is among the errors.
    async fn recalculate_hotness(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 1,000 ids of artworks and videos.")] ids: Vec<ContentId>,
    ) -> Result<BatchResult> {
        if ids.is_empty() || ids.len() > IDS_MOST {
            return Err(Error::invalid(format!("give 1 to {IDS_MOST} ids, got {}", ids.len())));
        }
        let contents = ids.iter().map(|id| Recalculate { content: id.uuid, content_kind: id.kind }).collect();
        let outcomes = ctx.facade::<EngagementFacade>()?.recalculate(contents).await;
        let refused = ids.iter().zip(outcomes).filter_map(|(id, outcome)| Some((id, outcome.err()?)));
        let errors: Vec<_> = refused
            .map(|(id, error)| BatchError { id: id.to_string().into(), message: error.client().to_owned() })
            .collect();
        let count = |n: usize| i64::try_from(n).map_err(Error::internal);
        let (total, failed) = (count(ids.len())?, count(errors.len())?);
        Ok(BatchResult { total, succeeded: total - failed, failed, errors })
    }
}
