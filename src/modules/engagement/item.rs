//! One content in work: its figures and masses, and what time and acts do to them.

use std::sync::Arc;

use uuid::Uuid;

use super::content::{ContentInfo, ContentRecord, Figures, Status};
use super::hotness::{Fact, Hotness, Level};
use super::masses::{Masses, Sums};
use super::work::{Cause, Work};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;

/// `calculation_method` of a row that a command wrote.
pub(super) const REALTIME: i16 = 0;
/// `calculation_method` of a row of a moment at which time alone changed the level.
pub(super) const SCHEDULED: i16 = 1;
/// `calculation_method` of a row that a recalculation wrote.
pub(super) const RECALCULATION: i16 = 2;
/// `calculation_method` of a row that an import wrote.
pub(super) const IMPORT: i16 = 4;

/// Masses of a version that is not in force yet.
pub(super) struct Next {
    pub(super) hotness: Arc<Hotness>,
    pub(super) masses: Masses,
}

/// What to add to masses, so that they are what the facts add up to.
#[derive(Default)]
pub(super) struct Correction {
    in_force: Sums,
    next: Option<Sums>,
}

/// A content in work.
pub(super) struct Item {
    pub(super) info: Arc<ContentInfo>,
    pub(super) figures: Figures,
    /// The figures before the batch; `None` for a new content.
    pub(super) before: Option<Figures>,
    pub(super) masses: Masses,
    /// What a recalculation under way has already made of it: kept up with those in force.
    pub(super) next: Option<Next>,
    /// What the facts say and the masses do not, when somebody asked for a recalculation of this content.
    pub(super) correction: Option<Result<Correction>>,
    /// An author's key of a new content.
    pub(super) client_key: Option<String>,
    pub(super) status_changed: bool,
    /// Whether this batch accepts its deletion.
    pub(super) deleted_now: bool,
    /// The last cause, once something changed.
    pub(super) cause: Option<Cause>,
    /// Whether anything but a recalculation changed it.
    pub(super) somebody: bool,
    /// Whether an import brought what is new.
    pub(super) imported: bool,
    /// Whether the heat changed since the level was announced.
    pub(super) unsettled: bool,
    /// Whether its announced level is that of the moment at which its settings came into force: nobody did anything.
    settled_anew: bool,
    /// The level of the newest row of history; a new content has none yet.
    recorded: Option<i16>,
    /// Rows of history to be, one a moment, in their order.
    pub(super) history: Vec<Moment>,
}

/// A row of history to be, before it has an id.
pub(super) struct Moment {
    pub(super) at: Millis,
    pub(super) level: i16,
    pub(super) score: f64,
    pub(super) method: i16,
}

impl Item {
    /// A content that is there.
    pub(super) fn stored(info: ContentInfo, figures: Figures) -> Self {
        Self {
            info: Arc::new(info),
            figures,
            before: Some(figures),
            masses: Masses::default(),
            next: None,
            correction: None,
            client_key: None,
            status_changed: false,
            deleted_now: false,
            cause: None,
            somebody: false,
            imported: false,
            unsettled: false,
            settled_anew: false,
            recorded: Some(figures.hot_level),
            history: Vec::new(),
        }
    }

    /// A content to be, without a mass yet.
    pub(super) fn new(work: &Work<'_>, info: ContentInfo, client_key: Option<String>) -> Self {
        let at = info.published_at;
        let figures = Figures {
            version: 0,
            like_count: 0,
            favorite_count: 0,
            comment_count: 0,
            share_count: 0,
            view_count: 0,
            heat: None,
            wake_at: None,
            hot_level: Level::New.number(),
            hot_score: 0.0,
            last_hot_update: at,
            last_history_at: at,
            heat_version: work.hotness.heat.version,
        };
        let next = work.next.clone().map(|hotness| Next { hotness, masses: Masses::default() });
        Self { before: None, client_key, next, recorded: None, ..Self::stored(info, figures) }
    }

    /// What the one who asked gets.
    pub(super) fn record(&self) -> ContentRecord {
        ContentRecord { info: Arc::clone(&self.info), figures: self.figures }
    }

