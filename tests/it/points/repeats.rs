//! The same asked for twice is done once: one after the other, at once, on two servers, after a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::json;
use tally::app::Tally;
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;

use super::stage::{Stage, add, add_batch, input, options};
use crate::harness::{Backend, Client, Process, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    a_repeat_is_the_first_transaction,
    a_key_for_something_else_is_a_conflict,
    a_repeat_that_races_the_first_try_is_done_once,
    a_repeat_after_its_user_is_gone_is_the_first_transaction,
    a_hot_account_takes_all_that_64_clients_give,
);

async fn a_repeat_is_the_first_transaction(backend: Backend) {
    let stage = Stage::set(backend).await;
    let first = stage.award(10, "a").await.data()["addPoints"].clone();
    stage.award(1, "b").await.data();
    let again = stage.award(10, "a").await.data()["addPoints"].clone();
    assert_eq!(first["transaction"], again["transaction"]);
    assert_eq!((&first["replayed"], &again["replayed"]), (&json!(false), &json!(true)));
    assert_eq!(again["account"]["balance"], 11, "the account as it is now");
    let reversed = stage.reverse(&first["transaction"]["id"], "r").await.data()["reversePointTransaction"].clone();
    // What was reversed since is still what was done.
    assert_eq!(stage.award(10, "a").await.data()["addPoints"]["transaction"], first["transaction"]);
    let limit = stage.limit(&stage.id, 5, "l").await.data()["setOverdraftLimit"]["transaction"].clone();

    let database = stage.app.stop().await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, options()).await).await;
    assert_eq!(stage.award(10, "a").await.data()["addPoints"]["transaction"], first["transaction"]);
    let again = stage.reverse(&first["transaction"]["id"], "r").await.data()["reversePointTransaction"].clone();
    assert_eq!((&again["transaction"], &again["replayed"]), (&reversed["transaction"], &json!(true)));
    assert_eq!(stage.limit(&stage.id, 5, "l").await.data()["setOverdraftLimit"]["transaction"], limit);
    assert_eq!(stage.rows().await, [1, 4, 0]);
    stage.app.finish().await;
}

async fn a_repeat_after_its_user_is_gone_is_the_first_transaction(backend: Backend) {
    let stage = Stage::set(backend).await;
    let other = stage.people(1).await.remove(0);
    let batch = vec![input(&stage.id, "ADD_POINTS", 5, "in a batch"), input(&other, "ADD_POINTS", 5, "in a batch too")];
    add_batch(&stage.teacher, batch.clone(), true).await.data();
    let first = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    let limit = stage.limit(&stage.id, 5, "l").await.data()["setOverdraftLimit"]["transaction"]["id"].clone();
    let delete = "mutation ($id: ID!) { deleteUser(id: $id) { changed } }";
    stage.operator.run(delete, json!({ "id": stage.id })).await.data();
    stage.app.settle().await;

    for atomic in [true, false] {
        let answer = add_batch(&stage.teacher, batch.clone(), atomic).await;
        let payload = &answer.data()["addPointsBatch"];
        assert_eq!((&payload["succeeded"], &payload["items"][0]["replayed"]), (&json!(2), &json!(true)), "{payload:#}");
        assert_eq!(payload["items"][1]["replayed"], true);
    }
    let again = stage.award(10, "a").await.data()["addPoints"].clone();
    assert_eq!((&again["transaction"]["id"], &again["replayed"]), (&first, &json!(true)));
    let again = stage.limit(&stage.id, 5, "l").await.data()["setOverdraftLimit"].clone();
    assert_eq!((&again["transaction"]["id"], &again["replayed"]), (&limit, &json!(true)));

    // Nothing new, and another input under the key is still a conflict.
    assert_eq!(stage.award(11, "a").await.code(), "CONFLICT");
    assert_eq!(stage.award(1, "new").await.code(), "NOT_FOUND");
    assert_eq!(stage.limit(&stage.id, 6, "new").await.code(), "NOT_FOUND");
    let new = vec![input(&other, "ADD_POINTS", 1, "new"), input(&stage.id, "ADD_POINTS", 1, "new too")];
    assert_eq!(add_batch(&stage.teacher, new, true).await.code(), "NOT_FOUND");
    assert_eq!(stage.rows().await, [2, 4, 0]);
    stage.app.finish().await;
}

