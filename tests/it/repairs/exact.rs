//! Drifts planted by hand, with the command line beside a server and people who like: each is found and named, put right to
//! the last column, and put back to the last column; and nothing else is touched. Versions alone rise.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tally::kernel::auth::Role;
use uuid::Uuid;

use super::{furnished, planted};
use crate::harness::{Backend, SECRET, TestApp, on_every_backend, run};

on_every_backend!(
    each_drift_is_named_repaired_and_put_back_exactly,
    several_drifts_at_once_are_put_right_and_back,
    drifts_of_a_content_that_is_liked_meanwhile_are_put_right_and_back,
    what_is_no_repairs_to_decide_is_named_and_left,
    the_rank_index_is_put_right,
);

/// The check that names it, the field, and what plants it; `ONE` is the id of the content.
const PLANTED: &[(&str, &str, &str)] = &[
    ("like-count", "likeCount", "UPDATE content_figures SET like_count = 41 WHERE content_id = ONE"),
    ("favorite-count", "favoriteCount", "UPDATE content_figures SET favorite_count = -1 WHERE content_id = ONE"),
    ("comment-count", "commentCount", "UPDATE content_figures SET comment_count = 0 WHERE content_id = ONE"),
    ("share-count", "shareCount", "UPDATE content_figures SET share_count = 9 WHERE content_id = ONE"),
    ("view-count", "viewCount", "UPDATE content_figures SET view_count = view_count + 1 WHERE content_id = ONE"),
    ("heat-mass", "mass of epoch", "UPDATE content_heat SET mass = mass - 5 WHERE content_id = ONE"),
    ("heat-mass", "mass of epoch", "DELETE FROM content_heat WHERE content_id = ONE"),
    ("heat-mass", "mass of epoch 7", "INSERT INTO content_heat SELECT lane, id, 7, 5 FROM contents WHERE id = ONE"),
    ("heat", "heat", "UPDATE content_figures SET heat = NULL WHERE content_id = ONE"),
    ("heat", "version of the settings", "UPDATE content_figures SET heat_version = 7 WHERE content_id = ONE"),
    (
        "heat",
        "lastHotUpdate",
        "UPDATE content_figures SET last_hot_update = last_hot_update + 86400000 WHERE content_id = ONE",
    ),
    (
        "heat",
        "lastHotUpdate",
        "UPDATE content_figures SET last_hot_update = last_hot_update - 60000 WHERE content_id = ONE",
    ),
    (
        "history",
        "lastHistoryAt",
        "UPDATE content_figures SET last_history_at = last_history_at + 86400000 WHERE content_id = ONE",
    ),
    ("history", "lastHistoryAt", "UPDATE content_figures SET last_history_at = 5 WHERE content_id = ONE"),
    ("history", "moment of row ", "UPDATE hot_history SET calculated_at = calculated_at - 6 WHERE content_id = ONE"),
    (
        "history",
        "level of the newest row",
        "UPDATE hot_history SET hot_level = 4 WHERE id = (SELECT max(h.id) FROM hot_history h WHERE h.content_id = ONE)",
    ),
    ("announced-level", "hotLevel", "UPDATE content_figures SET hot_level = 4 WHERE content_id = ONE"),
    ("announced-level", "hotScore", "UPDATE content_figures SET hot_score = hot_score / 3 WHERE content_id = ONE"),
    ("announced-level", "wakeAt", "UPDATE content_figures SET wake_at = NULL WHERE content_id = ONE"),
    ("figures", "figures", "DELETE FROM content_figures WHERE content_id = ONE"),
    (
        "unread-count",
        "unreadNotifications",
        "UPDATE notification_totals SET unread_count = 77
         WHERE user_id = (SELECT c.author_id FROM contents c WHERE c.title = 'one')",
    ),
];

/// Tables, their columns (but for versions), and which of them are numbers (else ids, `~` before a score), in an order.
const TABLES: &[(&str, &str, &[&str], &str)] = &[
    (
        "content_figures",
        "content_id = ONE",
        &[
            "like_count",
            "favorite_count",
            "comment_count",
            "share_count",
            "view_count",
            "heat",
            "wake_at",
            "hot_level",
            "~hot_score",
            "last_hot_update",
            "last_history_at",
            "heat_version",
        ],
        "content_id",
    ),
    ("content_heat", "content_id = ONE", &["epoch", "mass"], "epoch"),
    (
        "hot_history",
        "content_id = ONE",
        &["#id", "~hot_score", "hot_level", "calculated_at", "calculation_method"],
        "id",
    ),
    (
        "notification_totals",
        "user_id = (SELECT c.author_id FROM contents c WHERE c.title = 'one')",
        &["unread_count"],
        "user_id",
    ),
];

