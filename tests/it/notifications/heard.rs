//! `notificationReceived` over a socket.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Stage, actors, liked, unliked};
use crate::harness::{Backend, Client, on_every_backend};

on_every_backend!(the_author_hears_and_nobody_else, what_was_taken_back_is_not_heard, listening_ends_with_the_token);

const HEAR: &str = "subscription { notificationReceived { id kind actorCount actors { id } content { id title } } }";

async fn the_author_hears_and_nobody_else(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let mut stranger = one.client.listen(HEAR).await;
    let mut listener = author.client.listen(HEAR).await;
    let noise = stage.content();
    let mut sequence = 0;
    // Until the listener is known to listen.
    listener
        .next_while(async || {
            sequence += 1;
            stage.happen([liked(noise, &author, &two, sequence)]).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        })
        .await;
    let content = author.client.publish("one").await;
    let uuid = tally::kernel::id::parse_any(&content).unwrap().1;
    stage.happen([liked(uuid, &author, &one, 1 << 40)]).await;
    let is = |count: i64, content: &str| {
        let content = json!(content);
        move |data: &Value| {
            let told = &data["notificationReceived"];
            told["content"]["id"] == content && told["actorCount"] == count
        }
    };
    let heard = listener.until(is(1, &content)).await["notificationReceived"].clone();
    assert_eq!((&heard["kind"], &heard["content"]["title"]), (&json!("LIKED"), &json!("one")));
    assert_eq!(actors(&heard), [&*one.id]);
    stage.happen([liked(uuid, &author, &two, (1 << 40) + 1)]).await;
    let again = listener.until(is(2, &content)).await["notificationReceived"].clone();
    assert_eq!((actors(&again), &again["id"]), (vec![&*two.id, &*one.id], &heard["id"]));

    // Many within an interval are heard as few, and the last of them is the newest state.
    let crowd: [_; 30] = stage.people().await;
    stage.happen(crowd.iter().zip(10..).map(|(liker, n)| liked(uuid, &author, liker, (1 << 40) + n))).await;
    let mut messages = 0;
    listener
        .until(|data| {
            messages += 1;
            // The author is in the crowd, too.
            data["notificationReceived"]["actorCount"] == 29
        })
        .await;
    assert!(messages < 10, "{messages} messages for one batch");
    assert!(stranger.silent_for(Duration::from_millis(200)).await, "another's notifications are nobody else's");
    assert_eq!(
        stage.app.anonymous().listen(HEAR).await.next_payload().await["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
    stage.finish().await;
}

async fn what_was_taken_back_is_not_heard(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let mut listener = author.client.listen(HEAR).await;
    let (noise, content) = (stage.content(), stage.content());
    let mut sequence = 0;
    listener
        .next_while(async || {
            sequence += 1;
            stage.happen([liked(noise, &author, &two, sequence)]).await;
            stage.happen([unliked(noise, &author, &two, sequence + 1)]).await;
            sequence += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        })
        .await;
    while !listener.silent_for(Duration::from_millis(200)).await {}
    // In one batch, and so in one state.
    stage.happen([liked(content, &author, &one, 1), unliked(content, &author, &one, 2)]).await;
    assert!(listener.silent_for(Duration::from_millis(200)).await, "nothing is left of it");
    stage.happen([liked(content, &author, &one, 3), liked(content, &author, &two, 4)]).await;
    assert_eq!(listener.next().await["notificationReceived"]["actorCount"], 2);
    stage.happen([unliked(content, &author, &two, 5)]).await;
    stage.read(&author, None).await;
    assert!(
        listener.silent_for(Duration::from_millis(200)).await,
        "who leaves is no news, and neither is one's own mark"
    );
    stage.happen([liked(content, &author, &two, 6)]).await;
    assert_eq!(listener.next().await["notificationReceived"]["actorCount"], 2);
    stage.finish().await;
}

async fn listening_ends_with_the_token(backend: Backend) {
    let stage = Stage::start(backend).await;
    let token = stage.app.token("person 0", &[tally::kernel::auth::Role::User], 2);
    let listener = Client::new(&stage.app.url, Some(token)).listen(HEAR).await;
    assert_eq!(listener.end().await.0, (4403, "Token expired".to_owned()));
    stage.finish().await;
}
