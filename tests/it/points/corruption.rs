//! What is written into the tables by hand is found and named, column by column; and put right where the ledger says how.

use tally::app::{App as _, Tally};
use tally::kernel::id::Id;
use tally::kernel::integrity::Drift;
use tally::kernel::module::Modules;
use tally::modules::users::UserKind;
use uuid::Uuid;

use super::stage::{Stage, add, input};
use crate::harness::{Backend, on_every_backend, run};

on_every_backend!(
    every_column_of_a_transaction_is_found_and_named,
    every_column_of_an_account_is_found_and_named_and_put_right,
    every_column_of_an_incident_is_found_and_named,
    rows_that_are_gone_are_missed,
    a_repair_takes_nothing_from_a_broken_ledger,
    a_long_ledger_is_followed_to_its_end,
);

/// What the module's checks find.
pub(super) async fn found(stage: &Stage) -> Vec<Drift> {
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
pub(super) async fn furnished(backend: Backend) -> (Stage, String) {
    let stage = Stage::set(backend).await;
    stage.limit(&stage.id, 5, "limit").await.data();
    stage.award(10, "a").await.data();
    let taken = stage.deduct(4, "b").await.data()["addPoints"]["transaction"]["id"].clone();
    stage.reverse(&taken, "c").await.data();
    stage.award(1, "d").await.data();
    let other = stage.people(1).await.remove(0);
    let ben = stage.app.user("ben").id().await;
    add(&stage.teacher, input(&ben, "ADD_POINTS", 3, "a")).await.data();
    keep(&stage).await;
    (stage, other)
}

const TABLES: [&str; 3] = ["point_accounts", "point_transactions", "point_incidents"];

/// Keeps the tables as they are.
async fn keep(stage: &Stage) {
    for table in TABLES {
        let sql = format!("DROP TABLE IF EXISTS kept_{table}; CREATE TABLE kept_{table} AS SELECT * FROM {table}");
        stage.app.database.sql(&sql).await;
    }
}

/// Puts the tables back to what they were.
pub(super) async fn put_back(stage: &Stage) {
    for table in TABLES {
        let sql = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}");
        stage.app.database.sql(&sql).await;
    }
    // The leaderboard of the server has seen the tables as they were meanwhile.
    let repair = "mutation { repairIntegrity(check: \"point-ranking\") { state } }";
    assert_eq!(stage.operator.query(repair).await.data()["repairIntegrity"]["state"], "OK");
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
        "reason" | "idempotency_key" | "field" | "stored" | "actual" | "found_by" => "'forged'".to_owned(),
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
            let is_of = |drift: &Drift, field: &str| drift.id == stage.id && drift.field == field;
            // A row that moved away leaves a gap; the last one an account that knows of more.
            let gap = if sequence == 5 {
                "transaction 5".to_owned()
            } else {
                format!("sequence of transaction {}", sequence + 1)
            };
            let own = match (column.as_str(), sequence) {
                ("sequence", 5) => "sequence of transaction 25".to_owned(),
                ("sequence" | "lane" | "user_id", _) => gap,
                _ => format!("{} of transaction {sequence}", named(column)),
            };
            assert!(drifts.iter().any(|drift| is_of(drift, &own)), "{column} of {sequence}, {own}: {drifts:#?}");
            if ["lane", "user_id"].contains(&column.as_str()) {
                let moved = format!("{} of transaction {sequence}", named(column));
                assert!(drifts.iter().any(|drift| drift.field == moved), "{column} of {sequence}: {drifts:#?}");
            }
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
    let ann = stage.id.parse::<Id<UserKind>>().unwrap().uuid();
    let literal = |id: Uuid| match backend {
        Backend::Sqlite => format!("x'{}'", id.simple()),
        Backend::Postgres => format!("'{id}'::uuid"),
    };
    let mut forgeries: Vec<(&str, String)> =
        columns.iter().map(|column| (column.as_str(), forged(backend, column))).collect();
    forgeries.retain(|(column, _)| *column != "user_id");
    // Somebody else's, in the lane that is theirs, and in one that is not.
    forgeries.push(("user_id", literal(Uuid::from_u128(ann.as_u128() ^ (1 << 64)))));
    forgeries.push(("user_id", literal(Uuid::from_u128(ann.as_u128() ^ 1))));
    for (column, value) in forgeries {
        let sql = format!("UPDATE point_accounts SET {column} = {value} WHERE sequence = 5");
        stage.app.database.sql(&sql).await;
        let drifts = found(&stage).await;
        let moved = ["lane", "user_id"].contains(&column);
        // Whoever lost the account has none; what there is instead is not what its own ledger says.
        let expected = if moved { "account".to_owned() } else { named(column) };
        let is_expected = |drift: &Drift| drift.id == stage.id && drift.field == expected;
        assert!(drifts.iter().any(is_expected), "{column}: {drifts:#?}");
        let stray = |drift: &Drift| ["lane", "transaction 1"].contains(&drift.field.as_str());
        assert_eq!(drifts.iter().any(stray), moved, "{column}: {drifts:#?}");

        let (status, output, errors) =
            run(&["repair", "--module", "points", "--json"], &environment, folder.path()).await;
        assert_eq!(status, i32::from(moved), "{column}: {output}{errors}");
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
            let back = matches!(column, "balance" | "overdraft_limit");
            assert_eq!(again.iter().any(|drift| drift.field == named(column)), back, "{output}{errors}{again:#?}");
            assert!(again.iter().all(|drift| drift.field == named(column)), "{again:#?}");
        }
        put_back(&stage).await;
    }
    stage.app.finish().await;
}

