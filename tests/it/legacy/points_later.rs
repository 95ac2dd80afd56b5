//! Imports of points that meet what is there: newer transactions of tally's own, rows without ids, people who are not among
//! the users, and what changed since the last run.

use serde_json::json;
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::import::{adds_up, came};
use super::points_import::{checks_clean, ledgers, of_reason};
use super::{EVERY, From, Theirs};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    behind_newer_transactions_older_ones_count_from_their_moment,
    rows_without_ids_come_over_once_each,
    rows_without_ids_beside_others_come_over_once_each,
    students_and_teachers_beside_the_users,
    what_changed_since_is_said_and_a_ledger_not_edited,
    what_is_beyond_a_ledger_stays_behind,
);

async fn behind_newer_transactions_older_ones_count_from_their_moment(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let app = TestApp::start(backend).await;
        let service = app.client("service", &[Role::Service]);
        let made = service.query("mutation { ensureUser(subject: \"s1\", externalId: \"s1\") { id } }").await;
        let id = made.data()["ensureUser"]["id"].clone();
        let teacher = app.client("teacher", &[Role::Teacher]);
        let add = "mutation ($input: AddPointsInput!) { addPoints(input: $input) { transaction { createdAt } } }";
        let input = json!({ "input": { "userId": id, "kind": "ADD_POINTS", "amount": 7, "reason": "new", "idempotencyKey": "k" } });
        let own = teacher.run(add, input).await.data()["addPoints"]["transaction"]["createdAt"].clone();
        let report = theirs.json(&["import", "--point-differences", "adjust"], &app.database.url, 0).await;
        adds_up(&report);
        let late = of_reason(&report["altered"], "newer ones were there before it");
        assert_eq!(
            (&late["rows"], &late["examples"]),
            (&json!(2), &json!(["student_id s1, id 1", "student_id s1, id 2"]))
        );
        let query = "query ($id: ID!, $old: DateTime!, $at: DateTime!) { pointAccount(userId: $id) { balance
             old: balanceAt(time: $old) at: balanceAt(time: $at)
             history(first: 9) { nodes { amount createdAt actor { externalId } } } } }";
        let variables = json!({ "id": id, "old": "2026-01-03T00:00:00Z", "at": own });
        let answer = teacher.run(query, variables).await;
        let account = &answer.data()["pointAccount"];
        // The balance of the table, and what tally had of its own: nothing was to make up for.
        assert_eq!(
            (&account["balance"], &account["old"], &account["at"]),
            (&json!(37), &json!(0), &json!(37)),
            "{from:?}"
        );
        let amounts: Vec<_> =
            account["history"]["nodes"].as_array().unwrap().iter().map(|n| n["amount"].clone()).collect();
        assert_eq!(amounts, [-20, 50, 7], "{from:?}: after it, in the order of their own times");
        assert!(
            account["history"]["nodes"].as_array().unwrap().iter().all(|node| node["createdAt"] == own),
            "{account:#}"
        );
        // A running server goes on from there.
        let input = json!({ "input": { "userId": id, "kind": "REDEEM", "amount": 37, "reason": "all", "idempotencyKey": "l" } });
        teacher.run(add, input).await.data();
        assert_eq!(app.number("SELECT count(*) FROM point_incidents").await, 0, "{from:?}");
        app.audit().await;
        app.finish().await;
        theirs.remove().await;
    }
}

async fn rows_without_ids_come_over_once_each(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE point_transactions (student_id BIGINT, teacher_id BIGINT, points_change BIGINT,
                     reason VARCHAR(600), created_at {time});
                 INSERT INTO point_transactions VALUES (1, 9, 5, 'b', '2026-01-02 00:00:00'),
                     (1, 9, 5, 'B', '2026-01-02 00:00:00'), (1, 9, 5, 'b', '2026-01-02 00:00:00'),
                     (1, 9, 5, 'B', '2026-01-02 00:00:00'), (1, NULL, 5, NULL, '2026-01-02 00:00:00'),
                     (1, NULL, 5, '', '2026-01-02 00:00:00'), (1, 9, -30, 'first of all', '2026-01-01 00:00:00'),
                     (2, 9, 5, 'b', '2026-01-02 00:00:00');",
            )
            .await;
        let app = TestApp::start(backend).await;
        let report = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&report, "point_transactions"), [8, 8, 0, 0, 0], "{from:?} {report:#}");
        let before = ledgers(&app.database).await;
        assert!(before[0].starts_with("1 1: -30 -> -30 kind 1 by 9 at "), "{from:?} {before:#?}");
        assert!(before[6].starts_with("1 7: 5 -> 0 kind 0 by "), "{from:?}: below zero, and up again {before:#?}");
        let again = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&again, "point_transactions"), [8, 0, 8, 0, 0], "{from:?} {again:#}");
        // One more of the same is one more.
        theirs.sql("INSERT INTO point_transactions VALUES (1, 9, 5, 'b', '2026-01-02 00:00:00')").await;
        let later = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&later, "point_transactions"), [9, 1, 8, 0, 0], "{from:?} {later:#}");
        assert_eq!(ledgers(&app.database).await.len(), 9);
        checks_clean(&app.database).await;
        app.finish().await;
        theirs.remove().await;
    }
}

