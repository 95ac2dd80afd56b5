//! Hides a content, and shows it again. Facts and figures stay: publishing again adds no weight twice.

use std::sync::Arc;

use uuid::Uuid;

use super::act::ActOutcome;
use crate::kernel::error::{Code, Error, Result};
use crate::modules::engagement::content::{Kind, Status};
use crate::modules::engagement::work::{Cause, Work};

/// A change of status.
#[derive(Clone, Copy, Debug)]
pub struct SetStatus {
    /// Of what.
    pub content: Uuid,
    /// What the caller thinks that it is; checked.
    pub content_kind: Kind,
    /// Who asks.
    pub actor: Uuid,
    /// Whether the actor may do so to other people's contents.
    pub privileged: bool,
    /// To what.
    pub status: Status,
}

/// Folds a change of status into a batch.
///
/// # Errors
/// An unknown content, or another author's.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, set: &SetStatus) -> Result<ActOutcome> {
    let (hotness, now) = (*work.hotness, work.now);
    let item = work.item(set.content)?;
    if item.info.kind != set.content_kind {
        return Err(Error::not_found("no such content"));
    }
    if item.info.author_id != set.actor && !set.privileged {
        return Err(Error::new(Code::FORBIDDEN, "only its author and operators may do this"));
    }
    let changed = item.info.status != set.status;
    if changed {
        Arc::make_mut(&mut item.info).status = set.status;
        item.status_changed = true;
        let cause = if set.status == Status::Published { Cause::Published } else { Cause::Unpublished };
        item.touch(&hotness, cause, now);
    }
    Ok(ActOutcome { content: item.record(), changed })
}
