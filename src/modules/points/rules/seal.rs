//! A row of the register as it was written: a seal over all of its columns, as incidents have one.

use super::{Known, Subject};
use crate::modules::points::ledger::hash;

/// Begins what is hashed.
const ACT: &[u8] = b"tally/points/act/1";

/// The seal of what is known of an act, in the lane of its row. Described in `docs/points-ledger.md`.
pub(in super::super) fn seal(lane: i16, subject: Subject, known: Known) -> Vec<u8> {
    let Subject { author, act, content, id } = subject;
    let award = known.award.map(|award| award.id.into_bytes());
    let numbers = [
        known.sequence,
        known.at.0,
        known.day,
        known.award.map_or(0, |award| award.points),
        known.award.map_or(0, |award| award.day_most),
    ];
    let numbers = numbers.map(i64::to_be_bytes);
    let (lane, rule) = (lane.to_be_bytes(), act.number().to_be_bytes());
    let ids = [author, content, id].map(uuid::Uuid::into_bytes);
    let head = [ACT, &lane, &rule].into_iter().chain(ids.iter().map(|id| &id[..]));
    let award = award.as_ref().map_or(&[][..], |id| &id[..]);
    hash(head.chain([award]).chain(numbers.iter().map(|number| &number[..])))
}
