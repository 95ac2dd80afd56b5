//! The five counts of a content.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::locked::{Locked, number};
use super::{Found, Ground, OfContents};
use crate::kernel::error::Result;
use crate::kernel::integrity::Drift;
use crate::modules::engagement::openings::Counted;
use crate::modules::engagement::store::recount::{self, Which};

/// A count against the facts of its kind that hold.
pub(super) struct Count {
    counted: Counted,
    name: &'static str,
    field: &'static str,
}

impl Count {
    pub(super) const ALL: [Self; 5] = [
        Self { counted: Counted::Like, name: "like-count", field: "likeCount" },
        Self { counted: Counted::Favorite, name: "favorite-count", field: "favoriteCount" },
        Self { counted: Counted::Comment, name: "comment-count", field: "commentCount" },
        Self { counted: Counted::Share, name: "share-count", field: "shareCount" },
        Self { counted: Counted::View, name: "view-count", field: "viewCount" },
    ];

    /// What recalculations have made beside what is in force has the same counts.
    fn add(&self, locked: &mut Locked<'_>, difference: i64) {
        for figures in std::iter::once(&mut locked.figures).chain(&mut locked.next) {
            let count = self.counted.of(figures);
            *count = count.wrapping_add(difference);
        }
        locked.changed = true;
    }
}

#[async_trait]
impl OfContents for Count {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn find(&self, _: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        for row in recount::count_of(reads, self.counted, which).await? {
            let mut drifts = found.of(row.kind, row.key.1);
            if let Some(stored) = row.stored {
                drifts.compare(self.field, &stored, &row.actual);
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        self.add(locked, number(&drift.actual)?.wrapping_sub(number(&drift.stored)?));
        Ok(true)
    }

    /// The difference comes back: what happened since stays counted.
    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        self.add(locked, number(&drift.stored)?.wrapping_sub(number(&drift.actual)?));
        Ok(true)
    }
}
