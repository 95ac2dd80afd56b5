//! Comments, shares and views: their facts, and what a batch knows and changes of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::FromQueryResult;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::content::Kind;
use super::openings::{Counted, Opening};
use super::viewers::Viewer;
use super::writer::Command;
use super::{store, viewers};
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::id::Lane;

/// What somebody said about a content. A deleted one stays as a tombstone for a time, without its text.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct CommentRecord {
    /// Its id; ends in the lane of its content.
    pub id: Uuid,
    /// On what.
    pub content_id: Uuid,
    /// By whom.
    pub user_id: Uuid,
    /// What it says; of a deleted one, what it said is gone.
    pub body: String,
    /// Of a deleted one: a hash of what it said, to know its author's key again by.
    pub body_hash: Option<String>,
    /// Its author's key.
    pub client_key: Option<String>,
    /// When.
    pub commented_at: Millis,
    /// When it was deleted.
    pub deleted_at: Option<Millis>,
    /// By whom.
    pub deleted_by: Option<Uuid>,
}

impl CommentRecord {
    /// Whether it says this, or said it before it was deleted.
    #[must_use]
    pub(super) fn says(&self, body: &str) -> bool {
        match &self.body_hash {
            Some(hash) => *hash == body_hash(self.id, body),
            None => self.body == body,
        }
    }
}

/// What stays of a deleted comment's text. With its id, so that equal texts cannot be told.
pub(super) fn body_hash(id: Uuid, body: &str) -> String {
    let hash = Sha256::new().chain_update(id.as_bytes()).chain_update(body.as_bytes()).finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody passed a content on.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct ShareRecord {
    /// Its id.
    pub id: Uuid,
    /// Of what.
    pub content_id: Uuid,
    /// By whom.
    pub user_id: Uuid,
    /// The number of a [`Channel`].
    pub channel: i16,
    /// Its user's key.
    pub client_key: Option<String>,
    /// When.
    pub shared_at: Millis,
}

/// Which way a content was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, async_graphql::Enum)]
#[graphql(name = "ShareChannel")]
pub enum Channel {
    /// A copied link.
    Link,
    /// WeChat.
    Wechat,
    /// Weibo.
    Weibo,
    /// QQ.
    Qq,
    /// Douyin.
    Douyin,
    /// Any other way.
    Other,
}

impl Channel {
    /// All, in the order of their stored numbers.
    pub const ALL: [Self; 6] = [Self::Link, Self::Wechat, Self::Weibo, Self::Qq, Self::Douyin, Self::Other];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }

    /// The channel of a stored number.
    #[must_use]
    pub fn from_number(number: i16) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Other)
    }

    /// As GraphQL and events have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "LINK",
            Self::Wechat => "WECHAT",
            Self::Weibo => "WEIBO",
            Self::Qq => "QQ",
            Self::Douyin => "DOUYIN",
            Self::Other => "OTHER",
        }
    }
}

/// An id in a content's lane: whoever has the id alone knows the lane, and with it the shard.
#[must_use]
pub(super) fn in_lane_of(content: Uuid, id: Uuid) -> Uuid {
    let mut bytes = id.into_bytes();
    bytes[15] = Lane::of(content).0;
    Uuid::from_bytes(bytes)
}

/// A user's key for a comment or a share.
pub(super) type ClientKey = (Uuid, String);

/// What a batch knows of comments, shares and views, and what it changes.
#[derive(Default)]
pub(super) struct Interactions {
    /// Those that commands name, by id.
    pub(super) comments: HashMap<Uuid, CommentRecord>,
    pub(super) comment_keys: HashMap<ClientKey, Uuid>,
    new_comments: Vec<Uuid>,
    deleted_comments: BTreeSet<Uuid>,
    /// Those whose client keys commands name.
    pub(super) shares: HashMap<ClientKey, ShareRecord>,
    new_shares: Vec<ShareRecord>,
    /// Those of a user who is deleted, by id.
    shares_by_id: HashMap<Uuid, ShareRecord>,
    /// Rows that go without a tombstone: (content, id).
    gone_comments: Vec<(Uuid, Uuid)>,
    gone_shares: Vec<(Uuid, Uuid)>,
    /// The hour that this batch's views count in.
    pub(super) hour: Millis,
    /// (content, viewer's key) of views that count already.
    pub(super) viewed: HashSet<(Uuid, Uuid)>,
    new_views: Vec<(Uuid, Uuid)>,
    /// Counts that imports took over, of the contents that one names.
    pub(super) openings: HashMap<(Uuid, Counted), Opening>,
    new_openings: BTreeSet<(Uuid, Counted)>,
}

