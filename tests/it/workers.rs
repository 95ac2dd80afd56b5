//! Several processes on one database: killed, stopped and woken, they deliver each event once and run each tick once.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use tally::kernel::id::Ids;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::courier::{CourierFacade, KIND, Ticked, WithCourier};
use crate::harness::{Backend, Options, SECRET, Seeded, TestApp, TestDatabase, on_every_backend, rounds};

on_every_backend!(a_killed_server_delivers_nothing_twice, a_worker_delivers_what_a_server_wrote);

/// What comes before it was written by the test harness of the child.
const BEGINS: &str = "-- the command line begins --";

/// No test of its own: the courier's command line, when [`command`] starts this binary again.
#[test]
#[ignore = "started by others as a process of its own"]
fn as_a_process() {
    if let Ok(arguments) = std::env::var("TALLY_TEST_ARGUMENTS") {
        writeln!(std::io::stdout(), "\n{BEGINS}").expect("an output");
        let arguments = ["tally"].into_iter().chain(arguments.split(' ')).map(OsString::from);
        std::process::exit(tally::cli::run::<WithCourier>(arguments).into());
    }
}

fn command(database: &TestDatabase, arguments: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "workers::as_a_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env("TALLY_TEST_ARGUMENTS", arguments)
        .env("DATABASE_URL", &database.url)
        .env("TALLY_AUTH_SECRET", SECRET)
        .env("TALLY_LISTEN", "127.0.0.1:0")
        .env("TALLY_LOG", "off")
        .env("TALLY_WORKER_POLL_MS", "50")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command of the courier's binary to its end: status, output, errors.
pub(crate) async fn run(database: &TestDatabase, arguments: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(database, arguments, variables).output();
    let output =
        tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends in time").expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let all = text(output.stdout);
    let (_, printed) = all.split_once(&format!("{BEGINS}\n")).expect("it begins");
    (output.status.code().expect("a status"), printed.to_owned(), text(output.stderr))
}

/// A `serve` or a `worker` in a process of its own.
struct Hand(Child);

impl Hand {
    async fn start(database: &TestDatabase, arguments: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(database, arguments, variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the process starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("its output") {
                if line == "working" || line.starts_with("listening on ") {
                    return;
                }
            }
            panic!("it ended before it was ready");
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.expect("it is ready in time");
        Self(child)
    }

    async fn signal(&self, name: &str) {
        let id = self.0.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.expect("kill runs").success());
    }

    async fn kill(mut self) {
        self.0.kill().await.expect("it is killed");
    }

    /// SIGTERM; its status.
    async fn end(mut self) -> i32 {
        self.signal("-TERM").await;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.0.wait()).await;
        ended.expect("it stops in time").expect("its status").code().expect("it ends by itself")
    }
}

/// A server in this process that delivers nothing: it writes the facts and looks at the effects.
async fn desk(backend: Backend) -> (TestApp, CourierFacade) {
    let app = TestApp::start_with::<WithCourier>(backend, Options::default()).await;
    let courier = app.facade::<CourierFacade>();
    (app, courier)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within a minute");
}

const WAITING: &str = "SELECT count(*) AS n FROM outbox";

fn new_keys(ids: &Ids, count: usize) -> Vec<Uuid> {
    (0..count).map(|_| ids.next()).collect()
}

/// Effects are the facts: each once, in sequence.
async fn is_complete(courier: &CourierFacade, keys: &[Uuid], each: i64) {
    for key in keys {
        assert_eq!(courier.seen("careful", *key).await, (1..=each).collect::<Vec<_>>());
    }
    assert_eq!(courier.effects("careful").await.len() as i64, keys.len() as i64 * each);
}

