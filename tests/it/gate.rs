//! The document gate: what is invalid, or asks for too much, does not run; what is valid runs as the specification
//! says. On SQLite alone: nothing here reaches the database differently. How graphql-js judges hundreds of documents is
//! compared in `conformance/`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use crate::harness::{Answer, Backend, Client, Options, Process, TestApp, TestDatabase};

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

/// Refused before anything ran: 400, and no data.
fn refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.body.get("data")), (400, None), "{:#}", answer.body);
    assert_eq!(answer.code(), code);
}

async fn titles(client: &Client) -> Value {
    client.query("{ artworks { nodes { title } } }").await.data()["artworks"]["nodes"].clone()
}

/// `levels` fragments, each of which spreads the next one twice: 2^levels fields in a few lines.
fn exploding(levels: u32) -> String {
    let mut document = "{ ...f0 }".to_owned();
    for level in 0..levels {
        let _ = write!(document, " fragment f{level} on Query {{ ...f{} ...f{} }}", level + 1, level + 1);
    }
    let _ = write!(document, " fragment f{levels} on Query {{ __typename }}");
    document
}

#[tokio::test]
async fn a_missing_or_wrong_variable_refuses_the_whole_operation() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let document = "mutation ($title: String!) {
        first: publishArtwork(input: { title: \"before\" }) { created }
        second: publishArtwork(input: { title: $title }) { created }
    }";
    let missing = author.run(document, json!({})).await;
    refused(&missing, "INVALID_INPUT");
    assert_eq!(missing.message(), "variable $title of type String! is missing");
    let wrong = author.run(document, json!({ "title": ["a", 7] })).await;
    assert_eq!(wrong.message(), "variable $title: a list, where String is wanted");
    let document = "mutation ($input: PublishVideoInput!) {
        first: publishArtwork(input: { title: \"before\" }) { created }
        second: publishVideo(input: $input) { created }
    }";
    for (input, message) in [
        (json!({}), "variable $input: PublishVideoInput.title is missing"),
        (json!({ "title": null }), "variable $input.title: null, where String! is wanted"),
        (json!({ "title": "x", "durationMs": "1" }), "variable $input.durationMs: \"1\", where Int is wanted"),
        (
            json!({ "title": "x", "durationMs": 2_147_483_648_i64 }),
            "variable $input.durationMs: 2147483648, where Int is wanted",
        ),
        (json!({ "title": "x", "nonsense": 1 }), "variable $input: PublishVideoInput has no field nonsense"),
    ] {
        let answer = author.run(document, json!({ "input": input })).await;
        refused(&answer, "INVALID_INPUT");
        assert_eq!(answer.message(), message);
    }
    assert_eq!(titles(&author).await, json!([]));
    app.finish().await;
}

#[tokio::test]
async fn variables_are_coerced_as_the_specification_says() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let id = author.publish("an artwork").await;
    let first = "query ($n: Int) { hotRanking(first: $n) { rank } }";
    for (variables, entries) in [(json!({}), 1), (json!({ "n": 1.0 }), 1), (json!({ "n": 0 }), 0)] {
        let answer = author.run(first, variables.clone()).await;
        assert_eq!(answer.data()["hotRanking"].as_array().unwrap().len(), entries, "{variables}");
    }
    // Null is a value, not an absence: the argument's default does not stand in for it.
    let answer = author.run(first, json!({ "n": null })).await;
    assert_eq!((answer.status, answer.body["data"].clone()), (200, Value::Null), "{:#}", answer.body);
    assert_eq!(answer.body["errors"][0]["path"], json!(["hotRanking"]));

    let one_for_a_list = "query ($ids: [ID!]) { contents(ids: $ids) { title } }";
    let answer = author.run(one_for_a_list, json!({ "ids": id, "unknown": 1 })).await;
    assert_eq!(*answer.data(), json!({ "contents": [{ "title": "an artwork" }] }));
    let in_a_list = "query ($a: ID!, $b: ID = \"artwork_01h455vb4pex5vsknk084sn02q\") {
        contents(ids: [$a, \"artwork_01h455vb4pex5vsknk084sn02q\"]) { title } node(id: $b) { id } }";
    let answer = author.run(in_a_list, json!({ "a": id })).await;
    assert_eq!(*answer.data(), json!({ "contents": [{ "title": "an artwork" }, null], "node": null }));
    let level = "query ($level: HotLevel, $window: TimeWindow! = H24) {
        artworks(level: $level, publishedWithin: $window) { nodes { title } } }";
    assert_eq!(author.run(level, json!({})).await.data()["artworks"]["nodes"][0]["title"], "an artwork");
    refused(&author.run(level, json!({ "level": "NOT_A_LEVEL" })).await, "INVALID_INPUT");
    app.finish().await;
}

#[tokio::test]
async fn conditions_decide_what_is_answered() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    author.publish("an artwork").await;
    let document = "query ($no: Boolean!, $yes: Boolean = true) {
        b: artworks { nodes { title @include(if: $no) ... @skip(if: $yes) { title } ...f @skip(if: $yes) } }
        a: __typename
        c: me @skip(if: $yes) { roles }
        __typename @include(if: $yes) @skip(if: $no)
    } fragment f on Artwork { title }";
    let answer = author.run(document, json!({ "no": false })).await;
    assert_eq!(
        answer.data().to_string(),
        json!({ "b": { "nodes": [{}] }, "a": "Query", "__typename": "Query" }).to_string()
    );
    app.finish().await;
}

