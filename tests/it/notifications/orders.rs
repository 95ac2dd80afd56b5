//! Every order of delivery, repeated events included, ends in the same state.

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use serde_json::Value;
use tally::kernel::events::Event;
use uuid::Uuid;

use super::stage::{Person, Stage, acted, actors, comment, content_deleted, event, gist, level, liked, put, unliked};
use crate::harness::{Backend, LossyProxy, Options, Seeded, TestApp, TestDatabase, on_every_backend, rounds};

on_every_backend!(
    every_order_of_likes_and_unlikes_ends_the_same,
    every_order_of_comments_levels_and_a_deletion_ends_the_same,
    random_orders_in_random_batches_end_the_same,
);

/// All orders of `0..n`.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let inserted = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| inserted(order, at))).collect()
}

/// Delivers `events` of one content in every order, each to another author, and then some of them again. The relay
/// keeps the order of a key, so each event comes under a key of its own, one delivery after the other.
async fn in_every_order(
    stage: &Stage,
    count: usize,
    events: impl Fn(Uuid, &Person) -> Vec<Event>,
) -> Vec<(Vec<usize>, Vec<Value>)> {
    let mut ends = Vec::new();
    for order in orders(count) {
        let content = stage.content();
        let author = stage.person(&format!("author of {content}")).await;
        let events = events(content, &author);
        assert_eq!(events.len(), count);
        let again = order.iter().step_by(2);
        for n in order.iter().chain(again) {
            let event = Event { key: stage.content(), ..events[*n].clone() };
            put(&stage.app, vec![event]).await;
            stage.app.kernel.outbox.deliver_all().await.unwrap();
        }
        ends.push((order, stage.told(&author).await.iter().map(gist).collect()));
    }
    ends
}

fn all_as_in_sequence(ends: &[(Vec<usize>, Vec<Value>)]) -> &[Value] {
    let (_, expected) = ends.iter().find(|(order, _)| order.is_sorted()).expect("the order of the sequence");
    for (order, end) in ends {
        assert_eq!(end, expected, "delivered as {order:?}");
    }
    expected
}

async fn every_order_of_likes_and_unlikes_ends_the_same(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [one, two] = stage.people().await;
    let alone = in_every_order(&stage, 2, |content, author| {
        vec![liked(content, author, &one, 1), unliked(content, author, &one, 2)]
    })
    .await;
    assert_eq!(
        all_as_in_sequence(&alone),
        [] as [Value; 0],
        "an unlike leaves nothing of its like, whichever came first"
    );

    let again = in_every_order(&stage, 4, |content, author| {
        vec![
            liked(content, author, &one, 1),
            unliked(content, author, &one, 2),
            liked(content, author, &two, 3),
            liked(content, author, &one, 4),
        ]
    })
    .await;
    let end = all_as_in_sequence(&again);
    assert_eq!((end.len(), actors(&end[0])), (1, vec![&*one.id, &*two.id]));

    let gone = in_every_order(&stage, 4, |content, author| {
        vec![
            liked(content, author, &one, 1),
            liked(content, author, &two, 2),
            unliked(content, author, &one, 3),
            unliked(content, author, &two, 4),
        ]
    })
    .await;
    assert_eq!(all_as_in_sequence(&gone), [] as [Value; 0]);
    stage.finish().await;
}

async fn every_order_of_comments_levels_and_a_deletion_ends_the_same(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [one, two] = stage.people().await;
    let comments = in_every_order(&stage, 4, |content, author| {
        vec![
            comment("engagement.commented", content, author, &one, 1, 1),
            comment("engagement.commented", content, author, &two, 2, 2),
            comment("engagement.commented", content, author, &one, 3, 3),
            comment("engagement.comment_deleted", content, author, &one, 3, 4),
        ]
    })
    .await;
    assert_eq!(actors(&all_as_in_sequence(&comments)[0]), [&*two.id, &*one.id]);

    let levels = in_every_order(&stage, 4, |content, author| {
        let mut back = level(content, author, 4, 2, 3);
        back.payload["takenBack"] = true.into();
        vec![level(content, author, 0, 2, 1), level(content, author, 2, 4, 2), back, level(content, author, 2, 3, 4)]
    })
    .await;
    assert_eq!(all_as_in_sequence(&levels)[0]["level"], "HOT");

    let deleted = in_every_order(&stage, 4, |content, author| {
        vec![
            liked(content, author, &one, 1),
            acted("engagement.shared", content, author, &two, 2),
            content_deleted(content, author, 3),
            // Of a server whose clock or queue was behind.
            liked(content, author, &two, 4),
        ]
    })
    .await;
    assert_eq!(all_as_in_sequence(&deleted), [] as [Value; 0], "what is deleted stays deleted");
    stage.finish().await;
}