    /// Adds facts to the masses, or takes them back; all or nothing.
    ///
    /// # Errors
    /// When a sum does not fit: the facts are then refused.
    pub(super) fn add(&mut self, hotness: &Hotness, fact: &Fact) -> Result<()> {
        let overflow = || Error::internal(format!("the mass of content {} overflows", self.info.id));
        let sum = self.masses.sum(&hotness.heat, fact).ok_or_else(overflow)?;
        if let Some(next) = &mut self.next {
            let sum = next.masses.sum(&next.hotness.heat, fact).ok_or_else(overflow)?;
            next.masses.set(sum);
        }
        self.masses.set(sum);
        Ok(())
    }

    /// Adds several facts, or none of them.
    ///
    /// # Errors
    /// When a sum does not fit.
    pub(super) fn add_each(&mut self, hotness: &Hotness, facts: &[Fact]) -> Result<()> {
        for (done, fact) in facts.iter().enumerate() {
            if let Err(error) = self.add(hotness, fact) {
                for undone in facts.iter().take(done).rev() {
                    self.add(hotness, &Fact { count: -undone.count, ..*undone })?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Compares the masses with those that the facts add up to.
    pub(super) fn compare(&mut self, in_force: Option<Sums>, next: Option<Sums>) {
        let fits = |sums: Option<Sums>| {
            sums.ok_or_else(|| Error::internal(format!("the mass of content {} overflows", self.info.id)))
        };
        let corrected = fits(in_force).and_then(|sums| {
            let next = self.next.as_ref().map(|held| Ok::<_, Error>(held.masses.short_of(&fits(next)?))).transpose()?;
            Ok(Correction { in_force: self.masses.short_of(&sums), next })
        });
        self.correction = Some(corrected);
    }

    /// The version to come, where this content is done for it.
    pub(super) fn next_hotness(&self) -> Option<Arc<Hotness>> {
        self.next.as_ref().map(|next| Arc::clone(&next.hotness))
    }

    /// Adds what was missing. Whether anything was.
    ///
    /// # Errors
    /// When a sum does not fit.
    pub(super) fn correct(&mut self, correction: &Correction) -> Result<bool> {
        let overflow = || Error::internal(format!("the mass of content {} overflows", self.info.id));
        let mut changed = self.masses.add_all(&correction.in_force).ok_or_else(overflow)?;
        if let (Some(next), Some(sums)) = (&mut self.next, &correction.next) {
            changed |= next.masses.add_all(sums).ok_or_else(overflow)?;
        }
        Ok(changed)
    }

    /// The figures as they would be if everything were made anew at a moment.
    pub(super) fn made_anew(&self, hotness: &Hotness, at: Millis) -> Figures {
        made_with(self.figures, &self.info, hotness, self.masses.sums(), at)
    }

    /// Notes a change: a new version, the heat of the masses, and the time. What faded before that moment unobserved
    /// goes into history first, as the timer would have written it.
    pub(super) fn touch(&mut self, hotness: &Hotness, cause: Cause, at: Millis) {
        if self.figures.wake_at.is_some_and(|wake_at| wake_at < at) || self.unsettled && self.settled_at() < at {
            self.announce(hotness);
            self.fade(hotness, at.plus(-1));
        }
        self.note(cause);
        self.unsettled = true;
        self.figures.heat = hotness.heat.heat(self.info.quality, self.masses.sums());
        self.figures.last_hot_update = self.figures.last_hot_update.max(at);
    }

    /// From now on there is no such content; its rows go later. Its keys are free, and no level of it ends.
    pub(super) fn delete(&mut self) {
        let info = Arc::make_mut(&mut self.info);
        (info.deleted, info.status, info.external_id) = (true, Status::Unpublished, None);
        (self.deleted_now, self.unsettled, self.figures.wake_at) = (true, false, None);
        self.note(Cause::Unpublished);
    }

    /// Levels that ended between being made and coming into force were never in force: nobody is told of them, and the
    /// row of history of that moment is written by whoever empties what was in force before.
    pub(super) fn came_into_force(&mut self, hotness: &Hotness, at: Millis) {
        if self.settled_at() < at && self.figures.wake_at.is_some_and(|wake_at| wake_at <= at) {
            self.set_level(hotness, at);
            self.figures.last_history_at = at;
            self.recorded = Some(self.figures.hot_level);
            if let Some(before) = &mut self.before {
                before.hot_level = self.figures.hot_level;
            }
            self.settled_anew = true;
        }
    }

    /// Fades until a moment, that one included; whether anything changed.
    pub(super) fn cool(&mut self, hotness: &Hotness, until: Millis) -> bool {
        let acted = self.unsettled;
        self.announce(hotness);
        let cooled = self.fade(hotness, until);
        // What acts of this batch left lasts: it is theirs to announce, with its row of history, when the batch ends.
        self.unsettled = acted && !cooled;
        if cooled {
            self.note(Cause::Cooled);
        } else if self.settled_anew && !acted {
            self.note(Cause::Recalculated);
        }
        cooled || self.settled_anew
    }

    fn note(&mut self, cause: Cause) {
        self.cause = Some(cause);
        self.somebody |= cause != Cause::Recalculated;
        self.figures.version = self.before.map_or(0, |before| before.version) + 1;
    }

    /// The moment that the announced level is of: the last interaction's, or a later one at which a level ended.
    pub(super) fn settled_at(&self) -> Millis {
        self.figures.settled_at()
    }

    /// Announces the level that the last interaction left, and when it ends.
    pub(super) fn announce(&mut self, hotness: &Hotness) {
        if std::mem::take(&mut self.unsettled) {
            let at = self.settled_at();
            self.set_level(hotness, at);
        }
    }

    fn set_level(&mut self, hotness: &Hotness, at: Millis) {
        let (heat, published_at) = (self.figures.heat, self.info.published_at);
        self.figures.hot_level = hotness.level(heat, published_at, at).number();
        self.figures.hot_score = hotness.heat.score(heat, at);
        self.figures.wake_at = hotness.next_change(heat, published_at, at);
    }

    /// Ends every level that ends by `until`: a row of history each, at its computed moment. Moments are compared, never
    /// scores, and each next one is later: it cannot spin.
    fn fade(&mut self, hotness: &Hotness, until: Millis) -> bool {
        let mut faded = false;
        while let Some(at) = self.figures.wake_at.filter(|at| *at <= until) {
            // What acts of this batch announced before, and nobody has recorded yet.
            let settled_at = self.settled_at();
            self.write_down(settled_at, REALTIME, i64::MAX);
            self.set_level(hotness, at);
            self.write_down(at, SCHEDULED, i64::MAX);
            // Also where thresholds were set anew meanwhile and no level ended: the moment counts as looked at.
            self.figures.last_history_at = at;
            faded = true;
        }
        faded
    }

    /// A row of history, if the level is another than that of the newest row, or that one is older than the interval.
    pub(super) fn write_down(&mut self, at: Millis, method: i16, interval_ms: i64) {
        let level = self.figures.hot_level;
        if self.recorded != Some(level) || at.0.saturating_sub(self.figures.last_history_at.0) >= interval_ms {
            self.recorded = Some(level);
            self.figures.last_history_at = at;
            self.history.push(Moment { at, level, score: self.figures.hot_score, method });
        }
    }
}

/// The id of a row of history: ordered by its moment, and within one millisecond by the version that wrote it.
pub(super) fn history_id(ids: &Ids, at: Millis, version: i64) -> Uuid {
    let mut bytes = *ids.at(at).as_bytes();
    let [.., high, low] = version.to_be_bytes();
    // The 12 bits of a UUIDv7 after its version, which RFC 9562 gives to a counter.
    (bytes[6], bytes[7]) = (0x70 | high & 0x0F, low);
    Uuid::from_bytes(bytes)
}

/// Figures with everything that follows from masses: heat, and level, score and next change at a moment.
pub(super) fn made_with(figures: Figures, info: &ContentInfo, hotness: &Hotness, masses: &Sums, at: Millis) -> Figures {
    let heat = hotness.heat.heat(info.quality, masses);
    Figures {
        heat,
        wake_at: hotness.next_change(heat, info.published_at, at),
        hot_level: hotness.level(heat, info.published_at, at).number(),
        hot_score: hotness.heat.score(heat, at),
        heat_version: hotness.heat.version,
        ..figures
    }
}
