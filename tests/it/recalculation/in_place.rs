//! Without other settings: what is in force is made anew from its facts, for those that are named.

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::stage::{outcome, recalculate, recalculate_with};
use crate::harness::{Backend, Client, Options, TestApp, on_every_backend};

on_every_backend!(
    an_operator_puts_right_what_drifted,
    the_command_puts_right_what_drifted,
    servers_are_told_once_and_a_run_goes_on_after_a_content,
    every_mistake_is_named,
);

const RECALCULATE: &str =
    "mutation ($ids: [ID!]!) { recalculateHotness(ids: $ids) { total succeeded failed errors { id message } } }";

async fn app(backend: Backend) -> TestApp {
    TestApp::start_with::<Tally>(backend, Options::default().with("engagement.settings_poll_ms", 50)).await
}

async fn artwork(client: &Client, likes: usize, app: &TestApp) -> String {
    let id = client.publish("one").await;
    for user in 0..likes {
        app.user(&format!("fan {user}")).act("like", &id).await.data();
    }
    id
}

async fn video(client: &Client) -> String {
    let query = "mutation { publishVideo(input: { title: \"v\" }) { video { id } } }";
    client.query(query).await.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned()
}

async fn history(client: &Client, id: &str) -> Vec<Value> {
    let query = "query ($id: ID!) { node(id: $id) { ... on Content { hotness { history(first: 100) { calculationMethod } } } } }";
    let answer = client.run(query, json!({ "id": id })).await;
    let rows = answer.data()["node"]["hotness"]["history"].as_array().unwrap().clone();
    rows.into_iter().map(|row| row["calculationMethod"].clone()).collect()
}

/// Masses and heat that no fact stands behind.
const DRIFT: &str = "UPDATE content_heat SET mass = mass * 3; UPDATE content_figures SET heat = heat + 4294967296";

async fn an_operator_puts_right_what_drifted(backend: Backend) {
    let app = app(backend).await;
    let (author, operator) = (app.user("author"), app.client("operator", &[Role::Operator]));
    let ids = [artwork(&author, 2, &app).await, artwork(&author, 1, &app).await, video(&author).await];
    let run = async |ids: &[String]| {
        operator.run(RECALCULATE, json!({ "ids": ids })).await.data()["recalculateHotness"].clone()
    };
    let all = json!({ "total": 3, "succeeded": 3, "failed": 0, "errors": [] });
    assert_eq!(run(&ids).await, all);
    let before = history(&author, &ids[0]).await;
    assert!(!before.contains(&json!("RECALCULATION")), "nothing came out otherwise: {before:?}");

    app.database.sql(DRIFT).await;
    assert_eq!(run(&ids).await, all);
    for id in &ids {
        assert_eq!(history(&author, id).await.last(), Some(&json!("RECALCULATION")));
    }
    app.audit().await;
    // Twice in one batch: no harm.
    assert_eq!(run(&[ids[0].clone(), ids[0].clone()]).await["succeeded"], json!(2));
    app.finish().await;
}

async fn the_command_puts_right_what_drifted(backend: Backend) {
    let app = app(backend).await;
    let author = app.user("author");
    let (one, two, video) = (artwork(&author, 2, &app).await, artwork(&author, 0, &app).await, video(&author).await);
    let both = format!("{one},{two}");
    for (arguments, total) in [
        (&["--all"][..], 3),
        (&["--all", "--chunk", "1"], 3),
        (&["--kind", "ARTWORK"], 2),
        (&["--kind", "video"], 1),
        (&["--ids", &both], 2),
        (&["--ids", &one, &video], 2),
        (&["--stale"], 0),
    ] {
        app.database.sql(DRIFT).await;
        let (status, report, errors) = recalculate(&app.database, &[], arguments).await;
        assert_eq!(status, 0, "{errors}");
        assert_eq!(report, json!({ "total": total, "succeeded": total, "failed": 0, "errors": [] }), "{arguments:?}");
        // The rest, so that the next line begins with what is right; and the servers are told.
        let (status, ..) = recalculate(&app.database, &[], &["--all"]).await;
        assert_eq!(status, 0);
        app.audit().await;
    }
    let (status, output, _) = outcome(&app.database, &[], &["recalculate", "--all"]).await;
    assert_eq!((status, output.lines().count()), (0, 2), "{output}");
    // Nobody touched it for longer than the setting: a moment of the past.
    app.database.sql("UPDATE content_figures SET last_hot_update = last_hot_update - 90000000").await;
    let (_, report, _) = recalculate(&app.database, &[], &["--stale"]).await;
    assert_eq!(report["total"], json!(3));
    // Before the facts, which a check finds.
    assert_eq!(app.drifted().await, ["heat"]);
    app.database.sql("UPDATE content_figures SET last_hot_update = last_hot_update + 90000000").await;
    app.finish().await;
}

