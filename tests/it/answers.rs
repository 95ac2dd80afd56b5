//! Answers are bounded: by what their text costs before it is read, and by their bytes as they are written. On SQLite
//! alone: nothing here reaches the database differently.

use serde_json::{Value, json};
use tally::app::Tally;

use crate::harness::{Backend, Client, Listener, Options, TestApp, http};
use crate::probe::{ProbeFacade, Probed, until};

/// Of an answer, in bytes.
const MOST: usize = 100_000;

async fn start(options: Options) -> TestApp {
    TestApp::start_with::<Tally>(Backend::Sqlite, options).await
}

/// An artwork whose prompt is as long as one may be: 40 KB.
async fn publish_long(author: &Client) -> String {
    let document = "mutation ($input: PublishArtworkInput!) { publishArtwork(input: $input) { artwork { id } } }";
    let answer = author.run(document, json!({ "input": { "title": "long", "prompt": "😀".repeat(10_000) } })).await;
    answer.data()["publishArtwork"]["artwork"]["id"].as_str().unwrap().to_owned()
}

fn contents(ids: &[String]) -> Value {
    json!({ "query": "query ($ids: [ID!]) { contents(ids: $ids) { ... on Artwork { prompt } } }", "variables": { "ids": ids } })
}

fn too_large(answer: &Value) {
    assert_eq!(
        (answer.get("data"), &answer["errors"][0]["extensions"]["code"]),
        (Some(&Value::Null), &json!("TOO_COMPLEX"))
    );
    let message =
        "the answer has more than 100000 bytes: ask for fewer items or fields; what was changed stays changed";
    assert_eq!(answer["errors"], json!([{ "message": message, "extensions": { "code": "TOO_COMPLEX" } }]));
}

/// Whether `contents` came whole, so many of them.
fn whole(answer: &Value, count: usize) -> bool {
    answer["data"]["contents"].as_array().is_some_and(|contents| contents.len() == count)
}

#[tokio::test]
async fn long_text_costs_what_it_may_take() {
    let app = start(Options::default()).await;
    let author = app.user("author");
    let ids = vec![publish_long(&author).await; 1_000];
    let prompts: String = (0..9).map(|n| format!("p{n}: prompt ")).collect();
    let document = format!("query ($ids: [ID!]) {{ contents(ids: $ids) {{ ... on Artwork {{ {prompts} }} }} }}");
    for (count, cost) in [(1_000, 180_001), (112, 20_161)] {
        let answer = author.run(&document, json!({ "ids": ids[..count] })).await;
        assert_eq!((answer.status, answer.code()), (400, "TOO_COMPLEX"));
        let message = format!("the operation costs {cost}, and 20000 is the most: ask for fewer items or fields");
        assert_eq!(answer.message(), message);
    }
    // A page of everything is not too much, for whoever asks.
    let page = "{ artworks(first: 100) { nodes { id title prompt model imageUrl coverUrl author { name }
        comments(first: 5) { nodes { body author { name } } } } } }";
    app.anonymous().query(page).await.data();
    app.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_an_error_and_what_was_done_stays() {
    let app = start(Options::default().with("limits.answer_bytes", MOST)).await;
    let author = app.user("author");
    let id = publish_long(&author).await;
    let post = async |body: &Value| {
        let response = http().post(format!("{}/graphql", app.url)).json(body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()
    };
    let ids = vec![id; 3];
    assert!(whole(&post(&contents(&ids[..2])).await, 2));
    too_large(&post(&contents(&ids)).await);
    let get = [("query", "query ($ids: [ID!]) { contents(ids: $ids) { ... on Artwork { prompt } } }".to_owned())];
    let get = [&get[..], &[("variables", json!({ "ids": ids }).to_string())]].concat();
    let url = reqwest::Url::parse_with_params(&format!("{}/graphql", app.url), &get).unwrap();
    too_large(&http().get(url).send().await.unwrap().json().await.unwrap());

    // A batch has one bound: what still fits in it stands.
    let batch = [contents(&ids), contents(&ids[..1]), contents(&ids[..2]), contents(&ids[..1]), contents(&ids[..1])];
    let answers = post(&json!(batch)).await;
    too_large(&answers[0]);
    assert!(whole(&answers[1], 1) && whole(&answers[3], 1), "in their order");
    too_large(&answers[2]);
    too_large(&answers[4]);

    let document = "mutation ($input: PublishArtworkInput!) {
        publishArtwork(input: $input) { artwork { title a: prompt b: prompt c: prompt } } }";
    let input = json!({ "title": "stays", "prompt": "😀".repeat(10_000) });
    too_large(&author.run(document, json!({ "input": input })).await.body);
    let titles = author.query("{ artworks { nodes { title } } }").await;
    assert_eq!(titles.data()["artworks"]["nodes"][0]["title"], "stays");
    app.finish().await;
}