/// What the commands of a batch need to know of comments, shares and views.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    comments: Vec<Uuid>,
    comment_keys: Vec<(Uuid, &'a str)>,
    share_keys: Vec<(Uuid, &'a str)>,
    shares: Vec<(Uuid, Uuid)>,
    views: Vec<(&'a [(Uuid, Kind)], Viewer)>,
    openings: Vec<Uuid>,
}

impl<'a> Wanted<'a> {
    /// Notes what a command needs to know.
    pub(super) fn by(&mut self, command: &'a Command) {
        match command {
            Command::Comment(comment) => {
                self.comment_keys.extend(comment.client_key.as_deref().map(|key| (comment.user, key)));
            }
            Command::DeleteComment(delete) => self.comments.push(delete.comment),
            Command::Share(share) => {
                self.share_keys.extend(share.client_key.as_deref().map(|key| (share.user, key)));
            }
            Command::Forget(forget) => {
                self.comments.extend(&forget.comments);
                self.shares.extend(forget.shares.iter().map(|id| (forget.content, *id)));
            }
            Command::View(view) => self.views.push((&view.contents, view.viewer)),
            Command::Import(import) if !import.openings.is_empty() => self.openings.push(import.content),
            _ => {}
        }
    }

    /// Reads it, after the contents' figures were locked.
    pub(super) async fn read(self, tx: &Tx, now: Millis) -> Result<Interactions> {
        let mut known = Interactions::default();
        if !self.comments.is_empty() {
            known.take_comments(store::comments::comment_by_ids_in(tx, &self.comments).await?);
        }
        if !self.comment_keys.is_empty() {
            known.take_comments(store::comments::comment_by_client_keys(tx, &self.comment_keys).await?);
        }
        if !self.share_keys.is_empty() {
            for share in store::shares::share_by_client_keys(tx, &self.share_keys).await? {
                known.take_share(share);
            }
        }
        if !self.shares.is_empty() {
            let shares = store::deletions::share_by_ids(tx, &self.shares).await?;
            known.shares_by_id = shares.into_iter().map(|share| (share.id, share)).collect();
        }
        if !self.views.is_empty() {
            // A clock behind that of the node which closed hours: its views count in the first hour that is open.
            known.hour = viewers::hour_of(now.max(store::views::closed_before(tx).await?));
            let mut keys = Vec::new();
            for (contents, viewer) in &self.views {
                let viewer = viewer.key(known.hour);
                keys.extend(contents.iter().map(|(content, _)| (*content, viewer)));
            }
            known.viewed = store::views::view_by_keys(tx, known.hour, &keys).await?;
        }
        if !self.openings.is_empty() {
            let held = store::openings::opening_by_ids(tx, &self.openings).await?;
            known.openings = held.into_iter().map(|(content, held)| ((content, held.figure), held)).collect();
        }
        Ok(known)
    }
}

impl Interactions {
    fn take_comments(&mut self, comments: Vec<CommentRecord>) {
        for comment in comments {
            if let Some(key) = &comment.client_key {
                self.comment_keys.insert((comment.user_id, key.clone()), comment.id);
            }
            self.comments.insert(comment.id, comment);
        }
    }

    fn take_share(&mut self, share: ShareRecord) {
        if let Some(key) = &share.client_key {
            self.shares.insert((share.user_id, key.clone()), share);
        }
    }

    /// Adds a comment.
    pub(super) fn add_comment(&mut self, comment: CommentRecord) {
        self.new_comments.push(comment.id);
        self.take_comments(vec![comment]);
    }

    /// Makes a comment a tombstone.
    pub(super) fn delete_comment(&mut self, comment: CommentRecord) {
        self.deleted_comments.insert(comment.id);
        self.take_comments(vec![comment]);
    }

    /// Adds a share.
    pub(super) fn add_share(&mut self, share: ShareRecord) {
        self.take_share(share.clone());
        self.new_shares.push(share);
    }

    /// Takes a comment out, with no tombstone; what it was.
    pub(super) fn take_comment(&mut self, id: Uuid) -> Option<CommentRecord> {
        let comment = self.comments.remove(&id)?;
        self.deleted_comments.remove(&id);
        self.gone_comments.push((comment.content_id, id));
        Some(comment)
    }

    /// Takes a share out; what it was.
    pub(super) fn forget_share(&mut self, id: Uuid) -> Option<ShareRecord> {
        let share = self.shares_by_id.remove(&id)?;
        self.gone_shares.push((share.content_id, id));
        Some(share)
    }

    /// Adds a view, unless it counts already.
    pub(super) fn add_view(&mut self, content: Uuid, viewer: Uuid) {
        if self.viewed.insert((content, viewer)) {
            self.new_views.push((content, viewer));
        }
    }

    /// Notes a count that an import took over, as it is now.
    pub(super) fn put_opening(&mut self, content: Uuid, opening: Opening) {
        self.openings.insert((content, opening.figure), opening);
        self.new_openings.insert((content, opening.figure));
    }

    /// Writes what is new; the figures' locks are held.
    pub(super) async fn write(&self, tx: &Tx) -> Result<()> {
        // Two groups that insert the same unique keys must meet in one order.
        let mut comments: Vec<_> = self.new_comments.iter().filter_map(|id| self.comments.get(id)).collect();
        comments.sort_by_key(|comment| (comment.user_id, &comment.client_key, comment.id));
        let mut shares: Vec<_> = self.new_shares.iter().collect();
        shares.sort_by_key(|share| (share.user_id, &share.client_key, share.id));
        store::comments::comment_insert(tx, &comments).await?;
        let deleted: Vec<_> = self.deleted_comments.iter().filter_map(|id| self.comments.get(id)).collect();
        store::comments::comment_delete(tx, &deleted).await?;
        store::shares::share_insert(tx, &shares).await?;
        store::deletions::comment_remove(tx, &self.gone_comments).await?;
        store::deletions::share_remove(tx, &self.gone_shares).await?;
        let openings = self.new_openings.iter().filter_map(|key| Some((key.0, *self.openings.get(key)?)));
        store::openings::opening_put(tx, openings).await?;
        store::views::view_insert(tx, self.hour, &self.new_views).await
    }
}
