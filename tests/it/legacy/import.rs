//! `tally import`: what is taken over, what stays behind, and that a second run changes nothing.

use serde_json::{Value, json};

use super::{EVERY, From, Theirs};
use crate::harness::{Backend, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(everything_is_taken_over_once, an_import_that_is_killed_is_gone_on_with);

fn table<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["tables"].as_array().unwrap().iter().find(|table| table["table"] == name).unwrap()
}

/// The columns of a table of the report: rows, new, there, duplicates, dropped.
pub(super) fn came(report: &Value, name: &str) -> [u64; 5] {
    let table = table(report, name);
    ["rows", "new", "there", "duplicates", "dropped"].map(|column| table[column].as_u64().unwrap())
}

pub(super) async fn checked(database: &TestDatabase) -> (i32, String) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let (status, output, errors) = run(&["check"], &environment, tempfile::tempdir().unwrap().path()).await;
    (status, format!("{output}{errors}"))
}

async fn everything_is_taken_over_once(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::broken(from).await;
        let database = TestApp::start(backend).await.stop().await;
        let dry = theirs.json(&["import", "--dry-run"], &database.url, 0).await;
        let report = theirs.json(&["import"], &database.url, 0).await;
        assert_eq!((&dry["tables"], &dry["dropped"]), (&report["tables"], &report["dropped"]), "{from:?}");
        assert_eq!(came(&report, "artworks"), [6, 6, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "artworks_like"), [8, 4, 0, 1, 3], "{from:?} {report:#}");
        assert_eq!(came(&report, "artworks_favorite"), [4, 3, 0, 1, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "user_behaviors"), [11, 5, 0, 2, 4], "{from:?} {report:#}");
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "{from:?}: {output}");
        let again = theirs.json(&["import"], &database.url, 0).await;
        assert_eq!(came(&again, "artworks"), [6, 0, 6, 0, 0], "{from:?} {again:#}");
        assert_eq!(came(&again, "artworks_like"), [8, 0, 4, 1, 3], "{from:?} {again:#}");
        assert_eq!(came(&again, "user_behaviors"), [11, 0, 5, 2, 4], "{from:?} {again:#}");
        assert_eq!(again["dropped"], report["dropped"]);

        let app = TestApp::start_on::<tally::app::Tally>(database, Default::default()).await;
        let query = "{ contents(externalIds: [\"1\", \"2\", \"5\", \"video:v1\", \"video:v2\", \"99\"]) {
            __typename likeCount favoriteCount commentCount shareCount viewCount
            hotness { history(first: 9) { calculationMethod } } } }";
        let answer = app.anonymous().query(query).await;
        let counts = |content: &Value| {
            ["likeCount", "favoriteCount", "commentCount", "shareCount", "viewCount"].map(|name| content[name].clone())
        };
        let contents = answer.data()["contents"].as_array().unwrap().clone();
        let due = [[2, 1, 3, 2, 100], [1, 0, 0, 0, 0], [0, 2, 0, 0, 7], [1, 1, 0, 0, 2], [0, 0, 0, 1, 0]];
        for (content, due) in contents.iter().zip(due) {
            assert_eq!(counts(content), due.map(|count| json!(count)), "{from:?} {contents:#?}");
            assert_eq!(content["hotness"]["history"][0]["calculationMethod"], "IMPORT", "{contents:#?}");
        }
        assert_eq!(contents[5], Value::Null);
        let last = "SELECT max(acted_at) FROM behaviors b JOIN contents c ON c.id = b.content_id
                    WHERE c.external_id = '5'";
        assert_eq!(app.number(last).await, 1_767_520_800_000, "of two favorites the last time counts");
        // What was taken over takes part in everything that comes after.
        let id = app.number("SELECT count(*) FROM content_openings").await;
        assert_eq!(id, 6, "three of artwork 1, the views of 5, those of video v1, the share of v2");
        app.finish().await;
        theirs.remove().await;
    }
}

/// Enough rows for some transactions.
pub(super) async fn many() -> (Theirs, i64) {
    let theirs = Theirs::empty(From::Sqlite).await;
    theirs
        .sql(
            "CREATE TABLE artworks (id INTEGER, like_count INTEGER, view_count INTEGER, created_at TEXT);
             CREATE TABLE artworks_like (artwork_id INTEGER, user_id INTEGER, created_at TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             INSERT INTO artworks SELECT i, 20, i, '2026-01-01 00:00:00' FROM n;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5999)
             INSERT INTO artworks_like SELECT i % 300 + 1, i / 300, '2026-01-02 00:00:00' FROM n;",
        )
        .await;
    (theirs, 6_000)
}

async fn an_import_that_is_killed_is_gone_on_with(backend: Backend) {
    let (theirs, likes) = many().await;
    let database = TestApp::start(backend).await.stop().await;
    for pause in [150, 400, 700] {
        let mut command = crate::harness::command();
        command.args(["import", "--from", &theirs.url]).env("DATABASE_URL", &database.url);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        child.kill().await.unwrap();
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "killed after {pause} ms: {output}");
    }
    let report = theirs.json(&["import"], &database.url, 0).await;
    let [rows, new, there, duplicates, dropped] = came(&report, "artworks_like");
    assert_eq!((rows, new + there, duplicates, dropped), (6_000, 6_000, 0, 0));
    let app = TestApp::start_on::<tally::app::Tally>(database, Default::default()).await;
    assert_eq!(app.number("SELECT count(*) FROM behaviors").await, likes);
    assert_eq!(app.number("SELECT count(*) FROM contents").await, 300);
    assert_eq!(app.number("SELECT count(*) FROM users").await, 21, "twenty who liked, and nobody");
    app.finish().await;
    theirs.remove().await;
}
