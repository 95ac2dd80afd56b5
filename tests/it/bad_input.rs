//! Bad input: a clear error with a stable code, nothing written, and nothing of the server's insides in the message.

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tally::kernel::auth::Role;

use crate::harness::{Answer, Backend, Client, TestApp, on_every_backend};

on_every_backend!(
    ids_are_checked,
    pages_are_checked,
    texts_and_numbers_are_checked,
    lists_of_ids_are_bounded,
    an_external_id_is_taken_once,
    a_client_key_publishes_once,
    what_is_not_published_takes_no_likes,
    bodies_are_checked,
    documents_are_checked,
);

/// Everything that a refused request must leave as it was.
async fn stored(app: &TestApp) -> Vec<i64> {
    let sql = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM contents), (SELECT count(*) FROM behaviors), \
               (SELECT count(*) FROM hot_history), (SELECT count(*) FROM content_heat), \
               (SELECT CAST(coalesce(sum(version), 0) AS BIGINT) FROM content_figures)";
    let statement = Statement::from_string(app.kernel.backend(), sql);
    let row = app.kernel.db.reader().query_one_raw(statement).await.unwrap().unwrap();
    (0..6).map(|at| row.try_get_by_index(at).unwrap()).collect()
}

/// What every refusal has: its code, and a message for people who know nothing of the server's insides.
fn refused(answer: &Answer, code: &str) {
    let message = answer.message();
    assert_eq!(answer.code(), code, "{message}");
    let lower = message.to_lowercase();
    let folder = std::env::temp_dir().to_string_lossy().to_lowercase();
    let statements = ["select ", "insert ", "sqlx", "sqlite", "postgres", "constraint"];
    for inside in statements.into_iter().chain(["src/", ".rs", "panicked", &folder]) {
        assert!(!lower.contains(inside), "«{inside}» in: {message}");
    }
}

/// A server with an artwork and a video by `author`, who is known already.
async fn furnished(backend: Backend) -> (TestApp, Client, String, String) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let artwork = author.publish("an artwork").await;
    let answer = author.query("mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }").await;
    let video = answer.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    (app, author, artwork, video)
}

async fn ids_are_checked(backend: Backend) {
    let (app, author, artwork, video) = furnished(backend).await;
    let user = author.id().await;
    let before = stored(&app).await;
    let unknown = "artwork_01h455vb4pex5vsknk084sn02q";
    let like = "mutation ($id: ID!, $user: ID) { like(contentId: $id, userId: $user) { changed } }";
    let act = async |id: &str, user: Option<&str>| author.run(like, json!({ "id": id, "user": user })).await;
    for (id, code, part) in [
        (unknown, "NOT_FOUND", "no such content"),
        (&*artwork.replace("artwork_", "video_"), "NOT_FOUND", "no such content"),
        (&*video.replace("video_", "artwork_"), "NOT_FOUND", "no such content"),
        (&*user, "INVALID_INPUT", "expected an artwork or video id, got a user id"),
        ("nonsense", "INVALID_INPUT", "expected an artwork or video id"),
        ("", "INVALID_INPUT", "expected an artwork or video id"),
        ("artwork_", "INVALID_INPUT", "expected an artwork or video id"),
        (&artwork.to_uppercase(), "INVALID_INPUT", "expected an artwork or video id"),
        (&format!("{artwork}0"), "INVALID_INPUT", "expected an artwork or video id"),
        (&format!("{artwork}\0"), "INVALID_INPUT", "expected an artwork or video id"),
        ("artwork_8zzzzzzzzzzzzzzzzzzzzzzzzz", "INVALID_INPUT", "expected an artwork or video id"),
    ] {
        let answer = act(id, None).await;
        refused(&answer, code);
        assert!(answer.message().contains(part), "{id}: {}", answer.message());
    }
    let answer = act(&artwork, Some(&artwork)).await;
    refused(&answer, "INVALID_INPUT");
    assert!(answer.message().contains("expected a user id, got an artwork id"), "{}", answer.message());

    let answer = author.run("query ($id: ID!) { user(id: $id) { id } }", json!({ "id": artwork })).await;
    refused(&answer, "INVALID_INPUT");
    assert!(answer.message().contains("expected a user id, got an artwork id"), "{}", answer.message());
    let answer = author.run("query ($id: ID!) { artwork(id: $id) { id } }", json!({ "id": video })).await;
    refused(&answer, "INVALID_INPUT");
    assert!(answer.message().contains("expected an artwork id, got a video id"), "{}", answer.message());
    let disguised = json!({ "id": video.replace("video_", "artwork_") });
    let answer = author.run("query ($id: ID!) { artwork(id: $id) { id } node(id: $id) { id } }", disguised).await;
    assert_eq!(*answer.data(), json!({ "artwork": null, "node": null }), "an id is a kind and a number");

    let node = "query ($id: ID!) { node(id: $id) { id } }";
    refused(&author.run(node, json!({ "id": "nonsense" })).await, "INVALID_INPUT");
    let answer = author.run(node, json!({ "id": unknown.replace("artwork", "planet") })).await;
    refused(&answer, "INVALID_INPUT");
    assert_eq!(answer.message(), "nothing has ids that begin with planet_");
    assert_eq!(author.run(node, json!({ "id": unknown })).await.data()["node"], Value::Null);
    assert_eq!(stored(&app).await, before);
    app.finish().await;
}

