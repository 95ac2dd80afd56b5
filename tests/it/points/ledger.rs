//! What each kind of transaction does, and who may.

use serde_json::json;

use super::stage::{Stage, add, input};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    every_kind_does_its_own,
    nothing_goes_below_the_limit,
    roles_keep_to_their_own,
    a_dry_run_says_it_and_writes_nothing,
    numbers_of_64_bits_come_and_go_whole,
    a_write_puts_a_drifted_account_right_and_keeps_what_it_said,
    nothing_is_added_to_a_broken_ledger,
    a_repeat_of_what_was_changed_by_hand_is_not_answered,
);

async fn every_kind_does_its_own(backend: Backend) {
    let stage = Stage::set(backend).await;
    let steps = [("ADD_POINTS", 100, 100), ("DEDUCT_POINTS", 30, 70), ("REDEEM", 20, 50), ("ADJUSTMENT", -5, 45)];
    let mut before = "1970".to_owned();
    for ((kind, amount, balance), sequence) in steps.into_iter().zip(1..) {
        let answer = add(&stage.admin, input(&stage.id, kind, amount, kind)).await;
        let payload = &answer.data()["addPoints"];
        let transaction = &payload["transaction"];
        let signed = if ["DEDUCT_POINTS", "REDEEM"].contains(&kind) { -amount } else { amount };
        assert_eq!(transaction["amount"], signed);
        assert_eq!(transaction["kind"], kind);
        assert_eq!(transaction["balanceAfter"], balance);
        assert_eq!(transaction["sequence"], sequence);
        assert_eq!(transaction["actor"]["id"], stage.admin.id().await, "the actor is the token's");
        assert_eq!(
            payload["account"],
            json!({ "balance": balance, "transactionCount": sequence, "overdraftLimit": 0 })
        );
        assert_eq!(payload["replayed"], false);
        let at = transaction["createdAt"].as_str().unwrap().to_owned();
        assert!(at >= before, "{at} is before {before}");
        before = at;
    }
    assert_eq!(stage.rows().await, [1, 4, 0]);
    stage.app.finish().await;
}

async fn nothing_goes_below_the_limit(backend: Backend) {
    let stage = Stage::set(backend).await;
    let refused = stage.deduct(1, "too early").await;
    assert_eq!(refused.code(), "INSUFFICIENT_POINTS");
    assert_eq!(stage.rows().await, [0, 0, 0], "a refused transaction makes no account either");
    stage.award(10, "a").await.data();
    let refused = stage.deduct(11, "b").await;
    assert_eq!(refused.code(), "INSUFFICIENT_POINTS");
    assert_eq!(refused.body["errors"][0]["extensions"]["balance"], "10", "{:#}", refused.body);
    // The key was not used up.
    assert_eq!(stage.deduct(10, "b").await.data()["addPoints"]["account"]["balance"], 0);

    assert_eq!(stage.limit(&stage.id, 5, "trust").await.data()["setOverdraftLimit"]["account"]["overdraftLimit"], 5);
    assert_eq!(stage.deduct(5, "c").await.data()["addPoints"]["account"]["balance"], -5);
    assert_eq!(stage.deduct(1, "d").await.code(), "INSUFFICIENT_POINTS");
    // A lower limit leaves what is; up is always possible.
    stage.limit(&stage.id, 0, "no trust").await.data();
    assert_eq!(stage.deduct(1, "e").await.code(), "INSUFFICIENT_POINTS");
    assert_eq!(stage.award(2, "f").await.data()["addPoints"]["account"]["balance"], -3);
    assert_eq!(stage.limit(&stage.id, -1, "g").await.code(), "INVALID_INPUT");
    stage.app.finish().await;
}

