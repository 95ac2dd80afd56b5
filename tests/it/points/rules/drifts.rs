//! What was written by hand into what rules know, or into ledgers past them, is found and named.

use tally::kernel::integrity::{CheckReport, Drift};

use super::{event, put, ruled, uuid};
use crate::harness::{Backend, SECRET, on_every_backend, run};
use crate::points::stage::Stage;

on_every_backend!(
    every_hand_in_what_rules_gave_is_named,
    whoever_has_many_drifts_hides_nobody,
    an_award_without_its_act_is_taken_back_by_an_operator,
);

async fn found(stage: &Stage) -> Vec<Drift> {
    checked(stage).await.examples
}

async fn checked(stage: &Stage) -> CheckReport {
    use tally::app::{App as _, Tally};
    let modules = tally::kernel::module::Modules::new(Tally::modules()).map_err(|error| error.for_operator()).unwrap();
    let check = modules.checks().into_iter().find(|check| check.name() == "point-rules").unwrap();
    tally::kernel::integrity::run(check.as_ref(), &stage.app.kernel, &|_| ()).await.unwrap()
}

async fn every_hand_in_what_rules_gave_is_named(backend: Backend) {
    let stage = ruled(backend, "like:2:4,favorite:1:9").await;
    let content = stage.ann.publish("one").await;
    for (who, verb) in [("ben", "like"), ("cara", "like"), ("dora", "like"), ("ben", "favorite"), ("eve", "favorite")] {
        stage.acts(who, verb, &content).await;
    }
    stage.acts("eve", "unfavorite", &content).await;
    let database = &stage.app.database;
    database.sql("CREATE TABLE kept AS SELECT * FROM point_rule_acts").await;
    assert_eq!(found(&stage).await, []);

    let any = match backend {
        Backend::Sqlite => "randomblob(16)",
        Backend::Postgres => "gen_random_uuid()",
    };
    let of_likes = "WHERE rule = 0 AND award_id IS NOT NULL";
    for (hand, drifts, what) in [
        (format!("DELETE FROM point_rule_acts {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET award_id = NULL {of_likes}"), 4, "award under like:"),
        // Two that lead nowhere, and two in the ledger that nothing leads to.
        (format!("UPDATE point_rule_acts SET award_id = {any} {of_likes}"), 4, "award under like:"),
        (format!("UPDATE point_rule_acts SET user_id = {any} {of_likes}"), 4, "award under like:"),
        (format!("UPDATE point_rule_acts SET content_id = {any} {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET subject_id = {any} {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET acted_at = acted_at + 1 {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET rule = 3 {of_likes}"), 2, "award under share:"),
        (format!("UPDATE point_rule_acts SET rule = 9 {of_likes}"), 2, "rule of an act"),
        (format!("UPDATE point_rule_acts SET day = day + 400 {of_likes}"), 2, "day of the act of point_transaction_"),
        (format!("UPDATE point_rule_acts SET points = 1 {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET points = 9223372036854775807 {of_likes}"), 2, "award under like:"),
        (format!("UPDATE point_rule_acts SET day_most = 3 {of_likes}"), 3, "points of like on 2"),
        // Columns that no entry of the ledger holds.
        (format!("UPDATE point_rule_acts SET sequence = 9223372036854775807 {of_likes}"), 2, "act like:"),
        (format!("UPDATE point_rule_acts SET day = day - 1 {of_likes}"), 2, "act like:"),
        (format!("UPDATE point_rule_acts SET day_most = day_most + 100 {of_likes}"), 2, "act like:"),
        ("UPDATE point_rule_acts SET sequence = 9 WHERE rule = 0 AND award_id IS NULL".to_owned(), 1, "act like:"),
        ("UPDATE point_rule_acts SET acted_at = 9 WHERE rule = 1 AND award_id IS NULL".to_owned(), 1, "act favorite:"),
        // Of a favorite that was taken back.
        (
            "UPDATE point_rule_acts SET award_id = (SELECT id FROM point_transactions WHERE kind = 4), points = 1, \
             day_most = 9 WHERE rule = 1 AND award_id IS NULL"
                .to_owned(),
            1,
            "award under favorite:",
        ),
    ] {
        database.sql(&hand).await;
        let named = found(&stage).await;
        assert_eq!(named.len(), drifts, "{hand}: {named:#?}");
        assert!(named.iter().any(|drift| drift.field.starts_with(what)), "{hand}: {named:#?}");
        if !hand.contains("SET user_id") {
            assert!(named.iter().all(|drift| drift.id == stage.id), "{hand}: {named:#?}");
        }
        database.sql("DELETE FROM point_rule_acts").await;
        database.sql("INSERT INTO point_rule_acts SELECT * FROM kept").await;
        assert_eq!(found(&stage).await, [], "{hand}");
    }
    database.sql("DROP TABLE kept").await;
    // Rows from before there were seals have none, until something is heard of them again.
    database.sql("UPDATE point_rule_acts SET seal = NULL").await;
    assert_eq!(found(&stage).await, []);
    stage.acts("ben", "unlike", &content).await;
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_acts WHERE seal IS NOT NULL").await, 1);
    stage.app.finish().await;
}

