//! Likes and favorites over HTTP.

use serde_json::json;
use tally::kernel::auth::Role;

use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    a_like_moves_count_score_and_rank,
    repeats_say_that_nothing_changed,
    a_service_acts_for_others_and_a_user_does_not,
    an_unpublished_content_takes_no_likes_and_keeps_its_figures,
);

async fn a_like_moves_count_score_and_rank(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let (first, second) = (author.publish("first").await, author.publish("second").await);

    let answer = reader.act("like", &first).await;
    let liked = &answer.data()["like"];
    assert_eq!(liked["changed"], true);
    assert_eq!(liked["content"]["likeCount"], 1);
    assert_eq!(liked["content"]["viewerHasLiked"], true);
    assert_eq!(liked["content"]["hotness"]["rank"], 1);
    let score = liked["content"]["hotness"]["score"].as_f64().unwrap();
    assert!((11.99..=12.0).contains(&score), "10 for publishing and 2 for the like, a moment ago: {score}");

    reader.act("favorite", &second).await.data();
    let answer =
        app.anonymous().query("{ hotRanking { rank score content { id favoriteCount viewerHasLiked } } }").await;
    let ranking = &answer.data()["hotRanking"];
    assert_eq!(ranking[0]["content"]["id"], json!(second), "a favorite weighs 5, a like 2");
    assert_eq!(ranking[0]["content"]["favoriteCount"], 1);
    assert_eq!(ranking[1]["content"]["id"], json!(first));
    assert_eq!(ranking[1]["content"]["viewerHasLiked"], false, "nobody asks");
    app.finish().await;
}

async fn repeats_say_that_nothing_changed(backend: Backend) {
    let app = TestApp::start(backend).await;
    let reader = app.user("reader");
    let id = app.user("author").publish("one").await;
    for (verb, changed, likes) in [
        ("unlike", false, 0),
        ("like", true, 1),
        ("like", false, 1),
        ("unlike", true, 0),
        ("unlike", false, 0),
        ("like", true, 1),
    ] {
        let answer = reader.act(verb, &id).await;
        assert_eq!(answer.data()[verb]["changed"], changed, "{verb}");
        assert_eq!(answer.data()[verb]["content"]["likeCount"], likes, "{verb}");
    }
    app.finish().await;
}

async fn a_service_acts_for_others_and_a_user_does_not(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (reader, service) = (app.user("reader"), app.client("backend", &[Role::Service]));
    let (id, reader_id) = (app.user("author").publish("one").await, reader.id().await);
    let like =
        "mutation ($id: ID!, $user: ID) { like(contentId: $id, userId: $user) { changed content { likeCount } } }";

    let answer = service.run(like, json!({ "id": id, "user": reader_id })).await;
    assert_eq!(answer.data()["like"]["changed"], true);
    assert_eq!(reader.act("like", &id).await.data()["like"]["changed"], false, "it is the reader's like");

    let other = app.user("other");
    assert_eq!(other.run(like, json!({ "id": id, "user": reader_id })).await.code(), "FORBIDDEN");
    let own = other.run(like, json!({ "id": id, "user": other.id().await })).await;
    assert_eq!(own.data()["like"]["content"]["likeCount"], 2);
    let nobody = "user_01h455vb4pex5vsknk084sn02q";
    assert_eq!(service.run(like, json!({ "id": id, "user": nobody })).await.code(), "NOT_FOUND");
    assert_eq!(app.anonymous().run(like, json!({ "id": id })).await.code(), "UNAUTHENTICATED");
    app.finish().await;
}

async fn an_unpublished_content_takes_no_likes_and_keeps_its_figures(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    reader.act("like", &id).await.data();
    let status =
        "mutation ($id: ID!) { unpublishContent(id: $id) { changed content { status likeCount hotness { rank } } } }";
    assert_eq!(reader.run(status, json!({ "id": id })).await.code(), "FORBIDDEN");

    let answer = author.run(status, json!({ "id": id })).await;
    let hidden = &answer.data()["unpublishContent"];
    assert_eq!(
        *hidden,
        json!({ "changed": true, "content": { "status": "UNPUBLISHED", "likeCount": 1, "hotness": { "rank": null } } })
    );
    assert_eq!(author.run(status, json!({ "id": id })).await.data()["unpublishContent"]["changed"], false);
    assert_eq!(app.user("other").act("like", &id).await.code(), "CONFLICT");
    assert_eq!(app.user("other").act("favorite", &id).await.code(), "CONFLICT");
    let answer = reader.query("{ hotRanking { rank } artworks { totalCount nodes { id } } }").await;
    assert_eq!(*answer.data(), json!({ "hotRanking": [], "artworks": { "totalCount": 0, "nodes": [] } }));
    assert_eq!(
        reader.act("unlike", &id).await.data()["unlike"]["content"]["likeCount"],
        0,
        "one's own may be taken back"
    );
    reader.run("mutation ($id: ID!) { like(contentId: $id) { changed } }", json!({ "id": id })).await.code();

    let again =
        "mutation ($id: ID!) { republishContent(id: $id) { changed content { status hotness { score rank } } } }";
    let answer = author.run(again, json!({ "id": id })).await;
    let shown = &answer.data()["republishContent"];
    assert_eq!(shown["changed"], true);
    assert_eq!(shown["content"]["hotness"]["rank"], 1);
    let score = shown["content"]["hotness"]["score"].as_f64().unwrap();
    assert!(score <= 10.0, "publishing again adds no weight twice: {score}");
    app.finish().await;
}
