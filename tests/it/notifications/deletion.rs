//! What deleted contents and users leave, and what is removed of old age.

use std::sync::Arc;

use sea_orm::Statement;
use serde_json::Value;
use tally::kernel::clock::{ManualClock, Millis};

use super::stage::{Person, Stage, acted, actors, comment, content_deleted, liked, put, unliked, user_deleted};
use crate::harness::{Backend, Options, START, TestApp, on_every_backend};

on_every_backend!(
    a_deleted_content_takes_its_notifications,
    a_deleted_user_leaves_nothing,
    a_user_of_many_notifications_goes_in_chunks,
    old_notifications_that_were_read_are_removed,
    a_clean_up_goes_on_after_a_restart,
    what_nobody_reads_goes_much_later,
    a_replayed_event_brings_nothing_deleted_back,
    a_replayed_act_that_was_taken_back_stays_taken_back,
    a_large_grave_is_cleared_in_chunks,
);

/// How many rows there are of each table.
async fn rows(app: &TestApp) -> [i64; 4] {
    let mut counts = [0; 4];
    for (count, table) in
        counts.iter_mut().zip(["notifications", "notification_acts", "notification_graves", "notification_gone"])
    {
        let statement = Statement::from_string(app.kernel.backend(), format!("SELECT count(*) AS n FROM {table}"));
        *count = app.kernel.db.query(statement).await.unwrap()[0].try_get("", "n").unwrap();
    }
    counts
}

async fn a_deleted_content_takes_its_notifications(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let (content, other) = (stage.content(), stage.content());
    stage
        .happen([
            liked(content, &author, &one, 1),
            liked(content, &author, &two, 2),
            acted("engagement.shared", content, &author, &two, 3),
            liked(other, &author, &one, 4),
        ])
        .await;
    assert_eq!(stage.told(&author).await.len(), 3);
    stage.happen([content_deleted(content, &author, 5)]).await;
    assert_eq!(actors(&stage.only(&author).await), [&*one.id]);
    assert_eq!(rows(&stage.app).await, [1, 1, 0, 1], "nothing of it is left but that it is gone");
    // What was on its way all the time.
    stage.happen([liked(content, &author, &two, 6), unliked(content, &author, &one, 7)]).await;
    stage.happen([content_deleted(content, &author, 8)]).await;
    assert_eq!(stage.told(&author).await.len(), 1);
    assert_eq!(rows(&stage.app).await, [1, 1, 0, 1]);
    stage.finish().await;
}

async fn a_deleted_user_leaves_nothing(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, other, one, two] = stage.people().await;
    let [mine, theirs, ours] = [(); 3].map(|()| stage.content());
    stage
        .happen([
            liked(mine, &author, &one, 1),
            liked(mine, &author, &two, 2),
            acted("engagement.favorited", mine, &author, &one, 3),
            liked(theirs, &other, &one, 4),
            liked(ours, &one, &two, 5),
        ])
        .await;
    stage.read(&author, None).await;
    stage.happen([user_deleted(&one, 6)]).await;
    let left = stage.only(&author).await;
    assert_eq!((left["actorCount"].as_i64(), actors(&left)), (Some(1), vec![&*two.id]), "the others stay");
    assert!(left["readAt"].is_string());
    assert_eq!(stage.told(&other).await, [] as [Value; 0]);
    assert_eq!(stage.told(&one).await, [] as [Value; 0]);
    // Late, in any order.
    stage
        .happen([
            liked(theirs, &other, &one, 7),
            liked(ours, &one, &two, 8),
            unliked(mine, &author, &one, 9),
            user_deleted(&one, 10),
        ])
        .await;
    assert_eq!(stage.told(&author).await, [left]);
    assert_eq!(stage.told(&other).await, [] as [Value; 0]);
    assert_eq!(stage.told(&one).await, [] as [Value; 0]);
    stage.finish().await;
}

