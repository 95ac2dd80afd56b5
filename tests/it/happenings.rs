//! What engagement puts into the outbox: each change once, in order, with what consumers need; nothing for a repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tally::kernel::auth::{Access, Root};
use tally::kernel::clock::{ManualClock, Millis};
use tally::kernel::db::Tx;
use tally::kernel::error::Result;
use tally::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};
use tally::kernel::graphql::NoFields;
use tally::kernel::module::{Module, Start};
use tally::modules::engagement::graphql::ContentId;
use uuid::Uuid;

use crate::harness::{Backend, Options, START, TestApp, on_every_backend};

on_every_backend!(
    every_change_is_told_once_and_in_order,
    acts_that_meet_are_told_in_their_order,
    what_cools_and_what_is_deleted_is_told_once,
);

const KINDS: &[&str] = &[
    "engagement.liked",
    "engagement.unliked",
    "engagement.favorited",
    "engagement.unfavorited",
    "engagement.commented",
    "engagement.comment_deleted",
    "engagement.shared",
    "engagement.level_changed",
    "engagement.content_deleted",
    "engagement.user_deleted",
];

/// What all tests' servers heard, by key and sequence.
static HEARD: Mutex<BTreeMap<(Uuid, i64), Delivered>> = Mutex::new(BTreeMap::new());

/// A module that only listens.
struct Ear;

impl Consumer for Ear {
    fn consume<'a>(&'a self, _: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        Box::pin(async move {
            let mut heard = HEARD.lock().unwrap();
            heard.extend(events.iter().map(|event| ((event.key, event.sequence), event.clone())));
            Ok(None)
        })
    }
}

impl Module for Ear {
    type Query = NoFields;
    type Mutation = NoFields;
    type Subscription = NoFields;
    type Viewer = NoFields;

    const NAME: &'static str = "ear";
    const DEPENDS_ON: &'static [&'static str] = &["engagement"];
    const ACCESS: &'static [(Root, &'static str, Access)] = &[];

    fn consumers() -> Vec<Consumes> {
        vec![Consumes { consumer: "ear", kinds: KINDS }]
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        start.consumer("ear", Arc::new(Self))
    }
}

tally::app! {
    /// tally with somebody who listens.
    pub(crate) WithEar {
        tally::modules::users::Users,
        tally::modules::engagement::Engagement,
        Ear,
    }
}

async fn heard(app: &TestApp, content: &str) -> Vec<Delivered> {
    heard_of(app, content.parse::<ContentId>().unwrap().uuid).await
}

async fn heard_of(app: &TestApp, key: Uuid) -> Vec<Delivered> {
    app.settle().await;
    let heard = HEARD.lock().unwrap();
    heard.range((key, i64::MIN)..=(key, i64::MAX)).map(|(_, event)| event.clone()).collect()
}

async fn start(backend: Backend) -> TestApp {
    TestApp::start_with::<WithEar>(backend, Options::default().with("worker.enabled", "false")).await
}

async fn every_change_is_told_once_and_in_order(backend: Backend) {
    let app = start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let body = "字".repeat(300);
    let comment = "mutation ($id: ID!, $body: String!) {
        comment(contentId: $id, body: $body, clientKey: \"k\") { comment { id } } }";
    let share = "mutation ($id: ID!) { share(contentId: $id, channel: WEIBO, clientKey: \"k\") { changed } }";
    let variables = json!({ "id": id, "body": body });
    let mut comment_id = Value::Null;
    // All of it twice: the second time says nothing.
    for verb in ["like", "unlike", "favorite", "unfavorite"].into_iter().flat_map(|verb| [verb, verb]) {
        reader.act(verb, &id).await.data();
    }
    for _ in 0..2 {
        comment_id = reader.run(comment, variables.clone()).await.data()["comment"]["comment"]["id"].clone();
        reader.run(share, json!({ "id": id })).await.data();
    }
    let delete = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
    for _ in 0..2 {
        reader.run(delete, json!({ "id": comment_id })).await.data();
    }
    let view = "mutation ($id: ID!) { recordViews(contentIds: [$id]) { counted } }";
    reader.run(view, json!({ "id": id })).await.data();
    app.user("another").act("favorite", &id).await.data();

    let events = heard(&app, &id).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.trim_start_matches("engagement.")).collect();
    // 10 for publishing, 3 for the comment, 8 for the share: WARM, until the comment goes; and the favorite.
    assert_eq!(
        kinds,
        [
            "liked",
            "unliked",
            "favorited",
            "unfavorited",
            "commented",
            "shared",
            "level_changed",
            "comment_deleted",
            "level_changed",
            "favorited",
            "level_changed"
        ]
    );
    assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let uuid = |id: &Value| tally::kernel::id::parse_any(id.as_str().unwrap()).unwrap().1;
    let (content, by, user) = (uuid(&json!(id)), uuid(&json!(author.id().await)), uuid(&json!(reader.id().await)));
    let comment = uuid(&comment_id);
    let of = |n: usize, own: Value| {
        let mut payload = json!({ "contentId": content, "kind": 0, "authorId": by, "at": events[n].at });
        payload.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        assert_eq!(events[n].payload, payload);
    };
    of(0, json!({ "userId": user }));
    of(3, json!({ "userId": user }));
    of(4, json!({ "userId": user, "commentId": comment, "body": "字".repeat(200) }));
    of(5, json!({ "userId": user, "channel": "WEIBO" }));
    of(7, json!({ "userId": user, "commentId": comment }));
    let levels = [6, 8, 10].map(|n| {
        let payload = &events[n].payload;
        (payload["previousLevel"].as_i64(), payload["level"].as_i64(), payload["takenBack"].as_bool())
    });
    let (new, warm) = (Some(0), Some(2));
    assert_eq!(levels, [(new, warm, Some(false)), (warm, new, Some(true)), (new, warm, Some(false))]);
    assert_eq!(app.number("SELECT count(*) FROM outbox").await, 0);
    app.finish().await;
}

