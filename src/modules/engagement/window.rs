//! How long ago something was published: the windows of lists and rankings.

use crate::kernel::clock::Millis;

/// How long ago something was published. What is published in the future, by a clock that went back since, counts as
/// published just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
pub enum TimeWindow {
    /// Within the last hour.
    H1,
    /// Within the last 6 hours.
    H6,
    /// Within the last 24 hours.
    H24,
    /// Within the last 7 days.
    D7,
    /// Within the last 30 days.
    D30,
    /// At any time.
    All,
}

/// The lengths of the windows in milliseconds, in their order: those of the rank index.
pub(super) const SPANS: &[i64] = &[Millis::HOUR, 6 * Millis::HOUR, Millis::DAY, 7 * Millis::DAY, 30 * Millis::DAY];

impl TimeWindow {
    /// Its place among [`SPANS`]; none for all times.
    #[must_use]
    pub(super) fn number(self) -> Option<usize> {
        Some(self as usize).filter(|number| *number < SPANS.len())
    }

    /// The earliest moment of publishing that is within it; none for all times.
    #[must_use]
    pub(super) fn since(self, now: Millis) -> Option<Millis> {
        SPANS.get(self as usize).map(|span| now.plus(-span))
    }
}
