//! A batch of 1,000 views, and `contents(ids)` of 100 ids, by one HTTP client on 20,000 contents: what a page costs that
//! tells what it showed, and one that asks for what it shows. On SQLite, and on PostgreSQL where there is one.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Connection, Server, load, row, stopwatch, token};
use tally::kernel::auth::Role;

const PUBLISHERS: usize = 64;
const CONTENTS: usize = 20_000;
/// Requests of each kind; as many viewers, so that every view counts.
const REQUESTS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("\n1,000 views in a batch, and 100 contents by id, of {CONTENTS} contents, {REQUESTS} requests each\n");
    row(&["database".into(), "what".into(), "p50".into(), "p99".into(), "items/s".into()]);
    row(&vec!["---".into(); 5]);
    let folder = tempfile::tempdir().expect("a folder");
    run("SQLite, FULL", &format!("sqlite:{}/views.db", folder.path().display())).await;
    if let Ok(server) = std::env::var("TALLY_TEST_POSTGRES_URL") {
        for sql in ["DROP DATABASE IF EXISTS bench_views", "CREATE DATABASE bench_views"] {
            let status = std::process::Command::new("psql")
                .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, &format!("{server}/postgres")])
                .status();
            assert!(status.expect("psql").success(), "{sql}");
        }
        run("PostgreSQL", &format!("{server}/bench_views")).await;
    }
}

async fn run(database: &str, url: &str) {
    let server = Server::start(url, &[]).await;
    let contents = publish(&server).await;
    let mut random = StdRng::seed_from_u64(1);
    let mut some = |count: usize| {
        let ids = (0..count).map(|_| format!("\"{}\"", contents[random.random_range(0..contents.len())]));
        ids.collect::<Vec<_>>().join(",")
    };
    for (what, items) in [("views", 1_000), ("contents by id", 100)] {
        let query = match what {
            "views" => "mutation V($ids: [ID!]!) { recordViews(contentIds: $ids) { counted } }",
            _ => {
                "query C($ids: [ID!]!) { contents(ids: $ids) { id title likeCount viewCount author { name } \
                 hotness { score level rank } } }"
            }
        };
        let mut latencies = Vec::new();
        let began = stopwatch();
        for n in 0..REQUESTS {
            let mut viewer = Connection::open(server.address, token(&format!("viewer-{n}"), Role::User)).await;
            // Its user is made at first sight.
            viewer.post(r#"{"query":"{ me { user { id } } }"}"#).await;
            let body = format!(r#"{{"query":"{query}","variables":{{"ids":[{}]}}}}"#, some(items));
            let sent = stopwatch();
            viewer.post(&body).await;
            latencies.push(sent.elapsed());
        }
        let load = load(latencies, began.elapsed());
        let millis = |span: std::time::Duration| format!("{:.1} ms", span.as_secs_f64() * 1e3);
        let per_sec = format!("{:.0}", load.per_sec * items as f64);
        row(&[database.into(), format!("{items} {what}"), millis(load.p50), millis(load.p99), per_sec]);
    }
    server.stop().await;
}

async fn publish(server: &Server) -> Vec<String> {
    let author = || Connection::open(server.address, token("author", Role::User));
    let connections = join_all((0..PUBLISHERS).map(|_| author())).await;
    let batches = join_all(connections.into_iter().map(async |mut connection| {
        let mut ids = Vec::new();
        for _ in 0..CONTENTS.div_ceil(PUBLISHERS) {
            let answer = connection
                .post(r#"{"query":"mutation { publishArtwork(input: { title: \"bench\" }) { artwork { id } } }"}"#)
                .await;
            let id = answer.split('"').find(|part| part.starts_with("artwork_")).expect("an id");
            ids.push(id.to_owned());
        }
        ids
    }));
    batches.await.into_iter().flatten().collect()
}
