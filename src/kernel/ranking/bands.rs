//! Windows nest, so every item is kept once: in the band of its age, between two windows. A window is the bands up to it,
//! and its ranking is their merge. Time moves the few items at the bands' ends, in both directions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use uuid::Uuid;

use super::{Seen, Slice, Standing};
use crate::kernel::clock::Millis;

/// A place in a ranking, best first: heat, then id, both descending, as in every SQL list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Reverse<i64>, Reverse<Uuid>);

impl Place {
    /// That of an item with this heat.
    #[must_use]
    pub fn new(heat: Option<i64>, id: Uuid) -> Self {
        Self(Reverse(heat.unwrap_or(NO_HEAT)), Reverse(id))
    }
}

/// Stands for «no heat», below all that there can be. 8 bytes less than an `Option`, a million times.
const NO_HEAT: i64 = i64::MIN;

/// A [`Standing`] without its id, which is its key.
struct Item {
    version: i64,
    heat: i64,
    since: Millis,
    board: u8,
    /// The band that it is in, if it is listed.
    band: u8,
    listed: bool,
}

impl Item {
    fn standing(&self, id: Uuid) -> Standing {
        let heat = (self.heat != NO_HEAT).then_some(self.heat);
        Standing { id, version: self.version, board: self.board, heat, since: self.since, listed: self.listed }
    }

    fn place(&self, id: Uuid) -> Place {
        Place(Reverse(self.heat), Reverse(id))
    }
}

/// The items of a board of one age.
#[derive(Default)]
struct Band {
    /// By rank. Counts what is before an item in O(log N), which the standard library's set does not.
    places: indexset::BTreeSet<Place>,
    /// By age, and their place among the items.
    ages: std::collections::BTreeSet<(Millis, usize)>,
}

/// All that an index holds.
pub(super) struct Boards {
    spans: &'static [i64],
    /// Unlisted items stay, so that a late older state cannot bring them back. Nothing is taken out: an item's place is
    /// its name in `ages`.
    items: IndexMap<Uuid, Item>,
    boards: BTreeMap<u8, Vec<Band>>,
    /// The moments, first and last, for which every item is in its right band.
    from: Millis,
    until: Millis,
}

/// The band of an item: how many windows it is too old for.
pub(super) fn band(spans: &[i64], since: Millis, now: Millis) -> usize {
    spans.iter().take_while(|span| since.plus(**span) < now).count()
}

impl Boards {
    pub(super) fn new(spans: &'static [i64]) -> Self {
        let (from, until) = (Millis(i64::MIN), Millis(i64::MAX));
        Self { spans, items: IndexMap::new(), boards: BTreeMap::new(), from, until }
    }

    /// Whether every item is in its right band at `now`.
    pub(super) fn holds_at(&self, now: Millis) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// Notes for how long an item is right in its band.
    fn narrow(&mut self, band: usize, since: Millis) {
        if let Some(span) = self.spans.get(band) {
            self.until = self.until.min(since.plus(*span));
        }
        if let Some(span) = band.checked_sub(1).and_then(|younger| self.spans.get(younger)) {
            self.from = self.from.max(since.plus(*span).plus(1));
        }
    }

    pub(super) fn take(&mut self, now: Millis, new: Standing) {
        if self.items.get(&new.id).is_none_or(|held| held.version < new.version) {
            self.put(now, new);
        }
    }

    /// The same, whatever its version.
    pub(super) fn put(&mut self, now: Millis, new: Standing) {
        if let Some(slot) = self.items.get_index_of(&new.id) {
            self.take_out(slot);
        }
        let band = band(self.spans, new.since, now);
        let item = Item {
            version: new.version,
            heat: new.heat.unwrap_or(NO_HEAT),
            since: new.since,
            board: new.board,
            band: u8::try_from(band).unwrap_or(u8::MAX),
            listed: new.listed,
        };
        let (slot, _) = self.items.insert_full(new.id, item);
        if new.listed {
            self.put_in(slot, band);
        }
    }

    fn put_in(&mut self, slot: usize, band: usize) {
        let Some((id, item)) = self.items.get_index_mut(slot) else { return };
        item.band = u8::try_from(band).unwrap_or(u8::MAX);
        let (place, since) = (item.place(*id), item.since);
        let bands = self.boards.entry(item.board).or_default();
        bands.resize_with(self.spans.len() + 1, Band::default);
        if let Some(band) = bands.get_mut(band) {
            band.places.insert(place);
            band.ages.insert((since, slot));
        }
        self.narrow(band, since);
    }

