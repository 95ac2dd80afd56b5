//! `tally status`: who is there, what waits, and what needs somebody.

use serde_json::{Value, json};
use tally::app::Tally;

use crate::harness::{Backend, Options, Process, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    nodes_come_and_go,
    what_needs_somebody_is_named_with_a_command,
    signs_of_life_are_repeated_and_old_ones_removed,
    a_database_without_the_schema_says_so,
    a_recalculation_that_is_due_is_named,
);

/// Its status, and its report.
async fn status(database: &TestDatabase) -> (i32, Value) {
    let (status, output, errors) = printed(database, &["status", "--json"]).await;
    assert_eq!(errors, "");
    (status, serde_json::from_str(&output).unwrap())
}

async fn printed(database: &TestDatabase, arguments: &[&str]) -> (i32, String, String) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "off")];
    run(arguments, &environment, tempfile::tempdir().unwrap().path()).await
}

/// What needs somebody, with its command.
fn attention(report: &Value) -> Vec<(String, String)> {
    let found = report["attention"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found.map(|attention| (text(&attention["what"]), text(&attention["command"]))).collect()
}

fn needs(report: &Value, what: &str, command: &str) {
    let found = attention(report);
    assert!(found.iter().any(|(said, helps)| said.contains(what) && helps == command), "no «{what}» in {found:#?}");
}

async fn nodes_come_and_go(backend: Backend) {
    let database = TestApp::start(backend).await.stop().await;
    let (code, report) = status(&database).await;
    assert_eq!((code, &report["state"], &report["nodes"]), (1, &json!("ATTENTION"), &json!([])), "{report:#}");
    assert_eq!(attention(&report), [("no server runs".to_owned(), "tally serve".to_owned())]);

    let one = Process::serve(&database).await;
    let (code, report) = status(&database).await;
    assert_eq!((code, &report["state"], &report["attention"]), (0, &json!("OK"), &json!([])), "{report:#}");
    let node = &report["nodes"][0];
    assert_eq!(format!("http://{}", node["listen"].as_str().unwrap()), one.url);
    assert_eq!((&node["role"], &node["works"], &node["deadSecs"]), (&json!("server"), &json!(true), &Value::Null));
    assert_eq!((&node["version"], &report["version"]), (&json!(env!("CARGO_PKG_VERSION")), &node["version"]));
    let (code, text, _) = printed(&database, &["status"]).await;
    assert!(code == 0 && text.ends_with("\nall is well\n") && !text.contains(SECRET), "{text}");

    let two = Process::serve(&database).await;
    let (code, report) = status(&database).await;
    assert_eq!((code, report["nodes"].as_array().unwrap().len()), (0, 2), "{report:#}");

    let its = two.url.strip_prefix("http://").unwrap().to_owned();
    database.sql(&format!("UPDATE nodes SET version = '0.0.9' WHERE listen = '{its}'")).await;
    let (code, report) = status(&database).await;
    assert_eq!(code, 1);
    needs(&report, &format!("several versions run: 0.0.9, {}", env!("CARGO_PKG_VERSION")), "tally serve");

    // Killed, it says nothing; a while later that is noticed, and its version is nobody's any more.
    two.kill().await;
    database.sql(&format!("UPDATE nodes SET seen_at = seen_at - 120000 WHERE listen = '{its}'")).await;
    let (code, report) = status(&database).await;
    assert_eq!((code, attention(&report).len()), (1, 1), "{report:#}");
    needs(&report, "it died, or cannot write to the database", "tally serve");
    let (_, text, _) = printed(&database, &["status"]).await;
    assert!(text.contains("DEAD, silent for 2 min"), "{text}");
    database.sql(&format!("UPDATE nodes SET seen_at = seen_at - 7200000 WHERE listen = '{its}'")).await;
    let (code, report) = status(&database).await;
    assert_eq!((code, report["nodes"].as_array().unwrap().len()), (0, 2), "an hour later it is old news");

    assert_eq!(one.stop().await.0, 0);
    let (_, report) = status(&database).await;
    assert_eq!(report["nodes"].as_array().unwrap().len(), 1, "who stops takes leave: {report:#}");
    database.remove().await;
}

async fn what_needs_somebody_is_named_with_a_command(backend: Backend) {
    let app = TestApp::start(backend).await;
    let id = app.user("author").publish("one").await;
    app.user("ann").act("like", &id).await.data();
    let (code, report) = status(&app.database).await;
    assert_eq!(code, 1);
    needs(&report, "nobody delivers events or runs jobs", "tally worker");
    let queue = &report["queues"][0];
    assert_eq!((&queue["consumer"], &queue["setAside"]), (&json!("notifications"), &json!(0)), "{report:#}");
    assert!(queue["waiting"].as_i64().unwrap() > 0, "{report:#}");

    for (sql, what, command) in [
        ("UPDATE outbox SET created_at = 1000", "events for notifications have waited for", "tally events"),
        ("UPDATE outbox SET set_aside_at = 1, error = 'no'", "failed and are set aside", "tally events --failed"),
        ("UPDATE jobs SET next_run_at = 1000", "due, and nobody runs them: ", "tally jobs"),
        (
            "UPDATE jobs SET last_tick = 5, next_run_at = NULL WHERE name = 'kernel.retention'",
            "the last run of kernel.retention failed: no room",
            "tally jobs",
        ),
        (
            "UPDATE jobs SET lease_until = 1000, next_run_at = NULL,
             owner = CASE name WHEN 'kernel.retention' THEN 'gone' ELSE '' END",
            "due, and nobody runs them: kernel.retention",
            "tally jobs",
        ),
    ] {
        if sql.contains("last_tick") {
            let run = "INSERT INTO job_runs (job, tick, owner, attempts, started_at, ended_at, outcome, detail)
                       VALUES ('kernel.retention', 5, 'x', 1, 5, 6, 'FAILED', 'no room')";
            app.database.sql(run).await;
        }
        app.database.sql(sql).await;
        let (code, report) = status(&app.database).await;
        assert_eq!((code, &report["state"]), (1, &json!("ATTENTION")), "{sql}");
        needs(&report, what, command);
        let (code, text, _) = printed(&app.database, &["status"]).await;
        assert_eq!(code, 1);
        assert!(text.lines().any(|line| line.contains(what) && line.ends_with(&format!("→  {command}"))), "{text}");
    }
    app.stop_unaudited().await.remove().await;
}

async fn signs_of_life_are_repeated_and_old_ones_removed(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let server = Process::serve_with(&database, &[("TALLY_NODES_HEARTBEAT_SECS", "1")]).await;
    let seen = async || status(&database).await.1["nodes"][0]["seenAt"].as_str().unwrap().to_owned();
    let first = seen().await;
    let mut later = first.clone();
    for _ in 0..100 {
        later = seen().await;
        if later > first {
            break;
        }
    }
    assert!(later > first, "no second sign of life");
    // Another process on its address can only mean that it is gone.
    let its = server.url.strip_prefix("http://").unwrap().to_owned();
    database
        .sql(&format!(
            "INSERT INTO nodes SELECT 'before', host, version, role, works, listen, beat_secs, 1, 1
                           FROM nodes WHERE listen = '{its}'"
        ))
        .await;
    for _ in 0..100 {
        if status(&database).await.1["nodes"].as_array().unwrap().len() == 1 {
            break;
        }
    }
    let (_, report) = status(&database).await;
    assert_eq!(report["nodes"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(server.stop().await.0, 0);

    let app = TestApp::start_on::<Tally>(database, Options::default()).await;
    app.database
        .sql("INSERT INTO nodes SELECT 'old', host, version, role, works, NULL, beat_secs, 1, 1 FROM nodes")
        .await;
    assert_eq!(app.number("SELECT count(*) FROM nodes").await, 2);
    app.kernel.jobs.wake("kernel.retention").await.unwrap();
    app.settle().await;
    assert_eq!(app.number("SELECT count(*) FROM nodes").await, 1, "silent for a day");
    app.finish().await;
}

async fn a_database_without_the_schema_says_so(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    if let Some(file) = database.url.strip_prefix("sqlite:") {
        let (code, output, errors) = printed(&database, &["status"]).await;
        assert_eq!((code, &*output), (2, ""));
        assert!(errors.contains("there is no database yet"), "{errors}");
        std::fs::write(file, "").unwrap();
    }
    let (code, report) = status(&database).await;
    assert_eq!(code, 1);
    needs(&report, "migration(s) are pending", "tally migrate");
    database.remove().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = [("DATABASE_URL", &*format!("postgres://somebody:hush@{closed}/tally"))];
    let (code, output, errors) = run(&["status"], &environment, tempfile::tempdir().unwrap().path()).await;
    assert_eq!((code, &*output), (2, ""));
    assert!(errors.contains("cannot be opened") && !errors.contains("hush"), "{errors}");
}

async fn a_recalculation_that_is_due_is_named(backend: Backend) {
    let database = TestApp::start(backend).await.stop().await;
    let environment =
        |weight| [("DATABASE_URL", &*database.url), ("TALLY_LOG", "off"), ("TALLY_ENGAGEMENT_LIKE_WEIGHT", weight)];
    let folder = tempfile::tempdir().unwrap();
    let needed = async |weight| {
        let (_, text, errors) = run(&["status", "--json"], &environment(weight), folder.path()).await;
        let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
        attention(&report)
            .into_iter()
            .any(|(what, helps)| what.contains("recalculation") && helps == "tally recalculate")
    };
    assert!(!needed("2").await, "as it is in force");
    assert!(needed("7").await);
    let (status, text, errors) = run(&["recalculate"], &environment("7"), folder.path()).await;
    assert_eq!(status, 0, "{text}{errors}");
    assert!(!needed("7").await);
    assert!(needed("2").await, "and back again");
    TestApp::start_on::<Tally>(database, Options::default().with("engagement.like_weight", 7)).await.finish().await;
}
