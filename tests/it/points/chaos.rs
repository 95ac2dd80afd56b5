//! Clients make transactions, batches, repeats and reversals on 20 accounts while servers are killed and started again:
//! whatever was acknowledged is there, once, and every balance is what the clients' own books say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;
use tokio::sync::watch;

use super::stage::{ADD, BATCH, input, options, whole};
use crate::harness::{Backend, Client, Process, SECRET, Seeded, TestApp, TestDatabase, on_every_backend, rounds, run};

on_every_backend!(nothing_acknowledged_is_lost_or_doubled);

const CLIENTS: usize = 64;
const ACCOUNTS: usize = 20;
const REVERSE: &str = "mutation ($id: ID!, $key: String!) {
     reversePointTransaction(id: $id, reason: \"chaos\", idempotencyKey: $key)
     { replayed transaction { id amount balanceAfter } } }";

/// Where servers listen; none: it is over.
type Addresses = watch::Receiver<Option<Vec<String>>>;

/// What a client was told was made: the transaction's id, its account, what it adds.
type Book = HashMap<String, (usize, i64)>;

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
    let answers = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (random, answers) = (StdRng::from_rng(&mut seeded.random), Arc::clone(&answers));
            tokio::spawn(trade(n, accounts.clone(), addresses.clone(), random, answers))
        })
        .collect();
    for round in 0..rounds(3) as usize {
        answered(&answers, seeded.random.random_range(200..600)).await;
        servers.remove(round % servers.len()).kill().await;
        servers.push(Process::serve(&database).await);
        announce.send_replace(urls(&servers));
    }
    answered(&answers, 200).await;
    // What is unknown is asked for once more; then all know all.
    announce.send_replace(None);
    let last = servers[0].url.clone();
    let traders = join_all(clients).await.into_iter().map(|client| client.expect("a client ends well"));
    let mut book = Book::new();
    for (n, (known, unknown)) in traders.enumerate() {
        let mut resolved = known;
        if let Some(request) = unknown {
            let answer = request.send(&client(&last, n)).await.expect("an answer");
            request.note(&answer, &mut resolved);
        }
        for (id, entry) in resolved {
            assert!(book.insert(id, entry).is_none(), "two clients were told of one transaction");
        }
    }
    assert!(book.len() > 5 * CLIENTS, "too little was done to prove anything: {}", book.len());
    agrees(&client(&last, 0), &accounts, &book).await;
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

/// What a client asks for, so that it can ask for the same again.
struct Request {
    query: &'static str,
    variables: Value,
    /// The account of each transaction.
    users: Vec<usize>,
}

impl Request {
    async fn send(&self, client: &Client) -> Option<Value> {
        Some(client.try_run(self.query, self.variables.clone()).await.ok()?.body)
    }

    /// Whether it is to be asked for again.
    fn is_open(answer: &Value) -> bool {
        ["UNAVAILABLE", "OVERLOADED"].iter().any(|code| answer["errors"][0]["extensions"]["code"] == *code)
    }

    /// Writes down what was made.
    fn note(&self, answer: &Value, book: &mut Book) -> Vec<String> {
        if let Some(error) = answer["errors"].get(0) {
            let code = error["extensions"]["code"].as_str().expect("a code");
            assert!(["INSUFFICIENT_POINTS", "CONFLICT"].contains(&code), "{answer:#}");
            return Vec::new();
        }
        let data = &answer["data"];
        let single = [&data["addPoints"], &data["reversePointTransaction"]].into_iter().filter(|made| made.is_object());
        let items = data["addPointsBatch"]["items"].as_array().into_iter().flatten();
        let mut ids = Vec::new();
        for (made, user) in single.chain(items).zip(&self.users) {
            let id = made["transaction"]["id"].as_str().expect("an id").to_owned();
            book.insert(id.clone(), (*user, whole(&made["transaction"]["amount"])));
            ids.push(id);
        }
        ids
    }
}

