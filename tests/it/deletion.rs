//! Deletion of contents and users: gone at once, removed in chunks, with nothing left and every number right.

use std::sync::Arc;

use sea_orm::{DbBackend, Statement};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{ManualClock, Millis};
use tally::kernel::id::parse_any;
use uuid::Uuid;

use crate::harness::{Backend, Client, Options, START, TestApp, on_every_backend};

on_every_backend!(
    a_deleted_content_is_gone_at_once_and_leaves_nothing,
    its_keys_are_free_at_once,
    a_deleted_user_is_gone_with_all_that_was_theirs,
    a_deleted_users_token_makes_no_new_user,
    only_those_who_may_delete,
    a_repeat_is_success,
    a_restart_in_the_middle_goes_on,
);

pub(crate) fn uuid(id: &str) -> Uuid {
    parse_any(id).unwrap().1
}

pub(crate) async fn delete(client: &Client, field: &str, id: &str) -> bool {
    let query = format!("mutation ($id: ID!) {{ {field}(id: $id) {{ id changed }} }}");
    let answer = client.run(&query, json!({ "id": id })).await;
    assert_eq!(answer.data()[field]["id"], id);
    answer.data()[field]["changed"].as_bool().unwrap()
}

pub(crate) async fn query(app: &TestApp, sql: String) -> Vec<sea_orm::QueryResult> {
    app.kernel.db.query(Statement::from_string(app.kernel.backend(), sql)).await.unwrap()
}

/// Every table and column that can hold an id: what the database itself says it has.
async fn id_columns(app: &TestApp) -> Vec<(String, String)> {
    let sql = match app.kernel.backend() {
        DbBackend::Postgres => {
            "SELECT table_name AS t, column_name AS c FROM information_schema.columns
             WHERE table_schema = 'public' AND data_type = 'uuid'"
        }
        _ => {
            "SELECT m.name AS t, i.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) i
             WHERE m.type = 'table' AND i.type = 'BLOB'"
        }
    };
    let found = query(app, sql.to_owned()).await;
    found.iter().map(|row| (row.try_get("", "t").unwrap(), row.try_get("", "c").unwrap())).collect()
}

/// Where an id still stands: `table.column`.
pub(crate) async fn traces(app: &TestApp, id: Uuid) -> Vec<String> {
    let literal = match app.kernel.backend() {
        DbBackend::Postgres => format!("'{id}'::uuid"),
        _ => format!("x'{}'", id.simple()),
    };
    let mut found = Vec::new();
    for (table, column) in id_columns(app).await {
        let rows = query(app, format!("SELECT 1 AS one FROM {table} WHERE {column} = {literal} LIMIT 1")).await;
        if !rows.is_empty() {
            found.push(format!("{table}.{column}"));
        }
    }
    found.sort();
    found
}

/// A server and the things that tests delete.
pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::with(backend, Options::default()).await
    }

    pub(crate) async fn with(backend: Backend, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(backend, options.at(&clock)).await;
        Self { app, clock }
    }

    fn service(&self) -> Client {
        self.app.client("service", &[Role::Service])
    }

    /// Does everything to a content that a user can do.
    async fn engage(&self, client: &Client, content: &str) {
        for verb in ["like", "favorite"] {
            client.act(verb, content).await.data();
        }
        let comment = "mutation ($id: ID!) { comment(contentId: $id, body: \"hm\") { comment { id } } }";
        for _ in 0..2 {
            client.run(comment, json!({ "id": content })).await.data();
        }
        let id = client.run(comment, json!({ "id": content })).await.data()["comment"]["comment"]["id"].clone();
        let drop = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
        client.run(drop, json!({ "id": id })).await.data();
        let share = "mutation ($id: ID!) { share(contentId: $id, channel: LINK) { changed } }";
        client.run(share, json!({ "id": content })).await.data();
        let view = "mutation ($ids: [ID!]!) { recordViews(contentIds: $ids) { counted } }";
        client.run(view, json!({ "ids": [content] })).await.data();
    }

    pub(crate) async fn figures(&self, content: &str) -> Value {
        let query = "query ($id: ID!) { contents(ids: [$id]) {
            likeCount favoriteCount commentCount shareCount hotness { rank } } }";
        self.app.anonymous().run(query, json!({ "id": content })).await.data()["contents"][0].clone()
    }
}

