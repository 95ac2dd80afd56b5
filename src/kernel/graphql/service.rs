//! How modules serve clients, for operators; and the timing of every root field.

use std::collections::HashMap;
use std::time::Instant;

use async_graphql::{Context, ServerError, ServerResult, SimpleObject, Value};

use super::Count;
use crate::kernel::auth::Root;
use crate::kernel::error::Error;
use crate::kernel::module::ModuleDecl;
use crate::kernel::telemetry::{Metrics, ModuleServed, Outcome};

/// Whose each root field is, with its metrics; in the schema's data.
pub struct FieldOwners(HashMap<Root, HashMap<String, ModuleServed>>);

impl FieldOwners {
    /// Of these modules, and of the kernel.
    #[must_use]
    pub fn of(modules: &[ModuleDecl], metrics: &Metrics) -> Self {
        let mut owners = HashMap::<Root, HashMap<String, ModuleServed>>::new();
        let own = ("kernel", super::CORE_ACCESS);
        for (module, access) in modules.iter().map(|module| (module.name, module.access)).chain([own]) {
            let served = metrics.served(module);
            for (root, field, _) in access.iter().filter(|(root, ..)| *root != Root::Subscription) {
                owners.entry(*root).or_default().insert((*field).to_owned(), served.clone());
            }
        }
        Self(owners)
    }
}

/// Times a root field and counts how it ends.
pub(super) async fn served(
    ctx: &Context<'_>,
    root: Root,
    resolving: impl Future<Output = ServerResult<Option<Value>>>,
) -> ServerResult<Option<Value>> {
    let owners = ctx.data_opt::<std::sync::Arc<FieldOwners>>().and_then(|owners| owners.0.get(&root));
    let served = owners.and_then(|owners| owners.get(ctx.item.node.name.node.as_str()));
    // Monotonic: a duration decides nothing, so that it need not be injected.
    let started = Instant::now();
    let resolved = resolving.await;
    if let Some(served) = served {
        served.ended(resolved.as_ref().map_or_else(outcome, |_| Outcome::Ok), started.elapsed());
    }
    resolved
}

/// As clients are told of it: an error without tally's own behind it is the library's, of what does not fit the schema.
fn outcome(error: &ServerError) -> Outcome {
    let ours = error.source::<Error>().is_some_and(Error::is_ours);
    if ours { Outcome::Failed } else { Outcome::Refused }
}

/// How a module serves clients: its root fields of queries and mutations, on the server that answers, since it started.
#[derive(SimpleObject)]
pub(super) struct ModuleService {
    /// The module.
    module: &'static str,
    /// How many root fields ended.
    requests: Count,
    /// How many of them failed by a fault of the server: with INTERNAL, UNAVAILABLE, OVERLOADED, or a module's code for
    /// one.
    failed: Count,
    /// The share of those that failed, from 0 to 1; null before the first.
    error_rate: Option<f64>,
    /// In how many milliseconds half of them ended, estimated; null before the first.
    p50_ms: Option<f64>,
    /// In how many milliseconds 95 of 100 ended.
    p95_ms: Option<f64>,
    /// In how many milliseconds 99 of 100 ended; 10,000 also for what took longer.
    p99_ms: Option<f64>,
}

impl From<ModuleServed> for ModuleService {
    fn from(served: ModuleServed) -> Self {
        // In this order: what fails in between must not make more failures than requests.
        let (failed, requests) = (served.failed_count(), served.ended_count());
        #[expect(clippy::cast_precision_loss, reason = "a share, shown to a few digits")]
        let error_rate = (requests > 0).then(|| failed as f64 / requests as f64);
        let millis = |share| served.quantile(share).map(|secs| secs * 1000.0);
        Self {
            module: served.module,
            requests: requests.into(),
            failed: failed.into(),
            error_rate,
            p50_ms: millis(0.5),
            p95_ms: millis(0.95),
            p99_ms: millis(0.99),
        }
    }
}

/// Numbers that a module shows beside its checks.
#[derive(SimpleObject)]
pub(super) struct OverviewTable {
    /// What they are of.
    title: String,
    /// Each number with its name.
    rows: Vec<OverviewRow>,
}

/// A number with its name.
#[derive(SimpleObject)]
pub(super) struct OverviewRow {
    /// What it is: `accounts`.
    name: String,
    /// The number, as text.
    value: String,
}

impl From<(String, Vec<(String, String)>)> for OverviewTable {
    fn from((title, rows): (String, Vec<(String, String)>)) -> Self {
        Self { title, rows: rows.into_iter().map(|(name, value)| OverviewRow { name, value }).collect() }
    }
}
