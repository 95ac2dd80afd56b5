//! What is left over: events that nobody took, rows of users who are gone, rows of contents that never were.

use std::sync::Arc;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::ManualClock;
use tally::kernel::id::{Id, hash_of};
use tally::kernel::integrity;
use tally::kernel::module::Module as _;
use tally::modules::engagement::Engagement;
use tally::modules::users::UserKind;

use crate::harness::{Backend, Options, SECRET, START, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    events_that_wait_or_are_set_aside_are_named,
    what_a_deleted_user_left_is_found_and_taken_back,
    contents_of_a_deleted_user_are_named_before_they_go,
    rows_of_a_user_whom_nobody_knows_are_named,
    a_deletion_that_goes_on_is_no_drift,
    orphans_are_found_page_by_page,
    deleted_comments_that_stay_too_long_are_named,
);

/// A command's status, and its JSON.
async fn command(database: &TestDatabase, arguments: &[&str]) -> (i32, Value) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "off")];
    let (status, text, errors) = run(arguments, &environment, tempfile::tempdir().unwrap().path()).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}")))
}

fn blob(backend: Backend, id: uuid::Uuid) -> String {
    match backend {
        Backend::Sqlite => format!("x'{}'", id.simple()),
        Backend::Postgres => format!("'{id}'"),
    }
}

fn uuid(id: &str) -> uuid::Uuid {
    id.parse::<Id<UserKind>>().unwrap().uuid()
}