async fn a_key_for_something_else_is_a_conflict(backend: Backend) {
    let stage = Stage::set(backend).await;
    let id = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    let mut other_reason = input(&stage.id, "ADD_POINTS", 10, "a");
    other_reason["reason"] = json!("another");
    for (client, input) in [
        (&stage.teacher, input(&stage.id, "ADD_POINTS", 11, "a")),
        (&stage.teacher, input(&stage.id, "DEDUCT_POINTS", 10, "a")),
        (&stage.teacher, other_reason),
        // Another actor: not a retry of the first one's.
        (&stage.operator, input(&stage.id, "ADD_POINTS", 10, "a")),
    ] {
        assert_eq!(add(client, input).await.code(), "CONFLICT");
    }
    assert_eq!(stage.reverse(&id, "a").await.code(), "CONFLICT");
    assert_eq!(stage.limit(&stage.id, 10, "a").await.code(), "CONFLICT");
    assert_eq!(stage.rows().await, [1, 1, 0]);
    // A key is an account's own.
    let other = stage.people(1).await.remove(0);
    let answer = add(&stage.teacher, input(&other, "ADD_POINTS", 10, "a")).await;
    assert_eq!(answer.data()["addPoints"]["replayed"], false);
    stage.app.finish().await;
}

async fn a_repeat_that_races_the_first_try_is_done_once(backend: Backend) {
    let stage = Stage::set(backend).await;
    for round in 0..5 {
        let key = format!("round {round}");
        let answers = join_all((0..16).map(|_| stage.award(10, &key))).await;
        once(&answers);
    }
    assert_eq!(stage.account(&stage.id).await, (50, 5));
    stage.app.finish().await;
}

/// One was the first, and all tell of the same transaction.
fn once(answers: &[crate::harness::Answer]) {
    let payloads: Vec<_> = answers.iter().map(|answer| &answer.data()["addPoints"]).collect();
    assert_eq!(payloads.iter().filter(|payload| payload["replayed"] == false).count(), 1);
    assert!(payloads.iter().all(|payload| payload["transaction"] == payloads[0]["transaction"]));
}

/// Two servers on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_on_another_server_is_done_once() {
    let stage = Stage::set(Backend::Postgres).await;
    let other = TestApp::start_on::<Tally>(stage.app.database.shared(), options()).await;
    let there = other.client("teacher", &[Role::Teacher]);
    let people = stage.people(12).await;
    // A new account each round, and an old one: the first transaction makes the account, on both at once.
    for person in people.iter().chain([&people[0]]) {
        let input = input(person, "ADD_POINTS", 10, &format!("to {person}"));
        let both = (0..16).map(|n| add(if n % 2 == 0 { &stage.teacher } else { &there }, input.clone()));
        let answers = join_all(both).await;
        let first = answers.iter().filter(|answer| answer.data()["addPoints"]["replayed"] == false).count();
        assert!(first <= 1);
        assert!(answers.iter().all(|answer| {
            answer.data()["addPoints"]["transaction"] == answers[0].data()["addPoints"]["transaction"]
        }));
        for answer in &answers {
            let account = json!({ "balance": 10, "transactionCount": 1, "overdraftLimit": 0 });
            assert_eq!(answer.data()["addPoints"]["account"], account);
        }
        assert_eq!(stage.account(person).await, (10, 1));
    }
    // Different ones at once: none is lost.
    let many = (0..64).map(async |n| {
        let client = if n % 2 == 0 { &stage.teacher } else { &there };
        add(client, input(&people[0], "ADD_POINTS", 1, &n.to_string())).await.data()["addPoints"]["replayed"].clone()
    });
    assert!(join_all(many).await.iter().all(|replayed| *replayed == false));
    assert_eq!(stage.account(&people[0]).await, (74, 65));
    other.stop().await;
    stage.app.finish().await;
}

