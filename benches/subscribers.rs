//! Memory of 5,000 idle listeners of the live ranking, each on a socket of its own.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use support::{Server, row};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const LISTENERS: usize = 5_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&format!("sqlite:{}/bench.db", folder.path().display()), &[]).await;
    let before = server.memory_kib();
    let mut sockets = Vec::with_capacity(LISTENERS);
    for _ in 0..LISTENERS {
        sockets.push(subscribe(&server).await);
    }
    let after = server.memory_kib();
    println!("\nMemory of {LISTENERS} idle listeners of `hotRankingChanged`\n");
    row(&["listeners".into(), "server's memory".into(), "a listener".into()]);
    row(&vec!["---".into(); 3]);
    row(&["0".into(), format!("{} MiB", before / 1024), String::new()]);
    let each = (after - before) as f64 / LISTENERS as f64;
    row(&[LISTENERS.to_string(), format!("{} MiB", after / 1024), format!("{each:.1} KiB")]);
    drop(sockets);
    server.stop().await;
}

async fn subscribe(server: &Server) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.expect("a connection (raise `ulimit -n` above 10,500)");
    let mut request = format!("ws://{}/graphql", server.address).into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "graphql-transport-ws".parse().expect("a header"));
    let config = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await.expect("a socket");
    let messages = [
        r#"{"type":"connection_init"}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { hotRankingChanged { entries { rank content { id likeCount } } } }"}}"#,
    ];
    for message in messages {
        socket.send(Message::text(message)).await.expect("it is sent");
        // The acknowledgement, then the present state: the subscription is under way.
        socket.next().await.expect("an answer").expect("a message");
    }
    socket
}
