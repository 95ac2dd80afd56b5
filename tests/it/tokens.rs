//! What a token must be and say, and how long it is remembered. Keys that an issuer publishes: `tests/it/jwks.rs`.

use std::sync::Arc;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{ManualClock, SystemClock};

use crate::harness::{Backend, Client, Listener, Options, SECRET, START, TestApp, on_every_backend};

on_every_backend!(
    a_token_that_does_not_hold_is_refused_over_http,
    a_token_that_does_not_hold_ends_the_socket_without_an_ack,
    a_socket_ends_with_its_token,
);

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
        (format!("Bearer {unsigned}"), "the token is not valid"),
        ("Bearer nonsense".to_owned(), "the token is not valid"),
        (format!("Basic {good}"), "Authorization must be: Bearer TOKEN"),
        (good, "Authorization must be: Bearer TOKEN"),
    ]
}

async fn a_token_that_does_not_hold_is_refused_over_http(backend: Backend) {
    let app = TestApp::start(backend).await;
    let http = crate::harness::http();
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
    assert_eq!(listener.end().await, ((4403, "Token expired".to_owned()), Vec::new()));
    app.user("author").publish("one").await;
    other.next().await;
    anonymous.next().await;
    let answer = short.query("{ me { roles } }").await;
    assert_eq!((answer.status, answer.message()), (401, "the token has expired"));
    app.finish().await;
}

/// What a server with these settings, at [`START`], makes of a token of its secret: roles, or a message. The database
/// plays no part: SQLite only.
struct Judge {
    app: TestApp,
    clock: Arc<ManualClock>,
}

impl Judge {
    async fn with(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(Backend::Sqlite, options.at(&clock)).await;
        Self { app, clock }
    }

    async fn says(&self, claims: Value) -> Value {
        self.says_of(signed(&claims)).await
    }

    async fn says_of(&self, token: String) -> Value {
        let answer = Client::new(&self.app.url, Some(token)).query("{ me { roles } }").await;
        match answer.body.get("errors") {
            None => answer.data()["me"]["roles"].clone(),
            Some(_) => {
                assert_eq!((answer.status, answer.code()), (401, "UNAUTHENTICATED"), "{:#}", answer.body);
                json!(answer.message())
            }
        }
    }
}

