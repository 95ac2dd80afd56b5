//! `tally import`: what is taken over, what stays behind, and that a second run changes nothing.

use sea_orm::{ConnectionTrait as _, Database, Statement};
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

/// Every row that was read is accounted for.
pub(super) fn adds_up(report: &Value) {
    for table in report["tables"].as_array().unwrap().iter().filter(|table| table["rows"] != 0) {
        let [rows, new, there, duplicates, dropped] = came(report, table["table"].as_str().unwrap());
        assert_eq!(rows, new + there + duplicates + dropped, "{table:#}");
    }
    let dropped: u64 =
        report["tables"].as_array().unwrap().iter().map(|table| table["dropped"].as_u64().unwrap()).sum();
    let reasons = report["dropped"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|held| !held["reason"].as_str().unwrap().contains("without it"));
    assert_eq!(dropped, reasons.map(|held| held["rows"].as_u64().unwrap()).sum::<u64>(), "{report:#}");
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
        adds_up(&report);
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
        adds_up(&again);
        // A user who looks again is one who looked; one who looks for the first time is one more.
        let more = "INSERT INTO user_behaviors VALUES ('ann', 'v1', 'view', '2026-01-05 09:30:00'),
                        ('cas', 'v1', 'view', '2026-01-05 12:00:00')";
        theirs.sql(more).await;
        let later = theirs.json(&["import"], &database.url, 0).await;
        assert_eq!(came(&later, "user_behaviors"), [13, 1, 5, 2, 5], "{from:?} {later:#}");
        let told = table(&later, "user_behaviors");
        assert_eq!((&told["openings"], &told["opened"]), (&json!(1), &json!(1)), "{later:#}");
        let repeated = later["dropped"]
            .as_array()
            .unwrap()
            .iter()
            .find(|held| held["examples"][0].to_string().contains("09:30:00"));
        assert!(repeated.unwrap()["reason"].as_str().unwrap().contains("count once"), "{later:#}");

        let app = TestApp::start_on::<tally::app::Tally>(database, Default::default()).await;
        let query = "{ contents(externalIds: [\"1\", \"2\", \"5\", \"video:v1\", \"video:v2\", \"99\"]) {
            __typename likeCount favoriteCount commentCount shareCount viewCount
            hotness { history(first: 9) { calculationMethod } } } }";
        let answer = app.anonymous().query(query).await;
        let counts = |content: &Value| {
            ["likeCount", "favoriteCount", "commentCount", "shareCount", "viewCount"].map(|name| content[name].clone())
        };
        let contents = answer.data()["contents"].as_array().unwrap().clone();
        let due = [[2, 1, 3, 2, 100], [1, 0, 0, 0, 0], [0, 2, 0, 0, 7], [1, 1, 0, 0, 3], [0, 0, 0, 1, 0]];
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

/// What an import made, in words that do not depend on ids.
pub(super) async fn made(database: &TestDatabase) -> Vec<String> {
    let connection = Database::connect(&database.url).await.unwrap();
    let facts =
        "SELECT 'like ' || c.external_id || ' ' || u.external_id || ' ' || b.acted_at || ' ' || b.imported AS fact
         FROM behaviors b JOIN contents c ON c.id = b.content_id JOIN users u ON u.id = b.user_id
         UNION ALL SELECT 'opening ' || c.external_id || ' ' || o.figure || ' ' || o.count || ' ' || o.at
         FROM content_openings o JOIN contents c ON c.id = o.content_id
         UNION ALL SELECT 'figures ' || c.external_id || ' ' || f.like_count || ' ' || f.view_count || ' ' || f.heat
         FROM content_figures f JOIN contents c ON c.id = f.content_id
         UNION ALL SELECT 'mass ' || c.external_id || ' ' || h.epoch || ' ' || h.mass
         FROM content_heat h JOIN contents c ON c.id = h.content_id
         UNION ALL SELECT 'user ' || external_id || ' ' || subject FROM users ORDER BY 1";
    let rows =
        connection.query_all_raw(Statement::from_string(connection.get_database_backend(), facts)).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.try_get("", "fact").unwrap()).collect()
}

async fn an_import_that_is_killed_is_gone_on_with(backend: Backend) {
    let (theirs, likes) = many().await;
    let database = TestApp::start(backend).await.stop().await;
    let connection = Database::connect(&database.url).await.unwrap();
    let count = async || {
        let count = Statement::from_string(connection.get_database_backend(), "SELECT count(*) AS n FROM behaviors");
        connection.query_one_raw(count).await.unwrap().unwrap().try_get::<i64>("", "n").unwrap()
    };
    let mut killed_at = 0;
    for _ in 0..2 {
        let mut command = crate::harness::command();
        command.args(["import", "--from", &theirs.url]).env("DATABASE_URL", &database.url);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // When something came over, and by far not everything.
        let began = std::time::Instant::now();
        while count().await <= killed_at {
            assert!(began.elapsed().as_secs() < 60 && child.try_wait().unwrap().is_none(), "nothing comes over");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        child.kill().await.unwrap();
        killed_at = count().await;
        assert!(0 < killed_at && killed_at < likes, "killed in the middle: {killed_at} of {likes}");
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "killed after {killed_at} likes: {output}");
    }
    connection.close().await.unwrap();
    let report = theirs.json(&["import"], &database.url, 0).await;
    adds_up(&report);
    let [rows, new, there, duplicates, dropped] = came(&report, "artworks_like");
    let killed = killed_at.cast_unsigned();
    assert_eq!((rows, new, there, duplicates, dropped), (6_000, 6_000 - killed, killed, 0, 0));

    let at_once = TestApp::start(backend).await.stop().await;
    theirs.json(&["import"], &at_once.url, 0).await;
    let (one, other) = (made(&database).await, made(&at_once).await);
    assert_eq!(one.len(), 6_000 + 300 + 300 + 21 + one.iter().filter(|fact| fact.starts_with("mass")).count());
    assert!(one == other, "another result than of one run");
    at_once.remove().await;
    let app = TestApp::start_on::<tally::app::Tally>(database, Default::default()).await;
    assert_eq!(app.number("SELECT count(*) FROM contents").await, 300);
    app.finish().await;
    theirs.remove().await;
}
