//! What is gone from a ledger, or cannot be read, is named; nothing is built on it, and nothing is put right by it.

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;
use tally::app::Tally;

use super::corruption::{found, furnished, put_back};
use super::stage::{Stage, add, input, options};
use crate::harness::{Backend, TestApp, on_every_backend, run};

on_every_backend!(
    a_ledger_that_lost_its_newest_rows_is_named_and_not_sealed,
    a_ledger_that_is_another_than_its_account_knows_is_not_built_on,
    a_wrong_balance_shows_beside_a_wrong_hash,
    what_is_left_of_a_ledger_is_taken_by_decision,
    an_account_that_is_behind_its_ledger_is_put_right,
    an_account_that_is_made_anew_counts_its_incidents,
    texts_that_are_none_are_named,
);

/// Drifts of Ann as the checks name them.
async fn of_ann(stage: &Stage) -> Vec<String> {
    found(stage).await.into_iter().filter(|drift| drift.id == stage.id).map(|drift| drift.field).collect()
}

/// What there is of accounts and incidents, in one text.
async fn figures(stage: &Stage) -> Vec<String> {
    let mut all = Vec::new();
    for (table, columns) in [
        ("point_accounts", &["version", "balance", "sequence", "last_hash", "overdraft_limit"][..]),
        ("point_incidents", &["field", "stored", "actual"][..]),
    ] {
        for column in columns {
            let sql = format!("SELECT CAST({column} AS text) AS c FROM {table} ORDER BY lane, user_id");
            let sql =
                if *column == "last_hash" { sql.replace("CAST(last_hash", "CAST(length(last_hash)") } else { sql };
            let statement = sea_orm::Statement::from_string(stage.app.kernel.backend(), sql);
            let rows = stage.app.kernel.db.query(statement).await.unwrap();
            all.extend(rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()));
        }
    }
    all
}

/// Neither a write nor a repair takes the ledger as it is; the link that the check names is `link`.
async fn is_left_alone(stage: &Stage, link: &str) {
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_LOG", "off")];
    let folder = tempfile::tempdir().unwrap();
    let (before, rows) = (figures(stage).await, stage.rows().await);
    assert_eq!(of_ann(stage).await.first().map(String::as_str), Some(link));
    for answer in [
        stage.award(1, "new").await,
        stage.deduct(1, "new too").await,
        stage.limit(&stage.id, 9, "a limit").await,
        // A repeat would tell of a balance that nobody knows.
        stage.award(10, "a").await,
    ] {
        assert_eq!(answer.code(), "LEDGER_BROKEN", "{link}");
        assert!(!answer.message().contains("transaction"), "{}", answer.message());
    }
    for arguments in [&["repair", "--module", "points"][..], &["repair", "--id", &stage.id]] {
        let (status, output, errors) = run(arguments, &environment, folder.path()).await;
        assert_eq!(status, 1, "{output}{errors}");
        assert!(output.contains(link) && output.contains(&stage.id), "{link}: {output}");
    }
    assert_eq!((figures(stage).await, stage.rows().await), (before, rows), "{link}");
    // The others are not held up.
    let ben = stage.app.user("ben").id().await;
    let batch = vec![input(&ben, "ADD_POINTS", 1, "beside it"), input(&stage.id, "ADD_POINTS", 1, "new")];
    let answer = super::stage::add_batch(&stage.teacher, batch, false).await;
    let items = &answer.data()["addPointsBatch"]["items"];
    assert_eq!((&items[0]["replayed"], &items[1]["error"]["code"]), (&json!(false), &json!("LEDGER_BROKEN")));
}

async fn a_ledger_that_lost_its_newest_rows_is_named_and_not_sealed(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    for (kept, link) in [(4, "transaction 5"), (2, "transaction 3"), (0, "transaction 1")] {
        let user = "user_id = (SELECT user_id FROM point_accounts WHERE sequence = 5)";
        let gone = format!("DELETE FROM point_transactions WHERE sequence > {kept} AND {user}");
        stage.app.database.sql(&gone).await;
        is_left_alone(&stage, link).await;
        put_back(&stage).await;
    }
    stage.award(1, "as ever").await.data();
    assert_eq!(stage.account(&stage.id).await, (12, 6));
    stage.app.finish().await;
}

