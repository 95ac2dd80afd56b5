//! What the benchmarks share: the real binary as a server, and a client that costs little beside it.
#![expect(dead_code, reason = "each benchmark uses a part")]
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

pub(crate) mod postgres;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub(crate) const SECRET: &str = "a secret of the benchmarks, 32 characters or more";

/// A server process, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            // One machine is all the clients.
            .env("TALLY_LIMITS_RATE_USER", "0")
            .env("TALLY_LIMITS_RATE_ANONYMOUS", "0")
            .env("TALLY_SERVER_CONNECTIONS_PER_CLIENT", "10000")
            .envs(settings.iter().copied());
        Self::launch(command.env("DATABASE_URL", database_url).env("TALLY_AUTH_SECRET", SECRET)).await
    }

    /// Any program that says where it listens.
    pub(crate) async fn launch(command: &mut Command) -> Self {
        command.env("TALLY_LOG", "warn").stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("its output").expect("a line");
        let address = line.strip_prefix("listening on http://").expect("the address").parse().expect("an address");
        Self { child, address }
    }

    /// Memory in use, in KiB: the process's own, without shared pages of files.
    pub(crate) fn memory_kib(&self) -> u64 {
        let id = self.child.id().expect("a running server");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line on memory");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    /// CPU seconds used so far.
    pub(crate) fn cpu_secs(&self) -> f64 {
        let id = self.child.id().expect("a running server");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("its statistics");
        let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
        (ticks(11) + ticks(12)) / 100.0
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.expect("the server is stopped");
    }
}

pub(crate) fn token(subject: &str, role: Role) -> String {
    Tokens::new(SECRET, Arc::new(SystemClock)).mint(subject, &[role], 86_400).expect("a token")
}

/// One kept-alive HTTP connection. Not a general client: it reads what tally writes.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    token: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, token: String) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, host: address.to_string(), token, buffer: vec![0; 64 * 1024] }
    }

    /// Posts a GraphQL request; the benchmark stops at an error, so that only right answers are counted.
    pub(crate) async fn post(&mut self, body: &str) -> &str {
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.host,
            self.token,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("an answer");
            assert!(read > 0, "the server closed the connection");
            filled += read;
            let text = std::str::from_utf8(&self.buffer[..filled]).expect("text");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .expect("a length")
                .parse::<usize>()
                .expect("a number");
            if body.len() >= length {
                assert!(head.starts_with("HTTP/1.1 200") && !body.contains("\"errors\""), "{head}\n{body}");
                let start = filled - length;
                return std::str::from_utf8(&self.buffer[start..filled]).expect("text");
            }
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
        }
    }
}

/// What a load run gave.
pub(crate) struct Load {
    pub(crate) per_sec: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Makes figures of the latencies of all requests.
pub(crate) fn load(mut latencies: Vec<Duration>, span: Duration) -> Load {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() * share / 100).min(latencies.len() - 1)];
    Load { per_sec: latencies.len() as f64 / span.as_secs_f64(), p50: at(50), p99: at(99) }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures nothing: a clock for benchmarks.
pub(crate) fn stopwatch() -> Instant {
    Instant::now()
}

pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Of the middle round.
pub(crate) fn rate(loads: &[Load]) -> f64 {
    median(loads.iter().map(|load| load.per_sec).collect())
}

/// A line on the rounds of one contender; `against` is the rate that it is measured by.
pub(crate) fn report(database: &str, what: &str, loads: &[Load], against: Option<f64>) {
    let millis = |pick: fn(&Load) -> Duration| {
        format!("{:.1} ms", median(loads.iter().map(|load| pick(load).as_secs_f64() * 1e3).collect()))
    };
    let by_round: Vec<_> = loads.iter().map(|load| format!("{:.0}", load.per_sec)).collect();
    row(&[
        database.into(),
        what.into(),
        by_round.join(", "),
        millis(|load| load.p50),
        millis(|load| load.p99),
        format!("{:.0}", rate(loads)),
        against.map_or("1".into(), |against| format!("{:.1}", rate(loads) / against)),
    ]);
}
