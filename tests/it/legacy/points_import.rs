//! `tally import` of points: each transaction once, balances as the option says, and everything checks clean.

use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::{Value, json};
use tally::app::Tally;

use super::import::{adds_up, came, checked};
use super::{EVERY, From, Theirs};
use crate::harness::{Backend, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    differences_are_reported_or_made_up_for,
    what_the_old_system_does_next_follows,
    each_transaction_becomes_one_of_the_ledger,
    an_import_of_points_that_is_killed_is_gone_on_with,
    the_source_stays_as_it_is,
);

const ADJUST: [&str; 3] = ["import", "--point-differences", "adjust"];

/// The rows of a statement, each as one text.
pub(super) async fn texts(url: &str, sql: &str) -> Vec<String> {
    let connection = Database::connect(url).await.unwrap();
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.try_get("", "fact").unwrap()).collect()
}

/// The ledgers in words that do not depend on ids.
pub(super) async fn ledgers(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT u.external_id || ' ' || t.sequence || ': ' || t.amount || ' -> ' || t.balance_after || ' kind ' || t.kind
         || ' by ' || coalesce(a.external_id, 'nobody') || ' at ' || t.created_at || ' ' || t.idempotency_key || ' (' || t.reason || ')' AS fact
         FROM point_transactions t JOIN users u ON u.id = t.user_id LEFT JOIN users a ON a.id = t.actor_id
         ORDER BY u.external_id, t.sequence";
    texts(&database.url, sql).await
}

/// What accounts say, by student.
async fn balances(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT u.external_id || ' ' || p.balance AS fact FROM point_accounts p JOIN users u ON u.id = p.user_id
         ORDER BY u.external_id";
    texts(&database.url, sql).await
}

pub(super) async fn checks_clean(database: &TestDatabase) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let folder = tempfile::tempdir().unwrap();
    let (status, output, errors) = run(&["check", "--module", "points"], &environment, folder.path()).await;
    assert_eq!(status, 0, "{output}{errors}");
    let (status, output) = checked(database).await;
    assert_eq!(status, 0, "{output}");
}

pub(super) fn of_reason<'a>(list: &'a Value, begins: &str) -> &'a Value {
    let held = list.as_array().unwrap().iter().find(|held| held["reason"].as_str().unwrap().starts_with(begins));
    held.unwrap_or_else(|| panic!("no {begins:?} in {list:#}"))
}

async fn differences_are_reported_or_made_up_for(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let database = TestApp::start(backend).await.stop().await;
        let dry = theirs.json(&["import", "--dry-run"], &database.url, 0).await;
        assert_eq!(ledgers(&database).await, [] as [&str; 0], "{from:?}");
        let report = theirs.json(&["import"], &database.url, 0).await;
        for part in ["tables", "dropped", "altered", "notes"] {
            assert_eq!(dry[part], report[part], "{from:?} {part}");
        }
        adds_up(&report);
        assert_eq!(came(&report, "point_transactions"), [19, 12, 0, 0, 7], "{from:?} {report:#}");
        assert_eq!(came(&report, "student_points"), [12, 3, 1, 0, 8], "{from:?} {report:#}");
        let differs = of_reason(&report["dropped"], "the balance is not what came over adds up to");
        let due = json!([
            "student_id s10: balance 7, what came over adds up to 8",
            "student_id s2: balance 120, what came over adds up to 100",
            "student_id s5: balance 40, what came over adds up to 0",
        ]);
        assert_eq!(differs["examples"], due, "{from:?}");
        let note = report["notes"][0].as_str().unwrap();
        assert!(note.starts_with("3 balances are not what came over adds up to: together 60 too many and 1 too few"));
        for (begins, rows) in [
            ("nobody knows what this transaction_type means", 1),
            ("its transaction_type contradicts its sign", 1),
            ("there is no reason", 2),
        ] {
            assert_eq!(of_reason(&report["altered"], begins)["rows"], rows, "{from:?} {begins}");
        }
        checks_clean(&database).await;
        assert_eq!(balances(&database).await, ["s1 30", "s10 8", "s11 8", "s12 1", "s2 100", "s3 -5", "s8 10"]);
        let before = ledgers(&database).await;
        let again = theirs.json(&["import"], &database.url, 0).await;
        assert_eq!(came(&again, "point_transactions"), [19, 0, 12, 0, 7], "{from:?} {again:#}");
        assert_eq!(came(&again, "student_points"), [12, 0, 4, 0, 8], "{from:?} {again:#}");
        assert_eq!(ledgers(&database).await, before, "{from:?}: a rerun writes nothing");

        // Made up for later, visibly, and once.
        let adjusted = theirs.json(&ADJUST, &database.url, 0).await;
        adds_up(&adjusted);
        assert_eq!(came(&adjusted, "student_points"), [12, 3, 4, 0, 5], "{from:?} {adjusted:#}");
        let balanced = ["s1 30", "s10 7", "s11 8", "s12 1", "s2 120", "s3 -5", "s5 40", "s8 10"];
        assert_eq!(balances(&database).await, balanced, "{from:?}");
        let made = ledgers(&database).await;
        let new: Vec<_> = made.iter().filter(|entry| !before.contains(entry)).map(|entry| shortened(entry)).collect();
        let due = [
            "s10 5: -1 -> 7 kind 3 by tally-import import:difference:1 (imported: the balance was 7, what came over added up to 8)",
            "s2 2: 20 -> 120 kind 3 by tally-import import:difference:1 \
             (imported: the balance was 120, what came over added up to 100)",
            "s5 1: 40 -> 40 kind 3 by tally-import import:difference:1 \
             (imported: the balance was 40, what came over added up to 0)",
        ];
        assert_eq!(new, due, "{from:?}");
        let again = theirs.json(&ADJUST, &database.url, 0).await;
        assert_eq!(came(&again, "student_points"), [12, 0, 7, 0, 5], "{from:?} {again:#}");
        assert_eq!(ledgers(&database).await, made, "{from:?}: made up for once");
        checks_clean(&database).await;
        let app = TestApp::start_on::<Tally>(database, Default::default()).await;
        app.finish().await;
        theirs.remove().await;
    }
}

