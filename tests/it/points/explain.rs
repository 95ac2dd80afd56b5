//! `tally explain balance`: of a ledger that holds, and of ones that do not.

use serde_json::{Value, json};

use super::stage::Stage;
use crate::harness::{Backend, on_every_backend};

on_every_backend!(a_balance_is_explained_on_the_command_line, an_entry_that_cannot_be_read_is_named);

async fn explained(stage: &Stage) -> (i32, String) {
    let (status, text, errors) = stage.command(&["explain", "balance", &stage.id]).await;
    assert_eq!(errors, "", "{text}");
    (status, text)
}

async fn a_balance_is_explained_on_the_command_line(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    stage.deduct(4, "b").await.data();
    let (status, text) = explained(&stage).await;
    assert_eq!(status, 0, "{text}");
    for part in ["ADD_POINTS", "DEDUCT_POINTS", "point_transaction_", "it tallies"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let last = format!("balance of {}: 2 facts add up to 6 points; stored is", stage.id);
    assert!(text.contains(&format!("{last} 6")), "{text}");

    let database = &stage.app.database;
    database.sql("UPDATE point_accounts SET balance = 9").await;
    let (status, text) = explained(&stage).await;
    assert!(
        status == 1 && text.contains(&format!("{last} 9")) && text.contains("it does not tally: `tally repair"),
        "{text}"
    );
    database.sql("UPDATE point_accounts SET balance = 6").await;
    // An entry that is not what was written adds up to what it says now.
    database.sql("UPDATE point_transactions SET amount = 12 WHERE sequence = 1").await;
    let (status, text) = explained(&stage).await;
    assert!(status == 1 && text.contains("2 facts add up to 8 points; stored is 6"), "{text}");
    // No repair puts that right.
    let remedy = format!("see `tally check --check point-chain --id {}`", stage.id);
    let remedy = format!("the ledger does not hold at «amount of transaction 1»: {remedy}");
    assert!(text.contains(&format!("it does not tally: {remedy}\n")) && !text.contains("tally repair"), "{text}");
    let query = "query ($id: ID!) { explain(figure: \"balance\", id: $id) { remedy } }";
    let answer = stage.operator.run(query, json!({ "id": stage.id })).await;
    assert_eq!(answer.data()["explain"]["remedy"], json!(remedy));
    database.sql("UPDATE point_transactions SET amount = 10 WHERE sequence = 1").await;
    let (status, _, errors) = stage.command(&["explain", "balance", "artwork_01h455vb4pex5vsknk084sn02q"]).await;
    assert!(status == 2 && errors.contains("id"), "{errors}");
    stage.app.finish().await;
}

/// SQLite takes any bytes for a text; PostgreSQL's texts are always some.
async fn an_entry_that_cannot_be_read_is_named(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    stage.award(5, "b").await.data();
    if backend == Backend::Sqlite {
        let database = &stage.app.database;
        database.sql("UPDATE point_transactions SET reason = CAST(x'ff' AS TEXT) WHERE sequence = 1").await;
        let (status, text) = explained(&stage).await;
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("UNREADABLE") && text.contains("reason of transaction 1 cannot be read"), "{text}");
        assert!(text.contains("2 facts add up to 15 points"), "{text}");
        let query = "query ($id: ID!) { explain(figure: \"balance\", id: $id) { nodes { kind contribution } } }";
        let answer = stage.operator.run(query, json!({ "id": stage.id })).await;
        let nodes: &Value = &answer.data()["explain"]["nodes"];
        let first = json!({ "kind": "UNREADABLE", "contribution": "10 (reason of transaction 1 cannot be read)" });
        assert_eq!(*nodes, json!([first, { "kind": "ADD_POINTS", "contribution": "5" }]));
        database.sql("UPDATE point_transactions SET reason = 'homework' WHERE sequence = 1").await;
    }
    stage.app.finish().await;
}
