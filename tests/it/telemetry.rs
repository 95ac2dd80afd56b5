//! Metrics: exact numbers after known acts, labels that stay few, and nothing that is nobody's business.
//! Logs and traces belong to the process; their tests run the binary.

mod documents;
mod logs;
mod text;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use futures_util::StreamExt as _;
use serde_json::json;
use tally::app::Tally;
use tally::kernel::graphql::Answer;
use tally::kernel::telemetry::prometheus_client::metrics::family::Family;
use tally::kernel::telemetry::prometheus_client::metrics::gauge::Gauge;
use tally::kernel::telemetry::{Facts, Transport, current};

use crate::harness::{Backend, Client, Listener, Options, SECRET, TestApp, on_every_backend};
use text::Scrape;

on_every_backend!(
    every_act_is_counted_once,
    statements_are_counted_by_operation_and_by_pool,
    a_full_queue_is_counted,
    the_rank_index_is_measured_by_kind,
);

fn requests(kind: &str, outcome: &str) -> String {
    format!("tally_requests_total{{kind=\"{kind}\",operation=\"other\",outcome=\"{outcome}\",transport=\"http\"}}")
}

async fn every_act_is_counted_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, fan) = (app.user("author"), app.user("fan"));
    let artwork = author.publish("Counted").await;
    fan.id().await;
    let batches = || app.kernel.metrics.text().unwrap();
    let before = Scrape::of(&app).await;
    assert_eq!(Scrape::parse(&batches()).metrics, before.metrics, "read over HTTP or not");

    for verb in ["like", "like", "favorite"] {
        fan.act(verb, &artwork).await.data();
    }
    assert_eq!(app.anonymous().act("like", &artwork).await.code(), "UNAUTHENTICATED");
    app.anonymous().query("{ hotnessSettings { likeWeight } }").await.data();
    assert_eq!(app.anonymous().query("{ hotnessSettings {").await.code(), "INVALID_INPUT");
    let stranger = Client::new(&app.url, Some("not a token".into()));
    assert_eq!(stranger.query("{ me { roles } }").await.code(), "UNAUTHENTICATED");

    let after = Scrape::of(&app).await;
    for (series, expected) in [
        (&*requests("mutation", "ok"), 3.0),
        (&*requests("mutation", "refused"), 1.0),
        (&*requests("mutation", "failed"), 0.0),
        (&*requests("query", "ok"), 1.0),
        ("tally_request_duration_seconds_count{kind=\"mutation\",operation=\"other\"}", 4.0),
        ("tally_request_duration_seconds_count{kind=\"query\",operation=\"other\"}", 1.0),
        ("tally_request_statements_count{kind=\"mutation\"}", 4.0),
        ("tally_errors_total{code=\"UNAUTHENTICATED\"}", 2.0),
        ("tally_errors_total{code=\"INVALID_INPUT\"}", 1.0),
        ("tally_errors_total{code=\"INTERNAL\"}", 0.0),
        ("tally_documents_refused_total{reason=\"syntax\"}", 1.0),
        ("tally_authentication_failures_total{reason=\"token\"}", 1.0),
        ("tally_tokens_verified_total", 0.0),
        ("tally_tokens_cached_total", 3.0),
        ("tally_batch_commands_sum{writer=\"engagement\"}", 3.0),
        ("tally_batch_commands_count{writer=\"engagement\"}", 3.0),
        ("tally_batch_duration_seconds_count{writer=\"engagement\"}", 3.0),
        ("tally_batch_refused_total{writer=\"engagement\"}", 0.0),
        // Three likes, a refusal inside a 200, a query, and the first reading of the metrics themselves.
        ("tally_http_responses_total{class=\"2xx\"}", 6.0),
        ("tally_http_responses_total{class=\"4xx\"}", 2.0),
        ("tally_http_responses_total{class=\"5xx\"}", 0.0),
    ] {
        assert_eq!(after.since(&before, series), expected, "{series}");
    }
    assert_eq!(after.value("tally_ready"), 1.0);
    assert_eq!(after.value(&format!("tally_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    app.finish().await;
}

async fn statements_are_counted_by_operation_and_by_pool(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let artwork = author.publish("Read").await;
    let (before, counted) = (Scrape::of(&app).await, app.kernel.db.statement_count());
    let query = "query ($id: ID!) { artwork(id: $id) { title author { name } } }";
    app.anonymous().run(query, json!({ "id": artwork })).await.data();
    let (after, own) = (Scrape::of(&app).await, app.kernel.db.statement_count() - counted);
    assert!(own > 0, "this query reads");
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let own = own as f64;
    assert_eq!(after.since(&before, "tally_request_statements_sum{kind=\"query\"}"), own);
    assert_eq!(after.since(&before, "tally_database_statements_total{pool=\"reader\"}"), own);
    assert_eq!(after.since(&before, "tally_database_statements_total{pool=\"writer\"}"), 0.0);

    author.act("like", &artwork).await.data();
    let later = Scrape::of(&app).await;
    assert!(later.since(&after, "tally_database_statements_total{pool=\"writer\"}") >= 5.0);
    assert_eq!(later.since(&after, "tally_database_statement_errors_total{pool=\"writer\"}"), 0.0);
    for pool in ["reader", "writer"] {
        let open: f64 = ["idle", "in_use"]
            .iter()
            .map(|state| later.value(&format!("tally_database_connections{{pool=\"{pool}\",state=\"{state}\"}}")))
            .sum();
        assert!(open >= 1.0 && open <= later.value(&format!("tally_database_connections_limit{{pool=\"{pool}\"}}")));
    }
    app.finish().await;
}

async fn a_full_queue_is_counted(backend: Backend) {
    let options = Options::default().with("batch.queue", 1).with("batch.commands", 1).with("batch.groups", 1);
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let author = app.user("author");
    let artwork = author.publish("Wanted").await;
    let before = Scrape::of(&app).await;
    assert_eq!(before.value("tally_batch_queue_limit{group=\"0\",writer=\"engagement\"}"), 1.0);
    let acts = (0..60).map(|n| if n % 2 == 0 { "like" } else { "unlike" }).map(|verb| author.act(verb, &artwork));
    let answers = futures_util::future::join_all(acts).await;
    let refused = answers.iter().filter(|answer| answer.body.get("errors").is_some()).count();
    assert!(refused > 0, "60 writes at once do not fit into a queue of one");
    let after = Scrape::of(&app).await;
    let refused = f64::from(u32::try_from(refused).unwrap());
    assert_eq!(after.since(&before, "tally_batch_refused_total{writer=\"engagement\"}"), refused);
    assert_eq!(after.since(&before, "tally_errors_total{code=\"OVERLOADED\"}"), refused);
    assert_eq!(after.since(&before, &requests("mutation", "failed")), refused, "the server's fault");
    assert_eq!(after.value("tally_batch_queue_length{group=\"0\",writer=\"engagement\"}"), 0.0);
    app.finish().await;
}

async fn the_rank_index_is_measured_by_kind(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let artworks = [author.publish("One").await, author.publish("Two").await];
    let video = "mutation { publishVideo(input: { title: \"V\" }) { video { id } } }";
    author.query(video).await.data();
    let size = |scrape: &Scrape, kind| scrape.value(&format!("tally_engagement_rank_index_entries{{kind=\"{kind}\"}}"));
    let scrape = Scrape::of(&app).await;
    assert_eq!((size(&scrape, "artwork"), size(&scrape, "video")), (2.0, 1.0));
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { content { id } } }";
    author.run(hide, json!({ "id": artworks[0] })).await.data();
    let scrape = Scrape::of(&app).await;
    assert_eq!((size(&scrape, "artwork"), size(&scrape, "video")), (1.0, 1.0));
    app.finish().await;
}

fn facts(kind: OperationType, name: Option<&str>, trusted: bool) -> Facts {
    Facts { kind, transport: Transport::Sse, name: name.map(Into::into), trusted, document: None }
}

#[tokio::test]
async fn names_of_operations_become_labels_only_when_trusted_and_few() {
    let app = TestApp::start(Backend::Sqlite).await;
    let operations = |scrape: &Scrape| {
        let labels = scrape.values.keys().filter(|series| series.starts_with("tally_requests_total"));
        let of = |series: &String| series.split("operation=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        labels.map(of).collect::<std::collections::BTreeSet<_>>()
    };
    let client = app.anonymous();
    let before = Scrape::of(&app).await;
    for n in 0..1000 {
        client.query(&format!("query Stranger{n} {{ hotnessSettings {{ likeWeight }} }}")).await.data();
    }
    let scrape = Scrape::of(&app).await;
    assert_eq!(scrape.since(&before, &requests("query", "ok")), 1000.0);
    assert_eq!(operations(&scrape).into_iter().collect::<Vec<_>>(), ["other"]);
    assert_eq!(scrape.values.len(), before.values.len(), "strangers add no series");

    for n in 0..1000 {
        let name = format!("Known{n}");
        let watch = app.kernel.metrics.watch(facts(OperationType::Query, Some(&name), true));
        watch.run(async { Response::default() }).await;
    }
    let known = operations(&Scrape::of(&app).await);
    assert!(known.contains("Known0") && known.contains("other"), "{known:?}");
    assert_eq!(known.len(), 501, "however many documents are trusted");
    app.finish().await;
}

#[tokio::test]
async fn subscriptions_sockets_and_cancelled_operations_are_counted() {
    let app = TestApp::start(Backend::Sqlite).await;
    let metrics = app.kernel.metrics.clone();
    let before = Scrape::of(&app).await;
    let socket = Listener::raw(&app.url).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while Scrape::of(&app).await.value("tally_sockets_open") < 1.0 {
        assert!(tokio::time::Instant::now() < deadline, "the socket is not counted");
    }
    drop(socket);
    while Scrape::of(&app).await.value("tally_sockets_open") > 0.0 {
        assert!(tokio::time::Instant::now() < deadline, "the socket stays counted");
    }

    let answers = futures_util::stream::iter([Response::default(), Response::default()]).map(Answer::from).boxed();
    let mut heard = metrics.watch(facts(OperationType::Subscription, None, false)).stream(answers);
    heard.next().await.unwrap();
    let during = Scrape::of(&app).await;
    assert_eq!(during.value("tally_subscriptions_active{transport=\"sse\"}"), 1.0);
    assert_eq!(during.since(&before, "tally_subscription_messages_total{transport=\"sse\"}"), 1.0);
    drop(heard);

    let cancelled = metrics.watch(facts(OperationType::Query, None, false)).run(std::future::pending());
    assert!(tokio::time::timeout(Duration::from_millis(5), cancelled).await.is_err());
    metrics.socket_opened().closes(4401);
    metrics.socket_opened().closes(3999);

    let after = Scrape::of(&app).await;
    let sse = |kind: &str, outcome: &str| requests(kind, outcome).replace("\"http\"", "\"sse\"");
    assert_eq!(after.value("tally_subscriptions_active{transport=\"sse\"}"), 0.0);
    assert_eq!(after.since(&before, &sse("subscription", "ok")), 1.0, "a listener may end when it likes");
    assert_eq!(after.since(&before, &sse("query", "cancelled")), 1.0);
    assert_eq!(after.since(&before, "tally_request_duration_seconds_count{kind=\"query\",operation=\"other\"}"), 0.0);
    assert_eq!(after.since(&before, "tally_sockets_opened_total"), 3.0);
    assert_eq!(after.value("tally_sockets_closed_total{code=\"4401\"}"), 1.0);
    assert_eq!(after.value("tally_sockets_closed_total{code=\"other\"}"), 1.0, "a client may send any number");
    app.finish().await;
}

#[tokio::test]
async fn an_operation_is_known_to_whatever_works_for_it() {
    let app = TestApp::start(Backend::Sqlite).await;
    assert!(current().is_none());
    let long = format!("Name{}", "e".repeat(100));
    let watch = app.kernel.metrics.watch(facts(OperationType::Mutation, Some(&long), false));
    let seen = async {
        let facts = current().expect("an operation");
        assert_eq!((facts.kind_word(), facts.logged_name().unwrap().len()), ("mutation", 64));
        Response::default()
    };
    watch.run(seen).await;
    let forged = facts(OperationType::Query, Some("x\n2026 ERROR forged"), false);
    assert_eq!(forged.logged_name(), Some("x"), "a name is no way into the log");
    app.finish().await;
}

#[tokio::test]
async fn labels_are_escaped_and_modules_have_their_prefix() {
    let app = TestApp::start(Backend::Sqlite).await;
    let nasty = "a \"quoted\" \\ back\nslash } # EOF";
    let gauge = Family::<Vec<(String, String)>, Gauge>::default();
    gauge.get_or_create_owned(&vec![("what".to_owned(), nasty.to_owned())]).set(7);
    app.kernel.metrics.register("guestbook", |registry| registry.register("pages", "Pages", gauge));
    let scrape = Scrape::of(&app).await;
    assert_eq!(scrape.value(&format!("tally_guestbook_pages{{what={nasty:?}}}")), 7.0);
    app.finish().await;
}

#[tokio::test]
async fn metrics_show_nothing_that_is_nobodys_business() {
    let token = "a token of the metrics";
    let options = Options::default().with("telemetry.metrics_token", token);
    let app = TestApp::start_with::<Tally>(Backend::Sqlite, options).await;
    let author = app.user("somebody@example.org");
    author.publish("A private title").await;
    author.query("query SecretName { me { user { id } } }").await.data();
    author.query("{ nonsense }").await;
    let text = app.kernel.metrics.text().unwrap();
    let jwt = app.token("somebody@example.org", &[], 60);
    for hidden in [SECRET, token, &*app.database.url, "somebody", "private", "SecretName", "nonsense", &jwt, &app.url] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    app.finish().await;
}

/// The status of `GET /metrics`.
async fn status(url: &str, headers: &[(&str, &str)]) -> u16 {
    let request = crate::harness::http().get(format!("{url}/metrics"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn who_may_read_metrics() {
    let start = async |given: &[(&'static str, &str)]| {
        let options = given.iter().fold(Options::default(), |options, (key, value)| options.with(key, value));
        TestApp::start_with::<Tally>(Backend::Sqlite, options).await
    };
    let app = start(&[]).await;
    assert_eq!(status(&app.url, &[]).await, 200, "those on this machine");
    for header in ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"] {
        assert_eq!(status(&app.url, &[(header, "127.0.0.1")]).await, 404, "{header}: through a proxy on this machine");
    }
    app.finish().await;

    let app = start(&[("telemetry.metrics", "off")]).await;
    assert_eq!(status(&app.url, &[]).await, 404);
    app.finish().await;

    let app = start(&[("telemetry.metrics", "all")]).await;
    assert_eq!(status(&app.url, &[("Via", "1.1 proxy")]).await, 200);
    app.finish().await;

    let app = start(&[("telemetry.metrics_token", "sixteen characters")]).await;
    for wrong in [&[][..], &[("Authorization", "Bearer sixteen")], &[("Authorization", "sixteen characters")]] {
        assert_eq!(status(&app.url, wrong).await, 401, "{wrong:?}");
    }
    let right = [("Authorization", "Bearer sixteen characters"), ("Via", "1.1 proxy")];
    assert_eq!(status(&app.url, &right).await, 200);
    app.finish().await;

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let app = start(&[("telemetry.metrics_listen", &free.to_string())]).await;
    assert_eq!(status(&app.url, &[]).await, 404, "they have a port of their own");
    let own = format!("http://{free}");
    assert_eq!(status(&own, &[("Via", "1.1 proxy")]).await, 200);
    assert_eq!(
        crate::harness::http().get(format!("{own}/graphql")).send().await.unwrap().status().as_u16(),
        404,
        "nothing else is there"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_server_without_its_database_is_not_ready() {
    let app = TestApp::start(Backend::Sqlite).await;
    assert_eq!(Scrape::of(&app).await.value("tally_ready"), 1.0);
    app.kernel.db.clone().close().await.unwrap();
    assert_eq!(Scrape::of(&app).await.value("tally_ready"), 0.0);
    app.stop_unaudited().await.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_costs_little() {
    let app = TestApp::start(Backend::Sqlite).await;
    let metrics = app.kernel.metrics.clone();
    let facts = Facts { name: Some(Arc::from("Known")), ..facts(OperationType::Query, None, true) };
    let rounds = 20_000;
    let began = std::time::Instant::now();
    for _ in 0..rounds {
        metrics.watch(facts.clone()).run(async { Response::default() }).await;
    }
    let each = began.elapsed() / rounds;
    // Unoptimised and beside other tests: a bound that only a lock or a loop would break. Optimised it is 0.3 µs.
    assert!(each < Duration::from_micros(100), "{each:?} an operation");
    eprintln!("{each:?} an operation");
    app.finish().await;
}