async fn roles_keep_to_their_own(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    // The root fields' rules are in tests/it/access/tables.rs.
    for client in [&stage.teacher, &stage.operator] {
        assert_eq!(add(client, input(&stage.id, "ADJUSTMENT", 1, "b")).await.code(), "FORBIDDEN");
    }
    let batch = vec![input(&stage.id, "ADD_POINTS", 1, "c"), input(&stage.id, "ADJUSTMENT", 1, "d")];
    assert_eq!(super::stage::add_batch(&stage.teacher, batch.clone(), true).await.code(), "FORBIDDEN");
    // Where each stands for itself it is refused alone: tests/it/points/batches.rs.
    let answer = super::stage::add_batch(&stage.teacher, batch[1..].to_vec(), false).await;
    assert_eq!(answer.data()["addPointsBatch"]["items"][0]["error"]["code"], "FORBIDDEN", "{:#}", answer.body);
    let ben = stage.app.user("ben");
    let look = "query ($id: ID!) { pointAccount(userId: $id) { balance } }";
    assert_eq!(ben.run(look, json!({ "id": stage.id })).await.code(), "FORBIDDEN");
    assert_eq!(stage.ann.run(look, json!({ "id": stage.id })).await.data()["pointAccount"]["balance"], 10);
    let mine = "{ me { pointAccount { id balance history { nodes { id } } } } }";
    let answer = stage.ann.query(mine).await;
    let account = &answer.data()["me"]["pointAccount"];
    assert_eq!(account["balance"], 10);
    let node = "query ($id: ID!) { node(id: $id) { id } }";
    for id in [&account["id"], &account["history"]["nodes"][0]["id"]] {
        for (client, finds) in [(&stage.ann, true), (&stage.teacher, true), (&ben, false)] {
            let answer = client.run(node, json!({ "id": id })).await;
            assert_eq!(answer.data()["node"]["id"] == *id, finds, "{id}");
        }
    }
    assert_eq!(stage.rows().await, [1, 1, 0]);
    stage.app.finish().await;
}

async fn a_dry_run_says_it_and_writes_nothing(backend: Backend) {
    let stage = Stage::set(backend).await;
    let dry = |kind, amount, key| {
        let mut input = input(&stage.id, kind, amount, key);
        input["dryRun"] = json!(true);
        input
    };
    let payload = add(&stage.teacher, dry("ADD_POINTS", 10, "a")).await.data()["addPoints"].clone();
    assert_eq!(payload["transaction"], json!(null));
    assert_eq!(payload["account"]["balance"], 10);
    assert_eq!(add(&stage.teacher, dry("REDEEM", 1, "b")).await.code(), "INSUFFICIENT_POINTS");
    assert_eq!(add(&stage.teacher, dry("ADD_POINTS", 0, "b")).await.code(), "INVALID_INPUT");
    assert_eq!(stage.rows().await, [0, 0, 0]);
    let real = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    let payload = add(&stage.teacher, dry("ADD_POINTS", 10, "a")).await.data()["addPoints"].clone();
    assert_eq!((&payload["transaction"]["id"], &payload["replayed"]), (&real, &json!(true)));
    assert_eq!(add(&stage.teacher, dry("ADD_POINTS", 11, "a")).await.code(), "CONFLICT");
    for atomic in [true, false] {
        let batch = vec![dry("DEDUCT_POINTS", 4, "c"), dry("DEDUCT_POINTS", 6, "d")];
        let answer = super::stage::add_batch(&stage.teacher, batch, atomic).await;
        let items = &answer.data()["addPointsBatch"]["items"];
        assert_eq!((&items[0]["account"]["balance"], &items[1]["account"]["balance"]), (&json!(6), &json!(0)));
    }
    assert_eq!(stage.rows().await, [1, 1, 0]);
    stage.app.finish().await;
}

