//! What a request costs: 50 of a thing take no more statements than one.

use serde_json::{Value, json};
use tally::kernel::auth::Role;

use super::stage::{Stage, add, add_batch, input};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    fifty_entries_take_no_more_statements_than_one,
    fifty_places_take_no_more_statements_than_one,
    a_batch_of_fifty_takes_no_more_statements_than_one_of_one,
);

/// The least of three: what relays and jobs ask meanwhile only adds.
async fn counted(stage: &Stage, mut act: impl AsyncFnMut(usize)) -> u64 {
    let mut least = u64::MAX;
    for n in 0..3 {
        let before = stage.app.kernel.db.statement_count();
        act(n).await;
        least = least.min(stage.app.kernel.db.statement_count() - before);
    }
    least
}

/// On a busy machine two look-ups of users may meet in one, or not.
fn same(one: u64, fifty: u64) {
    assert!(one > 0 && fifty <= one + 1, "1: {one}, 50: {fifty}");
}

async fn fifty_entries_take_no_more_statements_than_one(backend: Backend) {
    let stage = Stage::set(backend).await;
    for n in 0..25 {
        let teacher = stage.app.client(&format!("teacher {n}"), &[Role::Teacher]);
        let answer = add(&teacher, input(&stage.id, "ADD_POINTS", 1, &format!("{n}"))).await;
        // The newest is one that takes another back.
        stage.reverse(&answer.data()["addPoints"]["transaction"]["id"], &format!("back {n}")).await.data();
    }
    let query = "query ($id: ID!, $first: Int) { pointAccount(userId: $id) { user { id name } history(first: $first) {
         nodes { id kind actor { id name } user { id name } reverses { id reason } } } } }";
    let read = async |first: usize| {
        let variables = json!({ "id": stage.id, "first": first });
        counted(&stage, async |_| {
            let answer = stage.teacher.run(query, variables.clone()).await;
            let nodes = answer.data()["pointAccount"]["history"]["nodes"].as_array().unwrap().clone();
            assert_eq!(nodes.len(), first);
            assert!(nodes.iter().all(|node| node["actor"]["id"].is_string() && node["user"]["id"].is_string()));
            assert!(nodes.iter().step_by(2).all(|node| node["reverses"]["id"].is_string()), "{nodes:#?}");
        })
        .await
    };
    same(read(1).await, read(50).await);
    stage.app.finish().await;
}

async fn fifty_places_take_no_more_statements_than_one(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(50).await;
    let inputs = people.iter().zip(1..).map(|(id, n)| input(id, "ADD_POINTS", n, "a")).collect::<Vec<_>>();
    let inputs = inputs.into_iter().enumerate().map(|(n, mut input)| {
        input["idempotencyKey"] = json!(format!("a {n}"));
        input
    });
    add_batch(&stage.teacher, inputs.collect(), true).await.data();
    let list = "query ($first: Int!) { pointLeaderboard(first: $first) { rank balance user { id name } } }";
    let pages = "query ($first: Int!) { pointAccounts(first: $first) { nodes { rank balance user { id name } } } }";
    for (query, path) in [(list, "/pointLeaderboard"), (pages, "/pointAccounts/nodes")] {
        let read = async |first: usize| {
            counted(&stage, async |_| {
                let answer = stage.teacher.run(query, json!({ "first": first })).await;
                let nodes = answer.data().pointer(path).unwrap().as_array().unwrap().clone();
                assert!(nodes.len() == first && nodes.iter().all(|node| node["user"]["id"].is_string()));
            })
            .await
        };
        same(read(1).await, read(50).await);
    }
    stage.app.finish().await;
}

async fn a_batch_of_fifty_takes_no_more_statements_than_one_of_one(backend: Backend) {
    let stage = Stage::set(backend).await;
    // Of one account, and so of one lane: each for itself they are a command a lane.
    for atomic in [true, false] {
        let write = async |size: usize| {
            counted(&stage, async |round| {
                let key = |n: usize| format!("{atomic} {size} {round} {n}");
                let inputs: Vec<Value> = (0..size).map(|n| input(&stage.id, "ADD_POINTS", 1, &key(n))).collect();
                let answer = add_batch(&stage.teacher, inputs, atomic).await;
                assert_eq!(answer.data()["addPointsBatch"]["succeeded"], size);
            })
            .await
        };
        same(write(1).await, write(50).await);
    }
    // Of 50 accounts: all in one transaction.
    let people = stage.people(50).await;
    let write = async |size: usize| {
        counted(&stage, async |round| {
            let given = people.iter().take(size).enumerate();
            let inputs = given.map(|(n, id)| input(id, "ADD_POINTS", 1, &format!("people {size} {round} {n}")));
            add_batch(&stage.teacher, inputs.collect(), true).await.data();
        })
        .await
    };
    same(write(1).await, write(50).await);
    stage.app.finish().await;
}