async fn a_killed_server_delivers_nothing_twice(backend: Backend) {
    let mut seeded = Seeded::new();
    let (app, courier) = desk(backend).await;
    let keys = new_keys(&app.kernel.ids, 20);
    let each = 30;
    for key in &keys {
        courier.post(*key, KIND, each, json!({ "slow_ms": 4 })).await;
    }
    let variables = [("TALLY_WORKER_LEASE_SECS", "1"), ("TALLY_EVENTS_BATCH", "10")];
    let mut in_the_middle = 0;
    for round in 0..rounds(4) {
        let arguments = if round % 2 == 0 { "serve" } else { "worker" };
        let hand = Hand::start(&app.database, arguments, &variables).await;
        let before = courier.number(WAITING).await;
        until("something is delivered", async || courier.number(WAITING).await < before || before == 0).await;
        tokio::time::sleep(Duration::from_millis(seeded.random.random_range(0..300))).await;
        hand.kill().await;
        in_the_middle += u32::from(courier.number(WAITING).await > 0);
    }
    assert!(in_the_middle > 0, "no kill was in the middle: this proves nothing");
    let hand = Hand::start(&app.database, "worker", &variables).await;
    until("all is delivered", async || courier.number(WAITING).await == 0).await;
    is_complete(&courier, &keys, each).await;
    assert_eq!(hand.end().await, 0);
    app.finish().await;
}

