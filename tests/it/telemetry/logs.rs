//! What the binary logs: JSON of one object a line, slow operations, and no secrets.

use serde_json::{Value, json};
use tally::app::{App as _, Tally};

use crate::harness::{Backend, Client, Process, SECRET, TestDatabase, run};

/// A token of the tests' secret.
async fn token(database: &TestDatabase) -> String {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let (_, token, _) = run(&["token", "--user", "somebody"], &environment, tempfile::tempdir().unwrap().path()).await;
    token.trim().to_owned()
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn every_log_line_is_a_json_object_and_slow_operations_are_among_them() {
    let _ = Tally::modules();
    let database = TestDatabase::create(Backend::Sqlite).await;
    let token = token(&database).await;
    let settings = [
        ("TALLY_LOG", "debug"),
        ("TALLY_TELEMETRY_FORMAT", "json"),
        ("TALLY_TELEMETRY_SLOW_MS", "1"),
        ("TALLY_TELEMETRY_METRICS_TOKEN", "a token of the metrics"),
    ];
    let server = Process::serve_with(&database, &settings).await;
    let client = Client::new(&server.url, Some(token.clone()));
    let http = crate::harness::http();
    // A write waits for the disk: sooner or later one takes a millisecond.
    let publish =
        "mutation Publishing($title: String!) { publishArtwork(input: { title: $title }) { artwork { id } } }";
    for n in 0..50 {
        let body = json!({ "query": publish, "variables": { "title": format!("hush {n}\n\"quoted\"") } });
        let request = http.post(format!("{}/graphql", server.url)).bearer_auth(&token).header("x-request-id", "mine-1");
        assert_eq!(request.json(&body).send().await.unwrap().status().as_u16(), 200);
    }
    client.query("{ nonsense }").await;
    let (status, log) = server.stop().await;
    assert_eq!(status, 0);

    let lines = lines(&log);
    assert!(lines.len() > 50, "{log}");
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
        let moment = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str().unwrap());
        assert!(moment.is_ok(), "{line}");
    }
    let slow = lines.iter().find(|line| line["message"] == "slow operation").expect("a slow operation");
    assert_eq!((&slow["level"], &slow["kind"]), (&json!("WARN"), &json!("mutation")), "{slow}");
    assert_eq!((&slow["id"], &slow["operation"]), (&json!("mine-1"), &json!("Publishing")), "{slow}");
    assert!(slow["took_ms"].as_u64().unwrap() >= 1 && slow["statements"].is_u64(), "{slow}");
    for hidden in ["hush", SECRET, &token, "a token of the metrics", "publishArtwork"] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    database.remove().await;
}

#[tokio::test]
async fn a_failure_is_logged_with_its_request_and_its_operation_whatever_the_level() {
    let database = TestDatabase::create(Backend::Sqlite).await;
    let settings = [("TALLY_LOG", "error"), ("TALLY_TELEMETRY_FORMAT", "json"), ("TALLY_TELEMETRY_SLOW_MS", "0")];
    let server = Process::serve_with(&database, &settings).await;
    database.sql("DROP TABLE contents").await;
    let client = Client::new(&server.url, None);
    let answer = client.query("query Listing { artworks(first: 1) { nodes { id } } }").await;
    assert_eq!(answer.code(), "INTERNAL");
    let (_, log) = server.stop().await;
    let lines = lines(&log);
    let failed = lines.iter().find(|line| line["message"] == "request failed").unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&failed["operation"], &failed["kind"]), (&json!("Listing"), &json!("query")), "{failed}");
    assert!(failed["id"].as_str().is_some_and(|id| id.len() == 32), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("contents"), "the operator reads the cause: {failed}");
    database.remove().await;
}

#[tokio::test]
async fn nothing_is_slow_when_that_is_off() {
    let database = TestDatabase::create(Backend::Sqlite).await;
    let server = Process::serve_with(&database, &[("TALLY_LOG", "warn"), ("TALLY_TELEMETRY_SLOW_MS", "0")]).await;
    let client = Client::new(&server.url, Some(token(&database).await));
    for n in 0..20 {
        client.publish(&format!("{n}")).await;
    }
    let (_, log) = server.stop().await;
    assert_eq!(log, "");
    database.remove().await;
}
