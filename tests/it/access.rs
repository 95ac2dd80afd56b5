//! Who may use what. The table below has a line for every root field of the schema, and fails when one lacks.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tally::kernel::auth::Role;
use tally::kernel::clock::SystemClock;

use crate::harness::{Backend, Client, Listener, SECRET, TestApp, on_every_backend};

on_every_backend!(
    every_root_field_has_a_line_and_keeps_to_it,
    a_token_that_does_not_hold_is_refused_over_http,
    a_token_that_does_not_hold_ends_the_socket_without_an_ack,
    a_socket_ends_with_its_token,
);

/// What a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    Answer,
    Code(&'static str),
}

const YES: Gets = Gets::Answer;
const WHO: Gets = Gets::Code("UNAUTHENTICATED");
const NO: Gets = Gets::Code("FORBIDDEN");

/// Root, field, a sample document, and what nobody, `USER`, `SERVICE` and `OPERATOR` get. `A`, `V` and `U` stand for
/// the ids of an artwork, a video and a user; none of the callers is their author.
const TABLE: &[(&str, &str, &str, [Gets; 4])] = &[
    ("query", "me", "{ me { roles } }", [YES, YES, YES, YES]),
    ("query", "node", "{ node(id: \"A\") { id } }", [YES, YES, YES, YES]),
    ("query", "user", "{ user(id: \"U\") { id } }", [YES, YES, YES, YES]),
    ("query", "artwork", "{ artwork(id: \"A\") { id } }", [YES, YES, YES, YES]),
    ("query", "video", "{ video(id: \"V\") { id } }", [YES, YES, YES, YES]),
    ("query", "contents", "{ contents(ids: [\"A\", \"V\"]) { id } }", [YES, YES, YES, YES]),
    ("query", "artworks", "{ artworks { nodes { id } } }", [YES, YES, YES, YES]),
    ("query", "videos", "{ videos { nodes { id } } }", [YES, YES, YES, YES]),
    ("query", "hotRanking", "{ hotRanking { rank } }", [YES, YES, YES, YES]),
    ("query", "hotnessSettings", "{ hotnessSettings { version } }", [YES, YES, YES, YES]),
    ("mutation", "ensureUser", "mutation { ensureUser(subject: \"x\") { id } }", [WHO, NO, YES, YES]),
    (
        "mutation",
        "publishArtwork",
        "mutation { publishArtwork(input: { title: \"x\" }) { created } }",
        [WHO, YES, YES, YES],
    ),
    (
        "mutation",
        "publishVideo",
        "mutation { publishVideo(input: { title: \"x\" }) { created } }",
        [WHO, YES, YES, YES],
    ),
    ("mutation", "like", "mutation { like(contentId: \"A\") { changed } }", [WHO, YES, YES, YES]),
    ("mutation", "unlike", "mutation { unlike(contentId: \"A\") { changed } }", [WHO, YES, YES, YES]),
    ("mutation", "favorite", "mutation { favorite(contentId: \"V\") { changed } }", [WHO, YES, YES, YES]),
    ("mutation", "unfavorite", "mutation { unfavorite(contentId: \"V\") { changed } }", [WHO, YES, YES, YES]),
    ("mutation", "unpublishContent", "mutation { unpublishContent(id: \"A\") { changed } }", [WHO, NO, YES, YES]),
    ("mutation", "republishContent", "mutation { republishContent(id: \"A\") { changed } }", [WHO, NO, YES, YES]),
    ("subscription", "hotnessChanged", "subscription { hotnessChanged { score } }", [YES, YES, YES, YES]),
    ("subscription", "hotRankingChanged", "subscription { hotRankingChanged { kind } }", [YES, YES, YES, YES]),
];

/// The root fields that the schema itself names.
async fn root_fields(client: &Client) -> BTreeSet<(String, String)> {
    let query = "{ __schema { query: queryType { fields { name } } mutation: mutationType { fields { name } } \
                 subscription: subscriptionType { fields { name } } } }";
    let answer = client.query(query).await;
    let roots = ["query", "mutation", "subscription"].into_iter();
    let named = |root: &str| answer.data()["__schema"][root]["fields"].as_array().unwrap().clone();
    roots
        .flat_map(|root| named(root).into_iter().map(move |field| (root, field)))
        .map(|(root, field)| (root.to_owned(), field["name"].as_str().unwrap().to_owned()))
        .collect()
}

async fn every_root_field_has_a_line_and_keeps_to_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    let listed: BTreeSet<_> = TABLE.iter().map(|(root, field, ..)| ((*root).to_owned(), (*field).to_owned())).collect();
    assert_eq!(listed.len(), TABLE.len(), "a field has two lines");
    let fields = root_fields(&app.anonymous()).await;
    let without: Vec<_> = fields.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&fields).collect();
    assert!(without.is_empty() && gone.is_empty(), "add lines for {without:?}, remove those of {gone:?}");

    let author = app.user("author");
    let artwork = author.publish("an artwork").await;
    let video = author.query("mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }").await;
    let video = video.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    let user = author.id().await;
    let callers = [
        app.anonymous(),
        app.user("a user"),
        app.client("a service", &[Role::Service]),
        app.client("an operator", &[Role::Operator]),
    ];
    for (root, field, document, gets) in TABLE {
        let document = document.replace("\"A\"", &format!("\"{artwork}\""));
        let document = document.replace("\"V\"", &format!("\"{video}\"")).replace("\"U\"", &format!("\"{user}\""));
        for (caller, expected) in callers.iter().zip(gets) {
            let got = match *root {
                "subscription" => first_of(caller, &author, &document).await,
                _ => caller.query(&document).await.body,
            };
            assert_eq!(what(&got), *expected, "{root} {field}: {got:#}");
        }
    }
    app.finish().await;
}

