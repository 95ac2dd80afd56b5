//! The rank index: who is first, and which rank an item has, in O(log n), in process. (Rankings by window walk down
//! from the first until they have enough.)
//!
//! An entry is taken only if its version is newer than the one held: figures also go down, so no «greater than» could
//! stand in for it. Rebuilt from SQL at start.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use indexset::BTreeSet;
use uuid::Uuid;

use super::clock::Millis;

/// What the index holds of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Best first: heat, then id, both descending, as in every SQL list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place(Reverse<Option<i64>>, Reverse<Uuid>);

impl Place {
    fn of(standing: &Standing) -> Self {
        Self(Reverse(standing.heat), Reverse(standing.id))
    }
}

/// The rankings of one process.
#[derive(Default)]
pub struct RankIndex(RwLock<Boards>);

#[derive(Default)]
struct Boards {
    /// Unlisted items stay, so that a late older state cannot bring them back.
    standings: HashMap<Uuid, Standing>,
    all: BTreeSet<Place>,
    boards: HashMap<u8, BTreeSet<Place>>,
}

impl Boards {
    fn board(&self, board: Option<u8>) -> Option<&BTreeSet<Place>> {
        match board {
            None => Some(&self.all),
            Some(board) => self.boards.get(&board),
        }
    }

    fn take(&mut self, new: Standing) {
        let old = self.standings.get(&new.id).copied();
        if old.is_some_and(|old| old.version >= new.version) {
            return;
        }
        if let Some(old) = old.filter(|old| old.listed) {
            self.all.remove(&Place::of(&old));
            if let Some(board) = self.boards.get_mut(&old.board) {
                board.remove(&Place::of(&old));
            }
        }
        if new.listed {
            self.all.insert(Place::of(&new));
            self.boards.entry(new.board).or_default().insert(Place::of(&new));
        }
        self.standings.insert(new.id, new);
    }
}

impl RankIndex {
    /// Takes those of `standings` that are newer than what is held.
    pub fn apply(&self, standings: impl IntoIterator<Item = Standing>) {
        let mut boards = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for standing in standings {
            boards.take(standing);
        }
    }

    /// The best `size` of a board (`None`: of all), of those that are there since `since`; the first has rank 1.
    #[must_use]
    pub fn top(&self, board: Option<u8>, since: Option<Millis>, size: usize) -> Vec<Standing> {
        let boards = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(places) = boards.board(board) else {
            return Vec::new();
        };
        places
            .iter()
            .filter_map(|place| boards.standings.get(&place.1.0))
            .filter(|standing| since.is_none_or(|since| standing.since >= since))
            .take(size)
            .copied()
            .collect()
    }

    /// The rank of an item on a board (`None`: among all), from 1; `None` when it is not listed there.
    #[must_use]
    pub fn rank(&self, board: Option<u8>, id: Uuid) -> Option<usize> {
        let boards = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let standing = boards.standings.get(&id).filter(|standing| standing.listed)?;
        let places = boards.board(board)?;
        let place = Place::of(standing);
        places.contains(&place).then(|| places.rank(&place) + 1)
    }

    /// What is held of an item.
    #[must_use]
    pub fn standing(&self, id: Uuid) -> Option<Standing> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).standings.get(&id).copied()
    }

    /// How many items are listed on a board (`None`: on all).
    #[must_use]
    pub fn size(&self, board: Option<u8>) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).board(board).map_or(0, BTreeSet::len)
    }

    /// How many items are listed.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(n: u128, version: i64, heat: Option<i64>) -> Standing {
        Standing { id: Uuid::from_u128(n), version, board: 0, heat, since: Millis(0), listed: true }
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let index = RankIndex::default();
        index.apply([standing(1, 2, Some(5)), standing(2, 1, Some(7))]);
        index.apply([standing(1, 1, Some(100))]);
        let order: Vec<_> = index.top(None, None, 10).iter().map(|standing| standing.id.as_u128()).collect();
        assert_eq!(order, [2, 1]);
        index.apply([Standing { listed: false, ..standing(2, 2, Some(7)) }]);
        index.apply([standing(2, 1, Some(7))]);
        assert_eq!(index.rank(None, Uuid::from_u128(2)), None);
        assert_eq!(index.rank(Some(0), Uuid::from_u128(1)), Some(1));
    }

    #[test]
    fn ties_go_by_id_and_no_heat_is_last() {
        let index = RankIndex::default();
        index.apply([standing(1, 1, Some(5)), standing(2, 1, Some(5)), standing(3, 1, None)]);
        let order: Vec<_> = index.top(Some(0), None, 10).iter().map(|standing| standing.id.as_u128()).collect();
        assert_eq!(order, [2, 1, 3]);
        assert_eq!(index.rank(None, Uuid::from_u128(3)), Some(3));
    }
}
