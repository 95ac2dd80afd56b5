//! `engagement.retention`: what is kept for a time only goes, in chunks between which other writers come in.

use std::sync::Arc;

use uuid::Uuid;

use super::facade::EngagementFacade;
use super::store::retention as store;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::jobs::JobRun;

/// Rows that go in one transaction.
const ROWS: usize = 500;
/// Contents whose history is looked at at once.
const CONTENTS: usize = 256;

/// Removes tombstones, and rows of hot history, whose time is over.
pub(super) async fn run(engagement: &EngagementFacade, run: &JobRun) -> Result<String> {
    let before = engagement.oldest_told();
    let mut tombstones = [0, 0];
    for (kind, pruned) in tombstones.iter_mut().enumerate() {
        loop {
            let found = run.write(move |tx| {
                Box::pin(async move {
                    match kind {
                        0 => store::behavior_prune(tx, before, ROWS).await,
                        _ => store::comment_prune(tx, before, ROWS).await,
                    }
                })
            });
            let found = found.await?;
            *pruned += found;
            if found < ROWS {
                break;
            }
            run.go_on().await?;
        }
        run.go_on().await?;
    }
    let [behaviors, comments] = tombstones;
    let history = match run.kernel.settings.count("engagement.history_days") {
        0 => 0,
        days => history(run, run.kernel.clock.now().plus(-i64::from(days) * Millis::DAY)).await?,
    };
    Ok(format!("{behaviors} tombstones, {comments} deleted comments and {history} rows of history removed"))
}

/// Removes rows of history of before `before`, but never the newest of a content: it says what was announced last.
async fn history(run: &JobRun, before: Millis) -> Result<u64> {
    let (mut after, mut removed) = (Some((i16::MIN, Uuid::nil())), 0);
    while let Some(from) = after {
        let (old, next) = store::history_old(&run.kernel.db, from, before, CONTENTS).await?;
        let old: Arc<[_]> = old.into();
        while !old.is_empty() {
            let chunk = Arc::clone(&old);
            let gone = run.write(move |tx| {
                let chunk = Arc::clone(&chunk);
                Box::pin(async move { store::history_prune(tx, &chunk, ROWS).await })
            });
            let gone = gone.await?;
            removed += gone;
            run.go_on().await?;
            if gone < ROWS as u64 {
                break;
            }
        }
        run.go_on().await?;
        after = next;
    }
    Ok(removed)
}