#[tokio::test]
async fn what_validation_by_the_library_let_pass_is_refused() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    for document in [
        "{ __typename { x } }",
        "{ __typename(x: 1) }",
        "{ me { __typename @nonsense } }",
        "query ($id: ID) { artwork(id: $id) { id } }",
        "query ($ids: [ID]) { contents(ids: $ids) { id } }",
        "query ($id: ID!) { me { roles } }",
        "query ($id: Artwork) { artwork(id: $id) { id } }",
        "query a { me { roles } } query a { me { roles } }",
        "{ me { roles } } { me { roles } }",
        "{ hotRanking(first: 20, first: 20) { rank } }",
        "{ hotRanking(first: 4294967296) { rank } }",
        "{ hotRanking(first: 1.5) { rank } }",
        "{ artwork(id: \"x\") }",
        "{ hotRanking(kind: null null) { rank } }",
        "{ contents(ids: [\"a\"]) { id } contents(ids: [\"a\", \"b\"]) { id } }",
        "{ contents(ids: []) { id } ...f } fragment f on Query { ... { contents(ids: [\"a\"]) { id } } }",
        "query ($a: ID) { contents(ids: [$a]) { id } }",
        "query ($a: ID) { ...f } fragment f on Query { contents(ids: [$a]) { id } }",
        "mutation ($t: String) { publishArtwork(input: { title: $t }) { created } }",
        "{ hotRanking { rank rank: score } }",
        "subscription { a: hotRankingChanged { kind } b: hotRankingChanged { kind } }",
        "subscription { __typename }",
        "fragment f on Query { __typename }",
        "{ ...f } fragment f on Query { ...g } fragment g on Query { ...f }",
        "{ artworks { ... on Video { id } } }",
        "type Query { mine: Int }",
        "",
        "{",
        "query ($a: Int = $b, $b: Int) { hotRanking(first: $a) { rank } }",
        "mutation { publishArtwork(input: { title: \"x\", title: \"y\" }) { created } }",
    ] {
        let answer = author.query(document).await;
        assert_eq!((answer.status, answer.body.get("data")), (400, None), "{document}: {:#}", answer.body);
        let errors = answer.body["errors"].as_array().unwrap();
        assert!(!errors.is_empty() && errors.len() <= 8, "{document}: {errors:#?}");
        assert!(errors.iter().all(|error| error["extensions"]["code"] == "INVALID_INPUT"), "{document}: {errors:#?}");
    }
    assert_eq!(titles(&author).await, json!([]));
    for document in [
        "query,{ query: __typename,, }",
        "{ node(id: \"\"\"artwork_\n01\"\"\") { id } } # x",
        "{ node(id: \"\\u00e9 \\n \\\" \") { id } }",
        "query q ($a: ID! = \"x\", $b: [ID!] = []) { a: node(id: $a) { id } contents(ids: $b) { id } }",
    ] {
        let answer = author.run(document, json!({})).await;
        assert!(answer.status == 200 && answer.body.get("data").is_some(), "{document}: {:#}", answer.body);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_operation_that_asks_for_too_much_is_refused() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let deep = format!(
        "{{ __schema {{ types {{ fields {{ type {{ {} name {} }} }} }} }} }}",
        "ofType { ".repeat(20),
        "} ".repeat(20)
    );
    let aliases: String = (0..51).map(|n| format!("a{n}: __typename ")).collect();
    let nested = format!("{}__typename{}", "... { ".repeat(70), " }".repeat(70));
    let circular = "fields { type { ".repeat(4);
    let documents = [
        exploding(25),
        exploding(9),
        deep,
        format!("{{ {aliases} }}"),
        format!("{{ {} }}", "__typename ".repeat(401)),
        format!("{{ __typename {} }}", "@include(if: true)".repeat(51)),
        format!("{{ {nested} }}"),
        "{ artworks(first: 100) { nodes { hotness { history(first: 100) { score level } } } } }".to_owned(),
        format!("{{ __schema {{ types {{ {circular} name {} }} }} }}", "}}".repeat(4)),
        "{ contents(ids: [".to_owned() + &"[".repeat(5_000) + &"]".repeat(5_000) + "]) { id } }",
        "{ me { roles } } ".repeat(10_000),
    ];
    assert!(documents[0].len() < 2_048);
    for document in &documents {
        let answer = author.query(document).await;
        let shown = &document[..document.len().min(120)];
        assert_eq!((answer.status, answer.body.get("data")), (400, None), "{shown}: {:#}", answer.body);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "TOO_COMPLEX", "{shown}: {:#}", answer.body);
    }
    let message = author.query(&format!("{{ {aliases} }}")).await;
    assert_eq!(message.message(), "the document has 51 aliases, and 50 is the most");
    let long = author.query(&format!("{{ {} }}", "x".repeat(100_000))).await;
    assert!(long.message().len() < 1_000, "an error does not repeat all that was sent");
    author.publish("it still serves").await;
    app.finish().await;
}

