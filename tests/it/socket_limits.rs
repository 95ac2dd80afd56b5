//! What one socket may take: time, memory, operations. Nothing of it concerns the database: SQLite only.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Backend, Listener, Options, Seeded, TestApp, rounds};
use crate::probe::{ProbeFacade, Probed, until};

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Probed>(Backend::Sqlite, options).await
}

async fn ping(socket: &mut Listener) {
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.message().await["type"], "pong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_begin_is_closed() {
    let app = start(Options::default().with("server.socket_init_secs", 1)).await;
    let mut begun = Listener::acknowledged(&app.url).await;
    let mut pinging = Listener::raw(&app.url).await;
    ping(&mut pinging).await;
    let timeout = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(Listener::raw(&app.url).await.end().await, (timeout.clone(), Vec::new()));
    assert_eq!(pinging.end().await.0, timeout, "a ping is no beginning");
    ping(&mut begun).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_dropped_and_a_living_one_is_not() {
    let app = start(Options::default().with("server.socket_ping_secs", 2)).await;
    let probe: ProbeFacade = app.facade();
    // Nobody reads from it, so that nobody answers its pings; its connection stays open.
    let mut dead = Listener::acknowledged(&app.url).await;
    dead.subscribe("1", "subscription { wait }").await;
    until("it listens", || probe.listening() == 1).await;
    let mut living = Listener::acknowledged(&app.url).await;
    living.subscribe("1", "subscription { wait }").await;
    until("both listen", || probe.listening() == 2).await;
    // Reading is all that a living one does: its library answers pings.
    let reading = async {
        while probe.listening() > 1 {
            assert!(living.silent_for(Duration::from_millis(50)).await, "there is nothing to hear");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the dead one is dropped");
    assert_eq!(dead.end().await.0, (0, String::new()), "without a goodbye that nobody would hear");
    ping(&mut living).await;
    assert_eq!(probe.listening(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_is_cut_off_and_holds_little() {
    const BYTES: usize = 100_000;
    let app = start(Options::default().with("server.socket_write_secs", 1)).await;
    let probe: ProbeFacade = app.facade();
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut socket = Listener::acknowledged(&app.url).await;
        for n in 0..10 {
            socket.subscribe(&n.to_string(), &format!("subscription {{ flood(bytes: {BYTES}) }}")).await;
        }
        deaf.push(socket);
    }
    until("they listen", || probe.listening() > 0).await;
    until("they are cut off", || probe.listening() == 0).await;
    // What the kernel's buffers took (some MiB a connection), one message under way, and one ready an operation.
    let made = probe.flooded() * BYTES / 1024 / 1024;
    assert!(made < 4 * 48, "{made} MiB were made for nobody");
    let mut reading = Listener::acknowledged(&app.url).await;
    reading.subscribe("1", &format!("subscription {{ flood(bytes: {BYTES}) }}")).await;
    for _ in 0..500 {
        assert_eq!(reading.next().await["flood"].as_str().unwrap().len(), BYTES);
    }
    drop((reading, deaf));
    app.finish().await;
}

/// A client that stalls must not keep what its other operations hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_go_on_while_nobody_reads() {
    let app = start(Options::default().with("server.socket_write_secs", 60)).await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    socket.subscribe("1", "{ wait }").await;
    until("it waits", || probe.begun() == 1).await;
    socket.subscribe("2", "subscription { flood(bytes: 100000) }").await;
    // Until the flood stands still.
    let mut seen = 0;
    while seen == 0 || seen != probe.flooded() {
        seen = probe.flooded();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    probe.let_go();
    until("the query has ended", || probe.ended() == 1).await;
    while socket.message().await["id"] != "1" {}
    drop(socket);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_has_so_many_operations() {
    let app = start(Options::default().with("server.socket_operations", 2)).await;
    let probe: ProbeFacade = app.facade();
    let mut socket = Listener::acknowledged(&app.url).await;
    socket.subscribe("1", "subscription { wait }").await;
    socket.subscribe("2", "mutation { wait }").await;
    until("both wait", || probe.begun() == 2).await;
    let refused = async |socket: &mut Listener, id: &str| {
        socket.subscribe(id, "{ __typename }").await;
        let message = socket.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)), "{message:#}");
        assert_eq!(message["payload"][0]["extensions"]["code"], "RATE_LIMITED");
        assert_eq!(message["payload"][0]["message"], "a socket has 2 operations at most at a time");
    };
    refused(&mut socket, "3").await;
    // A mutation counts until it has ended, though nothing is heard of it any more.
    socket.send(json!({ "type": "complete", "id": "2" })).await;
    refused(&mut socket, "2").await;
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    socket.subscribe("3", "{ __typename }").await;
    assert_eq!(socket.next().await, json!({ "__typename": "Query" }));
    probe.let_go();
    app.finish().await;
}

/// A message that is nearly one, or none at all.
fn garbage(random: &mut impl rand::Rng) -> Message {
    let mut bytes = match random.random_range(0..6) {
        0 => json!({ "type": "connection_init", "payload": { "Authorization": "Bearer x" } }).to_string().into_bytes(),
        1 => json!({ "type": "ping", "payload": { "x": [1.5e300, "\u{0}", {}] } }).to_string().into_bytes(),
        2 => json!({ "type": "complete", "id": "1" }).to_string().into_bytes(),
        3 => (0..random.random_range(0..200)).map(|_| random.random::<u8>()).collect(),
        _ => {
            let payload = json!({ "query": "subscription S($n: Int! = 3) { count(to: $n) }" });
            json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string().into_bytes()
        }
    };
    for _ in 0..random.random_range(0..4) {
        if !bytes.is_empty() {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = random.random(),
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
    }
    match random.random_range(0..20) {
        0 => Message::Binary(bytes.into()),
        1 => Message::Ping(bytes.into_iter().take(125).collect::<Vec<_>>().into()),
        2 => Message::Pong(bytes.into_iter().take(125).collect::<Vec<_>>().into()),
        3 => Message::Close(None),
        _ => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_harms_nobody_else() {
    let app = start(Options::default()).await;
    let mut seeded = Seeded::new();
    let mut witness = Listener::acknowledged(&app.url).await;
    let mut socket = Listener::acknowledged(&app.url).await;
    let mut closed = 0;
    for n in 0..rounds(1_000) {
        let sent = if seeded.random.random_ratio(1, 20) {
            // Below the protocol: bytes that may be no frame.
            let bytes: Vec<u8> = (0..seeded.random.random_range(1..40)).map(|_| seeded.random.random()).collect();
            socket.connection().write_all(&bytes).await.is_ok()
        } else {
            socket.send_frame(garbage(&mut seeded.random)).await
        };
        if !sent || !socket.drain().await {
            closed += 1;
            socket = if seeded.random.random() {
                Listener::acknowledged(&app.url).await
            } else {
                Listener::raw(&app.url).await
            };
        }
        if n % 50 == 0 {
            ping(&mut witness).await;
        }
    }
    assert!(closed > 100, "garbage is refused: {closed}");
    ping(&mut witness).await;
    drop((socket, witness));
    app.finish().await;
}
