//! What a user's unread count is made of.

use async_trait::async_trait;

use super::checks::user_key;
use super::graphql::notification_id_text;
use super::store::recount;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Explain, Explained, Fact};
use crate::kernel::page::{Cursor, Page};

/// The unread notifications of a user, in the order of their ids.
pub(super) struct UnreadCount;

#[async_trait]
impl Explain for UnreadCount {
    fn module(&self) -> &'static str {
        "notifications"
    }

    fn figure(&self) -> &'static str {
        "unread-count"
    }

    async fn explain(&self, kernel: &Kernel, id: &str, page: Page) -> Result<Option<Explained>> {
        let user = user_key(id)?;
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let Some(row) = recount::unread_recount(&reads, backend, &[user]).await?.pop() else { return Ok(None) };
        if row.stored.is_none() && row.actual == 0 {
            // Never told of anything, or nobody at all: users are another module's.
            return Ok(None);
        }
        let found = recount::unread_page(&reads, backend, user, &page).await?;
        reads.commit().await?;
        let more = found.len() > page.size;
        let fact = |found: super::notification::NotificationRecord| Fact {
            cursor: Cursor { order: 0, value: None, id: found.id },
            kind: found.kind.word(),
            source: Some(notification_id_text(found.id)),
            at: found.updated_at,
            contribution: "1".to_owned(),
        };
        let mut facts: Vec<Fact> = found.into_iter().take(page.size).map(fact).collect();
        if page.backward {
            facts.reverse();
        }
        Ok(Some(Explained {
            id: id.to_owned(),
            figure: self.figure().to_owned(),
            stored: row.stored.map_or_else(|| "none".to_owned(), |stored| stored.to_string()),
            actual: row.actual.to_string(),
            unit: "notifications",
            total: row.actual.unsigned_abs(),
            facts,
            more,
            remedy: None,
        }))
    }
}
