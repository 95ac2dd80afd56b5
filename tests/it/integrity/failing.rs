//! A check that cannot be made keeps the others from nothing, and nobody takes it for one that found nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tally::kernel::auth::Role;
use tally::kernel::clock::Millis;

use super::jobs::World;
use super::{Stage, run, run_json};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    the_others_are_made_and_the_error_is_told,
    a_repair_puts_the_others_right,
    the_daily_job_fails_after_the_others_and_no_metric_says_that_all_is_well,
);

const REPORT: &str = "{ integrityReport { state consistencyRate recommendations
     checks { name checked drifted error } } systemHealth { state integrity } }";

/// The guestbook's check cannot read its table.
async fn break_it(stage: &Stage) {
    stage.app.database.sql("ALTER TABLE guestbook_counts RENAME TO elsewhere").await;
}

async fn mend_it(stage: &Stage) {
    stage.app.database.sql("ALTER TABLE elsewhere RENAME TO guestbook_counts").await;
}

fn line<'a>(checks: &'a Value, name: &str) -> &'a Value {
    let found = checks.as_array().expect("checks").iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {checks:#}"))
}

async fn the_others_are_made_and_the_error_is_told(backend: Backend) {
    let stage = Stage::set(backend).await;
    let (status, whole) = run_json(&stage.app.database, "check --json").await;
    assert_eq!((status, whole["checks"][0].get("error")), (0, None), "{whole:#}");
    break_it(&stage).await;

    let (status, report) = run_json(&stage.app.database, "check --json").await;
    assert_eq!((status, &report["state"], &report["consistencyRate"]), (2, &json!("FAILED"), &json!(0.0)));
    assert_eq!(report["error"], "checks that could not be made: note-count");
    let checks = &report["checks"];
    assert_eq!(checks.as_array().unwrap().len(), whole["checks"].as_array().unwrap().len(), "all the others too");
    let failed = line(checks, "note-count");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("guestbook_counts")), "{failed:#}");
    assert_eq!((&failed["clientError"], &failed["checked"]), (&json!("internal error"), &json!(0)));
    assert_eq!(line(checks, "user-remains").get("error"), None);

    let (status, text, _) = run(&stage.app.database, "check").await;
    assert_eq!(status, 2, "{text}");
    let named = text.lines().find(|line| line.contains("note-count")).expect("its line");
    assert!(named.ends_with("  failed") && text.contains("  note-count: INTERNAL: internal error ("), "{text}");
    assert!(text.ends_with("checks that could not be made: note-count\n"), "{text}");

    let operator = stage.app.client("operator", &[Role::Operator]);
    let answer = operator.query(REPORT).await;
    let report = &answer.data()["integrityReport"];
    assert_eq!((&report["state"], &report["consistencyRate"]), (&json!("FAILED"), &Value::Null));
    // What a client may read, and no name of a table.
    assert_eq!(line(&report["checks"], "note-count")["error"], "internal error");
    assert_eq!(line(&report["checks"], "user-remains")["error"], Value::Null);
    assert_eq!(answer.data()["systemHealth"], json!({ "state": "ATTENTION", "integrity": "FAILED" }));
    let (status, all) = run_json(&stage.app.database, "status --json").await;
    assert_eq!((status, &all["checks"]["failed"]), (1, &json!(1)), "{all:#}");

    mend_it(&stage).await;
    assert_eq!(run(&stage.app.database, "check").await.0, 0);
    assert_eq!(operator.query(REPORT).await.data()["integrityReport"]["state"], "OK");
    stage.app.finish().await;
}

async fn a_repair_puts_the_others_right(backend: Backend) {
    let stage = Stage::set(backend).await;
    let content = stage.ann.publish("one").await;
    stage.app.database.sql("UPDATE content_figures SET like_count = 7").await;
    break_it(&stage).await;
    let (status, report) = run_json(&stage.app.database, "repair --dry-run --json").await;
    assert_eq!((status, &report["state"]), (2, &json!("FAILED")), "{report:#}");
    assert_eq!(line(&report["checks"], "like-count")["changed"], 1);
    let (status, report) = run_json(&stage.app.database, "repair --no-backup --json").await;
    assert_eq!((status, &report["state"]), (2, &json!("FAILED")), "{report:#}");
    assert_eq!(report["changes"][0]["id"], content);
    let mended = line(&report["checks"], "like-count");
    assert_eq!((&mended["changed"], &mended["drifted"]), (&json!(1), &json!(0)));
    assert!(line(&report["checks"], "note-count")["error"].is_string(), "{report:#}");
    mend_it(&stage).await;
    assert_eq!(run(&stage.app.database, "check").await.0, 0);
    stage.app.finish().await;
}

const FAILED: &str = "tally_integrity_check_failed{module=\"guestbook\",check=\"note-count\"}";
const DRIFT: &str = "tally_integrity_drift{module=\"guestbook\",check=\"note-count\"}";
const CHECKED: &str = "tally_integrity_last_run_seconds{kind=\"check\"}";

/// Waits until the metric is so: what is in the database is looked up every few seconds at most.
async fn becomes(world: &World, failed: &str) {
    let waiting = async {
        loop {
            world.scrape().await;
            if world.metric(FAILED) == failed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the metric follows");
}

async fn the_daily_job_fails_after_the_others_and_no_metric_says_that_all_is_well(backend: Backend) {
    let world = World::set(backend, 0).await;
    // Tokens do not last for days.
    world.stage.ann.publish("one").await;
    world.later(Millis::DAY).await;
    world.scrape().await;
    let before = world.metric(CHECKED);
    assert_eq!((world.metric(FAILED), world.metric(DRIFT)), ("0".to_owned(), "0".to_owned()));
    break_it(&world.stage).await;
    world.stage.app.database.sql("UPDATE content_figures SET like_count = 7").await;
    world.later(Millis::DAY).await;

    let (_, jobs) = run_json(&world.stage.app.database, "jobs --json").await;
    let job = line(&jobs, "integrity.check");
    assert_eq!(job["outcome"], "FAILED", "{job:#}");
    assert!(job["detail"].as_str().is_some_and(|detail| detail.contains("note-count")), "{job:#}");
    let heard = world.receiver.heard();
    let of = |event: &str| heard.iter().filter(|message| message["event"] == event).count();
    assert_eq!((of("integrity.drift"), of("integrity.failed")), (1, 1), "{heard:#?}");
    becomes(&world, "1").await;
    assert_eq!(world.metric(CHECKED), before);
    let text = world.stage.app.kernel.metrics.text().expect("metrics");
    assert!(!text.contains(DRIFT), "nobody knows whether it drifted");

    // A minute later it is tried again, and operators are not told again.
    world.later(61_000).await;
    let again = world.receiver.heard().len();
    assert_eq!(again, heard.len());
    mend_it(&world.stage).await;
    world.stage.app.database.sql("UPDATE content_figures SET like_count = 0").await;
    world.later(Millis::DAY).await;
    becomes(&world, "0").await;
    assert_eq!(world.metric(DRIFT), "0");
    world.stage.app.finish().await;
}
