//! Moments: of columns that know their time zone and of those that do not, and moments that have not come yet.

use serde_json::json;
use tally::app::Tally;
use tokio::sync::{Mutex, MutexGuard};

use super::audit::finding;
use super::import::came;
use super::{EVERY, From, Theirs, execute, server};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(a_timestamp_is_a_moment_and_a_datetime_a_local_time);

/// The zone of the MariaDB server, which all tests share: one test at a time has its own, until it is dropped.
struct ServerZone {
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::const_new(());

impl ServerZone {
    async fn set(zone: &str) -> Self {
        let alone = ALONE.lock().await;
        execute(&server(From::MariaDb), &format!("SET GLOBAL time_zone = '{zone}'")).await;
        Self { _alone: alone }
    }
}

impl Drop for ServerZone {
    /// Also of a test that fails. A runtime of its own: the test's cannot wait in here.
    fn drop(&mut self) {
        let reset = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server(From::MariaDb), "SET GLOBAL time_zone = 'SYSTEM'"));
        });
        assert!(reset.join().is_ok() || std::thread::panicking(), "the server keeps its zone");
    }
}

/// 2026-01-05T10:00:00Z
const AT: i64 = 1_767_607_200_000;

async fn a_timestamp_is_a_moment_and_a_datetime_a_local_time(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        let (zone, instant) = match from {
            From::Sqlite => ("SELECT 1", "'2026-01-05T10:00:00Z'"),
            From::Postgres => ("SET TIME ZONE '+05'", "'2026-01-05 15:00:00'"),
            From::MariaDb => ("SET SESSION time_zone = '+05:00'", "'2026-01-05 15:00:00'"),
        };
        let elsewhere = if from == From::MariaDb { Some(ServerZone::set("+03:00").await) } else { None };
        let typed = if from == From::Postgres { "timestamptz" } else { "TIMESTAMP NULL" };
        theirs
            .sql(&format!(
                "{zone};
                 CREATE TABLE artworks (id BIGINT, like_count BIGINT, created_at {{time}}, hot_score {{float}},
                     hot_level VARCHAR(9), last_hot_update {typed});
                 CREATE TABLE artworks_like (artwork_id BIGINT, user_id VARCHAR(40), created_at {typed});
                 CREATE TABLE artworks_favorite (artwork_id BIGINT, user_id VARCHAR(40), created_at {{time}});
                 INSERT INTO artworks VALUES (1, 1, '2026-01-02 00:00:00', 1.5, 'COLD', {instant});
                 INSERT INTO artworks_like VALUES (1, 'ann', {instant});
                 INSERT INTO artworks_favorite VALUES (1, 'ann', '2026-01-05 18:00:00');"
            ))
            .await;
        let map = theirs.file("map.toml");
        std::fs::write(&map, "utc_offset = \"+08:00\"\n").unwrap();
        // The score is as old as the like and the favorite, which are of one moment.
        let arguments = ["--map", map.to_str().unwrap()];
        let audit = theirs.json(&[&["audit"], &arguments[..]].concat(), "", 0).await;
        assert_eq!(audit["state"], "OK", "{from:?} {audit:#}");
        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&[&["import"], &arguments[..]].concat(), &database.url, 0).await;
        assert_eq!(came(&report, "artworks_like"), [1, 1, 0, 0, 0], "{from:?} {report:#}");
        drop(elsewhere);
        let app = TestApp::start_on::<Tally>(database, Default::default()).await;
        for kind in [0, 1] {
            let at = app.number(&format!("SELECT acted_at FROM behaviors WHERE kind = {kind}")).await;
            assert_eq!(at, AT, "{from:?} kind {kind}");
        }
        app.finish().await;
        theirs.remove().await;
    }
}

#[tokio::test]
async fn what_is_yet_to_come_hides_nothing() {
    for from in EVERY {
        let theirs = Theirs::broken(from).await;
        theirs
            .sql(
                "INSERT INTO artworks_like VALUES (4, 'eva', '2999-01-01 00:00:00'), (3, 'eva', '2999-01-01 00:00:00');
                 INSERT INTO artworks VALUES (7, 'ben', 'Tomorrow', '2026-01-01 00:00:00', 0, 0, 0, 0, 0, 1.5, 'COLD',
                     '2999-01-01 00:00:00');",
            )
            .await;
        let report = theirs.json(&["audit"], "", 1).await;
        let stale = json!([{
            "id": "id 4", "stored": "last_hot_update 2026-01-02T00:00:00Z", "actual": "2026-01-05T10:00:00Z",
        }]);
        assert_eq!(finding(&report, "artworks", "hot-stale")["examples"], stale, "{from:?}");
        for (table, found, id) in [("artworks", 1, "id 7"), ("artworks_like", 2, "artwork_id ")] {
            let future = finding(&report, table, "future-time");
            assert_eq!(future["found"], found, "{from:?} {report:#}");
            assert!(future["examples"][0]["id"].as_str().unwrap().starts_with(id), "{from:?} {future:#}");
        }
        assert_eq!(finding(&report, "artworks_like", "bad-time")["found"], 0, "{from:?}");
        theirs.remove().await;
    }
}
