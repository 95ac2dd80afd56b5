//! Every planted drift is found and named, put right, put back and put right again, while others write; and every figure
//! is explained by facts that add up to it.

mod exact;
mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt as _;
use serde_json::json;
use tally::kernel::integrity::{self, Check, Drift, Explain, Fact, Key, Remedy};
use tally::kernel::module::Module as _;
use tally::kernel::page::{Cursor, Page};
use tally::modules::engagement::Engagement;
use tally::modules::notifications::Notifications;

use crate::harness::{Backend, Seeded, TestApp, on_every_backend};

on_every_backend!(
    each_planted_drift_is_repaired_and_put_back,
    what_no_repair_decides_is_found,
    a_repair_that_is_undone_keeps_what_happened_since,
    masses_are_put_back_without_figures,
    a_row_of_history_that_a_repair_writes_is_the_newest,
    explanations_add_up,
);

fn checks() -> Vec<Arc<dyn Check>> {
    Engagement::checks().into_iter().chain(Notifications::checks()).collect()
}

/// A server with a content of which everything was done, and another one.
async fn furnished(backend: Backend) -> (TestApp, String, String) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let (one, other) = (author.publish("one").await, author.publish("other").await);
    for who in ["ann", "ben", "cat"] {
        let user = app.user(who);
        user.act("like", &one).await.data();
        user.act("favorite", &one).await.data();
        let done = "mutation ($id: ID!) { comment(contentId: $id, body: \"good\") { comment { id } }
             share(contentId: $id, channel: LINK) { changed } recordViews(contentIds: [$id]) { counted } }";
        user.run(done, json!({ "id": one })).await.data();
    }
    app.user("cat").act("unlike", &one).await.data();
    app.settle().await;
    (app, one, other)
}

/// All drifts, by check.
async fn drifted(app: &TestApp) -> Vec<(&'static str, Vec<Drift>)> {
    let mut found = Vec::new();
    for check in checks() {
        let report = integrity::run(&*check, &app.kernel, &|_| ()).await.unwrap();
        if report.drifted > 0 {
            found.push((report.name, report.examples));
        }
    }
    found
}

async fn suspects(app: &TestApp, check: &dyn Check) -> Vec<Key> {
    check.scan(&app.kernel, None, 500).await.unwrap().suspects
}

async fn repair(app: &TestApp, check: &Arc<dyn Check>, key: Key) -> Vec<Drift> {
    let (own, kernel) = (Arc::clone(check), app.kernel.clone());
    let write = app.kernel.db.write(move |tx| {
        let (check, kernel) = (Arc::clone(&own), kernel.clone());
        Box::pin(async move { check.repair(&kernel, tx, key).await })
    });
    let repaired = write.await.unwrap();
    check.changed(&app.kernel, &[key]).await.unwrap();
    repaired
}

async fn restore(app: &TestApp, check: &Arc<dyn Check>, key: Key, drifts: &[Drift]) -> Vec<bool> {
    let (own, kernel, drifts) = (Arc::clone(check), app.kernel.clone(), drifts.to_vec());
    let write = app.kernel.db.write(move |tx| {
        let (check, kernel, drifts) = (Arc::clone(&own), kernel.clone(), drifts.clone());
        Box::pin(async move { check.restore(&kernel, tx, key, &drifts).await })
    });
    let restored = write.await.unwrap();
    check.changed(&app.kernel, &[key]).await.unwrap();
    restored
}

