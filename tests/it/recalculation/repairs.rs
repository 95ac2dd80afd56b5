//! Repairs while other settings come into force: what is in force and what is being made are both put right, and an undo
//! puts back nothing into figures of other settings.

use serde_json::{Value, json};

use super::stage::{Stage, outcome, recalculate};
use super::while_others_write::{OTHER, begin, furnished, until_done};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    a_repair_in_the_middle_leaves_both_versions_right,
    an_undo_under_other_settings_leaves_what_is_theirs,
    an_undo_after_the_settings_came_into_force_puts_a_count_back_once,
    masses_of_the_settings_to_come_that_are_lost_are_made_again,
);

/// `tally` on the stage's database, as JSON. By its clock the stage's events would have waited for months.
async fn tally(app: &TestApp, arguments: &[&str]) -> (i32, Value) {
    app.kernel.outbox.deliver_all().await.expect("events are delivered");
    let (status, output, errors) = outcome(&app.database, &[], arguments).await;
    (status, serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}{errors}")))
}

async fn repaired(app: &TestApp) -> (String, Vec<(String, String)>) {
    let (status, report) = tally(app, &["repair", "--json", "--no-backup"]).await;
    assert_eq!(status, 0, "{report:#}");
    let text = |change: &Value, name: &str| change[name].as_str().expect("a text").to_owned();
    let changes = report["changes"].as_array().expect("changes");
    let changes = changes.iter().map(|change| (text(change, "check"), text(change, "field"))).collect();
    (report["run"].as_str().expect("a run").to_owned(), changes)
}

async fn a_repair_in_the_middle_leaves_both_versions_right(backend: Backend) {
    let (stage, _) = furnished(backend, 40).await;
    let mut child = begin(&stage.app.database, "100");
    until_done(&stage.app, 10).await;
    child.kill().await.expect("it is killed");
    let drifts = [
        // What is in force drifts after it was copied, and before.
        ("content_figures", "like_count = like_count + 5, view_count = view_count - 1"),
        ("content_figures", "hot_level = 4, wake_at = NULL"),
        ("content_figures", "last_hot_update = last_hot_update + 864000000000"),
        ("content_figures", "last_history_at = last_history_at + 864000000000"),
        ("content_heat", "mass = mass + 3000"),
        // What is being made drifts.
        ("content_figures_next", "favorite_count = favorite_count + 2, heat = heat + 4294967296"),
        ("content_figures_next", "hot_level = 3, last_hot_update = last_hot_update + 864000000000"),
        ("content_heat_next", "mass = mass + 7000"),
    ];
    for (table, set) in drifts {
        stage.app.database.sql(&format!("UPDATE {table} SET {set}")).await;
    }
    // Somebody writes to both while they are wrong.
    stage.app.user("author").publish("late").await;
    let (_, changes) = repaired(&stage.app).await;
    for (check, field) in [
        ("like-count", "likeCount"),
        ("view-count", "viewCount"),
        ("favorite-count", "next favoriteCount"),
        ("heat-mass", "mass of epoch"),
        ("heat-mass", "next mass of epoch"),
        ("heat", "next heat"),
        ("heat", "lastHotUpdate"),
        ("heat", "next lastHotUpdate"),
        ("history", "lastHistoryAt"),
        ("announced-level", "hotLevel"),
        ("announced-level", "wakeAt"),
        ("announced-level", "next hotLevel"),
    ] {
        let found = changes.iter().any(|(name, of)| name == check && of.starts_with(field));
        assert!(found, "{check} names {field}: {changes:?}");
    }
    stage.app.audit().await;
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    // What was made comes into force: nothing of it drifted.
    let (status, report) = tally(&stage.app, &["check", "--json"]).await;
    assert_eq!(status, 0, "{report:#}");
    stage.app.finish().await;
}

async fn an_undo_under_other_settings_leaves_what_is_theirs(backend: Backend) {
    let (stage, _) = furnished(backend, 6).await;
    stage.app.database.sql("UPDATE content_heat SET mass = mass + 16777216").await;
    stage.app.database.sql("UPDATE content_figures SET hot_level = 4").await;
    let (run, changes) = repaired(&stage.app).await;
    assert_eq!(changes.len(), 12, "{changes:?}");
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    let (status, undone) = tally(&stage.app, &["repair", "--undo", &run, "--json"]).await;
    let changes = undone["changes"].as_array().expect("changes");
    assert_eq!((status, changes.len()), (1, 12), "{undone:#}");
    assert!(changes.iter().all(|change| change["putBack"] == json!(false)), "{undone:#}");
    let (status, report) = tally(&stage.app, &["check", "--json"]).await;
    assert_eq!(status, 0, "{report:#}");
    let Stage { app, .. } = stage;
    app.finish().await;
}

async fn an_undo_after_the_settings_came_into_force_puts_a_count_back_once(backend: Backend) {
    let (stage, _) = furnished(backend, 40).await;
    let counts = "SELECT CAST(coalesce(sum(like_count), 0) AS bigint) FROM content_figures";
    let right = stage.app.number(counts).await;
    // Copied as it is: wrong in force, and in what comes.
    stage.app.database.sql("UPDATE content_figures SET like_count = like_count + 5").await;
    let mut child = begin(&stage.app.database, "100");
    until_done(&stage.app, 10).await;
    child.kill().await.expect("it is killed");
    let copied = stage.app.number("SELECT count(*) FROM content_figures_next").await;
    assert!(copied > 0);
    let (run, changes) = repaired(&stage.app).await;
    let next = changes.iter().filter(|(_, field)| field == "next likeCount").count();
    assert_eq!(i64::try_from(next).unwrap(), copied, "{changes:?}");
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!((status, stage.app.number(counts).await), (0, right), "{errors}");
    let (status, undone) = tally(&stage.app, &["repair", "--undo", &run, "--json"]).await;
    assert_eq!(status, 1, "what was of the old settings is left: {undone:#}");
    assert_eq!(stage.app.number(counts).await, right + 5 * copied, "once each");
    repaired(&stage.app).await;
    assert_eq!(stage.app.number(counts).await, right);
    stage.app.finish().await;
}

async fn masses_of_the_settings_to_come_that_are_lost_are_made_again(backend: Backend) {
    let (stage, _) = furnished(backend, 40).await;
    let mut child = begin(&stage.app.database, "100");
    until_done(&stage.app, 10).await;
    child.kill().await.expect("it is killed");
    let made = stage.app.number("SELECT count(DISTINCT content_id) FROM content_heat_next").await;
    stage.app.database.sql("DELETE FROM content_heat_next").await;
    let (_, changes) = repaired(&stage.app).await;
    assert!(changes.iter().all(|(_, field)| field.starts_with("next mass of epoch")), "{changes:?}");
    assert_eq!(stage.app.number("SELECT count(DISTINCT content_id) FROM content_heat_next").await, made);
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    stage.app.finish().await;
}
