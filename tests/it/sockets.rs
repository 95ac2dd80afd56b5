//! graphql-transport-ws, message by message, as the specification and the npm package `graphql-ws` have it. Nothing of
//! it concerns the database, so it runs on SQLite only; `subscriptions.rs` has what listeners hear, on every backend.

use std::sync::Arc;

use serde_json::{Value, json};
use tally::kernel::auth::Role;
use tally::kernel::clock::ManualClock;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Backend, Listener, Options, START, TestApp, Wire};
use crate::probe::{ProbeFacade, Probed, until};

async fn start() -> TestApp {
    TestApp::start_with::<Probed>(Backend::Sqlite, Options::default()).await
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

fn next(id: &str, data: &Value) -> Value {
    json!({ "type": "next", "id": id, "payload": { "data": data } })
}

fn complete(id: &str) -> Value {
    json!({ "type": "complete", "id": id })
}

/// Sends what a socket is closed for.
async fn closed_after(mut socket: Listener, frame: Message) -> (u16, String) {
    assert!(socket.send_frame(frame).await);
    socket.end().await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_closes_with_4400() {
    let app = start().await;
    let long = "x".repeat(200);
    let wrong = [
        "",
        "nonsense",
        "null",
        "7",
        "\"ping\"",
        "[]",
        "{}",
        r#"[{"type":"ping"}]"#,
        r#"{"type":null}"#,
        r#"{"type":7}"#,
        r#"{"type":"Ping"}"#,
        r#"{"type":"start","id":"1","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"ping","payload":7}"#,
        r#"{"type":"ping","payload":[]}"#,
        r#"{"type":"pong","payload":"x"}"#,
        r#"{"type":"connection_init","payload":[]}"#,
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
        r#"{"type":"error","id":"1","payload":[]}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"complete","id":""}"#,
        r#"{"type":"complete","id":1}"#,
        r#"{"type":"subscribe","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":null,"payload":{"query":"{ __typename }"}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":null}"#,
        r#"{"type":"subscribe","id":"1","payload":["{ __typename }"]}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":[]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","operationName":7}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","extensions":"x"}}"#,
        &format!(r#"{{"type":"{long}"}}"#),
        &"[".repeat(60_000),
    ];
    for text in wrong {
        let ended = closed_after(Listener::acknowledged(&app.url).await, Message::text(text)).await;
        let shown = text.get(..100).unwrap_or(text);
        assert_eq!(ended, (4400, "Invalid message received".to_owned()), "{shown}");
    }
    let binary = Message::binary(r#"{"type":"ping"}"#.as_bytes().to_vec());
    assert_eq!(closed_after(Listener::acknowledged(&app.url).await, binary).await.0, 4400, "a binary frame");
    let binary = Message::binary(Vec::new());
    assert_eq!(closed_after(Listener::raw(&app.url).await, binary).await.0, 4400, "before connection_init too");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_breach_has_its_close_code() {
    let app = start().await;
    let text = |value: Value| Message::text(value.to_string());
    let unacknowledged = Listener::raw(&app.url).await;
    let ended = closed_after(unacknowledged, text(subscribe("1", "{ __typename }"))).await;
    assert_eq!(ended, (4401, "Unauthorized".to_owned()));
    let again = text(json!({ "type": "connection_init" }));
    let ended = closed_after(Listener::acknowledged(&app.url).await, again).await;
    assert_eq!(ended, (4429, "Too many initialisation requests".to_owned()));

    for (id, reason) in [
        ("an id".to_owned(), "Subscriber for an id already exists".to_owned()),
        ("i".repeat(93), format!("Subscriber for {} already exists", "i".repeat(93))),
        ("ü".repeat(48), "Subscriber already exists".to_owned()),
        ("i".repeat(5_000), "Subscriber already exists".to_owned()),
    ] {
        let mut socket = Listener::acknowledged(&app.url).await;
        socket.subscribe(&id, "subscription { wait }").await;
        let ended = closed_after(socket, text(subscribe(&id, "{ __typename }"))).await;
        assert_eq!(ended, (4409, reason));
    }
    let most = 64 * 1024;
    let ended = closed_after(Listener::acknowledged(&app.url).await, Message::text("x".repeat(most + 1))).await;
    assert_eq!(ended, (1009, "Message too big".to_owned()));
    let padding = most - json!({ "type": "ping", "payload": { "x": "" } }).to_string().len();
    let mut socket = Listener::acknowledged(&app.url).await;
    let largest = json!({ "x": "x".repeat(padding) });
    socket.send(json!({ "type": "ping", "payload": largest })).await;
    assert_eq!(socket.message().await, json!({ "type": "pong", "payload": largest }), "the largest that may be");

    use tokio::io::AsyncWriteExt as _;
    for (bytes, code) in [
        // Not masked, as a client must; a reserved operation; text that is not UTF-8, masked with zeros.
        (&[0x81, 0x02, b'{', b'}'][..], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0][..], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe][..], 1007),
    ] {
        let mut socket = Listener::acknowledged(&app.url).await;
        socket.connection().write_all(bytes).await.unwrap();
        assert_eq!(socket.end().await.0.0, code, "{bytes:x?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_subprotocol_is_spoken() {
    let app = start().await;
    for offered in [None, Some("graphql-ws"), Some("soap, wamp"), Some("GRAPHQL-TRANSPORT-WS")] {
        let headers: Vec<_> = offered.map(|offered| ("sec-websocket-protocol", offered)).into_iter().collect();
        // The client library refuses a server that chooses none of what it offered; so this one is written by hand.
        assert_eq!(by_hand(&app, &headers).await, (101, 4406, "Subprotocol not acceptable".to_owned()), "{offered:?}");
    }
    let headers = [("sec-websocket-protocol", "soap, graphql-transport-ws, graphql-ws")];
    let mut socket = Listener::raw_with(&app.url, &headers).await;
    socket.send(json!({ "type": "connection_init", "payload": null })).await;
    assert_eq!(socket.message().await["type"], "connection_ack");
    app.finish().await;
}

/// Shakes hands; returns the status, and code and reason of the close frame that comes.
async fn by_hand(app: &TestApp, headers: &[(&str, &str)]) -> (u16, u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = app.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let mut request = format!(
        "GET /graphql HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // It waits a moment for the peer to take note, then it closes.
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    let frame = &answer[end..];
    assert_eq!(frame[0], 0x88, "a close frame: {frame:x?}");
    let reason = String::from_utf8(frame[4..].to_vec()).unwrap();
    (status, u16::from_be_bytes([frame[2], frame[3]]), reason)
}

/// The headers of a handshake that is of its form.
const HANDSHAKE: &str = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_has_a_form() {
    let app = start().await;
    let (key, version) = ("dGhlIHNhbXBsZSBub25jZQ==", "version: 13");
    for (from, to, status) in [
        ("", "", 101),
        (version, "version: 1", 426),
        (version, "version: 130", 426),
        (version, "else: 13", 426),
        (key, "", 400),
        (key, "dGhlIHNhbXBsZSBub25jZQ", 400),
        (key, "dGhlIHNhbXBsZSBub25j", 400),
        (key, "dGhlIHNhbXBsZSBub25jZSBhZ2Fpbg==", 400),
        (key, "!!!!!!!!!!!!!!!!!!!!!!==", 400),
        ("sec-websocket-key", "else", 400),
        (key, "dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", 400),
        // What does not ask for a socket is answered like anything else.
        ("keep-alive, Upgrade", "keep-alive", 200),
        ("connection", "else", 200),
        ("upgrade: websocket", "upgrade: h2c", 200),
    ] {
        let mut wire = Wire::open(&app.url).await;
        let headers = HANDSHAKE.replace(from, to);
        let headers = if from.is_empty() { HANDSHAKE.to_owned() } else { headers };
        wire.send(format!("GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        let (head, body) = wire.answer().await.unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{from} -> {to}: {head}");
        assert_eq!(head.contains("sec-websocket-version: 13"), status == 426, "{from} -> {to}: {head}");
        let expected = match status {
            101 => "",
            200 => "{\"data\":{\"__typename\":\"Query\"}}",
            _ => "{\"errors\":[{\"message\":",
        };
        assert!(body.starts_with(expected), "{from} -> {to}: {body}");
    }
    let post = async |method: &str, path: &str| {
        let mut wire = Wire::open(&app.url).await;
        let body = "{\"query\":\"{ __typename }\"}";
        let length = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        wire.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{HANDSHAKE}{length}\r\n{body}")).await;
        wire.answer().await.unwrap().0
    };
    assert!(post("POST", "/graphql").await.starts_with("HTTP/1.1 200 "), "only a GET is an upgrade");
    for path in ["/graphql", "/graphql/stream", "/graphql/nothing", "/", "/healthz"] {
        let head = post("PUT", path).await;
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nallow: GET"), "{path}: {head}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_in_the_payload_or_in_the_handshake() {
    let app = start().await;
    let token = |subject: &str, role| format!("Bearer {}", app.token(subject, &[role], 3600));
    let (user, service) = (token("user", Role::User), token("service", Role::Service));
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    let roles = async |headers: &[(&'static str, &str)], payload: Value| {
        let mut socket = Listener::raw_with(&app.url, headers).await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.message().await, json!({ "type": "connection_ack" }));
        socket.subscribe("1", "{ me { roles } }").await;
        socket.next().await["me"].clone()
    };
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        assert_eq!(roles(&[protocol], json!({ name: user })).await, json!({ "roles": ["USER"] }));
    }
    let handshake = [protocol, ("authorization", &*service)];
    for payload in [json!(null), json!({}), json!({ "Authorization": null }), json!({ "else": 1 })] {
        assert_eq!(roles(&handshake, payload).await, json!({ "roles": ["SERVICE"] }));
    }
    assert_eq!(roles(&handshake, json!({ "Authorization": user })).await, json!({ "roles": ["USER"] }));
    assert_eq!(roles(&[protocol], json!({})).await, json!(null), "nobody");

    let mut socket = Listener::raw_with(&app.url, &[protocol, ("authorization", "Bearer nonsense")]).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.end().await.0, (4403, "Forbidden".to_owned()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_at_any_time() {
    let app = start().await;
    for mut socket in [Listener::raw(&app.url).await, Listener::acknowledged(&app.url).await] {
        socket.send(json!({ "type": "pong", "payload": { "unasked": true } })).await;
        socket.send(complete("unknown")).await;
        for empty in [json!({ "type": "ping" }), json!({ "type": "ping", "payload": null })] {
            socket.send(empty).await;
            assert_eq!(socket.message().await, json!({ "type": "pong" }));
        }
        let payload = json!({ "sent": 1, "deep": { "er": [null] } });
        socket.send(json!({ "type": "ping", "id": "ignored", "payload": payload })).await;
        assert_eq!(socket.message().await, json!({ "type": "pong", "payload": payload }));
        // A frame of the WebSocket protocol has its own answer.
        assert!(socket.send_frame(Message::Ping(b"frame".to_vec().into())).await);
        assert_eq!(socket.frame().await, Message::Pong(b"frame".to_vec().into()));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_all_kinds_share_a_socket() {
    let app = start().await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    // A subscription that ends; then its id is free.
    for _ in 0..2 {
        socket.subscribe("a", "subscription { count(to: 3) }").await;
        for n in 1..=3 {
            assert_eq!(socket.message().await, next("a", &json!({ "count": n })));
        }
        assert_eq!(socket.message().await, complete("a"));
    }
    // One that goes on, beside a query and a mutation with ids of any kind.
    socket.subscribe("b", "subscription { wait }").await;
    until("it listens", || probe.begun() == 1).await;
    for (id, query, data) in [
        ("c", "{ __typename }", json!({ "__typename": "Query" })),
        ("\u{1f426} \" \\ \n", "mutation { __typename }", json!({ "__typename": "Mutation" })),
    ] {
        socket.subscribe(id, query).await;
        assert_eq!(socket.message().await, next(id, &data));
        assert_eq!(socket.message().await, complete(id));
    }
    probe.let_go();
    assert_eq!(socket.message().await, next("b", &json!({ "wait": 1 })));
    // Variables, an operation's name, and whatever else is in a payload.
    let payload = json!({
        "query": "query One { __typename } query Two($if: Boolean!) { two: me @include(if: $if) { roles } }",
        "operationName": "Two", "variables": { "if": true }, "extensions": null, "more": [1],
    });
    socket.send(json!({ "type": "subscribe", "id": "d", "payload": payload, "more": 1 })).await;
    assert_eq!(socket.message().await, next("d", &json!({ "two": null })));
    assert_eq!(socket.message().await, complete("d"));
    // What was not executed is an `error`, after which there is no `complete` and the id is free; what was is a `next`.
    for _ in 0..2 {
        socket.subscribe("e", "{").await;
        let message = socket.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("e")), "{message:#}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "INVALID_INPUT");
    }
    for root in ["query", "mutation", "subscription"] {
        socket.subscribe("f", &format!("{root} {{ panic }}")).await;
        let message = socket.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!("f")), "{message:#}");
        assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "INTERNAL", "a panic ends one operation");
        assert_eq!(socket.message().await, complete("f"));
    }
    probe.let_go();
    assert_eq!(socket.message().await, next("b", &json!({ "wait": 2 })), "its neighbours did not harm it");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn complete_ends_an_operation_at_once() {
    let app = start().await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    // However fast it answers.
    socket.subscribe("flood", "subscription { flood(bytes: 10) }").await;
    socket.next().await;
    socket.send(complete("flood")).await;
    socket.send(json!({ "type": "ping" })).await;
    while socket.message().await["type"] != "pong" {}
    assert_eq!(probe.listening(), 0);
    socket.subscribe("flood", "{ __typename }").await;
    assert_eq!(socket.message().await, next("flood", &json!({ "__typename": "Query" })), "nothing of the first");
    assert_eq!(socket.message().await, complete("flood"));

    // A query is dropped; a mutation runs to its end unheard. Either id is free at once.
    for (root, ends) in [("query", 0), ("mutation", 1)] {
        let begun = probe.begun();
        socket.subscribe("1", &format!("{root} {{ wait }}")).await;
        until("it waits", || probe.begun() == begun + 1).await;
        socket.send(complete("1")).await;
        socket.subscribe("1", "{ __typename }").await;
        assert_eq!(socket.message().await, next("1", &json!({ "__typename": "Query" })));
        assert_eq!(socket.message().await, complete("1"));
        if ends == 1 {
            probe.let_go();
            until("the mutation has ended", || probe.ended() == 1).await;
        }
        socket.send(json!({ "type": "ping" })).await;
        assert_eq!(socket.message().await, json!({ "type": "pong" }), "nothing is heard of the {root}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_outlives_its_socket() {
    let app = start().await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    socket.subscribe("1", "mutation { first: wait second: wait }").await;
    socket.subscribe("2", "subscription { wait }").await;
    until("both wait", || probe.begun() == 2).await;
    drop(socket);
    until("the subscription is gone", || probe.listening() == 0).await;
    probe.let_go();
    until("its second part has begun", || probe.begun() == 3).await;
    probe.let_go();
    until("it has ended", || probe.ended() == 2).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_expired_starts_nothing() {
    let clock = Arc::new(ManualClock::new(START));
    let app = TestApp::start_with::<Probed>(Backend::Sqlite, Options::default().at(&clock)).await;
    let token = app.token("user", &[Role::User], 60);
    let mut socket = Listener::raw(&app.url).await;
    socket.send(json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } })).await;
    assert_eq!(socket.message().await["type"], "connection_ack");
    clock.set(START.plus(59_999));
    socket.subscribe("1", "{ me { roles } }").await;
    assert_eq!(socket.next().await, json!({ "me": { "roles": ["USER"] } }));
    assert_eq!(socket.message().await, complete("1"));
    clock.set(START.plus(60_000));
    socket.subscribe("2", "{ me { roles } }").await;
    assert_eq!(socket.end().await, ((4403, "Token expired".to_owned()), Vec::new()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_goodbye_is_answered() {
    let app = start().await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    socket.subscribe("1", "subscription { wait }").await;
    until("it listens", || probe.listening() == 1).await;
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "bye".into() };
    assert!(socket.send_frame(Message::Close(Some(frame))).await);
    assert_eq!(socket.end().await, ((1000, "bye".to_owned()), Vec::new()));
    until("nothing is left", || probe.listening() == 0).await;
    app.finish().await;
}
