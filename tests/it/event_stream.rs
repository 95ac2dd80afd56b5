//! graphql-sse, distinct connections mode. Nothing of it concerns the database: SQLite only.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tally::kernel::auth::Role;

use crate::harness::{Backend, Options, TestApp};
use crate::probe::{ProbeFacade, Probed, until};

const PATIENCE: Duration = Duration::from_secs(20);

async fn start() -> TestApp {
    TestApp::start_with::<Probed>(Backend::Sqlite, Options::default()).await
}

fn request(app: &TestApp, method: Method) -> RequestBuilder {
    crate::harness::http().request(method, format!("{}/graphql/stream", app.url)).header("Accept", "text/event-stream")
}

fn get(app: &TestApp, parameters: &[(&str, &str)]) -> RequestBuilder {
    let mut url = reqwest::Url::parse(&format!("{}/graphql/stream", app.url)).expect("an address");
    url.query_pairs_mut().extend_pairs(parameters);
    crate::harness::http().get(url).header("Accept", "text/event-stream")
}

async fn post(app: &TestApp, query: &str) -> Events {
    Events::of(request(app, Method::POST).json(&json!({ "query": query }))).await
}

/// An open stream.
struct Events {
    response: Response,
    read: String,
}

impl Events {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.headers());
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "no-cache, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert!(response.headers().get("content-encoding").is_none());
        let mut events = Self { response, read: String::new() };
        assert_eq!(events.block().await.as_deref(), Some(":"), "a comment at once");
        events
    }

    /// The lines up to the next empty one; nothing at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let block = block.to_owned();
                self.read = rest.to_owned();
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("something in time");
            match chunk.expect("an open connection") {
                Some(bytes) => self.read.push_str(std::str::from_utf8(&bytes).expect("text")),
                None => {
                    assert_eq!(self.read, "", "it ends after an event");
                    return None;
                }
            }
        }
    }

    /// The next result; comments are passed over.
    async fn next(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("another event");
            if block != ":" {
                let data = block.strip_prefix("event: next\ndata: ").unwrap_or_else(|| panic!("{block}"));
                return serde_json::from_str(data).expect("JSON in one line");
            }
        }
    }

    /// Nothing is left but `complete`, which has data that are empty.
    async fn completes(mut self) {
        assert_eq!(self.block().await.as_deref(), Some("event: complete\ndata:"));
        assert_eq!(self.block().await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_all_kinds_are_streamed() {
    let app = start().await;
    let mut events = post(&app, "subscription { count(to: 3) }").await;
    for n in 1..=3 {
        assert_eq!(events.next().await, json!({ "data": { "count": n } }));
    }
    events.completes().await;
    for (query, data) in [
        ("{ __typename }", json!({ "__typename": "Query" })),
        ("mutation { __typename }", json!({ "__typename": "Mutation" })),
    ] {
        let mut events = post(&app, query).await;
        assert_eq!(events.next().await, json!({ "data": data }));
        events.completes().await;
    }
    let parameters = [
        ("query", "query One { __typename } query Two($if: Boolean!) { two: me @include(if: $if) { roles } }"),
        ("operationName", "Two"),
        ("variables", r#"{"if":true}"#),
        ("extensions", "null"),
    ];
    let mut events = Events::of(get(&app, &parameters)).await;
    assert_eq!(events.next().await, json!({ "data": { "two": null } }));
    events.completes().await;
    let mut events = Events::of(get(&app, &[("query", "subscription { count(to: 1) }")])).await;
    assert_eq!(events.next().await, json!({ "data": { "count": 1 } }));
    events.completes().await;

    // The token is in the header; anybody may listen without one.
    let token = app.token("user", &[Role::Service], 3600);
    let me = json!({ "query": "{ me { roles } }" });
    let mut events = Events::of(request(&app, Method::POST).bearer_auth(token).json(&me)).await;
    assert_eq!(events.next().await, json!({ "data": { "me": { "roles": ["SERVICE"] } } }));
    events.completes().await;

    // What is wrong with the document comes as an event, and so does a panic.
    for (query, code) in [
        ("{", "INVALID_INPUT"),
        ("{ nothing }", "INVALID_INPUT"),
        ("subscription { nothing }", "INVALID_INPUT"),
        ("query ($n: Int!) { __typename }", "INVALID_INPUT"),
        ("{ panic }", "INTERNAL"),
        ("mutation { panic }", "INTERNAL"),
        ("subscription { panic }", "INTERNAL"),
    ] {
        let mut events = post(&app, query).await;
        let event = events.next().await;
        assert_eq!(event["errors"][0]["extensions"]["code"], code, "{query}: {event:#}");
        assert!(event.get("data").is_none_or(Value::is_null), "{event:#}");
        events.completes().await;
    }
    app.finish().await;
}

/// Sends a request that is refused before there is a stream.
async fn refused(request: RequestBuilder, status: u16) -> Response {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_in_http() {
    let app = start().await;
    let body = json!({ "query": "{ __typename }" });
    let message = async |response: Response| {
        let body: Value = response.json().await.expect("JSON");
        assert!(body.get("data").is_none(), "{body:#}");
        body["errors"][0]["message"].as_str().expect("a message").to_owned()
    };
    let http = crate::harness::http();
    let response =
        refused(http.post(format!("{}/graphql/stream", app.url)).header("Accept", "application/json").json(&body), 406)
            .await;
    assert_eq!(message(response).await, "answers are event streams: Accept: text/event-stream");
    for accept in
        ["text/event-stream;q=0", "text/event-stream;q=0, */*", "text/*, text/event-stream; q=0.0", "text/html"]
    {
        let request = http.post(format!("{}/graphql/stream", app.url)).header("Accept", accept).json(&body);
        refused(request, 406).await;
    }
    for accept in ["text/*", "*/*", "application/json;q=0.5, TEXT/EVENT-STREAM;q=1", "*/*;q=0, text/event-stream;q=0.1"]
    {
        let response =
            http.post(format!("{}/graphql/stream", app.url)).header("Accept", accept).json(&body).send().await;
        assert_eq!(response.unwrap().status(), 200, "{accept}");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
        let response = refused(request(&app, method), 405).await;
        assert_eq!(response.headers()["allow"], "GET, POST, OPTIONS");
    }
    let response = request(&app, Method::OPTIONS).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (204, &"GET, POST, OPTIONS".parse().unwrap())
    );
    let link = get(&app, &[("query", "mutation { wait }")]);
    let response = refused(link, 405).await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(message(response).await, "GET is for queries and subscriptions: send a mutation with POST");
    assert_eq!(app.facade::<ProbeFacade>().begun(), 0);

    refused(request(&app, Method::POST).header("Content-Type", "text/plain").body(body.to_string()), 415).await;
    refused(request(&app, Method::POST).json(&json!({ "query": "x".repeat(2_000_000) })), 413).await;
    for body in ["", "nonsense", "[]", "7", "{}", r#"[{"query":"{ __typename }"}]"#, r#"{"query":7}"#] {
        let request = request(&app, Method::POST).header("Content-Type", "application/json").body(body);
        refused(request, 400).await;
    }
    for query in
        [&[][..], &[("query", "{ __typename }"), ("variables", "x")], &[("query", "{ a }"), ("variables", "[1]")]]
    {
        refused(get(&app, query), 400).await;
    }
    for header in ["Bearer nonsense", "Basic x", ""] {
        let response = refused(request(&app, Method::POST).header("Authorization", header).json(&body), 401).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_is_kept_alive() {
    let options = Options::default().with("server.stream_ping_secs", 1);
    let app = TestApp::start_with::<Probed>(Backend::Sqlite, options).await;
    let mut events = post(&app, "subscription { wait }").await;
    for _ in 0..2 {
        assert_eq!(events.block().await.as_deref(), Some(":"));
    }
    app.facade::<ProbeFacade>().let_go();
    assert_eq!(events.next().await, json!({ "data": { "wait": 1 } }));
    drop(events);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_leaves_a_mutation_only() {
    let app = start().await;
    let probe: ProbeFacade = app.facade();
    let listener = post(&app, "subscription { wait }").await;
    let asking = post(&app, "{ wait }").await;
    until("both wait", || probe.begun() == 2).await;
    drop((listener, asking));
    until("nobody listens", || probe.listening() == 0).await;
    let changing = post(&app, "mutation { first: wait second: wait }").await;
    until("it waits", || probe.begun() == 3).await;
    drop(changing);
    for ended in 1..=2 {
        probe.let_go();
        until("it goes on", || probe.ended() == ended).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_and_with_the_server() {
    let app = start().await;
    let token = app.token("short", &[Role::User], 2);
    let body = json!({ "query": "subscription { wait }" });
    let mut short = Events::of(request(&app, Method::POST).bearer_auth(token).json(&body)).await;
    let mut anonymous = post(&app, "subscription { wait }").await;
    // Without `complete`, which would say that there is nothing to come back for.
    assert_eq!(short.block().await, None);
    app.facade::<ProbeFacade>().let_go();
    assert_eq!(anonymous.next().await["data"]["wait"], 1);
    let ending = async { assert_eq!(anonymous.block().await, None) };
    futures_util::future::join(ending, app.finish()).await;
}