/// The check that finds it, the beginning of the field's name, and what plants it. `ONE` is the id of the content.
const PLANTED: &[(&str, &str, &str)] = &[
    ("like-count", "likeCount", "UPDATE content_figures SET like_count = 41 WHERE content_id = ONE"),
    ("favorite-count", "favoriteCount", "UPDATE content_figures SET favorite_count = -1 WHERE content_id = ONE"),
    ("comment-count", "commentCount", "UPDATE content_figures SET comment_count = 0 WHERE content_id = ONE"),
    ("share-count", "shareCount", "UPDATE content_figures SET share_count = 9 WHERE content_id = ONE"),
    ("view-count", "viewCount", "UPDATE content_figures SET view_count = view_count + 1 WHERE content_id = ONE"),
    ("heat-mass", "mass of epoch", "UPDATE content_heat SET mass = mass + 1 WHERE content_id = ONE"),
    ("heat-mass", "mass of epoch 7", "INSERT INTO content_heat SELECT lane, id, 7, 5 FROM contents WHERE id = ONE"),
    ("heat", "heat", "UPDATE content_figures SET heat = heat + 1 WHERE content_id = ONE"),
    ("heat", "version of the settings", "UPDATE content_figures SET heat_version = 7 WHERE content_id = ONE"),
    ("announced-level", "hotLevel", "UPDATE content_figures SET hot_level = 4 WHERE content_id = ONE"),
    ("announced-level", "hotScore", "UPDATE content_figures SET hot_score = hot_score + 1 WHERE content_id = ONE"),
    ("announced-level", "wakeAt", "UPDATE content_figures SET wake_at = NULL WHERE content_id = ONE"),
    (
        "history",
        "level of the newest row",
        "UPDATE hot_history SET hot_level = 4 WHERE id = (SELECT max(h.id) FROM hot_history h WHERE h.content_id = ONE)",
    ),
    (
        "history",
        "moment of row ",
        "UPDATE hot_history SET calculated_at = calculated_at - 60000 WHERE content_id = ONE",
    ),
    (
        "history",
        "lastHistoryAt",
        "UPDATE content_figures SET last_history_at = last_history_at - 60000 WHERE content_id = ONE",
    ),
    ("figures", "figures", "DELETE FROM content_figures WHERE content_id = ONE"),
    ("unread-count", "unreadNotifications", "UPDATE notification_totals SET unread_count = 77"),
    ("unread-count", "unreadNotifications", "DELETE FROM notification_totals"),
    (
        "notification-actors",
        "actorCount",
        "UPDATE notifications SET actor_count = 9 WHERE kind = 0 AND content_id = ONE",
    ),
    ("notification-actors", "updatedAt", "UPDATE notifications SET updated_at = 5 WHERE kind = 1 AND content_id = ONE"),
];

/// PostgreSQL has no greatest uuid.
fn planted(sql: &str) -> String {
    let one = "(SELECT c.id FROM contents c WHERE c.title = 'one')";
    let newest = format!("(SELECT h.id FROM hot_history h WHERE h.content_id = {one} ORDER BY h.id DESC LIMIT 1)");
    sql.replace("(SELECT max(h.id) FROM hot_history h WHERE h.content_id = ONE)", &newest).replace("ONE", one)
}

