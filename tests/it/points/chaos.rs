//! Clients make transactions, batches, repeats and reversals on 20 accounts while servers are killed and started again:
//! whatever was acknowledged is there, once, and every balance is what the clients' own books say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;
use tokio::sync::watch;

use super::books::{Books, Change, Part, Request, agrees};
use super::stage::{ADD, BATCH, input, options};
use crate::harness::{Backend, Client, Process, SECRET, Seeded, TestApp, TestDatabase, on_every_backend, rounds, run};

on_every_backend!(nothing_acknowledged_is_lost_or_doubled);

const CLIENTS: usize = 64;
const ACCOUNTS: usize = 20;
/// Transactions that are acknowledged at least; in a soak so many times more.
const ENOUGH: u32 = 2_600;
/// Servers that are killed at least.
const KILLS: usize = 3;
const REVERSE: &str = "mutation ($id: ID!, $key: String!) {
     reversePointTransaction(id: $id, reason: \"chaos\", idempotencyKey: $key)
     { replayed transaction { id amount balanceAfter } } }";

/// Where servers listen; none: it is over.
type Addresses = watch::Receiver<Option<Vec<String>>>;

/// What the clients have in common.
#[derive(Default)]
struct Common {
    answers: AtomicU64,
    made: AtomicU64,
    /// What somebody may take back, each with its account; more than one will try.
    awards: Mutex<Vec<(String, usize)>>,
}

fn client(url: &str, n: usize) -> Client {
    let tokens = Tokens::new(SECRET, Arc::new(SystemClock));
    let token = tokens.mint(&format!("operator-{n}"), &[Role::Operator], 3600).expect("a token");
    Client::new(url, Some(token))
}

async fn nothing_acknowledged_is_lost_or_doubled(backend: Backend) {
    storm(backend, 1).await;
}

/// Two servers on one PostgreSQL, killed in turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_two_servers() {
    storm(Backend::Postgres, 2).await;
}

