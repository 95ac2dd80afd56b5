//! The metrics of one server: handles for whoever counts, and the text for whoever reads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_graphql::{Response, Value};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::BatchMetrics;
use super::batches::Batches;
use super::database::Pools;
use super::families::{Families, close_code};
use super::integrity::IntegrityMetrics;
use super::labels::{
    Bounded, ClassLabel, CloseLabel, CodeLabel, DurationLabels, Kind, Label, Outcome, ReasonLabel, RequestLabels,
    Transport, TransportLabel,
};
use super::process::Process;
use super::served::{ModuleServed, Served};
use super::usual::Usual;
use super::watch::{Facts, Watch};
use super::work::WorkMetrics;
use crate::kernel::config::Settings;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result};

/// Every metric of tally begins with it; those of the process have Prometheus' own names.
const PREFIX: &str = "tally";
/// Names of trusted operations that become labels; a set of trusted documents is rarely larger.
const NAMES_MOST: usize = 500;
/// Codes of errors that become labels: the kernel's, and those of modules.
const CODES_MOST: usize = 64;

/// The metrics of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    families: Families,
    usual: Usual,
    batches: Batches,
    work: WorkMetrics,
    integrity: IntegrityMetrics,
    served: Served,
    names: Bounded,
    codes: Bounded,
    /// Operations that take longer are logged; `None`: none are.
    slow: Option<Duration>,
}

impl Metrics {
    /// All metrics of the kernel, at zero.
    #[must_use]
    pub fn new(settings: &Settings, db: &Db) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let own = registry.sub_registry_with_prefix(PREFIX);
        own.register("build", "What is running", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let families = Families::register(own);
        let usual = Usual::new(&families);
        db.metrics().register(own);
        own.register_collector(Box::new(Pools::of(db)));
        let batches = Batches::register(own);
        let work = WorkMetrics::register(own);
        let integrity = IntegrityMetrics::register(own);
        let served = Served::register(own);
        let slow_ms = settings.count("telemetry.slow_ms");
        Self(Arc::new(Inner {
            registry: Mutex::new(registry),
            families,
            usual,
            batches,
            work,
            integrity,
            served,
            names: Bounded::new(NAMES_MOST),
            codes: Bounded::new(CODES_MOST),
            slow: (slow_ms > 0).then(|| Duration::from_millis(slow_ms.into())),
        }))
    }