async fn random_orders_in_random_batches_end_the_same(backend: Backend) {
    let mut seeded = Seeded::new();
    let stage = Stage::start(backend).await;
    let people: [Person; 6] = stage.people().await;
    for round in 0..rounds(4) {
        let kinds = [
            ["engagement.liked", "engagement.unliked"],
            ["engagement.favorited", "engagement.unfavorited"],
            ["engagement.commented", "engagement.comment_deleted"],
        ];
        let (content, twin) = (stage.content(), stage.content());
        let [author, other] = ["shuffled", "in sequence"].map(|name| format!("{name} {round}"));
        let (author, other) = (stage.person(&author).await, stage.person(&other).await);
        let mut history = Vec::new();
        for sequence in 1..=60 {
            let user = &people[seeded.random.random_range(0..people.len())];
            let pair = kinds[seeded.random.random_range(0..kinds.len())];
            let kind = pair[usize::from(seeded.random.random_bool(0.4))];
            history.push((kind, user, sequence));
        }
        let events = |content, author: &Person| -> Vec<Event> {
            let make = |(kind, user, sequence): &(&'static str, &Person, i64)| {
                let mut event = acted(kind, content, author, user, *sequence);
                // Two comments of each user, written and deleted again and again.
                event.payload["commentId"] = serde_json::json!(Uuid::from_u128(
                    user.uuid.as_u128() ^ u128::from((*sequence % 2).unsigned_abs())
                ));
                event
            };
            history.iter().map(make).collect()
        };
        // The twin: as the relay gives them.
        stage.happen(events(twin, &other)).await;
        let mut shuffled = events(content, &author);
        let again: Vec<_> = shuffled.iter().filter(|_| seeded.random.random_bool(0.3)).cloned().collect();
        shuffled.extend(again);
        shuffled.shuffle(&mut seeded.random);
        while !shuffled.is_empty() {
            let size = seeded.random.random_range(1..=shuffled.len().min(20));
            let batch = shuffled.drain(..size);
            let keyed = batch.map(|event| Event { key: stage.content(), ..event }).collect();
            put(&stage.app, keyed).await;
            stage.app.kernel.outbox.deliver_all().await.unwrap();
        }
        let (told, expected) = (stage.told(&author).await, stage.told(&other).await);
        let gists = |told: &[Value]| told.iter().map(gist).collect::<Vec<_>>();
        assert_eq!(gists(&told), gists(&expected), "round {round}");
        assert!(!told.is_empty(), "a round that shows nothing");
        stage.app.audit().await;
    }
    stage.finish().await;
}

/// The worst moment for a connection to break: the effect is committed, and the relay does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_the_relays_commit_repeats_nothing() {
    let database = TestDatabase::create(Backend::Postgres).await;
    let url = database.url.clone();
    let proxy = LossyProxy::start(&database).await;
    let app = TestApp::start_on::<tally::app::Tally>(proxy.database(database), Options::default()).await;
    let stage = Stage { app };
    let [author, one, two] = stage.people().await;
    let content = stage.content();
    for (n, events) in [
        vec![liked(content, &author, &one, 1)],
        vec![unliked(content, &author, &one, 2), liked(content, &author, &two, 3)],
        vec![unliked(content, &author, &two, 4)],
        vec![event(
            "engagement.shared",
            content,
            5,
            serde_json::json!({ "authorId": author.uuid, "userId": one.uuid }),
        )],
    ]
    .into_iter()
    .enumerate()
    {
        put(&stage.app, events).await;
        proxy.lose_the_next_commits_answer();
        stage.app.settle().await;
        assert!(proxy.has_lost_it(), "step {n} was not put to the test");
        let told = stage.told(&author).await;
        let expected = [Some(&one), Some(&two), None, Some(&one)][n];
        let expected: Vec<_> = expected.into_iter().map(|person| vec![&*person.id]).collect();
        assert_eq!(told.iter().map(actors).collect::<Vec<_>>(), expected, "step {n}");
    }
    let mut database = {
        stage.app.settle().await;
        stage.app.stop().await
    };
    database.url = url;
    database.remove().await;
}
