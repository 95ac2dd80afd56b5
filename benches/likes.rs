//! Likes by 64 HTTP clients. SQLite with `synchronous=FULL`: group commit against batches of one, the same server
//! otherwise. PostgreSQL: against `pgbench` running the same statements as one transaction a like. Rounds alternate, so
//! that both see the same machine; read the ratios.
#![expect(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::postgres::{create, pgbench, psql};
use support::{Connection, Load, Server, load, rate, report, row, stopwatch, token};
use tally::kernel::auth::Role;

const CLIENTS: usize = 64;
const CONTENTS: usize = 20_000;
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(6);
const WARM: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!(
        "\nLikes by {CLIENTS} HTTP clients on {CONTENTS} contents, {ROUNDS} rounds of {} s each\n",
        SPAN.as_secs()
    );
    row(&[
        "database".into(),
        "what".into(),
        "likes/s by round".into(),
        "p50".into(),
        "p99".into(),
        "median".into(),
        "ratio".into(),
    ]);
    row(&vec!["---".into(); 7]);
    // `cargo bench --bench likes -- postgres` runs that half alone.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    if only.as_deref() != Some("postgres") {
        sqlite().await;
    }
    if only.as_deref() != Some("sqlite") {
        postgres().await;
    }
}

async fn sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut grouped, mut single) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let url = format!("sqlite:{}/{round}.db", folder.path().display());
        let contents = publish(&url).await;
        single.push(likes(&url, &contents, &[("TALLY_BATCH_COMMANDS", "1")], round).await);
        grouped.push(likes(&url, &contents, &[], round + ROUNDS).await);
    }
    report("SQLite, FULL", "batches of one", &single, None);
    report("SQLite, FULL", "group commit", &grouped, Some(rate(&single)));
}

async fn postgres() {
    let server = std::env::var("TALLY_TEST_POSTGRES_URL")
        .unwrap_or_else(|_| panic!("no PostgreSQL: run this with `make bench`, or scripts/postgres.sh cargo bench"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let url = create(&server, &format!("bench_tally_{round}"));
        let contents = publish(&url).await;
        let peer = create(&server, &format!("bench_pgbench_{round}"));
        fill(&peer);
        psql(&peer, "VACUUM ANALYZE");
        theirs.push(pgbench(
            &peer,
            include_str!("support/like.sql"),
            &[("contents", CONTENTS), ("users", 64)],
            WARM,
            SPAN,
        ));
        ours.push(likes(&url, &contents, &[], round).await);
    }
    report("PostgreSQL", "pgbench, one transaction a like", &theirs, None);
    report("PostgreSQL", "tally over HTTP", &ours, Some(rate(&theirs)));
}

async fn publish(url: &str) -> Vec<String> {
    let server = Server::start(url, &[]).await;
    let connections =
        join_all((0..CLIENTS).map(|_| Connection::open(server.address, token("author", Role::User)))).await;
    let mut published = Vec::new();
    let batches = join_all(connections.into_iter().map(async |mut connection| {
        let mut ids = Vec::new();
        for _ in 0..CONTENTS.div_ceil(CLIENTS) {
            let answer = connection
                .post(r#"{"query":"mutation { publishArtwork(input: { title: \"bench\" }) { artwork { id } } }"}"#)
                .await;
            let id = answer.split('"').find(|part| part.starts_with("artwork_")).expect("an id");
            ids.push(id.to_owned());
        }
        ids
    }));
    published.extend(batches.await.into_iter().flatten());
    server.stop().await;
    published
}

async fn likes(url: &str, contents: &[String], settings: &[(&str, &str)], seed: usize) -> Load {
    let server = Server::start(url, settings).await;
    let clients = (0..CLIENTS).map(async |n| {
        let mut random = StdRng::seed_from_u64((seed * CLIENTS + n) as u64);
        let mut connection = Connection::open(server.address, token(&format!("reader-{n}"), Role::User)).await;
        let mut latencies = Vec::new();
        let start = stopwatch();
        while start.elapsed() < WARM + SPAN {
            let content = &contents[random.random_range(0..contents.len())];
            let body = format!(
                r#"{{"query":"mutation Like($id: ID!) {{ like(contentId: $id) {{ changed content {{ likeCount }} }} }}","variables":{{"id":"{content}"}}}}"#
            );
            let sent = stopwatch();
            connection.post(&body).await;
            if start.elapsed() >= WARM {
                latencies.push(sent.elapsed());
            }
        }
        latencies
    });
    let latencies = join_all(clients).await.concat();
    server.stop().await;
    load(latencies, SPAN)
}

/// The same tables with as many rows; ids that pgbench can make of numbers.
fn fill(url: &str) {
    let figures = format!(
        "INSERT INTO content_figures SELECT n % 256, lpad(to_hex(n), 32, '0')::uuid, 1, 0, 0, 0, 0, 0, 29000000000000 + n, \
         NULL, 0, 10, 0, 0 FROM generate_series(1, {CONTENTS}) n"
    );
    psql(url, &figures);
    let heat = format!(
        "INSERT INTO content_heat SELECT n % 256, lpad(to_hex(n), 32, '0')::uuid, 858, 100000000 \
         FROM generate_series(1, {CONTENTS}) n"
    );
    psql(url, &heat);
}