async fn numbers_of_64_bits_come_and_go_whole(backend: Backend) {
    let stage = Stage::set(backend).await;
    // Beyond 2^31, beyond 2^53, and the largest there is.
    let steps = [(3_000_000_000, json!(3_000_000_000_i64)), (9_007_199_254_740_993, json!("9007202254740993"))];
    for (amount, balance) in steps {
        let answer = stage.award(amount, &amount.to_string()).await;
        assert_eq!(answer.data()["addPoints"]["account"]["balance"], balance);
    }
    let rest = i64::MAX - 9_007_202_254_740_993;
    let mut last = input(&stage.id, "ADD_POINTS", 0, "rest");
    last["amount"] = json!(rest.to_string());
    let answer = add(&stage.teacher, last).await;
    assert_eq!(answer.data()["addPoints"]["account"]["balance"], i64::MAX.to_string());
    let rows = stage.rows().await;
    assert_eq!(stage.award(1, "one more").await.code(), "INVALID_INPUT", "an overflow");
    for amount in ["9223372036854775808", "-9223372036854775809", "1.5", "\"x\"", "\"+1\"", "\"\"", "true", "1e3"] {
        let query = format!(
            "mutation {{ addPoints(input: {{ userId: \"{}\", amount: {amount}, reason: \"x\", idempotencyKey: \"z\" }})
             {{ replayed }} }}",
            stage.id
        );
        assert_eq!(stage.teacher.query(&query).await.code(), "INVALID_INPUT", "{amount}");
    }
    assert_eq!(stage.rows().await, rows);
    assert_eq!(stage.deduct(i64::MAX, "all").await.data()["addPoints"]["account"]["balance"], 0);
    stage.app.finish().await;
}

async fn a_write_puts_a_drifted_account_right_and_keeps_what_it_said(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    for (column, value, field) in [
        ("balance", "1000", "balance"),
        ("sequence", "7", "sequence"),
        ("overdraft_limit", "50", "overdraftLimit"),
        ("last_hash", if backend == Backend::Sqlite { "x'00'" } else { "'\\x00'" }, "lastHash"),
    ] {
        let before = stage.account(&stage.id).await;
        stage.app.database.sql(&format!("UPDATE point_accounts SET {column} = {value}")).await;
        // Whoever is refused writes nothing, and is refused for what the ledger says.
        assert_eq!(stage.deduct(900, "too many").await.code(), "INSUFFICIENT_POINTS");
        let rows = stage.rows().await;
        stage.award(1, column).await.data();
        assert_eq!(stage.rows().await, [rows[0], rows[1] + 1, rows[2] + 1], "{column}");
        let found = format!("SELECT count(*) FROM point_incidents WHERE field = '{field}' AND found_by = 'WRITE'");
        assert_eq!(stage.app.number(&found).await, 1, "{column}");
        let after = stage.account(&stage.id).await;
        if column != "balance" && column != "sequence" {
            assert_eq!(after, (before.0 + 1, before.1 + 1));
        }
        stage.app.audit().await;
    }
    assert_eq!(stage.account(&stage.id).await, (14, 5));
    stage.app.finish().await;
}

async fn nothing_is_added_to_a_broken_ledger(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    let set = "UPDATE point_transactions SET balance_after = ";
    stage.app.database.sql(&format!("{set} 5000")).await;
    let rows = stage.rows().await;
    for answer in [stage.award(1, "b").await, stage.deduct(1, "c").await] {
        assert_eq!(answer.code(), "LEDGER_BROKEN");
        assert!(!answer.message().contains("5000"), "{}", answer.message());
    }
    assert_eq!(stage.rows().await, rows);
    assert_eq!(stage.account(&stage.id).await.0, 10, "what was forged is no balance");
    stage.app.database.sql(&format!("{set} 10")).await;
    stage.award(1, "b").await.data();
    stage.app.finish().await;
}

async fn a_repeat_of_what_was_changed_by_hand_is_not_answered(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    stage.award(5, "b").await.data();
    for (column, forged) in [("amount", "1000"), ("reason", "'homework, and more'"), ("balance_after", "15")] {
        let forge = format!(
            "CREATE TABLE kept AS SELECT * FROM point_transactions;
             UPDATE point_transactions SET {column} = {forged} WHERE sequence = 1"
        );
        stage.app.database.sql(&forge).await;
        let answer = stage.award(10, "a").await;
        assert_eq!(answer.code(), "LEDGER_BROKEN", "{column}");
        assert!(!answer.message().contains(column), "{}", answer.message());
        assert_eq!(stage.award(5, "b").await.data()["addPoints"]["replayed"], true, "{column}");
        let back = "DELETE FROM point_transactions; INSERT INTO point_transactions SELECT * FROM kept; DROP TABLE kept";
        stage.app.database.sql(back).await;
    }
    assert_eq!(stage.award(10, "a").await.data()["addPoints"]["replayed"], true);
    stage.app.finish().await;
}
