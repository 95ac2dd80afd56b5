//! The rank index: who is first, and which rank an item has, of all or of those that are new, in process.
//!
//! | | cost, with N entries and n asked for |
//! |---|---|
//! | the best n of a board and a window | O(n + log N) |
//! | n of them from a place on, with their ranks | O(n log N) |
//! | the rank of one in a board and a window | O(log N) |
//! | a new state of one | O(log N) |
//! | the passing of time | O(log N) for each boundary of a window that an entry crosses |
//!
//! An entry is taken only if its version is newer than the one held: figures also go down, so no «greater than» could
//! stand in for it. Rebuilt from SQL at start. About 150 bytes an entry, however many windows there are: see [`bands`].

mod bands;

use std::sync::{PoisonError, RwLock};

use uuid::Uuid;

use self::bands::Boards;
pub use self::bands::Place;
use super::clock::Millis;

/// What the index holds of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The item.
    pub id: Uuid,
    /// The version of its figures.
    pub version: i64,
    /// Which board it is on, besides the board of all.
    pub board: u8,
    /// What it is ranked by, higher first; `None` is last.
    pub heat: Option<i64>,
    /// Since when it is there, for rankings by window.
    pub since: Millis,
    /// Whether rankings show it.
    pub listed: bool,
}

/// A part of the rankings at a moment.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Of this board; `None`: of all boards.
    pub board: Option<u8>,
    /// Only what is in this window, by its place among the index's; `None`: whatever its age.
    pub window: Option<usize>,
    /// The present moment. It may be earlier than that of the last view.
    pub now: Millis,
}

/// A part of a view: what lies between two places, which need not be taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// How many at most.
    pub size: usize,
    /// From the end of the view towards its beginning.
    pub backward: bool,
    /// Only what comes after this place, in the direction of reading.
    pub from: Option<Place>,
    /// Only what comes before this place, in the direction of reading.
    pub until: Option<Place>,
}

/// Where an item really is, for checks: it is looked for everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is held of it.
    pub standing: Standing,
    /// Each board that ranks it, and its narrowest window there; the number of windows when it is too old for all.
    pub ranked: Vec<(u8, usize)>,
    /// The same, from the order by age.
    pub dated: Vec<(u8, usize)>,
}

/// The rankings of one process.
pub struct RankIndex {
    /// How long an item is in each window, in milliseconds, rising.
    spans: &'static [i64],
    held: RwLock<Boards>,
}

impl RankIndex {
    /// An empty index with windows of these lengths in milliseconds, rising. An item is in a window until that long after
    /// its `since`, that moment included; one whose `since` is yet to come is in every window.
    #[must_use]
    pub fn new(spans: &'static [i64]) -> Self {
        debug_assert!(spans.is_sorted(), "windows nest");
        Self { spans, held: RwLock::new(Boards::new(spans)) }
    }

    /// Takes those of `standings` that are newer than what is held.
    pub fn apply(&self, now: Millis, standings: impl IntoIterator<Item = Standing>) {
        let mut boards = self.held.write().unwrap_or_else(PoisonError::into_inner);
        boards.advance(now);
        for standing in standings {
            boards.take(now, standing);
        }
    }

    /// Puts an item right whatever its version: what is `actual`, or that it is not listed. For repairs, under the lock
    /// that the item's writers take.
    pub fn put(&self, now: Millis, id: Uuid, actual: Option<Standing>) {
        let mut boards = self.held.write().unwrap_or_else(PoisonError::into_inner);
        boards.advance(now);
        let unlisted = || boards.standing(id).map(|held| Standing { listed: false, ..held });
        if let Some(standing) = actual.or_else(unlisted) {
            boards.put(now, standing);
        }
    }

    /// The same without that lock, where `known` is still what is held: what was taken since is left.
    pub fn put_back(&self, now: Millis, known: Standing, actual: Option<Standing>) {
        let mut boards = self.held.write().unwrap_or_else(PoisonError::into_inner);
        boards.advance(now);
        if boards.standing(known.id) == Some(known) {
            boards.put(now, actual.unwrap_or(Standing { listed: false, ..known }));
        }
    }

    /// The best `size` of a view; the first has rank 1.
    #[must_use]
    pub fn top(&self, view: View, size: usize) -> Vec<Standing> {
        self.at(view, |boards| boards.top(view.board, view.window, size))
    }

    /// A slice of a view in the direction of reading, each with its rank: one consistent list.
    #[must_use]
    pub fn slice(&self, view: View, slice: Slice) -> Vec<(usize, Standing)> {
        self.at(view, |boards| boards.slice(view.board, view.window, slice))
    }

    /// The rank of an item in a view, from 1; `None` when it is not listed there.
    #[must_use]
    pub fn rank(&self, view: View, id: Uuid) -> Option<usize> {
        self.at(view, |boards| boards.rank(view.board, view.window, id))
    }

    /// How many items a view has.
    #[must_use]
    pub fn size(&self, view: View) -> usize {
        self.at(view, |boards| boards.size(view.board, view.window))
    }

    /// The first moment at which an item of this `since` is no more in a window.
    #[must_use]
    pub fn leaves_at(&self, window: usize, since: Millis) -> Option<Millis> {
        Some(since.plus(*self.spans.get(window)?).plus(1))
    }

    /// What is held of an item.
    #[must_use]
    pub fn standing(&self, id: Uuid) -> Option<Standing> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).standing(id)
    }

    /// Where an item really is at a moment.
    #[must_use]
    pub fn seen(&self, now: Millis, id: Uuid) -> Option<Seen> {
        self.at(View { board: None, window: Some(0), now }, |boards| boards.seen(id))
    }

    /// Where a standing belongs at a moment: what [`Self::seen`] should be.
    #[must_use]
    pub fn due(&self, now: Millis, standing: Standing) -> Seen {
        let place = bands::band(self.spans, standing.since, now);
        let places = if standing.listed { vec![(standing.board, place)] } else { Vec::new() };
        Seen { standing, ranked: places.clone(), dated: places }
    }

    /// The listed items from the `from`th on, in no order that means anything: for checks, a chunk at a time.
    #[must_use]
    pub fn listed_chunk(&self, from: usize, size: usize) -> Option<Vec<Uuid>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).listed_chunk(from, size)
    }

    /// Looks at the index as it is at the view's moment. Writers wait only when an entry crossed a boundary since.
    fn at<T>(&self, view: View, look: impl FnOnce(&Boards) -> T) -> T {
        let boards = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if view.window.is_none() || boards.holds_at(view.now) {
            return look(&boards);
        }
        drop(boards);
        let mut boards = self.held.write().unwrap_or_else(PoisonError::into_inner);
        boards.advance(view.now);
        look(&boards)
    }
}
