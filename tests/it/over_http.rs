//! GraphQL over HTTP: media types, methods, status codes, batches, documents by hash and by id. On SQLite alone: nothing
//! here reaches the database differently. The audits of the npm package `graphql-http` run in `conformance/`.

use std::path::Path;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::config::Settings;
use tally::kernel::gate::Gate;
use tally::kernel::module::Modules;

use crate::harness::{Backend, Options, TestApp};

const GRAPHQL: &str = "application/graphql-response+json";

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

fn request(app: &TestApp, method: Method, query: &str) -> RequestBuilder {
    crate::harness::http().request(method, format!("{}/graphql{query}", app.url))
}

async fn post(app: &TestApp, body: &Value) -> (u16, Value) {
    parts(request(app, Method::POST, "").header("Accept", GRAPHQL).json(body)).await
}

async fn parts(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_answer_is_of_the_type_that_is_preferred() {
    let app = start(Options::default()).await;
    let json_type = "application/json; charset=utf-8";
    let graphql_type = "application/graphql-response+json; charset=utf-8";
    for (accept, expected) in [
        (None, Some(json_type)),
        (Some("*/*"), Some(json_type)),
        (Some("application/*"), Some(json_type)),
        (Some("application/json"), Some(json_type)),
        (Some(GRAPHQL), Some(graphql_type)),
        (Some("APPLICATION/GraphQL-response+json"), Some(graphql_type)),
        (Some("application/graphql-response+json, application/json;q=0.9"), Some(graphql_type)),
        (Some("application/graphql-response+json;q=0.8, application/json"), Some(json_type)),
        (Some("application/graphql-response+json; charset=utf-8, application/json; charset=utf-8"), Some(graphql_type)),
        (Some("text/html, application/json;q=0.1"), Some(json_type)),
        (Some("application/json; charset=latin1, application/graphql-response+json;q=0.5"), Some(graphql_type)),
        (Some("text/html"), None),
        (Some("application/json;q=0"), None),
        (Some("application/json; charset=utf-16"), None),
        // The narrowest range decides, wherever it stands.
        (Some("application/json;q=0, */*"), Some(graphql_type)),
        (Some("*/*, application/json;q=0"), Some(graphql_type)),
        (Some("application/graphql-response+json;q=0, application/*"), Some(json_type)),
        (Some("application/json;q=0, application/graphql-response+json;q=0, */*"), None),
        (Some("*/*, application/graphql-response+json;q=0.1"), Some(json_type)),
        (Some("*/*;q=0.1, application/graphql-response+json"), Some(graphql_type)),
        (Some("application/*;q=0, */*"), None),
        (
            Some("application/json;q=0.5;charset=utf-8, application/json, application/graphql-response+json;q=0.7"),
            Some(graphql_type),
        ),
        (Some("*/*, application/graphql-response+json"), Some(graphql_type)),
        (Some("application/json;q=nan"), None),
    ] {
        let mut request = request(&app, Method::POST, "").json(&json!({ "query": "{ __typename }" }));
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let response = request.send().await.unwrap();
        let got = (response.status().as_u16(), header(&response, "content-type"));
        assert_eq!(
            got,
            expected.map_or((406, json_type.to_owned()), |expected| (200, expected.to_owned())),
            "{accept:?}"
        );
        assert_eq!(header(&response, "cache-control"), "no-store");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body.get("data").is_some(), expected.is_some(), "{accept:?}: {body:#}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_refused_document_has_the_status_of_its_media_type() {
    let app = start(Options::default()).await;
    for (document, legacy, graphql) in [
        ("{ __typename }", 200, 200),
        ("{", 200, 400),
        ("{ nonsense }", 200, 400),
        ("query ($n: Int!) { hotRanking(first: $n) { rank } }", 200, 400),
        ("subscription { hotRankingChanged { kind } }", 200, 400),
        // It ran, and failed.
        ("{ hotRanking(first: -1) { rank } }", 200, 200),
    ] {
        for (accept, status) in [("application/json", legacy), (GRAPHQL, graphql)] {
            let request = request(&app, Method::POST, "").header("Accept", accept);
            let (got, body) = parts(request.json(&json!({ "query": document }))).await;
            assert_eq!(got, status, "{accept}: {document}");
            assert_eq!(body.get("data").is_some(), graphql == 200, "{document}: {body:#}");
        }
    }
    let request = request(&app, Method::POST, "").bearer_auth("nonsense").json(&json!({ "query": "{ __typename }" }));
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), &*header(&response, "www-authenticate")), (401, "Bearer"));
    app.finish().await;
}