async fn rows_without_ids_beside_others_come_over_once_each(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        // What is the same does not stand together.
        theirs
            .sql(
                "CREATE TABLE point_transactions (id BIGINT, student_id BIGINT, points_change BIGINT, created_at {time});
                 INSERT INTO point_transactions VALUES (NULL, 1, 5, '2026-01-02 00:00:00'),
                     (NULL, 1, 7, '2026-01-02 00:00:00'), (NULL, 1, 5, '2026-01-02 00:00:00'),
                     (3, 1, 5, '2026-01-02 00:00:00'), (NULL, 1, 7, '2026-01-02 00:00:00'),
                     (NULL, 1, 5, '2026-01-02 00:00:00');",
            )
            .await;
        let app = TestApp::start(backend).await;
        let report = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&report, "point_transactions"), [6, 6, 0, 0, 0], "{from:?} {report:#}");
        let again = theirs.json(&["import"], &app.database.url, 0).await;
        assert_eq!(came(&again, "point_transactions"), [6, 0, 6, 0, 0], "{from:?} {again:#}");
        checks_clean(&app.database).await;
        app.finish().await;
        theirs.remove().await;
    }
}

async fn students_and_teachers_beside_the_users(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE users (id BIGINT, name VARCHAR(40));
                 CREATE TABLE student_points (student_id BIGINT, points BIGINT);
                 CREATE TABLE point_transactions (id BIGINT, student_id BIGINT, teacher_id BIGINT, points_change BIGINT,
                     transaction_type VARCHAR(10));
                 INSERT INTO users VALUES (1, 'Ann'), (3, 'Cas');
                 INSERT INTO student_points VALUES (1, 6), (2, 1);
                 INSERT INTO point_transactions VALUES (1, 1, 3, 9, 'earn'), (2, 1, 4, 3, 'spend'), (3, 2, 3, 1, 'earn');",
            )
            .await;
        let map = theirs.file("map.toml");
        std::fs::write(&map, "unsigned_points = true\n").unwrap();
        let arguments = ["import", "--map", map.to_str().unwrap()];
        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&arguments, &database.url, 0).await;
        adds_up(&report);
        assert_eq!(came(&report, "point_transactions"), [3, 2, 0, 0, 1], "{from:?} {report:#}");
        assert_eq!(of_reason(&report["dropped"], "there is no such user")["examples"], json!(["student_id 2"]));
        let teacher = of_reason(&report["altered"], "there is no such teacher");
        assert_eq!(teacher["examples"], json!(["student_id 1, id 2, teacher_id 4"]), "{from:?}");
        let made = ledgers(&database).await;
        assert!(
            made[0].starts_with("1 1: 9 -> 9 kind 0 by 3 ")
                && made[1].starts_with("1 2: -3 -> 6 kind 2 by tally-import ")
        );
        checks_clean(&database).await;
        database.remove().await;

        std::fs::write(&map, "unsigned_points = true\nstudent_prefix = \"student:\"\nteacher_prefix = \"teacher:\"\n")
            .unwrap();
        let database = TestApp::start(backend).await.stop().await;
        let report = theirs.json(&arguments, &database.url, 0).await;
        adds_up(&report);
        assert_eq!(came(&report, "point_transactions"), [3, 3, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "student_points"), [2, 2, 0, 0, 0], "{from:?} {report:#}");
        let made = ledgers(&database).await;
        assert_eq!(came(&report, "users"), [2, 2, 0, 0, 0], "{from:?} {report:#}");
        assert_eq!(came(&report, "people"), [0, 4, 0, 0, 0], "{from:?} {report:#}");
        assert!(made[1].starts_with("student:1 2: -3 -> 6 kind 2 by teacher:4 "), "{from:?} {made:#?}");
        checks_clean(&database).await;
        database.remove().await;
        theirs.remove().await;
    }
}

