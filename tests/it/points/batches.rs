//! Many at once: all of it or nothing, or each for itself; over all lanes, beside single ones.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use serde_json::json;
use tally::app::Tally;

use super::stage::{Stage, add, add_batch, input, options};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    a_class_is_awarded_in_one_call,
    an_atomic_batch_is_all_or_nothing_and_names_the_items,
    independent_items_stand_for_themselves,
    an_adjustment_of_a_teacher_is_refused_as_an_item,
    batches_and_single_ones_meet_on_the_same_accounts,
    a_database_by_lanes_takes_batches_over_many,
    a_transaction_takes_so_many_entries_and_no_more,
    whoever_finds_others_in_the_way_at_every_try_may_try_again,
);

async fn a_class_is_awarded_in_one_call(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(30).await;
    for atomic in [true, false] {
        // 1,000 of them, more than 30 an account.
        let inputs: Vec<_> =
            (0..1_000).map(|n| input(&people[n % 30], "ADD_POINTS", 2, &format!("{atomic} {n}"))).collect();
        let answer = add_batch(&stage.teacher, inputs.clone(), atomic).await;
        let payload = &answer.data()["addPointsBatch"];
        assert_eq!((&payload["succeeded"], &payload["failed"]), (&json!(1_000), &json!(0)));
        assert!(payload["items"].as_array().unwrap().iter().all(|item| item["replayed"] == false));
        // The same again: the same transactions.
        let again = add_batch(&stage.teacher, inputs, atomic).await;
        let again = again.data()["addPointsBatch"]["items"].as_array().unwrap().clone();
        for (first, second) in payload["items"].as_array().unwrap().iter().zip(again) {
            assert_eq!(second["replayed"], true);
            assert_eq!(first["transaction"], second["transaction"]);
        }
    }
    let mut total = 0;
    for person in &people {
        total += stage.account(person).await.0;
    }
    assert_eq!(total, 4_000);
    assert_eq!(stage.rows().await, [30, 2_000, 0]);
    stage.app.finish().await;
}

async fn an_atomic_batch_is_all_or_nothing_and_names_the_items(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(10).await;
    let mut inputs: Vec<_> = people.iter().map(|id| input(id, "ADD_POINTS", 5, &format!("to {id}"))).collect();
    // In order: it has 5 of the same batch by then, and not 6; and the other has none at all.
    inputs.push(input(&people[0], "REDEEM", 5, "fits"));
    inputs.push(input(&people[1], "REDEEM", 6, "too much"));
    inputs.push(input(&stage.id, "REDEEM", 1, "nothing there"));
    let answer = add_batch(&stage.teacher, inputs.clone(), true).await;
    assert_eq!(answer.code(), "INSUFFICIENT_POINTS");
    assert!(answer.message().contains("item 11: ") && answer.message().contains("item 12: "), "{}", answer.message());
    assert!(!answer.message().contains("item 10: "), "{}", answer.message());
    let items = &answer.body["errors"][0]["extensions"]["items"];
    assert_eq!((&items[0]["item"], &items[1]["item"]), (&json!(11), &json!(12)), "{items:#}");
    let found = |item: usize| [&items[item]["code"], &items[item]["balance"], &items[item]["overdraftLimit"]];
    assert_eq!(found(0), ["INSUFFICIENT_POINTS", "5", "0"]);
    assert_eq!(found(1), ["INSUFFICIENT_POINTS", "0", "0"]);
    assert_eq!(stage.rows().await, [0, 0, 0]);
    inputs.truncate(11);
    add_batch(&stage.teacher, inputs, true).await.data();
    assert_eq!(stage.rows().await, [10, 11, 0]);
    assert_eq!(stage.account(&people[0]).await, (0, 2));
    stage.app.finish().await;
}

