//! Publishing, reading back, people.

use serde_json::{Value, json};
use tally::kernel::auth::Role;

use crate::harness::{Backend, Client, TestApp, on_every_backend, unnamed};

on_every_backend!(
    an_artwork_comes_back_as_it_was_given,
    a_video_comes_back_as_it_was_given,
    what_is_left_out_is_null,
    quality_and_base_weight_make_the_score,
    a_service_publishes_for_others,
    what_is_shown_again_is_as_it_was,
    a_node_is_anything_with_an_id,
    me_is_whoever_the_token_speaks_for,
    a_service_makes_and_updates_users,
);

const FIELDS: &str = "id externalId title author { id } coverUrl status publishedAt prompt model width height imageUrl \
    source likeCount favoriteCount commentCount shareCount viewCount viewerHasLiked viewerHasFavorited \
    hotness { score level rank updatedAt levelChangesAt history { score level calculationMethod } }";

async fn artwork(client: &Client, input: Value) -> Value {
    let publish = "mutation ($input: PublishArtworkInput!) { publishArtwork(input: $input) { created artwork";
    let answer = client.run(&format!("{publish} {{ {FIELDS} }} }} }}"), json!({ "input": input })).await;
    answer.data()["publishArtwork"].clone()
}

async fn an_artwork_comes_back_as_it_was_given(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let given = json!({
        "title": "  A fox, 狐狸 🦊 ",
        "prompt": "a fox\nin \"snow\", 'oil'; DROP TABLE contents; --",
        "model": "diffusion-9",
        "width": 1024,
        "height": 768,
        "imageUrl": "https://example.org/fox.png?a=1&b=2",
        "coverUrl": "/covers/fox.webp",
        "externalId": "P-1",
        "source": "generation-7",
    });
    let mut input = given.clone();
    input["clientKey"] = json!("first try");
    let payload = artwork(&author, input).await;
    assert_eq!(payload["created"], true);
    let made = &payload["artwork"];
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field}");
    }
    assert_eq!(made["author"]["id"], json!(author.id().await));
    assert_eq!((&made["status"], &made["hotness"]["level"]), (&json!("PUBLISHED"), &json!("NEW")));
    for count in ["likeCount", "favoriteCount", "commentCount", "shareCount", "viewCount"] {
        assert_eq!(made[count], 0, "{count}");
    }
    let history = made["hotness"]["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[0]["calculationMethod"]), (1, &json!("REALTIME")));

    let read = format!("query ($id: ID!) {{ artwork(id: $id) {{ {FIELDS} }} }}");
    let answer = author.run(&read, json!({ "id": made["id"] })).await;
    let mut again = answer.data()["artwork"].clone();
    let mut first = made.clone();
    // The score fades between the two readings.
    let (now, then) = (again["hotness"]["score"].take(), first["hotness"]["score"].take());
    assert!(now.as_f64() <= then.as_f64() && now.as_f64() > Some(1.0), "{then} and then {now}");
    assert_eq!(again, first, "what was acknowledged is what is stored");
    app.finish().await;
}

