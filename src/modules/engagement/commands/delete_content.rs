//! Accepts the deletion of a content: from the commit on there is no such content. Its rows go later, see `deleting.rs`.

use uuid::Uuid;

use crate::kernel::error::{Code, Error, Result};
use crate::modules::engagement::content::Kind;
use crate::modules::engagement::outbox::Happened;
use crate::modules::engagement::work::Work;

/// A deletion of a content.
#[derive(Clone, Copy, Debug)]
pub struct DeleteContent {
    /// Which.
    pub content: Uuid,
    /// What the caller thinks that it is; one of another kind is not there.
    pub content_kind: Option<Kind>,
    /// Who asks.
    pub actor: Uuid,
    /// Whether the actor may delete other people's contents.
    pub privileged: bool,
}

/// Folds a deletion into a batch; whether there was anything to delete.
///
/// # Errors
/// [`Code::FORBIDDEN`] for another author's.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, delete: &DeleteContent) -> Result<bool> {
    let Ok(item) = work.item(delete.content) else {
        return Ok(false);
    };
    if delete.content_kind.is_some_and(|kind| kind != item.info.kind) {
        return Ok(false);
    }
    if item.info.author_id != delete.actor && !delete.privileged {
        return Err(Error::new(Code::FORBIDDEN, "only its author and operators may do this"));
    }
    item.delete();
    let content = item.record();
    work.happened(&content, work.now, Happened::ContentDeleted);
    Ok(true)
}