async fn a_user_of_many_notifications_goes_in_chunks(backend: Backend) {
    const MANY: i64 = 450;
    let stage = Stage::start(backend).await;
    let [author, fan, reader] = stage.people().await;
    // The author was told much; the fan liked all of it, and so did the reader.
    let contents: Vec<_> = (0..MANY).map(|_| stage.content()).collect();
    let likes = contents
        .iter()
        .zip(0..)
        .flat_map(|(content, n)| [liked(*content, &author, &fan, n * 2), liked(*content, &author, &reader, n * 2 + 1)]);
    put(&stage.app, likes.collect()).await;
    stage.app.settle().await;
    let count = "{ me { unreadNotifications } notifications(first: 1) { totalCount nodes { actorCount } } }";
    let told = async |person: &Person| {
        let answer = person.client.query(count).await;
        let data = answer.data().clone();
        let count = data["notifications"]["nodes"][0]["actorCount"].as_i64();
        (
            data["me"]["unreadNotifications"].as_i64().unwrap(),
            data["notifications"]["totalCount"].as_i64().unwrap(),
            count,
        )
    };
    assert_eq!(told(&author).await, (MANY, MANY, Some(2)));
    stage.happen([user_deleted(&fan, 5_000)]).await;
    assert_eq!(told(&author).await, (MANY, MANY, Some(1)));
    stage.app.audit().await;
    stage.happen([user_deleted(&author, 5_001)]).await;
    assert_eq!(told(&author).await, (0, 0, None));
    assert_eq!(rows(&stage.app).await, [0, 0, 0, 2]);
    stage.finish().await;
}