async fn what_changed_since_is_said_and_a_ledger_not_edited(backend: Backend) {
    let theirs = Theirs::points(From::Sqlite).await;
    let app = TestApp::start(backend).await;
    theirs.json(&["import"], &app.database.url, 0).await;
    let before = ledgers(&app.database).await;
    // One row says another amount, one another reason; a teacher is gone from tally.
    theirs
        .sql(
            "UPDATE point_transactions SET points_change = '55' WHERE id = 1;
             UPDATE point_transactions SET reason = 'a great prize' WHERE id = 3;",
        )
        .await;
    assert_eq!(app.number("SELECT count(*) FROM users WHERE external_id = 't2'").await, 1);
    let operator = app.client("operator", &[Role::Operator, Role::Service]);
    let id = operator.query("mutation { ensureUser(subject: \"t2\", externalId: \"t2\") { id } }").await;
    let id = id.data()["ensureUser"]["id"].clone();
    operator.run("mutation ($id: ID!) { deleteUser(id: $id) { changed } }", json!({ "id": id })).await.data();
    let again = theirs.json(&["import"], &app.database.url, 0).await;
    adds_up(&again);
    assert_eq!(came(&again, "point_transactions"), [19, 0, 10, 0, 9], "{again:#}");
    let differ = of_reason(&again["dropped"], "it came over before with another amount, kind or reason");
    assert_eq!(differ["examples"], json!(["student_id s1, id 1", "student_id s2, id 3"]));
    let by_nobody = |entry: &String| entry.replace(" by t2 ", " by nobody ");
    assert_eq!(ledgers(&app.database).await, before.iter().map(by_nobody).collect::<Vec<_>>());
    checks_clean(&app.database).await;
    app.finish().await;
    theirs.remove().await;
}

/// Balances beyond 64 bits, and texts beyond what a ledger takes.
async fn what_is_beyond_a_ledger_stays_behind(backend: Backend) {
    let theirs = Theirs::empty(From::Sqlite).await;
    let (long, id) = ("长".repeat(600), "i".repeat(300));
    theirs
        .sql(&format!(
            "CREATE TABLE student_points (student_id TEXT, points INTEGER);
             CREATE TABLE point_transactions (id TEXT, student_id TEXT, points_change INTEGER, reason TEXT, created_at TEXT);
             INSERT INTO student_points VALUES ('a', 7), ('b', -9223372036854775807), ('c', 3);
             INSERT INTO point_transactions VALUES ('1', 'a', 9223372036854775807, 'all', '2026-01-01'),
                 ('2', 'a', 1, 'more', '2026-01-02'), ('4', 'b', 9223372036854775807, 'all', '2026-01-01'),
                 ('{id}', 'c', 1, '{long}', '2026-01-01'), ('{id}x', 'c', 2, 'x', '2026-01-01'),
                 ('{id}', 'c', 1, '{long}', '2026-01-01');"
        ))
        .await;
    let database = TestApp::start(backend).await.stop().await;
    let report = theirs.json(&["import"], &database.url, 0).await;
    adds_up(&report);
    assert_eq!(came(&report, "point_transactions"), [6, 5, 0, 0, 1], "{report:#}");
    let beyond = of_reason(&report["dropped"], "the balance would leave the range of 64 bits");
    assert_eq!(beyond["examples"], json!(["student_id a, id 2"]));
    assert_eq!(of_reason(&report["altered"], "the reason is longer")["rows"], 2);
    let made = ledgers(&database).await;
    assert!(made.iter().any(|entry| entry.ends_with(&format!("({})", "长".repeat(500)))), "{made:#?}");
    let again = theirs.json(&["import"], &database.url, 0).await;
    assert_eq!(came(&again, "point_transactions"), [6, 0, 5, 0, 1], "{again:#}");
    assert_eq!(ledgers(&database).await, made);
    let adjusted = theirs.json(&["import", "--point-differences", "adjust"], &database.url, 0).await;
    adds_up(&adjusted);
    assert_eq!(came(&adjusted, "student_points"), [3, 2, 0, 0, 1], "{adjusted:#}");
    assert_eq!(of_reason(&adjusted["dropped"], "nothing can make up for the difference")["rows"], 1, "{adjusted:#}");
    checks_clean(&database).await;
    let app = TestApp::start_on::<Tally>(database, Default::default()).await;
    app.finish().await;
    theirs.remove().await;
}
