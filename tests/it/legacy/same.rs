//! What is the same, and what only looks so: names to the byte, two names of one user, two rows of one work.

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::import::{adds_up, came, checked};
use super::{EVERY, From, Theirs};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    two_names_of_one_user_are_one,
    names_are_compared_to_the_byte,
    two_rows_of_one_work_open_its_counts_once,
);

async fn behaviors(app: &TestApp) -> [i64; 2] {
    [app.number("SELECT count(*) FROM behaviors").await, app.number("SELECT max(acted_at) FROM behaviors").await]
}

/// A user has a subject and an external id: a source may know both.
async fn two_names_of_one_user_are_one(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE artworks (id BIGINT, created_at {time});
                 CREATE TABLE artworks_like (artwork_id BIGINT, user_id VARCHAR(40), created_at {time});
                 INSERT INTO artworks VALUES (1, '2026-01-01 00:00:00');
                 INSERT INTO artworks_like VALUES (1, 'Ann', '2026-01-05 12:00:00'), (1, 'ann', '2026-01-05 13:00:00'),
                     (1, 'Ann', '2026-01-05 10:00:00'), (1, 'ann', '2026-01-05 11:00:00'), (1, 'ben', NULL),
                     (1, 'ben', '2026-01-02 00:00:00');",
            )
            .await;
        let app = TestApp::start(backend).await;
        let known = "mutation { ensureUser(subject: \"ann\", externalId: \"Ann\") { id } }";
        app.client("service", &[Role::Service]).query(known).await.data();
        let report = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&report, "artworks_like"), [6, 2, 1, 2, 1], "{from:?} {report:#}");
        adds_up(&report);
        assert_eq!(behaviors(&app).await, [2, 1_767_618_000_000], "{from:?}: of several times the last");
        assert_eq!(app.number("SELECT like_count FROM content_figures").await, 2, "{from:?}");
        let again = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&again, "artworks_like"), [6, 0, 3, 2, 1], "{from:?} {again:#}");
        assert_eq!(behaviors(&app).await[0], 2, "{from:?}");
        app.finish().await;
        theirs.remove().await;
    }
}

/// Tables whose collations take `Ann` for `ann`, each another one, and rows in an order that mixes them.
async fn mixed(from: From) -> Theirs {
    let theirs = Theirs::empty(from).await;
    let [one, other] = match from {
        From::Sqlite => ["COLLATE NOCASE", "COLLATE NOCASE"],
        From::Postgres => {
            let make = "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
            theirs.sql(make).await;
            ["COLLATE folded", "COLLATE folded"]
        }
        From::MariaDb => ["COLLATE utf8mb4_general_ci", "COLLATE utf8mb4_unicode_ci"],
    };
    let tables = "CREATE TABLE artworks (id VARCHAR(40) {one}, like_count BIGINT, created_at {time});
        CREATE TABLE artworks_like (artwork_id VARCHAR(40) {other}, user_id VARCHAR(40) {one}, created_at {time});
        CREATE TABLE users (id VARCHAR(40) {other});
        CREATE TABLE user_behaviors (user_id VARCHAR(40) {one}, video_id VARCHAR(40) {other},
            behavior_type VARCHAR(20) {other}, behavior_time {time});
        INSERT INTO users VALUES ('ann'), ('Ann'), ('ANN');
        INSERT INTO artworks VALUES ('a', 3, '2026-01-01 00:00:00'), ('A', 2, '2026-01-01 00:00:00');
        INSERT INTO user_behaviors VALUES ('Ann', 'v', 'VIEW', '2026-01-02 00:00:00'),
            ('ann', 'V', 'view', '2026-01-02 00:00:00'), ('ANN', 'v', 'view', '2026-01-02 00:00:00'),
            ('Ann', 'V', 'view', '2026-01-02 00:00:00'), ('ann', 'v', 'view', '2026-01-02 00:00:00');";
    theirs.sql(&tables.replace("{one}", one).replace("{other}", other)).await;
    for (artwork, user) in [("a", "ann"), ("A", "Ann"), ("a", "ANN"), ("A", "ann"), ("a", "Ann"), ("a", "ann")] {
        let sql = format!("INSERT INTO artworks_like VALUES ('{artwork}', '{user}', '2026-01-02 00:00:00')");
        theirs.sql(&sql).await;
    }
    theirs.sql("INSERT INTO artworks_like VALUES ('b', 'aNN', '2026-01-02 00:00:00')").await;
    theirs
}