async fn acts_that_meet_are_told_in_their_order(backend: Backend) {
    let app = start(backend).await;
    let id = app.user("author").publish("one").await;
    let readers: Vec<_> = (0..6).map(|n| app.user(&format!("reader {n}"))).collect();
    join_all(readers.iter().map(|reader| async {
        for verb in ["like", "unlike", "like", "favorite", "unlike", "unfavorite"] {
            reader.act(verb, &id).await.data();
        }
    }))
    .await;
    let events = heard(&app, &id).await;
    let acts: Vec<_> = events.iter().filter(|event| !event.kind.ends_with("level_changed")).collect();
    assert_eq!(acts.len(), 36);
    assert_eq!(events.iter().map(|event| event.id).collect::<BTreeSet<_>>().len(), events.len());
    let mut by_reader: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for act in acts {
        by_reader
            .entry(act.payload["userId"].to_string())
            .or_default()
            .push(act.kind.trim_start_matches("engagement."));
    }
    assert_eq!(by_reader.len(), 6);
    for told in by_reader.values() {
        assert_eq!(*told, ["liked", "unliked", "liked", "favorited", "unliked", "unfavorited"]);
    }
    // A batch has one change of level at most, told after what made it.
    let versions = |kind: &str| -> Vec<i64> {
        events.iter().filter(|event| event.kind.ends_with(kind)).map(|event| event.sequence >> 20).collect()
    };
    let levels = versions("level_changed");
    assert_eq!(levels.iter().collect::<BTreeSet<_>>().len(), levels.len());
    app.finish().await;
}

async fn what_cools_and_what_is_deleted_is_told_once(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().with("worker.enabled", "false").at(&clock);
    let app = TestApp::start_with::<WithEar>(backend, options).await;
    let (leaver, other) = (app.user("leaver"), app.user("other"));
    let (own, liked) = (leaver.publish("own").await, other.publish("liked").await);
    let id = leaver.id().await;
    let user = tally::kernel::id::parse_any(&id).unwrap().1;
    for verb in ["like", "favorite"] {
        for content in [&own, &liked] {
            leaver.act(verb, content).await.data();
        }
    }
    other.act("favorite", &own).await.data();
    // Both are new for a day; the first is warm for some hours of it.
    clock.set(Millis(START.0 + 3 * Millis::DAY));
    app.settle().await;
    clock.set(Millis(START.0 + 3 * Millis::DAY + 1000));
    let leaver = app.user("leaver");
    let delete = "mutation ($id: ID!) { deleteUser(id: $id) { changed } }";
    for _ in 0..2 {
        leaver.run(delete, json!({ "id": id })).await.data();
    }
    let short = |events: &[Delivered]| -> Vec<String> {
        events.iter().map(|event| event.kind.trim_start_matches("engagement.").to_owned()).collect()
    };
    let events = heard(&app, &own).await;
    assert_eq!(
        short(&events),
        ["liked", "favorited", "favorited", "level_changed", "level_changed", "content_deleted"],
        "three days of cooling are one event"
    );
    let (cooled, gone) = (&events[4].payload, &events[5].payload);
    assert_eq!([&cooled["previousLevel"], &cooled["level"]], [&json!(2), &json!(1)]);
    assert_eq!(gone["authorId"], json!(user));
    assert_eq!(short(&heard(&app, &liked).await), ["liked", "favorited", "level_changed"], "no unlike of who is gone");
    let events = heard_of(&app, user).await;
    assert_eq!(short(&events), ["user_deleted"]);
    assert_eq!(events[0].payload, json!({ "userId": user, "at": START.0 + 3 * Millis::DAY + 1000 }));
    app.finish().await;
}