async fn storm(backend: Backend, count: usize) {
    let mut seeded = Seeded::new();
    let database = TestDatabase::create(backend).await;
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Process::serve(&database).await);
    }
    let accounts: Vec<String> =
        join_all((0..ACCOUNTS).map(async |n| client(&servers[0].url, CLIENTS + n).id().await)).await;
    let urls = |servers: &[Process]| Some(servers.iter().map(|server| server.url.clone()).collect::<Vec<_>>());
    let (announce, addresses) = watch::channel(urls(&servers));
    let common = Arc::new(Common::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (random, common) = (StdRng::from_rng(&mut seeded.random), Arc::clone(&common));
            tokio::spawn(trade(n, accounts.clone(), addresses.clone(), random, common))
        })
        .collect();
    let (enough, mut kills) = (u64::from(rounds(ENOUGH)), 0);
    while common.made.load(Ordering::Relaxed) < enough || kills < KILLS {
        tokio::time::sleep(Duration::from_millis(seeded.random.random_range(700..2_500))).await;
        // A busy machine takes longer until there is something to lose.
        answered(&common.answers, 100).await;
        servers.remove(kills % servers.len()).kill().await;
        servers.push(Process::serve(&database).await);
        announce.send_replace(urls(&servers));
        kills += 1;
    }
    answered(&common.answers, 200).await;
    announce.send_replace(None);
    let last = servers[0].url.clone();
    let mut books = Books::default();
    for (n, ended) in join_all(clients).await.into_iter().enumerate() {
        let (mut own, unknown) = ended.expect("a client ends well");
        if let Some(mut request) = unknown {
            // What is unknown is asked for once more; then all know all.
            let began = Instant::now();
            while request.send(&client(&last, n)).await.map(|answer| request.note(&answer, &mut own)) != Some(true) {
                assert!(began.elapsed() < Duration::from_secs(60), "no answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        books.add(own);
    }
    let counts = &books.counts;
    eprintln!("{backend:?}, {count} servers: {kills} kills, {} transactions, {counts:?}", books.made.len());
    assert!(books.made.len() as u64 >= enough, "too little was done: {}", books.made.len());
    assert!(counts.repeats > 0 && counts.reversals > 0 && counts.atomic > 0 && counts.each > 0, "{counts:?}");
    agrees(&client(&last, 0), &accounts, &books).await;
    for server in servers {
        server.kill().await;
    }
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_LOG", "error")];
    let (status, output, errors) = run(&["check"], &environment, &std::env::temp_dir()).await;
    assert_eq!(status, 0, "{output}{errors}");
    TestApp::start_on::<Tally>(database, options()).await.finish().await;
}

/// Waits for so many more answers: how long that is, is the machine's business.
async fn answered(answers: &AtomicU64, more: u64) {
    let (began, until) = (Instant::now(), answers.load(Ordering::Relaxed) + more);
    while answers.load(Ordering::Relaxed) < until {
        assert!(began.elapsed() < Duration::from_secs(60), "the servers do not answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Asks for one thing after the other until it is over; what it was told, and what it does not know.
async fn trade(
    n: usize,
    accounts: Vec<String>,
    mut addresses: Addresses,
    mut random: StdRng,
    common: Arc<Common>,
) -> (Books, Option<Request>) {
    let mut books = Books::default();
    let mut open: Option<Request> = None;
    let mut number = 0;
    loop {
        let Some(urls) = addresses.borrow_and_update().clone() else { return (books, open) };
        let url = &urls[random.random_range(0..urls.len())];
        let client = client(url, n);
        while !addresses.has_changed().expect("the test goes on") {
            // What nobody knows is asked for again, under the same keys; sometimes what is known, too.
            let mut request = open.take().unwrap_or_else(|| {
                number += 1;
                let award = {
                    let awards = common.awards.lock().expect("nobody panicked");
                    (!awards.is_empty()).then(|| awards[random.random_range(0..awards.len())].clone())
                };
                request(&mut random, &accounts, award, &format!("{n} {number}"))
            });
            let Some(answer) = request.send(&client).await else {
                open = Some(request);
                let _ = tokio::time::timeout(Duration::from_secs(60), addresses.changed()).await.expect("a new server");
                break;
            };
            let before = books.made.len();
            let closed = request.note(&answer, &mut books);
            common.made.fetch_add((books.made.len() - before) as u64, Ordering::Relaxed);
            if !closed {
                open = Some(request);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            common.answers.fetch_add(1, Ordering::Relaxed);
            if books.made.len() > before {
                common.awards.lock().expect("nobody panicked").extend(request.awards());
            }
            if random.random_bool(0.1) {
                open = Some(request);
            }
        }
    }
}

fn request(random: &mut StdRng, accounts: &[String], award: Option<(String, usize)>, key: &str) -> Request {
    let add = |random: &mut StdRng, key: String, kind: &str, most: i64| {
        // One is hotter than the others.
        let user = if random.random_bool(0.3) { 0 } else { random.random_range(0..ACCOUNTS) };
        let amount = random.random_range(1..most);
        let input = input(&accounts[user], kind, amount, &key);
        let amount = if kind == "ADD_POINTS" { amount } else { -amount };
        (input, Part::new(user, key, Change::Add(amount)))
    };
    match (random.random_range(0..10), award) {
        (0 | 1, Some((id, user))) => {
            let part = Part::new(user, key.to_owned(), Change::Reverse(id.clone()));
            Request::new(REVERSE, json!({ "id": id, "key": key }), vec![part])
        }
        (2 | 3, _) => {
            let kind = |n: usize| if n % 4 == 3 { "DEDUCT_POINTS" } else { "ADD_POINTS" };
            let all = (0..random.random_range(2..20)).map(|n| add(random, format!("{key} {n}"), kind(n), 20));
            let (inputs, parts): (Vec<Value>, Vec<Part>) = all.collect();
            let atomic = random.random_bool(0.5);
            Request::new(BATCH, json!({ "inputs": inputs, "atomic": atomic }), parts)
        }
        (kind, _) => {
            let kind = ["REDEEM", "DEDUCT_POINTS", "ADD_POINTS", "ADD_POINTS"][kind % 4];
            let (input, part) = add(random, key.to_owned(), kind, 50);
            Request::new(ADD, json!({ "input": input }), vec![part])
        }
    }
}