async fn independent_items_stand_for_themselves(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(10).await;
    let mut inputs: Vec<_> = people.iter().map(|id| input(id, "ADD_POINTS", 5, &format!("to {id}"))).collect();
    inputs.push(input(&people[1], "REDEEM", 6, "too much"));
    inputs.push(input(&stage.id, "ADD_POINTS", 0, "nothing"));
    inputs.push(input(&people[1], "REDEEM", 5, "fits"));
    let answer = add_batch(&stage.teacher, inputs, false).await;
    let payload = &answer.data()["addPointsBatch"];
    assert_eq!((&payload["succeeded"], &payload["failed"]), (&json!(11), &json!(2)));
    assert_eq!(payload["items"][10]["error"]["code"], "INSUFFICIENT_POINTS");
    assert_eq!(payload["items"][11]["error"]["code"], "INVALID_INPUT");
    let error = |item: usize| &payload["items"][item]["error"];
    assert_eq!((&error(10)["balance"], &error(10)["overdraftLimit"]), (&json!(5), &json!(0)));
    assert_eq!((&error(11)["balance"], &error(11)["overdraftLimit"]), (&json!(null), &json!(null)));
    assert_eq!(payload["items"][12]["account"]["balance"], 0);
    assert_eq!(stage.rows().await, [10, 11, 0]);
    stage.app.finish().await;
}

/// What batches over all accounts, in every order, and single ones leave behind.
async fn crowd(stage: &Stage) {
    const CALLERS: usize = 12;
    let people = stage.people(16).await;
    let callers = (0..CALLERS).map(async |caller| {
        for round in 0..4 {
            let mut inputs: Vec<_> =
                people.iter().map(|id| input(id, "ADD_POINTS", 1, &format!("{caller} {round} {id}"))).collect();
            inputs.rotate_left(caller);
            if caller % 2 == 0 {
                inputs.reverse();
            }
            let answer = add_batch(&stage.teacher, inputs, caller % 3 != 0).await;
            assert_eq!(answer.data()["addPointsBatch"]["failed"], 0);
            let single = input(&people[caller], "ADD_POINTS", 1, &format!("single {caller} {round}"));
            add(&stage.teacher, single).await.data();
        }
    });
    join_all(callers).await;
    for (n, id) in people.iter().enumerate() {
        let expected = CALLERS * 4 + if n < CALLERS { 4 } else { 0 };
        let expected = i64::try_from(expected).unwrap();
        assert_eq!(stage.account(id).await, (expected, expected));
    }
}

async fn an_adjustment_of_a_teacher_is_refused_as_an_item(backend: Backend) {
    let stage = Stage::set(backend).await;
    let inputs = || {
        let award = |key: &str| input(&stage.id, "ADD_POINTS", 5, key);
        vec![award("a"), input(&stage.id, "ADJUSTMENT", -1, "b"), award("c")]
    };
    let answer = add_batch(&stage.teacher, inputs(), true).await;
    assert_eq!(answer.code(), "FORBIDDEN");
    let items = &answer.body["errors"][0]["extensions"]["items"];
    let refused = json!({ "item": 1, "code": "FORBIDDEN", "message": "adjustments are for administrators" });
    assert_eq!(*items, json!([refused]), "{:#}", answer.body);
    assert_eq!(stage.rows().await, [0, 0, 0]);
    let answer = add_batch(&stage.teacher, inputs(), false).await;
    let payload = &answer.data()["addPointsBatch"];
    assert_eq!((&payload["succeeded"], &payload["failed"]), (&json!(2), &json!(1)));
    assert_eq!(payload["items"][1]["error"]["code"], "FORBIDDEN");
    assert_eq!(stage.account(&stage.id).await, (10, 2));
    // Its key is free, and an administrator may.
    add_batch(&stage.admin, inputs(), false).await.data();
    assert_eq!(stage.account(&stage.id).await, (9, 3));
    stage.app.finish().await;
}

async fn batches_and_single_ones_meet_on_the_same_accounts(backend: Backend) {
    // More writers than one: what is of several of them runs beside all of them.
    let app = TestApp::start_with::<Tally>(backend, options().with("batch.groups", 4)).await;
    let stage = Stage::of(app).await;
    crowd(&stage).await;
    stage.app.finish().await;
}

