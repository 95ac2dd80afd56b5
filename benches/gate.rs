//! What the document gate costs: an operation that it knows, one that it meets for the first time, one that explodes;
//! and the smallest request over HTTP. Beside it, in the same run, what async-graphql's parser alone takes for the text.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use async_graphql::parser::parse_query;
use serde_json::json;
use support::{Connection, Server, median, row, token};
use tally::app::{App, Tally};
use tally::kernel::auth::{Role, Session};
use tally::kernel::config::Settings;
use tally::kernel::gate::Gate;
use tally::kernel::http::Params;
use tally::kernel::module::Modules;

const REQUESTS: usize = 20_000;
const RUNS: usize = 7;
/// A server that has nothing else to do spends more on waking up than on a request.
const CONNECTIONS: usize = 64;

const RANKING: &str = "query Ranking($first: Int! = 20, $kind: ContentKind) {
    hotRanking(first: $first, kind: $kind) { rank score level content { ...card } }
    me { user { id name } }
}
fragment card on Content {
    id title likeCount favoriteCount commentCount shareCount viewCount author { id name }
    hotness { score level rank levelChangesAt } viewerHasLiked viewerHasFavorited
}";

/// Stands for 2^25 fields in less than 2 KB.
fn exploding() -> String {
    let mut document = "{ ...f0 }".to_owned();
    for level in 0..25 {
        let _ = write!(document, " fragment f{level} on Query {{ ...f{0} ...f{0} }}", level + 1);
    }
    document + " fragment f25 on Query { __typename }"
}

fn main() {
    let list = Modules::new(Tally::modules()).expect("modules that fit").settings();
    let settings = Settings::read(&list, None, &BTreeMap::new(), &[]).expect("the defaults");
    let gate = Gate::new(&tally::server::sdl::<Tally>(), &settings, true).expect("a gate");
    println!("\nThe document gate, microseconds an operation (median of {RUNS} runs)\n");
    row(&["operation".into(), "the gate".into(), "async-graphql parses the text".into()]);
    row(&vec!["---".into(); 3]);
    let smallest = params("{ __typename }", &json!({}));
    let ranking = params(RANKING, &json!({ "first": 50, "kind": "ARTWORK" }));
    for (name, params) in [("`{ __typename }`", &smallest), ("a ranking page with variables", &ranking)] {
        let ours = micros(|_| drop(black_box(gate.admit(params, &Session::default()).map_err(|_| ()))));
        let text = params.query.clone().expect("a text");
        let theirs = micros(|_| drop(black_box(parse_query(&text))));
        row(&[format!("{name}, known"), format!("{ours:.2}"), format!("{theirs:.2}")]);
    }
    let first = micros(|n| {
        let unique = params(&format!("{RANKING} # {n}"), &json!({ "first": 50 }));
        drop(black_box(gate.admit(&unique, &Session::default()).map_err(|_| ())));
    });
    row(&["a ranking page, met for the first time".into(), format!("{first:.1}"), String::new()]);
    let bomb = params(&exploding(), &json!({}));
    let refused = micros(|_| assert!(gate.admit(&bomb, &Session::default()).is_err()));
    row(&["25 chained double spreads, refused".into(), format!("{refused:.1}"), String::new()]);
    worst(&gate);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(over_http());
}

/// The largest documents of their kinds that the limits let through to validation, or up to it.
fn worst(gate: &Gate) {
    let many = |count: usize, each: &dyn Fn(usize) -> String| (0..count).map(each).collect::<String>();
    let documents = [
        ("operations", many(1_200, &|n| format!("query q{n} {{ nonsense }} "))),
        (
            "unused fragments",
            "{ me { roles } } ".to_owned() + &many(800, &|n| format!("fragment f{n} on Query {{ x }} ")),
        ),
        ("variables", format!("query ({}) {{ me {{ roles }} }}", many(1_500, &|n| format!("$v{n}: Int ")))),
        (
            "the same alias for different fields",
            format!("{{ {} }}", many(50, &|n| format!("a: hotRanking(first: {n}) {{ rank a: score }} "))),
        ),
        (
            "overlapping fields",
            format!("{{ {} }}", "hotRanking { content { id title author { id name } } } ".repeat(65)),
        ),
        (
            "spreads",
            "{ ...f0 } ".to_owned()
                + &many(60, &|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} me {{ roles }} }} ", n + 1))
                + "fragment f60 on Query { me { roles } }",
        ),
        ("wrong fields", format!("{{ {} }}", many(400, &|n| format!("nonsense{n} ")))),
        ("wrong arguments", format!("{{ hotRanking({}) {{ rank }} }}", many(2_000, &|n| format!("x{n}: 1 ")))),
        ("brackets", format!("{{ contents(ids: {}{}) {{ id }} }}", "[".repeat(4_000), "]".repeat(4_000))),
        ("a comment of 1 MiB", format!("{{ __typename }} #{}", "x".repeat(1 << 20))),
        ("a string of 1 MiB", format!("{{ node(id: \"{}\") {{ id }} }}", "x".repeat(1 << 20))),
        ("a name of 1 MiB", format!("{{ {} }}", "x".repeat(1 << 20))),
        ("a list of ids", format!("{{ contents(ids: [{}]) {{ id }} }}", "\"x\" ".repeat(4_000))),
    ];
    println!("\nThe largest documents of their kinds, met for the first time, milliseconds\n");
    row(&["document".into(), "the gate".into(), "outcome".into()]);
    row(&vec!["---".into(); 3]);
    for (name, text) in documents {
        let params = params(&text, &json!({}));
        let started = Instant::now();
        let outcome = gate.admit(&params, &Session::default());
        let took = started.elapsed().as_secs_f64() * 1e3;
        let outcome = outcome.map_or_else(
            |refused| refused.response.errors[0].message.chars().take(60).collect(),
            |_| "runs".to_owned(),
        );
        row(&[name.into(), format!("{took:.1}"), outcome]);
    }
}

fn params(query: &str, variables: &serde_json::Value) -> Params {
    let variables = variables.as_object().cloned().unwrap_or_default();
    Params { query: Some(query.to_owned()), variables, ..Params::default() }
}

/// The median time of `act`, in microseconds.
fn micros(mut act: impl FnMut(usize)) -> f64 {
    let runs = (0..RUNS).map(|run| {
        let count = REQUESTS / 10;
        let started = Instant::now();
        (0..count).for_each(|n| act(run * count + n));
        started.elapsed().as_secs_f64() * 1e6 / count as f64
    });
    median(runs.collect())
}

async fn over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}/bench.db", folder.path().display());
    let server = Server::start(&database, &[("TALLY_LIMITS_RATE_USER", "0")]).await;
    let body = r#"{"query":"{ __typename }"}"#;
    let mut runs = Vec::new();
    for _ in 0..=RUNS {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(server.address, token("somebody", Role::User)).await;
            clients.spawn(async move {
                for _ in 0..REQUESTS / CONNECTIONS {
                    connection.post(body).await;
                }
            });
        }
        let before = server.cpu_secs();
        clients.join_all().await;
        runs.push((server.cpu_secs() - before) * 1e6 / REQUESTS as f64);
    }
    // The first warms up.
    runs.remove(0);
    println!("\n`{{ __typename }}` over HTTP with a token, {CONNECTIONS} connections, {REQUESTS} requests a run\n");
    row(&["server's CPU, microseconds a request".into()]);
    row(&["---".into()]);
    row(&[format!("{:.1}", median(runs))]);
    server.stop().await;
}
