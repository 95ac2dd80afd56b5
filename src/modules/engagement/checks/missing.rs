//! A content whose row of figures is gone.

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;

use super::heat;
use super::locked::Locked;
use super::{Found, Ground, OfContents};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::Drift;
use crate::modules::engagement::content::{Figures, key};
use crate::modules::engagement::openings::Counted;
use crate::modules::engagement::store::recount::{self, Stored, Which};

/// Each content has a row of figures. The other checks compare what is there, and pass over one that is not.
pub(super) struct Missing;

const FIELD: &str = "figures";

/// What the facts say of a content of which nothing is known but them.
struct Anew {
    counts: [i64; 5],
    heat: Option<i64>,
}

impl Anew {
    async fn read(ground: &Ground, reads: &DatabaseTransaction, stored: &Stored) -> Result<Self> {
        let one = Which::One(key(stored.id));
        let mut counts = [0; 5];
        for (count, kind) in counts.iter_mut().zip(Counted::ALL) {
            *count = recount::count_of(reads, kind, one).await?.first().map_or(0, |row| row.actual);
        }
        Ok(Self { counts, heat: heat::of_one(ground, reads, one).await? })
    }

    fn text(&self) -> String {
        let [likes, favorites, comments, shares, views] = self.counts;
        let heat = self.heat.map_or_else(|| "none".to_owned(), |heat| heat.to_string());
        format!(
            "{likes} likes, {favorites} favorites, {comments} comments, {shares} shares, {views} views, heat {heat}"
        )
    }

    fn of(figures: &Figures) -> Self {
        let f = figures;
        Self { counts: [f.like_count, f.favorite_count, f.comment_count, f.share_count, f.view_count], heat: f.heat }
    }
}

#[async_trait]
impl OfContents for Missing {
    fn name(&self) -> &'static str {
        "figures"
    }

    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found> {
        let mut found = Found::default();
        for stored in recount::stored_of(reads, which).await? {
            let mut drifts = found.of(stored.kind, stored.id);
            if stored.figures.is_none() && !stored.unreadable && ground.state.is_some() {
                let anew = Anew::read(ground, reads, &stored).await?;
                drifts.add(FIELD, "none".to_owned(), anew.text());
            }
        }
        Ok(found)
    }

    /// Moments are those of the newest fact and of the newest row of history: what was there before held no later ones.
    async fn repair(&self, ground: &Ground, locked: &mut Locked<'_>, _: &Drift) -> Result<bool> {
        let one = key(locked.id);
        let reads = locked.tx.connection();
        let stored = recount::stored_of(reads, Which::One(one)).await?.pop();
        let (Some(stored), Some(hotness)) = (stored, &ground.hotness) else { return Ok(false) };
        let anew = Anew::read(ground, reads, &stored).await?;
        let newest = recount::newest_fact(reads, one).await?;
        let history = recount::history_of(reads, Which::One(one)).await?.pop();
        let recorded = history.and_then(|row| row.newest).map(|newest| (newest.at, newest.level));
        let figures = &mut locked.figures;
        [figures.like_count, figures.favorite_count, figures.comment_count, figures.share_count, figures.view_count] =
            anew.counts;
        figures.heat = anew.heat;
        figures.last_hot_update = newest.unwrap_or(Millis(i64::MIN)).max(stored.published_at);
        figures.last_history_at = recorded.map_or(stored.published_at, |(at, _)| at);
        let at = figures.settled_at();
        figures.hot_level = hotness.level(figures.heat, stored.published_at, at).number();
        figures.hot_score = hotness.heat.score(figures.heat, at);
        figures.wake_at = hotness.next_change(figures.heat, stored.published_at, at);
        locked.announced = recorded.is_none_or(|(_, level)| level != figures.hot_level);
        (locked.made, locked.changed) = (true, true);
        Ok(true)
    }

    async fn restore(&self, locked: &mut Locked<'_>, drift: &Drift) -> Result<bool> {
        // Only while it is what the repair made, to the last column.
        if Anew::of(&locked.figures).text() != drift.actual || !locked.is_as_made() {
            return Ok(false);
        }
        locked.unannounce(locked.figures.hot_level).await?;
        locked.unmade = true;
        Ok(true)
    }
}