async fn every_column_of_an_incident_is_found_and_named(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    for (column, key) in [("balance", "e"), ("overdraft_limit", "f")] {
        stage.app.database.sql(&format!("UPDATE point_accounts SET {column} = {column} + 1 WHERE sequence > 1")).await;
        stage.award(1, key).await.data();
    }
    keep(&stage).await;
    assert_eq!(found(&stage).await, []);
    let columns = columns(&stage, "point_incidents").await;
    assert_eq!(columns.len(), 8, "{columns:?}");
    for column in &columns {
        let value = forged(backend, column);
        stage.app.database.sql(&format!("UPDATE point_incidents SET {column} = {value} WHERE field = 'balance'")).await;
        let drifts = found(&stage).await;
        // An incident that is another's by now is missed, too.
        let missed = ["lane", "user_id"].contains(&column.as_str());
        let named = drifts.iter().filter(|drift| drift.field.contains("incident ")).count();
        assert_eq!(named, 1, "{column}: {drifts:#?}");
        let of_ann = |drift: &&Drift| drift.id == stage.id && (drift.field == "version") == missed;
        assert_eq!(drifts.iter().filter(of_ann).count(), 1, "{column}: {drifts:#?}");
        put_back(&stage).await;
    }
    stage.app.database.sql("DELETE FROM point_incidents WHERE field = 'balance'").await;
    let drifts: Vec<_> = found(&stage).await.into_iter().map(|drift| (drift.id, drift.field)).collect();
    assert_eq!(drifts, [(stage.id.clone(), "version".to_owned())]);
    put_back(&stage).await;
    stage.app.finish().await;
}

async fn rows_that_are_gone_are_missed(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    for (gone, expected) in [
        ("sequence = 3", "sequence of transaction 4"),
        ("sequence = 1 AND kind = 5", "sequence of transaction 2"),
        ("sequence = 5", "transaction 5"),
        ("sequence > 0 AND reason <> 'none'", "transaction 1"),
    ] {
        stage.app.database.sql(&format!("DELETE FROM point_transactions WHERE {gone}")).await;
        let drifts = found(&stage).await;
        let of_ann: Vec<_> = drifts.iter().filter(|drift| drift.id == stage.id).map(|drift| &drift.field).collect();
        assert_eq!(of_ann, [expected], "{gone}: {drifts:#?}");
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
    assert!(output.contains(&stage.id), "{output}");
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
