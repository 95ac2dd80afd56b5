//! What is too large, too much or not of its form is refused, and the server lives on. Nothing here concerns the
//! database, so this is SQLite only.

use std::time::Duration;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use crate::harness::{Answer, Backend, Listener, Options, TestApp, Wire};

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

const POST: &str = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
const BODY: &str = "{\"query\":\"{ __typename }\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_is_answered_with_431() {
    let app = start(Options::default().with("server.header_bytes", 8192)).await;
    let get = |lines: &str| format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    for (lines, expected) in [
        (format!("x: {}\r\n", "y".repeat(7_000)), "200"),
        ("x: y\r\n".repeat(99), "200"),
        (format!("x: {}\r\n", "y".repeat(8_200)), "431"),
        (format!("x: {}\r\n", "y".repeat(1_000_000)), "431"),
        ("x: y\r\n".repeat(100), "431"),
    ] {
        let mut wire = Wire::open(&app.url).await;
        // The server may close before all of it is sent.
        wire.send(get(&lines)).await;
        match wire.answer().await {
            Some((head, _)) => assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{expected}: {head}"),
            // A reset can overtake the answer to what was not read to its end.
            None => assert!(lines.len() > 100_000, "{expected}: closed"),
        }
    }
    let mut wire = Wire::open(&app.url).await;
    wire.send(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(8_200))).await;
    let (head, _) = wire.answer().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 431") || head.starts_with("HTTP/1.1 414"), "{head}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bodies_together_are_bounded() {
    let app = start(Options::default().with("server.bodies_mib", 1)).await;
    let padded = format!("{BODY}{}", " ".repeat(700_000 - BODY.len()));
    let whole = format!("{POST}content-length: {}\r\n\r\n{padded}", padded.len());
    // All but its last byte: what the server holds of it counts.
    let begin = async || {
        let mut slow = Wire::open(&app.url).await;
        assert!(slow.send(&whole[..whole.len() - 1]).await);
        slow
    };
    let refused = async {
        loop {
            let mut slow = begin().await;
            // Time to read it: of two that are read at once either is refused, or both.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut other = Wire::open(&app.url).await;
            other.send(&whole).await;
            let answer = other.answer().await;
            let slow_is_held = tokio::time::timeout(Duration::from_millis(200), slow.answer()).await.is_err();
            match answer {
                Some((head, body)) if head.starts_with("HTTP/1.1 503") && slow_is_held => return (slow, body),
                _ => {}
            }
        }
    };
    let (mut slow, refused) = tokio::time::timeout(Duration::from_secs(60), refused).await.expect("a refusal");
    assert!(refused.contains("OVERLOADED"), "{refused}");
    // Small ones are let through all the while, and the large one too.
    let mut small = Wire::open(&app.url).await;
    assert!(small.send(format!("{POST}content-length: {}\r\n\r\n{BODY}", BODY.len())).await);
    assert!(small.answer().await.expect("an answer").0.starts_with("HTTP/1.1 200"));
    assert!(slow.send(" ").await);
    assert!(slow.answer().await.expect("an answer").0.starts_with("HTTP/1.1 200"));
    let mut next = Wire::open(&app.url).await;
    assert!(next.send(&whole).await);
    assert!(next.answer().await.expect("an answer").0.starts_with("HTTP/1.1 200"), "the budget is free again");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_answered_with_413() {
    let app = start(Options::default().with("server.body_bytes", 2048)).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let padded = format!("{BODY}{}", " ".repeat(2048 - BODY.len()));
    for (lines, body, status) in [
        ("content-length: 2048\r\n", padded.clone(), "200"),
        ("transfer-encoding: chunked\r\n", format!("800\r\n{padded}\r\n0\r\n\r\n"), "200"),
        ("content-length: 2049\r\n", format!("{padded} "), "413"),
        ("content-length: 200000\r\n", "x".repeat(200_000), "413"),
        ("transfer-encoding: chunked\r\n", chunk.repeat(3) + "0\r\n\r\n", "413"),
        ("transfer-encoding: chunked\r\n", chunk.repeat(300) + "0\r\n\r\n", "413"),
        // Nothing of it is read, and «100 Continue» is not said.
        ("content-length: 2049\r\nexpect: 100-continue\r\n", String::new(), "413"),
        ("content-length: 99999999999\r\nexpect: 100-continue\r\n", String::new(), "413"),
    ] {
        let mut wire = Wire::open(&app.url).await;
        assert!(wire.send(format!("{POST}{lines}\r\n{body}")).await);
        let (head, body) = wire.answer().await.unwrap_or_else(|| panic!("closed: {lines}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {head}\n{body}");
        if status == "413" {
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["errors"][0]["message"], "the body is larger than 2048 bytes");
            assert_eq!(body["errors"][0]["extensions"]["code"], "INVALID_INPUT");
        }
    }
    // A client that waits to be told gets told.
    let mut wire = Wire::open(&app.url).await;
    wire.send(format!("{POST}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", BODY.len())).await;
    assert_eq!(wire.answer().await.unwrap().0, "HTTP/1.1 100 Continue");
    wire.send(BODY).await;
    assert!(wire.answer().await.unwrap().0.starts_with("HTTP/1.1 200"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_one_piece_are_answered_in_their_order() {
    let app = start(Options::default()).await;
    let mut wire = Wire::open(&app.url).await;
    let named = |name: &str| {
        let body = format!("{{\"query\":\"{{ {name}: __typename }}\"}}");
        format!("{POST}content-length: {}\r\n\r\n{body}", body.len())
    };
    let last = named("last");
    let (some, rest) = last.split_at(30);
    wire.send((0..20).map(|n| named(&format!("n{n}"))).collect::<String>() + some).await;
    for n in 0..20 {
        assert!(wire.answer().await.unwrap().1.contains(&format!("\"n{n}\"")));
    }
    wire.send(rest).await;
    assert!(wire.answer().await.unwrap().1.contains("\"last\""));
    app.finish().await;
}

/// What two servers in a row may understand in two ways, and what is no HTTP at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_requests_and_garbage_end_the_connection() {
    let app = start(Options::default()).await;
    let mutation = "{\"query\":\"mutation { publishArtwork(input: { title: \\\"smuggled\\\" }) { created } }\"}";
    let token = app.token("victim", &[Role::User], 3600);
    let smuggled =
        format!("{POST}authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{mutation}", mutation.len());
    let post = |lines: &str, body: &str| format!("{POST}{lines}\r\n\r\n{body}");
    let zero = "0\r\n\r\n";
    for (shape, bytes) in [
        ("length and chunked", post("content-length: 5\r\ntransfer-encoding: chunked", zero)),
        ("chunked and length", post("transfer-encoding: chunked\r\ncontent-length: 5", zero)),
        ("chunked and a longer length", post("transfer-encoding: chunked\r\ncontent-length: 400", zero)),
        ("two lengths", post("content-length: 5\r\ncontent-length: 6", zero)),
        ("a list of lengths", post("content-length: 5, 6", zero)),
        ("a signed length", post("content-length: +5", zero)),
        ("a negative length", post("content-length: -5", zero)),
        ("a length past 64 bits", post("content-length: 18446744073709551616", zero)),
        ("chunked is not last", post("transfer-encoding: chunked, identity", zero)),
        ("no chunked", post("transfer-encoding: identity", zero)),
        ("a strange encoding", post("transfer-encoding: xchunked", zero)),
        ("a space before the colon", post("transfer-encoding : chunked", zero)),
        ("a folded line", post("x: y\r\n transfer-encoding: chunked", zero)),
        ("a size that is none", post("transfer-encoding: chunked", "zz\r\n")),
        ("a size past 64 bits", post("transfer-encoding: chunked", "fffffffffffffffff\r\nx")),
        ("a chunk without its end", post("transfer-encoding: chunked", "1\r\nxx\r\n0\r\n\r\n")),
        ("chunked in HTTP/1.0", post("transfer-encoding: chunked", zero).replace("HTTP/1.1", "HTTP/1.0")),
        ("no host", "POST /graphql HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned()),
        ("two hosts", post("host: y\r\nconnection: close", "")),
        ("a NUL in a line", post("x: a\0b", "")),
        ("no HTTP", "\u{1}\u{2}\u{3}\u{4}nonsense\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n".to_owned()),
        ("HTTP/3.7", "GET / HTTP/3.7\r\n\r\n".to_owned()),
        ("HTTP/2 that is none", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{}", "x".repeat(100))),
    ] {
        let mut wire = Wire::open(&app.url).await;
        wire.send(bytes + &smuggled).await;
        let (said, took) = wire.until_closed().await;
        assert!(took < Duration::from_secs(5), "{shape}: {took:?}");
        assert!(said.matches("HTTP/1.1 ").count() <= 1 && !said.contains("HTTP/1.1 200"), "{shape}: {said}");
        assert!(Wire::open(&app.url).await.healthy().await, "the server lives: {shape}");
    }
    let answer = app.anonymous().query("{ artworks { totalCount } }").await;
    assert_eq!(answer.data()["artworks"]["totalCount"], 0, "nothing was smuggled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_of_its_form() {
    let app = start(Options::default()).await;
    for (host, status) in [
        ("x", 200),
        ("", 200),
        ("api.example:8080", 200),
        ("api.example:", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("my_service:80", 200),
        ("a b/c", 400),
        ("a b", 400),
        ("a/c", 400),
        ("a?b", 400),
        ("user@host", 400),
        ("user:80@host", 400),
        ("host:80:80", 400),
        ("host:x", 400),
        ("[::1", 400),
        ("http://host", 400),
        ("a, b", 400),
        ("é", 400),
    ] {
        for path in ["/healthz", "/graphql?query=%7B__typename%7D"] {
            let mut wire = Wire::open(&app.url).await;
            wire.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            let (head, _) = wire.answer().await.unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host:?}: {head}");
        }
    }
    app.finish().await;
}

/// A frame of HTTP/2. Source: RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_spoken_and_pings_keep_nothing_open() {
    let options = Options::default().with("server.header_secs", 1).with("server.idle_secs", 3);
    let app = start(options.with("server.http2", true)).await;
    let mut wire = Wire::open(&app.url).await;
    // GET http //x/healthz as HPACK: entries of the static table, and literals without an index.
    let ask = |stream| frame(1, 0x5, stream, b"\x82\x86\x04\x08/healthz\x01\x01x");
    wire.send([PREFACE, &frame(4, 0, 0, &[]), &ask(1), &ask(3)].concat()).await;
    let mut heard = Vec::new();
    while heard.windows(11).filter(|bytes| bytes[3] == 0 && bytes.ends_with(b"ok")).count() < 2 {
        heard.extend(wire.read().await.unwrap_or_else(|| panic!("closed after {heard:?}")));
    }
    // Idle for longer than a head may take; pings and acknowledgements are no requests.
    let from = std::time::Instant::now();
    wire.send(frame(4, 1, 0, &[])).await;
    let mut said = Vec::new();
    while from.elapsed() < Duration::from_secs(15) {
        wire.send(frame(6, 0, 0, b"12345678")).await;
        match wire.read().await {
            Some(bytes) => said.extend(bytes),
            None => break,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((2_500..9_000).contains(&from.elapsed().as_millis()), "{:?}", from.elapsed());
    assert!(said.windows(9).any(|bytes| bytes[3] == 7 && bytes[5..9] == [0; 4]), "GOAWAY is said: {said:?}");
    assert!(Wire::open(&app.url).await.healthy().await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_not_spoken_unless_it_is_asked_for() {
    let app = start(Options::default()).await;
    let mut wire = Wire::open(&app.url).await;
    let ask = frame(1, 0x5, 1, b"\x82\x86\x04\x08/healthz\x01\x01x");
    // No window: whatever has a body would wait for ever.
    wire.send([PREFACE, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), &ask].concat()).await;
    let mut heard = Vec::new();
    // A head that ends its stream, whole.
    let answered = |heard: &[u8]| {
        let at =
            heard.windows(9).position(|bytes| bytes[3] == 1 && bytes[4] & 1 == 1 && bytes[5..9] == [0, 0, 0, 1])?;
        heard.get(at + 9..at + 9 + usize::from(heard[at + 2])).map(<[u8]>::to_vec)
    };
    let head = loop {
        if let Some(head) = answered(&heard) {
            break head;
        }
        heard.extend(wire.read().await.unwrap_or_else(|| panic!("closed after {heard:?}")));
    };
    // `:status: 505`, as text or in Huffman's code. Source: RFC 7541, appendix B.
    assert!(head.windows(3).any(|bytes| bytes == b"505" || bytes == [0x6c, 0x0d, 0xff]), "{head:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_streams_of_a_client_are_bounded() {
    let app = start(Options::default().with("server.sockets_per_client", 3)).await;
    let mut sockets = vec![Listener::acknowledged(&app.url).await, Listener::acknowledged(&app.url).await];
    let stream = || {
        let query = "query=subscription{hotRankingChanged{kind}}";
        crate::harness::http().get(format!("{}/graphql/stream?{query}", app.url)).header("accept", "text/event-stream")
    };
    let third = stream().send().await.unwrap();
    assert_eq!(third.status(), 200);
    let refused = stream().send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    drop(sockets.pop());
    // The server learns of it in its own time.
    let again = async {
        while stream().send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("the place is free again");
    drop((sockets, third));
    app.finish().await;
}

/// Asks with a token, as a client that a proxy names.
async fn ask(app: &TestApp, token: Option<&str>, client: &str) -> (Answer, Option<String>) {
    let mut request = reqwest::Client::new().post(format!("{}/graphql", app.url)).header("x-forwarded-for", client);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.json(&json!({ "query": "{ __typename }" })).send().await.unwrap();
    let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    (Answer { status, body: response.json().await.unwrap() }, wait)
}

/// Asks until it is limited; waits as it is told and gets through. Returns how often it was answered before.
async fn exhaust(app: &TestApp, token: Option<&str>, client: &str) -> usize {
    for answered in 0..50 {
        let (answer, wait) = ask(app, token, client).await;
        if answer.status == 200 {
            continue;
        }
        assert_eq!((answer.status, answer.code()), (429, "RATE_LIMITED"));
        assert_eq!(wait.as_deref(), Some("1"), "whole seconds");
        let wait_ms = answer.body["errors"][0]["extensions"]["retryAfterMs"].as_u64().unwrap();
        assert!((1..=1000).contains(&wait_ms), "{wait_ms}");
        assert!(answer.message().ends_with(&format!("try again in {wait_ms} ms")), "{}", answer.message());
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let (answer, _) = ask(app, token, client).await;
        assert_eq!(answer.status, 200, "after the wait that it was told: {}", answer.body);
        return answered;
    }
    panic!("never limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_too_often_waits_as_long_as_it_is_told() {
    let options = Options::default()
        .with("limits.rate_anonymous", 1)
        .with("limits.rate_user", 1)
        .with("limits.burst_secs", 3)
        .with("server.trusted_proxies", "127.0.0.0/8");
    let app = start(options).await;
    let (ann, ben) = (app.token("ann", &[Role::User], 3600), app.token("ben", &[Role::User], 3600));
    // A slow machine refills a little while it asks.
    assert!((3..6).contains(&exhaust(&app, Some(&ann), "192.0.2.1").await), "a burst of three");
    assert_eq!(ask(&app, Some(&ben), "192.0.2.1").await.0.status, 200, "another subject, the same address");
    assert!((3..6).contains(&exhaust(&app, None, "192.0.2.1").await));
    assert_eq!(ask(&app, None, "192.0.2.2").await.0.status, 200, "another address");
    assert!((2..6).contains(&exhaust(&app, None, "2001:db8::1").await));
    let robot = app.token("robot", &[Role::Service], 3600);
    for _ in 0..20 {
        assert_eq!(ask(&app, Some(&robot), "192.0.2.1").await.0.status, 200, "services are not limited");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_shut_their_address_out_for_a_while() {
    let options = Options::default()
        .with("limits.rate_anonymous", 1)
        .with("limits.burst_secs", 3)
        .with("server.trusted_proxies", "127.0.0.1, ::1");
    let app = start(options).await;
    let good = app.token("ann", &[Role::User], 3600);
    let mut refused = 0;
    while ask(&app, Some("bad.bad.bad"), "192.0.2.1").await.0.status == 401 {
        refused += 1;
        assert!(refused < 50, "never limited");
    }
    assert!(refused >= 3, "{refused}");
    let (answer, _) = ask(&app, Some(&good), "192.0.2.2").await;
    assert_eq!(answer.status, 200, "another address");
    loop {
        let (answer, _) = ask(&app, Some(&good), "192.0.2.1").await;
        match answer.status {
            200 => break,
            status => assert_eq!((status, answer.code()), (429, "RATE_LIMITED")),
        }
        let wait_ms = answer.body["errors"][0]["extensions"]["retryAfterMs"].as_u64().unwrap();
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_outlives_the_limits_of_connections() {
    let keys =
        ["server.first_byte_secs", "server.header_secs", "server.idle_secs", "server.request_secs", "server.body_secs"];
    let options = keys.into_iter().fold(Options::default(), |options, key| options.with(key, 1));
    let app = start(options).await;
    let author = app.user("author");
    let artwork = author.publish("an artwork").await;
    let mut listener = Listener::raw(&app.url).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    listener.send(json!({ "type": "connection_init" })).await;
    assert_eq!(listener.message().await["type"], "connection_ack");
    let query = "subscription { hotRankingChanged { entries { content { id } } } }";
    listener.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
    assert_eq!(listener.next().await["hotRankingChanged"]["entries"][0]["content"]["id"], artwork);
    app.finish().await;
}