async fn a_video_comes_back_as_it_was_given(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let given = json!({
        "title": "A film",
        "itemId": "item-9",
        "durationMs": i32::MAX,
        "videoUrl": "http://example.org/film.mp4",
        "coverUrl": "https://example.org/film.jpg",
        "externalId": "V-1",
    });
    let fields = "id title itemId durationMs videoUrl coverUrl externalId status hotness { score rank }";
    let publish = format!(
        "mutation ($input: PublishVideoInput!) {{ publishVideo(input: $input) {{ created video {{ {fields} }} }} }}"
    );
    let answer = author.run(&publish, json!({ "input": given })).await;
    let made = answer.data()["publishVideo"]["video"].clone();
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field}");
    }
    let answer =
        author.query(&format!("{{ videos {{ totalCount nodes {{ {fields} }} }} artworks {{ totalCount }} }}")).await;
    assert_eq!(answer.data()["videos"]["nodes"][0]["durationMs"], given["durationMs"], "all that an Int holds");
    assert_eq!(answer.data()["videos"]["nodes"][0]["id"], made["id"]);
    assert_eq!(
        (&answer.data()["videos"]["totalCount"], &answer.data()["artworks"]["totalCount"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(author.act("like", made["id"].as_str().unwrap()).await.data()["like"]["content"]["likeCount"], 1);
    app.finish().await;
}

async fn what_is_left_out_is_null(backend: Backend) {
    let app = TestApp::start(backend).await;
    let payload = artwork(&app.user("author"), json!({ "title": "bare", "prompt": "", "externalId": "" })).await;
    for field in ["externalId", "coverUrl", "prompt", "model", "width", "height", "imageUrl", "source"] {
        assert_eq!(payload["artwork"][field], Value::Null, "{field}");
    }
    let other = artwork(&app.user("author"), json!({ "title": "bare", "externalId": "" })).await;
    assert_eq!(other["created"], true, "an id that is left out is not a duplicate");
    app.finish().await;
}

async fn quality_and_base_weight_make_the_score(backend: Backend) {
    let app = TestApp::start(backend).await;
    let service = app.client("service", &[Role::Service]);
    for (input, score) in [
        (json!({}), 10.0),
        (json!({ "width": 1000, "height": 1500 }), 15.0),
        (json!({ "width": 4000, "height": 4000 }), 20.0),
        (json!({ "width": 10, "height": 10 }), 5.0),
        (json!({ "prompt": "p" }), 12.0),
        (json!({ "model": "m" }), 11.0),
        (json!({ "prompt": "p", "model": "m", "width": 2000, "height": 1000 }), 26.4),
        (json!({ "prompt": "p", "baseWeight": 90.5 }), 120.6),
    ] {
        let mut input = input;
        input["title"] = json!("x");
        let payload = artwork(&service, input.clone()).await;
        let made = payload["artwork"]["hotness"]["score"].as_f64().unwrap();
        // It fades by a hundredth in some minutes; nobody waits so long for a test.
        assert!((made - score).abs() < score / 100.0, "{input}: {made}, not {score}");
        let level = if score >= 100.0 {
            "BLAZING"
        } else if score >= 20.5 {
            "WARM"
        } else {
            continue;
        };
        assert_eq!(payload["artwork"]["hotness"]["level"], level, "{input}");
    }
    app.finish().await;
}

async fn a_service_publishes_for_others(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, service) = (app.user("author"), app.client("service", &[Role::Service]));
    let id = author.id().await;
    let payload = artwork(&service, json!({ "title": "x", "authorId": id, "clientKey": "K" })).await;
    assert_eq!(payload["artwork"]["author"]["id"], json!(id));
    let own = artwork(&author, json!({ "title": "y", "authorId": id, "clientKey": "K" })).await;
    assert_eq!(
        (&own["created"], &own["artwork"]["title"]),
        (&json!(false), &json!("x")),
        "the author's keys are one set"
    );
    app.finish().await;
}

async fn what_is_shown_again_is_as_it_was(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, operator) = (app.user("author"), app.client("operator", &[Role::Operator]));
    let id = author.publish("one").await;
    app.user("reader").act("like", &id).await.data();
    let set = async |who: &Client, verb: &str| {
        let query = format!(
            "mutation {{ {verb}(id: \"{id}\") {{ changed content {{ status likeCount publishedAt hotness {{ rank }} }} }} }}"
        );
        who.query(&query).await.data()[verb].clone()
    };
    let published_at = set(&author, "republishContent").await["content"]["publishedAt"].clone();
    let content = |status: &str, rank: Option<i64>| json!({ "status": status, "likeCount": 1, "publishedAt": published_at, "hotness": { "rank": rank } });
    for (who, verb, changed, status, rank) in [
        (&author, "republishContent", false, "PUBLISHED", Some(1)),
        (&operator, "unpublishContent", true, "UNPUBLISHED", None),
        (&author, "unpublishContent", false, "UNPUBLISHED", None),
        (&author, "republishContent", true, "PUBLISHED", Some(1)),
    ] {
        assert_eq!(set(who, verb).await, json!({ "changed": changed, "content": content(status, rank) }), "{verb}");
    }
    let answer = author.query("{ hotRanking { score content { id } } }").await;
    let score = answer.data()["hotRanking"][0]["score"].as_f64().unwrap();
    assert!((11.9..=12.0).contains(&score), "10 for publishing, once, and 2 for the like: {score}");
    app.user("another").act("like", &id).await.data();
    app.finish().await;
}

