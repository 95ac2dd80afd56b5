//! With engagement itself: what users do becomes what authors are told.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::stage::{Person, Stage, actors};
use crate::harness::{Backend, Options, Seeded, on_every_backend, rounds};

on_every_backend!(
    what_users_do_is_told,
    an_unlike_takes_the_rise_of_its_like_back,
    an_unlike_that_races_its_like_through_the_relay_leaves_nothing,
);

async fn what_users_do_is_told(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, reader] = stage.people().await;
    let id = author.client.publish("one").await;
    let comment = "mutation ($id: ID!, $body: String!) { comment(contentId: $id, body: $body) { comment { id } } }";
    let share = "mutation ($id: ID!) { share(contentId: $id, channel: WECHAT) { changed } }";
    let mut written = Value::Null;
    for person in [&author, &reader] {
        person.client.act("like", &id).await.data();
        person.client.act("favorite", &id).await.data();
        let answer = person.client.run(comment, json!({ "id": id, "body": "well done" })).await;
        written = answer.data()["comment"]["comment"]["id"].clone();
        person.client.run(share, json!({ "id": id })).await.data();
    }
    stage.app.settle().await;
    let told = stage.told(&author).await;
    let told: Vec<_> = told.iter().filter(|told| told["kind"] != "LEVEL_UP").collect();
    let kinds: Vec<_> = told.iter().map(|told| told["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    for notification in &told {
        assert_eq!(actors(notification), [&*reader.id], "one's own acts are no news");
        assert_eq!(notification["content"]["id"], json!(id));
    }
    for verb in ["unlike", "unfavorite"] {
        reader.client.act(verb, &id).await.data();
    }
    let delete = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
    reader.client.run(delete, json!({ "id": written })).await.data();
    stage.app.settle().await;
    let told = stage.told(&author).await;
    let left: Vec<_> = told.iter().map(|told| &told["kind"]).filter(|kind| *kind != "LEVEL_UP").collect();
    assert_eq!(left, ["SHARED"], "a share cannot be taken back");
    stage.finish().await;
}

async fn an_unlike_takes_the_rise_of_its_like_back(backend: Backend) {
    // Publishing weighs 10, a like 2.
    let options = Options::default().with("engagement.warm_from", 11);
    let stage = Stage::with(backend, options).await;
    let [author, one, two] = stage.people().await;
    let id = author.client.publish("one").await;
    one.client.act("like", &id).await.data();
    stage.app.settle().await;
    let told = async || {
        let told = stage.told(&author).await;
        told.iter().map(|told| (told["kind"].clone(), told["level"].clone())).collect::<Vec<_>>()
    };
    let (liked, warm) = ((json!("LIKED"), Value::Null), (json!("LEVEL_UP"), json!("WARM")));
    let mut both = told().await;
    both.sort_by_key(|(kind, _)| kind.to_string());
    assert_eq!(both, [warm.clone(), liked.clone()]);
    stage.read(&author, None).await;
    one.client.act("unlike", &id).await.data();
    stage.app.settle().await;
    assert_eq!(told().await, [], "not the like, and no effect of it");
    // All of it before the relay comes by.
    for verb in ["like", "unlike", "like", "unlike"] {
        two.client.act(verb, &id).await.data();
    }
    stage.app.settle().await;
    assert_eq!(told().await, []);
    two.client.act("like", &id).await.data();
    stage.app.settle().await;
    assert_eq!(told().await.len(), 2);
    stage.finish().await;
}

/// Likes and unlikes at random, the last of each known: what the author is told in the end is just that.
async fn an_unlike_that_races_its_like_through_the_relay_leaves_nothing(backend: Backend) {
    let mut seeded = Seeded::new();
    // Small batches: events of a content are spread over many of them.
    let options = Options::default().with("worker.enabled", true).with("worker.poll_ms", 20).with("events.batch", 3);
    let options = options.with("engagement.warm_from", 11).with("batch.commands", 4);
    let stage = Stage::with(backend, options).await;
    let author = stage.person("author").await;
    let people: [Person; 8] = stage.people().await;
    let mut contents = Vec::new();
    for n in 0..3 {
        contents.push(author.client.publish(&format!("content {n}")).await);
    }
    for _ in 0..rounds(3) {
        let round: u64 = seeded.random.random();
        let racing = people.iter().map(async |person| {
            let place = people.iter().position(|other| other.id == person.id).unwrap();
            let mut random = StdRng::seed_from_u64(round ^ place as u64);
            let mut holds = vec![false; contents.len()];
            for _ in 0..8 {
                let n = random.random_range(0..contents.len());
                holds[n] = random.random_bool(0.5);
                person.client.act(if holds[n] { "like" } else { "unlike" }, &contents[n]).await.data();
            }
            // What earlier rounds left is decided too.
            for (content, holds) in contents.iter().zip(&holds) {
                person.client.act(if *holds { "like" } else { "unlike" }, content).await.data();
            }
            holds
        });
        let held = join_all(racing).await;
        let reading = stage.read(&author, None).await;
        assert!(reading.1 <= 6, "{reading:?}");
        let expected: Vec<Vec<&str>> = (0..contents.len())
            .map(|n| people.iter().zip(&held).filter(|(_, held)| held[n]).map(|(person, _)| &*person.id).collect())
            .collect();
        delivered(&stage).await;
        let told = stage.told(&author).await;
        for (content, expected) in contents.iter().zip(&expected) {
            let of = |kind: &str| told.iter().find(|told| told["content"]["id"] == *content && told["kind"] == kind);
            let mut likers = of("LIKED").map(actors).unwrap_or_default();
            likers.sort_unstable();
            let mut expected = expected.clone();
            expected.sort_unstable();
            assert_eq!(likers, expected, "{content}");
            // One like makes it warm, and only likes do.
            assert_eq!(of("LEVEL_UP").is_some(), !expected.is_empty(), "{content}");
        }
        stage.app.audit().await;
    }
    stage.app.finish().await;
}

/// Waits until the relay has delivered all.
async fn delivered(stage: &Stage) {
    let count = "SELECT count(*) AS n FROM outbox";
    for _ in 0..2_000 {
        let statement = sea_orm::Statement::from_string(stage.app.kernel.backend(), count);
        let rows = stage.app.kernel.db.query(statement).await.unwrap();
        if rows[0].try_get::<i64>("", "n").unwrap() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("events stay in the outbox");
}
