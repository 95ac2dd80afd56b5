//! Who has most points: pages, ranks, users who leave, an index that is not the database.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::stage::{Stage, add, input, options, whole};
use crate::harness::{Answer, Backend, Client, Seeded, TestApp, on_every_backend};

on_every_backend!(
    pages_and_ranks_are_those_of_a_sorted_list,
    users_who_leave_make_room,
    the_check_sees_a_leaderboard_that_is_not_the_accounts,
    a_repair_beside_the_server_reaches_its_leaderboard,
    a_version_that_a_repair_lowers_does_not_freeze_a_place,
    wrong_pages_are_refused,
);

const PAGE: &str = "query ($first: Int, $after: String, $last: Int, $before: String) {
     pointAccounts(first: $first, after: $after, last: $last, before: $before) {
       totalCount nodes { rank balance transactionCount user { id } }
       pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

/// User, balance and rank of each account of a page, and the page.
pub(super) async fn page(client: &Client, arguments: Value) -> (Vec<(String, i64, i64)>, Value) {
    let answer = client.run(PAGE, arguments).await;
    let page = answer.data()["pointAccounts"].clone();
    (entries(&page["nodes"]), page)
}

const LIST: &str = "query ($first: Int! = 20) { pointLeaderboard(first: $first) { rank balance user { id } } }";

/// User, balance and rank of each account.
fn entries(nodes: &Value) -> Vec<(String, i64, i64)> {
    let entry = |node: &Value| {
        let id = node["user"]["id"].as_str().expect("a user").to_owned();
        (id, whole(&node["balance"]), whole(&node["rank"]))
    };
    nodes.as_array().unwrap().iter().map(entry).collect()
}

/// The whole list, read by pages in one direction.
async fn all(client: &Client, size: usize, backward: bool) -> Vec<(String, i64, i64)> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let (mut entries, read) = match backward {
            true => page(client, json!({ "last": size, "before": cursor })).await,
            false => page(client, json!({ "first": size, "after": cursor })).await,
        };
        let more = if backward { "hasPreviousPage" } else { "hasNextPage" };
        cursor = read["pageInfo"][if backward { "startCursor" } else { "endCursor" }].clone();
        if backward {
            entries.append(&mut found);
            found = entries;
        } else {
            found.append(&mut entries);
        }
        if read["pageInfo"][more] == false {
            return found;
        }
    }
}

/// As it should be: by balance, then by id, both falling; TypeIDs sort as what is in them.
fn ranked(balances: &BTreeMap<String, i64>) -> Vec<(String, i64, i64)> {
    let mut all: Vec<_> = balances.iter().map(|(id, balance)| (*balance, id.clone())).collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    (1..).zip(all).map(|(rank, (balance, id))| (id, balance, rank)).collect()
}

async fn agrees(stage: &Stage, balances: &BTreeMap<String, i64>, size: usize) {
    let expected = ranked(balances);
    assert_eq!(all(&stage.teacher, size, false).await, expected);
    assert_eq!(all(&stage.teacher, size, true).await, expected);
    for first in [size, 100] {
        let answer = stage.teacher.run(LIST, json!({ "first": first })).await;
        let best: Vec<_> = expected.iter().take(first).cloned().collect();
        assert_eq!(entries(&answer.data()["pointLeaderboard"]), best);
    }
    for (id, balance, rank) in &expected {
        let query = "query ($id: ID!) { pointAccount(userId: $id) { rank balance } }";
        let answer = stage.teacher.run(query, json!({ "id": id })).await;
        assert_eq!(answer.data()["pointAccount"], json!({ "rank": rank, "balance": balance }));
    }
}