async fn names_are_compared_to_the_byte(backend: Backend) {
    for from in EVERY {
        let theirs = mixed(from).await;
        let audit = theirs.json(&["audit"], "", 1).await;
        let wrong: Vec<_> = audit["findings"].as_array().unwrap().iter().filter(|found| found["found"] != 0).collect();
        let told = |found: &&Value| {
            let which = found["examples"][0]["id"].as_str().unwrap();
            format!(
                "{} {} {}: {which}",
                found["table"].as_str().unwrap(),
                found["name"].as_str().unwrap(),
                found["found"]
            )
        };
        let due = [
            "artworks_like duplicate 1: artwork_id a, user_id ann",
            "artworks_like no-such-artwork 1: artwork_id b",
            "artworks_like no-such-user 1: user_id aNN",
        ];
        assert_eq!(wrong.iter().map(told).collect::<Vec<_>>(), due, "{from:?} {audit:#}");

        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&["import"], &database.url, 0).await;
        adds_up(&report);
        assert_eq!(came(&report, "users"), [3, 3, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "artworks"), [2, 2, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "artworks_like"), [7, 5, 0, 1, 1], "{from:?} {report:#}");
        assert_eq!(came(&report, "user_behaviors"), [5, 5, 0, 0, 0], "{from:?} {report:#}");
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "{from:?} {output}");
        let app = TestApp::start_on::<Tally>(database, Default::default()).await;
        let query = "{ contents(externalIds: [\"a\", \"A\", \"video:v\", \"video:V\"]) { likeCount viewCount } }";
        let due = json!([
            { "likeCount": 3, "viewCount": 0 }, { "likeCount": 2, "viewCount": 0 },
            { "likeCount": 0, "viewCount": 3 }, { "likeCount": 0, "viewCount": 2 },
        ]);
        assert_eq!(app.anonymous().query(query).await.data()["contents"], due, "{from:?}");
        app.finish().await;
        theirs.remove().await;
    }
}

async fn two_rows_of_one_work_open_its_counts_once(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE artworks (id BIGINT, title VARCHAR(40), view_count BIGINT, created_at {time});
                 INSERT INTO artworks VALUES (1, 'new', 5, '2026-01-02 00:00:00'), (1, 'old', 9, '2026-01-01 00:00:00'),
                     (2, 'x', 3, '2026-01-01 00:00:00'), (2, 'x', 4, '2026-01-01 00:00:00');",
            )
            .await;
        let app = TestApp::start(backend).await;
        for due in [[4, 2, 0, 2, 0], [4, 0, 2, 2, 0]] {
            let report = theirs.json(&["import"], &app.database.url, 0).await;
            assert_eq!(came(&report, "artworks"), due, "{from:?} {report:#}");
            adds_up(&report);
            let opened = report["tables"][0]["opened"].as_i64().unwrap();
            assert_eq!(opened, if due[1] == 2 { 9 } else { 0 }, "{from:?} {report:#}");
            let counts = "{ contents(externalIds: [\"1\", \"2\"]) { title viewCount } }";
            let due = json!([{ "title": "new", "viewCount": 5 }, { "title": "x", "viewCount": 4 }]);
            assert_eq!(app.anonymous().query(counts).await.data()["contents"], due, "{from:?}");
            assert_eq!(app.number("SELECT count(*) FROM content_openings").await, 2);
        }
        app.finish().await;
        theirs.remove().await;
    }
}