async fn pages_are_checked(backend: Backend) {
    let (app, author, artwork, _) = furnished(backend).await;
    author.publish("another").await;
    let cursor = |data: &Value| data["artworks"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let newest = cursor(author.query("{ artworks(first: 1) { pageInfo { endCursor } } }").await.data());
    for (arguments, part) in [
        ("first: -1", "first must be from 0 to 100, got -1"),
        ("last: -1", "last must be from 0 to 100, got -1"),
        ("first: 101", "first must be from 0 to 100, got 101"),
        ("first: 2147483647", "first must be from 0 to 100"),
        ("first: 99999999999999999999", ""),
        ("first: 1.5", ""),
        ("first: \"1\"", ""),
        ("first: 1, last: 1", "give first or last, not both"),
        ("after: \"nonsense\"", "the cursor is not one of this server's"),
        ("after: \"\"", "the cursor is not one of this server's"),
        ("before: \"AAAA\"", "the cursor is not one of this server's"),
        ("after: \"a\\u0000b\"", "the cursor is not one of this server's"),
        (&format!("after: \"{artwork}\""), "the cursor is not one of this server's"),
        (&format!("after: \"{newest}\", orderBy: HOTTEST"), "the cursor belongs to a list in another order"),
        (&format!("before: \"{newest}\", orderBy: OLDEST"), "the cursor belongs to a list in another order"),
        ("level: LUKEWARM", ""),
        ("authorId: \"me\"", "expected a user id"),
    ] {
        let answer = author.query(&format!("{{ artworks({arguments}) {{ nodes {{ id }} }} }}")).await;
        refused(&answer, "INVALID_INPUT");
        assert!(answer.message().contains(part), "{arguments}: {}", answer.message());
    }
    for query in ["{ hotRanking(first: -1) { rank } }", "{ hotRanking(first: 101) { rank } }"] {
        refused(&author.query(query).await, "INVALID_INPUT");
    }
    let history = "query ($id: ID!) { artwork(id: $id) { hotness { history(first: 101) { score } } } }";
    refused(&author.run(history, json!({ "id": artwork })).await, "INVALID_INPUT");
    assert_eq!(author.query("{ artworks(first: 0) { nodes { id } } }").await.data()["artworks"]["nodes"], json!([]));
    app.finish().await;
}

const ARTWORK: &str =
    "mutation ($input: PublishArtworkInput!) { publishArtwork(input: $input) { created artwork { id title } } }";
const VIDEO: &str = "mutation ($input: PublishVideoInput!) { publishVideo(input: $input) { created video { id } } }";

#[expect(clippy::too_many_lines, reason = "a table of bad inputs")]
async fn texts_and_numbers_are_checked(backend: Backend) {
    let (app, author, ..) = furnished(backend).await;
    let service = app.client("service", &[Role::Service]);
    service.id().await;
    let before = stored(&app).await;
    let long = |characters: usize| "長".repeat(characters);
    let artwork = [
        (json!({ "title": " \t\n" }), "title must not be blank"),
        (json!({ "title": "\u{200b}\u{feff} " }), "title must not be blank"),
        (json!({ "title": "\u{3164}\u{34f}\u{2800}" }), "title must not be blank"),
        (json!({ "title": long(201) }), "title has more than 200 characters"),
        (json!({ "title": "a\0b" }), "title must not contain NUL"),
        (json!({ "title": "x", "prompt": "a\0b" }), "prompt must not contain NUL"),
        (json!({ "title": "x", "prompt": long(10_001) }), "prompt has more than 10000 characters"),
        (json!({ "title": "x", "model": "a\0b" }), "model must not contain NUL"),
        (json!({ "title": "x", "externalId": "a\0b" }), "externalId must not contain NUL"),
        (json!({ "title": "x", "externalId": long(201) }), "externalId has more than 200 characters"),
        (json!({ "title": "x", "clientKey": "a\0b" }), "clientKey must not contain NUL"),
        (json!({ "title": "x", "source": "a\0b" }), "source must not contain NUL"),
        (json!({ "title": "x", "imageUrl": "javascript:alert(1)" }), "imageUrl must begin with https://"),
        (json!({ "title": "x", "imageUrl": "https://a\0b" }), "imageUrl must not contain NUL"),
        (json!({ "title": "x", "coverUrl": " https://a" }), "coverUrl must begin with https://"),
        (json!({ "title": "x", "coverUrl": "data:text/html,x" }), "coverUrl must begin with https://"),
        (json!({ "title": "x", "width": 100 }), "width and height come together"),
        (json!({ "title": "x", "height": 100 }), "width and height come together"),
        (json!({ "title": "x", "width": 0, "height": 1 }), "width and height come together, from 1 to 100000"),
        (json!({ "title": "x", "width": 1, "height": 100_001 }), "width and height come together, from 1 to 100000"),
        (json!({ "title": "x", "baseWeight": -0.1 }), "baseWeight must be from 0 to 1000000"),
        (json!({ "title": "x", "baseWeight": 1_000_000.1 }), "baseWeight must be from 0 to 1000000"),
        (json!({}), "title"),
        (json!({ "title": null }), "title"),
        (json!({ "title": 7 }), ""),
        (json!({ "title": "x", "colour": "red" }), "colour"),
    ];
    for (input, part) in artwork {
        let answer = service.run(ARTWORK, json!({ "input": input })).await;
        refused(&answer, "INVALID_INPUT");
        assert!(answer.message().contains(part), "«{part}» is not in: {}", answer.message());
    }
    for (input, part) in [
        (json!({ "title": "" }), "title must not be blank"),
        (json!({ "title": "x", "itemId": "a\0b" }), "itemId must not contain NUL"),
        (json!({ "title": "x", "durationMs": -1 }), "durationMs must not be negative"),
        (json!({ "title": "x", "videoUrl": "file:///etc/passwd" }), "videoUrl must begin with https://"),
    ] {
        let answer = service.run(VIDEO, json!({ "input": input })).await;
        refused(&answer, "INVALID_INPUT");
        assert!(answer.message().contains(part), "«{part}» is not in: {}", answer.message());
    }
    let ensure = "mutation ($subject: String!, $name: String, $externalId: String) \
                  { ensureUser(subject: $subject, name: $name, externalId: $externalId) { id } }";
    for user in [
        json!({ "subject": " " }),
        json!({ "subject": "a\0b" }),
        json!({ "subject": long(201) }),
        json!({ "subject": "x", "name": "a\0b" }),
        json!({ "subject": "x", "name": long(101) }),
        json!({ "subject": "x", "externalId": "a\0b" }),
    ] {
        refused(&service.run(ensure, user).await, "INVALID_INPUT");
    }
    let weighed = json!({ "input": { "title": "x", "baseWeight": 1 } });
    refused(&author.run(ARTWORK, weighed).await, "FORBIDDEN");
    let service_id = service.id().await;
    refused(&author.run(ARTWORK, json!({ "input": { "title": "x", "authorId": service_id } })).await, "FORBIDDEN");
    let nobody = "user_01h455vb4pex5vsknk084sn02q";
    refused(&service.run(ARTWORK, json!({ "input": { "title": "x", "authorId": nobody } })).await, "NOT_FOUND");
    assert_eq!(stored(&app).await, before);

    let longest = json!({ "input": { "title": long(200), "prompt": long(10_000) } });
    let answer = author.run(ARTWORK, longest).await;
    assert_eq!(answer.data()["publishArtwork"]["artwork"]["title"], json!(long(200)), "characters count, not bytes");
    app.finish().await;
}

async fn lists_of_ids_are_bounded(backend: Backend) {
    let (app, author, artwork, _) = furnished(backend).await;
    let contents =
        "query ($ids: [ID!], $externalIds: [String!]) { contents(ids: $ids, externalIds: $externalIds) { id } }";
    for arguments in [
        json!({ "ids": [] }),
        json!({ "externalIds": [] }),
        json!({ "ids": vec![&artwork; 1001] }),
        json!({ "externalIds": vec!["x"; 1001] }),
        json!({ "ids": [artwork], "externalIds": ["x"] }),
        json!({}),
        json!({ "externalIds": ["a\0b"] }),
        json!({ "ids": [artwork, "nonsense"] }),
    ] {
        refused(&author.run(contents, arguments).await, "INVALID_INPUT");
    }
    let answer = author.run(contents, json!({ "ids": vec![&artwork; 1000] })).await;
    assert_eq!(answer.data()["contents"], json!(vec![json!({ "id": artwork }); 1000]));
    app.finish().await;
}

async fn an_external_id_is_taken_once(backend: Backend) {
    let (app, author, ..) = furnished(backend).await;
    let input = json!({ "input": { "title": "x", "externalId": "P-1" } });
    author.run(ARTWORK, input.clone()).await.data();
    let before = stored(&app).await;
    refused(&author.run(ARTWORK, input.clone()).await, "CONFLICT");
    let answer = author.run(VIDEO, input).await;
    refused(&answer, "CONFLICT");
    assert_eq!(answer.message(), "another content has this externalId");
    assert_eq!(stored(&app).await, before);

    // So many at once share batches: within one, and across those of two writers, the first wins.
    let input = json!({ "input": { "title": "x", "externalId": "P-2" } });
    let answers = join_all((0..40).map(|_| author.run(ARTWORK, input.clone()))).await;
    let (created, rest): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.body.get("errors").is_none());
    assert_eq!(created.len(), 1);
    rest.iter().for_each(|answer| refused(answer, "CONFLICT"));
    let answer =
        author.query("{ contents(externalIds: [\"P-1\", \"P-2\"]) { externalId } artworks { totalCount } }").await;
    assert_eq!(answer.data()["contents"], json!([{ "externalId": "P-1" }, { "externalId": "P-2" }]));
    assert_eq!(answer.data()["artworks"]["totalCount"], 3);
    app.finish().await;
}