/// A balance that moves with a row, and one that moves without.
async fn what_the_old_system_does_next_follows(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let database = TestApp::start(backend).await.stop().await;
        theirs.json(&ADJUST, &database.url, 0).await;
        let made = ledgers(&database).await;
        theirs
            .sql(
                "UPDATE student_points SET points = '35' WHERE student_id = 's1';
                 INSERT INTO point_transactions VALUES (19, 's1', 't1', '5', 'add', 'more', '2026-01-03 00:00:00');
                 UPDATE student_points SET points = '118' WHERE student_id = 's2'",
            )
            .await;
        let later = theirs.json(&ADJUST, &database.url, 0).await;
        assert_eq!(came(&later, "point_transactions"), [20, 1, 12, 0, 7], "{from:?} {later:#}");
        let news: Vec<_> = ledgers(&database).await.into_iter().filter(|entry| !made.contains(entry)).collect();
        assert_eq!(news.len(), 2, "{from:?} {news:?}");
        assert!(news[0].starts_with("s1 3: 5 -> 35 kind 0 by t1 "), "{news:?}");
        assert!(news[1].contains("s2 3: -2 -> 118 ") && news[1].contains("import:difference:2"), "{news:?}");
        checks_clean(&database).await;
        database.remove().await;
        theirs.remove().await;
    }
}

/// Without the moment, which is the present one.
fn shortened(entry: &str) -> String {
    let (before, rest) = entry.split_once(" at ").unwrap();
    format!("{before} {}", rest.split_once(' ').unwrap().1)
}

async fn each_transaction_becomes_one_of_the_ledger(backend: Backend) {
    let day = |days: i64| 1_767_225_600_000 + days * 86_400_000;
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let database = TestApp::start(backend).await.stop().await;
        theirs.json(&["import"], &database.url, 0).await;
        let due = [
            format!("s1 1: 50 -> 50 kind 0 by t1 at {} import:transaction:1 (homework)", day(0)),
            format!("s1 2: -20 -> 30 kind 1 by t1 at {} import:transaction:2 (late)", day(1)),
            format!("s10 1: 5 -> 5 kind 3 by t1 at {} import:transaction:6 (a dance)", day(0)),
            format!("s10 2: -3 -> 2 kind 3 by t1 at {} import:transaction:7 (taken)", day(1)),
            format!(
                "s10 3: 5 -> 7 kind 0 by tally-import at {} import:transaction:11 (imported without a reason)",
                day(2)
            ),
            format!("s10 4: 1 -> 8 kind 0 by t1 at {} import:transaction:12 (imported without a reason)", day(3)),
            format!("s11 1: 4 -> 4 kind 0 by t1 at {} import:transaction:15 (help)", day(0)),
            format!("s11 2: 4 -> 8 kind 0 by t1 at {} import:transaction:16 (help)", day(0)),
            format!("s12 1: 1 -> 1 kind 0 by t1 at {} import:transaction:17 (a)", day(0)),
            format!("s2 1: 100 -> 100 kind 0 by t1 at {} import:transaction:3 (a prize)", day(0)),
            format!("s3 1: -5 -> -5 kind 2 by t2 at {} import:transaction:4 (a pencil)", day(0)),
            format!("s8 1: 10 -> 10 kind 0 by t1 at {} import:transaction:5 (homework)", day(0)),
        ];
        assert_eq!(ledgers(&database).await, due, "{from:?}");
        assert_eq!(texts(&database.url, "SELECT 'x' AS fact FROM outbox").await.len(), 0, "old news is no news");
        database.remove().await;
        theirs.remove().await;
    }
}