async fn each_planted_drift_is_repaired_and_put_back(backend: Backend) {
    let (app, _, other) = furnished(backend).await;
    let (ended, fan) = (AtomicBool::new(false), app.user("fan"));
    let likes = async {
        while !ended.load(Ordering::SeqCst) {
            for verb in ["like", "unlike"] {
                fan.act(verb, &other).await.data();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let repairs = async {
        for (name, field, sql) in PLANTED {
            assert_eq!(drifted(&app).await, [], "before {sql}");
            app.database.sql(&planted(sql)).await;
            let found = drifted(&app).await;
            // A level ends when the stored heat says so: one more of it may turn that moment's last millisecond.
            let follows = |drift: &Drift| {
                let moments = drift.stored.parse::<i64>().ok().zip(drift.actual.parse::<i64>().ok());
                drift.field == "wakeAt" && moments.is_some_and(|(one, other)| one.abs_diff(other) == 1)
            };
            let named = found.iter().filter(|(_, drifts)| *name != "heat" || !drifts.iter().all(follows));
            assert_eq!(named.map(|(name, _)| *name).collect::<Vec<_>>(), [*name], "{sql}: {found:#?}");
            let drifts = &found[0].1;
            assert!(drifts.iter().all(|drift| drift.field.starts_with(field)), "{sql}: {drifts:#?}");
            let check = checks().into_iter().find(|check| check.name() == *name).unwrap();
            assert_eq!(check.remedy(), Remedy::Repair, "{name}");
            let keys = suspects(&app, &*check).await;
            let mut repaired = Vec::new();
            for key in &keys {
                repaired.push((*key, repair(&app, &check, *key).await));
            }
            let all: Vec<Drift> = repaired.iter().flat_map(|(_, drifts)| drifts.clone()).collect();
            assert_eq!(all, *drifts, "{sql}: what was repaired is what was found");
            assert_eq!(drifted(&app).await, [], "repaired: {sql}");
            assert_eq!(repair(&app, &check, keys[0]).await, [], "{sql}: nothing is left to repair");
            for (key, drifts) in &repaired {
                let back = restore(&app, &check, *key, drifts).await;
                assert!(back.iter().all(|back| *back), "{sql}: {back:?}");
            }
            assert_eq!(drifted(&app).await, found, "put back: {sql}");
            for key in keys {
                repair(&app, &check, key).await;
            }
        }
        assert_eq!(drifted(&app).await, []);
        ended.store(true, Ordering::SeqCst);
    };
    tokio::join!(likes, repairs);
    // The rank index takes what was repaired: nothing of it differs.
    app.finish().await;
}

async fn what_no_repair_decides_is_found(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    for (name, plant, mend) in [
        (
            "tombstones",
            "UPDATE behaviors SET removed_at = removed_at - 86400000 WHERE removed_at IS NOT NULL",
            "UPDATE behaviors SET removed_at = removed_at + 86400000 WHERE removed_at IS NOT NULL",
        ),
        (
            "tombstones",
            "UPDATE behaviors SET acted_at = 1, removed_at = 2 WHERE removed_at IS NOT NULL",
            "UPDATE behaviors SET acted_at = 1767225600000, removed_at = 1900000000000 WHERE removed_at IS NOT NULL",
        ),
        (
            "orphans",
            "INSERT INTO content_heat SELECT 9, author_id, 1, 1 FROM contents WHERE title = 'one'",
            "DELETE FROM content_heat WHERE lane = 9 AND epoch = 1",
        ),
        (
            "orphans",
            "INSERT INTO deletions SELECT author_id, 1, 5, 0 FROM contents WHERE title = 'one'",
            "DELETE FROM deletions",
        ),
        (
            "notification-orphans",
            "INSERT INTO notification_acts SELECT 9, user_id, user_id, user_id, 0, 1, 1, 1 FROM notification_totals",
            "DELETE FROM notification_acts WHERE lane = 9 AND sequence = 1",
        ),
    ] {
        app.database.sql(plant).await;
        let found = drifted(&app).await;
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [name], "{plant}: {found:#?}");
        let check = checks().into_iter().find(|check| check.name() == name).unwrap();
        assert!(matches!(check.remedy(), Remedy::Advice(_)), "{name}");
        app.database.sql(mend).await;
    }
    assert_eq!(drifted(&app).await, []);
    app.finish().await;
}

async fn a_repair_that_is_undone_keeps_what_happened_since(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    for sql in [
        "UPDATE content_figures SET like_count = 41 WHERE content_id = ONE",
        "UPDATE content_heat SET mass = mass + 1000 WHERE content_id = ONE",
    ] {
        app.database.sql(&planted(sql)).await;
        let found = drifted(&app).await;
        let check = checks().into_iter().find(|check| check.name() == found[0].0).unwrap();
        let key = suspects(&app, &*check).await[0];
        let drifts = repair(&app, &check, key).await;
        // Somebody likes it between the repair and the undo.
        app.user(if sql.contains("mass") { "dan" } else { "eve" }).act("like", &one).await.data();
        assert_eq!(restore(&app, &check, key, &drifts).await, [true]);
        let again = drifted(&app).await;
        let difference = |drift: &Drift| drift.stored.parse::<i64>().unwrap() - drift.actual.parse::<i64>().unwrap();
        assert_eq!(again.len(), 1, "{again:#?}");
        assert_eq!(difference(&again[0].1[0]), difference(&found[0].1[0]), "the drift as it was, beside the like");
        repair(&app, &check, key).await;
        assert_eq!(drifted(&app).await, []);
    }
    app.finish().await;
}

async fn masses_are_put_back_without_figures(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    app.database.sql(&planted("UPDATE content_heat SET mass = mass + 1000 WHERE content_id = ONE")).await;
    app.database.sql(&planted("DELETE FROM content_figures WHERE content_id = ONE")).await;
    let found = drifted(&app).await;
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["figures", "heat-mass"], "{found:#?}");
    let check = |name: &str| checks().into_iter().find(|check| check.name() == name).unwrap();
    let (masses, figures) = (check("heat-mass"), check("figures"));
    let key = suspects(&app, &*masses).await[0];
    let drifts = repair(&app, &masses, key).await;
    assert!(!drifts.is_empty());
    assert!(restore(&app, &masses, key, &drifts).await.iter().all(|back| *back));
    assert_eq!(drifted(&app).await, found, "put back");
    for check in [masses, figures] {
        repair(&app, &check, key).await;
    }
    assert_eq!(drifted(&app).await, []);
    app.finish().await;
}

async fn a_row_of_history_that_a_repair_writes_is_the_newest(backend: Backend) {
    let (app, ..) = furnished(backend).await;
    let newest = "SELECT h.id FROM hot_history h JOIN contents c ON c.id = h.content_id WHERE c.title = 'other'
                  ORDER BY h.id DESC LIMIT 1";
    let rows = app.kernel.db.query(sea_orm::Statement::from_string(app.kernel.backend(), newest)).await.unwrap();
    let id: uuid::Uuid = rows[0].try_get("", "id").unwrap();
    // Of the same millisecond as what a repair writes, and with the last version that an id can tell.
    let mut bytes = *id.as_bytes();
    (bytes[6], bytes[7]) = (0x7F, 0xFF);
    let text = |id: uuid::Uuid| match backend {
        Backend::Sqlite => format!("x'{}'", id.simple()),
        Backend::Postgres => format!("'{id}'"),
    };
    let last = text(uuid::Uuid::from_bytes(bytes));
    app.database.sql(&format!("UPDATE hot_history SET id = {last}, hot_level = 4 WHERE id = {}", text(id))).await;
    let found = drifted(&app).await;
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["history"], "{found:#?}");
    let check = checks().into_iter().find(|check| check.name() == "history").unwrap();
    let key = suspects(&app, &*check).await[0];
    assert_eq!(repair(&app, &check, key).await.len(), 1);
    assert_eq!(drifted(&app).await, [], "the row that it wrote counts");
    app.finish().await;
}