async fn pages_and_ranks_are_those_of_a_sorted_list(backend: Backend) {
    let mut seeded = Seeded::new();
    let mut stage = Stage::set(backend).await;
    assert_eq!(page(&stage.teacher, json!({})).await.0, []);
    let people = stage.people(30).await;
    stage.limit(&people[0], 50, "a limit").await.data();
    let mut balances = BTreeMap::from([(people[0].clone(), 0)]);
    for round in 0..3 {
        for n in 0..40 {
            let id = &people[seeded.random.random_range(0..people.len())];
            // Small numbers: many ties, some below zero.
            let amount = seeded.random.random_range(1..6);
            let kind = if seeded.random.random_range(0..3) == 0 { "DEDUCT_POINTS" } else { "ADD_POINTS" };
            let answer = add(&stage.teacher, input(id, kind, amount, &format!("{round} {n}"))).await;
            if answer.body.get("errors").is_none() {
                balances.insert(id.clone(), whole(&answer.data()["addPoints"]["account"]["balance"]));
            }
        }
        agrees(&stage, &balances, seeded.random.random_range(1..12)).await;
        if round == 1 {
            let database = stage.app.stop().await;
            stage = Stage::of(TestApp::start_on::<Tally>(database, options()).await).await;
            agrees(&stage, &balances, 100).await;
        }
    }
    // 20 unless somebody says otherwise; everybody who was given points is among 30.
    let answer = stage.teacher.run(LIST, json!({})).await;
    let best: Vec<_> = ranked(&balances).into_iter().take(20).collect();
    assert_eq!(entries(&answer.data()["pointLeaderboard"]), best);
    let answer = stage.teacher.run(LIST, json!({ "first": 0 })).await;
    assert_eq!(answer.data()["pointLeaderboard"], json!([]));
    let (_, read) = page(&stage.teacher, json!({ "first": 0 })).await;
    assert_eq!((&read["totalCount"], &read["nodes"]), (&json!(balances.len()), &json!([])));
    // One's own, in `me`; none before the first transaction.
    let mine = async || stage.ann.query("{ me { pointAccount { rank } } }").await.data()["me"]["pointAccount"].clone();
    assert_eq!(mine().await, json!({ "rank": null }));
    assert_eq!(stage.award(1_000, "most").await.data()["addPoints"]["replayed"], false);
    assert_eq!(mine().await, json!({ "rank": 1 }));
    stage.app.finish().await;
}

/// Waits until the leaderboard is so.
pub(super) async fn becomes(client: &Client, expected: &[(String, i64, i64)]) {
    let waiting = async {
        while page(client, json!({})).await.0 != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
        assert_eq!(page(client, json!({})).await.0, expected);
    }
}

pub(super) async fn give(stage: &Stage, id: &str, amount: i64, key: &str) -> Answer {
    let answer = add(&stage.teacher, input(id, "ADD_POINTS", amount, key)).await;
    answer.data();
    answer
}

async fn users_who_leave_make_room(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(3).await;
    for (id, amount) in people.iter().zip([30, 20, 10]) {
        give(&stage, id, amount, "a").await;
    }
    let delete = "mutation ($id: ID!) { deleteUser(id: $id) { changed } }";
    stage.operator.run(delete, json!({ "id": people[1] })).await.data();
    // At once, whether or not the index has heard of it.
    let left = page(&stage.teacher, json!({})).await.0;
    assert_eq!(left.iter().map(|(id, ..)| id).collect::<Vec<_>>(), [&people[0], &people[2]]);
    stage.app.settle().await;
    let expected = [(people[0].clone(), 30, 1), (people[2].clone(), 10, 2)];
    becomes(&stage.teacher, &expected).await;
    let database = stage.app.stop().await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, options()).await).await;
    assert_eq!(page(&stage.teacher, json!({})).await.0, expected);
    stage.app.finish().await;
}

