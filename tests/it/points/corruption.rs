//! What is written into the tables by hand is found and named, column by column; and put right where the ledger says how.

use std::collections::BTreeSet;

use tally::app::{App as _, Tally};
use tally::kernel::integrity::Drift;
use tally::kernel::module::Modules;

use super::stage::{Stage, add, input};
use crate::harness::{Backend, on_every_backend, run};

on_every_backend!(
    every_column_of_a_transaction_is_found_and_named,
    every_column_of_an_account_is_found_and_named_and_put_right,
    rows_that_are_gone_are_missed,
    a_repair_takes_nothing_from_a_broken_ledger,
    a_long_ledger_is_followed_to_its_end,
);

/// What the module's checks find.
async fn found(stage: &Stage) -> Vec<Drift> {
    let modules = Modules::new(Tally::modules()).map_err(|error| error.for_operator()).unwrap();
    let mut drifts = Vec::new();
    for check in modules.checks().iter().filter(|check| check.module() == "points") {
        let report = tally::kernel::integrity::run(check.as_ref(), &stage.app.kernel, &|_| ()).await.unwrap();
        assert_eq!(report.drifted, report.examples.len() as u64);
        drifts.extend(report.examples);
    }
    drifts
}

/// Ann with a limit, an award, a deduction, a reversal and an award; and a user without points.
async fn furnished(backend: Backend) -> (Stage, String) {
    let stage = Stage::set(backend).await;
    stage.limit(&stage.id, 5, "limit").await.data();
    stage.award(10, "a").await.data();
    let taken = stage.deduct(4, "b").await.data()["addPoints"]["transaction"]["id"].clone();
    stage.reverse(&taken, "c").await.data();
    stage.award(1, "d").await.data();
    let other = stage.people(1).await.remove(0);
    let ben = stage.app.user("ben").id().await;
    add(&stage.teacher, input(&ben, "ADD_POINTS", 3, "a")).await.data();
    for table in ["point_accounts", "point_transactions"] {
        stage.app.database.sql(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
    }
    (stage, other)
}

/// Puts both tables back to what they were.
async fn put_back(stage: &Stage) {
    for table in ["point_accounts", "point_transactions"] {
        stage.app.database.sql(&format!("DELETE FROM {table}")).await;
        stage.app.database.sql(&format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
    }
    stage.app.database.sql("DELETE FROM point_incidents").await;
    assert_eq!(found(stage).await, []);
}

/// The value that a column gets, for each database.
fn forged(backend: Backend, column: &str) -> String {
    let (id, bytes) = match backend {
        Backend::Sqlite => ("randomblob(16)", "x'0102'"),
        Backend::Postgres => ("gen_random_uuid()", "'\\x0102'::bytea"),
    };
    match column {
        "user_id" | "id" | "actor_id" | "reverses_id" => id.to_owned(),
        "prev_hash" | "hash" | "last_hash" | "field_marks" | "input_hash" => bytes.to_owned(),
        "reason" | "idempotency_key" => "'forged'".to_owned(),
        "lane" => "lane + 300".to_owned(),
        "kind" => "(kind + 3) % 6".to_owned(),
        "sequence" => "sequence + 20".to_owned(),
        number => format!("{number} + 7"),
    }
}

async fn columns(stage: &Stage, table: &str) -> Vec<String> {
    let sql = match stage.app.database.backend {
        Backend::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
        Backend::Postgres => {
            format!("SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = '{table}'")
        }
    };
    let statement = sea_orm::Statement::from_string(stage.app.kernel.backend(), sql);
    let rows = stage.app.kernel.db.query(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// `balance_after` as checks name it.
fn named(column: &str) -> String {
    let mut words = column.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

async fn every_column_of_a_transaction_is_found_and_named(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let columns = columns(&stage, "point_transactions").await;
    assert_eq!(columns.len(), 17, "{columns:?}");
    for column in &columns {
        // The first, one between, the last.
        for sequence in [1, 3, 5] {
            let (value, lane) = (forged(backend, column), "(SELECT lane FROM point_accounts WHERE sequence = 5)");
            let sql = format!(
                "UPDATE point_transactions SET {column} = {value} WHERE sequence = {sequence} AND lane = {lane}
                 AND user_id = (SELECT user_id FROM point_accounts WHERE sequence = 5)"
            );
            stage.app.database.sql(&sql).await;
            let drifts = found(&stage).await;
            let fields: BTreeSet<_> = drifts.iter().map(|drift| drift.field.clone()).collect();
            // A row that moved away leaves a gap; the last one leaves an account that knows of more.
            let expected = match (column.as_str(), sequence) {
                ("sequence", 5) => "sequence of transaction 25".to_owned(),
                ("sequence", _) => format!("sequence of transaction {}", sequence + 1),
                _ => format!("{} of transaction {sequence}", named(column)),
            };
            assert!(fields.contains(&expected), "{column} of {sequence}: {fields:?}");
            assert!(drifts.iter().all(|drift| drift.stored != drift.actual), "{drifts:#?}");
            put_back(&stage).await;
        }
    }
    stage.app.finish().await;
}

async fn every_column_of_an_account_is_found_and_named_and_put_right(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let columns = columns(&stage, "point_accounts").await;
    assert_eq!(columns.len(), 7, "{columns:?}");
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_LOG", "off")];
    let folder = tempfile::tempdir().unwrap();
    for column in &columns {
        let value = forged(backend, column);
        let sql = format!("UPDATE point_accounts SET {column} = {value} WHERE sequence = 5");
        stage.app.database.sql(&sql).await;
        let fields: BTreeSet<_> = found(&stage).await.into_iter().map(|drift| drift.field).collect();
        let moved = ["lane", "user_id"].contains(&column.as_str());
        // Whoever lost the account has none; what there is instead is not what its own ledger says.
        let expected = if moved { "account".to_owned() } else { named(column) };
        assert!(fields.contains(&expected), "{column}: {fields:?}");
        if column == "lane" {
            assert!(fields.contains("lane"), "{fields:?}");
        }
        assert!(fields.len() > 1 || !moved, "{column}: {fields:?}");

        let (status, output, errors) =
            run(&["repair", "--module", "points", "--json"], &environment, folder.path()).await;
        assert_eq!(status, i32::from(column == "lane" || (column == "user_id" && status == 1)), "{output}{errors}");
        if moved {
            // The stray row is nobody's: by hand.
            let stray = "DELETE FROM point_accounts WHERE NOT EXISTS (SELECT 1 FROM point_transactions t
                 WHERE t.lane = point_accounts.lane AND t.user_id = point_accounts.user_id)";
            stage.app.database.sql(stray).await;
        }
        assert_eq!(found(&stage).await, [], "{column}");
        assert_eq!(stage.account(&stage.id).await, (11, 5), "{column}");
        stage.award(1, column).await.data();
        assert_eq!(stage.account(&stage.id).await, (12, 6));
        if !moved && column != "version" {
            // What the repair replaced comes back, beside what happened since where that can be.
            let report: serde_json::Value = serde_json::from_str(&output).unwrap();
            let id = report["id"].as_str().or_else(|| report["run"].as_str()).unwrap_or_else(|| panic!("{report:#}"));
            let (_, output, errors) = run(&["repair", "--undo", id], &environment, folder.path()).await;
            let again = found(&stage).await;
            let back = matches!(column.as_str(), "balance" | "overdraft_limit");
            assert_eq!(again.iter().any(|drift| drift.field == named(column)), back, "{output}{errors}{again:#?}");
            assert!(again.iter().all(|drift| drift.field == named(column)), "{again:#?}");
        }
        put_back(&stage).await;
    }
    stage.app.finish().await;
}

async fn rows_that_are_gone_are_missed(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    for (gone, expected) in [
        ("sequence = 3", "sequence of transaction 4"),
        ("sequence = 1 AND kind = 5", "sequence of transaction 2"),
        ("sequence = 5", "sequence"),
        ("sequence > 0 AND reason <> 'none'", "balance"),
    ] {
        stage.app.database.sql(&format!("DELETE FROM point_transactions WHERE {gone}")).await;
        let fields: BTreeSet<_> = found(&stage).await.into_iter().map(|drift| drift.field).collect();
        assert!(fields.contains(expected), "{gone}: {fields:?}");
        put_back(&stage).await;
    }
    // An account that nobody has, and a ledger without an account.
    stage.app.database.sql("DELETE FROM point_accounts WHERE sequence = 5").await;
    let fields: Vec<_> = found(&stage).await.into_iter().map(|drift| drift.field).collect();
    assert_eq!(fields, ["account"]);
    put_back(&stage).await;
    stage.app.finish().await;
}

async fn a_repair_takes_nothing_from_a_broken_ledger(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    // Somebody who would be rich: amount and balance fit together, the hash does not.
    let sql = "UPDATE point_transactions SET amount = 100001, balance_after = 100011 WHERE sequence = 5";
    stage.app.database.sql(sql).await;
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_LOG", "off")];
    let folder = tempfile::tempdir().unwrap();
    let (status, output, _) = run(&["repair", "--module", "points"], &environment, folder.path()).await;
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("amount of transaction 5") && output.contains("balanceAfter of transaction 5"), "{output}");
    assert_eq!(stage.account(&stage.id).await, (11, 5));
    let (status, output, _) = run(&["check", "--id", &stage.id], &environment, folder.path()).await;
    assert_eq!(status, 1, "{output}");
    put_back(&stage).await;
    let (status, output, _) = run(&["check", "--id", &stage.id], &environment, folder.path()).await;
    assert_eq!(status, 0, "{output}");
    stage.app.finish().await;
}

async fn a_long_ledger_is_followed_to_its_end(backend: Backend) {
    let stage = Stage::set(backend).await;
    for round in 0..3 {
        let inputs = (0..900).map(|n| input(&stage.id, "ADD_POINTS", 1, &format!("{round} {n}"))).collect();
        super::stage::add_batch(&stage.teacher, inputs, true).await.data();
    }
    assert_eq!(found(&stage).await, []);
    stage.app.database.sql("UPDATE point_transactions SET reason = 'other' WHERE sequence IN (2500, 2600)").await;
    let fields: Vec<_> = found(&stage).await.into_iter().map(|drift| drift.field).collect();
    assert_eq!(fields, ["reason of transaction 2500"], "the first broken link, and no other");
    stage.app.database.sql("UPDATE point_transactions SET reason = 'homework'").await;
    stage.app.finish().await;
}
