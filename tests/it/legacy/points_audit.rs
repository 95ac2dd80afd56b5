//! `tally audit` of points: everything that is wrong is found, with its size, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::audit::finding;
use super::{EVERY, From, Theirs};

/// What is wrong in the fixture: (table, finding, how many, which).
const PLANTED: [(&str, &str, u64, &[&str]); 19] = [
    ("student_points", "null-key", 1, &["student_id NULL"]),
    ("student_points", "duplicate", 1, &["student_id s8"]),
    ("student_points", "balance", 3, &["student_id s10", "student_id s2", "student_id s8"]),
    ("student_points", "no-transactions", 1, &["student_id s5"]),
    ("student_points", "negative-balance", 1, &["student_id s3"]),
    ("student_points", "wrong-type", 1, &["student_id s6"]),
    ("student_points", "out-of-range", 1, &["student_id s7"]),
    ("point_transactions", "null-key", 1, &["student_id NULL"]),
    (
        "point_transactions",
        "duplicate",
        1,
        &["student_id s11, teacher_id t1, points_change 4, reason help, created_at 2026-01-01 00:00:00"],
    ),
    ("point_transactions", "repeated-id", 1, &["id 17"]),
    ("point_transactions", "no-account", 2, &["student_id s12"]),
    ("point_transactions", "zero-amount", 1, &["student_id s10, id 8"]),
    ("point_transactions", "wrong-type", 1, &["student_id s10, id 9"]),
    ("point_transactions", "out-of-range", 1, &["student_id s10, id 10"]),
    ("point_transactions", "unknown-type", 1, &["student_id s10, id 6"]),
    ("point_transactions", "wrong-sign", 1, &["student_id s10, id 7"]),
    ("point_transactions", "no-reason", 2, &["student_id s10, id 11", "student_id s10, id 12"]),
    ("point_transactions", "bad-time", 1, &["student_id s10, id 13"]),
    ("point_transactions", "future-time", 1, &["student_id s10, id 14"]),
];

#[tokio::test]
async fn everything_that_is_wrong_with_points_is_found_and_nothing_else() {
    for from in EVERY {
        let theirs = Theirs::points(from).await;
        let report = theirs.json(&["audit"], "", 1).await;
        let mut wrong: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for found in report["findings"].as_array().unwrap().iter().filter(|found| found["found"] != 0) {
            let key = (found["table"].as_str().unwrap(), found["name"].as_str().unwrap());
            wrong.insert(key, found["found"].as_u64().unwrap());
        }
        let planted: BTreeMap<_, _> = PLANTED.iter().map(|(table, name, count, _)| ((*table, *name), *count)).collect();
        assert_eq!(wrong, planted, "{from:?}");
        for (table, name, _, which) in PLANTED {
            let found = finding(&report, table, name);
            let mut ids: Vec<_> =
                found["examples"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
            ids.sort_unstable();
            // MariaDB shows the milliseconds of its column.
            let ids: Vec<_> = ids.iter().map(|id| id.replace("00:00:00.000", "00:00:00")).collect();
            assert_eq!(ids, which, "{from:?} {table} {name}");
        }
        let due = json!([
            { "id": "student_id s10", "stored": "7", "actual": "13 (6 too few)" },
            { "id": "student_id s2", "stored": "120", "actual": "100 (20 too many)" },
            { "id": "student_id s8", "stored": "10 and 12", "actual": "10 (0 too few)" },
        ]);
        assert_eq!(finding(&report, "student_points", "balance")["examples"], due, "{from:?}");
        let sizes = json!({ "students": 8, "drifting": 4, "too_many": "60", "too_few": "6", "most": "40",
            "most_of": "student_id s5" });
        assert_eq!(report["points"], sizes, "{from:?}");
        let rows: Vec<_> = report["tables"].as_array().unwrap().iter().map(|table| table["rows"].clone()).collect();
        assert_eq!(rows, [12, 19]);
        let (status, text, _) = theirs.tally(&["audit"], "").await;
        assert!(status == 1 && text.contains("4 of 8 do not add up, together 60 too many and 6 too few"), "{text}");
        theirs.remove().await;
    }
}

#[tokio::test]
async fn the_page_says_how_far_balances_are_off() {
    let theirs = Theirs::points(From::Sqlite).await;
    let page = theirs.file("audit.html");
    assert_eq!(theirs.tally(&["audit", "--html", page.to_str().unwrap()], "").await.0, 1);
    let page = std::fs::read_to_string(page).unwrap();
    for shown in ["together 60 too many and 6 too few", "合计多 60、少 6", "积分余额与流水之和不符", "13 (6 too few)"]
    {
        assert!(page.contains(shown), "no {shown} in {page}");
    }
    theirs.remove().await;
}

/// Keys of two types, names to the byte, names of their own, magnitudes whose sign is the type's, and nothing but points.
#[tokio::test]
async fn points_that_tally_are_no_finding_whatever_their_columns() {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE t_balance (student BIGINT, points DECIMAL(20, 2));
                 CREATE TABLE t_flow (studentId VARCHAR(20), operatorId BIGINT, n BIGINT, type BIGINT, remark VARCHAR(40));
                 INSERT INTO t_balance VALUES (7, 15.00), (8, 0), (10, 3);
                 INSERT INTO t_flow VALUES ('7', 1, 20, 1, 'a'), ('7', 1, 5, 2, 'b'), ('10', 1, 3, 1, 'c');",
            )
            .await;
        let map = theirs.file("map.toml");
        let names = "unsigned_points = true\n[student_points]\ntable = \"t_balance\"\nstudent_id = \"student\"\n\
                     [point_transactions]\ntable = \"t_flow\"\npoints_change = \"n\"\n\
                     [transaction_types]\nadd_points = [1]\ndeduct_points = [2]\n";
        std::fs::write(&map, names).unwrap();
        let arguments = ["audit", "--map", map.to_str().unwrap()];
        let report = theirs.json(&arguments, "", 0).await;
        assert_eq!((&report["state"], &report["points"]["students"]), (&json!("OK"), &json!(3)), "{from:?}");
        assert_eq!(report["points"]["most_of"], Value::Null);
        std::fs::write(&map, names.replace("unsigned_points = true", "")).unwrap();
        let report = theirs.json(&arguments, "", 1).await;
        assert_eq!(finding(&report, "point_transactions", "wrong-sign")["found"], 1, "{from:?}");
        assert_eq!(finding(&report, "student_points", "balance")["examples"][0]["actual"], "25 (10 too few)");
        theirs.remove().await;
    }
}

