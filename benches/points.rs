//! Awards by 64 HTTP clients, to one account and to 10,000. SQLite with `synchronous=FULL`: group commit against batches
//! of one, the same server otherwise. PostgreSQL: against `pgbench` running the same statements as one transaction an
//! award, which hashes nothing. Rounds alternate, so that both see the same machine; read the ratios.
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
const SPREAD: usize = 10_000;
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(6);
const WARM: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("\nAwards by {CLIENTS} HTTP clients, {ROUNDS} rounds of {} s each\n", SPAN.as_secs());
    row(&["database", "what", "awards/s by round", "p50", "p99", "median", "ratio"].map(Into::into));
    row(&vec!["---".into(); 7]);
    // `cargo bench --bench points -- postgres` runs that half alone.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    for accounts in [1, SPREAD] {
        if only.as_deref() != Some("postgres") {
            sqlite(accounts).await;
        }
        if only.as_deref() != Some("sqlite") {
            postgres(accounts).await;
        }
    }
}

fn of(what: &str, accounts: usize) -> String {
    if accounts == 1 { format!("{what}, one account") } else { format!("{what}, {accounts} accounts") }
}

async fn sqlite(accounts: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut grouped, mut single) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let url = format!("sqlite:{}/{round}.db", folder.path().display());
        let users = users(&url, accounts).await;
        single.push(awards(&url, &users, &[("TALLY_BATCH_COMMANDS", "1")], round).await);
        grouped.push(awards(&url, &users, &[], round + ROUNDS).await);
    }
    report("SQLite, FULL", &of("batches of one", accounts), &single, None);
    report("SQLite, FULL", &of("group commit", accounts), &grouped, Some(rate(&single)));
}

async fn postgres(accounts: usize) {
    let server = std::env::var("TALLY_TEST_POSTGRES_URL")
        .unwrap_or_else(|_| panic!("no PostgreSQL: run this with `make bench`, or scripts/postgres.sh cargo bench"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let url = create(&server, &format!("bench_tally_{accounts}_{round}"));
        let users = users(&url, accounts).await;
        let peer = create(&server, &format!("bench_pgbench_{accounts}_{round}"));
        fill(&peer, accounts);
        theirs.push(pgbench(&peer, include_str!("support/award.sql"), &[("accounts", accounts)], WARM, SPAN));
        ours.push(awards(&url, &users, &[], round).await);
    }
    report("PostgreSQL", &of("pgbench, one transaction an award", accounts), &theirs, None);
    report("PostgreSQL", &of("tally over HTTP", accounts), &ours, Some(rate(&theirs)));
}

/// Ids of users who are there.
async fn users(url: &str, count: usize) -> Vec<String> {
    let server = Server::start(url, &[]).await;
    let all: Vec<_> = (0..count).collect();
    let asked = join_all(all.chunks(count.div_ceil(CLIENTS)).map(async |chunk| {
        let mut ids = Vec::new();
        for n in chunk {
            let mut connection = Connection::open(server.address, token(&format!("student-{n}"), Role::User)).await;
            let answer = connection.post(r#"{"query":"{ me { user { id } } }"}"#).await;
            let id = answer.split('"').find(|part| part.starts_with("user_")).expect("an id");
            ids.push(id.to_owned());
        }
        ids
    }));
    let ids = asked.await.concat();
    server.stop().await;
    ids
}

async fn awards(url: &str, users: &[String], settings: &[(&str, &str)], seed: usize) -> Load {
    let server = Server::start(url, settings).await;
    let clients = (0..CLIENTS).map(async |n| {
        let mut random = StdRng::seed_from_u64((seed * CLIENTS + n) as u64);
        let mut connection = Connection::open(server.address, token(&format!("teacher-{n}"), Role::Teacher)).await;
        let mut latencies = Vec::new();
        let start = stopwatch();
        for key in 0.. {
            if start.elapsed() >= WARM + SPAN {
                break;
            }
            let user = &users[random.random_range(0..users.len())];
            let body = format!(
                r#"{{"query":"mutation Award($input: AddPointsInput!) {{ addPoints(input: $input) {{ account {{ balance }} }} }}","variables":{{"input":{{"userId":"{user}","amount":1,"reason":"for the benchmark","idempotencyKey":"bench-{seed}-{n}-{key}"}}}}}}"#
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

/// Accounts whose ids pgbench can make of numbers.
fn fill(url: &str, accounts: usize) {
    let sql = format!(
        "INSERT INTO point_accounts SELECT n % 256, lpad(to_hex(n), 32, '0')::uuid, 1, 0, 0,
         decode(repeat('ab', 32), 'hex'), 0 FROM generate_series(1, {accounts}) n"
    );
    psql(url, &sql);
    psql(url, "VACUUM ANALYZE");
}
