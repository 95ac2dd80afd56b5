//! What is refused, with a clear error, and leaves nothing.

use serde_json::{Value, json};
use tally::kernel::id::Id;
use tally::modules::users::UserKind;

use super::stage::{Stage, add, add_batch, input};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(bad_input_is_refused_and_leaves_nothing, keys_of_imports_are_refused);

async fn bad_input_is_refused_and_leaves_nothing(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "first").await.data();
    let award = stage.award(5, "second").await.data()["addPoints"]["transaction"]["id"].clone();
    let reversal = stage.reverse(&award, "third").await.data()["reversePointTransaction"]["transaction"]["id"].clone();
    let rows = stage.rows().await;
    let nobody = Id::<UserKind>::new(stage.app.kernel.ids.next()).to_string();
    let good = || input(&stage.id, "ADD_POINTS", 1, "new");
    let with = |field: &str, value: Value| {
        let mut input = good();
        input[field] = value;
        input
    };
    let (long_key, long_reason) = ("k".repeat(201), "r".repeat(501));
    let refused = [
        (with("amount", json!(0)), "INVALID_INPUT", "amount"),
        (with("amount", json!(-1)), "INVALID_INPUT", "amount"),
        (with("reason", json!("")), "INVALID_INPUT", "reason"),
        (with("reason", json!(" \n")), "INVALID_INPUT", "reason"),
        (with("reason", json!("nul\0")), "INVALID_INPUT", "reason"),
        (with("reason", json!(null)), "INVALID_INPUT", "reason"),
        (with("reason", json!(long_reason)), "INVALID_INPUT", "reason"),
        (with("userId", json!(nobody)), "NOT_FOUND", "user"),
        (with("userId", json!("artwork_01h455vb4pex5vsknk084sn02q")), "INVALID_INPUT", "user id"),
        (with("idempotencyKey", json!("")), "INVALID_INPUT", "idempotencyKey"),
        (with("idempotencyKey", json!(long_key)), "INVALID_INPUT", "idempotencyKey"),
        (with("idempotencyKey", json!(null)), "INVALID_INPUT", "idempotencyKey"),
        (with("kind", json!("REVERSAL")), "INVALID_INPUT", "REVERSAL"),
        (with("kind", json!("OVERDRAFT_LIMIT")), "INVALID_INPUT", "OVERDRAFT_LIMIT"),
        (with("amount", json!(i64::MAX)), "INVALID_INPUT", "64 bits"),
        (with("amount", json!(9_223_372_036_854_775_808_u64)), "INVALID_INPUT", "64 bits"),
        (input(&stage.id, "DEDUCT_POINTS", 11, "new"), "INSUFFICIENT_POINTS", "10 points"),
        (input(&stage.id, "REDEEM", i64::MAX, "new"), "INSUFFICIENT_POINTS", "10 points"),
        (input(&stage.id, "ADJUSTMENT", 0, "new"), "INVALID_INPUT", "adjustment"),
        (input(&stage.id, "ADJUSTMENT", i64::MIN, "new"), "INVALID_INPUT", "above -9223372036854775808"),
        (input(&stage.id, "ADJUSTMENT", -11, "new"), "INSUFFICIENT_POINTS", "10 points"),
    ];
    for (input, code, word) in refused {
        let answer = add(&stage.admin, input.clone()).await;
        assert_eq!(answer.code(), code, "{input:#}");
        assert!(answer.message().contains(word), "{word}: {}", answer.message());
        if !input["reason"].is_null() && !input["idempotencyKey"].is_null() {
            let batch = vec![input.clone(), with("idempotencyKey", json!("beside it"))];
            let answer = add_batch(&stage.admin, batch, true).await;
            assert_eq!(answer.code(), code, "in a batch: {input:#}");
        }
    }
    for answer in [stage.reverse(&reversal, "new").await, stage.reverse(&json!("x"), "new").await] {
        assert_eq!(answer.code(), "INVALID_INPUT", "{:#}", answer.body);
    }
    let unknown = json!("point_transaction_01h455vb4pex5vsknk084sn02q");
    assert_eq!(stage.reverse(&unknown, "new").await.code(), "NOT_FOUND");
    assert_eq!(stage.reverse(&award, "new").await.code(), "CONFLICT");

    let other = stage.people(1).await.remove(0);
    for batch in [
        vec![good(), good()],
        vec![good(), input(&other, "ADD_POINTS", 1, "new")],
        Vec::new(),
        (0..1_001).map(|n| input(&other, "ADD_POINTS", 1, &n.to_string())).collect(),
    ] {
        for atomic in [true, false] {
            let answer = add_batch(&stage.teacher, batch.clone(), atomic).await;
            assert_eq!(answer.code(), "INVALID_INPUT", "{:#}", answer.body);
        }
    }
    assert_eq!(stage.rows().await, rows, "nothing was written");
    assert_eq!(add(&stage.admin, good()).await.data()["addPoints"]["replayed"], false, "no key was used up");
    stage.app.finish().await;
}

async fn keys_of_imports_are_refused(backend: Backend) {
    let stage = Stage::set(backend).await;
    let award = stage.award(5, "first").await.data()["addPoints"]["transaction"]["id"].clone();
    for answer in [
        stage.award(1, "import:x").await,
        stage.award(1, "import:").await,
        add_batch(&stage.teacher, vec![input(&stage.id, "ADD_POINTS", 1, "import:transaction:7")], true).await,
        stage.reverse(&award, "import:x").await,
        stage.limit(&stage.id, 5, "import:x").await,
    ] {
        assert!(answer.code() == "INVALID_INPUT" && answer.message().contains("import:"), "{:#}", answer.body);
    }
    // What only looks like one is a client's.
    for key in ["imported", "Import:1", "my import:1"] {
        stage.award(1, key).await.data();
    }
    stage.app.finish().await;
}