/// Nobody finds the content any more, whichever way they look.
async fn assert_gone(app: &TestApp, id: &str, author: &str) {
    let anonymous = app.anonymous();
    let query =
        "query ($id: ID!, $author: ID!) { artwork(id: $id) { id } node(id: $id) { id } contents(ids: [$id]) { id }
        artworks(authorId: $author) { totalCount nodes { id } } hotRanking { content { id } } }";
    let answer = anonymous.run(query, json!({ "id": id, "author": author })).await;
    let none = json!({ "artwork": null, "node": null, "contents": [null],
        "artworks": { "totalCount": 0, "nodes": [] }, "hotRanking": [] });
    assert_eq!(*answer.data(), none);
    let reader = app.user("somebody else");
    for verb in ["like", "unlike", "favorite", "unfavorite"] {
        assert_eq!(reader.act(verb, id).await.code(), "NOT_FOUND", "{verb}");
    }
    for (field, arguments) in [
        ("comment", "contentId: $id, body: \"b\""),
        ("share", "contentId: $id, channel: LINK"),
        ("republishContent", "id: $id"),
    ] {
        let query = format!("mutation ($id: ID!) {{ {field}({arguments}) {{ changed }} }}");
        assert_eq!(reader.run(&query, json!({ "id": id })).await.code(), "NOT_FOUND", "{field}");
    }
}

async fn a_deleted_content_is_gone_at_once_and_leaves_nothing(backend: Backend) {
    let world = World::new(backend).await;
    let (app, author) = (&world.app, world.app.user("author"));
    let id = author.publish("one").await;
    for n in 0..3 {
        world.engage(&app.user(&format!("reader {n}")), &id).await;
    }
    // What views were rolled up into goes too.
    world.clock.set(Millis(START.0 + 5 * Millis::HOUR));
    app.settle().await;
    let author = app.user("author");
    let author_id = author.id().await;
    world.engage(&app.user("a late reader"), &id).await;
    let mut listener = app.anonymous().listen("subscription { hotRankingChanged { entries { rank } } }").await;
    assert_eq!(listener.next().await["hotRankingChanged"]["entries"], json!([{ "rank": 1 }]));
    assert!(traces(app, uuid(&id)).await.len() >= 8, "{:?}", traces(app, uuid(&id)).await);

    assert!(delete(&author, "deleteContent", &id).await);
    assert_gone(app, &id, &author_id).await;
    assert_eq!(listener.next().await["hotRankingChanged"]["entries"], json!([]), "rankings hear of it");
    app.audit().await;
    assert!(!traces(app, uuid(&id)).await.is_empty(), "its rows go later");
    app.settle().await;
    assert_eq!(traces(app, uuid(&id)).await, Vec::<String>::new());
    assert_gone(app, &id, &author_id).await;
    world.app.finish().await;
}

async fn its_keys_are_free_at_once(backend: Backend) {
    let world = World::new(backend).await;
    let author = world.app.user("author");
    let publish = "mutation { publishArtwork(input: { title: \"t\", externalId: \"e\", clientKey: \"k\" })
        { created artwork { id } } }";
    let first = author.query(publish).await.data()["publishArtwork"]["artwork"]["id"].as_str().unwrap().to_owned();
    assert_eq!(author.query(publish).await.data()["publishArtwork"]["created"], false);
    assert!(delete(&author, "deleteContent", &first).await);
    let found = world.app.anonymous().query("{ contents(externalIds: [\"e\"]) { id } }").await;
    assert_eq!(found.data()["contents"], json!([null]));
    let again = author.query(publish).await.data()["publishArtwork"].clone();
    assert_eq!(again["created"], true);
    assert_ne!(again["artwork"]["id"], json!(first));
    world.app.settle().await;
    let found = world.app.anonymous().query("{ contents(externalIds: [\"e\"]) { id } }").await;
    assert_eq!(found.data()["contents"][0]["id"], again["artwork"]["id"], "the job takes the old one alone");
    world.app.finish().await;
}