/// Asks for one thing after the other until it is over; what it was told, and what it does not know.
async fn trade(
    n: usize,
    accounts: Vec<String>,
    mut addresses: Addresses,
    mut random: StdRng,
    answers: Arc<AtomicU64>,
) -> (Book, Option<Request>) {
    let mut book = Book::new();
    let mut own: Vec<(String, usize)> = Vec::new();
    let mut open: Option<Request> = None;
    let mut number = 0;
    loop {
        let Some(urls) = addresses.borrow_and_update().clone() else { return (book, open) };
        let url = &urls[random.random_range(0..urls.len())];
        let client = client(url, n);
        while !addresses.has_changed().expect("the test goes on") {
            // What nobody knows is asked for again, under the same keys; sometimes what is known, too.
            let request = open.take().unwrap_or_else(|| {
                number += 1;
                request(&mut random, &accounts, &own, &format!("{n} {number}"))
            });
            let Some(answer) = request.send(&client).await else {
                open = Some(request);
                let _ = tokio::time::timeout(Duration::from_secs(60), addresses.changed()).await.expect("a new server");
                break;
            };
            if Request::is_open(&answer) {
                open = Some(request);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            answers.fetch_add(1, Ordering::Relaxed);
            let made = request.note(&answer, &mut book);
            if request.query == ADD {
                own.extend(made.into_iter().zip(request.users.iter().copied()));
            }
            if random.random_bool(0.1) {
                open = Some(request);
            }
        }
    }
}

fn request(random: &mut StdRng, accounts: &[String], own: &[(String, usize)], key: &str) -> Request {
    let pick = |random: &mut StdRng| {
        // One is hotter than the others.
        if random.random_bool(0.3) { 0 } else { random.random_range(0..ACCOUNTS) }
    };
    match random.random_range(0..10) {
        0 | 1 if !own.is_empty() => {
            let (id, user) = own[random.random_range(0..own.len())].clone();
            Request { query: REVERSE, variables: json!({ "id": id, "key": key }), users: vec![user] }
        }
        2 => {
            let users: Vec<_> = (0..random.random_range(2..12)).map(|_| pick(random)).collect();
            let kind = |n: usize| if n % 4 == 3 { "DEDUCT_POINTS" } else { "ADD_POINTS" };
            let inputs: Vec<_> = users
                .iter()
                .enumerate()
                .map(|(n, user)| input(&accounts[*user], kind(n), random.random_range(1..20), &format!("{key} {n}")))
                .collect();
            Request { query: BATCH, variables: json!({ "inputs": inputs, "atomic": true }), users }
        }
        kind => {
            let user = pick(random);
            let kind = ["REDEEM", "DEDUCT_POINTS", "ADD_POINTS", "ADD_POINTS"][kind % 4];
            let input = input(&accounts[user], kind, random.random_range(1..50), key);
            Request { query: ADD, variables: json!({ "input": input }), users: vec![user] }
        }
    }
}

/// Every transaction that the accounts have was told to somebody, and the other way round; balances are their sums.
async fn agrees(client: &Client, accounts: &[String], book: &Book) {
    let query = "query ($id: ID!, $after: String) { pointAccount(userId: $id) { balance transactionCount
         history(first: 100, after: $after) { nodes { id amount } pageInfo { hasNextPage endCursor } } } }";
    let mut there = 0;
    for (user, id) in accounts.iter().enumerate() {
        let (mut after, mut sum, mut count) = (json!(null), 0, 0);
        loop {
            let answer = client.run(query, json!({ "id": id, "after": after })).await;
            let account = &answer.data()["pointAccount"];
            for node in account["history"]["nodes"].as_array().unwrap() {
                let amount = whole(&node["amount"]);
                assert_eq!(book.get(node["id"].as_str().unwrap()), Some(&(user, amount)), "{node:#}");
                sum += amount;
                count += 1;
            }
            if account["history"]["pageInfo"]["hasNextPage"] == false {
                assert_eq!((whole(&account["balance"]), whole(&account["transactionCount"])), (sum, count));
                break;
            }
            after = account["history"]["pageInfo"]["endCursor"].clone();
        }
        there += usize::try_from(count).unwrap();
    }
    assert_eq!(there, book.len(), "something acknowledged is missing");
}
