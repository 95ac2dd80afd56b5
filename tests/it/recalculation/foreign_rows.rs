//! Rows of figures that were made with other settings than those in force: none come into force, none is worked on with
//! weights that are not its own, and none keeps a server from starting.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::{Clock as _, Millis, SystemClock};

use super::stage::{Stage, recalculate};
use crate::deletion::delete;
use crate::harness::{Backend, Options, TestApp, on_every_backend};

on_every_backend!(
    what_was_made_of_a_deleted_content_goes,
    a_server_starts_over_rows_of_other_settings,
    levels_that_were_never_in_force_are_told_to_nobody,
);

const OTHER: [(&str, &str); 1] = [("TALLY_ENGAGEMENT_LIKE_WEIGHT", "9")];

async fn what_was_made_of_a_deleted_content_goes(backend: Backend) {
    let mut stage = Stage::new(backend, Options::default()).await;
    let author = stage.app.user("author");
    let (gone, left) = (author.publish("gone").await, author.publish("left").await);
    stage.act("like", &gone).await;
    stage.act("like", &left).await;
    // As a run leaves it that is killed after its swap: what was in force before is still there.
    let leave = "INSERT INTO content_figures_next SELECT * FROM content_figures;
        INSERT INTO content_heat_next SELECT * FROM content_heat";
    stage.app.database.sql(leave).await;
    assert!(delete(&author, "deleteContent", &gone).await);
    let (status, report, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!((status, &report["total"]), (0, &json!(1)), "{errors}");
    let rows = async |of: &str| stage.app.number(&format!("SELECT count(*) FROM {of}")).await;
    assert_eq!(rows("content_figures WHERE heat_version = 2").await, 1);
    assert_eq!(rows("content_figures WHERE heat_version <> 2").await, 0, "of two settings one is in force");
    assert_eq!(rows("content_figures_next").await, 0);
    let stage = stage.again(&[("engagement.like_weight", "9".to_owned())]).await;
    assert!((stage.score(&left).await - 19.0).abs() < 1e-6);
    stage.app.finish().await;
}

async fn a_server_starts_over_rows_of_other_settings(backend: Backend) {
    let mut stage = Stage::new(backend, Options::default()).await;
    let author = stage.app.user("author");
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(author.publish(&format!("{n}")).await);
        stage.act("like", &ids[n]).await;
    }
    // The second version is known, and nothing is made of it.
    let stage = stage.again(&[("engagement.like_weight", "9".to_owned())]).await;
    let Stage { app, clock, .. } = stage;
    let database = app.stop().await;
    let turn = |version: i64| {
        format!(
            "UPDATE content_figures SET heat_version = {version}
             WHERE content_id IN (SELECT id FROM contents WHERE title < '3')"
        )
    };
    database.sql(&turn(2)).await;
    let started = TestApp::start_on::<Tally>(database, Options::default().at(&clock));
    let app = tokio::time::timeout(Duration::from_secs(30), started).await.expect("it starts");
    let drifted = app.drifted().await;
    assert!(drifted.contains(&"heat") && drifted.contains(&"ranking"), "it is drift, and is found: {drifted:?}");
    let ranking = "{ hotRanking { rank content { title hotness { score } } } }";
    let ranked = async |app: &TestApp| {
        let answer = app.anonymous().query(ranking).await;
        let entries = answer.data()["hotRanking"].as_array().unwrap().clone();
        let titles = entries.iter().map(|entry| entry["content"]["title"].as_str().unwrap().to_owned());
        titles.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ranked(&app).await.into_iter().collect::<Vec<_>>(), ["3", "4", "5"]);
    // All in one batch, whichever is locked first: what is in force is worked on, the others are refused.
    let drift = "UPDATE content_figures SET heat = heat + 4294967296 WHERE heat_version = 1";
    app.database.sql(drift).await;
    let (status, report, errors) = recalculate(&app.database, &[], &["--all"]).await;
    assert_eq!((status, &report["succeeded"], &report["failed"]), (1, &json!(3), &json!(3)), "{errors}");
    for failure in report["errors"].as_array().unwrap() {
        assert_eq!(failure["message"], "internal error");
        assert!(ids[..3].iter().any(|id| failure["id"] == *id), "{failure}");
    }
    app.database.sql(&turn(1)).await;
    let database = app.stop_unaudited().await;
    let app = TestApp::start_on::<Tally>(database, Options::default().at(&clock)).await;
    // With the weights of those that were right nothing was done to the others.
    let answer = app.anonymous().query(ranking).await;
    for entry in answer.data()["hotRanking"].as_array().unwrap() {
        let score = entry["content"]["hotness"]["score"].as_f64().unwrap();
        assert!((score - 12.0).abs() < 1e-6, "{entry}");
    }
    assert_eq!(ranked(&app).await.len(), 6);
    app.finish().await;
}

