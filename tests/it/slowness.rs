//! Clients that are slow, silent, or many: each is cut off at its own limit, and the server lives on. Nothing here
//! concerns the database, so this is SQLite only.

use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use serde_json::{Value, json};
use tally::app::Tally;

use crate::harness::{Backend, Options, Process, TestApp, TestDatabase, Wire};

async fn start(settings: &[(&'static str, u32)]) -> TestApp {
    let options = settings.iter().fold(Options::default(), |options, (key, value)| options.with(key, value));
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

/// The server does what it should, for somebody else.
async fn lives(app: &TestApp) {
    assert!(Wire::open(&app.url).await.healthy().await, "the server lives");
}

/// Not before `secs`, and not much later: the other limits of these tests are a minute. The server's time may have begun
/// a little before the test's.
fn about(took: Duration, secs: u64) {
    let least = Duration::from_millis(secs * 1000 - 300);
    assert!((least..least + Duration::from_secs(5)).contains(&took), "{took:?}, not {secs} s");
}

const HANDSHAKE: &str = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
const GET: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_cut_off() {
    let app = start(&[("server.first_byte_secs", 1), ("server.header_secs", 60), ("server.idle_secs", 60)]).await;
    let mut silent = Wire::open(&app.url).await;
    let (said, took) = silent.until_closed().await;
    assert_eq!(said, "");
    about(took, 1);
    lives(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_dribbles_is_cut_off() {
    let app = start(&[("server.first_byte_secs", 60), ("server.header_secs", 1), ("server.idle_secs", 60)]).await;
    for before in ["", GET] {
        let mut slow = Wire::open(&app.url).await;
        if !before.is_empty() {
            assert!(slow.healthy().await);
            // A kept connection may rest longer than a head may take.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        let from = Instant::now();
        // The closed socket takes a byte or two before it says so.
        while from.elapsed() < Duration::from_secs(10) && slow.send("x").await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        about(from.elapsed(), 1);
        assert_eq!(slow.until_closed().await.0, "");
    }
    lives(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_is_closed() {
    let app = start(&[("server.first_byte_secs", 60), ("server.header_secs", 60), ("server.idle_secs", 2)]).await;
    let mut idle = Wire::open(&app.url).await;
    for _ in 0..2 {
        assert!(idle.healthy().await);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    assert!(idle.healthy().await, "each request begins the time anew");
    let (said, took) = idle.until_closed().await;
    assert_eq!(said, "");
    about(took, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_arrive_is_answered_with_408() {
    let app = start(&[("server.body_secs", 1), ("server.header_secs", 60)]).await;
    let post = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for (length, part) in [("content-length: 30", "{\"query\""), ("transfer-encoding: chunked", "5\r\n{\"que\r\n")] {
        let mut slow = Wire::open(&app.url).await;
        let from = Instant::now();
        slow.send(format!("{post}{length}\r\n\r\n{part}")).await;
        let (head, body) = slow.answer().await.unwrap();
        about(from.elapsed(), 1);
        assert!(head.starts_with("HTTP/1.1 408") && head.contains("connection: close"), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["errors"][0]["message"], "the body did not arrive within 1 s");
        assert_eq!(body["errors"][0]["extensions"]["code"], "INVALID_INPUT");
        assert_eq!(slow.until_closed().await.0, "");
    }
    lives(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_off() {
    let app = start(&[("server.idle_secs", 1), ("server.connections", 1)]).await;
    let mut deaf = Wire::open(&app.url).await;
    let page = large_page(&mut deaf).await;
    // More than the sockets' buffers hold.
    let ask = format!("GET {page} HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(deaf.send(ask.repeat(40)).await);
    let from = Instant::now();
    loop {
        let mut next = Wire::open(&app.url).await;
        if next.healthy().await {
            break;
        }
        assert!(from.elapsed() < Duration::from_secs(20), "its place is free again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(from.elapsed() >= Duration::from_millis(700));
    app.finish().await;
}

/// The path of GraphiQL's script, which is large.
async fn large_page(wire: &mut Wire) -> String {
    wire.send("GET /graphiql HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let (_, page) = wire.answer().await.unwrap();
    let path = page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js"));
    path.unwrap_or_else(|| panic!("no script in {page}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_long_is_503_and_the_write_passes_all_the_same() {
    let app = start(&[("server.request_secs", 1)]).await;
    let author = app.user("author");
    let artwork = author.publish("an artwork").await;
    let mut options = ConnectOptions::new(&app.database.url);
    options.max_connections(1);
    let other = Database::connect(options).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let answer = author.act("like", &artwork).await;
    assert_eq!((answer.status, answer.code()), (503, "UNAVAILABLE"));
    other.execute_unprepared("ROLLBACK").await.unwrap();
    other.close().await.unwrap();
    // Nobody waits for it any more, and it is written.
    let count = "query ($id: ID!) { artwork(id: $id) { likeCount } }";
    let from = Instant::now();
    while author.run(count, json!({ "id": artwork })).await.data()["artwork"]["likeCount"] != 1 {
        assert!(from.elapsed() < Duration::from_secs(20), "the like is there at last");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(author.act("like", &artwork).await.data()["like"]["changed"], false, "to repeat it does no harm");
    app.finish().await;
}

/// Opens connections until `most` are taken; each of them answers, and the next one is closed.
async fn filled(app: &TestApp, most: usize) -> Vec<Wire> {
    let mut open = Vec::new();
    for _ in 0..most {
        let mut wire = Wire::open(&app.url).await;
        assert!(wire.healthy().await);
        open.push(wire);
    }
    assert!(!Wire::open(&app.url).await.healthy().await, "{most} are enough");
    assert!(open[0].healthy().await, "those that are open stay");
    open
}

/// Waits until a connection is answered.
async fn has_room(app: &TestApp) {
    let from = Instant::now();
    while !Wire::open(&app.url).await.healthy().await {
        assert!(from.elapsed() < Duration::from_secs(20), "a place is free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded() {
    for key in ["server.connections", "server.connections_per_client"] {
        let app = start(&[(key, 3)]).await;
        let mut open = filled(&app, 3).await;
        open.pop();
        has_room(&app).await;
        drop(open);
        // Sockets count, too, for as long as they are open.
        has_room(&app).await;
        let mut sockets = Vec::new();
        while sockets.len() < 3 {
            let mut wire = Wire::open(&app.url).await;
            wire.send(HANDSHAKE).await;
            match wire.answer().await {
                Some((head, _)) if head.starts_with("HTTP/1.1 101") => sockets.push(wire),
                Some((head, _)) => panic!("{head}"),
                // The place of the last one that was closed is not free yet.
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        assert!(!Wire::open(&app.url).await.healthy().await, "{key}: three sockets are enough");
        drop(sockets);
        has_room(&app).await;
        app.finish().await;
    }
    let options =
        Options::default().with("server.connections_per_client", 2).with("server.trusted_proxies", "127.0.0.1");
    let app = TestApp::start_with::<Tally>(Backend::Sqlite, options).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut wire = Wire::open(&app.url).await;
        assert!(wire.healthy().await, "behind a proxy there are many");
        open.push(wire);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_leave_the_database_its_files() {
    let database = TestDatabase::create(Backend::Sqlite).await;
    let server = Process::serve_with_files(&database, 160).await;
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(Wire::open(&server.url).await);
    }
    // 32 of 160 files are for connections, and the rest of the 300 were closed.
    let mut answered = Vec::new();
    for mut wire in open {
        if wire.healthy().await {
            answered.push(wire);
        }
    }
    assert_eq!(answered.len(), 32);
    assert!(answered[0].send("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await);
    assert!(answered[0].answer().await.unwrap().0.starts_with("HTTP/1.1 200"), "the database is there");
    server.kill().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_requests_and_for_nothing_else() {
    let app = start(&[("server.shutdown_secs", 10)]).await;
    let (mut idle, mut silent, mut begun) =
        (Wire::open(&app.url).await, Wire::open(&app.url).await, Wire::open(&app.url).await);
    assert!(idle.healthy().await);
    let body = "{\"query\":\"{ __typename }\"}";
    let post = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    begun.send(format!("{post}\r\n{}", &body[..5])).await;
    has_room(&app).await;
    let url = app.url.clone();
    let stopping = tokio::spawn(app.stop());
    assert_eq!(idle.until_closed().await.0, "");
    assert_eq!(silent.until_closed().await.0, "");
    begun.send(&body[5..]).await;
    let (head, answer) = begun.answer().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && answer.contains("Query"), "{head}\n{answer}");
    let from = Instant::now();
    let database = stopping.await.unwrap();
    assert!(from.elapsed() < Duration::from_secs(8), "it does not wait for its grace to end");
    assert!(reqwest::get(url).await.is_err(), "the port is closed");
    database.remove().await;
}