async fn a_worker_delivers_what_a_server_wrote(backend: Backend) {
    let (app, courier) = desk(backend).await;
    let keys = new_keys(&app.kernel.ids, 3);
    for key in &keys {
        courier.post(*key, KIND, 5, json!({})).await;
    }
    let server = Hand::start(&app.database, "serve", &[("TALLY_WORKER_ENABLED", "false")]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(courier.number(WAITING).await, 15, "nobody delivers");
    let worker = Hand::start(&app.database, "worker", &[]).await;
    until("all is delivered", async || courier.number(WAITING).await == 0).await;
    is_complete(&courier, &keys, 5).await;
    // Both stop when they are told to, and the lease is free for whoever is next.
    assert_eq!((worker.end().await, server.end().await), (0, 0));
    assert_eq!(courier.number("SELECT count(*) AS n FROM relays WHERE owner <> ''").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_run_each_tick_once() {
    let (app, courier) = desk(Backend::Postgres).await;
    let variables = [("TALLY_COURIER_TICK", "* * * * * *")];
    let one = Hand::start(&app.database, "worker", &variables).await;
    let two = Hand::start(&app.database, "serve", &variables).await;
    until("both have had their chance", async || {
        let owners = "SELECT count(DISTINCT owner) AS n FROM job_runs WHERE job = 'courier.tick'";
        courier.ticks("courier.tick").await.len() >= 6 && courier.number(owners).await == 2
    })
    .await;
    assert_eq!((one.end().await, two.end().await), (0, 0));
    let ticks: Vec<i64> = courier.ticks("courier.tick").await.iter().map(|ticked| ticked.tick).collect();
    assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "a tick twice, or out of order: {ticks:?}");
    assert!(ticks.iter().all(|tick| tick % 1000 == 0), "{ticks:?}");
    let runs = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.tick' AND outcome = 'OK' AND attempts = 1";
    assert_eq!(courier.number(runs).await, ticks.len() as i64);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_relay_does_no_harm_when_it_wakes() {
    let mut seeded = Seeded::new();
    let (app, courier) = desk(Backend::Postgres).await;
    let keys = new_keys(&app.kernel.ids, 4);
    let each = 15;
    for key in &keys {
        courier.post(*key, KIND, each, json!({ "slow_ms": 40 })).await;
    }
    let variables = [("TALLY_WORKER_LEASE_SECS", "2"), ("TALLY_EVENTS_BATCH", "5")];
    let stopped = Hand::start(&app.database, "worker", &variables).await;
    until("it delivers", async || courier.number(WAITING).await < 60).await;
    // Most of its time it is inside a transaction, whose locks it takes into its sleep.
    tokio::time::sleep(Duration::from_millis(seeded.random.random_range(0..250))).await;
    stopped.signal("-STOP").await;
    let left = courier.number(WAITING).await;
    assert!(left > 0, "it was stopped too late to prove anything");
    let other = Hand::start(&app.database, "worker", &variables).await;
    until("the other one takes over", async || courier.number(WAITING).await < left).await;
    stopped.signal("-CONT").await;
    until("all is delivered", async || courier.number(WAITING).await == 0).await;
    let more = new_keys(&app.kernel.ids, 2);
    for key in &more {
        courier.post(*key, KIND, each, json!({ "slow_ms": 1 })).await;
    }
    until("what came later, too", async || courier.number(WAITING).await == 0).await;
    is_complete(&courier, &[keys, more].concat(), each).await;
    let fence = "SELECT fence AS n FROM relays WHERE consumer = 'careful'";
    assert!(courier.number(fence).await >= 2, "the lease changed hands");
    assert_eq!((other.end().await, stopped.end().await), (0, 0), "both live on");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_job_writes_nothing_when_it_wakes() {
    let (app, courier) = desk(Backend::Postgres).await;
    app.kernel.jobs.wake("courier.long").await.expect("woken");
    let variables = [("TALLY_WORKER_LEASE_SECS", "2")];
    let stopped = Hand::start(&app.database, "worker", &variables).await;
    until("it is in the middle", async || courier.ticks("courier.long").await.len() >= 5).await;
    stopped.signal("-STOP").await;
    let other = Hand::start(&app.database, "worker", &variables).await;
    let fence = "SELECT fence AS n FROM jobs WHERE name = 'courier.long'";
    until("the other one takes over", async || courier.number(fence).await == 2).await;
    stopped.signal("-CONT").await;
    let done = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.long' AND outcome = 'OK' AND attempts = 2";
    until("the tick is done", async || courier.number(done).await == 1).await;
    // Time for one that is not fenced off to go on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ticks = courier.ticks("courier.long").await;
    let tick = ticks[0].tick;
    let first = ticks.len() - 40;
    let expected = (0..first as i64).chain(0..40).map(|chunk| Ticked { tick, chunk });
    assert_eq!(ticks, expected.collect::<Vec<_>>(), "some chunks of the one, then all of the other, and no more");
    assert_eq!(courier.number("SELECT count(*) AS n FROM job_runs WHERE job = 'courier.long'").await, 1);
    assert_eq!((other.end().await, stopped.end().await), (0, 0));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_lets_the_next_one_go_on_with_the_tick() {
    let (app, courier) = desk(Backend::Sqlite).await;
    app.kernel.jobs.wake("courier.long").await.expect("woken");
    let one = Hand::start(&app.database, "worker", &[]).await;
    until("it is in the middle", async || courier.ticks("courier.long").await.len() >= 3).await;
    assert_eq!(one.end().await, 0);
    let two = Hand::start(&app.database, "worker", &[]).await;
    // The lease of half a minute is not waited for.
    let done = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.long' AND outcome = 'OK' AND attempts = 2";
    let waited = until("the tick is done", async || courier.number(done).await == 1);
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("at once");
    assert_eq!(two.end().await, 0);
    app.finish().await;
}

/// What a worker does is seen where nothing else is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_shows_its_metrics_and_its_health() {
    let (app, courier) = desk(Backend::Sqlite).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("its address");
    let variables = [("TALLY_TELEMETRY_METRICS_LISTEN", &*free.to_string()), ("TALLY_COURIER_TICK", "* * * * * *")];
    let hand = Hand::start(&app.database, "worker", &variables).await;
    courier.post_one(app.kernel.ids.next()).await;
    until("all is delivered", async || courier.number(WAITING).await == 0).await;
    let read = async |path: &str| {
        let answer = reqwest::get(format!("http://{free}{path}")).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, text) = read("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("tally_outbox_delivered_total{consumer=\"careful\"} 1\n"), "{text}");
    assert!(text.contains("tally_job_runs_total{job=\"courier.tick\",outcome=\"ok\"}"), "{text}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(read(path).await, (200, "ok".to_owned()), "{path}");
    }
    assert_eq!(read("/graphql").await.0, 404, "it serves nothing else");
    assert_eq!(hand.end().await, 0);
    app.finish().await;
}
