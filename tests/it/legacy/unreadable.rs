//! Works that do not say when they were published, or which they are: cold, left behind, and in each report.

use serde_json::{Value, json};
use tally::app::Tally;

use super::audit::finding;
use super::import::{adds_up, came, checked};
use super::{EVERY, From, Theirs};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(a_work_that_does_not_say_when_is_cold, a_work_with_a_blank_id_is_left_behind);

/// The one reason of a table that begins so, and the examples of it.
fn examples<'a>(report: &'a Value, list: &str, table: &str, begins: &str) -> &'a Value {
    let held = report[list].as_array().unwrap().iter();
    let mut held = held.filter(|held| held["table"] == table && held["reason"].as_str().unwrap().starts_with(begins));
    let found = held.next().unwrap_or_else(|| panic!("no {begins} of {table} in {report:#}"));
    assert_eq!(held.next(), None);
    &found["examples"]
}

const DATES: &str = "
    CREATE TABLE artworks (id BIGINT, created_at VARCHAR(40), last_hot_update VARCHAR(40), view_count BIGINT);
    CREATE TABLE videos (id BIGINT, created_at VARCHAR(40));
    CREATE TABLE users (id VARCHAR(40), created_at VARCHAR(40));
    CREATE TABLE user_behaviors (user_id VARCHAR(40), video_id BIGINT, behavior_type VARCHAR(20));
    INSERT INTO artworks VALUES
        (1, '31/12/2020', NULL, 900000), (2, '15.01.2026 10:00', '2026-01-05 00:00:00', 900000),
        (3, '2999-01-01 00:00:00', '2999-01-01 00:00:00', 900000), (4, NULL, 'never', 900000),
        (5, '2026-01-02 00:00:00', NULL, 900000);
    INSERT INTO videos VALUES (1, '1/2/2026'), (2, '2026-01-02 00:00:00'), (3, '2999-01-01 00:00:00');
    INSERT INTO users VALUES ('ann', 'once'), ('ben', NULL), ('cas', '2025-01-01');
    INSERT INTO user_behaviors VALUES ('ann', 1, 'view'), ('ben', 1, 'view'), ('ben', 1, 'like');";

async fn a_work_that_does_not_say_when_is_cold(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs.sql(DATES).await;
        let audit = theirs.json(&["audit"], "", 1).await;
        for (table, bad, future) in [("artworks", 3, 2), ("videos", 1, 1), ("users", 1, 0)] {
            let found = ["bad-time", "future-time"].map(|name| finding(&audit, table, name)["found"].clone());
            assert_eq!(found, [json!(bad), json!(future)], "{from:?} {table} {audit:#}");
        }
        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&["import"], &database.url, 0).await;
        adds_up(&report);
        for (table, begins, due) in [
            (
                "artworks",
                "created_at: the time is none: the work counts as published in",
                "id 1: created_at 31/12/2020",
            ),
            (
                "artworks",
                "created_at: the time is none: the work counts as published at",
                "id 2: created_at 15.01.2026 10:00",
            ),
            ("artworks", "created_at: the time has not", "id 3: created_at 2999-01-01 00:00:00"),
            ("artworks", "created_at: there is no time", "id 4: created_at NULL"),
            ("videos", "created_at: the time is none", "id 1: created_at 1/2/2026"),
            ("videos", "created_at: the time has not", "id 3: created_at 2999-01-01 00:00:00"),
            ("users", "created_at: the time is none", "id ann: created_at once"),
        ] {
            assert_eq!(examples(&report, "altered", table, begins), &json!([due]), "{from:?}");
        }
        assert_eq!(report["altered"].as_array().unwrap().len(), 7, "{from:?} {report:#}");
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "{from:?}: {output}");

        theirs.sql("UPDATE artworks SET created_at = '2020-12-31 00:00:00' WHERE id = 1").await;
        let again = theirs.json(&["import"], &database.url, 0).await;
        assert_eq!(came(&again, "artworks"), [5, 0, 5, 0, 0], "{from:?}");
        let kept = json!(["id 1: created_at 2020-12-31T00:00:00Z, here 1970-01-01T00:00:00Z"]);
        assert_eq!(examples(&again, "altered", "artworks", "created_at is not when"), &kept, "{from:?}");
        let still = examples(&again, "altered", "artworks", "created_at: the time is none: the work keeps");
        assert_eq!(still, &json!(["id 2: created_at 15.01.2026 10:00"]), "{from:?}");

        let app = TestApp::start_on::<Tally>(database, Default::default()).await;
        let query = "{ contents(externalIds: [\"1\", \"2\", \"3\", \"4\", \"5\", \"video:1\", \"video:3\"]) {
            publishedAt hotness { level } } }";
        let found = app.anonymous().query(query).await.data()["contents"].clone();
        let days = ["1970-01-01", "2026-01-05", "1970-01-01", "1970-01-01", "2026-01-02", "1970-01-01", "1970-01-01"];
        let due =
            days.map(|day| json!({ "publishedAt": format!("{day}T00:00:00+00:00"), "hotness": { "level": "COLD" } }));
        assert_eq!(found, json!(due), "{from:?}");
        app.finish().await;
        theirs.remove().await;
    }
}