    fn take_out(&mut self, slot: usize) {
        let Some((id, item)) = self.items.get_index(slot).filter(|(_, item)| item.listed) else { return };
        let bands = self.boards.get_mut(&item.board);
        if let Some(band) = bands.and_then(|bands| bands.get_mut(usize::from(item.band))) {
            band.places.remove(&item.place(*id));
            band.ages.remove(&(item.since, slot));
        }
    }

    /// Moves what crossed a boundary between the moment of the last look and `now`, earlier or later.
    pub(super) fn advance(&mut self, now: Millis) {
        if self.holds_at(now) {
            return;
        }
        let spans = self.spans;
        let mut moved = Vec::new();
        for bands in self.boards.values() {
            for (number, held) in bands.iter().enumerate() {
                let strays = |(since, _): &&(Millis, usize)| band(spans, *since, now) != number;
                let target = |(since, slot): &(Millis, usize)| (*slot, band(spans, *since, now));
                // Who is too old is at the beginning, who is too young (the clock went back) at the end.
                let before = moved.len();
                moved.extend(held.ages.iter().take_while(strays).map(target));
                if moved.len() - before < held.ages.len() {
                    moved.extend(held.ages.iter().rev().take_while(strays).map(target));
                }
            }
        }
        for (slot, band) in moved {
            self.take_out(slot);
            self.put_in(slot, band);
        }
        self.validate();
    }

    /// Reads anew from the bands' ends from when until when they hold.
    fn validate(&mut self) {
        (self.from, self.until) = (Millis(i64::MIN), Millis(i64::MAX));
        let ends = self.boards.values().flat_map(|bands| {
            let ends = bands.iter().map(|band| [band.ages.first(), band.ages.last()]);
            ends.enumerate().flat_map(|(number, ends)| ends.into_iter().flatten().map(move |end| (number, end.0)))
        });
        for (number, since) in ends.collect::<Vec<_>>() {
            self.narrow(number, since);
        }
    }

    /// The bands that a view is made of.
    fn bands(&self, board: Option<u8>, window: Option<usize>) -> impl Iterator<Item = &Band> {
        let most = window.map_or(usize::MAX, |window| window + 1);
        let boards = self.boards.iter().filter(move |(number, _)| board.is_none_or(|board| board == **number));
        boards.flat_map(move |(_, bands)| bands.iter().take(most))
    }

    pub(super) fn top(&self, board: Option<u8>, window: Option<usize>, size: usize) -> Vec<Standing> {
        // A handful of bands: to look at each head costs less than a heap.
        let mut heads: Vec<_> = self.bands(board, window).map(|band| band.places.iter().peekable()).collect();
        let mut top = Vec::with_capacity(size.min(self.items.len()));
        while top.len() < size {
            let best = heads.iter_mut().filter_map(|head| Some((**head.peek()?, head))).min_by_key(|(place, _)| *place);
            let Some((place, head)) = best else { break };
            head.next();
            top.extend(self.standing(place.1.0));
        }
        top
    }

    pub(super) fn slice(&self, board: Option<u8>, window: Option<usize>, slice: Slice) -> Vec<(usize, Standing)> {
        let (low, high) = if slice.backward { (slice.until, slice.from) } else { (slice.from, slice.until) };
        // Of each band the places that are left, from one on and before another. By number: the set's own `range` takes
        // bounds that are in it only.
        let mut left: Vec<_> = self
            .bands(board, window)
            .map(|Band { places, .. }| {
                let first = low.map_or(0, |low| places.rank(&low) + usize::from(places.contains(&low)));
                (places, first, high.map_or(places.len(), |high| places.rank(&high)))
            })
            .collect();
        let mut found = Vec::new();
        while found.len() < slice.size {
            let open = left.iter_mut().filter(|(_, first, last)| first < last);
            let heads = open.filter_map(|left| {
                let at = if slice.backward { left.2 - 1 } else { left.1 };
                Some((*left.0.get_index(at)?, left))
            });
            let next = if slice.backward {
                heads.max_by_key(|(place, _)| *place)
            } else {
                heads.min_by_key(|(place, _)| *place)
            };
            let Some((place, (_, first, last))) = next else { break };
            match slice.backward {
                true => *last -= 1,
                false => *first += 1,
            }
            found.push(place);
        }
        // What was read forward is before the first that is left; backward, the last one has the first rank of its end.
        let before: usize = left.iter().map(|(_, first, last)| if slice.backward { *last } else { *first }).sum();
        let ranks = found.iter().enumerate().map(|(at, place)| {
            let rank = if slice.backward { before + found.len() - at } else { before + 1 + at - found.len() };
            Some((rank, self.standing(place.1.0)?))
        });
        ranks.flatten().collect()
    }