/// All rows of a content, to the last bit.
async fn rows(app: &TestApp, title: &str) -> Vec<String> {
    let mut rows = Vec::new();
    // Both have one author.
    let tables = TABLES.iter().filter(|(table, ..)| title == "one" || *table != "notification_totals");
    for (table, of, columns, order) in tables {
        let selected = columns.iter().map(|column| match column.strip_prefix(['~', '#']) {
            Some(column) => column.to_owned(),
            None => format!("CAST({column} AS bigint) AS {column}"),
        });
        let selected = selected.collect::<Vec<_>>().join(", ");
        let sql = planted(&format!("SELECT {selected} FROM {table} WHERE {of} ORDER BY {order}"));
        let sql = sql.replace("'one'", &format!("'{title}'"));
        let statement = sea_orm::Statement::from_string(app.kernel.backend(), sql);
        for row in app.kernel.db.query(statement).await.expect("the statement runs") {
            let mut text = (*table).to_owned();
            for column in *columns {
                text += &match (column.strip_prefix('~'), column.strip_prefix('#')) {
                    (Some(score), _) => format!(" {:016x}", row.try_get::<f64>("", score).unwrap().to_bits()),
                    (_, Some(id)) => format!(" {}", row.try_get::<Uuid>("", id).unwrap()),
                    _ => format!(" {column}={:?}", row.try_get::<Option<i64>>("", column).unwrap()),
                };
            }
            rows.push(text);
        }
    }
    rows
}

/// Status and report of `tally … --json`.
pub(super) async fn tally(app: &TestApp, arguments: &[&str]) -> (i32, Value) {
    let environment = [("DATABASE_URL", &*app.database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "error")];
    let arguments: Vec<_> = arguments.iter().chain(&["--json"]).copied().collect();
    let (status, output, errors) = run(&arguments, &environment, tempfile::tempdir().unwrap().path()).await;
    (status, serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}{errors}")))
}

/// What a report found: check and example.
pub(super) fn named(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().expect("checks").iter().flat_map(|check| {
        let examples = check["examples"].as_array().expect("examples");
        examples.iter().map(|drift| (check["name"].clone(), drift["field"].clone()))
    });
    let text = |value: Value| value.as_str().expect("a text").to_owned();
    checks.map(|(name, field)| (text(name), text(field))).collect()
}

/// Runs while somebody likes another content.
async fn with_likes(app: &TestApp, work: impl Future<Output = ()>) {
    let busy = app.user("somebody else").publish("busy").await;
    with_likes_of(app, &busy, work).await;
}