async fn a_database_by_lanes_takes_batches_over_many(backend: Backend) {
    let app = TestApp::start_with::<Tally>(backend, options().with("batch.single_lane", true)).await;
    let stage = Stage::of(app).await;
    crowd(&stage).await;
    stage.app.finish().await;
}

/// How many transactions were committed.
fn batches(app: &TestApp) -> u64 {
    let text = app.kernel.metrics.text().unwrap();
    let series = "tally_batch_commands_count{writer=\"points\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).expect("the series").parse().unwrap()
}

async fn a_transaction_takes_so_many_entries_and_no_more(backend: Backend) {
    let options = options().with("batch.commands", 50).with("batch.groups", 1);
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, options).await).await;
    stage.award(1, "first").await.data();
    let before = batches(&stage.app);
    // What comes while this holds the accounts waits together.
    let connection = Database::connect(&stage.app.database.url).await.unwrap();
    let held = connection.begin().await.unwrap();
    let lock = match backend {
        Backend::Sqlite => "UPDATE point_accounts SET version = version",
        Backend::Postgres => "LOCK TABLE point_accounts IN EXCLUSIVE MODE",
    };
    held.execute_unprepared(lock).await.unwrap();
    let teacher = stage.teacher.clone();
    let id = stage.id.clone();
    let asked = tokio::spawn(async move {
        let many = |size: usize, caller: usize| {
            let inputs = (0..size).map(|n| input(&id, "ADD_POINTS", 1, &format!("{caller} {n}"))).collect();
            add_batch(&teacher, inputs, true)
        };
        // Two of 20 fit into one transaction, one of 40 does not fit beside another, and one of 80 is alone.
        join_all([1, 20, 20, 40, 40, 80].into_iter().zip(0..).map(|(size, caller)| many(size, caller))).await
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    held.rollback().await.unwrap();
    for answer in asked.await.unwrap() {
        assert_eq!(answer.data()["addPointsBatch"]["failed"], 0);
    }
    // However they were queued: 201 entries, at most 50 in one transaction but for the one of 80.
    let batches = batches(&stage.app) - before;
    assert!((4..=6).contains(&batches), "{batches} transactions");
    assert_eq!(stage.account(&stage.id).await, (202, 202));
    stage.app.finish().await;
}

async fn whoever_finds_others_in_the_way_at_every_try_may_try_again(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(12).await;
    let (plant, remove) = match backend {
        Backend::Sqlite => (
            "CREATE TABLE one (n INTEGER PRIMARY KEY); INSERT INTO one VALUES (1);
             CREATE TRIGGER taken BEFORE INSERT ON point_transactions BEGIN INSERT INTO one VALUES (1); END",
            "DROP TRIGGER taken; DROP TABLE one",
        ),
        Backend::Postgres => (
            "CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'unique_violation'; END $$;
             CREATE TRIGGER taken BEFORE INSERT ON point_transactions FOR EACH ROW EXECUTE FUNCTION taken()",
            "DROP TRIGGER taken ON point_transactions; DROP FUNCTION taken",
        ),
    };
    stage.app.database.sql(plant).await;
    let class: Vec<_> = people.iter().map(|id| input(id, "ADD_POINTS", 1, &format!("to {id}"))).collect();
    for answer in [add_batch(&stage.teacher, class.clone(), true).await, stage.award(1, "a").await] {
        assert_eq!(answer.code(), "UNAVAILABLE", "{:#}", answer.body);
        assert!(answer.message().contains("nothing was written, try again"), "{}", answer.message());
    }
    assert_eq!(stage.rows().await, [0, 0, 0]);
    stage.app.database.sql(remove).await;
    assert_eq!(add_batch(&stage.teacher, class, true).await.data()["addPointsBatch"]["succeeded"], 12);
    stage.app.finish().await;
}