    pub(super) fn rank(&self, board: Option<u8>, window: Option<usize>, id: Uuid) -> Option<usize> {
        let item = self.items.get(&id).filter(|item| item.listed)?;
        let here = board.is_none_or(|board| board == item.board)
            && window.is_none_or(|window| usize::from(item.band) <= window);
        let place = item.place(id);
        here.then(|| 1 + self.bands(board, window).map(|band| band.places.rank(&place)).sum::<usize>())
    }

    pub(super) fn size(&self, board: Option<u8>, window: Option<usize>) -> usize {
        self.bands(board, window).map(|band| band.places.len()).sum()
    }

    pub(super) fn standing(&self, id: Uuid) -> Option<Standing> {
        self.items.get(&id).map(|item| item.standing(id))
    }

    pub(super) fn listed_chunk(&self, from: usize, size: usize) -> Option<Vec<Uuid>> {
        let chunk = self.items.get_range(from..self.items.len().min(from.saturating_add(size)))?;
        (!chunk.is_empty()).then(|| chunk.iter().filter(|(_, item)| item.listed).map(|(id, _)| *id).collect())
    }

    pub(super) fn seen(&self, id: Uuid) -> Option<Seen> {
        let (slot, _, item) = self.items.get_full(&id)?;
        let place = item.place(id);
        let found = |holds: &dyn Fn(&Band) -> bool| {
            let all = self.boards.iter().flat_map(|(board, bands)| bands.iter().enumerate().map(move |b| (*board, b)));
            all.filter(|(_, (_, band))| holds(band)).map(|(board, (number, _))| (board, number)).collect()
        };
        Some(Seen {
            standing: item.standing(id),
            ranked: found(&|band| band.places.contains(&place)),
            dated: found(&|band| band.ages.contains(&(item.since, slot))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RankIndex, View};
    use super::*;

    const SPANS: &[i64] = &[10, 60];
    const ALL: View = View { board: None, window: None, now: Millis(0) };

    fn standing(n: u128, version: i64, heat: Option<i64>) -> Standing {
        Standing { id: Uuid::from_u128(n), version, board: 0, heat, since: Millis(0), listed: true }
    }

    fn order(index: &RankIndex, view: View) -> Vec<u128> {
        index.top(view, 10).iter().map(|standing| standing.id.as_u128()).collect()
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let index = RankIndex::new(SPANS);
        index.apply(Millis(0), [standing(1, 2, Some(5)), standing(2, 1, Some(7))]);
        index.apply(Millis(0), [standing(1, 1, Some(100))]);
        assert_eq!(order(&index, ALL), [2, 1]);
        index.apply(Millis(0), [Standing { listed: false, ..standing(2, 2, Some(7)) }]);
        index.apply(Millis(0), [standing(2, 1, Some(7))]);
        assert_eq!(index.rank(ALL, Uuid::from_u128(2)), None);
        assert_eq!(index.rank(View { board: Some(0), ..ALL }, Uuid::from_u128(1)), Some(1));
    }

    #[test]
    fn ties_go_by_id_and_no_heat_is_last() {
        let index = RankIndex::new(SPANS);
        index.apply(Millis(0), [standing(1, 1, Some(5)), standing(2, 1, Some(5)), standing(3, 1, None)]);
        assert_eq!(order(&index, View { board: Some(0), ..ALL }), [2, 1, 3]);
        assert_eq!(index.rank(ALL, Uuid::from_u128(3)), Some(3));
        assert_eq!(index.standing(Uuid::from_u128(3)), Some(standing(3, 1, None)));
    }

    #[test]
    fn a_window_ends_with_its_last_millisecond_and_time_goes_both_ways() {
        let index = RankIndex::new(SPANS);
        index.apply(Millis(0), [standing(1, 1, Some(5)), Standing { since: Millis(30), ..standing(2, 1, Some(4)) }]);
        let at = |now, window| order(&index, View { board: None, window: Some(window), now: Millis(now) });
        for (now, narrow, wide) in [
            (0, &[1, 2][..], &[1, 2][..]),
            (10, &[1, 2], &[1, 2]),
            (11, &[2], &[1, 2]),
            (60, &[], &[1, 2]),
            (61, &[], &[2]),
            (91, &[], &[]),
            (11, &[2], &[1, 2]),
            (-5, &[1, 2], &[1, 2]),
            (i64::MAX, &[], &[]),
            (i64::MIN, &[1, 2], &[1, 2]),
        ] {
            assert_eq!((at(now, 0).as_slice(), at(now, 1).as_slice()), (narrow, wide), "at {now}");
        }
        assert_eq!(index.leaves_at(0, Millis(30)), Some(Millis(41)));
    }

    #[test]
    fn slices_of_two_bands_are_those_of_a_sorted_list() {
        let seed: u64 = rand::random();
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        let mut pick = |most: u64| rand::RngExt::random_range(&mut random, 0..most);
        let index = RankIndex::new(SPANS);
        // Many ties, some not listed, some too old for the narrow window.
        let all: Vec<_> = (1..=200)
            .map(|n| {
                let (heat, since) = (i64::try_from(pick(20)).unwrap() - 10, Millis(i64::try_from(pick(40)).unwrap()));
                Standing { heat: Some(heat), since, listed: pick(5) > 0, ..standing(n, 1, None) }
            })
            .collect();
        index.apply(Millis(30), all.iter().copied());
        for (window, now) in [(None, 30), (Some(0), 30), (Some(1), 30)] {
            let view = View { board: None, window, now: Millis(now) };
            let listed = index.top(view, 1_000);
            let places: Vec<_> = listed.iter().map(|item| Place::new(item.heat, item.id)).collect();
            assert!(places.is_sorted() && places.len() > 60, "seed {seed}");
            for _ in 0..500 {
                let place = |n: u64| {
                    let heat = i64::try_from(n / 10).unwrap() - 12;
                    Some(Place::new(Some(heat), Uuid::from_u128(u128::from(n)))).filter(|_| !n.is_multiple_of(7))
                };
                let (low, high) = (place(pick(240)), place(pick(240)));
                let between =
                    |place: &Place| low.is_none_or(|low| *place > low) && high.is_none_or(|high| *place < high);
                let mut expected: Vec<_> = (1..).zip(listed.iter().copied()).collect();
                expected.retain(|(rank, _)| between(&places[*rank - 1]));
                let backward = pick(2) == 1;
                let (from, until) = if backward { (high, low) } else { (low, high) };
                if backward {
                    expected.reverse();
                }
                let size = usize::try_from(pick(30)).unwrap();
                expected.truncate(size);
                let found = index.slice(view, Slice { size, backward, from, until });
                assert_eq!(found, expected, "seed {seed}: {size} {backward} {low:?} {high:?}");
            }
        }
    }

    #[test]
    fn what_is_seen_is_what_is_due_unless_something_is_wrong() {
        let index = RankIndex::new(SPANS);
        let (one, other) = (standing(1, 1, Some(5)), Standing { listed: false, ..standing(2, 1, Some(5)) });
        index.apply(Millis(0), [one, other]);
        for now in [0, 11, 61] {
            let now = Millis(now);
            assert_eq!(index.seen(now, one.id), Some(index.due(now, one)));
            assert_eq!(index.seen(now, other.id), Some(index.due(now, other)));
        }
        // By hand, because no call of the index can do it.
        index.held.write().unwrap().boards.get_mut(&0).unwrap()[1].places.insert(Place(Reverse(5), Reverse(one.id)));
        let now = Millis(61);
        assert_ne!(index.seen(now, one.id), Some(index.due(now, one)));
        assert_eq!(index.seen(now, one.id).unwrap().ranked, [(0, 1), (0, 2)]);
    }
}
