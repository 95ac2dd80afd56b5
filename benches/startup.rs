//! How long `tally demo` takes, from the start of the process, to answer with a page and with a ranking.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::{median, row, stopwatch};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut pages, mut rankings) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (page, ranking) = start().await;
        pages.push(page.as_secs_f64() * 1e3);
        rankings.push(ranking.as_secs_f64() * 1e3);
    }
    println!("\n`tally demo` on an empty folder, median of {ROUNDS} starts\n");
    row(&["until".into(), "milliseconds".into()]);
    row(&vec!["---".into(); 2]);
    row(&["the board's page".into(), format!("{:.0}", median(pages))]);
    row(&["20 entries in the ranking".into(), format!("{:.0}", median(rankings))]);
}

async fn start() -> (Duration, Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let started = stopwatch();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("TALLY_LOG", "warn")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the demo starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let line = lines.next_line().await.expect("its output").expect("a line");
    let url = line.split_whitespace().nth(1).expect("the board's address").trim_end_matches('/').to_owned();
    let client = reqwest::Client::new();
    let page = client.get(&url).send().await.expect("the page");
    assert!(page.status().is_success(), "the page is there");
    let page_after = started.elapsed();
    loop {
        let query = serde_json::json!({ "query": "{ hotRanking { rank } }" });
        let answer = client.post(format!("{url}/graphql")).json(&query).send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        if answer["data"]["hotRanking"].as_array().is_some_and(|entries| entries.len() == 20) {
            break;
        }
    }
    let ranking_after = started.elapsed();
    child.kill().await.expect("the demo is stopped");
    (page_after, ranking_after)
}