#[tokio::test]
async fn cost_is_by_role_and_by_what_variables_ask_for() {
    let options = Options::default()
        .with("limits.cost_anonymous", 50)
        .with("limits.cost_user", 200)
        .with("limits.cost_service", 1_000);
    let app = start(options).await;
    // 1 for the connection, 1 for its nodes and one for each title, so often as `first` says.
    let document = "query ($n: Int) { artworks(first: $n) { nodes { title } } }";
    let (nobody, user, service) = (app.anonymous(), app.user("user"), app.client("service", &[Role::Service]));
    for (client, most) in [(&nobody, 50), (&user, 200)] {
        let fits = (most - 1) / 2;
        client.run(document, json!({ "n": fits })).await.data();
        let answer = client.run(document, json!({ "n": fits + 1 })).await;
        refused(&answer, "TOO_COMPLEX");
        let message = format!(
            "the operation costs {}, and {most} is the most: ask for fewer items or fields",
            1 + 2 * (fits + 1)
        );
        assert_eq!(answer.message(), message);
    }
    service.run(document, json!({ "n": 100 })).await.data();
    // Fragments cost what they stand for, and lists of ids their length.
    let ids = vec!["artwork_01h455vb4pex5vsknk084sn02q"; 30];
    let document = "query ($ids: [ID!]) { contents(ids: $ids) { ...f ...f } } fragment f on Content { id title }";
    assert_eq!(nobody.run(document, json!({ "ids": ids })).await.code(), "TOO_COMPLEX");
    user.run(document, json!({ "ids": ids })).await.data();
    app.finish().await;
}

