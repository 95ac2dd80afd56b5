//! The same over GraphQL, for operators.

use serde_json::json;
use tally::kernel::auth::Role;

use super::{Stage, run};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    a_report_is_what_was_found_last_and_runs_nothing,
    a_repair_is_bounded_recorded_and_alone,
    facts_come_in_pages,
    health_says_what_needs_attention,
);

const REPORT: &str = "query ($module: String, $check: String) { integrityReport(module: $module, check: $check) {
    state consistencyRate ranAt recommendations checks { name module checked drifted examples { id field stored actual } } } }";

async fn a_report_is_what_was_found_last_and_runs_nothing(backend: Backend) {
    let stage = Stage::set(backend).await;
    let operator = stage.app.client("operator", &[Role::Operator]);
    let report = async |variables| operator.run(REPORT, variables).await.data()["integrityReport"].clone();
    let before = report(json!({})).await;
    assert_eq!((&before["state"], &before["checks"]), (&json!("UNKNOWN"), &json!([])));
    assert_eq!((&before["ranAt"], &before["consistencyRate"]), (&json!(null), &json!(null)));
    stage.plant(40).await;
    run(&stage.app.database, "check --module guestbook").await;
    let part = report(json!({ "module": "guestbook" })).await;
    assert_eq!((&part["state"], &part["consistencyRate"]), (&json!("DRIFT"), &json!(0.0)));
    assert_eq!(part["checks"][0]["examples"][0]["field"], "noteCount");
    assert!(part["ranAt"].is_string() && part["recommendations"][0].as_str().unwrap().contains("tally repair"));
    stage.plant(-40).await;
    assert_eq!(report(json!({})).await["state"], "DRIFT", "nothing was run");
    run(&stage.app.database, "check").await;
    assert_eq!(report(json!({})).await["state"], "OK");
    assert_eq!(report(json!({ "check": "note-count" })).await["consistencyRate"], 1.0);
    let answer = operator.run(REPORT, json!({ "check": "nonsense" })).await;
    assert_eq!(answer.code(), "INVALID_INPUT");
    stage.app.finish().await;
}

async fn a_repair_is_bounded_recorded_and_alone(backend: Backend) {
    let stage = Stage::set(backend).await;
    let operator = stage.app.client("operator", &[Role::Operator]);
    let repair = "mutation ($dry: Boolean!) { repairIntegrity(module: \"guestbook\", dryRun: $dry) {
                  state dryRun run checks { repaired drifted examples { stored } } } }";
    stage.plant(40).await;
    let answer = operator.run(repair, json!({ "dry": true })).await;
    let report = &answer.data()["repairIntegrity"];
    assert_eq!((&report["state"], &report["dryRun"]), (&json!("DRIFT"), &json!(true)));
    assert_eq!((&report["checks"][0]["repaired"], stage.counted().await), (&json!(2), [42, 41]));

    let answer = operator.run(repair, json!({ "dry": false })).await;
    let report = &answer.data()["repairIntegrity"];
    assert_eq!((&report["state"], &report["checks"][0]["repaired"]), (&json!("OK"), &json!(2)));
    assert_eq!(stage.counted().await, [2, 1]);
    let (_, listed, _) = run(&stage.app.database, "repair --list").await;
    let id = report["run"].as_str().expect("a run");
    let line = listed.lines().find(|line| line.starts_with(id)).expect("the run is listed");
    assert!(line.contains("REPAIR") && line.contains("api operator  (module guestbook)"), "{line}");

    let alive = "INSERT INTO integrity_runs SELECT {id}, kind, 'RUNNING', 0, scope, started_by, began_at, NULL,
                 9000000000000, NULL, NULL, report FROM integrity_runs WHERE kind = 'REPAIR' AND dry_run = 0";
    let other = if backend == Backend::Sqlite {
        "x'0190a0b0c0d070008000000000000001'"
    } else {
        "'0190a0b0-c0d0-7000-8000-000000000001'::uuid"
    };
    stage.app.database.sql(&alive.replace("{id}", other)).await;
    assert_eq!(operator.run(repair, json!({ "dry": false })).await.code(), "CONFLICT");
    assert_eq!(operator.run(repair, json!({ "dry": true })).await.data()["repairIntegrity"]["state"], "OK");
    stage.app.finish().await;
}

async fn facts_come_in_pages(backend: Backend) {
    let stage = Stage::set(backend).await;
    let (operator, ann) = (stage.app.client("operator", &[Role::Operator]), stage.ann.id().await);
    let explain = "query ($id: ID!, $first: Int, $after: String) {
        explain(figure: \"note-count\", id: $id, first: $first, after: $after) {
            stored actual unit totalCount nodes { kind source at contribution }
            edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor } } }";
    let answer = operator.run(explain, json!({ "id": ann, "first": 1 })).await;
    let first = answer.data()["explain"].clone();
    let figure = ["stored", "actual", "unit", "totalCount"].map(|name| first[name].clone());
    assert_eq!(figure, [json!("2"), json!("2"), json!("notes"), json!(2)]);
    assert_eq!((&first["nodes"][0]["kind"], &first["nodes"][0]["contribution"]), (&json!("NOTE"), &json!("1")));
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    let after = &first["pageInfo"]["endCursor"];
    let answer = operator.run(explain, json!({ "id": ann, "after": after })).await;
    let second = &answer.data()["explain"];
    assert_eq!(
        (&second["pageInfo"]["hasNextPage"], &second["pageInfo"]["hasPreviousPage"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(second["nodes"].as_array().map(Vec::len), Some(1));
    assert_ne!(second["nodes"][0]["source"], first["nodes"][0]["source"]);
    let nobody = json!({ "id": "user_01h455vb4pex5vsknk084sn02q" });
    assert_eq!(operator.run(explain, nobody).await.code(), "NOT_FOUND");
    assert_eq!(stage.ann.run(explain, json!({ "id": ann })).await.code(), "FORBIDDEN");
    stage.app.finish().await;
}

async fn health_says_what_needs_attention(backend: Backend) {
    let stage = Stage::set(backend).await;
    let operator = stage.app.client("operator", &[Role::Operator]);
    let health = "{ systemHealth { state version database integrity lastCheckAt jobs { name } queues { consumer } } }";
    let answer = operator.query(health).await;
    let well = &answer.data()["systemHealth"];
    assert_eq!((&well["state"], &well["integrity"]), (&json!("OK"), &json!("UNKNOWN")), "{well:#}");
    stage.plant(1).await;
    run(&stage.app.database, "check").await;
    let answer = operator.query(health).await;
    let ill = &answer.data()["systemHealth"];
    assert_eq!((&ill["state"], &ill["integrity"]), (&json!("ATTENTION"), &json!("DRIFT")), "{ill:#}");
    stage.plant(-1).await;
    stage.app.finish().await;
}
