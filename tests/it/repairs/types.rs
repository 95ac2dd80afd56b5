//! What is no number where one is due, or one that stands for nothing: named by its cell, readable after a repair, and
//! right after the same one; and it keeps neither the other checks nor a server from their work.

use serde_json::{Value, json};
use tally::app::Tally;

use super::exact::{named, tally};
use super::{furnished, planted};
use crate::harness::{Backend, Options, Process, SECRET, TestApp, on_every_backend, run};

on_every_backend!(
    what_is_no_number_is_named_put_right_and_put_back,
    a_number_that_stands_for_nothing_breaks_no_other_check,
    a_server_starts_beside_what_it_cannot_read,
    a_server_goes_on_beside_what_it_cannot_read,
    a_moment_to_come_is_not_taken_for_the_last_interaction,
    settings_in_force_that_are_gone_are_no_good_news,
    a_notification_is_unread_or_not,
);

/// The check, table and column, what is written there, and as what it is told.
const PLANTED: &[(&str, &str, &str, &str, &str)] = &[
    ("types", "content_figures", "like_count", "2.5", "2.5"),
    ("types", "content_figures", "favorite_count", "'it''s'", "'it''s'"),
    ("types", "content_figures", "comment_count", "x'00ff'", "X'00FF'"),
    ("types", "content_figures", "share_count", "'abc'", "'abc'"),
    ("types", "content_figures", "view_count", "1e30", "1.0e+30"),
    ("types", "content_figures", "heat", "'hot'", "'hot'"),
    ("types", "content_figures", "wake_at", "'soon'", "'soon'"),
    ("types", "content_figures", "hot_level", "70000", "70000"),
    ("types", "content_figures", "hot_score", "'high'", "'high'"),
    ("types", "content_figures", "last_hot_update", "'then'", "'then'"),
    ("types", "content_figures", "last_history_at", "'then'", "'then'"),
    ("types", "content_figures", "heat_version", "'x'", "'x'"),
    ("types", "content_heat", "mass", "1e30", "1.0e+30"),
    ("notification-types", "notification_totals", "unread_count", "'many'", "'many'"),
    ("notification-types", "notifications", "actor_count", "0.5", "0.5"),
    ("notification-types", "notifications", "unread", "'maybe'", "'maybe'"),
    ("notification-types", "notifications", "updated_at", "'then'", "'then'"),
];

fn of(table: &str) -> String {
    match table {
        "notification_totals" => "user_id IN (SELECT c.author_id FROM contents c)".to_owned(),
        "notifications" => "kind = 0".to_owned(),
        _ => planted("content_id = ONE"),
    }
}

