//! Whoever reads somebody's file leaves no trace: not a byte in it, and no file beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::{From, Theirs};
use crate::harness::{command, run};

type Listing = BTreeMap<String, (Vec<u8>, std::time::SystemTime)>;

/// Every file of a folder, with its bytes and when it was written.
fn listing(folder: &Path) -> Listing {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, (std::fs::read(entry.path()).unwrap(), entry.metadata().unwrap().modified().unwrap()))
    });
    files.collect()
}

/// The fixture in a folder of its own.
async fn placed(journal: &str) -> (tempfile::TempDir, String) {
    let theirs = Theirs::broken(From::Sqlite).await;
    theirs.sql(&format!("PRAGMA journal_mode = {journal}")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    std::fs::copy(theirs.url.trim_start_matches("sqlite:"), &file).unwrap();
    theirs.remove().await;
    (folder, format!("sqlite:{}", file.display()))
}

/// Audits, and reads all that an import reads.
async fn read(url: &str) -> Value {
    let elsewhere = tempfile::tempdir().unwrap();
    let place = [("TMPDIR", elsewhere.path().to_str().unwrap())];
    let (status, output, errors) = run(&["audit", "--json", "--from", url], &place, elsewhere.path()).await;
    assert_eq!(status, 1, "{output}{errors}");
    let (status, _, errors) = run(&["import", "--dry-run", "--from", url], &place, elsewhere.path()).await;
    assert_eq!(status, 0, "{errors}");
    assert_eq!(listing(elsewhere.path()).into_keys().collect::<Vec<_>>(), [] as [&str; 0], "copies go");
    serde_json::from_str(&output).unwrap()
}

fn likes(report: &Value) -> &Value {
    let tables = report["tables"].as_array().unwrap();
    &tables.iter().find(|table| table["table"] == "artworks_like").unwrap()["rows"]
}

#[tokio::test]
async fn a_file_that_nobody_has_open_stays_as_it_is_and_alone() {
    for journal in ["DELETE", "WAL"] {
        let (folder, url) = placed(journal).await;
        let before = listing(folder.path());
        assert_eq!(before.len(), 1);
        assert_eq!(likes(&read(&url).await), 8);
        assert!(listing(folder.path()) == before, "{journal}: something changed");
    }
}

/// The server of the system before, which has the file open; and what a crash of it would leave behind.
#[tokio::test]
async fn what_only_the_wal_holds_is_read_and_stays_there() {
    let (folder, url) = placed("WAL").await;
    let mut theirs = SqliteConnection::connect(&url).await.unwrap();
    let plant = "INSERT INTO artworks_like SELECT 1, 'more', '2026-01-05 10:00:00'";
    sqlx::query(plant).execute(&mut theirs).await.unwrap();
    let before = listing(folder.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), ["shop.db", "shop.db-shm", "shop.db-wal"]);
    assert_eq!(likes(&read(&url).await), 9);
    let after = listing(folder.path());
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for name in ["shop.db", "shop.db-wal"] {
        assert!(after[name] == before[name], "{name} is another one");
    }

    // What of it was written to the disk by then; a kill alone leaves all three.
    for left in [&["shop.db", "shop.db-wal"][..], &["shop.db", "shop.db-wal", "shop.db-shm"]] {
        let crashed = crashed(folder.path(), left);
        let before = listing(crashed.path());
        assert_eq!(before.len(), left.len());
        assert_eq!(likes(&read(&format!("sqlite:{}/shop.db", crashed.path().display())).await), 9);
        assert!(listing(crashed.path()) == before, "{left:?}: something changed after a crash");
    }
    theirs.close().await.unwrap();
}

/// Copies of these files, which nobody has open.
fn crashed(folder: &Path, left: &[&str]) -> tempfile::TempDir {
    let crashed = tempfile::tempdir().unwrap();
    for name in left {
        std::fs::copy(folder.join(name), crashed.path().join(name)).unwrap();
    }
    crashed
}

/// Sends SIGTERM to a command so long after it began to read its private copy: its status and output.
async fn stopped(arguments: &[&str], url: &str, after: Duration) -> (i32, String) {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = command();
    command.args(arguments).args(["--json", "--from", url]).env("TMPDIR", elsewhere.path());
    command.current_dir(elsewhere.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id().unwrap().to_string();
    let began = Instant::now();
    let is_read = || {
        let mut folders = std::fs::read_dir(elsewhere.path()).unwrap();
        folders.any(|folder| folder.unwrap().path().join("copy.db-shm").exists())
    };
    while !is_read() {
        assert!(began.elapsed() < Duration::from_secs(60), "no copy is read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(after).await;
    assert!(tokio::process::Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let ended = ended.expect("it ends in time").unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert!(errors.contains("stopped before the end"), "{errors}");
    assert_eq!(listing(elsewhere.path()).into_keys().collect::<Vec<_>>(), [] as [&str; 0], "copies go");
    (ended.status.code().expect("it ends by itself"), String::from_utf8(ended.stdout).unwrap())
}

#[tokio::test]
async fn who_is_told_to_stop_says_how_far_it_came_and_leaves_nothing_behind() {
    let (folder, url) = placed("WAL").await;
    let mut theirs = SqliteConnection::connect(&url).await.unwrap();
    // A table that is never read to its end, and whose database says nothing meanwhile.
    let endless = "DROP TABLE artworks_like;
        CREATE VIEW artworks_like AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 - i FROM n)
        SELECT i AS artwork_id, 'ann' AS user_id, '2026-01-05 10:00:00' AS created_at FROM n WHERE i > 1;";
    sqlx::raw_sql(endless).execute(&mut theirs).await.unwrap();
    let crashed = crashed(folder.path(), &["shop.db", "shop.db-wal", "shop.db-shm"]);
    let url = format!("sqlite:{}/shop.db", crashed.path().display());
    for arguments in [&["audit"][..], &["import", "--dry-run"]] {
        let mut told = String::new();
        // On a slow machine nothing may have been read yet, and then there is no report.
        for after in [200, 2_000, 20_000] {
            let status;
            (status, told) = stopped(arguments, &url, Duration::from_millis(after)).await;
            assert_eq!(status, 2, "{arguments:?} {told}");
            if !told.is_empty() {
                break;
            }
        }
        let report: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(report["failure"], "stopped before the end", "{arguments:?} {report:#}");
        let artworks = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "artworks").unwrap();
        assert_eq!(artworks["rows"], 6, "{arguments:?} {report:#}");
    }
    theirs.close().await.unwrap();
}