/// SQLite takes anything into the columns of this table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named_and_hides_nothing() {
    let stage = ruled(Backend::Sqlite, "like:2:40").await;
    let content = stage.ann.publish("one").await;
    for who in ["ben", "cara"] {
        stage.acts(who, "like", &content).await;
    }
    let database = &stage.app.database;
    database.sql("CREATE TABLE kept AS SELECT * FROM point_rule_acts").await;
    let one = "WHERE award_id = (SELECT min(award_id) FROM point_rule_acts)";
    for (column, value, field) in [
        ("rule", "'like'", "rule of an act"),
        ("content_id", "x'01'", "contentId of an act"),
        ("subject_id", "'nobody'", "subjectId of an act"),
        ("sequence", "'many'", "sequence of an act"),
        ("acted_at", "x'00'", "actedAt of an act"),
        ("day", "'today'", "day of an act"),
        ("award_id", "'none'", "awardId of an act"),
        ("points", "'two'", "points of an act"),
        ("day_most", "1.5", "dayMost of an act"),
        ("seal", "7", "seal of an act"),
        ("user_id", "x'01'", "userId of an act"),
        ("lane", "'somewhere'", "userId of an act"),
    ] {
        database.sql(&format!("UPDATE point_rule_acts SET {column} = {value} {one}")).await;
        let named = found(&stage).await;
        assert!(named.iter().any(|drift| drift.field == field), "{column}: {named:#?}");
        let (status, text, errors) = stage.command(&["check"]).await;
        assert_eq!((status, &*errors), (1, ""), "{column}: {text}");
        assert!(text.contains(field) && text.contains("tombstones"), "{column}: {text}");
        database.sql("DELETE FROM point_rule_acts").await;
        database.sql("INSERT INTO point_rule_acts SELECT * FROM kept").await;
        assert_eq!(found(&stage).await, [], "{column}");
    }
    database.sql("DROP TABLE kept").await;
    stage.app.finish().await;
}

async fn whoever_has_many_drifts_hides_nobody(backend: Backend) {
    let stage = ruled(backend, "like:1:10000").await;
    let [ben, cara] = <[String; 2]>::try_from(stage.people(2).await).unwrap();
    let fans = futures_util::future::join_all((0..35).map(async |n| stage.app.user(&format!("fan {n}")).id().await));
    let fans = fans.await;
    // Ann has more than are named of one, the two others one each, before or behind her in the order of keys.
    let mut events = Vec::new();
    for n in 0..30 {
        let content = uuid(&stage.ann.publish(&format!("content {n}")).await);
        for (fan, m) in fans.iter().zip(1..) {
            events.push(event(&stage.app, "engagement.liked", content, &stage.id, fan, n * 35 + m));
        }
    }
    for other in [&ben, &cara] {
        let content = uuid(&stage.ann.publish("another").await);
        events.push(event(&stage.app, "engagement.liked", content, other, &fans[0], 2_000));
    }
    put(&stage.app, events).await;
    stage.app.settle().await;
    assert_eq!(stage.balance().await, 1_050);
    let database = &stage.app.database;
    database.sql("CREATE TABLE kept AS SELECT * FROM point_rule_acts").await;
    let items = async || {
        let report = checked(&stage).await;
        (report.items, report.drifted)
    };
    assert_eq!(items().await, (0, 0));
    database.sql("DELETE FROM point_rule_acts").await;
    assert_eq!(items().await, (3, 1_002), "of one the first 1,000");
    database.sql("INSERT INTO point_rule_acts SELECT * FROM kept").await;
    // A day each, and as many as there are acts, which are not as they were written.
    database.sql("UPDATE point_rule_acts SET day_most = 0").await;
    assert_eq!(items().await, (3, 3 + 1_052));
    database.sql("UPDATE point_rule_acts SET day_most = 10000").await;
    database.sql("DROP TABLE kept").await;
    stage.app.finish().await;
}

async fn an_award_without_its_act_is_taken_back_by_an_operator(backend: Backend) {
    let stage = ruled(backend, "like:2:4").await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    stage.app.database.sql("DELETE FROM point_rule_acts").await;
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "off")];
    let folder = tempfile::tempdir().unwrap();
    let command = async |arguments: &[&str]| {
        let (status, printed, errors) = run(arguments, &environment, folder.path()).await;
        let report: serde_json::Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{errors}"));
        (status, report)
    };
    let (status, report) = command(&["check", "--check", "point-rules", "--id", &stage.id, "--json"]).await;
    let example = &report["checks"][0]["examples"][0];
    assert_eq!((status, &example["id"]), (1, &serde_json::json!(stage.id)), "{report:#}");
    let advice = report["recommendations"][0].as_str().unwrap();
    assert!(advice.contains("reversePointTransaction"), "{advice}");
    let (status, report) = command(&["repair", "--check", "point-rules", "--no-backup", "--json"]).await;
    assert_eq!((status, &report["changes"]), (1, &serde_json::json!([])), "no repair decides it: {report:#}");
    assert_eq!(example["stored"], stage.history().await[0]["id"]);
    stage.reverse(&example["stored"], "by hand").await.data();
    assert_eq!(stage.balance().await, 0);
    stage.app.finish().await;
}
