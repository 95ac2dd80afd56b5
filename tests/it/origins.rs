//! What browsers are told, and what they may be made to send: CORS, requests of foreign pages, headers of security, what
//! production hides. Nothing here concerns the database, so this is SQLite only.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tally::app::Tally;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::{Backend, Options, TestApp, Wire};

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

async fn send(app: &TestApp, method: Method, path: &str, lines: &[(&str, &str)], body: &str) -> Response {
    let request = reqwest::Client::new().request(method, format!("{}{path}", app.url)).body(body.to_owned());
    let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");
const BODY: &str = "{\"query\":\"{ __typename }\"}";

fn of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_site_may_use_the_api_unless_it_is_listed() {
    let ask = [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    for (listed, origin, allowed) in [
        (None, SHOP, None),
        (Some(SHOP), SHOP, Some(SHOP)),
        (Some(SHOP), EVIL, None),
        (Some("https://a.example, https://shop.example"), SHOP, Some(SHOP)),
        (Some("*"), EVIL, Some("*")),
    ] {
        let options = Options::default().with("server.body_bytes", 1024);
        let options = match listed {
            Some(listed) => options.with("server.cors_origins", listed),
            None => options,
        };
        let app = start(options).await;
        let case = format!("{listed:?}, {origin}");

        let lines = [&[("origin", origin)][..], &ask].concat();
        let response = send(&app, Method::OPTIONS, "/graphql", &lines, "").await;
        let (status, headers) = (response.status(), response.headers());
        assert_eq!(status, 204, "{case}");
        assert_eq!(of(headers, "access-control-allow-methods"), allowed.map_or("", |_| "GET, POST"), "{case}");
        assert_eq!(headers.contains_key("access-control-max-age"), allowed.is_some(), "{case}");
        let named = of(headers, "access-control-allow-headers");
        for name in ["authorization", "content-type", "accept", "apollo-require-preflight", "x-request-id"] {
            assert_eq!(named.split(", ").any(|given| given == name), allowed.is_some(), "{case}: {name} in {named}");
        }
        assert!(!headers.contains_key("access-control-allow-credentials"));

        // An answer, and refusals that were made before any handler was asked.
        for (body, status) in [(BODY.to_owned(), 200), ("nonsense".into(), 400), ("x".repeat(1025), 413)] {
            let response = send(&app, Method::POST, "/graphql", &[("origin", origin), JSON], &body).await;
            let (got, headers) = (response.status().as_u16(), response.headers());
            assert_eq!(got, if allowed.is_some() { status } else { 403 }, "{case}");
            let shared = headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(shared, allowed, "{case}");
            assert_eq!(of(headers, "access-control-expose-headers").contains("retry-after"), allowed.is_some());
            let varies = headers.get_all("vary").iter().any(|value| value == "origin");
            assert_eq!(varies, listed.is_some_and(|listed| listed != "*"), "{case}: caches are told");
            if got == 403 {
                let body: Value = response.json().await.unwrap();
                assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
            }
        }
        let response = send(&app, Method::GET, "/", &[("origin", origin)], "").await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "pages are nobody else's");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_page_may_send_the_headers_that_it_asks_for() {
    let app = start(Options::default().with("server.cors_origins", SHOP)).await;
    let ask = async |origin: &str, asked: &str| {
        let lines =
            [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", asked)];
        let response = send(&app, Method::OPTIONS, "/graphql", &lines, "").await;
        let varies: Vec<_> = response.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(varies, ["access-control-request-headers", "origin"]);
        let allowed = of(response.headers(), "access-control-allow-headers");
        allowed.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let usual = ask(SHOP, "content-type").await;
    let asked = "apollographql-client-name,apollographql-client-version, Baggage , content-type,sentry-trace,*,a b,é,";
    let allowed = ask(SHOP, asked).await;
    let more = ["apollographql-client-name", "apollographql-client-version", "baggage", "sentry-trace"];
    assert_eq!(allowed, [usual.iter().map(String::as_str).collect(), more.to_vec()].concat());
    assert_eq!(ask(EVIL, asked).await, [""; 0]);
    let many: Vec<_> = (0..1_000).map(|n| format!("x-{n}")).collect();
    assert_eq!(ask(SHOP, &many.join(",")).await.len(), usual.len() + 64);
    assert_eq!(ask(SHOP, &"x".repeat(5_000)).await, usual);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_cannot_have_a_browser_act() {
    let app = start(Options::default()).await;
    let own = app.url.clone();
    let query = "/graphql?query=%7B__typename%7D";
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cross = ("sec-fetch-site", "cross-site");
    for (method, path, lines, refused) in [
        (Method::GET, query, &[][..], false),
        (Method::GET, query, &[("accept", "application/graphql-response+json")], false),
        (Method::GET, query, &[cross], true),
        (Method::GET, query, &[("sec-fetch-site", "same-site")], true),
        (Method::GET, query, &[cross, ("apollo-require-preflight", "1")], false),
        (Method::GET, query, &[("origin", EVIL)], true),
        (Method::GET, query, &[("origin", &own), ("sec-fetch-site", "same-origin")], false),
        (Method::GET, query, &[("sec-fetch-site", "none")], false),
        (Method::POST, "/graphql", &[form], false),
        (Method::POST, "/graphql", &[form, cross], true),
        (Method::POST, "/graphql", &[form, cross, ("origin", EVIL)], true),
        (Method::POST, "/graphql", &[("content-type", "text/plain"), ("origin", "null")], true),
        (Method::POST, "/graphql", &[JSON, ("origin", EVIL)], true),
        (Method::POST, "/graphql", &[JSON, ("origin", &own)], false),
        (Method::POST, "/graphql/anything", &[JSON, ("origin", EVIL)], true),
        // Nobody's proxy may say that this is another host.
        (Method::POST, "/graphql", &[JSON, ("origin", EVIL), ("x-forwarded-host", "evil.example")], true),
    ] {
        let body = if method == Method::POST { BODY } else { "" };
        let status = send(&app, method.clone(), path, lines, body).await.status();
        assert_eq!(status == 403, refused, "{status}: {method} {path} {lines:?}");
    }
    app.finish().await;

    let app = start(Options::default().with("server.trusted_proxies", "127.0.0.1")).await;
    let lines = [JSON, ("origin", SHOP), ("x-forwarded-host", "shop.example")];
    assert_eq!(send(&app, Method::POST, "/graphql", &lines, BODY).await.status(), 200, "a proxy is believed");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_page_opens_no_socket() {
    let app = start(Options::default().with("server.cors_origins", SHOP)).await;
    let own = app.url.clone();
    let null = "null".to_owned();
    for (origin, allowed) in [
        (None, true),
        (Some(&own), true),
        (Some(&SHOP.to_owned()), true),
        (Some(&EVIL.to_owned()), false),
        (Some(&null), false),
    ] {
        let mut request = format!("{}/graphql", own.replace("http", "ws")).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok(_) => assert!(allowed, "{origin:?}"),
            Err(SocketError::Http(response)) => {
                assert_eq!((response.status().as_u16(), allowed), (403, false), "{origin:?}");
                let body = response.body().as_deref().unwrap_or_default();
                let body: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
            }
            Err(error) => panic!("{origin:?}: {error}"),
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_headers_of_security() {
    for https in [false, true] {
        let options = Options::default()
            .with("server.https", https)
            .with("server.mode", "development")
            .with("server.body_bytes", 1024);
        let app = start(options).await;
        let large = "x".repeat(2_000);
        for (method, path, lines, body, status) in [
            (Method::GET, "/", &[][..], "", 200),
            (Method::GET, "/graphiql", &[], "", 200),
            (Method::GET, "/no-such-page", &[], "", 404),
            (Method::POST, "/", &[], "", 405),
            (Method::POST, "/", &[], &large, 413),
            (Method::GET, "/healthz", &[], "", 200),
            (Method::GET, "/readyz", &[], "", 200),
            (Method::POST, "/graphql", &[JSON], BODY, 200),
            (Method::POST, "/graphql", &[JSON], "nonsense", 400),
            (Method::POST, "/graphql", &[JSON, ("authorization", "Bearer x")], BODY, 401),
            (Method::POST, "/graphql", &[JSON, ("origin", EVIL)], BODY, 403),
            (Method::GET, "/graphql/no-such-path", &[], "", 404),
            (Method::DELETE, "/graphql", &[], "", 405),
            (Method::POST, "/graphql", &[JSON], &large, 413),
        ] {
            let response = send(&app, method, path, lines, body).await;
            let headers = response.headers().clone();
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(of(&headers, "x-content-type-options"), "nosniff", "{path}");
            assert_eq!(of(&headers, "referrer-policy"), "no-referrer", "{path}");
            assert_eq!(of(&headers, "cross-origin-resource-policy"), "same-origin", "{path}");
            assert_eq!(of(&headers, "strict-transport-security").starts_with("max-age="), https, "{path}");
            assert!(headers.contains_key("x-request-id"), "{path}");
            if path.starts_with("/graphql") && status != 200 {
                let body: Value = response.json().await.unwrap_or_else(|error| panic!("{path} {status}: {error}"));
                assert!(
                    body["errors"][0]["extensions"]["code"].is_string() && body.get("data").is_none_or(Value::is_null),
                    "{body}"
                );
                assert!(status != 405 || headers.contains_key("allow"));
            } else if path == "/" && status == 200 || path == "/graphiql" {
                assert!(of(&headers, "content-security-policy").contains("frame-ancestors 'none'"), "{path}");
                assert_eq!(of(&headers, "x-frame-options"), "DENY", "{path}");
                assert_eq!(of(&headers, "cross-origin-opener-policy"), "same-origin", "{path}");
                assert!(of(&headers, "permissions-policy").contains("camera=()"), "{path}");
            } else if !path.starts_with("/graphql") {
                assert!(!of(&headers, "content-type").contains("json"), "{path}");
            }
        }
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_has_no_graphiql_unless_it_is_wanted() {
    // The tests listen on loopback.
    for (settings, there) in [
        (&[][..], true),
        (&[("server.mode", "production")], false),
        (&[("server.mode", "production"), ("graphql.graphiql", "on")], true),
        (&[("server.mode", "development"), ("graphql.graphiql", "off")], false),
        (&[("server.trusted_proxies", "127.0.0.1")], false),
        (&[("server.https", "true")], false),
        (&[("server.mode", "development"), ("server.https", "true")], true),
    ] {
        let options = settings.iter().fold(Options::default(), |options, (key, value)| options.with(key, value));
        let app = start(options).await;
        let index = send(&app, Method::GET, "/", &[], "").await;
        assert_eq!(index.status(), 200, "the board is for everybody");
        let status = async |path| send(&app, Method::GET, path, &[], "").await.status().as_u16();
        let expected = if there { 200 } else { 404 };
        assert_eq!(status("/graphiql").await, expected, "{settings:?}");
        assert_eq!(status("/graphiql.html").await, expected, "{settings:?}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_is_answered_and_closed() {
    let app = start(Options::default()).await;
    let mut wire = Wire::open(&app.url).await;
    wire.send("GET /healthz HTTP/1.0\r\n\r\n").await;
    let (said, _) = wire.until_closed().await;
    assert!(said.starts_with("HTTP/1.0 200") && said.ends_with("ok"), "{said}");
    assert_eq!(app.anonymous().run("{ __typename }", json!({})).await.data()["__typename"], "Query");
    app.finish().await;
}
