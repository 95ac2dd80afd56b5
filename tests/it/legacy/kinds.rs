//! Sources of every shape: with tables of users and videos, with some tables alone, in a schema, with one left out.

use serde_json::{Value, json};
use tally::app::Tally;

use super::import::{adds_up, came, checked};
use super::{EVERY, From, Theirs};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(users_and_videos_come_over_as_they_are, some_tables_alone_come_over_too);

/// The fixture, with users (not all of those who did something) and videos (of which one was never touched).
async fn whole(from: From) -> Theirs {
    let theirs = Theirs::broken(from).await;
    theirs
        .sql(
            "CREATE TABLE users (id VARCHAR(40), nickname VARCHAR(40), created_at {time});
             CREATE TABLE videos (id VARCHAR(40), title VARCHAR(40), user_id VARCHAR(40), create_time {time});
             INSERT INTO users VALUES ('ann', 'Ann A.', '2025-01-01 00:00:00'), ('ben', NULL, NULL),
                 ('cas', 'Cas', '2025-01-01 00:00:00'), ('ann', 'Ann the first', '2024-01-01 00:00:00'), (NULL, 'x', NULL);
             INSERT INTO videos VALUES ('v1', 'One', 'ann', '2025-06-01 00:00:00'),
                 ('v3', 'Untouched', 'zoe', '2025-06-02 00:00:00');",
        )
        .await;
    theirs
}

async fn users_and_videos_come_over_as_they_are(backend: Backend) {
    for from in EVERY {
        let theirs = whole(from).await;
        let audit = theirs.json(&["audit"], "", 1).await;
        for (table, name, found) in [
            ("users", "duplicate", 1),
            ("users", "null-key", 1),
            ("videos", "no-such-user", 1),
            ("user_behaviors", "no-such-user", 2),
            ("user_behaviors", "no-such-video", 5),
        ] {
            assert_eq!(super::audit::finding(&audit, table, name)["found"], found, "{from:?} {table} {name} {audit:#}");
        }
        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&["import"], &database.url, 0).await;
        adds_up(&report);
        assert_eq!(came(&report, "users"), [5, 3, 0, 1, 1], "{from:?} {report:#}");
        assert_eq!(came(&report, "videos"), [2, 2, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "user_behaviors"), [11, 4, 0, 2, 5], "{from:?} {report:#}");
        let (status, output) = checked(&database).await;
        assert_eq!(status, 0, "{from:?}: {output}");
        let again = theirs.json(&["import"], &database.url, 0).await;
        adds_up(&again);
        for table in ["users", "artworks", "artworks_like", "artworks_favorite", "videos", "user_behaviors"] {
            let [rows, new, there, duplicates, dropped] = came(&report, table);
            assert_eq!(came(&again, table), [rows, 0, new + there, duplicates, dropped], "{from:?} {table}");
        }
        let app = TestApp::start_on::<Tally>(database, Default::default()).await;
        let query = "{ contents(externalIds: [\"1\", \"video:v1\", \"video:v3\", \"video:v2\"]) {
            __typename title publishedAt likeCount author { name externalId } } }";
        let due = json!([
            { "__typename": "Artwork", "title": "All is well", "publishedAt": "2026-01-01T00:00:00+00:00", "likeCount": 2,
              "author": { "name": "Ann A.", "externalId": "ann" } },
            { "__typename": "Video", "title": "One", "publishedAt": "2025-06-01T00:00:00+00:00", "likeCount": 1,
              "author": { "name": "Ann A.", "externalId": "ann" } },
            { "__typename": "Video", "title": "Untouched", "publishedAt": "2025-06-02T00:00:00+00:00", "likeCount": 0,
              "author": { "name": "imported", "externalId": "tally-import" } },
            null,
        ]);
        assert_eq!(app.anonymous().query(query).await.data()["contents"], due, "{from:?}");
        app.finish().await;
        theirs.remove().await;
    }
}

fn named(report: &Value) -> Vec<&str> {
    report["tables"].as_array().unwrap().iter().map(|table| table["table"].as_str().unwrap()).collect()
}

/// Where the fixture's tables are, as a mapping names it.
fn place(from: From, theirs: &Theirs) -> String {
    match from {
        From::Sqlite => "main".to_owned(),
        From::Postgres => "public".to_owned(),
        From::MariaDb => theirs.name.clone(),
    }
}

async fn some_tables_alone_come_over_too(backend: Backend) {
    for from in EVERY {
        let theirs = whole(from).await;
        let map = theirs.file("map.toml");
        let left_out: [(&[&str], &[&str]); 4] = [
            (
                &["users", "videos"],
                &["artworks", "users", "artworks_like", "artworks_favorite", "user_behaviors", "videos"],
            ),
            (&["artworks", "artworks_like", "artworks_favorite"], &["users", "videos", "user_behaviors"]),
            (&["user_behaviors", "users", "artworks_favorite"], &["artworks", "users", "artworks_like"]),
            (
                &["users", "videos", "artworks", "artworks_like", "artworks_favorite"],
                &["user_behaviors", "users", "videos"],
            ),
        ];
        for (absent, came_over) in left_out {
            std::fs::write(&map, format!("leave_out = {absent:?}\n")).unwrap();
            let arguments = ["--map", map.to_str().unwrap()];
            let audit = theirs.json(&[&["audit"], &arguments[..]].concat(), "", 1).await;
            assert!(!named(&audit).iter().any(|table| absent.contains(table)), "{from:?} {absent:?}");
            let database = TestApp::start(backend).await.stop().await;
            let report = theirs.json(&[&["import"], &arguments[..]].concat(), &database.url, 0).await;
            adds_up(&report);
            let (mut names, mut due) = (named(&report), came_over.to_vec());
            names.sort_unstable();
            due.sort_unstable();
            assert_eq!(names, due, "{from:?} {absent:?} {report:#}");
            for table in absent.iter().filter(|table| !["users", "videos"].contains(table)) {
                assert!(report["absent"].as_array().unwrap().contains(&json!(table)), "{report:#}");
            }
            if absent.contains(&"artworks_favorite") && !absent.contains(&"artworks") {
                let opened = came_opened(&report, "artworks");
                assert_eq!(opened, 3 + 2 + 100 + 1 + 3 + 7, "{from:?}: favorites without a table open too {report:#}");
            }
            let (status, output) = checked(&database).await;
            assert_eq!(status, 0, "{from:?} {absent:?}: {output}");
            database.remove().await;
        }

        let schema = place(from, &theirs);
        let names: Vec<_> = ["artworks", "artworks_like", "artworks_favorite", "user_behaviors", "users", "videos"]
            .iter()
            .map(|table| format!("[{table}]\ntable = \"{schema}.{table}\"\n"))
            .collect();
        std::fs::write(&map, names.concat()).unwrap();
        let plain = theirs.json(&["audit"], "", 1).await;
        let prefixed = theirs.json(&["audit", "--map", map.to_str().unwrap()], "", 1).await;
        assert_eq!(plain["findings"], prefixed["findings"], "{from:?}");
        assert_eq!(prefixed["tables"][1]["name"], format!("{schema}.artworks"));
        std::fs::write(&map, "[artworks]\ntable = \"elsewhere.artworks\"\n").unwrap();
        let (status, _, errors) = theirs.tally(&["audit", "--map", map.to_str().unwrap()], "").await;
        assert!(status == 2 && errors.contains("elsewhere.artworks"), "{from:?} {errors}");
        theirs.remove().await;
    }
}

fn came_opened(report: &Value, name: &str) -> i64 {
    let table = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == name).unwrap();
    table["opened"].as_i64().unwrap()
}
