//! A server whose engagement the test plays: it puts the events into the outbox itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::Millis;
use tally::kernel::db::Tx;
use tally::kernel::error::Result;
use tally::kernel::events::{Event, Outbox};
use tally::kernel::id::parse_any;
use uuid::Uuid;

use crate::harness::{Backend, Client, Options, START, TestApp};

pub(super) struct Stage {
    pub(super) app: TestApp,
}

/// A user with a client.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) client: Client,
    pub(super) id: String,
    pub(super) uuid: Uuid,
}

/// The moment of a sequence.
pub(super) fn at(sequence: i64) -> Millis {
    START.plus(sequence * 1000)
}

/// The same, as GraphQL says it.
pub(super) fn said_at(sequence: i64) -> Value {
    json!(at(sequence).to_utc().to_rfc3339())
}

/// An event about a content, whose key is the content.
pub(super) fn event(kind: &'static str, content: Uuid, sequence: i64, mut payload: Value) -> Event {
    payload["contentId"] = json!(content);
    payload["kind"] = json!(0);
    payload["at"] = json!(at(sequence).0);
    Event {
        id: Uuid::from_u128(sequence.unsigned_abs().into()),
        kind,
        key: content,
        sequence,
        at: at(sequence),
        payload,
    }
}

/// What `user` did to a content of `author`.
pub(super) fn acted(kind: &'static str, content: Uuid, author: &Person, user: &Person, sequence: i64) -> Event {
    event(kind, content, sequence, json!({ "authorId": author.uuid, "userId": user.uuid }))
}

pub(super) fn liked(content: Uuid, author: &Person, user: &Person, sequence: i64) -> Event {
    acted("engagement.liked", content, author, user, sequence)
}

pub(super) fn unliked(content: Uuid, author: &Person, user: &Person, sequence: i64) -> Event {
    acted("engagement.unliked", content, author, user, sequence)
}

/// A comment, or its deletion.
pub(super) fn comment(
    kind: &'static str,
    content: Uuid,
    author: &Person,
    user: &Person,
    id: u128,
    sequence: i64,
) -> Event {
    let payload =
        json!({ "authorId": author.uuid, "userId": user.uuid, "commentId": Uuid::from_u128(id), "body": "x" });
    event(kind, content, sequence, payload)
}

pub(super) fn level(content: Uuid, author: &Person, from: i16, to: i16, sequence: i64) -> Event {
    let payload = json!({ "authorId": author.uuid, "previousLevel": from, "level": to, "score": 1.5 });
    event("engagement.level_changed", content, sequence, payload)
}

pub(super) fn content_deleted(content: Uuid, author: &Person, sequence: i64) -> Event {
    event("engagement.content_deleted", content, sequence, json!({ "authorId": author.uuid }))
}

pub(super) fn user_deleted(user: &Person, sequence: i64) -> Event {
    let payload = json!({ "userId": user.uuid, "at": at(sequence).0 });
    Event { payload, key: user.uuid, ..event("engagement.user_deleted", user.uuid, sequence, json!({})) }
}

/// Puts events into the outbox, in one transaction.
pub(super) async fn put(app: &TestApp, events: Vec<Event>) {
    let outbox = app.kernel.outbox.clone();
    let write = app.kernel.db.write(move |tx| Box::pin(put_all(tx, outbox.clone(), events.clone())));
    write.await.expect("the outbox takes them");
}

async fn put_all(tx: &Tx, outbox: Outbox, events: Vec<Event>) -> Result<()> {
    outbox.put(tx, &events).await
}

const LIST: &str =
    "{ notifications(first: 100) { totalCount nodes { id kind actorCount level readAt createdAt updatedAt
    lastActor { id } actors(first: 100) { id } content { id } } }
    unread: notifications(first: 100, unreadOnly: true) { totalCount nodes { id } } me { unreadNotifications } }";

impl Stage {
    pub(super) async fn start(backend: Backend) -> Self {
        Self::with(backend, Options::default()).await
    }

    pub(super) async fn with(backend: Backend, options: Options) -> Self {
        let options = options.with("notifications.live_interval_ms", 20);
        Self { app: TestApp::start_with::<Tally>(backend, options).await }
    }

    pub(super) async fn person(&self, name: &str) -> Person {
        let client = self.app.user(name);
        let id = client.id().await;
        let uuid = parse_any(&id).expect("an id").1;
        Person { client, id, uuid }
    }

    pub(super) async fn people<const N: usize>(&self) -> [Person; N] {
        let people = futures_util::future::join_all((0..N).map(async |n| self.person(&format!("person {n}")).await));
        people.await.try_into().unwrap_or_else(|_| panic!("{N} people"))
    }

    /// An id of a content that nobody knows.
    pub(super) fn content(&self) -> Uuid {
        self.app.kernel.ids.next()
    }

    /// Puts events into the outbox and delivers them.
    pub(super) async fn happen(&self, events: impl IntoIterator<Item = Event>) {
        put(&self.app, events.into_iter().collect()).await;
        self.app.settle().await;
    }

    /// A person's notifications, all of them, newest first. Checks what the answer says of itself.
    pub(super) async fn told(&self, person: &Person) -> Vec<Value> {
        let answer = person.client.query(LIST).await;
        let data = answer.data();
        let nodes = data["notifications"]["nodes"].as_array().unwrap().clone();
        assert_eq!(data["notifications"]["totalCount"], nodes.len());
        let unread: Vec<_> = nodes.iter().filter(|node| node["readAt"].is_null()).map(|node| &node["id"]).collect();
        let only: Vec<_> = data["unread"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
        assert_eq!(only, unread, "unreadOnly gives those without readAt");
        assert_eq!(data["unread"]["totalCount"], unread.len());
        assert_eq!(data["me"]["unreadNotifications"], unread.len());
        nodes
    }

    /// The only notification of a person.
    pub(super) async fn only(&self, person: &Person) -> Value {
        let told = self.told(person).await;
        assert_eq!(told.len(), 1, "{told:#?}");
        told[0].clone()
    }

    /// Marks as read: given ids, or all. What was marked, and what is unread.
    pub(super) async fn read(&self, person: &Person, ids: Option<&[&Value]>) -> (i64, i64) {
        let mark = "mutation ($ids: [ID!]) { markNotificationsRead(ids: $ids) { marked unreadNotifications } }";
        let answer = person.client.run(mark, json!({ "ids": ids })).await;
        let payload = &answer.data()["markNotificationsRead"];
        (payload["marked"].as_i64().unwrap(), payload["unreadNotifications"].as_i64().unwrap())
    }

    pub(super) async fn finish(self) {
        self.app.settle().await;
        self.app.finish().await;
    }
}

/// The ids of a notification's actors.
pub(super) fn actors(notification: &Value) -> Vec<&str> {
    notification["actors"].as_array().unwrap().iter().map(|actor| actor["id"].as_str().unwrap()).collect()
}

/// A notification without what differs between two that tell the same.
pub(super) fn gist(notification: &Value) -> Value {
    let kept = ["kind", "actorCount", "level", "readAt", "createdAt", "updatedAt", "lastActor", "actors"];
    json!(kept.iter().map(|field| (*field, notification[*field].clone())).collect::<BTreeMap<_, _>>())
}
