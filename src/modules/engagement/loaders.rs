//! Read loaders: every edge of the graph reads by batch.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::content::{BehaviorKind, ContentRecord};
use super::interactions::CommentRecord;
use super::store::{comments, read};
use crate::kernel::batch::{Load, Loader};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::page::Page;

/// The module's loaders.
pub(super) struct Loaders {
    /// Contents by id.
    pub(super) contents: Loader<Contents>,
    /// What a user did to a content, by (content, user).
    pub(super) viewers: Loader<Viewers>,
    /// History by (content, how many rows).
    pub(super) history: Loader<History>,
    /// Comments by id, deleted ones too.
    pub(super) comments: Loader<Comments>,
    /// Comments by (content, page): one more than the page holds, in the direction of reading.
    pub(super) comment_pages: Loader<CommentPages>,
}

impl Loaders {
    pub(super) fn new(kernel: &Kernel) -> Self {
        Self {
            contents: Loader::new(Contents(kernel.clone())),
            viewers: Loader::new(Viewers(kernel.clone())),
            history: Loader::new(History(kernel.clone())),
            comments: Loader::new(Comments(kernel.clone())),
            comment_pages: Loader::new(CommentPages(kernel.clone())),
        }
    }
}

/// See [`Loaders::contents`].
pub(super) struct Contents(Kernel);

impl Load for Contents {
    type Key = Uuid;
    type Value = ContentRecord;

    async fn load(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, ContentRecord>> {
        let records = read::content_by_ids(&self.0.db, &ids).await?;
        Ok(records.into_iter().map(|record| (record.info.id, record)).collect())
    }
}

/// What a user did to a content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ViewerState {
    pub(super) has_liked: bool,
    pub(super) has_favorited: bool,
}

/// See [`Loaders::viewers`].
pub(super) struct Viewers(Kernel);

impl Load for Viewers {
    type Key = (Uuid, Uuid);
    type Value = ViewerState;

    async fn load(&self, pairs: Vec<(Uuid, Uuid)>) -> Result<HashMap<(Uuid, Uuid), ViewerState>> {
        let mut states: HashMap<_, ViewerState> = HashMap::new();
        for row in read::behavior_by_pairs(&self.0.db, &pairs).await? {
            let state = states.entry((row.content_id, row.user_id)).or_default();
            state.has_liked |= row.kind == BehaviorKind::Like.number();
            state.has_favorited |= row.kind == BehaviorKind::Favorite.number();
        }
        Ok(states)
    }
}

/// See [`Loaders::history`].
pub(super) struct History(Kernel);

impl Load for History {
    type Key = (Uuid, usize);
    type Value = Arc<[read::HistoryRecord]>;

    /// One statement a size: a request asks for one size.
    async fn load(&self, keys: Vec<(Uuid, usize)>) -> Result<HashMap<(Uuid, usize), Self::Value>> {
        let mut by_size: HashMap<usize, Vec<Uuid>> = HashMap::new();
        for (id, size) in keys {
            by_size.entry(size).or_default().push(id);
        }
        let mut found: HashMap<(Uuid, usize), Vec<read::HistoryRecord>> = HashMap::new();
        for (size, ids) in by_size {
            for row in read::history_by_ids(&self.0.db, &ids, size).await? {
                found.entry((row.content_id, size)).or_default().push(row);
            }
        }
        Ok(found.into_iter().map(|(key, rows)| (key, rows.into())).collect())
    }
}

/// See [`Loaders::comments`].
pub(super) struct Comments(Kernel);

impl Load for Comments {
    type Key = Uuid;
    type Value = CommentRecord;

    async fn load(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, CommentRecord>> {
        let found = comments::comment_by_ids(&self.0.db, &ids).await?;
        Ok(found.into_iter().map(|comment| (comment.id, comment)).collect())
    }
}

/// See [`Loaders::comment_pages`].
pub(super) struct CommentPages(Kernel);

impl Load for CommentPages {
    type Key = (Uuid, Page);
    type Value = Arc<[CommentRecord]>;

    /// One statement a page's bounds: contents of a list are asked for the same first page.
    async fn load(&self, keys: Vec<(Uuid, Page)>) -> Result<HashMap<(Uuid, Page), Self::Value>> {
        let mut by_page: HashMap<Page, Vec<Uuid>> = HashMap::new();
        for (content, page) in keys {
            by_page.entry(page).or_default().push(content);
        }
        let mut found: HashMap<(Uuid, Page), Vec<CommentRecord>> = HashMap::new();
        for (page, contents) in by_page {
            for comment in comments::comment_page(&self.0.db, &contents, &page).await? {
                found.entry((comment.content_id, page)).or_default().push(comment);
            }
        }
        Ok(found.into_iter().map(|(key, rows)| (key, rows.into())).collect())
    }
}