async fn a_node_is_anything_with_an_id(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let (artwork, user) = (author.publish("an artwork").await, author.id().await);
    let answer = author.query("mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }").await;
    let video = answer.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    let query = "query ($id: ID!) { node(id: $id) { __typename id ... on User { name } \
                 ... on Artwork { title likeCount author { name } } ... on Content { viewerHasLiked } } }";
    let of = async |id: &str| app.anonymous().run(query, json!({ "id": id })).await.data()["node"].clone();
    let name = unnamed(&user);
    assert_eq!(of(&user).await, json!({ "__typename": "User", "id": user, "name": name }));
    let expected = json!({ "__typename": "Artwork", "id": artwork, "title": "an artwork", "likeCount": 0,
        "author": { "name": name }, "viewerHasLiked": false });
    assert_eq!(of(&artwork).await, expected);
    assert_eq!(of(&video).await, json!({ "__typename": "Video", "id": video, "viewerHasLiked": false }));
    let answer =
        app.anonymous().run("query ($id: ID!) { user(id: $id) { id name externalId } }", json!({ "id": user })).await;
    assert_eq!(answer.data()["user"], json!({ "id": user, "name": name, "externalId": null }));
    app.finish().await;
}

async fn me_is_whoever_the_token_speaks_for(backend: Backend) {
    let app = TestApp::start(backend).await;
    let query = "{ me { roles user { id name } } }";
    assert_eq!(app.anonymous().query(query).await.data()["me"], Value::Null);
    let both = app.client("somebody", &[Role::User, Role::Service]);
    let first = both.query(query).await.data()["me"].clone();
    let name = unnamed(first["user"]["id"].as_str().unwrap());
    assert_eq!((&first["roles"], &first["user"]["name"]), (&json!(["USER", "SERVICE"]), &json!(name)));
    let again = app.user("somebody").query(query).await.data()["me"].clone();
    assert_eq!(again["user"], first["user"], "a subject is one user, whatever the roles of the token");
    let answers = futures_util::future::join_all((0..20).map(|_| async { app.user("crowd").id().await })).await;
    assert!(answers.iter().all(|id| *id == answers[0]), "made once, though asked for at once: {answers:?}");
    app.finish().await;
}

async fn a_service_makes_and_updates_users(backend: Backend) {
    let app = TestApp::start(backend).await;
    let service = app.client("service", &[Role::Service]);
    let ensure = "mutation ($subject: String!, $name: String, $externalId: String) \
                  { ensureUser(subject: $subject, name: $name, externalId: $externalId) { id name externalId } }";
    let run = async |arguments: Value| service.run(ensure, arguments).await;
    let made = run(json!({ "subject": "s1" })).await.data()["ensureUser"].clone();
    assert_eq!((&made["name"], &made["externalId"]), (&json!(unnamed(made["id"].as_str().unwrap())), &Value::Null));
    let id = &made["id"];
    for (arguments, name, external_id) in [
        (json!({ "subject": "s1", "name": "Ann" }), "Ann", Value::Null),
        (json!({ "subject": "s1", "externalId": "E1" }), "Ann", json!("E1")),
        (json!({ "subject": "s1" }), "Ann", json!("E1")),
        (json!({ "subject": "s1", "name": "Änne 安", "externalId": "E2" }), "Änne 安", json!("E2")),
    ] {
        let user = json!({ "id": id, "name": name, "externalId": external_id });
        assert_eq!(run(arguments.clone()).await.data()["ensureUser"], user, "{arguments}");
    }
    let answer = run(json!({ "subject": "s2", "name": "Ben", "externalId": "E2" })).await;
    assert_eq!((answer.code(), answer.message()), ("CONFLICT", "another user has this externalId"));
    run(json!({ "subject": "s2", "externalId": "E1" })).await.data();
    assert_eq!(app.user("s1").id().await, id.as_str().unwrap(), "the token of that subject is that user");
    let me = app.user("s2").query("{ me { user { name externalId } } }").await;
    let name = unnamed(&app.user("s2").id().await);
    assert_eq!(me.data()["me"]["user"], json!({ "name": name, "externalId": "E1" }), "the refused name was not taken");
    app.finish().await;
}
