//! What was done is taken back by another transaction, once.

use futures_util::future::join_all;

use super::stage::{Stage, add, input};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    a_transaction_is_taken_back_once,
    whoever_reverses_at_once_reverses_once,
    what_was_changed_by_hand_is_not_taken_back,
);

async fn a_transaction_is_taken_back_once(backend: Backend) {
    let stage = Stage::set(backend).await;
    let award = stage.award(10, "a").await.data()["addPoints"]["transaction"].clone();
    let redeem =
        add(&stage.teacher, input(&stage.id, "REDEEM", 4, "b")).await.data()["addPoints"]["transaction"].clone();
    // Only 6 are left: no account goes below its limit so.
    assert_eq!(stage.reverse(&award["id"], "c").await.code(), "INSUFFICIENT_POINTS");
    let answer = stage.reverse(&redeem["id"], "c").await;
    let payload = &answer.data()["reversePointTransaction"];
    assert_eq!(payload["transaction"]["amount"], 4);
    assert_eq!(payload["transaction"]["kind"], "REVERSAL");
    assert_eq!(payload["transaction"]["reason"], "a mistake");
    assert_eq!(payload["transaction"]["reverses"]["id"], redeem["id"]);
    assert_eq!(payload["transaction"]["actor"]["id"], stage.operator.id().await);
    assert_eq!(payload["account"]["balance"], 10);
    assert_eq!(stage.reverse(&redeem["id"], "d").await.code(), "CONFLICT");
    assert_eq!(stage.reverse(&payload["transaction"]["id"], "d").await.code(), "INVALID_INPUT");
    let limit = stage.limit(&stage.id, 3, "e").await.data()["setOverdraftLimit"]["transaction"]["id"].clone();
    assert_eq!(stage.reverse(&limit, "f").await.code(), "INVALID_INPUT");
    let answer = stage.reverse(&award["id"], "g").await;
    assert_eq!(answer.data()["reversePointTransaction"]["account"]["balance"], 0);
    let adjustment = add(&stage.admin, input(&stage.id, "ADJUSTMENT", -3, "h")).await;
    let adjustment = adjustment.data()["addPoints"]["transaction"]["id"].clone();
    assert_eq!(stage.reverse(&adjustment, "i").await.data()["reversePointTransaction"]["account"]["balance"], 0);
    assert_eq!(stage.rows().await, [1, 7, 0]);
    stage.app.finish().await;
}

async fn whoever_reverses_at_once_reverses_once(backend: Backend) {
    let stage = Stage::set(backend).await;
    let award = stage.award(10, "a").await.data()["addPoints"]["transaction"]["id"].clone();
    stage.award(100, "b").await.data();
    let keys: Vec<_> = (0..16).map(|n| format!("key {n}")).collect();
    let answers = join_all(keys.iter().map(|key| stage.reverse(&award, key))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.body.get("errors").is_none());
    assert_eq!(done.len(), 1);
    assert!(refused.iter().all(|answer| answer.code() == "CONFLICT"));
    assert_eq!(stage.account(&stage.id).await, (100, 3));
    stage.app.finish().await;
}

async fn what_was_changed_by_hand_is_not_taken_back(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(100, "a").await.data();
    let taken = stage.deduct(10, "b").await.data()["addPoints"]["transaction"]["id"].clone();
    stage.award(1, "c").await.data();
    let set = |amount: i64| format!("UPDATE point_transactions SET amount = {amount} WHERE sequence = 2");
    stage.app.database.sql(&set(-1_000_000)).await;
    let rows = stage.rows().await;
    assert_eq!(stage.reverse(&taken, "d").await.code(), "LEDGER_BROKEN");
    assert_eq!(stage.rows().await, rows);
    stage.app.database.sql(&set(-10)).await;
    assert_eq!(stage.reverse(&taken, "d").await.data()["reversePointTransaction"]["account"]["balance"], 101);
    stage.app.finish().await;
}