/// The first message of a subscription, while somebody publishes so that there is something to hear.
async fn first_of(caller: &Client, author: &Client, document: &str) -> Value {
    let mut listener = caller.listen(document).await;
    listener.next_while(async || drop(author.publish("news").await)).await
}

fn what(body: &Value) -> Gets {
    let Some(errors) = body.get("errors") else { return YES };
    let codes = ["UNAUTHENTICATED", "FORBIDDEN"];
    let code = codes.into_iter().find(|code| errors[0]["extensions"]["code"] == **code);
    Gets::Code(code.unwrap_or_else(|| panic!("another error: {body:#}")))
}

/// A token of the tests' secret with any claims at all.
fn signed(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

/// Values of `Authorization` that do not hold, and why.
fn bad_headers(app: &TestApp) -> Vec<(String, &'static str)> {
    let foreign = tally::kernel::auth::Tokens::new(&SECRET.to_uppercase(), std::sync::Arc::new(SystemClock));
    let good = app.token("somebody", &[Role::User], 3600);
    let far = 4_102_444_800_i64;
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwfQ.";
    vec![
        (format!("Bearer {}", app.token("somebody", &[Role::Admin], -1)), "the token has expired"),
        (
            format!("Bearer {}", foreign.mint("x", &[Role::Admin], 3600).unwrap()),
            "the token was signed with another key",
        ),
        (format!("Bearer {}", signed(&json!({ "exp": far }))), "the token lacks sub or exp"),
        (format!("Bearer {}", signed(&json!({ "sub": "x" }))), "the token lacks sub or exp"),
        (
            format!("Bearer {}", signed(&json!({ "sub": "", "exp": far }))),
            "a subject has 1 to 200 characters and no NUL",
        ),
        (
            format!("Bearer {}", signed(&json!({ "sub": "a\0b", "exp": far }))),
            "a subject has 1 to 200 characters and no NUL",
        ),
        (format!("Bearer {}", signed(&json!({ "sub": "x", "exp": far, "roles": ["KING"] }))), "the token is not valid"),
        (format!("Bearer {unsigned}"), "the token is not valid"),
        ("Bearer nonsense".to_owned(), "the token is not valid"),
        (format!("Basic {good}"), "Authorization must be: Bearer TOKEN"),
        (good, "Authorization must be: Bearer TOKEN"),
    ]
}

async fn a_token_that_does_not_hold_is_refused_over_http(backend: Backend) {
    let app = TestApp::start(backend).await;
    let http = reqwest::Client::new();
    for (header, why) in bad_headers(&app) {
        let request = http.post(format!("{}/graphql", app.url)).header("Authorization", &header);
        // What anybody may ask: a token that does not hold is an error even where none is needed.
        let response = request.json(&json!({ "query": "{ hotRanking { rank } }" })).send().await.unwrap();
        assert_eq!(response.status(), 401, "{why}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{why}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["errors"][0]["message"], why);
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{why}");
        assert!(body.get("data").is_none_or(Value::is_null), "{body:#}");
    }
    let good = format!("bEARER {}", app.token("somebody", &[Role::User], 3600));
    let request = http.post(format!("{}/graphql", app.url)).header("Authorization", good);
    let response = request.json(&json!({ "query": "{ me { roles } }" })).send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({ "data": { "me": { "roles": ["USER"] } } }), "the scheme's case does not matter");
    app.finish().await;
}

async fn a_token_that_does_not_hold_ends_the_socket_without_an_ack(backend: Backend) {
    let app = TestApp::start(backend).await;
    let forbidden = ((4403, "Forbidden".to_owned()), Vec::new());
    for (header, why) in bad_headers(&app) {
        let mut socket = Listener::raw(&app.url).await;
        socket.send(json!({ "type": "connection_init", "payload": { "Authorization": header } })).await;
        assert_eq!(socket.end().await, forbidden, "{why}");
    }
    let mut socket = Listener::raw(&app.url).await;
    socket.send(json!({ "type": "connection_init", "payload": { "Authorization": 7 } })).await;
    assert_eq!(socket.end().await, forbidden);
    let mut socket = Listener::raw(&app.url).await;
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ me { roles } }" } });
    socket.send(subscribe).await;
    let unauthorized = ((4401, "Unauthorized".to_owned()), Vec::new());
    assert_eq!(socket.end().await, unauthorized, "nothing runs before the token was seen");
    app.finish().await;
}

async fn a_socket_ends_with_its_token(backend: Backend) {
    let app = TestApp::start(backend).await;
    let short = Client::new(&app.url, Some(app.token("short", &[Role::User], 2)));
    let mut listener = short.listen("subscription { hotRankingChanged { kind } }").await;
    let mut other = app.user("long").listen("subscription { hotRankingChanged { kind } }").await;
    let mut anonymous = app.anonymous().listen("subscription { hotRankingChanged { kind } }").await;
    for socket in [&mut listener, &mut other, &mut anonymous] {
        socket.next().await;
    }
    assert_eq!(listener.end().await, ((4401, "Token expired".to_owned()), Vec::new()));
    app.user("author").publish("one").await;
    other.next().await;
    anonymous.next().await;
    let answer = short.query("{ me { roles } }").await;
    assert_eq!((answer.status, answer.message()), (401, "the token has expired"));
    app.finish().await;
}
