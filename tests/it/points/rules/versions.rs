//! Rules that change while acts wait to be delivered: those of the moment of an act are what it gives.

use std::sync::Arc;

use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};

use super::at;
use crate::harness::{Backend, START, TestApp, on_every_backend};
use crate::points::stage::Stage;

on_every_backend!(
    acts_that_wait_give_what_they_gave_when_they_were_done,
    a_day_is_one_of_the_time_zone_of_then,
    a_version_of_a_time_to_come_is_not_waited_for,
    servers_that_start_at_once_write_one_version,
);

const ZONE: &str = "Asia/Shanghai";

async fn restarted(stage: Stage, rules: &str, zone: &str, clock: &Arc<ManualClock>) -> Stage {
    let database = stage.app.stop().await;
    Stage::of(TestApp::start_on::<Tally>(database, at(rules, zone, clock)).await).await
}

async fn acts_that_wait_give_what_they_gave_when_they_were_done(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let mut stage = Stage::of(TestApp::start_with::<Tally>(backend, at("like:1:3", ZONE, &clock)).await).await;
    let content = stage.ann.publish("one").await;
    for who in ["ben", "cara", "dora"] {
        stage.app.user(who).act("like", &content).await.data();
    }
    clock.set(START.plus(1_000));
    stage = restarted(stage, "like:100:1000", ZONE, &clock).await;
    stage.app.settle().await;
    assert_eq!(stage.account(&stage.id).await, (3, 3));
    stage.acts("eve", "like", &content).await;
    assert_eq!(stage.balance().await, 103);

    // What waits while the rules are switched off is given, and what is done then is not.
    stage.app.user("fay").act("like", &content).await.data();
    stage.app.user("ben").act("unlike", &content).await.data();
    clock.set(START.plus(2_000));
    stage = restarted(stage, "", ZONE, &clock).await;
    stage.acts("gus", "like", &content).await;
    assert_eq!(stage.balance().await, 202);
    clock.set(START.plus(3_000));
    stage = restarted(stage, "like:100:1000", ZONE, &clock).await;
    stage.acts("hal", "like", &content).await;
    assert_eq!(stage.balance().await, 302);
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_versions").await, 4);
    // The same settings are no other version.
    clock.set(START.plus(4_000));
    stage = restarted(stage, "like:100:1000", ZONE, &clock).await;
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_versions").await, 4);
    stage.app.finish().await;
}

async fn a_day_is_one_of_the_time_zone_of_then(backend: Backend) {
    // Eight in the evening at Greenwich: in Shanghai it is tomorrow.
    let evening = Millis(START.0.div_euclid(Millis::DAY) * Millis::DAY + 20 * 3_600_000);
    let clock = Arc::new(ManualClock::new(evening));
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, at("like:1:3", ZONE, &clock)).await).await;
    let content = stage.ann.publish("one").await;
    stage.app.user("ben").act("like", &content).await.data();
    clock.set(evening.plus(1_000));
    let stage = restarted(stage, "like:1:3", "UTC", &clock).await;
    stage.app.user("cara").act("like", &content).await.data();
    stage.app.settle().await;
    let today = evening.0.div_euclid(Millis::DAY);
    let days = "SELECT CAST(sum(day) AS bigint) FROM point_rule_acts";
    assert_eq!(stage.app.number(days).await, today + 1 + today);
    assert_eq!(stage.balance().await, 2);
    stage.app.finish().await;
}

async fn a_version_of_a_time_to_come_is_not_waited_for(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let mut stage = Stage::of(TestApp::start_with::<Tally>(backend, at("like:1:3", ZONE, &clock)).await).await;
    clock.set(START.plus(Millis::DAY));
    stage = restarted(stage, "like:2:9", ZONE, &clock).await;
    clock.set(START.plus(1_000));
    stage = restarted(stage, "like:2:9", ZONE, &clock).await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    assert_eq!(stage.balance().await, 2, "the settings, since the start");
    stage.app.finish().await;
}

async fn servers_that_start_at_once_write_one_version(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = TestApp::start_with::<Tally>(backend, at("like:1:3", ZONE, &clock)).await;
    let database = app.stop().await;
    clock.set(START.plus(1_000));
    let start = || TestApp::start_on::<Tally>(database.shared(), at("like:2:4", ZONE, &clock));
    let (one, other) = tokio::join!(start(), start());
    assert_eq!(one.number("SELECT count(*) FROM point_rule_versions").await, 2);
    other.stop().await;
    one.stop().await;
    TestApp::start_on::<Tally>(database, at("like:2:4", ZONE, &clock)).await.finish().await;
}