    /// Adds metrics of a module; their names begin with `tally_MODULE_`. Called once a module, at its start.
    pub fn register(&self, module: &str, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(PREFIX).sub_registry_with_prefix(module));
    }

    /// All metrics as OpenMetrics 1.0 text.
    ///
    /// # Errors
    /// A metric of a module that cannot be written.
    pub fn text(&self) -> Result<String> {
        let mut text = String::with_capacity(32 * 1024);
        let registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut text, &registry).map_err(crate::kernel::error::Error::internal)?;
        Ok(text)
    }

    /// Begins to watch an operation: counts it, times it, logs it when it is slow.
    #[must_use]
    pub fn watch(&self, facts: Facts) -> Watch {
        Watch::new(self.clone(), facts)
    }

    /// Counts an operation that ended. `statements` are its own, those of write batches left out. Subscriptions are
    /// counted and not timed: theirs is the listener's time.
    pub fn request(&self, facts: &Facts, outcome: Outcome, took: Duration, statements: u32) {
        let (usual, kind) = (&self.0.usual, Kind::from(facts.kind));
        let timed = if outcome == Outcome::Cancelled { None } else { usual.timed(kind) };
        let name = facts.name.as_deref().filter(|_| facts.trusted).map(|name| self.0.names.label(name));
        match name {
            None | Some(Label::Other) => {
                usual.request(kind, facts.transport, outcome).map(Counter::inc);
                timed.inspect(|timed| timed.durations.observe(took.as_secs_f64()));
            }
            Some(operation) => self.named_request(operation, facts, outcome, timed.is_some().then_some(took)),
        }
        timed.inspect(|timed| timed.statements.observe(statements.into()));
    }

    /// The same of one that has a series of its own.
    fn named_request(&self, operation: Label, facts: &Facts, outcome: Outcome, took: Option<Duration>) {
        let (families, kind, transport) = (&self.0.families, Kind::from(facts.kind), facts.transport);
        let labels = RequestLabels { operation, kind, transport, outcome };
        families.requests.get_or_create(&labels).inc();
        if let Some(took) = took {
            let labels = DurationLabels { operation: labels.operation, kind };
            families.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// Counts the errors of an answer by their codes. Says how the operation ended.
    pub fn answered(&self, response: &Response) -> Outcome {
        let mut outcome = Outcome::Ok;
        for error in &response.errors {
            let code = match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
                Some(Value::String(code)) => code.as_str(),
                _ => Code::INTERNAL.0,
            };
            self.count_error(code);
            let ours = error.source::<Error>().map_or_else(|| Code::is_ours(code), Error::is_ours);
            outcome = if ours || outcome == Outcome::Failed { Outcome::Failed } else { Outcome::Refused };
        }
        outcome
    }

    /// Counts an error that a client gets in place of an answer: a token that does not hold, a body that is too large.
    pub fn error(&self, code: Code) {
        self.count_error(code.0);
    }

    fn count_error(&self, code: &str) {
        let code = self.0.codes.label(code);
        self.0.families.errors.get_or_create(&CodeLabel { code }).inc();
    }

    /// Counts an HTTP response.
    pub fn http_response(&self, status: u16) {
        match self.0.usual.response(status) {
            Some(counter) => counter.inc(),
            None => self.0.families.responses.get_or_create(&ClassLabel { class: "other" }).inc(),
        };
    }

    /// Counts a connection until the answer is dropped.
    pub fn connection_opened(&self) -> Held {
        Held::new(&self.0.families.connections)
    }

    /// Counts a connection that was turned away. `reason` is a word of the source, never of a client.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0.families.connections_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a request that may not run, with the errors of its answer: `syntax`, `limits`,
    /// `validation`, `cost`, … `reason` is a word of the source, never of a client.
    pub fn document_refused(&self, reason: &'static str, answer: &Response) {
        self.0.families.documents_refused.get_or_create(&ReasonLabel { reason }).inc();
        self.answered(answer);
    }

    /// Counts a look-up of a document.
    pub fn document_looked_up(&self, found: bool) {
        let families = &self.0.families;
        if found {
            families.document_hits.inc()
        } else {
            families.document_misses.inc()
        };
    }

    /// Says what the cache of documents holds.
    pub fn document_cache(&self, entries: u64, bytes: u64) {
        self.0.families.document_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.0.families.document_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a request above a limit: `address`, `subject`, … `limit` is a word of the source, never of a client.
    pub fn rate_limited(&self, limit: &'static str) {
        self.0.families.rate_limited.get_or_create(&ReasonLabel { reason: limit }).inc();
    }

    /// Counts a token that does not hold. `reason` is a word of the source, never of a client.
    pub fn authentication_failed(&self, reason: &'static str) {
        self.0.families.authentication_failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a token that holds: whether it was known from before.
    pub fn token_taken(&self, cached: bool) {
        let families = &self.0.families;
        if cached {
            families.tokens_cached.inc()
        } else {
            families.tokens_verified.inc()
        };
    }

    /// Counts a socket until the answer is dropped.
    pub fn socket_opened(&self) -> SocketHeld {
        let families = &self.0.families;
        families.sockets_opened.inc();
        SocketHeld { _open: Held::new(&families.sockets), closed: families.sockets_closed.clone(), code: 1006 }
    }

    /// Counts a stream of server-sent events until the answer is dropped.
    pub fn event_stream_opened(&self) -> Held {
        self.0.families.event_streams_opened.inc();
        Held::new(&self.0.families.event_streams)
    }

    pub(super) fn subscription_opened(&self, transport: Transport) -> Held {
        Held::new(&self.0.families.subscriptions.get_or_create(&TransportLabel { transport }))
    }

    pub(super) fn message_sent(&self, transport: Transport) {
        self.0.usual.messages(transport).map(Counter::inc);
    }

    pub(super) fn slow(&self) -> Option<Duration> {
        self.0.slow
    }

    /// Says whether the server can serve; asked when metrics are read.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.0.families.ready.set(ready.into());
    }

    /// The metrics of relays and jobs.
    pub(crate) fn work(&self) -> &WorkMetrics {
        &self.0.work
    }

    /// The metrics of checks.
    pub(crate) fn integrity(&self) -> &IntegrityMetrics {
        &self.0.integrity
    }

    /// How a module serves clients.
    pub(crate) fn served(&self, module: &'static str) -> ModuleServed {
        self.0.served.of(module)
    }

    /// How all modules do.
    pub(crate) fn all_served(&self) -> Vec<ModuleServed> {
        self.0.served.all()
    }

    /// The metrics of one module's writers.
    pub(crate) fn batches(&self, writer: &'static str) -> BatchMetrics {
        self.0.batches.of(writer)
    }
}

/// Adds one to a gauge for as long as it lives.
#[derive(Debug)]
#[must_use = "the gauge falls when this is dropped"]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An open socket, as metrics see it.
#[derive(Debug)]
#[must_use = "the socket counts as closed when this is dropped"]
pub struct SocketHeld {
    _open: Held,
    closed: Family<CloseLabel, Counter>,
    code: u16,
}

impl SocketHeld {
    /// Says with which code it closes; 1006 (RFC 6455: no close frame) when nobody says.
    pub fn closes(&mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for SocketHeld {
    fn drop(&mut self) {
        self.closed.get_or_create(&CloseLabel { code: close_code(self.code) }).inc();
    }
}
