//! 64 clients act while the server is killed and started again: whatever was acknowledged is there, and every number
//! tallies.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tally::app::{App as _, Tally};
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;
use tally::kernel::module::Modules;
use tokio::sync::watch;

use crate::harness::{
    Backend, Client, Options, Process, SECRET, Seeded, TestApp, TestDatabase, on_every_backend, rounds, run,
};

on_every_backend!(nothing_acknowledged_is_lost_when_the_server_is_killed);

const CLIENTS: usize = 64;
const HOT: usize = 3;
const COLD: usize = 100;

/// What a client knows of one of its own likes or favorites; `None`: the connection broke, nobody knows.
type Known = HashMap<(usize, &'static str), Option<bool>>;

async fn nothing_acknowledged_is_lost_when_the_server_is_killed(backend: Backend) {
    let mut seeded = Seeded::new();
    let database = TestDatabase::create(backend).await;
    let contents = publish(&database).await;

    let mut server = Process::serve(&database).await;
    let (announce, url) = watch::channel(Some(server.url.clone()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let random = StdRng::from_rng(&mut seeded.random);
            tokio::spawn(act(n, contents.clone(), url.clone(), random))
        })
        .collect();
    for _ in 0..rounds(4) {
        tokio::time::sleep(Duration::from_millis(seeded.random.random_range(300..1500))).await;
        server.kill().await;
        server = Process::serve(&database).await;
        announce.send_replace(Some(server.url.clone()));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    announce.send_replace(None);
    let known: Vec<(Known, usize)> =
        join_all(clients).await.into_iter().map(|client| client.expect("a client ends well")).collect();

    let acknowledged = known.iter().map(|(_, acknowledged)| acknowledged).sum::<usize>();
    assert!(acknowledged > 10 * CLIENTS, "too little was done to prove anything: {acknowledged}");
    let known: Vec<Known> = known.into_iter().map(|(known, _)| known).collect();
    for (n, known) in known.iter().enumerate() {
        remembers(&client(&server.url, n), &contents, known).await;
    }
    ranks_as_the_database(&client(&server.url, 0)).await;
    server.kill().await;

    let environment = [("DATABASE_URL", &*database.url), ("TALLY_LOG", "error")];
    let (status, output, errors) = run(&["check", "--json"], &environment, &std::env::temp_dir()).await;
    assert_eq!(status, 0, "{output}{errors}");
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let ran: Vec<_> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| check["name"].as_str().expect("a name"))
        .collect();
    let all = Modules::new(Tally::modules()).expect("modules that fit").checks();
    let all: Vec<_> = all.iter().map(|check| check.name()).collect();
    assert_eq!(ran, all, "every check that needs no server; the one that does runs below");
    // A server in this process once more: its rank index is checked against the database, too.
    TestApp::start_on::<Tally>(database, Options::default()).await.finish().await;
}

async fn publish(database: &TestDatabase) -> Vec<String> {
    let server = Process::serve(database).await;
    let author = client(&server.url, CLIENTS);
    let titles: Vec<_> = (0..HOT + COLD).map(|n| format!("content {n}")).collect();
    let contents = join_all(titles.iter().map(|title| author.publish(title))).await;
    server.kill().await;
    contents
}

fn client(url: &str, n: usize) -> Client {
    let tokens = Tokens::new(SECRET, std::sync::Arc::new(SystemClock));
    let token = tokens.mint(&format!("client-{n}"), &[Role::User], 3600).expect("a token");
    Client::new(url, Some(token))
}

/// Acts until no server is announced any more.
async fn act(
    n: usize,
    contents: Vec<String>,
    mut url: watch::Receiver<Option<String>>,
    mut random: StdRng,
) -> (Known, usize) {
    let mut known: Known =
        (0..contents.len()).flat_map(|at| [((at, "like"), Some(false)), ((at, "favorite"), Some(false))]).collect();
    let mut acknowledged = 0;
    loop {
        let Some(address) = url.borrow_and_update().clone() else {
            return (known, acknowledged);
        };
        let client = client(&address, n);
        while !url.has_changed().expect("the test goes on") {
            let at =
                if random.random_bool(0.6) { random.random_range(0..HOT) } else { HOT + random.random_range(0..COLD) };
            let kind = if random.random_bool(0.7) { "like" } else { "favorite" };
            let on = random.random_bool(0.6);
            let verb = if on { kind.to_owned() } else { format!("un{kind}") };
            let query = format!("mutation ($id: ID!) {{ {verb}(contentId: $id) {{ changed }} }}");
            let Ok(answer) = client.try_run(&query, json!({ "id": contents[at] })).await else {
                // Killed before, during or after the commit.
                known.insert((at, kind), None);
                let _ = tokio::time::timeout(Duration::from_secs(30), url.changed()).await.expect("a new server");
                break;
            };
            let changed = answer.data()[&verb]["changed"].as_bool().expect("an outcome");
            if let Some(was) = known[&(at, kind)] {
                assert_eq!(changed, was != on, "client {n}: {verb} of {at} was {was}");
            }
            known.insert((at, kind), Some(on));
            acknowledged += 1;
        }
    }
}

/// Everything that was acknowledged to a client is what the server says now.
async fn remembers(client: &Client, contents: &[String], known: &Known) {
    let query = "query ($ids: [ID!]) { contents(ids: $ids) { viewerHasLiked viewerHasFavorited } }";
    let answer = client.run(query, json!({ "ids": contents })).await;
    for ((at, kind), state) in known {
        let field = if *kind == "like" { "viewerHasLiked" } else { "viewerHasFavorited" };
        let stored = answer.data()["contents"][at][field].as_bool().expect("a state");
        if let Some(state) = state {
            assert_eq!(stored, *state, "{kind} of content {at}");
        }
    }
}

/// The index in the server's memory and the index in the database give the same order.
async fn ranks_as_the_database(client: &Client) {
    let query = "{ hotRanking(first: 100) { rank content { id hotness { rank } } } artworks(first: 100, orderBy: HOTTEST) { nodes { id } } }";
    let answer = client.query(query).await;
    let ranking = answer.data()["hotRanking"].as_array().expect("a ranking");
    let listed = answer.data()["artworks"]["nodes"].as_array().expect("a list");
    assert_eq!(ranking.len(), 100);
    for (entry, node) in ranking.iter().zip(listed) {
        assert_eq!(entry["content"]["id"], node["id"]);
        assert_eq!(entry["rank"], entry["content"]["hotness"]["rank"]);
    }
}
