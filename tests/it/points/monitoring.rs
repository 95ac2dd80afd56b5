//! What operators see of points: the report, metrics, checks of one account and again and again.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::stage::{Stage, add, add_batch, input};
use crate::harness::{Backend, command, on_every_backend};

on_every_backend!(
    the_report_shows_state_accounts_errors_and_times,
    a_database_that_is_gone_shows_as_errors,
    a_broken_ledger_is_the_servers_fault,
    metrics_count_transactions_and_incidents,
    one_account_is_checked_and_a_watch_sees_a_drift_come,
);

const REPORT: &str = "query ($module: String, $check: String) { integrityReport(module: $module, check: $check) {
     state consistencyRate checks { name checked } overview { title rows { name value } }
     service { module requests failed errorRate p50Ms p95Ms p99Ms } } }";

async fn report(stage: &Stage, variables: Value) -> Value {
    stage.operator.run(REPORT, variables).await.data()["integrityReport"].clone()
}

/// A number of an overview by its name.
fn shown(report: &Value, name: &str) -> String {
    let rows = report["overview"][0]["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"));
    row["value"].as_str().unwrap().to_owned()
}

async fn the_report_shows_state_accounts_errors_and_times(backend: Backend) {
    let stage = Stage::set(backend).await;
    let points = json!({ "module": "points" });
    let before = report(&stage, points.clone()).await;
    assert_eq!(before["state"], "UNKNOWN");
    let none = json!([{ "module": "points", "requests": 0, "failed": 0, "errorRate": null,
                        "p50Ms": null, "p95Ms": null, "p99Ms": null }]);
    assert_eq!((&before["service"], shown(&before, "accounts")), (&none, "0".to_owned()));

    let people = stage.people(200).await;
    let inputs = people.iter().enumerate().map(|(n, id)| input(id, "ADD_POINTS", 5, &format!("a {n}"))).collect();
    add_batch(&stage.teacher, inputs, true).await.data();
    stage.award(1, "a").await.data();
    assert_eq!(stage.deduct(100, "b").await.code(), "INSUFFICIENT_POINTS");
    assert_eq!(stage.ann.query("{ pointLeaderboard { balance } }").await.code(), "FORBIDDEN");
    let (status, text, _) = stage.command(&["check", "--module", "points"]).await;
    assert_eq!(status, 0, "{text}");
    let after = report(&stage, points.clone()).await;
    assert_eq!((&after["state"], &after["consistencyRate"]), (&json!("OK"), &json!(1.0)));
    assert_eq!(shown(&after, "accounts"), "201");
    let service = &after["service"][0];
    // Whoever is refused did something wrong; the server did not.
    assert_eq!((&service["requests"], &service["failed"], &service["errorRate"]), (&json!(4), &json!(0), &json!(0.0)));
    let times = ["p50Ms", "p95Ms", "p99Ms"].map(|name| service[name].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted() && times[2] <= 10_000.0, "{times:?}");

    // One account of 201: the check that found it decides, whatever the others compared beside it.
    stage.app.database.sql("UPDATE point_accounts SET balance = 7 WHERE balance = 1").await;
    assert_eq!(stage.command(&["check", "--module", "points"]).await.0, 1);
    let drifted = report(&stage, points).await;
    let compared = |name: &str| {
        let check = drifted["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
        check["checked"].as_f64().unwrap()
    };
    assert_eq!(["point-balance", "point-chain", "point-incidents"].map(compared), [201.0, 201.0, 0.0]);
    let all = compared("point-balance");
    let rate = drifted["consistencyRate"].as_f64().unwrap();
    assert!(drifted["state"] == "DRIFT" && (rate - (all - 1.0) / all).abs() < 1e-9, "{drifted:#}");
    // A check's module is known, and of none all are shown.
    assert_eq!(report(&stage, json!({ "check": "point-chain" })).await["service"][0]["module"], "points");
    let all = report(&stage, json!({})).await;
    let modules: Vec<_> = all["service"].as_array().unwrap().iter().map(|service| service["module"].clone()).collect();
    assert_eq!(modules, ["engagement", "kernel", "notifications", "points", "users"]);
    assert_eq!(stage.teacher.run(REPORT, json!({})).await.code(), "FORBIDDEN");
    assert_eq!(stage.command(&["repair", "--module", "points"]).await.0, 0);
    stage.app.finish().await;
}

async fn a_database_that_is_gone_shows_as_errors(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(1, "a").await.data();
    stage.app.database.sql("ALTER TABLE point_accounts RENAME TO elsewhere").await;
    for n in 0..3 {
        assert_eq!(stage.award(1, &format!("lost {n}")).await.code(), "INTERNAL");
    }
    let query = "{ integrityReport(module: \"points\") { service { requests failed errorRate } } }";
    let answer = stage.operator.query(query).await;
    let service = &answer.data()["integrityReport"]["service"][0];
    assert_eq!(*service, json!({ "requests": 4, "failed": 3, "errorRate": 0.75 }));
    assert_eq!(series(&stage, "points_transactions_total{kind=\"ADD_POINTS\",outcome=\"failed\"}"), 3.0);
    assert_eq!(series(&stage, "fields_total{module=\"points\",outcome=\"failed\"}"), 3.0);
    stage.app.database.sql("ALTER TABLE elsewhere RENAME TO point_accounts").await;
    stage.app.finish().await;
}

async fn a_broken_ledger_is_the_servers_fault(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(7, "a").await.data();
    stage.app.database.sql("UPDATE point_transactions SET amount = 8").await;
    assert_eq!(stage.award(1, "b").await.code(), "LEDGER_BROKEN");
    let inputs = vec![input(&stage.id, "ADD_POINTS", 1, "c")];
    assert_eq!(add_batch(&stage.teacher, inputs, true).await.code(), "LEDGER_BROKEN");
    let query = "{ integrityReport(module: \"points\") { service { requests failed errorRate } } }";
    let answer = stage.operator.query(query).await;
    let service = &answer.data()["integrityReport"]["service"][0];
    assert_eq!((&service["requests"], &service["failed"]), (&json!(3), &json!(2)));
    assert_eq!(series(&stage, "points_transactions_total{kind=\"ADD_POINTS\",outcome=\"failed\"}"), 2.0);
    assert_eq!(series(&stage, "fields_total{module=\"points\",outcome=\"failed\"}"), 2.0);
    let text = stage.app.kernel.metrics.text().unwrap();
    let failed = text.lines().filter(|line| line.starts_with("tally_requests_total") && line.contains("=\"failed\""));
    let count = failed.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
    assert_eq!(count, 2.0, "{text}");
    stage.app.database.sql("UPDATE point_transactions SET amount = 7").await;
    stage.app.finish().await;
}

/// A metric of the server.
fn series(stage: &Stage, name: &str) -> f64 {
    let text = stage.app.kernel.metrics.text().unwrap();
    let name = format!("tally_{name} ");
    let found = text.lines().find_map(|line| line.strip_prefix(&name));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

async fn metrics_count_transactions_and_incidents(backend: Backend) {
    let stage = Stage::set(backend).await;
    let counted = |kind: &str| {
        ["written", "replayed", "refused", "failed"].map(|outcome| {
            series(&stage, &format!("points_transactions_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}"))
        })
    };
    assert_eq!(counted("ADD_POINTS"), [0.0; 4]);
    let first = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    stage.award(10, "a").await.data();
    assert_eq!(stage.award(11, "a").await.code(), "CONFLICT");
    let mut dry = input(&stage.id, "ADD_POINTS", 1, "dry");
    dry["dryRun"] = json!(true);
    add(&stage.teacher, dry).await.data();
    assert_eq!(counted("ADD_POINTS"), [1.0, 1.0, 1.0, 0.0]);
    // All or nothing: one that would have done is not done either.
    let inputs = || vec![input(&stage.id, "REDEEM", 1, "b"), input(&stage.id, "REDEEM", 100, "c")];
    add_batch(&stage.teacher, inputs(), true).await.code();
    assert_eq!(counted("REDEEM"), [0.0, 0.0, 2.0, 0.0]);
    add_batch(&stage.teacher, inputs(), false).await.data();
    assert_eq!(counted("REDEEM"), [1.0, 0.0, 3.0, 0.0]);
    stage.limit(&stage.id, 10, "l").await.data();
    stage.reverse(&first, "r").await.data();
    assert_eq!((counted("REVERSAL")[0], counted("OVERDRAFT_LIMIT")[0]), (1.0, 1.0));

    let incidents = |field: &str| series(&stage, &format!("points_incidents_total{{field=\"{field}\"}}"));
    assert_eq!(incidents("balance"), 0.0);
    stage.app.database.sql("UPDATE point_accounts SET balance = 500, overdraft_limit = 7").await;
    stage.award(1, "after").await.data();
    assert_eq!(["balance", "overdraftLimit", "sequence"].map(incidents), [1.0, 1.0, 0.0]);
    assert_eq!(series(&stage, "points_rank_index_entries"), 1.0);
    stage.app.finish().await;
}

async fn one_account_is_checked_and_a_watch_sees_a_drift_come(backend: Backend) {
    let stage = Stage::set(backend).await;
    let ben = stage.people(1).await.remove(0);
    stage.award(10, "a").await.data();
    add(&stage.teacher, input(&ben, "ADD_POINTS", 3, "a")).await.data();
    let mut watch = command();
    watch.args(["check", "--module", "points", "--json", "--watch", "1s"]);
    watch.env("DATABASE_URL", &stage.app.database.url).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watch = watch.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || {
        loop {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.expect("a round in time");
            let line = line.unwrap().expect("it goes on");
            if let Ok(report) = serde_json::from_str::<Value>(&line) {
                return report;
            }
        }
    };
    assert_eq!(next().await["state"], "OK");
    stage.app.database.sql("UPDATE point_accounts SET balance = 11 WHERE balance = 10").await;
    let drifted = loop {
        let report = next().await;
        if report["state"] == "DRIFT" {
            break report;
        }
    };
    let example = drifted["checks"].as_array().unwrap().iter().find(|check| check["name"] == "point-balance").unwrap();
    let expected = json!({ "id": stage.id, "field": "balance", "stored": "11", "actual": "10" });
    assert_eq!(example["examples"], json!([expected]));
    // By a user's id, and by an account's: of that one only.
    for (id, status) in [(stage.id.clone(), 1), (stage.id.replace("user_", "point_account_"), 1), (ben, 0)] {
        let (found, text, _) = stage.command(&["check", "--module", "points", "--id", &id]).await;
        assert_eq!(found, status, "{id}: {text}");
    }
    let (status, _, errors) = stage.command(&["check", "--id", "user_01h455vb4pex5vsknk084sn02q"]).await;
    assert!(status == 2 && errors.contains("there is no user_"), "{errors}");
    stage.app.database.sql("UPDATE point_accounts SET balance = 10 WHERE balance = 11").await;
    while next().await["state"] != "OK" {}
    watch.kill().await.unwrap();
    stage.app.finish().await;
}
