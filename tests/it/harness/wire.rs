//! A connection on which a test says every byte, and when.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open connection to a server.
pub(crate) struct Wire {
    stream: TcpStream,
    /// What came and was not taken yet.
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes; `false`: the server has closed.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// A GET that is answered with 200.
    pub(crate) async fn healthy(&mut self) -> bool {
        self.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await
            && self.answer().await.is_some_and(|(head, body)| head.starts_with("HTTP/1.1 200") && body == "ok")
    }

    /// The next answer, head and body; `None`: the server closed instead. Chunked bodies are not understood.
    pub(crate) async fn answer(&mut self) -> Option<(String, String)> {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
                if rest.len() >= length {
                    self.buffer.drain(..head.len() + 4 + length);
                    return Some((head.to_owned(), rest[..length].to_owned()));
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads what comes next, and appends it to what is there; `None`: nothing more comes.
    pub(crate) async fn read(&mut self) -> Option<Vec<u8>> {
        self.more().await.then(|| std::mem::take(&mut self.buffer))
    }

    /// Everything until the server closes, and how long that took.
    pub(crate) async fn until_closed(&mut self) -> (String, Duration) {
        let from = Instant::now();
        while self.more().await {}
        (String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned(), from.elapsed())
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("the server answers or closes in time"), Ok(1..))
    }
}
