//! Rankings by window with a million contents, in process: the index beside the plain walk down a sorted set that it
//! replaced, on the same contents in the same run. Then `contents(ids:)` over HTTP.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Connection, Server, load, row, stopwatch, token};
use tally::kernel::auth::Role;
use tally::kernel::clock::Millis;
use tally::kernel::ranking::{RankIndex, Standing, View};
use uuid::Uuid;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTENTS: u64 = 1_000_000;
/// Ages are even over so many days.
const DAYS: i64 = 180;
const NOW: Millis = Millis(1_767_225_600_000);
const SPANS: &[i64] = &[Millis::HOUR, 6 * Millis::HOUR, Millis::DAY, 7 * Millis::DAY, 30 * Millis::DAY];
const WINDOWS: [(&str, Option<usize>); 6] =
    [("H1", Some(0)), ("H6", Some(1)), ("H24", Some(2)), ("D7", Some(3)), ("D30", Some(4)), ("ALL", None)];
const TURNS: usize = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    in_process();
    over_http().await;
}

/// A content of some age. As in life: its heat is about its score in powers of two, and when it was scored in half-lives.
fn content(random: &mut StdRng, n: u64) -> Standing {
    let age = random.random_range(0..DAYS * Millis::DAY);
    let half_lives = (NOW.0 - age / 2) as f64 / (72.0 * Millis::HOUR as f64);
    #[expect(clippy::cast_possible_truncation, reason = "a heat")]
    let heat = ((half_lives + random.random_range(3.0..9.0)) * 4_294_967_296.0) as i64;
    let board = u8::from(n.is_multiple_of(4));
    Standing {
        id: Uuid::from_u64_pair(n, random.random()),
        version: 1,
        board,
        heat: Some(heat),
        since: NOW.plus(-age),
        listed: true,
    }
}

/// The index before: one sorted set a board, and walks.
#[derive(Default)]
struct Walk {
    standings: HashMap<Uuid, Standing>,
    all: indexset::BTreeSet<(Reverse<Option<i64>>, Reverse<Uuid>)>,
}

impl Walk {
    fn within(&self, since: Option<Millis>) -> impl Iterator<Item = &Standing> {
        let standings = self.all.iter().filter_map(|place| self.standings.get(&place.1.0));
        standings.filter(move |standing| since.is_none_or(|since| standing.since >= since))
    }

    fn top(&self, since: Option<Millis>, size: usize) -> Vec<Standing> {
        self.within(since).take(size).copied().collect()
    }