/// All facts, read page by page.
async fn read(app: &TestApp, explain: &dyn Explain, id: &str, backward: bool) -> (Vec<Fact>, integrity::Explained) {
    let (mut facts, mut from): (Vec<Fact>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = Page { size: 3, backward, from, until: None };
        let explained = explain.explain(&app.kernel, id, page).await.unwrap().expect("there is one");
        let mut read = explained.facts.clone();
        if backward {
            from = read.first().map(|fact| fact.cursor);
            read.append(&mut facts);
            facts = read;
        } else {
            from = read.last().map(|fact| fact.cursor);
            facts.append(&mut read);
        }
        if !explained.more {
            return (facts, explained);
        }
    }
}

async fn explanations_add_up(backend: Backend) {
    let (app, one, _) = furnished(backend).await;
    let mut seeded = Seeded::new();
    for _ in 0..40 {
        let user = app.user(["ann", "ben", "cat", "dan", "eve"][seeded.random.random_range(0..5)]);
        match seeded.random.random_range(0..6) {
            0 => drop(user.act("like", &one).await),
            1 => drop(user.act("unlike", &one).await),
            2 => drop(user.act("favorite", &one).await),
            3 => drop(user.act("unfavorite", &one).await),
            4 => drop(
                user.query(&format!(
                    "mutation {{ comment(contentId: \"{one}\", body: \"x\") {{ comment {{ id }} }} }}"
                ))
                .await,
            ),
            _ => drop(user.query(&format!("mutation {{ recordViews(contentIds: [\"{one}\"]) {{ counted }} }}")).await),
        }
    }
    app.settle().await;
    let author = app.user("author").id().await;
    let explanations = Engagement::explanations().into_iter().chain(Notifications::explanations());
    for explain in explanations {
        let figure = explain.figure();
        let id = if figure == "unread-count" { &author } else { &one };
        let (facts, explained) = read(&app, &*explain, id, false).await;
        assert_eq!(explained.stored, explained.actual, "{figure}");
        assert_eq!(facts.len() as u64, explained.total, "{figure}");
        let cursors = |facts: &[Fact]| facts.iter().map(|fact| fact.cursor).collect::<Vec<_>>();
        assert_eq!(cursors(&facts), cursors(&read(&app, &*explain, id, true).await.0), "{figure}, read backwards");
        if figure == "hotness" {
            assert_eq!(explained.unit, "points of the score now");
            assert!(facts.iter().any(|fact| fact.kind == "QUALITY"));
            let sum: f64 = facts.iter().map(|fact| fact.contribution.parse::<f64>().unwrap()).sum();
            let said: f64 = explained.stored.parse().unwrap();
            // Each page is of its own moment, and so is what the API says.
            assert!((sum / said - 1.0).abs() < 1e-3, "{sum}, {said}");
            let query = format!("{{ node(id: \"{one}\") {{ ... on Artwork {{ hotness {{ score }} }} }} }}");
            let answer = app.user("ann").query(&query).await;
            let score = answer.data()["node"]["hotness"]["score"].as_f64().unwrap();
            assert!((said / score - 1.0).abs() < 1e-2, "{said}, {score}");
        } else {
            let sum: i64 = facts.iter().map(|fact| fact.contribution.parse::<i64>().unwrap()).sum();
            assert_eq!(sum.to_string(), explained.actual, "{figure}");
        }
        assert!(
            explain
                .explain(
                    &app.kernel,
                    "comment_01h455vb4pex5vsknk084sn02q",
                    Page::new(0, None, None, None, None).unwrap()
                )
                .await
                .is_err()
        );
    }
    app.finish().await;
}
