//! `tally events`

use serde::Serialize;
use uuid::Uuid;

use super::{OK, open_migrated, say};
use crate::app::App;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::events::{self, Backlog, SetAside};
use crate::kernel::module::Modules;

/// Events that are listed at most.
const MOST: i64 = 1000;

#[derive(clap::Args)]
pub(super) struct Options {
    /// List the events that are set aside, oldest first, with their errors; 1,000 at most.
    #[arg(long)]
    failed: bool,
    /// Only this consumer's.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Put an event that is set aside back: it is delivered again at once, before later ones of its key that wait.
    #[arg(long, value_name = "ID", conflicts_with_all = ["failed", "json"])]
    replay: Option<Uuid>,
    /// Remove an event that is set aside: it will have no effect, and there is no way back.
    #[arg(long, value_name = "ID", conflicts_with_all = ["failed", "json", "replay"])]
    discard: Option<Uuid>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One consumer as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    consumer: &'a str,
    /// Whether a module of this binary declares it; if not, its events stay.
    known: bool,
    waiting: i64,
    parked: i64,
    set_aside: i64,
    oldest_age_secs: Option<i64>,
}

/// One failed event as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    id: Uuid,
    consumer: &'a str,
    kind: &'a str,
    key: Uuid,
    sequence: i64,
    at: String,
    attempts: i64,
    set_aside_at: String,
    error: &'a str,
    payload: serde_json::Value,
}

pub(super) async fn run<A: App>(options: &Options) -> Result<u8> {
    let (kernel, modules) = open_migrated::<A>().await?;
    let backlogs = all_backlogs(&kernel, &modules).await?;
    if let Some(name) = &options.consumer
        && !backlogs.iter().any(|(backlog, _)| backlog.consumer == *name)
    {
        let all: Vec<_> = backlogs.iter().map(|(backlog, _)| backlog.consumer.as_str()).collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        return Err(Error::not_found(format!("there is no consumer {name}; there are {all}")));
    }
    let consumer = options.consumer.as_deref();
    match (options.replay, options.discard) {
        (Some(id), _) => replay(&kernel, id, consumer).await?,
        (None, Some(id)) => discard(&kernel, id, consumer).await?,
        (None, None) if options.failed => {
            let failed = events::set_aside_page(&kernel.db, consumer, MOST).await?;
            show_failed(&failed, options.json)?;
        }
        (None, None) => {
            let chosen = backlogs.iter().filter(|(backlog, _)| consumer.is_none_or(|name| name == backlog.consumer));
            let now = kernel.clock.now();
            let lines: Vec<_> = chosen.map(|(backlog, known)| line(backlog, *known, now)).collect();
            show(&lines, options.json)?;
        }
    }
    kernel.db.close().await?;
    Ok(OK)
}

/// Of the declared consumers, with or without rows, and of those that nobody declares any more.
pub(super) async fn all_backlogs(kernel: &Kernel, modules: &Modules) -> Result<Vec<(Backlog, bool)>> {
    let declared: Vec<_> = modules.consumers().iter().map(|declared| declared.consumer).collect();
    let found = events::backlogs(&kernel.db, kernel.clock.now()).await?;
    let missing = declared.iter().filter(|name| !found.iter().any(|backlog| backlog.consumer == **name));
    let empty = missing.map(|name| Backlog { consumer: (*name).to_owned(), ..Backlog::default() });
    let mut all: Vec<_> = empty
        .chain(found.clone())
        .map(|backlog| {
            let known = declared.contains(&backlog.consumer.as_str());
            (backlog, known)
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.consumer.cmp(&b.consumer));
    Ok(all)
}

async fn replay(kernel: &Kernel, id: Uuid, consumer: Option<&str>) -> Result<()> {
    let (now, owned) = (kernel.clock.now(), consumer.map(str::to_owned));
    let replayed = kernel.db.write(move |tx| {
        let consumer = owned.clone();
        Box::pin(async move { events::replay(tx, id, consumer.as_deref(), now).await })
    });
    for consumer in found(id, consumer, replayed.await?)? {
        say(format_args!("{id} will be delivered to {consumer} again"));
    }
    Ok(())
}

async fn discard(kernel: &Kernel, id: Uuid, consumer: Option<&str>) -> Result<()> {
    let owned = consumer.map(str::to_owned);
    let discarded = kernel.db.write(move |tx| {
        let consumer = owned.clone();
        Box::pin(async move { events::discard(tx, id, consumer.as_deref()).await })
    });
    for consumer in found(id, consumer, discarded.await?)? {
        say(format_args!("{id} is discarded: {consumer} will never have it"));
    }
    Ok(())
}

fn found(id: Uuid, consumer: Option<&str>, of: Vec<String>) -> Result<Vec<String>> {
    if !of.is_empty() {
        return Ok(of);
    }
    let whose = consumer.map(|name| format!(" for {name}")).unwrap_or_default();
    Err(Error::not_found(format!("no event {id} is set aside{whose}: `tally events --failed` lists those that are")))
}

fn line(backlog: &Backlog, known: bool, now: Millis) -> Line<'_> {
    Line {
        consumer: &backlog.consumer,
        known,
        waiting: backlog.waiting,
        parked: backlog.parked,
        set_aside: backlog.set_aside,
        oldest_age_secs: backlog.oldest_at.map(|at| (now.0 - at.0).max(0) / 1000),
    }
}

fn show(lines: &[Line<'_>], json: bool) -> Result<()> {
    if json {
        say(serde_json::to_string_pretty(lines).map_err(Error::internal)?);
        return Ok(());
    }
    let width = lines.iter().map(|line| line.consumer.len()).max().unwrap_or(0).max(8);
    let heads = ("consumer", "waiting", "parked", "set aside", "oldest");
    say(format_args!("{:<width$}  {:>9}  {:>9}  {:>9}  {:>9}", heads.0, heads.1, heads.2, heads.3, heads.4));
    for line in lines {
        let oldest = line.oldest_age_secs.map_or("-".to_owned(), |secs| format!("{secs} s"));
        let Line { consumer, waiting, parked, set_aside, .. } = line;
        let gone = if line.known { "" } else { "  no module has this consumer: its events stay" };
        say(format_args!("{consumer:<width$}  {waiting:>9}  {parked:>9}  {set_aside:>9}  {oldest:>9}{gone}"));
    }
    Ok(())
}

fn show_failed(failed: &[SetAside], json: bool) -> Result<()> {
    if json {
        let shown = failed.iter().map(|event| Failed {
            id: event.id,
            consumer: &event.consumer,
            kind: &event.kind,
            key: event.key,
            sequence: event.sequence,
            at: event.created_at.to_text(),
            attempts: event.attempts,
            set_aside_at: event.set_aside_at.to_text(),
            error: &event.error,
            payload: serde_json::from_str(&event.payload).unwrap_or_default(),
        });
        say(serde_json::to_string_pretty(&shown.collect::<Vec<_>>()).map_err(Error::internal)?);
        return Ok(());
    }
    if failed.is_empty() {
        say("no event is set aside");
    }
    for event in failed {
        let SetAside { id, consumer, kind, key, sequence, attempts, error, payload, .. } = event;
        say(format_args!("{id}  {consumer}  {kind}  of {key}, sequence {sequence}"));
        say(format_args!("  {attempts} tries, set aside {}: {error}", event.set_aside_at.to_text()));
        say(format_args!("  {payload}"));
    }
    Ok(())
}