async fn servers_are_told_once_and_a_run_goes_on_after_a_content(backend: Backend) {
    let app = app(backend).await;
    let author = app.user("author");
    let (one, two, video) = (artwork(&author, 1, &app).await, artwork(&author, 2, &app).await, video(&author).await);
    let generation = async || app.number("SELECT generation FROM heat_in_force").await;
    let before = generation().await;
    app.database.sql(DRIFT).await;
    let (status, ..) = recalculate(&app.database, &[], &["--all", "--chunk", "1"]).await;
    assert_eq!((status, generation().await), (0, before + 1), "each server reads everything each time");
    // Nothing came out otherwise: there is nothing to tell.
    recalculate(&app.database, &[], &["--all"]).await;
    assert_eq!(generation().await, before + 1);
    let mut totals = Vec::new();
    for id in [&one, &two, &video] {
        app.database.sql(DRIFT).await;
        let (status, report, errors) = recalculate(&app.database, &[], &["--all", "--after", id]).await;
        assert_eq!(status, 0, "{errors}");
        totals.push(report["total"].as_i64().unwrap());
        let (status, ..) = recalculate(&app.database, &[], &["--all"]).await;
        assert_eq!(status, 0);
        app.audit().await;
    }
    totals.sort_unstable();
    assert_eq!(totals, [0, 1, 2], "each goes on behind another one");
    for wrong in [&["--after", &one][..], &["--ids", &one, "--after", &two]] {
        let (status, output, errors) = recalculate_with(&app.database, &[], wrong).await;
        assert_eq!((status, &*output), (2, ""), "{wrong:?} {errors}");
    }
    app.finish().await;
}

async fn every_mistake_is_named(backend: Backend) {
    let app = app(backend).await;
    let (author, operator) = (app.user("author"), app.client("operator", &[Role::Operator]));
    let id = artwork(&author, 1, &app).await;
    let foreign = id.replace("artwork_", "video_");
    let unknown = "artwork_01h455vb4pex5vsknk084sn02q".to_owned();
    let answer = operator.run(RECALCULATE, json!({ "ids": [id, foreign, unknown] })).await;
    let result = &answer.data()["recalculateHotness"];
    let error = |id: &str| json!({ "id": id, "message": "no such content" });
    let expected = json!({ "total": 3, "succeeded": 1, "failed": 2, "errors": [error(&foreign), error(&unknown)] });
    assert_eq!(*result, expected);
    for ids in [Vec::new(), vec![id.clone(); 1_001]] {
        let answer = operator.run(RECALCULATE, json!({ "ids": ids })).await;
        assert_eq!(answer.code(), "INVALID_INPUT");
        assert!(answer.message().contains("1 to 1000 ids"), "{}", answer.message());
    }
    let user = author.id().await;
    for wrong in [&*user, "nothing", ""] {
        let answer = operator.run(RECALCULATE, json!({ "ids": [wrong] })).await;
        assert_eq!(answer.code(), "INVALID_INPUT", "{wrong}");
    }
    assert_eq!(author.run(RECALCULATE, json!({ "ids": [id] })).await.code(), "FORBIDDEN");
    assert_eq!(app.anonymous().run(RECALCULATE, json!({ "ids": [id] })).await.code(), "UNAUTHENTICATED");

    let (status, report, _) = recalculate(&app.database, &[], &["--ids", &id, &unknown]).await;
    assert_eq!((status, &report["failed"], &report["errors"]), (1, &json!(1), &json!([error(&unknown)])));
    for wrong in [
        &["--ids", "user_01h455vb4pex5vsknk084sn02q"][..],
        &["--ids"],
        &["--kind", "song"],
        &["--all", "--stale"],
        &["--all", "--kind", "VIDEO"],
        &["--all", "--chunk", "0"],
        &["--everything"],
    ] {
        let (status, output, errors) = recalculate_with(&app.database, &[], wrong).await;
        assert_eq!((status, &*output), (2, ""), "{wrong:?}");
        assert!(!errors.is_empty(), "{wrong:?}");
    }
    app.finish().await;
}
