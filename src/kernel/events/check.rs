//! The check of the outbox: nothing waits for long, and nothing is set aside unseen.

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::store::{self, Late};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};

/// Its age from which an undelivered event is late, in seconds; 0: nobody asks.
const LATE_SECS: &str = "integrity.outbox_secs";

/// Each consumer's events: delivered in time, or said to be late or set aside. An item is a consumer.
pub(crate) struct Undelivered;

/// Consumers have names and no ids.
fn key(consumer: &str) -> Key {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(consumer.as_bytes())[..16]);
    (0, Uuid::from_bytes(bytes))
}

async fn consumers(kernel: &Kernel) -> Result<Vec<Late>> {
    let secs = i64::from(kernel.settings.count(LATE_SECS));
    if secs == 0 {
        return Ok(Vec::new());
    }
    store::late(&kernel.db, kernel.clock.now().plus(-secs * 1000)).await
}

fn drifts(late: &Late, secs: u32) -> Vec<Drift> {
    let drift =
        |field: String, stored: String| Drift { id: late.consumer.clone(), field, stored, actual: "0".to_owned() };
    let mut drifts = Vec::new();
    if let Some(oldest) = late.oldest_at.filter(|_| late.late > 0) {
        let stored = format!("{}, the oldest of {}", late.late, oldest.to_text());
        drifts.push(drift(format!("events undelivered for more than {secs} s"), stored));
    }
    if late.set_aside > 0 {
        drifts.push(drift("events set aside".to_owned(), late.set_aside.to_string()));
    }
    drifts
}

#[async_trait]
impl Check for Undelivered {
    fn module(&self) -> &'static str {
        "kernel"
    }

    fn name(&self) -> &'static str {
        "outbox"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "`tally events --failed` lists what is set aside, each with its error: mend the cause, then \
             `tally events --replay ID`, or `--discard ID`; events that only wait need a server or a worker that \
             delivers, see `tally events` and `tally status`",
        )
    }

    /// All consumers at once: there are a few.
    async fn scan(&self, kernel: &Kernel, _: Option<Key>, _: usize) -> Result<Chunk> {
        let found = consumers(kernel).await?;
        let wrong = found.iter().filter(|late| late.late + late.set_aside > 0);
        let suspects = wrong.map(|late| key(&late.consumer)).collect();
        Ok(Chunk { checked: found.len() as u64, suspects, next: None })
    }

    /// No lock: what is delivered in between is not late any more.
    async fn confirm(&self, kernel: &Kernel, wanted: Key) -> Result<Vec<Drift>> {
        let secs = kernel.settings.count(LATE_SECS);
        let found = consumers(kernel).await?;
        Ok(found.iter().filter(|late| key(&late.consumer) == wanted).flat_map(|late| drifts(late, secs)).collect())
    }
}