async fn the_check_sees_a_leaderboard_that_is_not_the_accounts(backend: Backend) {
    let stage = Stage::set(backend).await;
    let people = stage.people(3).await;
    for (id, amount) in people.iter().zip([30, 20, 10]) {
        give(&stage, id, amount, "a").await;
    }
    let drifted = async || {
        let found = stage.app.drifts().await.into_iter().filter(|(name, ..)| *name == "point-ranking");
        found.map(|(_, count, field)| (count, field)).collect::<Vec<_>>()
    };
    let found = |count| vec![(count, "rank index".to_owned())];
    assert_eq!(drifted().await, []);
    let account = "user_id = (SELECT user_id FROM point_transactions WHERE amount = 20)";
    // The same version, another balance; an older version than the index has; an account that is gone.
    stage.app.database.sql(&format!("UPDATE point_accounts SET balance = balance + 7 WHERE {account}")).await;
    assert_eq!(drifted().await, found(1));
    stage.app.database.sql(&format!("UPDATE point_accounts SET balance = balance - 7 WHERE {account}")).await;
    assert_eq!(drifted().await, []);
    stage.app.database.sql("UPDATE point_accounts SET version = version - 1").await;
    // Nobody may tell a server on SQLite of what others write: it reads before it compares.
    let lowered = if backend == Backend::Sqlite { 0 } else { 3 };
    assert_eq!(drifted().await, if lowered == 0 { vec![] } else { found(lowered) });
    let repair = "mutation { repairIntegrity(check: \"point-ranking\") { state checks { repaired } } }";
    let answer = stage.operator.query(repair).await;
    assert_eq!(answer.data()["repairIntegrity"], json!({ "state": "OK", "checks": [{ "repaired": lowered }] }));
    assert_eq!(drifted().await, []);
    stage.app.database.sql("UPDATE point_accounts SET version = version + 1").await;
    let one = stage.operator.query(repair).await;
    assert_eq!(one.data()["repairIntegrity"]["state"], "OK");
    stage.app.database.sql("CREATE TABLE kept AS SELECT * FROM point_accounts").await;
    stage.app.database.sql(&format!("DELETE FROM point_accounts WHERE {account}")).await;
    match backend {
        Backend::Sqlite => assert_eq!(drifted().await, []),
        Backend::Postgres => assert_eq!(drifted().await, found(1)),
    }
    stage.operator.query(repair).await.data();
    assert_eq!(page(&stage.teacher, json!({})).await.0.len(), 2);
    stage.app.database.sql("DELETE FROM point_accounts").await;
    stage.app.database.sql("INSERT INTO point_accounts SELECT * FROM kept").await;
    stage.operator.query(repair).await.data();
    let expected: Vec<_> = (1..).zip(people.iter().zip([30, 20, 10])).map(|(n, (id, b))| (id.clone(), b, n)).collect();
    assert_eq!(page(&stage.teacher, json!({})).await.0, expected);
    stage.app.finish().await;
}

async fn a_repair_beside_the_server_reaches_its_leaderboard(backend: Backend) {
    let stage =
        Stage::of(TestApp::start_with::<Tally>(backend, options().with("points.ranking_reread_secs", 1)).await).await;
    let people = stage.people(2).await;
    give(&stage, &people[0], 10, "a").await;
    give(&stage, &people[1], 20, "a").await;
    // The index takes it for what it is, as after a restart.
    stage.app.database.sql("UPDATE point_accounts SET balance = 500, version = version + 1 WHERE balance = 10").await;
    becomes(&stage.teacher, &[(people[0].clone(), 500, 1), (people[1].clone(), 20, 2)]).await;
    let (status, text, errors) = stage.command(&["repair", "--no-backup", "--check", "point-balance"]).await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    let expected = [(people[1].clone(), 20, 1), (people[0].clone(), 10, 2)];
    becomes(&stage.teacher, &expected).await;
    // An account that a repair made goes with its undoing, also from the list.
    stage.app.database.sql("DELETE FROM point_accounts WHERE balance = 10").await;
    becomes(&stage.teacher, &[(people[1].clone(), 20, 1)]).await;
    let (status, text, errors) = stage.command(&["repair", "--no-backup", "--check", "point-balance"]).await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    becomes(&stage.teacher, &expected).await;
    stage.app.finish().await;
}

