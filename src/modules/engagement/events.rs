//! What listeners are told.

use uuid::Uuid;

use super::content::ContentRecord;
use super::hotness::Level;
pub use super::work::Cause;
use crate::kernel::live::Conflate;

/// A content's hotness changed.
#[derive(Clone, Debug)]
pub struct HotnessEvent {
    /// The content after it.
    pub content: ContentRecord,
    /// The score without it, at the same moment.
    pub previous_score: f64,
    /// The level without it, at the same moment; when it cooled, the one announced before.
    pub previous_level: Level,
    /// Why; of several within one interval, the last.
    pub cause: Cause,
}

impl Conflate for HotnessEvent {
    type Key = Uuid;
    type Topic = Uuid;

    fn key(&self) -> Uuid {
        self.content.info.id
    }

    fn topic(&self) -> Uuid {
        self.content.info.id
    }

    fn absorb(&mut self, newer: Self) {
        // Batches of one content come in order, but a version says so for certain.
        if newer.content.figures.version > self.content.figures.version {
            let (score, level) = (self.previous_score, self.previous_level);
            *self = Self { previous_score: score, previous_level: level, ..newer };
        }
    }
}
