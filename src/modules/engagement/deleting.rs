//! Deletions. One is accepted at once and durably: from then on there is no such content or user. Its rows go in chunks,
//! by the job `engagement.deletions`, between which other writers come in.
//!
//! A content's rows go as they are: nobody sees its figures any more. What a user did to other people's contents goes
//! through the writer, as if each act had been taken back, so that counts, heat and ranks follow in the same transaction;
//! the servers, whose ranks this process does not hold, are told to read theirs anew. Every step looks at what is left, so that it goes on wherever it was interrupted.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::commands::delete_content::DeleteContent;
use super::commands::forget::Forget;
use super::facade::EngagementFacade;
use super::store::deletions::{self, Target, Trace};
use super::store::{batch, deletions::stuck, in_force};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::events::Event;
use crate::kernel::jobs::JobRun;
use crate::modules::users::UsersFacade;

/// The job.
pub(super) const JOB: &str = "engagement.deletions";
/// Rows of a content that go in one transaction.
const ROWS: u64 = 1_000;
/// Rows of a user, or contents of an author, that are looked up at once.
const FOUND: usize = 2_000;
/// Commands that wait in the writer's queue at once: about one batch, behind which an act of somebody else waits at most.
const COMMANDS: usize = 100;
/// How often, and with which pauses, the end of a deletion looks for writes that may not know of it: a batch takes
/// milliseconds.
const LOOKS: usize = 40;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Accepts the deletion of a user, removes the user's row, and hides all of the user's contents; durable from its first
/// step. Whether it is new.
pub(super) async fn user(engagement: &EngagementFacade, users: &UsersFacade, user: Uuid) -> Result<bool> {
    let kernel = engagement.kernel();
    let (now, id) = (kernel.clock.now(), kernel.ids.next());
    let outbox = kernel.outbox.clone();
    let accepted = kernel.db.write(move |tx| {
        let outbox = outbox.clone();
        Box::pin(async move {
            let new = deletions::user_accept(tx, user, now).await?;
            if new {
                let payload = serde_json::json!({ "userId": user, "at": now });
                // The first and only event of this key.
                let event = Event { id, kind: "engagement.user_deleted", key: user, sequence: 0, at: now, payload };
                outbox.put(tx, &[event]).await?;
            }
            Ok(new)
        })
    });
    let new = accepted.await?;
    kernel.outbox.wake();
    hide(engagement, users, user).await?;
    wake(kernel).await;
    Ok(new)
}

/// Begins the job now. Where it cannot be told, its schedule does.
pub(super) async fn wake(kernel: &Kernel) {
    if let Err(error) = kernel.jobs.wake(JOB).await {
        tracing::warn!(error = error.for_operator(), "a deletion waits for its schedule");
    }
}

/// The user's row goes, and every content of theirs is deleted.
async fn hide(engagement: &EngagementFacade, users: &UsersFacade, user: Uuid) -> Result<()> {
    users.delete(user).await?;
    loop {
        let contents = deletions::content_by_author(&engagement.kernel().db, user, FOUND).await?;
        if contents.is_empty() {
            return Ok(());
        }
        for chunk in contents.chunks(COMMANDS) {
            let delete = |content: &Uuid| {
                let delete = DeleteContent { content: *content, content_kind: None, actor: user, privileged: true };
                engagement.submit_deletion(delete)
            };
            join_all(chunk.iter().map(delete)).await.into_iter().collect::<Result<Vec<bool>>>()?;
        }
    }
}

/// Goes on with every deletion. One that fails leaves the others alone.
pub(super) async fn run(engagement: &EngagementFacade, users: &UsersFacade, run: &JobRun) -> Result<String> {
    let (mut finished, mut rows, mut failed) = (0, 0, None);
    for (target, ends) in [(Target::User, false), (Target::Content, true), (Target::User, true)] {
        let (mut after, mut swept) = (Uuid::nil(), false);
        while let Some(pending) = deletions::pending_next(&run.kernel.db, target, after).await? {
            after = pending;
            let step = match (target, ends) {
                (Target::Content, _) => content(run, pending).await.map(|removed| (removed, true)),
                (Target::User, false) => sweep(engagement, users, run, pending).await.map(|removed| (removed, false)),
                (Target::User, true) => finish(run, pending).await.map(|ended| (0, ended)),
            };
            swept |= (target, ends) == (Target::User, false);
            match step {
                Ok((removed, ended)) => {
                    rows += removed;
                    finished += u64::from(ended);
                }
                Err(error) if [Code::LEASE_LOST, Code::UNAVAILABLE].contains(&error.code()) => return Err(error),
                Err(error) => failed = Some(error),
            }
            run.go_on().await?;
        }
        if swept {
            // Whatever came of it, and whatever a run that was cut off had done before: no deletion ends untold.
            run.write(|tx| Box::pin(in_force::generation_raise(tx))).await?;
        }
    }
    failed.map_or_else(|| Ok(format!("{rows} rows removed, {finished} deletions ended")), Err)
}