async fn a_ledger_that_is_another_than_its_account_knows_is_not_built_on(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let sql = async |sql: &str| stage.app.database.sql(sql).await;
    let account = "UPDATE point_accounts SET version = k.version, balance = k.balance, sequence = k.sequence,
         last_hash = k.last_hash, overdraft_limit = k.overdraft_limit FROM kept_point_accounts k
         WHERE k.user_id = point_accounts.user_id AND k.sequence = 5";
    // As if the fifth had never been: what follows is hashed as it should be.
    let fourth = "DELETE FROM point_transactions WHERE sequence = 5;
         UPDATE point_accounts SET version = 4, sequence = 4, balance = t.balance_after, last_hash = t.hash
         FROM point_transactions t WHERE t.user_id = point_accounts.user_id AND t.sequence = 4
         AND point_accounts.sequence = 5";
    for more in [0, 2] {
        sql(fourth).await;
        assert_eq!(found(&stage).await, []);
        stage.award(1_000, "another fifth").await.data();
        for n in 0..more {
            stage.award(1, &format!("after it {n}")).await.data();
        }
        // The account as it was: another hash at the same sequence, and another balance.
        sql(account).await;
        is_left_alone(&stage, "hash of transaction 5").await;
        assert_eq!(of_ann(&stage).await, ["hash of transaction 5", "balance of the account"]);
        put_back(&stage).await;
    }
    stage.app.finish().await;
}

/// The hash is not the only field that differs: nobody can tell which of the two is wrong, and both are named.
async fn a_wrong_balance_shows_beside_a_wrong_hash(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let bytes = if backend == Backend::Sqlite { "x'00'" } else { "'\\x00'::bytea" };
    let hand = format!("UPDATE point_accounts SET balance = 999, last_hash = {bytes} WHERE sequence = 5");
    stage.app.database.sql(&hand).await;
    let drifts: Vec<_> = found(&stage).await.into_iter().filter(|drift| drift.id == stage.id).collect();
    let [hash, balance] = &drifts[..] else { panic!("{drifts:#?}") };
    assert_eq!((&*hash.field, &*hash.actual), ("hash of transaction 5", "the account knows of 00"));
    assert_eq!(hash.stored.len(), 64, "that of the ledger: {}", hash.stored);
    let balance = (&*balance.field, &*balance.stored, &*balance.actual);
    assert_eq!(balance, ("balance of the account", "999", "11 by the ledger as it is"));
    is_left_alone(&stage, "hash of transaction 5").await;
    put_back(&stage).await;
    stage.app.finish().await;
}

/// As docs/operations.md says, where no backup has the rows.
async fn what_is_left_of_a_ledger_is_taken_by_decision(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    stage.app.database.sql("DELETE FROM point_transactions WHERE sequence = 5").await;
    assert_eq!(of_ann(&stage).await, ["transaction 5"]);
    let decided = "UPDATE point_accounts SET sequence = t.sequence, balance = t.balance_after, last_hash = t.hash,
         overdraft_limit = t.overdraft_limit FROM point_transactions t
         WHERE t.user_id = point_accounts.user_id AND t.sequence = 4 AND point_accounts.sequence = 5";
    stage.app.database.sql(decided).await;
    assert_eq!(of_ann(&stage).await, ["version"]);
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_LOG", "off")];
    let arguments = ["repair", "--check", "point-balance", "--id", &stage.id];
    let (status, output, errors) = run(&arguments, &environment, &std::env::temp_dir()).await;
    assert_eq!(status, 0, "{output}{errors}");
    assert_eq!(
        add(&stage.admin, input(&stage.id, "ADJUSTMENT", 1, "new")).await.data()["addPoints"]["replayed"],
        false
    );
    assert_eq!(stage.account(&stage.id).await, (11, 5));
    stage.app.finish().await;
}

async fn an_account_that_is_behind_its_ledger_is_put_right(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let behind = "UPDATE point_accounts SET sequence = t.sequence, balance = t.balance_after, last_hash = t.hash
         FROM point_transactions t WHERE t.user_id = point_accounts.user_id AND t.sequence = 3
         AND point_accounts.sequence = 5";
    stage.app.database.sql(behind).await;
    assert_eq!(of_ann(&stage).await, ["balance", "sequence", "lastHash"]);
    assert_eq!(stage.award(1, "new").await.data()["addPoints"]["account"]["balance"], 12);
    assert_eq!(found(&stage).await, []);
    stage.app.finish().await;
}