/// Another server makes the account after this one has looked for it, and before it reads the ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_another_server_makes_meanwhile_is_no_incident() {
    let database = TestDatabase::create(Backend::Postgres).await;
    let server = Process::serve(&database).await;
    let client = |subject: &str, role| {
        let tokens = Tokens::new(SECRET, Arc::new(SystemClock));
        Client::new(&server.url, Some(tokens.mint(subject, &[role], 3600).unwrap()))
    };
    let (ann, teacher) = (client("ann", Role::User).id().await, client("teacher", Role::Teacher));
    let first = add(&teacher, input(&ann, "ADD_POINTS", 10, "a")).await.data()["addPoints"]["transaction"].clone();
    for (table, made) in [("point_accounts", "account"), ("point_transactions", "ledger")] {
        database.sql(&format!("CREATE TABLE {made} AS SELECT * FROM {table}")).await;
    }
    for (key, replayed, balance) in [("a", true, 10), ("b", false, 20)] {
        database.sql("DELETE FROM point_transactions; DELETE FROM point_accounts").await;
        let connection = sea_orm::Database::connect(&database.url).await.unwrap();
        let other = connection.begin().await.unwrap();
        let make = "LOCK TABLE point_transactions IN ACCESS EXCLUSIVE MODE;
             INSERT INTO point_accounts SELECT * FROM account; INSERT INTO point_transactions SELECT * FROM ledger";
        other.execute_unprepared(make).await.unwrap();
        let asked = tokio::spawn({
            let (teacher, input) = (teacher.clone(), input(&ann, "ADD_POINTS", 10, key));
            async move { add(&teacher, input).await }
        });
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'point_transactions'::regclass";
        let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, waits);
        let began = Instant::now();
        while connection.query_one_raw(statement.clone()).await.unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "nobody waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        other.commit().await.unwrap();
        connection.close().await.unwrap();
        let answer = asked.await.unwrap();
        let payload = &answer.data()["addPoints"];
        assert_eq!((&payload["replayed"], &payload["account"]["balance"]), (&json!(replayed), &json!(balance)));
        assert_eq!(payload["transaction"] == first, replayed);
    }
    let (_, log) = server.stop().await;
    assert!(!log.contains("put right"), "{log}");
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_LOG", "off")];
    let (status, output, _) = run(&["check", "--module", "points"], &environment, &std::env::temp_dir()).await;
    assert_eq!(status, 0, "{output}");
    database.remove().await;
}

async fn a_hot_account_takes_all_that_64_clients_give(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(1_000, "start").await.data();
    let clients: Vec<_> = (0..64).map(|n| stage.app.client(&format!("teacher {n}"), &[Role::Teacher])).collect();
    let taken = join_all(clients.iter().enumerate().map(async |(n, client)| {
        let mut taken = 0;
        for round in 0..10 {
            let kind = if round % 2 == 0 { "ADD_POINTS" } else { "REDEEM" };
            let answer = add(client, input(&stage.id, kind, 7, &format!("{n} {round}"))).await;
            taken += answer.data()["addPoints"]["transaction"]["amount"].as_i64().unwrap();
        }
        taken
    }));
    assert_eq!(taken.await.iter().sum::<i64>(), 0);
    assert_eq!(stage.account(&stage.id).await, (1_000, 641));
    let text = stage.app.kernel.metrics.text().unwrap();
    let count = |what: &str| {
        let series = format!("tally_batch_{what}{{writer=\"points\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse::<f64>().unwrap()
    };
    assert!(count("commands_count") < 600.0, "those that wait meet in one transaction: {}", count("commands_count"));
    stage.app.finish().await;
}
