//! Whoever reads somebody's file leaves no trace: not a byte in it, and no file beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::{From, Theirs};
use crate::harness::run;

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

    let crashed = tempfile::tempdir().unwrap();
    for name in ["shop.db", "shop.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    theirs.close().await.unwrap();
    let before = listing(crashed.path());
    assert_eq!(likes(&read(&format!("sqlite:{}/shop.db", crashed.path().display())).await), 9);
    assert!(listing(crashed.path()) == before, "something changed after a crash");
}
