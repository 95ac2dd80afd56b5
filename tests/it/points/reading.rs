//! Histories, balances of the past, and who hears of what.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::ManualClock;

use super::stage::{Stage, add, input, options, whole};
use crate::harness::{Backend, Options, START, TestApp, on_every_backend};

on_every_backend!(
    a_history_is_read_by_pages_and_filters,
    the_balance_of_any_moment,
    listeners_hear_of_the_newest,
    a_balance_is_explained,
    a_ledger_outlives_its_user,
);

const HISTORY: &str = "query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String,
       $kinds: [PointTransactionKind!], $actor: ID, $from: DateTime, $to: DateTime) {
     pointAccount(userId: $id) { history(first: $first, after: $after, last: $last, before: $before, kinds: $kinds,
       actorId: $actor, from: $from, to: $to) { totalCount nodes { sequence }
       pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";

async fn page(stage: &Stage, mut arguments: Value) -> (Vec<i64>, Value) {
    arguments["id"] = json!(stage.id);
    let answer = stage.ann.run(HISTORY, arguments).await;
    let history = answer.data()["pointAccount"]["history"].clone();
    let sequences = history["nodes"].as_array().unwrap().iter().map(|node| whole(&node["sequence"])).collect();
    (sequences, history)
}

async fn clocked(backend: Backend) -> (Stage, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    let options: Options = options().at(&clock);
    (Stage::of(TestApp::start_with::<Tally>(backend, options).await).await, clock)
}

fn minute(minutes: i64) -> Value {
    json!(START.plus(minutes * 60_000).to_utc().to_rfc3339())
}

async fn a_history_is_read_by_pages_and_filters(backend: Backend) {
    let (stage, clock) = clocked(backend).await;
    for n in 1..=12 {
        clock.set(START.plus(n * 60_000));
        let (client, kind) = if n % 3 == 0 { (&stage.operator, "REDEEM") } else { (&stage.teacher, "ADD_POINTS") };
        add(client, input(&stage.id, kind, 1, &n.to_string())).await.data();
    }
    let (first, history) = page(&stage, json!({ "first": 5 })).await;
    assert_eq!(first, [12, 11, 10, 9, 8]);
    assert_eq!(history["totalCount"], 12);
    assert_eq!(history["pageInfo"]["hasNextPage"], true);
    let (second, _) = page(&stage, json!({ "first": 5, "after": history["pageInfo"]["endCursor"] })).await;
    assert_eq!(second, [7, 6, 5, 4, 3]);
    let (last, history) = page(&stage, json!({ "last": 3 })).await;
    assert_eq!(last, [3, 2, 1]);
    let (before, _) = page(&stage, json!({ "last": 3, "before": history["pageInfo"]["startCursor"] })).await;
    assert_eq!(before, [6, 5, 4]);

    assert_eq!(page(&stage, json!({ "kinds": ["REDEEM"] })).await.0, [12, 9, 6, 3]);
    let (all, history) = page(&stage, json!({ "kinds": ["REDEEM", "ADD_POINTS", "REDEEM"] })).await;
    assert_eq!((all.len(), &history["totalCount"]), (12, &json!(12)));
    assert!(page(&stage, json!({ "kinds": ["REVERSAL"] })).await.0.is_empty());
    let operator = stage.operator.id().await;
    let (by_actor, history) = page(&stage, json!({ "actor": operator, "first": 2 })).await;
    assert_eq!((by_actor, &history["totalCount"]), (vec![12, 9], &json!(4)));
    let (next, _) = page(&stage, json!({ "actor": operator, "after": history["pageInfo"]["endCursor"] })).await;
    assert_eq!(next, [6, 3]);
    assert_eq!(page(&stage, json!({ "from": minute(4), "to": minute(7) })).await.0, [6, 5, 4]);
    let narrow =
        json!({ "from": minute(4), "kinds": ["ADD_POINTS"], "actor": stage.teacher.id().await, "to": minute(9) });
    assert_eq!(page(&stage, narrow).await.0, [8, 7, 5, 4]);
    stage.app.finish().await;
}

async fn the_balance_of_any_moment(backend: Backend) {
    let (stage, clock) = clocked(backend).await;
    for (minutes, amount) in [(1, 10), (2, 5), (2, 7), (5, 1)] {
        clock.set(START.plus(minutes * 60_000));
        stage.award(amount, &format!("{minutes} {amount}")).await.data();
    }
    // The clock goes back; the ledger does not.
    clock.set(START);
    let late = stage.award(2, "late").await.data()["addPoints"]["transaction"]["createdAt"].clone();
    assert_eq!(late, minute(5));
    for (minutes, balance) in [(0, 0), (1, 10), (2, 22), (3, 22), (5, 25), (9, 25)] {
        let query = "query ($at: DateTime!) { me { pointAccount { balanceAt(time: $at) } } }";
        let answer = stage.ann.run(query, json!({ "at": minute(minutes) })).await;
        assert_eq!(answer.data()["me"]["pointAccount"]["balanceAt"], balance, "minute {minutes}");
    }
    stage.app.finish().await;
}

async fn listeners_hear_of_the_newest(backend: Backend) {
    let stage = Stage::set(backend).await;
    let document = |id: &str| format!("subscription {{ pointsChanged(userId: \"{id}\") {{ sequence balanceAfter }} }}");
    let mut own = stage.ann.listen(&document(&stage.id)).await;
    let mut teacher = stage.teacher.listen(&document(&stage.id)).await;
    let mut other = stage.app.user("ben").listen(&document(&stage.id)).await;
    assert_eq!(other.next_payload().await["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let mut given = 0;
    own.next_while(async || {
        given += 1;
        stage.award(1, &format!("first {given}")).await.data();
    })
    .await;
    stage.award(1, "last").await.data();
    let (balance, count) = stage.account(&stage.id).await;
    for listener in [&mut own, &mut teacher] {
        let heard = listener.until(|data| whole(&data["pointsChanged"]["sequence"]) == count).await;
        assert_eq!(whole(&heard["pointsChanged"]["balanceAfter"]), balance);
    }
    // Of others' accounts, and of what is refused, nothing.
    let ben = stage.people(1).await.remove(0);
    add(&stage.teacher, input(&ben, "ADD_POINTS", 1, "a")).await.data();
    stage.deduct(1_000_000, "b").await.code();
    assert!(own.silent_for(Duration::from_millis(200)).await);
    stage.app.finish().await;
}

async fn a_balance_is_explained(backend: Backend) {
    let stage = Stage::set(backend).await;
    for n in 1..=5 {
        stage.award(n, &n.to_string()).await.data();
    }
    stage.deduct(4, "less").await.data();
    let query = "query ($id: ID!, $after: String) { explain(figure: \"balance\", id: $id, first: 4, after: $after) {
         stored actual unit totalCount nodes { kind contribution } pageInfo { hasNextPage endCursor } } }";
    let answer = stage.operator.run(query, json!({ "id": stage.id })).await;
    let explained = &answer.data()["explain"];
    assert_eq!((&explained["stored"], &explained["actual"]), (&json!("11"), &json!("11")));
    assert_eq!((&explained["unit"], &explained["totalCount"]), (&json!("points"), &json!(6)));
    assert_eq!(explained["nodes"][3], json!({ "kind": "ADD_POINTS", "contribution": "4" }));
    let after = &explained["pageInfo"]["endCursor"];
    let answer = stage.operator.run(query, json!({ "id": stage.id, "after": after })).await;
    assert_eq!(answer.data()["explain"]["nodes"][1], json!({ "kind": "DEDUCT_POINTS", "contribution": "-4" }));
    let nobody = stage.people(1).await.remove(0);
    assert_eq!(stage.operator.run(query, json!({ "id": nobody })).await.code(), "NOT_FOUND");
    stage.app.finish().await;
}

async fn a_ledger_outlives_its_user(backend: Backend) {
    let stage = Stage::set(backend).await;
    let made = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    let delete = "mutation ($id: ID!) { deleteUser(id: $id) { changed } }";
    assert_eq!(stage.operator.run(delete, json!({ "id": stage.id })).await.data()["deleteUser"]["changed"], true);
    stage.app.settle().await;
    assert_eq!(stage.award(1, "b").await.code(), "NOT_FOUND");
    let look = "query ($id: ID!) { pointAccount(userId: $id) { balance } }";
    assert_eq!(stage.teacher.run(look, json!({ "id": stage.id })).await.code(), "NOT_FOUND");
    assert_eq!(stage.ann.query("{ me { pointAccount { balance } } }").await.code(), "FORBIDDEN");
    let node = "query ($id: ID!) { node(id: $id) { ... on PointTransaction { amount user { id } actor { id } } } }";
    let answer = stage.teacher.run(node, json!({ "id": made })).await;
    let actor = stage.teacher.id().await;
    assert_eq!(answer.data()["node"], json!({ "amount": 10, "user": null, "actor": { "id": actor } }));
    assert_eq!(stage.rows().await, [1, 1, 0]);
    stage.app.finish().await;
}