#[tokio::test]
async fn students_are_compared_to_the_byte_and_with_the_users() {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        let fold = match from {
            From::Sqlite => "COLLATE NOCASE",
            From::Postgres => "",
            From::MariaDb => "COLLATE utf8mb4_general_ci",
        };
        let tables = "CREATE TABLE users (id VARCHAR(40));
            CREATE TABLE student_points (student_id VARCHAR(40) {fold}, points BIGINT);
            CREATE TABLE point_transactions (student_id VARCHAR(40) {fold}, teacher_id VARCHAR(40), points_change BIGINT);
            INSERT INTO users VALUES ('ann'), ('Ann'), ('tom');
            INSERT INTO student_points VALUES ('Ann', 1), ('ann', 2);
            INSERT INTO point_transactions VALUES ('ann', 'tom', 1), ('Ann', 'tim', 1), ('ann', 'tom', 1), ('ben', NULL, 1);";
        theirs.sql(&tables.replace("{fold}", fold)).await;
        let report = theirs.json(&["audit"], "", 1).await;
        let found = report["findings"].as_array().unwrap().iter().filter(|found| found["found"] != 0);
        let found: Vec<_> = found
            .map(|found| {
                format!("{} {}", found["name"].as_str().unwrap(), found["examples"][0]["id"].as_str().unwrap())
            })
            .collect();
        let due = ["no-such-user student_id ben", "no-such-user teacher_id tim", "no-account student_id ben"];
        assert_eq!(found, due, "{from:?}");
        let map = theirs.file("map.toml");
        std::fs::write(&map, "student_prefix = \"student:\"\nteacher_prefix = \"teacher:\"\n").unwrap();
        let report = theirs.json(&["audit", "--map", map.to_str().unwrap()], "", 1).await;
        let orphans = report["findings"].as_array().unwrap().iter().filter(|found| found["name"] == "no-such-user");
        assert_eq!(orphans.count(), 0, "{from:?}: who has a prefix is not among the users");
        theirs.remove().await;
    }
}