async fn a_version_that_a_repair_lowers_does_not_freeze_a_place(backend: Backend) {
    let stage =
        Stage::of(TestApp::start_with::<Tally>(backend, options().with("points.ranking_reread_secs", 1)).await).await;
    let people = stage.people(2).await;
    give(&stage, &people[0], 10, "a").await;
    give(&stage, &people[1], 20, "a").await;
    stage.app.database.sql("UPDATE point_accounts SET version = version + 1000000 WHERE balance = 10").await;
    give(&stage, &people[0], 1, "b").await;
    let raised = stage.app.number("SELECT max(version) FROM point_accounts").await;
    let (status, text, errors) = stage.command(&["repair", "--no-backup", "--check", "point-balance"]).await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    assert!(stage.app.number("SELECT max(version) FROM point_accounts").await < raised, "the repair lowers it");
    give(&stage, &people[0], 30, "c").await;
    // By the rank that the index has, not by a page: that one looks at what it shows.
    let query = "query ($id: ID!) { pointAccount(userId: $id) { rank } }";
    let rises = async {
        while stage.teacher.run(query, json!({ "id": people[0] })).await.data()["pointAccount"]["rank"] != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rises).await.expect("its place follows its balance");
    becomes(&stage.teacher, &[(people[0].clone(), 41, 1), (people[1].clone(), 20, 2)]).await;
    stage.app.finish().await;
}

async fn wrong_pages_are_refused(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(1, "a").await.data();
    let history = "{ me { pointAccount { history { pageInfo { endCursor } } } } }";
    let answer = stage.ann.query(history).await;
    let other = &answer.data()["me"]["pointAccount"]["history"]["pageInfo"]["endCursor"];
    for arguments in [
        json!({ "first": 101 }),
        json!({ "first": -1 }),
        json!({ "first": 1, "last": 1 }),
        json!({ "after": "nonsense" }),
        json!({ "after": other }),
    ] {
        assert_eq!(stage.teacher.run(PAGE, arguments.clone()).await.code(), "INVALID_INPUT", "{arguments}");
    }
    for first in [101, -1] {
        assert_eq!(stage.teacher.run(LIST, json!({ "first": first })).await.code(), "INVALID_INPUT", "{first}");
    }
    assert_eq!(stage.ann.run(PAGE, json!({})).await.code(), "FORBIDDEN");
    assert_eq!(stage.ann.run(LIST, json!({})).await.code(), "FORBIDDEN");
    stage.app.finish().await;
}

/// News of another server, whose transactions cannot be read at the first look, are told at the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_told_at_first_is_told_later() {
    let quiet = || options().with("points.ranking_reread_secs", 86_400);
    let stage = Stage::of(TestApp::start_with::<Tally>(Backend::Sqlite, quiet()).await).await;
    let document = format!("subscription {{ pointsChanged(userId: \"{}\") {{ balanceAfter }} }}", stage.id);
    let mut listener = stage.ann.listen(&document).await;
    let mut given = 0;
    listener
        .next_while(async || {
            given += 1;
            give(&stage, &stage.id, 1, &format!("until heard {given}")).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        })
        .await;
    // On SQLite nobody is told of what is written beside the server.
    let other = TestApp::start_on::<Tally>(stage.app.database.shared(), quiet()).await;
    let teacher = other.client("teacher", &[Role::Teacher]);
    add(&teacher, input(&stage.id, "ADD_POINTS", 1_000, "beside")).await.data();
    other.stop().await;
    stage.app.database.sql("ALTER TABLE point_transactions RENAME TO elsewhere").await;
    assert_eq!(stage.teacher.run(PAGE, json!({})).await.code(), "INTERNAL");
    stage.app.database.sql("ALTER TABLE elsewhere RENAME TO point_transactions").await;
    assert_eq!(page(&stage.teacher, json!({})).await.0, [(stage.id.clone(), given + 1_000, 1)]);
    let expected = json!({ "pointsChanged": { "balanceAfter": given + 1_000 } });
    listener.until(|data| *data == expected).await;
    stage.app.finish().await;
}