async fn old_notifications_that_were_read_are_removed(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("notifications.retention_days", 10);
    let stage = Stage::with(backend, options).await;
    let [author, one, two] = stage.people().await;
    let [old, young, unread, empty] = [(); 4].map(|()| stage.content());
    let day = |days: i64| days * Millis::DAY / 1000;
    stage
        .happen([
            liked(old, &author, &one, 1),
            liked(old, &author, &two, 2),
            liked(young, &author, &one, 3),
            liked(empty, &author, &one, 4),
            unliked(empty, &author, &one, 5),
        ])
        .await;
    stage.read(&author, None).await;
    clock.set(START.plus(5 * Millis::DAY));
    // Their tokens have expired meanwhile.
    let [author, one, two] = stage.people().await;
    stage.happen([liked(young, &author, &two, day(5)), liked(unread, &author, &one, 6)]).await;
    let marked: Vec<_> = stage.told(&author).await;
    let marked = marked.iter().find(|told| told["updatedAt"] == super::stage::said_at(day(5))).unwrap()["id"].clone();
    stage.read(&author, Some(&[&marked])).await;
    assert_eq!(rows(&stage.app).await[0], 4);

    clock.set(START.plus(9 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(rows(&stage.app).await, [4, 6, 0, 0], "not yet");
    clock.set(START.plus(12 * Millis::DAY));
    stage.app.settle().await;
    let [author, one] = stage.people().await;
    let told = stage.told(&author).await;
    assert_eq!(told.len(), 2, "the young one, and the one that was never read: {told:#?}");
    assert_eq!(rows(&stage.app).await, [2, 3, 0, 0], "with their acts");
    // Whoever comes back begins anew.
    stage.happen([liked(old, &author, &one, day(12))]).await;
    assert_eq!(stage.told(&author).await[0]["actorCount"], 1);
    stage.finish().await;
}

async fn a_clean_up_goes_on_after_a_restart(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    stage.happen((0..30).map(|n| liked(stage.content(), &author, &one, n))).await;
    put(&stage.app, vec![user_deleted(&one, 100)]).await;
    stage.app.kernel.outbox.deliver_all().await.unwrap();
    assert_eq!(rows(&stage.app).await, [30, 30, 0, 1], "the work is noted, and not done");
    let database = stage.app.stop().await;
    let app = TestApp::start_on::<tally::app::Tally>(database, Options::default()).await;
    app.settle().await;
    // Nobody is left of them: kept because they know what was taken back, shown to nobody.
    assert_eq!(rows(&app).await, [30, 0, 0, 1]);
    let answer = app.user("person 0").query("{ notifications { totalCount } me { unreadNotifications } }").await;
    assert_eq!(answer.data()["notifications"]["totalCount"], 0);
    assert_eq!(answer.data()["me"]["unreadNotifications"], 0);
    app.finish().await;
}

async fn what_nobody_reads_goes_much_later(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("notifications.retention_days", 10);
    let stage = Stage::with(backend, options.with("notifications.unread_retention_days", 100)).await;
    let [author, one] = stage.people().await;
    stage.happen((0..250).map(|n| liked(stage.content(), &author, &one, n))).await;
    let day = 50 * Millis::DAY / 1000;
    stage.happen([liked(stage.content(), &author, &one, day)]).await;
    clock.set(START.plus(100 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(rows(&stage.app).await, [251, 251, 0, 0], "not yet");
    clock.set(START.plus(101 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(rows(&stage.app).await, [1, 1, 0, 0], "with their acts; not the younger one");
    let [author] = stage.people().await;
    stage.only(&author).await;
    stage.finish().await;
}

/// A deletion is remembered for as long as an event from before it may still come.
async fn a_replayed_event_brings_nothing_deleted_back(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("notifications.retention_days", 10);
    let stage = Stage::with(backend, options.with("events.set_aside_days", 1000)).await;
    let [author, one] = stage.people().await;
    let content = stage.content();
    put(&stage.app, vec![liked(content, &author, &one, 1)]).await;
    stage.app.database.sql(&format!("UPDATE outbox SET set_aside_at = {}, attempts = 9", START.0)).await;
    stage.happen([content_deleted(content, &author, 2)]).await;
    clock.set(START.plus(50 * Millis::DAY));
    stage.app.settle().await;
    // As `tally events --replay` does it.
    stage.app.database.sql("UPDATE outbox SET set_aside_at = NULL, attempts = 0, due_at = 0").await;
    stage.app.settle().await;
    let [author] = stage.people().await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0], "it is deleted");
    // Nothing is to come any more.
    clock.set(START.plus(52 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(rows(&stage.app).await, [0, 0, 0, 0]);
    stage.finish().await;
}

/// What was taken back is remembered for as long as its act may be replayed, however old the notification is.
async fn a_replayed_act_that_was_taken_back_stays_taken_back(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("notifications.retention_days", 10);
    let stage = Stage::with(backend, options.with("events.set_aside_days", 1000)).await;
    let [author, one] = stage.people().await;
    let content = stage.content();
    stage.happen([liked(content, &author, &one, 1), unliked(content, &author, &one, 2)]).await;
    put(&stage.app, vec![liked(content, &author, &one, 3)]).await;
    stage.app.database.sql(&format!("UPDATE outbox SET set_aside_at = {}, attempts = 9", START.0)).await;
    stage.happen([unliked(content, &author, &one, 4)]).await;
    clock.set(START.plus(50 * Millis::DAY));
    stage.app.settle().await;
    stage.app.database.sql("UPDATE outbox SET set_aside_at = NULL, attempts = 0, due_at = 0").await;
    stage.app.settle().await;
    let [author] = stage.people().await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0], "it does not hold");
    clock.set(START.plus(52 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(rows(&stage.app).await, [0, 0, 0, 0], "nothing is to come any more");
    stage.finish().await;
}

async fn a_large_grave_is_cleared_in_chunks(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    let (content, other) = (stage.content(), stage.content());
    let comments = (1..=2_500_u32).map(|n| comment("engagement.commented", content, &author, &one, n.into(), n.into()));
    put(&stage.app, comments.collect()).await;
    stage.happen([liked(other, &author, &one, 5_000)]).await;
    assert_eq!(rows(&stage.app).await, [2, 2_501, 0, 0]);
    stage.happen([content_deleted(content, &author, 6_000)]).await;
    assert_eq!(rows(&stage.app).await, [1, 1, 0, 1], "all of its acts, and no other's");
    stage.happen([user_deleted(&one, 6_001)]).await;
    assert_eq!(rows(&stage.app).await, [1, 0, 0, 2]);
    stage.finish().await;
}
