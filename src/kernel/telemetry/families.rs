//! The kernel's own metrics: names, help texts, buckets. Modules add theirs with
//! [`crate::kernel::module::Start::metrics`].

use std::hash::Hash;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::labels::{
    ClassLabel, CloseLabel, CodeLabel, DurationLabels, KindLabel, Label, ReasonLabel, RequestLabels, Transport,
    TransportLabel,
};
use crate::kernel::error::Code;

/// Seconds: from a read of a warm cache to what times out. 0.5 is the bound that `docs/alerts.yml` looks at.
pub(super) const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Statements of one operation; more than ten are one an item.
const STATEMENTS: [f64; 9] = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 55.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Why documents are refused: shown as 0 before it happens, so that `rate()` sees the first one.
const REFUSALS: [&str; 8] =
    ["syntax", "limits", "validation", "operation", "variables", "cost", "persisted", "introspection"];
/// Statuses by their first digit.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Close codes of RFC 6455 and of graphql-transport-ws; a client may send any number.
const CLOSE_CODES: [(u16, &str); 13] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1006, "1006"),
    (1009, "1009"),
    (1011, "1011"),
    (4400, "4400"),
    (4401, "4401"),
    (4403, "4403"),
    (4406, "4406"),
    (4408, "4408"),
    (4409, "4409"),
    (4429, "4429"),
];

/// Handles of everything that the kernel counts itself.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) durations: Histograms<DurationLabels>,
    pub(super) statements: Histograms<KindLabel>,
    pub(super) errors: Family<CodeLabel, Counter>,
    pub(super) responses: Family<ClassLabel, Counter>,
    pub(super) connections: Gauge,
    pub(super) connections_refused: Family<ReasonLabel, Counter>,
    pub(super) documents_refused: Family<ReasonLabel, Counter>,
    pub(super) document_entries: Gauge,
    pub(super) document_bytes: Gauge,
    pub(super) document_hits: Counter,
    pub(super) document_misses: Counter,
    pub(super) rate_limited: Family<ReasonLabel, Counter>,
    pub(super) authentication_failures: Family<ReasonLabel, Counter>,
    pub(super) tokens_verified: Counter,
    pub(super) tokens_cached: Counter,
    pub(super) sockets: Gauge,
    pub(super) sockets_opened: Counter,
    pub(super) sockets_closed: Family<CloseLabel, Counter>,
    pub(super) event_streams: Gauge,
    pub(super) event_streams_opened: Counter,
    pub(super) subscriptions: Family<TransportLabel, Gauge>,
    pub(super) messages: Family<TransportLabel, Counter>,
    pub(super) ready: Gauge,
}

/// Makes a series, at zero.
fn begin<L, M, C>(family: &Family<L, M, C>, labels: &L)
where
    L: Clone + Hash + Eq,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(labels));
}

/// Registers and hands back.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Families {
    /// Registers all of them under `registry`'s prefix.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let r = registry;
        let families = Self {
            requests: add(r, "requests", "Operations that ended", Family::default()),
            durations: add(
                r,
                "request_duration_seconds",
                "Time that queries and mutations took, in seconds",
                Family::new_with_constructor(|| Histogram::new(SECONDS)),
            ),
            statements: add(
                r,
                "request_statements",
                "SQL statements of one query or mutation; those of shared write batches are not among them",
                Family::new_with_constructor(|| Histogram::new(STATEMENTS)),
            ),
            errors: add(r, "errors", "Errors in answers, by extensions.code", Family::default()),
            responses: add(r, "http_responses", "HTTP responses, by class of status", Family::default()),
            connections: add(r, "http_connections", "Open connections", Gauge::default()),
            connections_refused: add(r, "http_connections_refused", "Connections turned away", Family::default()),
            documents_refused: add(r, "documents_refused", "Requests whose document may not run", Family::default()),
            document_entries: add(r, "document_cache_entries", "Documents that are remembered", Gauge::default()),
            document_bytes: add(r, "document_cache_bytes", "Estimated size of the documents", Gauge::default()),
            document_hits: add(r, "document_cache_hits", "Documents found ready to run", Counter::default()),
            document_misses: add(r, "document_cache_misses", "Documents that had to be read", Counter::default()),
            rate_limited: add(r, "rate_limited_requests", "Requests above a rate limit", Family::default()),
            authentication_failures: add(r, "authentication_failures", "Tokens that do not hold", Family::default()),
            tokens_verified: add(r, "tokens_verified", "Tokens whose signature was verified", Counter::default()),
            tokens_cached: add(r, "tokens_cached", "Tokens that had been verified before", Counter::default()),
            sockets: add(r, "sockets_open", "Open WebSockets", Gauge::default()),
            sockets_opened: add(r, "sockets_opened", "WebSockets opened", Counter::default()),
            sockets_closed: add(r, "sockets_closed", "WebSockets closed, by close code", Family::default()),
            event_streams: add(r, "event_streams_open", "Open server-sent event streams", Gauge::default()),
            event_streams_opened: add(r, "event_streams_opened", "Event streams opened", Counter::default()),
            subscriptions: add(r, "subscriptions_active", "Subscriptions that listen", Family::default()),
            messages: add(r, "subscription_messages", "Messages for subscriptions", Family::default()),
            ready: add(r, "ready", "1 while the database answers and no shutdown has begun", Gauge::default()),
        };
        families.begin_at_zero();
        families
    }

    /// Makes the other series that are known beforehand; [`super::usual::Usual`] has made the rest.
    fn begin_at_zero(&self) {
        for transport in Transport::ALL {
            begin(&self.subscriptions, &TransportLabel { transport: *transport });
        }
        for (_, code) in CLOSE_CODES {
            begin(&self.sockets_closed, &CloseLabel { code });
        }
        begin(&self.connections_refused, &ReasonLabel { reason: "limit" });
        begin(&self.connections_refused, &ReasonLabel { reason: "listeners" });
        begin(&self.authentication_failures, &ReasonLabel { reason: "token" });
        for reason in ["address", "subject"] {
            begin(&self.rate_limited, &ReasonLabel { reason });
        }
        for reason in REFUSALS {
            begin(&self.documents_refused, &ReasonLabel { reason });
        }
        for code in [Code::INTERNAL, Code::UNAVAILABLE, Code::OVERLOADED, Code::INVALID_INPUT, Code::UNAUTHENTICATED] {
            begin(&self.errors, &CodeLabel { code: Label::Named(code.0.into()) });
        }
    }
}

/// The label of a close code.
pub(super) fn close_code(code: u16) -> &'static str {
    CLOSE_CODES.iter().find(|(known, _)| *known == code).map_or("other", |(_, word)| word)
}
