//! What 5,000 listeners cost, each on a socket of its own: memory of a connection, server's CPU of a delivery. tally's
//! socket beside the stock service of `async-graphql-axum`, with the same schema in the same program.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_graphql_axum::GraphQLSubscription;
use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use support::{Connection, SECRET, Server, row, token};
use tally::app::{App as _, Tally};
use tally::kernel::auth::Role;
use tally::kernel::clock::{Clock, SystemClock};
use tally::kernel::config::Settings;
use tally::kernel::http::AnySchema;
use tally::kernel::id::Ids;
use tally::kernel::module::Modules;
use tally::server::AppSchema;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LISTENERS: usize = 5_000;
const EVENTS: usize = 30;
/// Set in the process that is the server.
const SERVE: &str = "SUBSCRIBERS_SERVE";

fn main() {
    match std::env::var(SERVE) {
        Ok(url) => runtime(&mut tokio::runtime::Builder::new_multi_thread()).block_on(serve(&url)),
        Err(_) => runtime(&mut tokio::runtime::Builder::new_current_thread()).block_on(measure()),
    }
}

fn runtime(builder: &mut tokio::runtime::Builder) -> tokio::runtime::Runtime {
    builder.enable_all().build().expect("a runtime")
}

/// tally with one more route, `/stock`.
async fn serve(database_url: &str) {
    let modules = Modules::new(Tally::modules()).expect("modules that fit");
    let flags = [
        ("database.url", database_url.to_owned()),
        ("auth.secret", SECRET.to_owned()),
        ("server.listen", "127.0.0.1:0".to_owned()),
    ];
    let settings = Settings::read(&modules.settings(), None, &BTreeMap::new(), &flags).expect("settings");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let server = tally::server::Server::start::<Tally>(settings, clock, ids).await.expect("the server starts");
    let schema = AppSchema::<Tally>::build(Default::default(), Default::default(), Default::default())
        .data(Arc::clone(&server.facades))
        .data(Arc::new(modules.access))
        .finish();
    let stock = Router::new().route_service("/stock", GraphQLSubscription::new(AnySchema::new(schema)));
    println!("listening on http://{}", server.listening.address);
    server.serve(stock).await.expect("it serves");
}

/// What one listener costs.
struct Cost {
    memory_kib: f64,
    cpu_us: f64,
    message_bytes: usize,
}

async fn measure() {
    println!("\n{LISTENERS} listeners of one event\n");
    row(&["subscription", "message", "service", "memory of a connection", "server's CPU of a delivery"].map(Into::into));
    row(&vec!["---".into(); 5]);
    for (name, query) in [
        ("hotnessChanged", "subscription { hotnessChanged { score level content { id likeCount } } }"),
        ("hotRankingChanged", "subscription { hotRankingChanged { entries { rank content { id likeCount } } } }"),
    ] {
        let mut costs = Vec::new();
        for (service, path) in [("tally", "/graphql"), ("stock", "/stock")] {
            let cost = cost(path, query).await;
            let cells = [
                name.into(),
                format!("{} B", cost.message_bytes),
                service.into(),
                format!("{:.1} KiB", cost.memory_kib),
                format!("{:.1} µs", cost.cpu_us),
            ];
            row(&cells);
            costs.push(cost);
        }
        let ratio = |of: fn(&Cost) -> f64| format!("{:.2}", of(&costs[0]) / of(&costs[1]));
        row(&[name.into(), String::new(), "ratio".into(), ratio(|cost| cost.memory_kib), ratio(|cost| cost.cpu_us)]);
    }
}

/// Starts a server, listens, and has events happen.
async fn cost(path: &str, query: &str) -> Cost {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}/bench.db", folder.path().display());
    let program = std::env::current_exe().expect("this program");
    let server = Server::launch(tokio::process::Command::new(program).env(SERVE, url)).await;
    let mut author = Connection::open(server.address, token("author", Role::User)).await;
    let published =
        author.post(r#"{"query":"mutation { publishArtwork(input: { title: \"one\" }) { artwork { id } } }"}"#).await;
    let id = published.split('"').find(|part| part.starts_with("artwork_")).expect("an id").to_owned();
    let before = server.memory_kib();
    let heard = Arc::new(Heard::default());
    let mut listeners = tokio::task::JoinSet::new();
    for _ in 0..LISTENERS {
        let socket = subscribe(&server, path, query).await;
        listeners.spawn(listen(socket, Arc::clone(&heard)));
    }
    // Until everybody is known to listen, and has a buffer of its message's size.
    let mut likes = Likes { author, id, liked: false };
    while heard.listeners.load(Ordering::Relaxed) < LISTENERS {
        likes.next().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let after = server.memory_kib();
    let (begun, base) = (server.cpu_secs(), heard.messages.load(Ordering::Relaxed));
    for event in 1..=EVENTS {
        likes.next().await;
        while heard.messages.load(Ordering::Relaxed) < base + event * LISTENERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A new interval, so that the next like is an event of its own.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let cpu_us = (server.cpu_secs() - begun) * 1e6 / (EVENTS * LISTENERS) as f64;
    assert_eq!(heard.messages.load(Ordering::Relaxed), base + EVENTS * LISTENERS, "one message an event");
    // Before the server ends: to them that is a fault.
    listeners.shutdown().await;
    server.stop().await;
    let memory_kib = (after - before) as f64 / LISTENERS as f64;
    Cost { memory_kib, cpu_us, message_bytes: heard.length.load(Ordering::Relaxed) }
}

/// Somebody who likes and unlikes: each changes figures.
struct Likes {
    author: Connection,
    id: String,
    liked: bool,
}

impl Likes {
    async fn next(&mut self) {
        let verb = if self.liked { "unlike" } else { "like" };
        self.liked = !self.liked;
        let body = format!(r#"{{"query":"mutation {{ {verb}(contentId: \"{}\") {{ changed }} }}"}}"#, self.id);
        self.author.post(&body).await;
    }
}

#[derive(Default)]
struct Heard {
    listeners: AtomicUsize,
    messages: AtomicUsize,
    length: AtomicUsize,
}

async fn listen(mut socket: WebSocketStream<TcpStream>, heard: Arc<Heard>) {
    let mut first = true;
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message.expect("an open socket") {
            heard.messages.fetch_add(1, Ordering::Relaxed);
            heard.length.store(text.len(), Ordering::Relaxed);
            if std::mem::take(&mut first) {
                heard.listeners.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn subscribe(server: &Server, path: &str, query: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.expect("a connection (raise `ulimit -n` above 10,500)");
    let mut request = format!("ws://{}{path}", server.address).into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().expect("a header"));
    let config = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await.expect("a socket");
    socket.send(Message::text(r#"{"type":"connection_init"}"#)).await.expect("it is sent");
    socket.next().await.expect("an answer").expect("a message");
    let subscribe = format!(r#"{{"type":"subscribe","id":"1","payload":{{"query":"{query}"}}}}"#);
    socket.send(Message::text(subscribe)).await.expect("it is sent");
    socket
}