async fn a_work_with_a_blank_id_is_left_behind(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE artworks (id VARCHAR(40), created_at {time});
                 CREATE TABLE user_behaviors (user_id VARCHAR(40), video_id VARCHAR(40), behavior_type VARCHAR(20));
                 INSERT INTO artworks VALUES ('', '2026-01-02 00:00:00'), ('  ', '2026-01-02 00:00:00'),
                     ('a', '2026-01-02 00:00:00');
                 INSERT INTO user_behaviors VALUES ('ann', ' ', 'view'), ('ann', 'v', 'view'), ('ann', '', 'like');",
            )
            .await;
        let audit = theirs.json(&["audit"], "", 1).await;
        for (table, example) in [("artworks", "id "), ("user_behaviors", "user_id ann, video_id ")] {
            let found = finding(&audit, table, "null-key");
            assert_eq!((&found["found"], &found["examples"][0]["stored"]), (&json!(2), &json!("blank")), "{from:?}");
            assert!(found["examples"][0]["id"].as_str().unwrap().starts_with(example), "{from:?} {found:#}");
        }
        let app = TestApp::start(backend).await;
        for new in [1, 0] {
            let report = theirs.json(&["import"], &app.database.url, 0).await;
            adds_up(&report);
            assert_eq!(came(&report, "artworks"), [3, new, 1 - new, 0, 2], "{from:?} {report:#}");
            assert_eq!(came(&report, "user_behaviors"), [3, new, 1 - new, 0, 2], "{from:?} {report:#}");
            for table in ["artworks", "user_behaviors"] {
                assert_eq!(examples(&report, "dropped", table, "the id is blank").as_array().unwrap().len(), 2);
            }
            assert_eq!(app.number("SELECT count(*) FROM contents").await, 2, "{from:?}");
        }
        theirs.sql("CREATE TABLE videos (id VARCHAR(40)); INSERT INTO videos VALUES (''), ('v')").await;
        let report = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&report, "videos"), [2, 0, 1, 0, 1], "{from:?} {report:#}");
        assert_eq!(app.number("SELECT count(*) FROM contents").await, 2, "{from:?}");
        app.finish().await;
        theirs.remove().await;
    }
}

/// 16:00 is the newest of each, in whatever form: the text that sorts last is of 15:00.
#[tokio::test]
async fn the_newest_moment_is_the_latest_and_not_the_last_text() {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE artworks (id BIGINT, hot_score {float}, hot_level VARCHAR(9), last_hot_update VARCHAR(40));
                 CREATE TABLE artworks_like (artwork_id VARCHAR(40), user_id VARCHAR(40), created_at VARCHAR(40));
                 CREATE TABLE artworks_favorite (artwork_id BIGINT, user_id VARCHAR(40), created_at {time});
                 INSERT INTO artworks VALUES (1, 1, 'COLD', '2026-01-05 15:30:00'), (2, 1, 'COLD', '2026-01-05 15:30:00'),
                     (3, 1, 'COLD', '2026-01-05T15:30:00Z'), (4, 1, 'COLD', '2026-01-05 16:00:00'),
                     (10, 1, 'COLD', '2026-01-05 16:00:00'), (11, 1, 'COLD', '2026-01-05 15:30:00');
                 INSERT INTO artworks_like VALUES ('1', 'a', '2026-01-05 23:00:00+08:00'), ('1', 'b', '2026-01-05 16:00:00'),
                     ('2', 'a', '1767628800'), ('2', 'b', '2026-01-05 15:00:00'), ('4', 'a', '1767628800000'),
                     ('10', 'a', '2026-01-05T16:00:00Z'), ('11', 'a', '2999-01-01 00:00:00'), ('11', 'b', '2026-01-05T16:00:00Z');
                 INSERT INTO artworks_favorite VALUES (3, 'a', '2026-01-05 16:00:00'), (10, 'a', '2026-01-05 11:00:00');",
            )
            .await;
        if from == From::Sqlite {
            theirs.sql("UPDATE artworks_like SET created_at = 1767628800 WHERE created_at = '1767628800'").await;
        }
        let report = theirs.json(&["audit"], "", 1).await;
        let stale = finding(&report, "artworks", "hot-stale");
        let mut found: Vec<_> = stale["examples"].as_array().unwrap().iter().map(|held| held["id"].clone()).collect();
        found.sort_by_key(Value::to_string);
        assert_eq!(json!(found), json!(["id 1", "id 11", "id 2", "id 3"]), "{from:?} {stale:#}");
        let newest = stale["examples"].as_array().unwrap().iter().all(|held| held["actual"] == "2026-01-05T16:00:00Z");
        assert!(newest && stale["found"] == 4, "{from:?} {stale:#}");
        theirs.remove().await;
    }
}

#[tokio::test]
async fn generated_columns_are_columns() {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE artworks (nr BIGINT, id BIGINT GENERATED ALWAYS AS (nr + 1) STORED,
                     like_count BIGINT GENERATED ALWAYS AS (nr * 0) STORED);
                 CREATE TABLE artworks_like (artwork_id BIGINT, user_id BIGINT);
                 INSERT INTO artworks (nr) VALUES (1), (2);
                 INSERT INTO artworks_like VALUES (2, 7);",
            )
            .await;
        let report = theirs.json(&["audit"], "", 1).await;
        let due = json!([{ "id": "id 2", "stored": "0", "actual": "1" }]);
        assert_eq!(finding(&report, "artworks", "like-count")["examples"], due, "{from:?}");
        theirs.remove().await;
    }
}