/// Enough rows for some transactions, some of them drifting.
async fn many() -> Theirs {
    let theirs = Theirs::empty(From::Sqlite).await;
    theirs
        .sql(
            "CREATE TABLE student_points (student_id INTEGER, points INTEGER);
             CREATE TABLE point_transactions (id INTEGER, student_id INTEGER, teacher_id INTEGER, points_change INTEGER,
                 transaction_type TEXT, reason TEXT, created TEXT);
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5999)
             INSERT INTO point_transactions SELECT i, 1000 + i % 30, i % 7, 1 + i % 5, 'add', 'r', 1767225600 + i FROM n;
             INSERT INTO student_points SELECT student_id, sum(points_change) + (student_id % 3 = 0) * 11
                 FROM point_transactions GROUP BY student_id;",
        )
        .await;
    theirs
}

async fn an_import_of_points_that_is_killed_is_gone_on_with(backend: Backend) {
    let theirs = many().await;
    let database = TestApp::start(backend).await.stop().await;
    let connection = Database::connect(&database.url).await.unwrap();
    let count = async || {
        let sql = "SELECT count(*) AS n FROM point_transactions";
        let count = Statement::from_string(connection.get_database_backend(), sql);
        connection.query_one_raw(count).await.unwrap().unwrap().try_get::<i64>("", "n").unwrap()
    };
    let mut killed_at = 0;
    for _ in 0..2 {
        let mut command = crate::harness::command();
        command.args(ADJUST).args(["--from", &theirs.url]).env("DATABASE_URL", &database.url);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        let began = std::time::Instant::now();
        while count().await <= killed_at {
            assert!(began.elapsed().as_secs() < 60 && child.try_wait().unwrap().is_none(), "nothing comes over");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        child.kill().await.unwrap();
        killed_at = count().await;
        assert!(0 < killed_at && killed_at < 6_000, "killed in the middle: {killed_at}");
        checks_clean(&database).await;
    }
    connection.close().await.unwrap();
    let report = theirs.json(&ADJUST, &database.url, 0).await;
    adds_up(&report);
    let [rows, new, there, duplicates, dropped] = came(&report, "point_transactions");
    assert_eq!((rows, new + there, duplicates, dropped), (6_000, 6_000, 0, 0), "{report:#}");
    assert!(new > 0 && there > 0, "{report:#}");
    checks_clean(&database).await;
    let at_once = TestApp::start(backend).await.stop().await;
    theirs.json(&ADJUST, &at_once.url, 0).await;
    let facts = async |database: &TestDatabase| {
        let made = ledgers(database).await;
        made.iter().map(|entry| if entry.contains(":difference:") { shortened(entry) } else { entry.clone() }).collect()
    };
    let (one, other): (Vec<String>, Vec<String>) = (facts(&database).await, facts(&at_once).await);
    assert_eq!(one.len(), 6_010, "ten balances drift");
    assert!(one == other, "another result than of one run");
    let app = TestApp::start_on::<Tally>(database, Default::default()).await;
    assert_eq!(app.number("SELECT count(*) FROM point_incidents").await, 0);
    app.finish().await;
    at_once.remove().await;
    theirs.remove().await;
}

/// Neither an audit nor an import changes a byte of the source; of a server's database, no row.
async fn the_source_stays_as_it_is(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let database = TestApp::start(backend).await.stop().await;
        let before = theirs.contents().await;
        theirs.json(&["audit"], "", 1).await;
        theirs.json(&ADJUST, &database.url, 0).await;
        assert!(theirs.contents().await == before, "{from:?}: something changed");
        database.remove().await;
        theirs.remove().await;
    }
}