    fn rank(&self, since: Option<Millis>, id: Uuid) -> Option<usize> {
        self.within(since).position(|standing| standing.id == id).map(|before| before + 1)
    }
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line on memory");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

fn micros<T>(turns: usize, mut work: impl FnMut() -> T) -> f64 {
    let started = stopwatch();
    for _ in 0..turns {
        std::hint::black_box(work());
    }
    started.elapsed().as_secs_f64() * 1e6 / turns as f64
}

fn in_process() {
    let mut random = StdRng::seed_from_u64(1);
    let contents: Vec<_> = (0..CONTENTS).map(|n| content(&mut random, n)).collect();
    let before = rss_bytes();
    let index = RankIndex::new(SPANS);
    let filled = stopwatch();
    contents.chunks(5_000).for_each(|chunk| index.apply(NOW, chunk.iter().copied()));
    let (filled, after) = (filled.elapsed(), rss_bytes());
    let mut walk = Walk::default();
    for standing in &contents {
        walk.standings.insert(standing.id, *standing);
        walk.all.insert((Reverse(standing.heat), Reverse(standing.id)));
    }
    println!("\nRankings of {CONTENTS} contents of up to {DAYS} days\n");
    row(&["window", "contents", "top 20", "by a walk", "rank of one", "by a walk"].map(Into::into));
    row(&vec!["---".into(); 6]);
    for (name, window) in WINDOWS {
        let view = View { board: None, window, now: NOW };
        let since = window.map(|window| NOW.plus(-SPANS[window]));
        assert_eq!(index.top(view, 20), walk.top(since, 20), "both show the same");
        let within: Vec<_> = contents.iter().filter(|c| since.is_none_or(|since| c.since >= since)).collect();
        let mut some = || within[random.random_range(0..within.len())].id;
        let one = some();
        assert_eq!(index.rank(view, one), walk.rank(since, one), "both rank the same");
        let cells = [
            micros(TURNS, || index.top(view, 20)),
            micros(50, || walk.top(since, 20)),
            micros(TURNS, || index.rank(view, some())),
            micros(10, || walk.rank(since, one)),
        ];
        let cells = cells.map(|cell| format!("{cell:.1} µs"));
        row(&[&[name.into(), within.len().to_string()], &cells[..]].concat());
    }
    let update = micros(200_000, || {
        let one = contents[random.random_range(0..contents.len())];
        let version = index.standing(one.id).map_or(1, |held| held.version + 1);
        index.apply(NOW, [Standing { version, heat: one.heat.map(|heat| heat + version), ..one }]);
    });
    println!("\n- filled in {:.2} s; {} bytes a content", filled.as_secs_f64(), (after - before) / CONTENTS);
    println!("- a new state of one: {update:.1} µs");
    let (mut slowest, began) = (Duration::ZERO, stopwatch());
    for second in 1..=3_600 {
        let look = stopwatch();
        std::hint::black_box(index.top(View { board: None, window: Some(0), now: NOW.plus(second * 1_000) }, 20));
        slowest = slowest.max(look.elapsed());
    }
    let total = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "- an hour goes by, with a look each second: {total:.1} ms in all, the slowest {:.1} µs",
        slowest.as_secs_f64() * 1e6
    );
    for days in [30, -30] {
        let now = NOW.plus(Millis::HOUR + days.max(0) * Millis::DAY);
        let jump = micros(1, || index.top(View { board: None, window: Some(0), now }, 20)) / 1e3;
        println!("- the clock set by {days} days, next look: {jump:.0} ms");
    }
}

const PUBLISHED: usize = 5_000;
const CLIENTS: usize = 16;

async fn over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&format!("sqlite:{}/bench.db", folder.path().display()), &[]).await;
    let connections =
        join_all((0..CLIENTS).map(|_| Connection::open(server.address, token("author", Role::User)))).await;
    let published = join_all(connections.into_iter().map(async |mut connection| {
        let mut ids = Vec::new();
        for _ in 0..PUBLISHED / CLIENTS {
            let answer = connection
                .post(r#"{"query":"mutation { publishArtwork(input: { title: \"bench\" }) { artwork { id } } }"}"#)
                .await;
            ids.push(answer.split('"').find(|part| part.starts_with("artwork_")).expect("an id").to_owned());
        }
        ids
    }));
    let ids = published.await.concat();
    println!("\n`contents(ids:)` over HTTP, SQLite, one client\n");
    row(&["ids", "p50", "p99"].map(Into::into));
    row(&vec!["---".into(); 3]);
    let mut random = StdRng::seed_from_u64(2);
    let mut connection = Connection::open(server.address, token("reader", Role::User)).await;
    for (size, turns) in [(1, 500), (100, 500), (1_000, 100)] {
        let mut latencies = Vec::new();
        let started = stopwatch();
        for _ in 0..turns {
            let some: Vec<_> = (0..size).map(|_| &ids[random.random_range(0..ids.len())]).collect();
            let query =
                "query ($ids: [ID!]!) { contents(ids: $ids) { id title likeCount hotness { score level rank } } }";
            let body = serde_json::json!({ "query": query, "variables": { "ids": some } }).to_string();
            let sent = stopwatch();
            connection.post(&body).await;
            latencies.push(sent.elapsed());
        }
        let load = load(latencies, started.elapsed());
        let millis = |span: Duration| format!("{:.2} ms", span.as_secs_f64() * 1e3);
        row(&[size.to_string(), millis(load.p50), millis(load.p99)]);
    }
    server.stop().await;
}