/// Removes the rows of a content, and at last the content.
async fn content(run: &JobRun, content: Uuid) -> Result<u64> {
    let mut rows = 0;
    loop {
        let (removed, ended) = run
            .write(move |tx| {
                Box::pin(async move {
                    // As every writer of the content: neither a batch nor a roll-up is in the middle of it.
                    batch::figures_lock(tx, &[content]).await?;
                    let removed = deletions::content_rows_remove(tx, content, ROWS).await?;
                    if removed == 0 {
                        deletions::content_remove(tx, content).await?;
                    } else {
                        deletions::progress_add(tx, content, removed).await?;
                    }
                    Ok((removed, removed == 0))
                })
            })
            .await?;
        rows += removed;
        if ended {
            return Ok(rows);
        }
        run.go_on().await?;
    }
}

/// Removes what a user did, until nothing is left.
async fn sweep(engagement: &EngagementFacade, users: &UsersFacade, run: &JobRun, user: Uuid) -> Result<u64> {
    if !run.write(move |tx| Box::pin(deletions::user_begin(tx, user))).await? {
        return Ok(0);
    }
    hide(engagement, users, user).await?;
    let mut rows = 0;
    loop {
        let traces = deletions::user_traces(&run.kernel.db, user, FOUND).await?;
        if traces.is_empty() {
            break;
        }
        for chunk in forgets(user, traces).chunks(COMMANDS) {
            let outcomes = join_all(chunk.iter().map(|forget| engagement.forget(forget.clone()))).await;
            let removed: u64 = outcomes.into_iter().collect::<Result<Vec<u64>>>()?.into_iter().sum();
            if removed == 0 {
                return Err(stuck(user));
            }
            rows += removed;
            run.write(move |tx| Box::pin(deletions::progress_add(tx, user, removed))).await?;
            run.go_on().await?;
        }
    }
    let size = ROWS.cast_signed();
    while run.write(move |tx| Box::pin(deletions::deleter_forget(tx, user, size))).await? > 0 {
        run.go_on().await?;
    }
    loop {
        let findings = run.write(move |tx| Box::pin(deletions::finding_forget(tx, user, size))).await?;
        if findings == 0 {
            return Ok(rows);
        }
        rows += findings;
        run.go_on().await?;
    }
}

/// One command a content.
fn forgets(user: Uuid, traces: Vec<(Uuid, Trace)>) -> Vec<Forget> {
    let mut forgets: BTreeMap<Uuid, Forget> = BTreeMap::new();
    for (content, trace) in traces {
        let new = || Forget { content, user, comments: Vec::new(), shares: Vec::new() };
        let forget = forgets.entry(content).or_insert_with(new);
        match trace {
            Trace::Behavior => {}
            Trace::Comment(id) => forget.comments.push(id),
            Trace::Share(id) => forget.shares.push(id),
        }
    }
    forgets.into_values().collect()
}

/// Ends the deletion of a user of whom nothing is left; false when writes are under way that may not know of it, and it
/// waits for the next run. Such a write may still have left something: then the next run sweeps again.
async fn finish(run: &JobRun, user: Uuid) -> Result<bool> {
    let mut under_way = deletions::writers_under_way(&run.kernel.db).await?;
    for look in 0..LOOKS {
        if under_way.is_empty() {
            break;
        }
        if look + 1 == LOOKS {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        let still = deletions::writers_under_way(&run.kernel.db).await?;
        under_way.retain(|writer| still.contains(writer));
    }
    match run.write(move |tx| Box::pin(deletions::user_finish(tx, user))).await? {
        true => Ok(true),
        false => {
            Err(Error::internal(format!("something of the deleted user {user} came late; the next run removes it")))
        }
    }
}