fn named(drifts: &[(&'static str, u64, String)]) -> Vec<&'static str> {
    drifts.iter().map(|(name, ..)| *name).collect()
}

async fn events_that_wait_or_are_set_aside_are_named(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("integrity.outbox_secs", 60);
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let id = app.user("author").publish("one").await;
    app.user("ann").act("like", &id).await.data();
    clock.set(START.plus(60_000));
    assert_eq!(app.drifts().await, [], "a minute is not more than a minute");
    clock.set(START.plus(60_001));
    let field = "events undelivered for more than 60 s".to_owned();
    assert_eq!(app.drifts().await, [("outbox", 1, field)]);

    // One that fails and is tried again is as late; one that tells of a moment long ago is not.
    app.database.sql("UPDATE outbox SET attempts = 1, due_at = due_at + 3600000").await;
    assert_eq!(named(&app.drifts().await), ["outbox"]);
    app.database.sql("UPDATE outbox SET attempts = 0, created_at = 5").await;
    assert_eq!(app.drifts().await, []);

    app.database.sql("UPDATE outbox SET set_aside_at = 5, error = 'no'").await;
    let (status, report) = command(&app.database, &["check", "--check", "outbox", "--json"]).await;
    let check = &report["checks"][0];
    assert_eq!((status, &check["module"], &check["drifted"]), (1, &json!("kernel"), &json!(1)), "{report:#}");
    let example = &check["examples"][0];
    assert_eq!((&example["id"], &example["field"]), (&json!("notifications"), &json!("events set aside")));
    let advice = report["recommendations"][0].as_str().unwrap();
    assert!(advice.contains("tally events --failed") && advice.contains("--replay"), "{advice}");
    let (status, report) = command(&app.database, &["repair", "--check", "outbox", "--no-backup", "--json"]).await;
    assert_eq!((status, &report["changes"]), (1, &json!([])), "no repair decides it: {report:#}");
    app.database.sql("UPDATE outbox SET set_aside_at = NULL, attempts = 0, due_at = 0").await;
    app.settle().await;
    app.finish().await;
}

/// A content of which three users did everything, one of them for the author's notifications too.
async fn furnished(backend: Backend, options: Options) -> (TestApp, String) {
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let one = app.user("author").publish("one").await;
    for who in ["ann", "ben"] {
        let user = app.user(who);
        user.act("like", &one).await.data();
        let done = "mutation ($id: ID!) { comment(contentId: $id, body: \"good\") { comment { id } }
             share(contentId: $id, channel: LINK) { changed } }";
        user.run(done, json!({ "id": one })).await.data();
    }
    app.settle().await;
    (app, one)
}

async fn counts(app: &TestApp, id: &str) -> Value {
    let query = "query ($id: ID!) { node(id: $id) { ... on Artwork { likeCount commentCount shareCount } } }";
    app.user("author").run(query, json!({ "id": id })).await.data()["node"].clone()
}

async fn what_a_deleted_user_left_is_found_and_taken_back(backend: Backend) {
    let (app, one) = furnished(backend, Options::default()).await;
    let ann = app.user("ann").id().await;
    // As if the deletion had ended, and had taken nothing with it.
    app.database
        .sql(&format!(
            "INSERT INTO deleted_users (id_hash, deleted_at) VALUES ({}, 5)",
            blob(backend, hash_of(uuid(&ann)))
        ))
        .await;
    app.database.sql("DELETE FROM users WHERE subject = 'ann'").await;
    let found = app.drifts().await;
    assert_eq!(named(&found), ["user-remains", "notification-user-remains"], "{found:#?}");
    let (status, report) = command(&app.database, &["check", "--id", &ann, "--check", "user-remains", "--json"]).await;
    let mut tables: Vec<_> = report["checks"][0]["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| (drift["field"].as_str().unwrap(), drift["stored"].as_str().unwrap()))
        .collect();
    tables.sort_unstable();
    let rows = ["behaviors", "comments", "shares"].map(|table| format!("rows in {table} of a deleted user"));
    assert_eq!((status, tables), (1, rows.iter().map(|field| (&**field, "1")).collect()));

    let repair = ["repair", "--no-backup", "--json"];
    let (status, report) = command(&app.database, &repair).await;
    assert_eq!((status, report["changes"].as_array().map(Vec::len)), (0, Some(4)), "{report:#}");
    assert_eq!(counts(&app, &one).await, json!({ "likeCount": 2, "commentCount": 2, "shareCount": 2 }), "not yet");
    // Called off before the job has come to it, and taken up again.
    let run = report["run"].as_str().unwrap();
    let (status, report) = command(&app.database, &["repair", "--undo", run, "--json"]).await;
    assert_eq!((status, &report["state"]), (0, &json!("DRIFT")), "{report:#}");
    assert_eq!(app.drifts().await, found, "the drift as it was");
    assert_eq!(command(&app.database, &repair).await.0, 0);

    app.settle().await;
    assert_eq!(counts(&app, &one).await, json!({ "likeCount": 1, "commentCount": 1, "shareCount": 1 }));
    let left = app.number("SELECT count(*) FROM behaviors").await + app.number("SELECT count(*) FROM deletions").await;
    assert_eq!(left, 1, "ben's like");
    assert_eq!(app.number("SELECT count(DISTINCT actor_id) FROM notification_acts WHERE level = 0").await, 1);
    app.finish().await;
}

async fn contents_of_a_deleted_user_are_named_before_they_go(backend: Backend) {
    let (app, one) = furnished(backend, Options::default()).await;
    let author = app.user("author").id().await;
    let hash = blob(backend, hash_of(uuid(&author)));
    app.database.sql(&format!("INSERT INTO deleted_users (id_hash, deleted_at) VALUES ({hash}, 5)")).await;
    app.database.sql("DELETE FROM users WHERE subject = 'author'").await;
    // Read by now, and without totals: nothing but the row tells of whom it is.
    app.database.sql("UPDATE notifications SET unread = 0, read_at = 5, read_sequence = newest_sequence").await;
    app.database.sql("DELETE FROM notification_totals").await;
    assert_eq!(named(&app.drifts().await), ["user-remains", "notification-user-remains"]);
    let (_, report) = command(&app.database, &["repair", "--dry-run", "--no-backup", "--json"]).await;
    let changes = report["changes"].as_array().expect("changes").clone();
    let contents = changes.iter().find(|change| change["field"] == "rows in contents of a deleted user");
    let said = contents.and_then(|change| change["actual"].as_str()).unwrap_or_else(|| panic!("{report:#}"));
    assert!(said.contains("with all that others did to them"), "{said}");
    let (status, report) = command(&app.database, &["repair", "--no-backup", "--json"]).await;
    assert_eq!(status, 0, "{report:#}");
    // The job has begun, and has not come far: nobody says of it that it was called off.
    app.database.sql("UPDATE deletions SET removed = 1").await;
    app.database.sql("UPDATE notification_gone SET begun = 1").await;
    let run = report["run"].as_str().unwrap();
    let (status, report) = command(&app.database, &["repair", "--undo", run, "--json"]).await;
    let changes = report["changes"].as_array().expect("changes");
    assert_eq!(status, 1, "{report:#}");
    assert!(changes.iter().all(|change| change["putBack"] == json!(false)), "{report:#}");
    app.settle().await;
    let answer = app.user("ann").run("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": one })).await;
    assert_eq!(answer.data()["node"], Value::Null);
    let left =
        ["contents", "behaviors", "notifications", "deletions"].map(|table| format!("SELECT count(*) FROM {table}"));
    for rows in left {
        assert_eq!(app.number(&rows).await, 0, "{rows}");
    }
    app.finish().await;
}

async fn rows_of_a_user_whom_nobody_knows_are_named(backend: Backend) {
    let (app, one) = furnished(backend, Options::default()).await;
    let ben = app.user("ben").id().await;
    let other = uuid::Uuid::from_u128(7);
    let rename = async |from: uuid::Uuid, to: uuid::Uuid| {
        let (from, to) = (blob(backend, from), blob(backend, to));
        app.database.sql(&format!("UPDATE users SET id = {to} WHERE id = {from}")).await;
    };
    rename(uuid(&ben), other).await;
    assert_eq!(named(&app.drifts().await), ["user-orphans", "notification-user-orphans"]);
    let before = counts(&app, &one).await;
    let (status, report) = command(&app.database, &["repair", "--no-backup", "--json"]).await;
    assert_eq!((status, &report["changes"]), (1, &json!([])), "acts of people are not thrown away: {report:#}");
    let advice = report["recommendations"].to_string();
    assert!(advice.contains("user-orphans: rows of a user who is not there") && advice.contains("backup"), "{advice}");
    assert_eq!(counts(&app, &one).await, before);
    rename(other, uuid(&ben)).await;
    app.finish().await;
}

async fn a_deletion_that_goes_on_is_no_drift(backend: Backend) {
    let (app, one) = furnished(backend, Options::default()).await;
    let ann = app.user("ann");
    let id = ann.id().await;
    ann.run("mutation ($id: ID!) { deleteUser(id: $id) { changed } }", json!({ "id": id })).await.data();
    assert_eq!(app.number("SELECT count(*) FROM behaviors").await, 2, "the job has not run");
    assert_eq!(app.drifts().await, []);
    // The engagement's part has ended, and the event has not arrived.
    app.kernel.jobs.run_due().await.unwrap();
    assert_eq!(app.number("SELECT count(*) FROM behaviors").await, 1);
    assert_eq!(app.drifts().await, []);
    app.settle().await;
    assert_eq!(counts(&app, &one).await["likeCount"], 1);
    app.finish().await;
}

async fn orphans_are_found_page_by_page(backend: Backend) {
    let (app, _) = furnished(backend, Options::default()).await;
    // More than a chunk, after the last content and before the first; all of lanes that the check goes through.
    let rows = 620;
    let (series, id) = match backend {
        Backend::Sqlite => (
            format!(
                "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) SELECT n FROM c) s"
            ),
            "unhex(printf('%032x', s.n))",
        ),
        Backend::Postgres => (format!("generate_series(1, {rows}) AS s(n)"), "lpad(to_hex(s.n), 32, '0')::uuid"),
    };
    app.database
        .sql(&format!(
            "INSERT INTO content_heat (lane, content_id, epoch, mass) SELECT (s.n % 2) * 255, {id}, 1, 1 FROM {series}"
        ))
        .await;
    let check = Engagement::checks().into_iter().find(|check| check.name() == "orphans").unwrap();
    let (mut after, mut suspects) = (None, Vec::new());
    loop {
        let chunk = check.scan(&app.kernel, after, 100).await.unwrap();
        assert!(chunk.suspects.len() <= 100, "a chunk is bounded: {}", chunk.suspects.len());
        suspects.extend(chunk.suspects);
        match chunk.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(suspects.len(), rows);
    assert!(suspects.is_sorted() && suspects.windows(2).all(|pair| pair[0] != pair[1]), "each once, in order");
    app.database.sql("DELETE FROM content_heat WHERE epoch = 1").await;
    let report = integrity::run(&*check, &app.kernel, &|_| ()).await.unwrap();
    assert_eq!((report.checked, report.drifted), (1, 0));
    app.finish().await;
}

async fn deleted_comments_that_stay_too_long_are_named(backend: Backend) {
    let (app, _) = furnished(backend, Options::default()).await;
    let deleted = "UPDATE comments SET deleted_at = ";
    let query = "query { me { user { id } } }";
    app.user("ann").query(query).await.data();
    // Both at once: a tombstone does not count, so that the counts are another drift.
    app.database.sql(&format!("{deleted} 5")).await;
    let found = app.drifts().await;
    assert!(found.contains(&("tombstones", 1, "old deleted comments".to_owned())), "{found:#?}");
    app.database.sql(&format!("{deleted} NULL")).await;
    app.finish().await;
}