async fn a_client_key_publishes_once(backend: Backend) {
    let (app, author, ..) = furnished(backend).await;
    let input = json!({ "input": { "title": "first", "clientKey": "K" } });
    let again = json!({ "input": { "title": "second", "clientKey": "K" } });
    let answers = join_all((0..20).map(|_| author.run(ARTWORK, input.clone()))).await;
    let payloads: Vec<_> = answers.iter().map(|answer| answer.data()["publishArtwork"].clone()).collect();
    assert_eq!(payloads.iter().filter(|payload| payload["created"] == true).count(), 1);
    assert!(payloads.iter().all(|payload| payload["artwork"] == payloads[0]["artwork"]), "{payloads:#?}");
    let before = stored(&app).await;
    let answer = author.run(ARTWORK, again).await;
    let replay = json!({ "created": false, "artwork": payloads[0]["artwork"] });
    assert_eq!(answer.data()["publishArtwork"], replay, "the first content, as it is");
    refused(&author.run(VIDEO, json!({ "input": { "title": "x", "clientKey": "K" } })).await, "CONFLICT");
    assert_eq!(stored(&app).await, before);

    let other = app.user("other").run(ARTWORK, input).await;
    assert_eq!(other.data()["publishArtwork"]["created"], true, "a key is its author's");
    app.finish().await;
}

