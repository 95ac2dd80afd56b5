//! Comments and shares, and what came of making them.

use async_graphql::{Context, Object, SimpleObject};

use super::ids::{CommentKind, ShareKind};
use super::types::Content;
use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::Count;
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, Cursor, Page};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::ContentRecord;
use crate::modules::engagement::interactions::{Channel, CommentRecord, ShareRecord};
use crate::modules::users::graphql::User;

/// The order of comments: cursors of contents' lists begin with other numbers.
const NEWEST_COMMENTS: u8 = 16;

/// A comment.
pub struct Comment(pub(super) CommentRecord);

/// What somebody said about a content.
#[Object]
impl Comment {
    /// `comment_…`; never changes.
    async fn id(&self) -> Id<CommentKind> {
        Id::new(self.0.id)
    }

    /// What it says, 1 to 2,000 characters; null once it is deleted.
    async fn body(&self) -> Option<&str> {
        self.0.deleted_at.is_none().then_some(&*self.0.body)
    }

    /// Whose it is; null once that user is gone.
    async fn author(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::find(ctx, self.0.user_id).await.transpose()
    }

    /// What it is about; null once that is gone.
    async fn content(&self, ctx: &Context<'_>) -> Option<Result<Content>> {
        let found = match ctx.facade::<EngagementFacade>() {
            Ok(engagement) => engagement.content(self.0.content_id).await,
            Err(error) => Err(error),
        };
        found.map(|found| found.map(Content::from)).transpose()
    }

    /// When it was made.
    async fn created_at(&self) -> Millis {
        self.0.commented_at
    }

    /// When it was deleted; null while it was not. Only those who delete a comment, or repeat its clientKey, see it.
    async fn deleted_at(&self) -> Option<Millis> {
        self.0.deleted_at
    }
}

/// How many comments there are besides the page.
pub struct CommentTotal(i64);

/// What a connection has besides its page.
#[Object]
impl CommentTotal {
    /// How many comments there are in all; the content's `commentCount`.
    async fn total_count(&self) -> Count {
        Count(self.0)
    }
}

/// A page of a content's comments, newest first.
pub(super) async fn comments(
    ctx: &Context<'_>,
    content: &ContentRecord,
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<Connection<Comment, CommentTotal>> {
    let page = Page::new(NEWEST_COMMENTS, first, after.as_deref(), last, before.as_deref())?;
    let found = match page.size {
        0 => None,
        _ => ctx.facade::<EngagementFacade>()?.loaders().comment_pages.one((content.info.id, page)).await?,
    };
    let total = CommentTotal(content.figures.comment_count);
    let found = found.map(|found| found.to_vec()).unwrap_or_default();
    Ok(page.connection(found, total, |comment| {
        (Cursor { order: NEWEST_COMMENTS, value: None, id: comment.id }, Comment(comment))
    }))
}

/// A share.
pub struct Share(pub(super) ShareRecord);

/// A content passed on once.
#[Object]
impl Share {
    /// `share_…`; never changes.
    async fn id(&self) -> Id<ShareKind> {
        Id::new(self.0.id)
    }

    /// Which way.
    async fn channel(&self) -> Channel {
        Channel::from_number(self.0.channel)
    }

    /// When.
    async fn shared_at(&self) -> Millis {
        self.0.shared_at
    }
}

/// What came of a comment, or of deleting one.
#[derive(SimpleObject)]
pub struct CommentPayload {
    /// The comment.
    pub(super) comment: Comment,
    /// The content after it.
    pub(super) content: Content,
    /// Whether it changed anything; a repeat does not.
    pub(super) changed: bool,
}

/// What came of a share.
#[derive(SimpleObject)]
pub struct SharePayload {
    /// The share.
    pub(super) share: Share,
    /// The content after it.
    pub(super) content: Content,
    /// Whether it is new; false: the client key had made it before.
    pub(super) changed: bool,
}

/// What came of views.
#[derive(SimpleObject)]
pub struct RecordViewsPayload {
    /// How many of them count: not those of this viewer's that counted within the hour, nor what is unknown or not
    /// published.
    pub(super) counted: i64,
}