async fn a_deleted_user_is_gone_with_all_that_was_theirs(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let (leaver, other, reader) = (app.user("leaver"), app.user("other"), app.user("reader"));
    let (own, rival, liked) = (leaver.publish("own").await, other.publish("rival").await, other.publish("liked").await);
    world.engage(&reader, &own).await;
    reader.act("like", &rival).await.data();
    // Hotter than its rival by the leaver's acts alone.
    world.engage(&leaver, &liked).await;
    reader.act("unlike", &rival).await.data();
    reader.act("like", &rival).await.data();
    leaver.act("like", &rival).await.data();
    leaver.act("unlike", &rival).await.data();
    // A comment that the leaver deleted as an operator.
    let operator = app.client("leaver", &[Role::Operator]);
    let comment = "mutation ($id: ID!) { comment(contentId: $id, body: \"b\") { comment { id } } }";
    let comment = reader.run(comment, json!({ "id": liked })).await.data()["comment"]["comment"]["id"].clone();
    let drop = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
    operator.run(drop, json!({ "id": comment })).await.data();
    let (id, rival_before) = (leaver.id().await, world.figures(&rival).await);
    assert_eq!(rival_before["hotness"]["rank"], 3, "own and liked come before it");

    assert!(delete(&leaver, "deleteUser", &id).await);
    let user = "query ($id: ID!) { user(id: $id) { id } node(id: $id) { id } }";
    let gone = app.anonymous().run(user, json!({ "id": id })).await;
    assert_eq!(*gone.data(), json!({ "user": null, "node": null }));
    let look = app.anonymous().run("query ($id: ID!) { artwork(id: $id) { id } }", json!({ "id": own })).await;
    assert_eq!(look.data()["artwork"], Value::Null);
    assert_eq!(reader.act("like", &own).await.code(), "NOT_FOUND");
    let like = "mutation ($c: ID!, $u: ID!) { like(contentId: $c, userId: $u) { changed } }";
    let answer = world.service().run(like, json!({ "c": rival, "u": id })).await;
    assert_eq!(answer.code(), "NOT_FOUND", "a service cannot act for them either");
    app.audit().await;

    app.settle().await;
    assert_eq!(traces(app, uuid(&id)).await, Vec::<String>::new());
    assert_eq!(traces(app, uuid(&own)).await, Vec::<String>::new());
    let figures = world.figures(&liked).await;
    assert_eq!(
        figures,
        json!({ "likeCount": 0, "favoriteCount": 0, "commentCount": 0, "shareCount": 0, "hotness": { "rank": 2 } })
    );
    assert_eq!(world.figures(&rival).await["likeCount"], rival_before["likeCount"]);
    assert_eq!(world.figures(&rival).await["hotness"]["rank"], 1, "ranks follow");
    let pending = query(app, "SELECT count(*) AS n FROM deletions".to_owned()).await;
    assert_eq!(pending[0].try_get::<i64>("", "n").unwrap(), 0);
    world.app.finish().await;
}

