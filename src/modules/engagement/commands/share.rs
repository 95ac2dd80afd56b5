//! Shares of a content: each counts, but for a repeat under the same client key.

use uuid::Uuid;

use crate::kernel::error::{Error, Result};
use crate::kernel::text;
use crate::modules::engagement::content::{ContentRecord, Kind, Status};
use crate::modules::engagement::hotness::{Fact, Weight};
use crate::modules::engagement::interactions::{Channel, ShareRecord, in_lane_of};
use crate::modules::engagement::outbox::Happened;
use crate::modules::engagement::work::{Cause, Work};

/// A share to be.
#[derive(Clone, Debug)]
pub struct NewShare {
    /// Of what.
    pub content: Uuid,
    /// What the caller thinks that it is; checked.
    pub content_kind: Kind,
    /// By whom, an existing user.
    pub user: Uuid,
    /// Which way.
    pub channel: Channel,
    /// The user's key: sharing with it again returns the first share.
    pub client_key: Option<String>,
}

/// A checked [`NewShare`] with its id.
#[derive(Clone, Debug)]
pub(in crate::modules::engagement) struct Share {
    pub(in crate::modules::engagement) content: Uuid,
    content_kind: Kind,
    pub(in crate::modules::engagement) user: Uuid,
    pub(in crate::modules::engagement) client_key: Option<String>,
    channel: Channel,
    id: Uuid,
}

/// What came of a share.
#[derive(Clone, Debug)]
pub struct ShareOutcome {
    /// The share.
    pub share: ShareRecord,
    /// The content after it.
    pub content: ContentRecord,
    /// Whether it is new.
    pub changed: bool,
}

impl NewShare {
    /// Checks the client key.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`], naming the field.
    pub(in crate::modules::engagement) fn check(self, id: Uuid) -> Result<Share> {
        Ok(Share {
            content: self.content,
            content_kind: self.content_kind,
            user: self.user,
            client_key: text::optional("clientKey", self.client_key.as_deref(), 200)?,
            channel: self.channel,
            id: in_lane_of(self.content, id),
        })
    }
}

/// Folds a share into a batch.
///
/// # Errors
/// An unknown or unpublished content, a client key of another share, a mass that overflows: nothing is changed then.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, share: &Share) -> Result<ShareOutcome> {
    let (hotness, now) = (*work.hotness, work.now);
    let client_key = share.client_key.clone().map(|key| (share.user, key));
    let first = client_key.and_then(|key| work.interactions.shares.get(&key)).cloned();
    if first.as_ref().is_some_and(|first| (first.content_id, first.channel) != (share.content, share.channel.number()))
    {
        return Err(Error::conflict("this clientKey made another share"));
    }
    let item = work.item(share.content)?;
    if item.info.kind != share.content_kind {
        return Err(Error::not_found("no such content"));
    }
    if let Some(first) = first {
        return Ok(ShareOutcome { share: first, content: item.record(), changed: false });
    }
    if item.info.status != Status::Published {
        return Err(Error::conflict("the content is not published"));
    }
    let at = now.max(item.figures.last_hot_update);
    item.add(&hotness, &Fact { weight: Weight::Share, at, count: 1 })?;
    item.figures.share_count += 1;
    item.touch(&hotness, Cause::Shared, at);
    let record = ShareRecord {
        id: share.id,
        content_id: share.content,
        user_id: share.user,
        channel: share.channel.number(),
        client_key: share.client_key.clone(),
        shared_at: at,
    };
    let content = item.record();
    work.happened(&content, at, Happened::Shared { user: share.user, channel: share.channel.name() });
    work.interactions.add_share(record.clone());
    Ok(ShareOutcome { share: record, content, changed: true })
}
