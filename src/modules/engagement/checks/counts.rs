//! The five counts of a content.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::locked::{Locked, number};
use super::{Found, Ground, NEXT, OfContents, of_next};
use crate::kernel::error::Result;
use crate::kernel::integrity::Drift;
use crate::modules::engagement::openings::Counted;
use crate::modules::engagement::store::recount::{self, Range, Which};

/// A count against the facts of its kind that hold. What a recalculation under way has made has one of its own: what is in
/// force may have drifted before it was copied, or after.
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

    /// Adds to a count, where there still is one. What was made for other settings has a count of its own: an undo that
    /// finds that one in force leaves it to the change of it.
    fn add(&self, locked: &mut Locked<'_>, drift: &Drift, difference: i64) -> bool {
        let place = locked.place(of_next(&drift.field).0);
        let Some(figures) = place.and_then(|place| locked.at(place)) else { return false };
        let count = self.counted.of(figures);
        *count = count.wrapping_add(difference);
        locked.changed = true;
        true
    }
}

#[async_trait]
impl OfContents for Count {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        let rows = recount::count_of(reads, self.counted, which).await?;
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let mut next = ground.next_figures_within(reads, Range::of(&keys)).await?;
        for row in rows {
            let mut drifts = found.of(row.kind, row.key.1);
            if let Some(stored) = row.stored {
                drifts.compare(self.field, &stored, &row.actual);
                if let Some(figures) = next.get_mut(&row.key.1) {
                    drifts.compare(format!("{NEXT}{}", self.field), self.counted.of(figures), &row.actual);
                }
            }
        }
        Ok(found)
    }

    async fn repair(&self, _: &Ground, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        Ok(self.add(locked, drift, number(&drift.actual)?.wrapping_sub(number(&drift.stored)?)))
    }

    /// The difference comes back: what happened since stays counted.
    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        Ok(self.add(locked, drift, number(&drift.stored)?.wrapping_sub(number(&drift.actual)?)))
    }
}
