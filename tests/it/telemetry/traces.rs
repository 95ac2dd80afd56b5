//! Traces, through a collector of the test's own: what it gets, and that nothing waits for one that is not there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::harness::{Backend, Client, Process, SECRET, TestDatabase, run};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector was sent.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>);

impl Collected {
    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap();
        let resources = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }
}

/// A collector on loopback; its endpoint.
async fn collector() -> (Collected, String) {
    let collected = Collected::default();
    let take = async |State(collected): State<Collected>, headers: HeaderMap, body: Bytes| {
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
        collected.0.lock().unwrap().push((headers, request));
        [("content-type", "application/x-protobuf")]
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(collected.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    (collected, endpoint)
}

async fn token(database: &TestDatabase) -> String {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let (_, token, _) = run(&["token", "--user", "somebody"], &environment, tempfile::tempdir().unwrap().path()).await;
    token.trim().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_traced_from_the_callers_span_to_its_transaction() {
    let (collected, endpoint) = collector().await;
    let database = TestDatabase::create(Backend::Sqlite).await;
    let token = token(&database).await;
    let settings = [
        ("TALLY_LOG", "info"),
        ("TALLY_TELEMETRY_FORMAT", "json"),
        ("TALLY_TELEMETRY_SLOW_MS", "1"),
        ("TALLY_TELEMETRY_OTLP_ENDPOINT", &*endpoint),
        ("TALLY_TELEMETRY_OTLP_HEADERS", "x-api-key=hush, x-other=1"),
    ];
    let server = Process::serve_with(&database, &settings).await;
    let mutation = "mutation Publishing { publishArtwork(input: { title: \"secret\" }) { artwork { id } } }";
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let request = crate::harness::http().post(format!("{}/graphql", server.url)).bearer_auth(&token);
    let request = request.header("traceparent", &traceparent).header("x-request-id", "mine-2");
    assert_eq!(request.json(&json!({ "query": mutation })).send().await.unwrap().status().as_u16(), 200);
    let (status, log) = server.stop().await;
    assert_eq!(status, 0, "{log}");

    // Of the trace that the caller began; the first batch makes a user, in a trace's own right or not.
    let spans: Vec<_> = collected.spans().into_iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    let path = ["request", "operation", "submit", "batch", "transaction"];
    let mut parent = PARENT.to_owned();
    for name in path {
        let span = spans.iter().find(|span| span.name == name && hex(&span.parent_span_id) == parent);
        parent = hex(&span.unwrap_or_else(|| panic!("no {name} under {parent}: {names:?}")).span_id);
    }
    let operation = spans.iter().find(|span| span.name == "operation").unwrap();
    let attributes: BTreeMap<_, _> = operation.attributes.iter().map(|pair| (&*pair.key, pair.value.clone())).collect();
    let text = |key: &str| match attributes[key].clone().unwrap().value.unwrap() {
        AnyValue::StringValue(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!((&*text("operation"), &*text("kind"), &*text("outcome")), ("Publishing", "mutation", "ok"));

    let requests = collected.0.lock().unwrap().clone();
    let (headers, first) = &requests[0];
    assert_eq!(headers["x-api-key"], "hush");
    let resource = &first.resource_spans[0].resource.as_ref().unwrap().attributes;
    let name = resource.iter().find(|pair| pair.key == "service.name").unwrap().value.clone().unwrap();
    assert_eq!(name.value, Some(AnyValue::StringValue("tally".into())));
    let sent = format!("{requests:?}");
    for hidden in [SECRET, &token, "publishArtwork"] {
        assert!(!sent.contains(hidden), "{hidden} is in a span");
    }
    assert!(!log.contains("hush"), "the collector's key is in the log");
    if let Some(slow) = log.lines().find(|line| line.contains("slow operation")) {
        assert!(slow.contains(TRACE), "a log line leads to its trace: {slow}");
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_began_a_trace_decides_whether_it_is_sent_and_so_does_the_share() {
    let (collected, endpoint) = collector().await;
    let database = TestDatabase::create(Backend::Sqlite).await;
    let settings = [("TALLY_TELEMETRY_OTLP_ENDPOINT", &*endpoint), ("TALLY_TELEMETRY_OTLP_SAMPLE", "0")];
    let server = Process::serve_with(&database, &settings).await;
    let ask = async |traceparent: &str| {
        let request = crate::harness::http().post(format!("{}/graphql", server.url)).header("traceparent", traceparent);
        let body = json!({ "query": "{ hotnessSettings { likeWeight } }" });
        assert_eq!(request.json(&body).send().await.unwrap().status().as_u16(), 200, "{traceparent}");
    };
    ask(&format!("00-{TRACE}-{PARENT}-01")).await;
    ask("00-11111111111111111111111111111111-00f067aa0ba902b7-00").await;
    ask("nonsense").await;
    ask("").await;
    server.stop().await;
    let mut traces: Vec<_> = collected.spans().iter().map(|span| hex(&span.trace_id)).collect();
    traces.dedup();
    assert_eq!(traces, [TRACE]);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_not_there_stops_nothing() {
    // One that takes connections and never answers: worse than one that refuses them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let refusing = {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", gone.local_addr().unwrap())
    };
    for endpoint in [&*endpoint, &*refusing] {
        let database = TestDatabase::create(Backend::Sqlite).await;
        let settings = [
            ("TALLY_LOG", "info"),
            ("TALLY_TELEMETRY_OTLP_ENDPOINT", endpoint),
            ("TALLY_TELEMETRY_OTLP_HEADERS", "x-api-key=hush"),
        ];
        let server = Process::serve_with(&database, &settings).await;
        let client = Client::new(&server.url, None);
        for _ in 0..600 {
            client.query("{ hotnessSettings { likeWeight } }").await.data();
        }
        let stopping = Instant::now();
        let (status, log) = server.stop().await;
        assert_eq!(status, 0, "{log}");
        assert!(stopping.elapsed() < Duration::from_secs(15), "{:?}", stopping.elapsed());
        let lines = log.lines().filter(|line| line.contains("span")).count();
        assert!((1..=2).contains(&lines), "{endpoint}: {log}");
        assert!(!log.contains("hush"));
        database.remove().await;
    }
}

#[tokio::test]
async fn wrong_settings_of_traces_are_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for (endpoint, headers) in [("collector:4318", "a=b"), ("http://127.0.0.1:1", "hush"), ("http://a b", "a=hush")] {
        let environment = [
            ("TALLY_AUTH_SECRET", SECRET),
            ("TALLY_TELEMETRY_OTLP_ENDPOINT", endpoint),
            ("TALLY_TELEMETRY_OTLP_HEADERS", headers),
        ];
        let (status, _, errors) = run(&["serve"], &environment, folder.path()).await;
        assert_eq!(status, 2, "{errors}");
        assert!(errors.contains("telemetry.otlp_") && !errors.contains("hush"), "{errors}");
    }
}
