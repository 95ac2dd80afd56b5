//! Openings take part in all that facts do; and an import beside a server that takes likes.

use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::import::{checked, many};
use super::{From, Theirs};
use crate::deletion::{delete, traces, uuid};
use crate::harness::{Backend, SECRET, TestApp, on_every_backend, run};

on_every_backend!(openings_take_part_in_all_that_facts_do, an_import_runs_beside_a_server_that_takes_likes);

async fn id_of(app: &TestApp, external_id: &str) -> Option<String> {
    let query = "query ($ids: [String!]!) { contents(externalIds: $ids) { id } }";
    let answer = app.anonymous().run(query, json!({ "ids": [external_id] })).await;
    answer.data()["contents"][0]["id"].as_str().map(str::to_owned)
}

async fn explained(app: &TestApp, figure: &str, id: &str) -> Value {
    let query = "query ($figure: String!, $id: ID!) { explain(figure: $figure, id: $id) {
        stored actual totalCount nodes { kind contribution } } }";
    let operator = app.client("operator", &[Role::Operator]);
    operator.run(query, json!({ "figure": figure, "id": id })).await.data()["explain"].clone()
}

async fn openings_take_part_in_all_that_facts_do(backend: Backend) {
    let theirs = Theirs::broken(From::Sqlite).await;
    let app = TestApp::start(backend).await;
    theirs.json(&["import"], &app.database.url, 0).await;
    app.audit().await;
    let id = id_of(&app, "1").await.expect("it was taken over");

    let views = json!({
        "stored": "100", "actual": "100", "totalCount": 1,
        "nodes": [{ "kind": "OPENING_VIEWS", "contribution": "100" }],
    });
    assert_eq!(explained(&app, "view-count", &id).await, views);
    let heat = explained(&app, "hotness", &id).await;
    assert_eq!(heat["stored"], heat["actual"]);
    let kinds: Vec<_> = heat["nodes"].as_array().unwrap().iter().map(|fact| fact["kind"].as_str().unwrap()).collect();
    let due = "PUBLICATION LIKE LIKE FAVORITE OPENING_COMMENTS OPENING_SHARES OPENING_VIEWS QUALITY";
    assert_eq!(kinds.join(" "), due);

    // The figures follow the fact: what says otherwise is a drift.
    app.database.sql("UPDATE content_openings SET count = count + 5 WHERE count = 100").await;
    assert_eq!(app.drifted().await, ["view-count", "heat-mass", "heat"]);
    let environment = [("DATABASE_URL", &*app.database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let folder = tempfile::tempdir().unwrap();
    let (status, output, errors) = run(&["repair", "--no-backup"], &environment, folder.path()).await;
    assert_eq!(status, 0, "{output}{errors}");
    app.audit().await;
    assert_eq!(explained(&app, "view-count", &id).await["stored"], "105");
    // And an import sets it.
    let again = theirs.json(&["import"], &app.database.url, 0).await;
    let artworks = again["tables"].as_array().unwrap().iter().find(|table| table["table"] == "artworks").unwrap();
    assert_eq!(artworks["openings"], 1);
    assert_eq!(explained(&app, "view-count", &id).await, views);

    let other = match backend {
        Backend::Sqlite => "x'0190a0b0c0d070008000000000000001'",
        Backend::Postgres => "'0190a0b0-c0d0-7000-8000-000000000001'::uuid",
    };
    let plant = format!("INSERT INTO content_openings VALUES (1, {other}, 4, 3, 1767225600000)");
    app.database.sql(&plant).await;
    assert_eq!(app.drifted().await, ["orphans"]);
    app.database.sql(&format!("DELETE FROM content_openings WHERE content_id = {other}")).await;

    let database = app.stop().await;
    let environment =
        [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_ENGAGEMENT_VIEW_WEIGHT", "9.5")];
    for command in ["recalculate", "check"] {
        let (status, output, errors) = run(&[command], &environment, folder.path()).await;
        assert_eq!(status, 0, "{command}: {output}{errors}");
    }
    let options = crate::harness::Options::default().with("engagement.view_weight", 9.5);
    let app = TestApp::start_on::<Tally>(database, options).await;
    assert!(delete(&app.user("ann"), "deleteContent", &id).await);
    app.settle().await;
    // What stays are records of a repair and of how far a recalculation came.
    let left = traces(&app, uuid(&id)).await;
    assert!(!left.iter().any(|place| place.starts_with("content")), "{left:?}");
    app.finish().await;
    theirs.remove().await;
}

async fn an_import_runs_beside_a_server_that_takes_likes(backend: Backend) {
    let (theirs, likes) = many().await;
    let app = TestApp::start(backend).await;
    let own = app.user("author").publish("our own").await;
    let (mut liked, mut theirs_liked) = (0, 0);
    let report = {
        let mut import = pin!(theirs.json(&["import"], &app.database.url, 0));
        loop {
            let visitor = app.user(&format!("visitor {liked}"));
            let held = id_of(&app, &format!("{}", liked % 300 + 1)).await;
            theirs_liked += i64::from(held.is_some());
            let id = held.unwrap_or_else(|| own.clone());
            let act = async {
                assert_eq!(visitor.act("like", &id).await.data()["like"]["changed"], true);
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            tokio::select! {
                report = &mut import => break report,
                () = act => liked += 1,
            }
        }
    };
    let [rows, new, ..] = super::import::came(&report, "artworks_like");
    assert_eq!((rows, new), (6_000, 6_000));
    assert!(liked > 10 && theirs_liked > 0, "{liked} likes meanwhile, {theirs_liked} of what was taken over");
    let counted = app.number("SELECT count(*) FROM behaviors").await - likes - liked;
    assert!((0..=1).contains(&counted), "the one under way when the import ended may count: {counted}");
    app.audit().await;
    // Servers hear of it: the rankings have what was taken over.
    let ranking = "{ hotRanking(first: 50) { content { externalId } } }";
    let ranked = app.anonymous().query(ranking).await.data()["hotRanking"].clone();
    assert!(ranked.as_array().unwrap().iter().any(|ranked| ranked["content"]["externalId"].is_string()), "{ranked}");
    let database = app.stop().await;
    let (status, output) = checked(&database).await;
    assert_eq!(status, 0, "{output}");
    database.remove().await;
    theirs.remove().await;
}