/// Runs while somebody likes a content.
async fn with_likes_of(app: &TestApp, busy: &str, work: impl Future<Output = ()>) {
    let (ended, fan) = (AtomicBool::new(false), app.user("fan"));
    let likes = async {
        while !ended.load(Ordering::SeqCst) {
            for verb in ["like", "unlike"] {
                fan.act(verb, busy).await.data();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let work = async {
        work.await;
        ended.store(true, Ordering::SeqCst);
    };
    tokio::join!(likes, work);
}

/// Repairs what was planted, puts it back, and repairs it again: rows compared each time.
async fn there_and_back(app: &TestApp, what: &str, right: &[String], neighbour: &[String]) {
    let wrong = rows(app, "one").await;
    assert_ne!(wrong, right, "{what}: something was planted");
    // What is recorded once more is new, and what comes to nothing may stay as a row of nothing.
    let comparable = |rows: Vec<String>| {
        let kept = rows.into_iter().filter(|row| !row.ends_with(" calculation_method=Some(3)"));
        let kept = kept.filter(|row| !row.ends_with(" epoch=Some(7) mass=Some(0)"));
        let rows = kept.map(|row| if what.contains("hot_history SET hot_level") { history_aside(row) } else { row });
        rows.collect::<Vec<_>>()
    };
    let (status, repaired) = tally(app, &["repair", "--no-backup"]).await;
    assert_eq!((status, &repaired["state"]), (0, &json!("OK")), "{what}: {repaired:#}");
    assert_eq!(comparable(rows(app, "one").await), comparable(right.to_vec()), "{what}: put right");
    assert_eq!(rows(app, "other").await, neighbour, "{what}: nobody else's rows");
    let undo = repaired["run"].as_str().expect("a run");
    let (status, undone) = tally(app, &["repair", "--undo", undo]).await;
    assert_eq!(status, 0, "{what}: all of it is back: {undone:#}");
    assert_eq!(rows(app, "one").await, wrong, "{what}: put back");
    assert_eq!(rows(app, "other").await, neighbour, "{what}: nobody else's rows");
    let (status, repaired) = tally(app, &["repair", "--no-backup"]).await;
    assert_eq!(status, 0, "{what}: {repaired:#}");
    assert_eq!(comparable(rows(app, "one").await), comparable(right.to_vec()), "{what}: put right again");
}

/// A row of a history in which one level stays wrong, because a newer row says so: only which row it is.
fn history_aside(row: String) -> String {
    match row.split_once(" hot_level=") {
        Some((before, _)) if row.starts_with("hot_history") => before.to_owned(),
        _ => match row.split_once(" last_history_at=") {
            Some((before, _)) if row.starts_with("content_figures") => before.to_owned(),
            _ => row,
        },
    }
}

async fn each_drift_is_named_repaired_and_put_back_exactly(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let neighbour = rows(&app, "other").await;
    let work = async {
        for (check, field, sql) in PLANTED {
            let right = rows(&app, "one").await;
            app.database.sql(&planted(sql)).await;
            let (status, report) = tally(&app, &["check"]).await;
            let found = named(&report);
            // Level and wake-up are held against the stored heat.
            let others = found.iter().filter(|(name, _)| name != check);
            let follows = others.filter(|(name, _)| *check != "heat" || name != "announced-level").count();
            assert_eq!((status, follows), (1, 0), "{sql}: {found:?}");
            assert!(found.iter().any(|(name, of)| name == check && of.starts_with(field)), "{sql}: {found:?}");
            there_and_back(&app, sql, &right, &neighbour).await;
            // Rows of history that repairs wrote, and rows of nothing, would stay until the end.
            app.database.sql(&planted("DELETE FROM content_heat WHERE content_id = ONE AND epoch = 7")).await;
        }
    };
    Box::pin(with_likes(&app, work)).await;
    app.finish().await;
}

/// By how much each count of the content differs from its facts, in one look: a like moves both at once.
async fn differences(app: &TestApp) -> [i64; 5] {
    const FACTS: [(&str, &str); 5] = [
        ("like_count", "behaviors t WHERE t.kind = 0 AND t.removed_at IS NULL AND"),
        ("favorite_count", "behaviors t WHERE t.kind = 1 AND t.removed_at IS NULL AND"),
        ("comment_count", "comments t WHERE t.deleted_at IS NULL AND"),
        ("share_count", "shares t WHERE"),
        ("view_count", "content_views t WHERE"),
    ];
    let mut differences = [0; 5];
    for (difference, (count, facts)) in differences.iter_mut().zip(FACTS) {
        let sql = format!(
            "SELECT CAST(f.{count} - (SELECT count(*) FROM {facts} t.content_id = ONE) AS bigint)
             FROM content_figures f WHERE f.content_id = ONE"
        );
        *difference = app.number(&planted(&sql)).await;
    }
    differences
}

async fn drifts_of_a_content_that_is_liked_meanwhile_are_put_right_and_back(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    let neighbour = rows(&app, "other").await;
    let work = async {
        for (set, planted_by) in [
            ("like_count = like_count + 41", [41, 0, 0, 0, 0]),
            ("favorite_count = favorite_count - 4", [0, -4, 0, 0, 0]),
            (
                "like_count = like_count - 7, comment_count = comment_count + 1, share_count = share_count + 6,
                 view_count = view_count - 2",
                [-7, 0, 1, 6, -2],
            ),
        ] {
            app.database.sql(&planted(&format!("UPDATE content_figures SET {set} WHERE content_id = ONE"))).await;
            assert_eq!(differences(&app).await, planted_by, "{set}");
            let (status, repaired) = tally(&app, &["repair", "--no-backup"]).await;
            assert_eq!((status, differences(&app).await), (0, [0; 5]), "{set}: {repaired:#}");
            let (status, undone) = tally(&app, &["repair", "--undo", repaired["run"].as_str().expect("a run")]).await;
            assert_eq!((status, differences(&app).await), (0, planted_by), "{set}: {undone:#}");
            let (status, repaired) = tally(&app, &["repair", "--no-backup"]).await;
            assert_eq!((status, differences(&app).await), (0, [0; 5]), "{set}: {repaired:#}");
            assert_eq!(rows(&app, "other").await, neighbour, "{set}: nobody else's rows");
        }
    };
    Box::pin(with_likes_of(&app, &one, work)).await;
    app.finish().await;
}

async fn several_drifts_at_once_are_put_right_and_back(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let (right, neighbour) = (rows(&app, "one").await, rows(&app, "other").await);
    let work = async {
        for sql in [
            "UPDATE content_figures SET like_count = 41, view_count = 0, share_count = -3 WHERE content_id = ONE",
            "UPDATE content_heat SET mass = mass + 12345 WHERE content_id = ONE",
            "UPDATE content_figures SET heat = heat + 4294967296, hot_level = 0, hot_score = 0.1, wake_at = 7
             WHERE content_id = ONE",
            "UPDATE content_figures SET last_hot_update = last_hot_update + 9000000000,
             last_history_at = last_history_at + 8000000000 WHERE content_id = ONE",
            "UPDATE hot_history SET calculated_at = calculated_at - 60000 WHERE content_id = ONE",
        ] {
            app.database.sql(&planted(sql)).await;
        }
        let (status, report) = tally(&app, &["check"]).await;
        let found = named(&report);
        let of = |name: &str| found.iter().filter(|(check, _)| check == name).count();
        assert_eq!((status, of("like-count"), of("view-count"), of("share-count")), (1, 1, 1, 1), "{found:?}");
        assert_eq!((of("heat"), of("announced-level")), (2, 0), "nothing can be said of a moment to come: {found:?}");
        assert!(of("heat-mass") > 0 && of("history") > 1, "{found:?}");
        there_and_back(&app, "several", &right, &neighbour).await;
    };
    Box::pin(with_likes(&app, work)).await;
    app.finish().await;
}

async fn what_is_no_repairs_to_decide_is_named_and_left(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    app.database.sql("INSERT INTO content_heat SELECT 9, author_id, 1, 1 FROM contents WHERE title = 'one'").await;
    let (status, report) = tally(&app, &["check"]).await;
    assert_eq!((status, named(&report)), (1, vec![("orphans".into(), "rows in content_heat of no content".into())]));
    let (status, report) = tally(&app, &["repair", "--no-backup"]).await;
    assert_eq!((status, &report["changes"]), (1, &json!([])), "{report:#}");
    assert_eq!(app.number("SELECT count(*) FROM content_heat WHERE lane = 9 AND epoch = 1").await, 1);
    app.database.sql("DELETE FROM content_heat WHERE lane = 9 AND epoch = 1").await;
    app.finish().await;
}

async fn the_rank_index_is_put_right(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let operator = app.client("operator", &[Role::Operator]);
    let ranked = async || {
        let answer = app.anonymous().query("{ hotRanking { content { title } } }").await;
        let entries = answer.data()["hotRanking"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["content"]["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let repair = "mutation ($dry: Boolean!) { repairIntegrity(check: \"ranking\", dryRun: $dry) {
                  state checks { name drifted repaired examples { field } } } }";
    assert_eq!(ranked().await, ["one", "other"]);
    // Hidden behind the back of the server's index; and shown again.
    for (status, order) in [(1, vec!["other"]), (0, vec!["one", "other"])] {
        app.database.sql(&format!("UPDATE contents SET status = {status} WHERE title = 'one'")).await;
        let answer = operator.run(repair, json!({ "dry": true })).await;
        let check = answer.data()["repairIntegrity"]["checks"][0].clone();
        assert_eq!((&check["name"], &check["drifted"]), (&json!("ranking"), &json!(1)), "{check}");
        assert_eq!(check["examples"][0]["field"], "rank index");
        let answer = operator.run(repair, json!({ "dry": false })).await;
        let report = &answer.data()["repairIntegrity"];
        assert_eq!((&report["state"], &report["checks"][0]["repaired"]), (&json!("OK"), &json!(1)), "{report}");
        assert_eq!(ranked().await, order);
    }
    app.finish().await;
}
