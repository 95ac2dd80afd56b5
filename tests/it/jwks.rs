//! Tokens of an issuer that publishes its keys. The database plays no part: SQLite only.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::ManualClock;

use crate::harness::{Backend, Client, Issuer, Key, Options, START, Says, TestApp, run};

const FOREIGN: (&str, &str) = ("UNAUTHENTICATED", "the token was signed with another key");
const INVALID: (&str, &str) = ("UNAUTHENTICATED", "the token is not valid");
const UNAVAILABLE: (&str, &str) = ("UNAVAILABLE", "the keys of the token's issuer cannot be had now; try again");

/// A server that trusts an issuer and its own secret.
async fn trusting(issuer: &Issuer, options: Options) -> TestApp {
    let options = options.with("auth.jwks_url", &issuer.url);
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

fn claims() -> Value {
    json!({ "sub": "somebody", "exp": 4_102_444_800_i64, "roles": ["USER"] })
}

/// The claims, with something to tell tokens apart: one that was verified is remembered.
fn claims_no(number: u32) -> Value {
    json!({ "sub": "somebody", "exp": 4_102_444_800_i64, "jti": number.to_string() })
}

async fn holds(app: &TestApp, token: String) {
    let answer = Client::new(&app.url, Some(token)).query("{ me { roles } }").await;
    assert!(answer.data()["me"].is_object(), "{:#}", answer.body);
}

#[track_caller]
fn refused(app: &TestApp, token: String, expected: (&'static str, &'static str)) -> impl Future<Output = ()> + use<> {
    let client = Client::new(&app.url, Some(token));
    let caller = std::panic::Location::caller();
    async move {
        let answer = client.query("{ hotRanking { rank } }").await;
        assert_eq!((answer.code(), answer.message()), expected, "{caller}: {:#}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_every_kind_of_key_hold() {
    let keys = [Key::rsa("r"), Key::ec("e"), Key::ed("d")];
    let issuer = Issuer::of(&[&keys[0], &keys[1], &keys[2]]).await;
    let app = trusting(&issuer, Options::default()).await;
    for key in &keys {
        holds(&app, key.token(&claims())).await;
        let nameless = key.signed(&json!({ "alg": key.alg() }), &claims());
        holds(&app, nameless).await;
    }
    holds(&app, app.token("of the secret", &[Role::User], 3600)).await;
    assert_eq!(issuer.asked(), 1, "known keys are not asked for");

    let another = Key::ec("another");
    issuer.publishes(&[&keys[0], &keys[1], &another]);
    holds(&app, another.token(&claims())).await;
    refused(&app, keys[1].signed(&json!({ "alg": "ES256" }), &claims_no(1)), FOREIGN).await;
    holds(&app, keys[0].signed(&json!({ "alg": "RS256" }), &claims_no(1))).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_says_which_algorithm_holds() {
    let (rsa, ec, foreign) = (Key::rsa("r"), Key::ec("e"), Key::rsa("r"));
    let issuer = Issuer::of(&[&rsa, &ec]).await;
    let app = trusting(&issuer, Options::default()).await;
    let only = TestApp::start_with::<Tally>(
        Backend::Sqlite,
        Options::default().with("auth.jwks_url", &issuer.url).without("auth.secret"),
    )
    .await;
    let with = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });

    // What everybody knows of the key, taken for a secret.
    let jwk = rsa.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for public in [jwk.to_string().as_bytes(), jwk["n"].as_str().unwrap().as_bytes(), &modulus] {
        let key = jsonwebtoken::EncodingKey::from_secret(public);
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some("r".to_owned());
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        refused(&app, token.clone(), FOREIGN).await;
        refused(&only, token, INVALID).await;
    }
    for alg in ["none", "None", "HS512", "RS384", "PS256", "RS1"] {
        refused(&app, rsa.signed(&with(alg, "r"), &claims()), INVALID).await;
    }
    refused(&app, rsa.signed(&with("none", "r"), &claims()).rsplit_once('.').unwrap().0.to_owned() + ".", INVALID)
        .await;
    // A good signature, under the name of a key of another algorithm.
    refused(&app, ec.signed(&with("ES256", "r"), &claims()), FOREIGN).await;
    refused(&app, rsa.signed(&with("RS256", "e"), &claims()), FOREIGN).await;
    refused(&app, rsa.signed(&with("ES256", "e"), &claims()), FOREIGN).await;
    // Somebody else's key under a known name, sent along for good measure.
    refused(&app, foreign.token(&claims()), FOREIGN).await;
    let bringing = json!({ "alg": "RS256", "kid": "r", "jwk": foreign.jwk(), "jku": issuer.url });
    refused(&app, foreign.signed(&bringing, &claims()), FOREIGN).await;
    let critical = json!({ "alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false });
    refused(&app, rsa.signed(&critical, &claims()), INVALID).await;
    // A good token with other claims.
    let token = rsa.token(&claims());
    let admin = URL_SAFE_NO_PAD.encode(json!({ "sub": "x", "exp": 4e9, "roles": ["ADMIN"] }).to_string());
    let parts: Vec<_> = token.split('.').collect();
    refused(&app, [parts[0], &*admin, parts[2]].join("."), FOREIGN).await;
    refused(&app, format!("{token}.{token}"), INVALID).await;
    refused(&app, "x".repeat(9_000), INVALID).await;
    refused(&only, app.token("of the secret", &[Role::User], 3600), INVALID).await;
    holds(&app, token.clone()).await;
    holds(&only, token).await;
    assert_eq!(issuer.asked(), 2, "one look of each server, at its start");
    only.finish().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_check_no_signatures_are_left_out() {
    let (rsa, ec, good) = (Key::rsa("bad"), Key::ec("bad"), Key::ec("good"));
    let but = |key: &Key, name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        jwk
    };
    let short = URL_SAFE_NO_PAD.encode([&[0xff_u8; 255][..], &[1]].concat().split_at(129).1);
    let odd = [
        but(&rsa, "use", json!("enc")),
        but(&rsa, "use", json!("tls")),
        but(&rsa, "key_ops", json!(["encrypt", "sign"])),
        but(&rsa, "alg", json!("RSA-OAEP")),
        but(&rsa, "alg", json!("RS512")),
        but(&rsa, "n", json!(short)),
        but(&rsa, "n", json!("***")),
        but(&rsa, "e", json!(7)),
        but(&ec, "crv", json!("P-384")),
        but(&ec, "crv", json!("secp256k1")),
        but(&ec, "x", json!("AAAA")),
        but(&ec, "kty", json!("oct")),
        json!({ "kty": "oct", "kid": "bad", "k": URL_SAFE_NO_PAD.encode("a secret that everybody can read here") }),
        json!({ "kty": "future", "kid": "bad" }),
        json!("a text"),
        json!(null),
    ];
    for odd in odd {
        let issuer = Issuer::start(Says::Keys(vec![odd.clone(), good.jwk()])).await;
        let app = trusting(&issuer, Options::default()).await;
        holds(&app, good.token(&claims())).await;
        for bad in [&rsa, &ec] {
            refused(&app, bad.token(&claims()), FOREIGN).await;
        }
        let secret = jsonwebtoken::EncodingKey::from_secret(b"a secret that everybody can read here");
        let header = jsonwebtoken::Header { kid: Some("bad".into()), ..Default::default() };
        refused(&app, jsonwebtoken::encode(&header, &claims(), &secret).unwrap(), FOREIGN).await;
        let environment = [("TALLY_AUTH_JWKS_URL", &*issuer.url), ("TALLY_LISTEN", "127.0.0.1:0")];
        let output = run(&["doctor"], &environment, tempfile::tempdir().unwrap().path()).await.1;
        assert!(output.contains("ok    the issuer of tokens publishes 1 usable key(s)"), "{odd}: {output}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_is_asked_for_at_once_and_invented_ones_rarely() {
    let clock = std::sync::Arc::new(ManualClock::new(START));
    let (old, new, newest) = (Key::rsa("old"), Key::rsa("new"), Key::ec("newest"));
    let issuer = Issuer::of(&[&old]).await;
    let options = Options::default().at(&clock).with("auth.jwks_refresh_secs", 3600);
    let app = trusting(&issuer, options.with("auth.jwks_cooldown_secs", 60)).await;
    holds(&app, old.token(&claims())).await;
    assert_eq!(issuer.asked(), 1);

    issuer.publishes(&[&old, &new]);
    let many = (0..20).map(|number| holds(&app, new.token(&claims_no(number))));
    futures_util::future::join_all(many).await;
    assert_eq!(issuer.asked(), 2, "one look for all who waited");

    issuer.publishes(&[&new, &newest]);
    for number in 0..20 {
        let kid = format!("invented {number}");
        refused(&app, newest.signed(&json!({ "alg": "ES256", "kid": kid }), &claims()), FOREIGN).await;
    }
    refused(&app, newest.token(&claims()), FOREIGN).await;
    holds(&app, old.token(&claims())).await;
    assert_eq!(issuer.asked(), 2, "the cooldown has not passed");
    clock.set(START.plus(59_999));
    refused(&app, newest.token(&claims()), FOREIGN).await;
    clock.set(START.plus(60_000));
    holds(&app, newest.token(&claims())).await;
    assert_eq!(issuer.asked(), 3);
    refused(&app, old.token(&claims()), FOREIGN).await;
    // A clock that steps back does not make the cooldown longer.
    issuer.publishes(&[&old]);
    clock.set(START);
    holds(&app, old.token(&claims())).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_gone_ends_its_tokens_at_the_next_look() {
    let (old, new) = (Key::rsa("old"), Key::ed("new"));
    let issuer = Issuer::of(&[&old, &new]).await;
    let app = trusting(&issuer, Options::default().with("auth.jwks_refresh_secs", 1)).await;
    for _ in 0..5 {
        holds(&app, old.token(&claims())).await;
    }
    // Ed25519 and RS256 signatures are the same each time, and so are the tokens.
    holds(&app, new.token(&claims())).await;
    assert_eq!(app.verified(), 2, "a token is verified once");
    let seen = issuer.asked();
    looked(&issuer, seen + 2).await;
    holds(&app, old.token(&claims())).await;
    assert_eq!(app.verified(), 2, "the same keys again: what was verified stays so");

    issuer.publishes(&[&new]);
    looked(&issuer, issuer.asked() + 2).await;
    refused(&app, old.token(&claims()), FOREIGN).await;
    holds(&app, new.token(&claims())).await;
    issuer.says(Says::Keys(Vec::new()));
    looked(&issuer, issuer.asked() + 2).await;
    refused(&app, new.token(&claims()), FOREIGN).await;
    app.finish().await;
}

/// Waits until the keys were asked for so often. The last answer may still be on its way.
async fn looked(issuer: &Issuer, times: u32) {
    let until = Instant::now() + Duration::from_secs(20);
    while issuer.asked() < times {
        assert!(Instant::now() < until, "nobody asks for the keys");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_keys_outlive_an_issuer_that_fails() {
    let clock = std::sync::Arc::new(ManualClock::new(START));
    let (known, unknown) = (Key::rsa("known"), Key::rsa("unknown"));
    let issuer = Issuer::of(&[&known]).await;
    let https = issuer.url.replace("http://", "https://");
    let options = Options::default().at(&clock).with("auth.jwks_refresh_secs", 3600);
    let app = trusting(&issuer, options.with("auth.jwks_cooldown_secs", 600)).await;
    let failures = [
        Says::Fails,
        Says::Text("<html>".into()),
        Says::Text("{}".into()),
        Says::Text("{\"keys\": \"none\"}".into()),
        Says::Text(format!("{}{}", " ".repeat(10_000_000), json!({ "keys": [unknown.jwk()] }))),
        Says::Redirect(https),
        Says::Redirect(issuer.url.clone()),
        Says::Hangs,
    ];
    let mut now = START;
    let mut asked = issuer.asked();
    for (failure, number) in failures.into_iter().zip(0..) {
        issuer.says(failure);
        now = now.plus(600_000);
        clock.set(now);
        refused(&app, unknown.token(&claims()), UNAVAILABLE).await;
        assert!(issuer.asked() > asked, "failure {number} was met");
        asked = issuer.asked();
        refused(&app, unknown.token(&claims()), UNAVAILABLE).await;
        assert_eq!(issuer.asked(), asked, "failure {number}: the cooldown holds for an issuer that is down too");
        holds(&app, known.token(&claims_no(number))).await;
    }
    issuer.publishes(&[&known]);
    clock.set(now.plus(600_000));
    refused(&app, unknown.token(&claims()), FOREIGN).await;
    issuer.publishes(&[&unknown]);
    clock.set(now.plus(1_200_000));
    holds(&app, unknown.token(&claims())).await;

    // A look that hangs keeps nobody from stopping.
    issuer.says(Says::Hangs);
    clock.set(now.plus(1_800_000));
    let before = issuer.asked();
    let client = Client::new(&app.url, Some(known.token(&claims())));
    let waiting = tokio::spawn(async move { client.try_run("{ me { roles } }", json!({})).await.is_ok() });
    looked(&issuer, before + 1).await;
    let started = Instant::now();
    app.finish().await;
    assert!(started.elapsed() < Duration::from_secs(4), "the stop waited for the issuer");
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_issuer() {
    let clock = std::sync::Arc::new(ManualClock::new(START));
    let key = Key::ec("e");
    let issuer = Issuer::start(Says::Fails).await;
    let options = Options::default().at(&clock).without("auth.secret").with("auth.jwks_cooldown_secs", 1);
    let app = trusting(&issuer, options).await;
    let ready = crate::harness::http().get(format!("{}/readyz", app.url)).send().await.unwrap();
    assert_eq!(ready.status(), 200, "what needs no token is served");
    app.anonymous().query("{ hotRanking { rank } }").await.data();
    refused(&app, key.token(&claims()), UNAVAILABLE).await;
    let environment = [("TALLY_AUTH_JWKS_URL", &*issuer.url), ("TALLY_LISTEN", "127.0.0.1:0")];
    let folder = tempfile::tempdir().unwrap();
    let (status, output, _) = run(&["doctor"], &environment, folder.path()).await;
    let said = "FAIL  auth.jwks_url: the answer is 500 Internal Server Error";
    assert!(status == 1 && output.contains(said), "{output}");
    let keyless = Issuer::of(&[]).await;
    let environment = [("TALLY_AUTH_JWKS_URL", &*keyless.url), ("TALLY_LISTEN", "127.0.0.1:0")];
    let output = run(&["doctor"], &environment, folder.path()).await.1;
    assert!(output.contains("FAIL  auth.jwks_url: the issuer publishes no key that tally can use"), "{output}");

    // Nobody asks with a token: it is asked again soon all the same.
    issuer.publishes(&[&key]);
    looked(&issuer, issuer.asked() + 1).await;
    holds(&app, key.token(&claims())).await;
    app.finish().await;
}
