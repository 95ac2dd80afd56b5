//! How long a check waits for an index of this process that follows the database: it is a moment behind its writes, and how
//! long that moment is depends on how busy the machine is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a difference lasts before it counts.
const LASTS: Duration = Duration::from_secs(2);
/// The same, once one has just lasted: of an index that is wrong in many places each would cost that much.
const THEN: Duration = Duration::from_millis(200);
/// For so long.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Between two looks.
const STEP: Duration = Duration::from_millis(50);

/// The patience of a check. Begin one wait for each difference.
#[derive(Debug, Default)]
pub struct Patience {
    /// When a wait was last in vain.
    in_vain: Mutex<Option<Instant>>,
}

impl Patience {
    /// Begins to wait.
    #[must_use]
    pub fn begin(&self) -> Wait<'_> {
        let now = Instant::now();
        let in_vain = *self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        let short = in_vain.is_some_and(|at| now < at + REMEMBERED);
        Wait { patience: self, until: now + if short { THEN } else { LASTS } }
    }
}

/// Waits for one difference to go.
#[derive(Debug)]
pub struct Wait<'a> {
    patience: &'a Patience,
    until: Instant,
}

impl Wait<'_> {
    /// Waits until it is time to look again. `false`: for the last time; what still differs then is a drift.
    pub async fn goes_on(&self) -> bool {
        tokio::time::sleep(STEP).await;
        let now = Instant::now();
        let goes_on = now < self.until;
        if !goes_on {
            *self.patience.in_vain.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        goes_on
    }
}