#[tokio::test]
async fn sockets_and_streams_bound_each_answer() {
    let app = start(Options::default().with("limits.answer_bytes", MOST)).await;
    let ids = vec![publish_long(&app.user("author")).await; 3];
    let mut socket = Listener::acknowledged(&app.url).await;
    for (count, fits) in [(3, false), (2, true), (3, false)] {
        socket.send(json!({ "type": "subscribe", "id": "1", "payload": contents(&ids[..count]) })).await;
        let message = socket.message().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!("1")));
        if fits {
            assert!(whole(&message["payload"], count));
        } else {
            too_large(&message["payload"]);
        }
        assert_eq!(socket.message().await, json!({ "type": "complete", "id": "1" }));
    }
    for (count, fits) in [(3, false), (2, true)] {
        let request = http().post(format!("{}/graphql/stream", app.url)).json(&contents(&ids[..count]));
        let text = request.send().await.unwrap().text().await.unwrap();
        let (before, rest) = text.split_once("event: next\ndata: ").unwrap();
        let (data, rest) = rest.split_once("\n\n").unwrap();
        assert_eq!((before, rest), (":\n\n", "event: complete\ndata:\n\n"));
        let answer = serde_json::from_str(data).unwrap();
        if fits {
            assert!(whole(&answer, count));
        } else {
            too_large(&answer);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn the_whole_schema_fits_into_an_answer() {
    let app = start(Options::default()).await;
    let ty = "type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }";
    let value = format!("name description {ty} defaultValue");
    let document = format!(
        "{{ __schema {{ queryType {{ name }} types {{ kind name description
            fields(includeDeprecated: true) {{ name description args {{ {value} }} {ty} isDeprecated deprecationReason }}
            inputFields {{ {value} }} interfaces {{ name }} possibleTypes {{ name }}
            enumValues(includeDeprecated: true) {{ name description }} }}
            directives {{ name description locations args {{ {value} }} }} }} }}"
    );
    let answer = app.anonymous().query(&document).await;
    let types = answer.data()["__schema"]["types"].as_array().unwrap().len();
    assert!(types > 80, "{types}");
    assert!(answer.body.to_string().len() < 4 << 20, "half of the bound is left");
    app.finish().await;
}

/// One that is under way holds what its answer may take; others wait for it, and not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_way_are_bounded_together() {
    let options = Options::default().with("server.answers_mib", 1);
    let app = TestApp::start_with::<Probed>(Backend::Sqlite, options).await;
    let (probe, client): (ProbeFacade, _) = (app.facade(), app.anonymous());
    let page = "artworks(first: 100) { nodes { id title prompt } }";
    let large = &*format!("{{ {page} }}");
    client.query(large).await.data();
    let slow = &*format!("{{ wait {page} }}");
    let batch = json!([{ "query": slow }, { "query": large }, { "query": large }]);
    let url = format!("{}/graphql", app.url);
    let batch = tokio::spawn(http().post(url).json(&batch).send());
    until("it waits", || probe.begun() == 1).await;
    let refused = client.query(large).await;
    assert_eq!((refused.status, refused.code()), (503, "OVERLOADED"));
    let mut socket = Listener::acknowledged(&app.url).await;
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": large } })).await;
    assert_eq!(socket.message().await["payload"]["errors"][0]["extensions"]["code"], "OVERLOADED");
    client.query("{ __typename }").await.data();

    // None of a batch waits for another of it, though they may take more than all there is.
    probe.let_go();
    let answers: Value = batch.await.unwrap().unwrap().json().await.unwrap();
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["data"]["artworks"].is_object()), "{answers}");
    socket.send(json!({ "type": "subscribe", "id": "2", "payload": { "query": slow } })).await;
    until("it waits, on the socket", || probe.begun() == 2).await;
    let large = large.to_owned();
    let waiting = tokio::spawn(async move { client.query(&large).await });
    probe.let_go();
    waiting.await.unwrap().data();
    app.finish().await;
}