async fn an_account_that_is_made_anew_counts_its_incidents(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.award(10, "a").await.data();
    for key in ["b", "c"] {
        stage.app.database.sql("UPDATE point_accounts SET balance = 1000").await;
        stage.award(1, key).await.data();
    }
    // By a write, and by a repair.
    stage.app.database.sql("DELETE FROM point_accounts").await;
    stage.award(1, "d").await.data();
    assert_eq!(stage.app.number("SELECT version FROM point_accounts").await, 4 + 3);
    assert_eq!(found(&stage).await, []);
    stage.app.database.sql("DELETE FROM point_accounts").await;
    let environment = [("DATABASE_URL", &*stage.app.database.url), ("TALLY_LOG", "off")];
    let (status, output, _) = run(&["repair", "--id", &stage.id], &environment, &std::env::temp_dir()).await;
    assert_eq!(status, 0, "{output}");
    assert_eq!(stage.app.number("SELECT version FROM point_accounts").await, 4 + 4);
    stage.app.finish().await;
}

/// SQLite takes any bytes for a text; PostgreSQL's texts are always some.
async fn texts_that_are_none_are_named(backend: Backend) {
    let (stage, _) = furnished(backend).await;
    let ann = "lane = (SELECT lane FROM point_accounts WHERE sequence = 5)";
    let sql = format!("UPDATE point_transactions SET reason = CAST(x'ff' AS TEXT) WHERE sequence = 3 AND {ann}");
    match backend {
        Backend::Sqlite => {
            stage.app.database.sql(&sql).await;
            assert_eq!(of_ann(&stage).await, ["reason of transaction 3"]);
            let last = sql.replace("sequence = 3", "sequence = 5");
            stage.app.database.sql(&last).await;
            assert_eq!(of_ann(&stage).await, ["reason of transaction 3"]);
            assert_eq!(stage.award(1, "onto what cannot be read").await.code(), "LEDGER_BROKEN");
        }
        Backend::Postgres => {
            let sql = sql.replace("CAST(x'ff' AS TEXT)", "convert_from('\\xff'::bytea, 'UTF8')");
            assert!(execute(&stage.app.database.url, &sql).await.is_err());
        }
    }
    put_back(&stage).await;
    stage.app.finish().await;
}

async fn execute(url: &str, sql: &str) -> Result<(), sea_orm::DbErr> {
    let connection = Database::connect(url).await.unwrap();
    let done = connection.execute_unprepared(sql).await;
    connection.close().await.unwrap();
    done.map(|_| ())
}

/// What has no place in a column: text for a number, an id of one byte, a number of more than 16 bits.
const WRONG: [(&str, &str, &str); 5] = [
    ("amount", "'many'", "amount of transaction 3"),
    ("actor_id", "x'01'", "actorId of transaction 3"),
    ("kind", "70000", "kind of transaction 3"),
    ("created_at", "1.5", "createdAt of transaction 3"),
    ("hash", "'text'", "hash of transaction 3"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_another_type_are_not_taken() {
    let (stage, _) = furnished(Backend::Sqlite).await;
    for (column, value, _) in WRONG {
        let sql = format!("UPDATE point_transactions SET {column} = {value} WHERE sequence = 3");
        assert!(execute(&stage.app.database.url, &sql).await.is_err(), "{column}");
    }
    for (column, value) in [("balance", "'many'"), ("user_id", "x'01'"), ("lane", "70000"), ("last_hash", "'text'")] {
        let sql = format!("UPDATE point_accounts SET {column} = {value} WHERE sequence = 5");
        assert!(execute(&stage.app.database.url, &sql).await.is_err(), "{column}");
    }
    assert_eq!(found(&stage).await, []);
    stage.app.finish().await;
}

/// Tables that were made before columns kept to their types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_another_type_are_named_where_they_are_taken() {
    let (stage, _) = furnished(Backend::Sqlite).await;
    let lax = "PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = replace(sql, 'WITHOUT ROWID, STRICT', 'WITHOUT ROWID')
         WHERE name = 'point_transactions';
         PRAGMA writable_schema = RESET";
    let id = stage.id.clone();
    let database = stage.app.stop().await;
    database.sql(lax).await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, options()).await).await;
    assert_eq!(stage.id, id);
    for (column, value, link) in WRONG {
        let sql = format!(
            "PRAGMA ignore_check_constraints = ON; UPDATE point_transactions SET {column} = {value}
             WHERE sequence = 3 AND lane = (SELECT lane FROM point_accounts WHERE sequence = 5)"
        );
        stage.app.database.sql(&sql).await;
        assert_eq!(of_ann(&stage).await, [link]);
        put_back(&stage).await;
    }
    add(&stage.teacher, input(&stage.id, "ADD_POINTS", 1, "as ever")).await.data();
    stage.app.finish().await;
}