async fn a_deleted_users_token_makes_no_new_user(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let leaver = app.user("leaver");
    let (id, content) = (leaver.id().await, app.user("author").publish("one").await);
    assert!(delete(&leaver, "deleteUser", &id).await);
    for round in 0..2 {
        assert_eq!(leaver.act("like", &content).await.code(), "FORBIDDEN", "round {round}");
        let publish = "mutation { publishArtwork(input: { title: \"t\" }) { created } }";
        assert_eq!(leaver.query(publish).await.code(), "FORBIDDEN");
        assert_eq!(leaver.query("{ me { user { id } } }").await.code(), "FORBIDDEN");
        // What everybody may read, the token may too.
        let read =
            leaver.run("query ($id: ID!) { artwork(id: $id) { viewerHasLiked } }", json!({ "id": content })).await;
        assert_eq!(read.data()["artwork"]["viewerHasLiked"], false);
        app.settle().await;
    }
    let users = query(app, "SELECT count(*) AS n FROM users WHERE subject = 'leaver'".to_owned()).await;
    assert_eq!(users[0].try_get::<i64>("", "n").unwrap(), 0);
    // Somebody who knows what they do makes a new one.
    let ensure = world.service().query("mutation { ensureUser(subject: \"leaver\") { id } }").await;
    let new = ensure.data()["ensureUser"]["id"].as_str().unwrap().to_owned();
    assert_ne!(new, id);
    assert_eq!(leaver.id().await, new);
    assert_eq!(leaver.act("like", &content).await.data()["like"]["changed"], true);
    world.app.finish().await;
}

async fn only_those_who_may_delete(backend: Backend) {
    let world = World::new(backend).await;
    let (author, other) = (world.app.user("author"), world.app.user("other"));
    let (id, author_id) = (author.publish("one").await, author.id().await);
    for (field, id) in [("deleteContent", &id), ("deleteUser", &author_id)] {
        let query = format!("mutation ($id: ID!) {{ {field}(id: $id) {{ changed }} }}");
        assert_eq!(other.run(&query, json!({ "id": id })).await.code(), "FORBIDDEN", "{field}");
        assert_eq!(world.app.anonymous().run(&query, json!({ "id": id })).await.code(), "UNAUTHENTICATED", "{field}");
    }
    assert_eq!(author.act("like", &id).await.data()["like"]["changed"], true, "nothing has happened");
    let operator = world.app.client("operator", &[Role::Operator]);
    assert!(delete(&operator, "deleteContent", &id).await);
    assert!(delete(&operator, "deleteUser", &author_id).await);
    world.app.finish().await;
}

async fn a_repeat_is_success(backend: Backend) {
    let world = World::new(backend).await;
    let (author, service) = (world.app.user("author"), world.service());
    let (id, author_id) = (author.publish("one").await, author.id().await);
    assert!(delete(&author, "deleteContent", &id).await);
    assert!(!delete(&author, "deleteContent", &id).await);
    // The other kind's id with the same number is nobody's.
    assert!(!delete(&author, "deleteContent", &id.replace("artwork_", "video_")).await);
    world.app.settle().await;
    assert!(!delete(&author, "deleteContent", &id).await);
    assert!(delete(&author, "deleteUser", &author_id).await);
    assert!(!delete(&author, "deleteUser", &author_id).await, "the token of one who is gone may ask again");
    world.app.settle().await;
    assert!(!delete(&service, "deleteUser", &author_id).await);
    assert!(!delete(&service, "deleteUser", "user_01h455vb4pex5vsknk084sn02q").await);
    world.app.finish().await;
}

async fn a_restart_in_the_middle_goes_on(backend: Backend) {
    let world = World::new(backend).await;
    let (leaver, other) = (world.app.user("leaver"), world.app.user("other"));
    let (own, liked) = (leaver.publish("own").await, other.publish("liked").await);
    world.engage(&leaver, &liked).await;
    world.engage(&other, &own).await;
    let id = leaver.id().await;
    assert!(delete(&leaver, "deleteUser", &id).await);
    // As if the process had ended right after the first step of all, before anything was hidden.
    world.app.database.sql("UPDATE contents SET status = 0 WHERE status = 2").await;
    world.app.database.sql("DELETE FROM deletions WHERE kind = 0").await;
    let World { app, clock } = world;
    let database = app.stop_unaudited().await;
    clock.set(Millis(START.0 + 10 * Millis::HOUR));
    let app = TestApp::start_on::<Tally>(database, Options::default().at(&clock)).await;
    app.settle().await;
    for id in [&id, &own] {
        assert_eq!(traces(&app, uuid(id)).await, Vec::<String>::new());
    }
    let world = World { app, clock };
    assert_eq!(world.figures(&liked).await["likeCount"], 0);
    world.app.finish().await;
}