#[tokio::test]
async fn errors_say_where_and_take_what_they_must() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let answer = author.query("{\n  me {\n    nonsense\n  }\n}").await;
    assert_eq!(answer.body["errors"][0]["locations"], json!([{ "line": 3, "column": 5 }]));
    let id = author.publish("an artwork").await;
    let document = format!("{{ ok: __typename x: user(id: \"{id}\") {{ id }} }}");
    let answer = author.query(&document).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], json!({ "ok": "Query", "x": null }), "a nullable field takes the null");
    assert_eq!(answer.body["errors"][0]["path"], json!(["x"]));
    assert_eq!(answer.body["errors"][0]["locations"], json!([{ "line": 1, "column": 26 }]));
    let answer = author.query("{ ok: __typename hotRanking(first: -1) { rank } }").await;
    assert_eq!(
        (answer.status, &answer.body["data"]),
        (200, &Value::Null),
        "a field that must not be null takes its parent"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_error_names_the_field_that_it_came_up_in() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let id = author.publish("an artwork").await;
    let comments = "comments(first: 1000) { edges { node { id } } }";
    let history = "history(first: 1000) { score }";
    for (document, path) in [
        (format!("{{ artworks {{ nodes {{ {comments} }} }} }}"), json!(["artworks", "nodes", 0, "comments"])),
        (
            format!("{{ artworks {{ edges {{ node {{ hotness {{ {history} }} }} }} }} }}"),
            json!(["artworks", "edges", 0, "node", "hotness", "history"]),
        ),
        (format!("{{ hotRanking {{ content {{ {comments} }} }} }}"), json!(["hotRanking", 0, "content", "comments"])),
        (
            format!("{{ contents(ids: [\"artwork_01h455vb4pex5vsknk084sn02q\", \"{id}\"]) {{ c: {comments} }} }}"),
            json!(["contents", 1, "c"]),
        ),
        (
            format!("mutation {{ like(contentId: \"{id}\") {{ content {{ {comments} }} }} }}"),
            json!(["like", "content", "comments"]),
        ),
    ] {
        let answer = author.query(&document).await;
        let errors = answer.body["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["path"]), (1, &path), "{document}: {:#}", answer.body);
    }
    let ids = "query ($ids: [ID!]) { contents(ids: $ids) { hotness { history(first: 1000) { score } } } }";
    let answer = author.run(ids, json!({ "ids": [id, id] })).await;
    let paths: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["path"]).collect();
    assert_eq!(paths, [&json!(["contents", 0, "hotness", "history"]), &json!(["contents", 1, "hotness", "history"])]);
    assert_eq!(answer.body["data"], json!({ "contents": [null, null] }));
    app.finish().await;
}

/// A document of its own, with something in it to keep.
fn hostile(n: usize) -> String {
    let fields: String =
        (0..45).map(|field| format!("a{n}_{field}: hotRanking(first: {field}) {{ rank score }} ")).collect();
    format!("query q{n} {{ {fields} }} # {}", "x".repeat(2_000))
}

#[tokio::test]
async fn unique_documents_do_not_fill_the_memory() {
    const BOUND: usize = 4 << 20;
    let database = TestDatabase::create(Backend::Sqlite).await;
    let bound = BOUND.to_string();
    let variables = [("TALLY_GRAPHQL_CACHE_BYTES", &*bound), ("TALLY_LIMITS_COST_ANONYMOUS", "1000000")];
    let server = Process::serve_with(&database, &variables).await;
    let nobody = Client::new(&server.url, None);
    for n in 0..200 {
        nobody.query(&hostile(n)).await.data();
    }
    let before = server.resident_bytes();
    // 1,500 documents of some 60 KB each in memory: 90 MB, were they kept.
    for n in 200..1_700 {
        nobody.query(&hostile(n)).await.data();
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 4 * BOUND, "{grown} bytes more, with a bound of {BOUND}");
    nobody.query("{ __typename }").await.data();
    server.kill().await;
    database.remove().await;
}

#[tokio::test]
async fn a_field_that_fragments_repeat_runs_once() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let document = "mutation ($no: Boolean = false) {
        publishArtwork(input: { title: \"once\" }) { created }
        ...f
        ... on Mutation { publishArtwork(input: { title: \"once\" }) { artwork { title id } } ...f }
        again: publishArtwork(input: { title: \"twice\" }) { created @include(if: $no) artwork { title } }
        publishArtwork(input: { title: \"once\" }) { artwork { likeCount } }
    } fragment f on Mutation { publishArtwork(input: { title: \"once\" }) { artwork { __typename title } } }";
    let answer = author.query(document).await;
    let first = &answer.data()["publishArtwork"];
    assert_eq!((&first["created"], &first["artwork"]["title"]), (&json!(true), &json!("once")));
    assert_eq!((&first["artwork"]["__typename"], &first["artwork"]["likeCount"]), (&json!("Artwork"), &json!(0)));
    assert_eq!(answer.data()["again"], json!({ "artwork": { "title": "twice" } }));
    assert_eq!(titles(&author).await, json!([{ "title": "twice" }, { "title": "once" }]));
    app.finish().await;
}

#[tokio::test]
async fn variables_are_not_copied_without_end() {
    let app = start(Options::default().with("limits.fields", 1_000)).await;
    let user = app.user("user");
    let uses: String = (0..50).map(|n| format!("a{n}: node(id: $id) {{ id }} ")).collect();
    let document = format!("query ($id: ID!) {{ {uses} }}");
    let answer = user.run(&document, json!({ "id": "x".repeat(200_000) })).await;
    refused(&answer, "TOO_COMPLEX");
    assert!(answer.message().starts_with("the variables take 10000000 bytes"), "{}", answer.message());
    assert_eq!(user.run(&document, json!({ "id": "x".repeat(2_000) })).await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn operations_share_what_a_document_may_hold() {
    let app = start(Options::default()).await;
    let fields = "__typename ".repeat(300);
    let document = |operations: usize| {
        let operations: String = (0..operations).map(|n| format!("query q{n} {{ ...f }} ")).collect();
        format!("{operations} fragment f on Query {{ {fields} }}")
    };
    let run = async |operations| {
        let body = json!({ "query": document(operations), "operationName": "q0" });
        let request = crate::harness::http().post(format!("{}/graphql", app.url)).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(run(5).await["data"]["__typename"], "Query");
    assert_eq!(
        run(6).await["errors"][0]["message"],
        "the document has 1800 fields in all its operations, and 1600 is the most"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_name_has_a_bound() {
    let app = start(Options::default()).await;
    let nobody = app.anonymous();
    let (long, longest) = ("a".repeat(400_000), "a".repeat(128));
    for document in [
        format!("{{ {long}: __typename }}"),
        format!("{{ {long} }}"),
        format!("query {long} {{ __typename }}"),
        format!("query (${long}: ID!) {{ node(id: ${long}) {{ id }} }}"),
        format!("{{ ...{long} }} fragment {long} on Query {{ __typename }}"),
        format!("{{ __typename @{long} }}"),
        format!("{{ hotRanking({long}: 1) {{ rank }} }}"),
        // What comes after it, if it is no document, changes nothing.
        format!("{{ {long} {{{{{{ \" "),
    ] {
        let begun = std::time::Instant::now();
        let answer = nobody.query(&document).await;
        refused(&answer, "TOO_COMPLEX");
        let message = "the document has a name of 400000 characters, and 128 is the most: aaaaaaaaaaaaaaaaaaaa…";
        assert_eq!(answer.message(), message);
        assert!(answer.body["errors"][0]["locations"][0]["column"].as_u64().unwrap() < 20, "{:#}", answer.body);
        // Two seconds are much more than it takes, also on a machine that does other things.
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    let fits = format!(
        "query {longest} {{ {longest}: __typename ...f }} fragment f on Query {{ node(id: \"{longest}a\") {{ id }} }} # {long}"
    );
    let answer = nobody.query(&fits).await;
    assert_eq!(answer.body["data"][&longest], "Query", "{:#}", answer.body);
    refused(&nobody.query(&format!("{{ {longest}a: __typename }}")).await, "TOO_COMPLEX");
    app.finish().await;
}

#[tokio::test]
async fn a_connection_costs_the_same_in_a_fragment() {
    let app = start(Options::default().with("limits.cost_anonymous", 1 + 100 * (1 + 1 + 2))).await;
    for document in [
        "{ artworks(first: 100) { edges { node { id title } } } }",
        "{ artworks(first: 100) { ...f } } fragment f on ArtworkConnection { edges { ... { node { id title } } } }",
    ] {
        app.anonymous().query(document).await.data();
    }
    let more = "{ artworks(first: 100) { edges { node { id title model } } } }";
    assert_eq!(app.anonymous().query(more).await.code(), "TOO_COMPLEX");
    app.finish().await;
}
