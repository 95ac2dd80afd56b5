//! Every order of delivery, repeated events included, ends with the same points.

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use tally::app::Tally;
use tally::kernel::events::Event;
use uuid::Uuid;

use super::{event, orders, put, ruled};
use crate::harness::{Backend, LossyProxy, Seeded, TestApp, TestDatabase, on_every_backend, rounds};
use crate::points::stage::{Stage, options};

on_every_backend!(
    every_order_of_likes_and_unlikes_ends_the_same,
    every_order_of_comments_and_shares_ends_the_same,
    random_orders_in_random_batches_end_the_same,
);

/// Delivers `events` of one content in every order, each to another author, one after the other, and some again. The
/// authors' balances.
async fn in_every_order(
    stage: &Stage,
    count: usize,
    events: impl Fn(Uuid, &str) -> Vec<Event>,
) -> Vec<(Vec<usize>, i64)> {
    let mut ends = Vec::new();
    for order in orders(count) {
        let content = stage.app.kernel.ids.next();
        let author = stage.app.user(&format!("author of {content}")).id().await;
        let events = events(content, &author);
        assert_eq!(events.len(), count);
        for n in order.iter().chain(order.iter().step_by(2)) {
            let event = Event { key: stage.app.kernel.ids.next(), ..events[*n].clone() };
            put(&stage.app, vec![event]).await;
            stage.app.settle().await;
        }
        ends.push((order, stage.account(&author).await.0));
    }
    ends
}

fn all_are(ends: &[(Vec<usize>, i64)], expected: i64) {
    for (order, balance) in ends {
        assert_eq!(*balance, expected, "delivered as {order:?}");
    }
}

async fn every_order_of_likes_and_unlikes_ends_the_same(backend: Backend) {
    let stage = ruled(backend, "like:3:300").await;
    let (ben, cara) = (stage.app.user("ben").id().await, stage.app.user("cara").id().await);
    let event = |kind, content, author: &str, user, sequence| event(&stage.app, kind, content, author, user, sequence);
    let gone = in_every_order(&stage, 2, |content, author| {
        vec![event("engagement.liked", content, author, &ben, 1), event("engagement.unliked", content, author, &ben, 2)]
    });
    all_are(&gone.await, 0);

    let again = in_every_order(&stage, 4, |content, author| {
        vec![
            event("engagement.liked", content, author, &ben, 1),
            event("engagement.unliked", content, author, &ben, 2),
            event("engagement.liked", content, author, &cara, 3),
            event("engagement.liked", content, author, &ben, 4),
        ]
    });
    all_are(&again.await, 6);

    let never = in_every_order(&stage, 4, |content, author| {
        vec![
            event("engagement.liked", content, author, &ben, 1),
            event("engagement.unliked", content, author, &ben, 2),
            event("engagement.liked", content, author, &ben, 3),
            event("engagement.unliked", content, author, &ben, 4),
        ]
    });
    all_are(&never.await, 0);
    stage.app.finish().await;
}

async fn every_order_of_comments_and_shares_ends_the_same(backend: Backend) {
    let stage = ruled(backend, "comment:3:300,share:5:500").await;
    let (ben, cara) = (stage.app.user("ben").id().await, stage.app.user("cara").id().await);
    let ends = in_every_order(&stage, 5, |content, author| {
        let mut events = vec![
            event(&stage.app, "engagement.commented", content, author, &ben, 1),
            event(&stage.app, "engagement.comment_deleted", content, author, &ben, 2),
            event(&stage.app, "engagement.shared", content, author, &ben, 3),
            event(&stage.app, "engagement.shared", content, author, &ben, 4),
            event(&stage.app, "engagement.commented", content, author, &cara, 5),
        ];
        events[4].payload["commentId"] = serde_json::json!(Uuid::from_u128(8));
        events
    });
    all_are(&ends.await, 8);
    stage.app.finish().await;
}

async fn random_orders_in_random_batches_end_the_same(backend: Backend) {
    let mut seeded = Seeded::new();
    let stage = ruled(backend, "like:1:10000,favorite:100:1000000").await;
    let mut people = Vec::new();
    for n in 0..5 {
        people.push(stage.app.user(&format!("person {n}")).id().await);
    }
    for round in 0..rounds(4) {
        let content = stage.app.kernel.ids.next();
        let author = stage.app.user(&format!("author {round}")).id().await;
        let mut newest = std::collections::BTreeMap::new();
        let mut events = Vec::new();
        for sequence in 1..=60 {
            let user = seeded.random.random_range(0..people.len());
            let (like, on) = (seeded.random.random_bool(0.6), seeded.random.random_bool(0.6));
            let kind = match (like, on) {
                (true, true) => "engagement.liked",
                (true, false) => "engagement.unliked",
                (false, true) => "engagement.favorited",
                (false, false) => "engagement.unfavorited",
            };
            newest.insert((user, like), on);
            events.push(event(&stage.app, kind, content, &author, &people[user], sequence));
        }
        let expected: i64 = newest.iter().map(|((_, like), on)| i64::from(*on) * if *like { 1 } else { 100 }).sum();
        let again: Vec<_> = events.iter().filter(|_| seeded.random.random_bool(0.3)).cloned().collect();
        events.extend(again);
        events.shuffle(&mut seeded.random);
        while !events.is_empty() {
            let size = seeded.random.random_range(1..=events.len().min(20));
            // Of several keys in one batch: in yet another order.
            let keyed = events.drain(..size).map(|event| Event { key: stage.app.kernel.ids.next(), ..event });
            put(&stage.app, keyed.collect()).await;
            stage.app.settle().await;
        }
        assert_eq!(stage.account(&author).await.0, expected, "round {round}");
        stage.app.audit().await;
    }
    stage.app.finish().await;
}

/// The worst moment for a connection to break: the award is committed, and the relay does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_the_relays_commit_pays_nothing_twice() {
    let database = TestDatabase::create(Backend::Postgres).await;
    let url = database.url.clone();
    let proxy = LossyProxy::start(&database).await;
    let options = options().with("points.rules", "like:3:300");
    let stage = Stage::of(TestApp::start_on::<Tally>(proxy.database(database), options).await).await;
    let ben = stage.app.user("ben").id().await;
    let content = stage.app.kernel.ids.next();
    for (n, (kind, balance)) in
        [("engagement.liked", 3), ("engagement.unliked", 0), ("engagement.liked", 3)].into_iter().enumerate()
    {
        let sequence = i64::try_from(n).unwrap() + 1;
        put(&stage.app, vec![event(&stage.app, kind, content, &stage.id, &ben, sequence)]).await;
        proxy.lose_the_next_commits_answer();
        stage.app.settle().await;
        assert!(proxy.has_lost_it(), "step {n} was not put to the test");
        assert_eq!(stage.account(&stage.id).await, (balance, sequence), "step {n}");
    }
    let mut database = stage.app.stop().await;
    database.url = url;
    database.remove().await;
}