#[tokio::test]
async fn methods_are_those_of_the_specification() {
    let app = start(Options::default()).await;
    let variables = "?query=query($n:Int!){hotRanking(first:$n){rank}}&variables=%7B%22n%22%3A1%7D&extensions=%7B%7D";
    assert_eq!(parts(request(&app, Method::GET, variables)).await, (200, json!({ "data": { "hotRanking": [] } })));
    let named = "?query=query%20a{__typename}%20query%20b{b:__typename}&operationName=b";
    assert_eq!(parts(request(&app, Method::GET, named)).await, (200, json!({ "data": { "b": "Query" } })));
    let response = request(&app, Method::HEAD, named).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, 0));
    for (query, status) in [
        ("", 400),
        ("?query=", 200),
        ("?query={__typename}&variables=x", 400),
        ("?query={__typename}&variables=[]", 400),
        ("?query={__typename}&extensions=1", 400),
        ("?query={__typename}&variables=null", 200),
        ("?query=mutation{__typename}", 405),
    ] {
        let response = request(&app, Method::GET, query).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{query}");
        assert_eq!(header(&response, "allow"), if status == 405 { "POST" } else { "" });
        let body: Value = response.json().await.unwrap();
        assert!(body.get("data").is_some() || body["errors"][0]["extensions"]["code"] == "INVALID_INPUT", "{body:#}");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
        let response = request(&app, method.clone(), "").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &*header(&response, "allow")),
            (405, "GET, HEAD, POST, OPTIONS"),
            "{method}"
        );
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "INVALID_INPUT");
    }
    app.finish().await;
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    let app = start(Options::default()).await;
    let body = json!({ "query": "{ __typename }" }).to_string();
    for (content_type, encoding, status) in [
        ("application/json", None, 200),
        ("Application/JSON; charset=UTF-8", None, 200),
        ("application/json", Some("identity"), 200),
        ("application/json", Some("Identity, identity ,"), 200),
        ("application/json", Some("gzip"), 415),
        ("application/json", Some("identity, gzip"), 415),
        ("application/json; charset=latin1", None, 415),
        ("application/graphql", None, 415),
        ("text/plain", None, 415),
        ("multipart/form-data; boundary=x", None, 415),
        ("nonsense", None, 415),
    ] {
        let mut request = request(&app, Method::POST, "").header("Content-Type", content_type).body(body.clone());
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        assert_eq!(parts(request).await.0, status, "{content_type} {encoding:?}");
    }
    let request_with_two = request(&app, Method::POST, "").header("Content-Type", "application/json").body(body);
    let request_with_two = request_with_two.header("Content-Encoding", "identity").header("Content-Encoding", "br");
    assert_eq!(parts(request_with_two).await.0, 415, "in whichever line it is");
    let json = |body: Vec<u8>| request(&app, Method::POST, "").header("Content-Type", "application/json").body(body);
    let deep = format!(
        "{{\"query\":\"{{ __typename }}\",\"variables\":{{\"x\":{}{}}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let bodies: [&[u8]; 12] = [
        b"{\"query\":\"{ __typename \xff}\"}",
        b"\xef\xbb\xbf{\"query\":\"{ __typename }\"}",
        b"{\"query\":\"{ __typename }\",\"query\":\"{ __typename }\"}",
        b"\"{ __typename }\"",
        b"null",
        b"{\"query\":\"{ __typename }\"} {}",
        // A list is no request, whatever order its items are in.
        b"[[\"{ __typename }\"]]",
        b"[[\"{ __typename }\",null,null,null,null]]",
        b"[{\"query\":\"{ __typename }\"},[\"{ __typename }\"]]",
        b"[\"{ __typename }\"]",
        b"{\"query\":\"{ __typename }\",\"variables\":[]}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let (status, answer) = parts(json(body.to_vec())).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (400, &json!("INVALID_INPUT")), "{shown}");
        assert!(!answer.to_string().contains("Params"), "{answer}");
    }
    let message = async |body: String| {
        let (status, answer) = parts(json(body.into_bytes())).await;
        assert_eq!(status, 400, "{answer:#}");
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    let told = "the body is not a GraphQL request: invalid type: sequence, expected a JSON object";
    assert!(message("[[\"{ __typename }\"]]".to_owned()).await.starts_with(told));
    for body in ["[{}]", "{{\"query\":\"{{ a }}\",\"variables\":{}}}", "{{\"extensions\":{}}}"] {
        let body =
            body.replace("{}", &format!("\"{}\"", "long ".repeat(100_000))).replace("{{", "{").replace("}}", "}");
        let said = message(body).await;
        assert!(said.len() < 500 && said.contains("… at line 1 column "), "{said}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_has_a_bound() {
    let app = start(Options::default().with("limits.batch", 3)).await;
    let author = app.token("author", &[tally::kernel::auth::Role::User], 60);
    let batch =
        |documents: &[&str]| -> Value { documents.iter().map(|document| json!({ "query": document })).collect() };
    let documents = [
        "mutation { publishArtwork(input: { title: \"first\" }) { created } }",
        "{ nonsense }",
        "{ artworks { nodes { title } } }",
    ];
    let request =
        request(&app, Method::POST, "").header("Accept", GRAPHQL).bearer_auth(author).json(&batch(&documents));
    let (status, answers) = parts(request).await;
    assert_eq!(status, 200);
    assert_eq!(answers[0]["data"]["publishArtwork"]["created"], true);
    assert_eq!(
        (answers[1].get("data"), &answers[1]["errors"][0]["extensions"]["code"]),
        (None, &json!("INVALID_INPUT"))
    );
    assert_eq!(answers[2]["data"]["artworks"]["nodes"][0]["title"], "first", "one after the other");
    for documents in [&[][..], &["{ __typename }"; 4][..]] {
        let (status, answer) = post(&app, &batch(documents)).await;
        assert_eq!(status, 400);
        let message = format!("a batch has 1 to 3 operations, not {}", documents.len());
        assert_eq!(answer["errors"][0]["message"], message);
    }
    assert_eq!(post(&app, &json!([{ "query": "{ __typename }" }, {}])).await.0, 400, "one that is none refuses all");
    app.finish().await;
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    aws_sha256(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn aws_sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}

#[tokio::test]
async fn a_document_is_registered_by_its_hash() {
    let app = start(Options::default()).await;
    let text = "{ registered: __typename }";
    let by_hash = |hash: &str| json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
    let with_text = |hash: &str, text: &str| {
        let mut body = by_hash(hash);
        body["query"] = json!(text);
        body
    };
    let (_, unknown) = post(&app, &by_hash(&sha256(text))).await;
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    let (status, wrong) = post(&app, &with_text(&sha256("another"), text)).await;
    assert_eq!((status, &wrong["errors"][0]["extensions"]["code"]), (400, &json!("INVALID_INPUT")));
    assert_eq!(post(&app, &with_text(&sha256("{ x }"), "{ x }")).await.0, 400);
    assert_eq!(post(&app, &by_hash(&sha256("{ x }"))).await.1["errors"][0]["message"], "PersistedQueryNotFound");
    let answer = json!({ "data": { "registered": "Query" } });
    assert_eq!(post(&app, &with_text(&sha256(text), text)).await, (200, answer.clone()));
    assert_eq!(post(&app, &by_hash(&sha256(text).to_uppercase())).await, (200, answer.clone()));
    let extensions =
        format!("?extensions=%7B%22persistedQuery%22:%7B%22version%22:1,%22sha256Hash%22:%22{}%22%7D%7D", sha256(text));
    assert_eq!(parts(request(&app, Method::GET, &extensions)).await, (200, answer));
    for extension in [
        json!(1),
        json!([1, sha256(text)]),
        json!({ "version": 2, "sha256Hash": sha256(text) }),
        json!({ "version": 1, "sha256Hash": "x" }),
    ] {
        let (status, answer) = post(&app, &json!({ "extensions": { "persistedQuery": extension } })).await;
        assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (400, &json!("INVALID_INPUT")));
    }
    app.finish().await;

    let app = start(Options::default().with("graphql.automatic_persisted_queries", false)).await;
    let (_, answer) = post(&app, &by_hash(&sha256(text))).await;
    assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotSupported");
    assert_eq!(post(&app, &with_text(&sha256("another"), text)).await.0, 400, "one that is wrong is wrong");
    assert_eq!(post(&app, &with_text(&sha256(text), text)).await.0, 200);
    app.finish().await;
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

const APOLLO: &str = r#"{ "format": "apollo-persisted-query-manifest", "version": 1,
    "operations": [{ "id": "apollo-id", "name": "A", "type": "query", "body": "query A { a: __typename }" }] }"#;

#[tokio::test]
async fn trusted_documents_run_by_their_ids_and_can_be_all_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let plain = "query Ranking($n: Int!) { hotRanking(first: $n) { rank } }";
    let relay = r#"{ "relay-id": "query R { r: __typename }" }"#;
    write(
        folder.path(),
        &[("ranking.graphql", plain), ("relay.json", relay), ("apollo.json", APOLLO), ("README.md", "none")],
    );
    for only in [false, true] {
        let options =
            Options::default().with("graphql.documents", folder.path().display()).with("graphql.documents_only", only);
        let app = start(options).await;
        let run =
            async |id: &str, variables: Value| post(&app, &json!({ "documentId": id, "variables": variables })).await;
        let ranking = (200, json!({ "data": { "hotRanking": [] } }));
        assert_eq!(run("ranking", json!({ "n": 1 })).await, ranking);
        assert_eq!(run(&format!("sha256:{}", sha256(plain)), json!({ "n": 1 })).await, ranking);
        assert_eq!(run("relay-id", json!({})).await, (200, json!({ "data": { "r": "Query" } })));
        assert_eq!(run("apollo-id", json!({})).await, (200, json!({ "data": { "a": "Query" } })));
        assert_eq!(run("ranking", json!({})).await.0, 400, "its variables are still checked");
        let (status, answer) = run("nonsense", json!({})).await;
        assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (400, &json!("NOT_FOUND")));
        let both = json!({ "documentId": "ranking", "query": plain });
        assert_eq!(post(&app, &both).await.0, 400);
        assert_eq!(post(&app, &json!({ "query": plain, "variables": { "n": 1 } })).await, ranking, "by its whole text");
        let (status, answer) = post(&app, &json!({ "query": "{ __typename }" })).await;
        if only {
            assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (403, &json!("FORBIDDEN")));
            assert_eq!(answer["errors"][0]["message"], "only trusted documents may run here");
        } else {
            assert_eq!(status, 200);
        }
        app.finish().await;
    }
}

#[tokio::test]
async fn a_folder_of_wrong_documents_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("a.graphql", "{ nonsense }"),
        ("b.json", "[]"),
        ("c.json", "{ \"x\": \"{\" }"),
        ("d.graphql", "{ __typename }"),
        ("e.json", "{ \"d\": \"{ __typename }\" }"),
    ];
    write(folder.path(), &files);
    let list = Modules::new(<Tally as tally::app::App>::modules()).unwrap().settings();
    let gate = |folder: &Path| {
        let flags = [("graphql.documents", folder.display().to_string())];
        let settings = Settings::read(&list, None, &std::collections::BTreeMap::new(), &flags).unwrap();
        Gate::new(&tally::server::sdl::<Tally>(), &settings, true).map(drop).map_err(|error| error.client().to_owned())
    };
    let problems = gate(folder.path()).unwrap_err();
    assert!(problems.starts_with("4 wrong trusted document(s):\n"), "{problems}");
    for problem in ["a.graphql: a: ", "b.json: neither", "c.json: x: ", "e.json: the id d is given twice"] {
        assert!(problems.contains(problem), "{problem:?} in {problems}");
    }
    assert!(gate(Path::new("/nonexistent")).unwrap_err().starts_with("graphql.documents: /nonexistent: "));
}