/// SQLite alone takes them.
async fn what_is_no_number_is_named_put_right_and_put_back(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    if backend == Backend::Postgres {
        return app.finish().await;
    }
    for (check, table, column, written, told) in PLANTED {
        let (of, what) = (of(table), format!("{table}.{column} = {written}"));
        app.database.sql(&format!("UPDATE {table} SET {column} = {written} WHERE {of}")).await;
        let (status, report) = tally(&app, &["check"]).await;
        assert_eq!(status, 1, "{what}: {report:#}");
        let found = named(&report);
        // What is neither read nor unread is not among the unread ones.
        let follows = |name: &str| *column == "unread" && name == "unread-count";
        assert!(found.iter().all(|(name, _)| name == check || follows(name)), "{what}: {found:?}");
        let example = report["checks"].as_array().unwrap().iter().find(|held| held["name"] == *check).unwrap();
        let example = &example["examples"][0];
        assert!(example["field"].as_str().unwrap().starts_with(&format!("{table}.{column}")), "{what}: {example}");
        assert_eq!(example["stored"], *told, "{what}");
        let (status, repaired) = tally(&app, &["repair", "--no-backup"]).await;
        assert_eq!((status, &repaired["state"]), (0, &json!("OK")), "{what}: {repaired:#}");
        app.audit().await;
        let (_, undone) = tally(&app, &["repair", "--undo", repaired["run"].as_str().unwrap()]).await;
        let back =
            format!("SELECT count(*) FROM {table} WHERE {of} AND quote({column}) = '{}'", told.replace('\'', "''"));
        assert!(app.number(&back).await > 0, "{what}: as it was: {undone:#}");
        // Asked for by its id alone. What a user was told is looked at by the user's.
        if *table != "notifications" {
            let (status, report) = tally(&app, &["check", "--id", example["id"].as_str().unwrap()]).await;
            assert!(status > 0 && named(&report).iter().any(|(name, _)| name == check), "{what}: {report:#}");
        }
        let (status, repaired) = tally(&app, &["repair", "--no-backup"]).await;
        assert_eq!(status, 0, "{what}: {repaired:#}");
        app.audit().await;
    }
    app.database.sql(&planted("UPDATE content_figures SET like_count = 'abc' WHERE content_id = ONE")).await;
    let (status, repaired) = tally(&app, &["repair", "--no-backup", "--check", "types", "--id", &one]).await;
    assert_eq!((status, &repaired["state"]), (0, &json!("OK")), "{repaired:#}");
    let (_, undone) = tally(&app, &["repair", "--undo", repaired["run"].as_str().unwrap()]).await;
    assert_eq!(app.number("SELECT count(*) FROM content_figures WHERE like_count = 'abc'").await, 1, "{undone:#}");
    assert_eq!(tally(&app, &["repair", "--no-backup"]).await.0, 0);
    app.finish().await;
}

async fn a_number_that_stands_for_nothing_breaks_no_other_check(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let opening = "INSERT INTO content_openings SELECT lane, id, 9, 3, 1767225600000 FROM contents WHERE id = ONE";
    for (plant, mend, due) in [
        (
            planted(opening),
            "DELETE FROM content_openings".to_owned(),
            ("types", "content_openings.figure of figure 9", "9"),
        ),
        (
            "UPDATE notifications SET kind = 5 WHERE kind = 0".to_owned(),
            "UPDATE notifications SET kind = 0 WHERE kind = 5".to_owned(),
            ("notification-types", "notifications.kind", "5"),
        ),
    ] {
        app.database.sql(&plant).await;
        for (command, status) in [(&["check"][..], 1), (&["repair", "--no-backup"], 1)] {
            let (ended, report) = tally(&app, command).await;
            assert_eq!((ended, named(&report)), (status, vec![(due.0.into(), due.1.into())]), "{report:#}");
            let checks = report["checks"].as_array().unwrap().iter();
            let examples: Vec<&Value> = checks.flat_map(|check| check["examples"].as_array().unwrap()).collect();
            assert_eq!(
                (&examples[0]["stored"], &examples[0]["actual"]),
                (&json!(due.2), &json!("a number from 0 to 4"))
            );
        }
        app.database.sql(&mend).await;
        app.audit().await;
    }
    app.finish().await;
}

/// Others are served, and the content is in no ranking once the check of the server's index has looked.
async fn a_server_goes_on_beside_what_it_cannot_read(backend: Backend) {
    let (app, one, other) = furnished(backend).await;
    if backend == Backend::Postgres {
        return app.finish().await;
    }
    let quality = app.number(&planted("SELECT quality FROM contents WHERE id = ONE")).await;
    app.database.sql(&planted("UPDATE contents SET quality = 'fine' WHERE id = ONE")).await;
    let answer = app.anonymous().query("{ hotRanking { content { title } } }").await;
    assert_eq!(answer.data()["hotRanking"], json!([{ "content": { "title": "other" } }]));
    let both = "query ($ids: [ID!]) { contents(ids: $ids) { title } }";
    let answer = app.anonymous().run(both, json!({ "ids": [one, other] })).await;
    assert_eq!(answer.data()["contents"], json!([null, { "title": "other" }]));
    app.database.sql(&planted(&format!("UPDATE contents SET quality = {quality} WHERE id = ONE"))).await;
    app.finish().await;
}

