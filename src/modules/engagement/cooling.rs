//! The cooling timer: announces the levels that end by themselves, at their moment.

use uuid::Uuid;

use super::facade::EngagementFacade;
use super::store::due;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::jobs::JobRun;

/// Contents cooled at once: one batch, between two of which other writers come in.
const CHUNK: usize = 250;
/// Before all that can be due.
const START: due::Due = (Millis(i64::MIN), Uuid::nil());

/// Whether any level's time has come.
pub(super) async fn is_due(kernel: &Kernel) -> Result<bool> {
    let first = due::content_due(&kernel.db, kernel.clock.now(), START, 1).await?;
    Ok(!first.is_empty())
}

/// Cools whatever is due, once each: a content that has been cooled is due later or never. Safe on several servers at
/// once, because each looks again under the lock.
pub(super) async fn run(engagement: &EngagementFacade, run: &JobRun) -> Result<String> {
    let (now, db) = (engagement.now(), &engagement.kernel().db);
    let (mut after, mut cooled) = (START, 0_usize);
    let mut failed: Option<Error> = None;
    loop {
        let due = due::content_due(db, now, after, CHUNK).await?;
        let Some(last) = due.last().copied() else { break };
        for outcome in futures_util::future::join_all(due.iter().map(|(_, id)| engagement.cool(*id))).await {
            match outcome {
                Ok(changed) => cooled += usize::from(changed),
                // No room or no database: the rest waits for the next tick. Otherwise one leaves its neighbours alone.
                Err(error) if [Code::OVERLOADED, Code::UNAVAILABLE].contains(&error.code()) => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        if due.len() < CHUNK {
            break;
        }
        // Forward only: what stays due for whatever reason is not tried for ever.
        after = last;
        run.go_on().await?;
    }
    failed.map_or_else(|| Ok(format!("{cooled} contents cooled")), Err)
}