async fn levels_that_were_never_in_force_are_told_to_nobody(backend: Backend) {
    let mut stage = Stage::new(backend, Options::default()).await;
    // The command works by the system's clock.
    let made = SystemClock.now();
    stage.clock.set(made);
    let id = stage.app.user("author").publish("one").await;
    stage.busy(&id).await;
    // 46 points: hot by the new threshold for 15 hours, warm for 87. It came into force after 40.
    let (status, _, errors) = recalculate(&stage.app.database, &[("TALLY_ENGAGEMENT_HOT_FROM", "40")], &[]).await;
    assert_eq!(status, 0, "{errors}");
    stage.app.database.sql("UPDATE heat_recalculation SET switched_at = switched_at + 144000000").await;
    let switched_at = stage.app.number("SELECT switched_at FROM heat_recalculation").await;
    let scheduled = async |stage: &Stage| {
        let rows = "FROM hot_history WHERE calculation_method = 1";
        let all = stage.app.number(&format!("SELECT count(*) {rows}")).await;
        (all, stage.app.number(&format!("SELECT count(*) {rows} AND calculated_at < {switched_at}")).await)
    };
    let at = made.plus(41 * Millis::HOUR);
    stage.clock.set(at);
    stage.app.settle().await;
    assert_eq!(scheduled(&stage).await, (0, 0), "it was never hot");
    assert_eq!(stage.hotness(&id).await["level"], "WARM");
    let due = format!("SELECT count(*) FROM content_figures WHERE wake_at <= {}", at.0);
    assert_eq!(stage.app.number(&due).await, 0, "it is seen to, not looked at each second");
    stage.app.audit().await;
    stage.clock.set(made.plus(100 * Millis::HOUR));
    stage.app.settle().await;
    let (told, before) = scheduled(&stage).await;
    assert!(told >= 1 && before == 0, "{told} {before}");
    assert_ne!(stage.hotness(&id).await["level"], Value::from("WARM"));
    stage.app.finish().await;
}

/// A swap needs the tables for itself, and behind its wait everybody waits: it is not always waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_beside_a_backup_leaves_room_for_others() {
    let stage = Stage::new(Backend::Postgres, Options::default()).await;
    let id = stage.app.user("author").publish("one").await;
    let connection = Database::connect(&stage.app.database.url).await.unwrap();
    let backup = connection.begin().await.unwrap();
    backup.execute_unprepared("SELECT count(*) FROM content_figures").await.unwrap();
    let waits = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let watch = async {
        // From the first try on.
        while stage.app.number(waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (mut waiting, mut looks) = (0, 0);
        for _ in 0..120 {
            waiting += i64::from(stage.app.number(waits).await > 0);
            looks += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        backup.rollback().await.unwrap();
        (waiting, looks)
    };
    let run = recalculate(&stage.app.database, &OTHER, &[]);
    let ((status, _, errors), (waiting, looks)) = tokio::join!(run, watch);
    assert_eq!(status, 0, "{errors}");
    assert!(waiting * 5 < looks * 2, "others waited {waiting} of {looks} times");
    connection.close().await.unwrap();
    let stage = stage.again(&[("engagement.like_weight", "9".to_owned())]).await;
    assert!((stage.score(&id).await - 10.0).abs() < 1e-6);
    stage.app.finish().await;
}
