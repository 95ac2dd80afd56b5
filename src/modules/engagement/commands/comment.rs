//! Comments on a content, and deleting one.

use uuid::Uuid;

use crate::kernel::error::{Code, Error, Result};
use crate::kernel::text;
use crate::modules::engagement::content::{ContentRecord, Kind, Status};
use crate::modules::engagement::hotness::{Fact, Weight};
use crate::modules::engagement::interactions::{CommentRecord, in_lane_of};
use crate::modules::engagement::outbox::{Happened, beginning};
use crate::modules::engagement::work::{Cause, Work};

/// Longest comment, in characters.
const BODY_MOST: usize = 2_000;

/// A comment to be.
#[derive(Clone, Debug)]
pub struct NewComment {
    /// On what.
    pub content: Uuid,
    /// What the caller thinks that it is; checked.
    pub content_kind: Kind,
    /// By whom, an existing user.
    pub user: Uuid,
    /// What it says, 1 to 2,000 characters once trimmed.
    pub body: String,
    /// The user's key: commenting with it again returns the first comment.
    pub client_key: Option<String>,
}

/// A checked [`NewComment`] with its id.
#[derive(Clone, Debug)]
pub(in crate::modules::engagement) struct Comment {
    pub(in crate::modules::engagement) content: Uuid,
    content_kind: Kind,
    pub(in crate::modules::engagement) user: Uuid,
    pub(in crate::modules::engagement) client_key: Option<String>,
    id: Uuid,
    body: String,
}

/// A comment to delete.
#[derive(Clone, Copy, Debug)]
pub struct DeleteComment {
    /// Which.
    pub comment: Uuid,
    /// On what: never changes.
    pub content: Uuid,
    /// Who asks.
    pub actor: Uuid,
    /// Whether the actor may do so to other people's comments.
    pub privileged: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct CommentOutcome {
    /// The comment after it.
    pub comment: CommentRecord,
    /// The content after it.
    pub content: ContentRecord,
    /// Whether it changed anything.
    pub changed: bool,
}

impl NewComment {
    /// Checks the texts.
    ///
    /// # Errors
    /// [`Code::INVALID_INPUT`], naming the field.
    pub(in crate::modules::engagement) fn check(self, id: Uuid) -> Result<Comment> {
        Ok(Comment {
            content: self.content,
            content_kind: self.content_kind,
            user: self.user,
            client_key: text::optional("clientKey", self.client_key.as_deref(), 200)?,
            id: in_lane_of(self.content, id),
            body: text::required("body", self.body.trim(), BODY_MOST)?,
        })
    }
}

/// Folds a comment into a batch.
///
/// # Errors
/// An unknown or unpublished content, a client key of another comment, a mass that overflows: nothing is changed then.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, comment: &Comment) -> Result<CommentOutcome> {
    let (hotness, now) = (*work.hotness, work.now);
    let client_key = comment.client_key.clone().map(|key| (comment.user, key));
    let first = client_key.and_then(|key| work.interactions.comment_keys.get(&key)).copied();
    let first = first.and_then(|first| work.interactions.comments.get(&first)).cloned();
    if first.as_ref().is_some_and(|first| first.content_id != comment.content || !first.says(&comment.body)) {
        return Err(Error::conflict("this clientKey made another comment"));
    }
    let item = work.item(comment.content)?;
    if item.info.kind != comment.content_kind {
        return Err(Error::not_found("no such content"));
    }
    if let Some(first) = first {
        return Ok(CommentOutcome { comment: first, content: item.record(), changed: false });
    }
    if item.info.status != Status::Published {
        return Err(Error::conflict("the content is not published"));
    }
    let at = now.max(item.figures.last_hot_update);
    item.add(&hotness, &Fact { weight: Weight::Comment, at, count: 1 })?;
    item.figures.comment_count += 1;
    item.touch(&hotness, Cause::Commented, at);
    let record = CommentRecord {
        id: comment.id,
        content_id: comment.content,
        user_id: comment.user,
        body: comment.body.clone(),
        body_hash: None,
        client_key: comment.client_key.clone(),
        commented_at: at,
        deleted_at: None,
        deleted_by: None,
    };
    let content = item.record();
    work.happened(
        &content,
        at,
        Happened::Commented { comment: record.id, user: record.user_id, body: beginning(&record.body) },
    );
    work.interactions.add_comment(record.clone());
    Ok(CommentOutcome { comment: record, content, changed: true })
}

/// Folds a deletion into a batch.
///
/// # Errors
/// An unknown comment, or another's.
pub(in crate::modules::engagement) fn fold_delete(
    work: &mut Work<'_>,
    delete: &DeleteComment,
) -> Result<CommentOutcome> {
    let (hotness, now) = (*work.hotness, work.now);
    let found = work.interactions.comments.get(&delete.comment).filter(|found| found.content_id == delete.content);
    let mut comment = found.cloned().ok_or_else(|| Error::not_found("no such comment"))?;
    if comment.user_id != delete.actor && !delete.privileged {
        return Err(Error::new(Code::FORBIDDEN, "only its author and operators may do this"));
    }
    let item = work.item(delete.content)?;
    if comment.deleted_at.is_some() {
        return Ok(CommentOutcome { comment, content: item.record(), changed: false });
    }
    let at = now.max(item.figures.last_hot_update);
    // The same integer that was added: the row holds its moment.
    item.add(&hotness, &Fact { weight: Weight::Comment, at: comment.commented_at, count: -1 })?;
    item.figures.comment_count -= 1;
    item.touch(&hotness, Cause::CommentDeleted, at);
    let content = item.record();
    (comment.deleted_at, comment.deleted_by) = (Some(at), Some(delete.actor));
    work.happened(&content, at, Happened::CommentDeleted { comment: comment.id, user: comment.user_id });
    work.interactions.delete_comment(comment.clone());
    Ok(CommentOutcome { comment, content, changed: true })
}