/// A fact that is to come is nothing that the next one is dated after.
async fn a_moment_to_come_is_not_taken_for_the_last_interaction(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    let acts = planted("UPDATE behaviors SET acted_at = 4102444800000 WHERE content_id = ONE AND kind = 1");
    app.database.sql(&acts).await;
    tally(&app, &["repair", "--no-backup"]).await;
    let last = planted("SELECT last_hot_update FROM content_figures WHERE content_id = ONE");
    assert!(app.number(&last).await < 4_102_444_800_000, "of {one}");
    app.finish().await;
}

/// Its ranking lacks that one content, until it can be read again.
async fn a_server_starts_beside_what_it_cannot_read(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    let database = app.stop().await;
    let plant = match backend {
        Backend::Sqlite => planted("UPDATE content_figures SET heat = heat * 1.0000001 WHERE content_id = ONE"),
        Backend::Postgres => planted("UPDATE content_figures SET heat = heat - 1 WHERE content_id = ONE"),
    };
    database.sql(&plant).await;
    let process = Process::serve(&database).await;
    let (status, log) = process.stop().await;
    assert_eq!((status, log.contains(&one)), (0, backend == Backend::Sqlite), "{log}");
    let options = Options::default().with("engagement.settings_poll_ms", 50);
    let app = TestApp::start_on::<Tally>(database, options).await;
    let ranked = async || {
        let answer = app.anonymous().query("{ hotRanking { content { title } } }").await;
        answer.data()["hotRanking"].as_array().unwrap().len()
    };
    assert_eq!(ranked().await, if backend == Backend::Sqlite { 1 } else { 2 });
    assert_eq!(tally(&app, &["repair", "--no-backup"]).await.0, 0);
    let mut tries = 0..100;
    while ranked().await < 2 && tries.next().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(ranked().await, 2, "the server reads its ranking anew");
    app.finish().await;
}

async fn settings_in_force_that_are_gone_are_no_good_news(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let database = app.stop().await;
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let folder = tempfile::tempdir().unwrap();
    for (plant, mend, due) in [
        (
            "DELETE FROM heat_in_force",
            "INSERT INTO heat_in_force (one, version, generation) VALUES (1, 1, 0)",
            "heat_in_force is empty",
        ),
        (
            "UPDATE heat_in_force SET version = 2",
            "UPDATE heat_in_force SET version = 1",
            "settings of version 2 are not in the table heat_settings",
        ),
    ] {
        database.sql(plant).await;
        for command in [&["check"][..], &["serve"]] {
            let (status, output, errors) = run(command, &environment, folder.path()).await;
            assert!(status > 0 && format!("{output}{errors}").contains(due), "{command:?} {status}: {output}{errors}");
        }
        database.sql(mend).await;
        let (status, output, errors) = run(&["check"], &environment, folder.path()).await;
        assert_eq!(status, 0, "{output}{errors}");
    }
    database.remove().await;
}

async fn a_notification_is_unread_or_not(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    app.database.sql("UPDATE notifications SET unread = 2 WHERE kind = 0").await;
    let (status, report) = tally(&app, &["check"]).await;
    let found = named(&report);
    assert!(status == 1 && found.contains(&("notification-actors".into(), "unread".into())), "{found:?}");
    let unread = async || app.number("SELECT CAST(unread AS bigint) FROM notifications WHERE kind = 0").await;
    let total = async || app.number("SELECT CAST(unread_count AS bigint) FROM notification_totals").await;
    let before = total().await;
    let (status, repaired) = tally(&app, &["repair", "--no-backup"]).await;
    assert_eq!((status, unread().await, total().await), (0, 1, before), "the total was right: {repaired:#}");
    app.audit().await;
    let (status, undone) = tally(&app, &["repair", "--undo", repaired["run"].as_str().unwrap()]).await;
    assert_eq!((status, unread().await), (0, 2), "{undone:#}");
    assert_eq!(tally(&app, &["repair", "--no-backup"]).await.0, 0);
    app.finish().await;
}