/// [`START`] in seconds.
const NOW: i64 = START.0 / 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_holds_from_nbf_to_exp() {
    let judge = Judge::with(Options::default()).await;
    let (early, late) = (json!("the token does not hold yet"), json!("the token has expired"));
    let numbers = json!("the token's sub is a text, its exp a number of seconds");
    for (claims, expected) in [
        (json!({ "sub": "x", "exp": NOW }), &late),
        (json!({ "sub": "x", "exp": NOW as f64 + 0.5 }), &json!([])),
        (json!({ "sub": "x", "exp": NOW as f64 - 0.5 }), &late),
        (json!({ "sub": "x", "exp": -1 }), &late),
        (json!({ "sub": "x", "exp": 1e300 }), &json!([])),
        (json!({ "sub": "x", "exp": i64::MAX }), &json!([])),
        (json!({ "sub": "x", "exp": u64::MAX }), &json!([])),
        (json!({ "sub": "x", "exp": -1e300 }), &late),
        (json!({ "sub": "x", "exp": "2100-01-01" }), &numbers),
        (json!({ "sub": "x", "exp": null }), &numbers),
        (json!({ "sub": 7, "exp": NOW + 9 }), &numbers),
        (json!({ "sub": "x", "exp": NOW + 9, "nbf": NOW }), &json!([])),
        (json!({ "sub": "x", "exp": NOW + 9, "nbf": NOW as f64 + 0.001 }), &early),
        (json!({ "sub": "x", "exp": NOW + 9, "nbf": NOW + 1 }), &early),
        (json!({ "sub": "x", "exp": NOW + 9, "nbf": "now" }), &json!("the token's nbf is a number of seconds")),
        // Whom else it is for, and who made it, is not asked.
        (json!({ "sub": "x", "exp": NOW + 9, "iss": "anybody", "aud": ["anything"], "iat": "x" }), &json!([])),
    ] {
        assert_eq!(judge.says(claims.clone()).await, *expected, "{claims}");
    }
    judge.app.finish().await;

    let judge = Judge::with(Options::default().with("auth.leeway_secs", 60)).await;
    assert_eq!(judge.says(json!({ "sub": "x", "exp": NOW - 59 })).await, json!([]));
    assert_eq!(judge.says(json!({ "sub": "x", "exp": NOW - 60 })).await, late);
    assert_eq!(judge.says(json!({ "sub": "x", "exp": NOW + 9, "nbf": NOW + 60 })).await, json!([]));
    assert_eq!(judge.says(json!({ "sub": "x", "exp": NOW + 9, "nbf": NOW + 61 })).await, early);
    judge.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_and_audience_are_checked_when_they_are_set() {
    let options = Options::default().with("auth.issuer", "https://issuer.example/").with("auth.audience", "tally");
    let judge = Judge::with(options).await;
    let (issuer, audience) = (json!("the token is of another issuer"), json!("the token is for another audience"));
    let iss = "https://issuer.example/";
    for (claims, expected) in [
        (json!({ "iss": iss, "aud": "tally" }), &json!([])),
        (json!({ "iss": iss, "aud": ["account", "tally"] }), &json!([])),
        (json!({ "iss": iss, "aud": ["account", 7, "tally"] }), &json!([])),
        (json!({ "iss": "https://issuer.example", "aud": "tally" }), &issuer),
        (json!({ "iss": [iss], "aud": "tally" }), &issuer),
        (json!({ "aud": "tally" }), &issuer),
        (json!({ "iss": iss, "aud": "tally2" }), &audience),
        (json!({ "iss": iss, "aud": ["account"] }), &audience),
        (json!({ "iss": iss, "aud": { "tally": true } }), &audience),
        (json!({ "iss": iss }), &audience),
    ] {
        let mut all = json!({ "sub": "x", "exp": NOW + 9 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        assert_eq!(judge.says(all).await, *expected, "{claims}");
    }
    let own = judge.app.token("somebody", &[Role::Operator], 60);
    assert_eq!(judge.says_of(own).await, json!(["OPERATOR"]), "tally's own tokens say what is asked of all");
    judge.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_where_the_setting_says_and_those_of_others_are_left_out() {
    let wrong = json!("the token's roles are not a list of texts");
    let (none, user) = (json!([]), json!(["USER"]));
    let realm = "realm_access.roles";
    let named = "https://tally.example/roles";
    for (claim, claims, expected) in [
        ("roles", json!({ "roles": ["USER", "KING", "admin", "", "USER", "ADMIN"] }), &json!(["USER", "ADMIN"])),
        ("roles", json!({ "roles": [] }), &none),
        ("roles", json!({}), &none),
        ("roles", json!({ "roles": "ADMIN" }), &wrong),
        ("roles", json!({ "roles": ["USER", 7] }), &wrong),
        ("roles", json!({ "roles": { "ADMIN": true } }), &wrong),
        ("roles", json!({ "roles": null }), &wrong),
        (realm, json!({ "realm_access": { "roles": ["USER", "offline_access"] }, "roles": ["ADMIN"] }), &user),
        (realm, json!({ "realm_access": { "roles": "USER" } }), &wrong),
        (realm, json!({ "realm_access": ["USER"] }), &none),
        (realm, json!({ "roles": ["ADMIN"] }), &none),
        (named, json!({ "https://tally.example/roles": ["USER"] }), &user),
        ("a.b.c", json!({ "a": { "b": { "c": ["USER"] } } }), &user),
    ] {
        let judge = Judge::with(Options::default().with("auth.roles_claim", claim)).await;
        let mut all = json!({ "sub": "x", "exp": NOW + 9 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        assert_eq!(judge.says(all).await, *expected, "{claim}: {claims}");
        let own = judge.app.token("somebody", &[Role::Teacher], 60);
        assert_eq!(judge.says_of(own).await, json!(["TEACHER"]), "{claim}");
        judge.app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_verified_once_and_forgotten_when_it_expires() {
    let judge = Judge::with(Options::default()).await;
    let (mine, other) = (judge.app.token("mine", &[Role::User], 60), judge.app.token("other", &[Role::Admin], 120));
    for _ in 0..3 {
        assert_eq!(judge.says_of(mine.clone()).await, json!(["USER"]));
        assert_eq!(judge.says_of(other.clone()).await, json!(["ADMIN"]), "not taken for the other");
    }
    assert_eq!(judge.app.verified(), 2);
    // A signature with one byte more: nothing like a token that holds is taken for it.
    for _ in 0..3 {
        assert_eq!(judge.says_of(format!("{mine}x")).await, json!("the token was signed with another key"));
    }
    judge.clock.set(START.plus(59_999));
    assert_eq!(judge.says_of(mine.clone()).await, json!(["USER"]));
    assert_eq!(judge.app.verified(), 2);
    judge.clock.set(START.plus(60_000));
    assert_eq!(judge.says_of(mine).await, json!("the token has expired"));
    assert_eq!(judge.says_of(other).await, json!(["ADMIN"]));
    judge.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_remembered_tokens_is_bounded() {
    let judge = Judge::with(Options::default().with("auth.cached_tokens", 0)).await;
    let token = judge.app.token("somebody", &[Role::User], 60);
    for _ in 0..3 {
        assert_eq!(judge.says_of(token.clone()).await, json!(["USER"]));
    }
    assert_eq!(judge.app.verified(), 3, "nothing is remembered");
    judge.app.finish().await;

    let judge = Judge::with(Options::default().with("auth.cached_tokens", 2)).await;
    let tokens: Vec<_> = (0..20).map(|life| judge.app.token("somebody", &[Role::User], 60 + life)).collect();
    for token in tokens.iter().chain(&tokens) {
        assert_eq!(judge.says_of(token.clone()).await, json!(["USER"]));
    }
    assert!(judge.app.verified() > 30, "of {} tokens at most a few are remembered", tokens.len());
    judge.app.finish().await;
}
