//! Shares: each counts, but for a repeat under the same client key.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use tally::kernel::auth::Role;

use crate::harness::{Answer, Backend, Client, TestApp, on_every_backend};

on_every_backend!(
    every_share_counts,
    a_client_key_makes_one_share,
    bad_shares_are_refused,
    shares_meet_and_none_is_lost,
    planted_drifts_of_shares_are_found,
);

const SHARE: &str = "mutation ($id: ID!, $channel: ShareChannel!, $key: String, $user: ID) {
    share(contentId: $id, channel: $channel, clientKey: $key, userId: $user) {
        changed share { id channel sharedAt } content { id shareCount hotness { score } } } }";

async fn share(client: &Client, content: &str, channel: &str, key: Option<&str>) -> Answer {
    client.run(SHARE, json!({ "id": content, "channel": channel, "key": key })).await
}

async fn every_share_counts(backend: Backend) {
    let app = TestApp::start(backend).await;
    let reader = app.user("reader");
    let id = app.user("author").publish("one").await;
    let mut ids = BTreeSet::new();
    for (n, channel) in (1..).zip(["LINK", "WECHAT", "WEIBO", "QQ", "DOUYIN", "OTHER", "LINK"]) {
        let answer = share(&reader, &id, channel, None).await;
        let made = &answer.data()["share"];
        assert_eq!((&made["changed"], &made["share"]["channel"]), (&json!(true), &json!(channel)));
        assert_eq!(made["content"]["shareCount"], n);
        ids.insert(made["share"]["id"].as_str().unwrap().to_owned());
        let score = made["content"]["hotness"]["score"].as_f64().unwrap();
        let whole = 10.0 + 8.0 * f64::from(n);
        assert!((whole - 0.01..=whole).contains(&score), "8 for each share: {score}");
    }
    assert!(ids.len() == 7 && ids.iter().all(|id| id.starts_with("share_")), "{ids:?}");
    app.finish().await;
}

async fn a_client_key_makes_one_share(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let (id, other) = (author.publish("one").await, author.publish("other").await);
    let first = share(&reader, &id, "WECHAT", Some("k")).await.data()["share"].clone();
    let again = share(&reader, &id, "WECHAT", Some("k")).await.data()["share"].clone();
    assert_eq!((&again["changed"], &again["share"]), (&json!(false), &first["share"]));
    assert_eq!(again["content"]["shareCount"], 1);
    assert_eq!(share(&reader, &other, "WECHAT", Some("k")).await.code(), "CONFLICT", "another content");
    assert_eq!(share(&reader, &id, "WEIBO", Some("k")).await.code(), "CONFLICT", "another channel");
    assert_eq!(share(&author, &id, "WEIBO", Some("k")).await.data()["share"]["changed"], true, "keys are one's own");

    let contents = [&id, &other];
    let answers = join_all((0..16).map(|n| share(&reader, contents[n % 2], "QQ", Some("race")))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.body.get("errors").is_none()).collect();
    let ids: BTreeSet<_> =
        made.iter().map(|answer| answer.data()["share"]["share"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), made.len()), (1, 8));
    assert_eq!(made.iter().filter(|answer| answer.data()["share"]["changed"] == true).count(), 1);
    app.finish().await;
}

async fn bad_shares_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    assert_eq!(share(&reader, &id, "TELEX", None).await.code(), "INVALID_INPUT", "an unknown channel");
    assert_eq!(share(&reader, &id, "LINK", Some("a\0b")).await.code(), "INVALID_INPUT");
    assert_eq!(share(&reader, &id, "LINK", Some(&"k".repeat(201))).await.code(), "INVALID_INPUT");
    assert_eq!(share(&app.anonymous(), &id, "LINK", None).await.code(), "UNAUTHENTICATED");
    assert_eq!(share(&reader, "video_01h455vb4pex5vsknk084sn02q", "LINK", None).await.code(), "NOT_FOUND");
    let user = author.id().await;
    let variables = json!({ "id": id, "channel": "LINK", "user": user });
    assert_eq!(reader.run(SHARE, variables.clone()).await.code(), "FORBIDDEN");
    let service = app.client("service", &[Role::Service]);
    assert_eq!(service.run(SHARE, variables).await.data()["share"]["changed"], true);
    author.run("mutation ($id: ID!) { unpublishContent(id: $id) { changed } }", json!({ "id": id })).await.data();
    assert_eq!(share(&reader, &id, "LINK", None).await.code(), "CONFLICT");
    app.finish().await;
}

async fn shares_meet_and_none_is_lost(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let contents = [author.publish("one").await, author.publish("two").await];
    let readers: Vec<_> = (0..4).map(|n| app.user(&format!("reader {n}"))).collect();
    let keys: Vec<_> = (0..20).map(|n| format!("key {n}")).collect();
    // Each key of each reader four times.
    let answers = join_all((0..320).map(|n| {
        let (reader, key) = (n % 4, n / 4 % 20);
        share(&readers[reader], &contents[key % 2], "LINK", Some(&keys[key]))
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.data()["share"]["changed"] == true).count(), 80);
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { shareCount } }";
    let answer = app.anonymous().run(query, json!({ "ids": contents })).await;
    assert_eq!(answer.data()["contents"], json!([{ "shareCount": 40 }, { "shareCount": 40 }]));
    app.finish().await;
}

async fn planted_drifts_of_shares_are_found(backend: Backend) {
    let app = TestApp::start(backend).await;
    let reader = app.user("reader");
    let id = app.user("author").publish("one").await;
    share(&reader, &id, "LINK", None).await.data();
    for (plant, mend, expected) in [
        (
            "UPDATE content_figures SET share_count = 0",
            "UPDATE content_figures SET share_count = 1",
            vec!["share-count"],
        ),
        (
            "UPDATE shares SET shared_at = shared_at - 3600000",
            "UPDATE shares SET shared_at = shared_at + 3600000",
            vec!["heat-mass", "heat"],
        ),
    ] {
        app.database.sql(plant).await;
        assert_eq!(app.drifted().await, expected, "{plant}");
        app.database.sql(mend).await;
    }
    app.audit().await;
    app.database.sql("DELETE FROM shares").await;
    assert_eq!(app.drifted().await, ["share-count", "heat-mass", "heat"]);
    app.stop_unaudited().await.remove().await;
}
