//! How fast somebody's tables are audited, and in how much memory: 10,000,000 rows in a SQLite file, or as many as
//! `BENCH_AUDIT_ROWS` says. Of ten rows nine are likes and favorites, one is an artwork; one like in a thousand is
//! there twice.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::process::Stdio;

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::Value;
use support::{row, stopwatch};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Of ten rows.
const LIKES: u64 = 6;
const FAVORITES: u64 = 3;

#[tokio::main]
async fn main() {
    let rows: u64 = std::env::var("BENCH_AUDIT_ROWS").map_or(10_000_000, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}/theirs.db", folder.path().display());
    let planted = fill(&format!("{url}?mode=rwc"), rows).await;
    println!("\n`tally audit`, {rows} rows in a SQLite file\n");
    row(&["seconds".into(), "rows a second".into(), "most memory, MiB".into(), "found".into()]);
    row(&vec!["---".into(); 4]);
    let began = stopwatch();
    let (report, memory_kib) = audit(&url).await;
    let seconds = began.elapsed().as_secs_f64();
    let read: u64 = each(&report, "tables", "rows").sum();
    let found: u64 = each(&report, "findings", "found").sum();
    assert_eq!((read, found), (rows + planted, 2 * planted), "all that was planted, and nothing else");
    let rate = format!("{:.0}", read as f64 / seconds);
    row(&[format!("{seconds:.1}"), rate, format!("{:.0}", memory_kib as f64 / 1024.0), found.to_string()]);
}

fn each<'a>(report: &'a Value, list: &str, number: &'a str) -> impl Iterator<Item = u64> + 'a {
    let list = report[list].as_array().expect("a list");
    list.iter().map(move |item| item[number].as_u64().expect("a number"))
}

/// Returns how many likes are there twice; the counters of their artworks say one more than there are users.
async fn fill(url: &str, rows: u64) -> u64 {
    let database = Database::connect(url).await.expect("the file");
    let artworks = rows / 10;
    let relation = |table: &str, each: u64| {
        format!(
            "CREATE TABLE {table} (artwork_id INTEGER, user_id INTEGER, created_at TEXT);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {} - 1)
             INSERT INTO {table} SELECT i % {artworks} + 1, i / {artworks}, '2026-01-02 00:00:00' FROM n;",
            artworks * each
        )
    };
    let [likes, favorites] = [relation("artworks_like", LIKES), relation("artworks_favorite", FAVORITES)];
    let sql = [
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;".to_owned(),
        format!(
            "CREATE TABLE artworks (id INTEGER PRIMARY KEY, like_count INTEGER, favorite_count INTEGER, hot_score REAL,
                 hot_level TEXT, last_hot_update TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {artworks})
             INSERT INTO artworks SELECT i, {LIKES} + (i % 1000 = 0), {FAVORITES}, 1.5, 'WARM', '2026-01-03 00:00:00'
             FROM n;"
        ),
        likes,
        favorites,
        "INSERT INTO artworks_like SELECT id, 0, '2026-01-02 01:00:00' FROM artworks WHERE id % 1000 = 0; COMMIT;"
            .to_owned(),
    ];
    // At once, and so on one connection.
    database.execute_unprepared(&sql.concat()).await.expect("it is filled");
    database.close().await.expect("the connection closes");
    artworks / 1000
}

/// The report, and the most memory of the process in KiB.
async fn audit(url: &str) -> (Value, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(["audit", "--json", "--from", url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = child.stdout.take().expect("its output");
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        output.read_to_string(&mut text).await.map(|_| text)
    });
    let status = format!("/proc/{}/status", child.id().expect("it runs"));
    let mut most = 0;
    loop {
        tokio::select! {
            ended = child.wait() => {
                assert_eq!(ended.expect("its status").code(), Some(1), "drift is found");
                let text = reading.await.expect("it is read").expect("its output");
                return (serde_json::from_str(&text).expect("a report"), most);
            }
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find(|line| line.starts_with("VmHWM:"));
                most = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(most);
            }
        }
    }
}
