//! What a day gives at most, and how long a day is.

use std::sync::Arc;

use futures_util::future::join_all;
use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};

use super::{at, balance_of, ruled};
use crate::harness::{Backend, START, TestApp, on_every_backend};
use crate::points::stage::Stage;

on_every_backend!(
    of_likes_at_once_a_day_gives_what_it_may,
    a_like_that_goes_leaves_its_place,
    each_author_and_each_rule_has_a_day_of_its_own,
    a_day_is_one_of_the_time_zone,
    a_rule_that_allows_less_takes_nothing_back,
);

async fn of_likes_at_once_a_day_gives_what_it_may(backend: Backend) {
    let stage = ruled(backend, "like:2:11").await;
    let contents = join_all((0..4).map(|n| {
        let ann = stage.ann.clone();
        async move { ann.publish(&format!("content {n}")).await }
    }))
    .await;
    // 16 at once, of several contents, and deliveries between them.
    let likes = join_all((0..16).map(|n| {
        let (client, content) = (stage.app.user(&format!("liker {n}")), contents[n % 4].clone());
        async move { client.act("like", &content).await }
    }));
    let (likes, ..) = tokio::join!(likes, stage.app.settle(), stage.app.settle());
    assert!(likes.iter().all(|answer| answer.data()["like"]["changed"] == true));
    stage.app.settle().await;
    // Of 11 points five awards of 2 find room.
    assert_eq!(stage.account(&stage.id).await, (10, 5));
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_acts").await, 16, "all are known");
    stage.app.finish().await;
}

async fn a_like_that_goes_leaves_its_place(backend: Backend) {
    let stage = ruled(backend, "like:1:2").await;
    let content = stage.ann.publish("one").await;
    for who in ["ben", "cara", "dora"] {
        stage.acts(who, "like", &content).await;
    }
    assert_eq!(stage.balance().await, 2);
    // Dora's gave nothing: there is nothing to take back.
    stage.acts("dora", "unlike", &content).await;
    assert_eq!(stage.account(&stage.id).await, (2, 2));
    stage.acts("ben", "unlike", &content).await;
    stage.acts("dora", "like", &content).await;
    assert_eq!(stage.account(&stage.id).await, (2, 4));
    // In one delivery, too.
    stage.app.user("cara").act("unlike", &content).await.data();
    stage.app.user("eve").act("like", &content).await.data();
    stage.app.user("fay").act("like", &content).await.data();
    stage.app.settle().await;
    assert_eq!(stage.account(&stage.id).await, (2, 6));
    stage.app.finish().await;
}

async fn each_author_and_each_rule_has_a_day_of_its_own(backend: Backend) {
    let stage = ruled(backend, "like:1:1,favorite:1:1").await;
    let other = stage.app.user("another author");
    let (one, two) = (stage.ann.publish("one").await, other.publish("two").await);
    for who in ["ben", "cara"] {
        for (verb, content) in [("like", &one), ("favorite", &one), ("like", &two)] {
            stage.acts(who, verb, content).await;
        }
    }
    assert_eq!(stage.balance().await, 2);
    assert_eq!(stage.account(&other.id().await).await.0, 1);
    stage.app.finish().await;
}

/// 2026-03-08 has 23 hours in New York, 2026-11-01 has 25.
async fn a_day_is_one_of_the_time_zone(backend: Backend) {
    const HOUR: i64 = Millis::HOUR;
    // Midnight of the day before, of the day, of the day after it.
    let spring = [1_772_859_600_000, 1_772_946_000_000, 1_773_028_800_000];
    let autumn = [1_793_419_200_000, 1_793_505_600_000, 1_793_595_600_000];
    for (round, [before, begins, ends]) in [spring, autumn].into_iter().enumerate() {
        let clock = Arc::new(ManualClock::new(Millis(before)));
        let app = TestApp::start_with::<Tally>(backend, at("like:1:1", "America/New_York", &clock)).await;
        let content = app.user("ann").publish("one").await;
        let id = app.user("ann").id().await;
        assert_eq!(ends - begins, [23, 25][round] * HOUR);
        let mut balance = 0;
        for (moment, gives) in [
            (begins - 1, 1),
            (begins, 1),
            (begins + 30 * 60_000, 0),
            (ends - 1, 0),
            (ends, 1),
            // 23 hours and a half after it began the day of 25 hours is still the same.
            (ends + 23 * HOUR + HOUR / 2, 0),
            (ends + 24 * HOUR, 1),
        ] {
            clock.set(Millis(moment));
            app.user(&format!("liker at {moment}")).act("like", &content).await.data();
            app.settle().await;
            balance += gives;
            assert_eq!(balance_of(&app, &id).await, balance, "{moment} of {begins}");
        }
        app.finish().await;
    }
}

async fn a_rule_that_allows_less_takes_nothing_back(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = TestApp::start_with::<Tally>(backend, at("like:1:3", "Asia/Shanghai", &clock)).await;
    let stage = Stage::of(app).await;
    let content = stage.ann.publish("one").await;
    for who in ["ben", "cara", "dora"] {
        stage.acts(who, "like", &content).await;
    }
    let database = stage.app.stop().await;
    let app = TestApp::start_on::<Tally>(database, at("like:2:2", "Europe/Berlin", &clock)).await;
    let stage = Stage::of(app).await;
    stage.acts("eve", "like", &content).await;
    assert_eq!(stage.balance().await, 3, "the day is full");
    stage.app.audit().await;
    clock.set(START.plus(2 * Millis::DAY));
    let stage = Stage::of(stage.app).await;
    stage.acts("fay", "like", &content).await;
    assert_eq!(stage.balance().await, 5);
    // What was given goes, not what would be given now.
    stage.acts("ben", "unlike", &content).await;
    assert_eq!(stage.balance().await, 4);
    stage.app.finish().await;
}