async fn what_is_not_published_takes_no_likes(backend: Backend) {
    let (app, author, artwork, _) = furnished(backend).await;
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    author.run(hide, json!({ "id": artwork })).await.data();
    let before = stored(&app).await;
    for verb in ["like", "favorite"] {
        let answer = author.act(verb, &artwork).await;
        refused(&answer, "CONFLICT");
        assert_eq!(answer.message(), "the content is not published");
    }
    refused(&author.run(hide, json!({ "id": "artwork_01h455vb4pex5vsknk084sn02q" })).await, "NOT_FOUND");
    assert_eq!(stored(&app).await, before);
    app.finish().await;
}

async fn bodies_are_checked(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let before = stored(&app).await;
    let token = app.token("author", &[Role::User], 3600);
    let publish = "{\"query\":\"mutation { publishArtwork(input: { title: \\\"x\\\" }) { created } }\"";
    let large = format!("{publish},\"variables\":{{\"x\":\"{}\"}}}}", "x".repeat(1_048_576));
    let json_type = "application/json";
    for (content_type, body, status) in [
        (json_type, "", 400),
        (json_type, "not JSON", 400),
        (json_type, publish, 400),
        (json_type, "[]", 400),
        (json_type, "{}", 400),
        (json_type, "{\"query\":7}", 400),
        (json_type, "{\"query\":\"\"}", 400),
        (json_type, &large, 413),
        ("text/plain", &format!("{publish}}}"), 415),
        ("application/x-www-form-urlencoded", "query=%7Bme%7Broles%7D%7D", 415),
    ] {
        let request = crate::harness::http().post(format!("{}/graphql", app.url)).bearer_auth(&token);
        let request = request.header("Accept", "application/graphql-response+json");
        let response = request.header("Content-Type", content_type).body(body.to_owned()).send().await.unwrap();
        let shown = &body[..body.len().min(60)];
        assert_eq!(response.status(), status, "{content_type}: {shown}");
        let answer = Answer { status, body: response.json().await.unwrap() };
        refused(&answer, "INVALID_INPUT");
    }
    let response =
        crate::harness::http().get(format!("{}/graphql?query=mutation{{__typename}}", app.url)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(stored(&app).await, before);
    app.finish().await;
}

async fn documents_are_checked(backend: Backend) {
    let (app, author, artwork, _) = furnished(backend).await;
    let before = stored(&app).await;
    for document in [
        "{",
        "{ nothing }",
        "{ me { password } }",
        "mutation { explode }",
        "mutation { like { changed } }",
        "mutation { like(contentId: 7) { changed } }",
        "mutation { like(contentId: null) { changed } }",
        "mutation ($id: ID!) { like(contentId: $id) { changed } }",
        "query A { me { roles } } query B { me { roles } }",
        &format!("mutation {{ like(contentId: \"{artwork}\", twice: true) {{ changed }} }}"),
        "subscription { hotRankingChanged { kind } }",
    ] {
        let answer = author.query(document).await;
        let errors = answer.body["errors"].as_array().unwrap_or_else(|| panic!("{document}: {:#}", answer.body));
        assert!(errors.iter().all(|error| error["extensions"]["code"] == "INVALID_INPUT"), "{document}: {errors:#?}");
    }
    assert_eq!(stored(&app).await, before);
    app.finish().await;
}
