//! What stands where in the ranking of this process.

use uuid::Uuid;

use super::EngagementFacade;
use crate::kernel::error::Result;
use crate::kernel::ranking::{Standing, View};
use crate::modules::engagement::content::{ContentRecord, Kind};
use crate::modules::engagement::store::read;
use crate::modules::engagement::window::TimeWindow;

impl EngagementFacade {
    /// The best `size` of a kind (`None`: of all) that were published within a window, with their contents: one consistent
    /// list.
    ///
    /// # Errors
    /// The database's own.
    pub async fn ranking(&self, kind: Option<Kind>, window: TimeWindow, size: usize) -> Result<Vec<ContentRecord>> {
        let (ranking, view) = (self.0.ranks.now(), self.view(kind, window));
        let top = ranking.index.top(view, size);
        let found = futures_util::future::try_join_all(top.iter().map(|standing| self.content(standing.id))).await?;
        let mut listed: Vec<_> = found.into_iter().flatten().filter(|record| record.standing().listed).collect();
        let version = ranking.hotness.heat.version;
        if listed.iter().any(|record| record.figures.heat_version != version) {
            // Other settings came into force, and the index is of the old ones.
            self.0.ranks.wake();
            return read::ranking(&self.0.kernel.db, view.board, window.since(view.now), size).await;
        }
        // One statement read them all; what was committed since the look into the index may have changed their order.
        listed.sort_by_key(|record| std::cmp::Reverse((record.figures.heat, record.info.id)));
        Ok(listed)
    }

    /// The ids and versions of the best of a board (`None`: of all), whatever their age: cheap.
    #[must_use]
    pub fn standings(&self, board: Option<u8>, size: usize) -> Vec<Standing> {
        self.0.ranks.now().index.top(View { board, window: None, now: self.now() }, size)
    }

    /// The ids and versions of the best within a window: cheap, to see whether a ranking changed.
    #[must_use]
    pub fn standings_within(&self, kind: Option<Kind>, window: TimeWindow, size: usize) -> Vec<Standing> {
        self.0.ranks.now().index.top(self.view(kind, window), size)
    }

    /// When the first of these leaves the window because time passes, in milliseconds from now; none if none ever does.
    #[must_use]
    pub fn leaves_in(&self, window: TimeWindow, standings: &[Standing]) -> Option<i64> {
        let (number, ranking) = (window.number()?, self.0.ranks.now());
        let leaves = standings.iter().filter_map(|standing| ranking.index.leaves_at(number, standing.since));
        leaves.min().map(|at| at.0.saturating_sub(self.now().0))
    }

    /// A content's rank from 1, among the published ones of a kind (`None`: of all) within a window, in the ranking of the
    /// settings in force; none when it is not among them.
    #[must_use]
    pub fn rank(&self, id: Uuid, kind: Option<Kind>, window: TimeWindow) -> Option<usize> {
        self.0.ranks.now().index.rank(self.view(kind, window), id)
    }

    /// The same, in a ranking that is no older than the content as it was read: waits for it where other settings have
    /// just come into force.
    ///
    /// # Errors
    /// The database's own.
    pub async fn rank_of(
        &self,
        content: &ContentRecord,
        kind: Option<Kind>,
        window: TimeWindow,
    ) -> Result<Option<usize>> {
        if self.hotness().heat.version < content.figures.heat_version {
            self.0.ranks.refresh().await?;
        }
        Ok(self.rank(content.info.id, kind, window))
    }

    fn view(&self, kind: Option<Kind>, window: TimeWindow) -> View {
        View { board: kind.map(Kind::number), window: window.number(), now: self.now() }
    }
}
