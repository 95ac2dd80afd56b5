//! `tally audit`: everything that is wrong is found, and nothing is touched.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{EVERY, From, Theirs, execute, server};
use crate::harness::run;

/// What is wrong in the fixture: (table, finding, how many, which).
const PLANTED: [(&str, &str, u64, &[&str]); 14] = [
    ("artworks", "like-count", 2, &["id 2", "id 6"]),
    ("artworks", "favorite-count", 1, &["id 5"]),
    ("artworks", "hot-missing", 1, &["id 3"]),
    ("artworks", "hot-stale", 1, &["id 4"]),
    ("artworks", "bad-time", 1, &["id 6"]),
    ("artworks_like", "null-key", 2, &["artwork_id 2, user_id NULL", "artwork_id NULL, user_id ann"]),
    ("artworks_like", "duplicate", 1, &["artwork_id 1, user_id ann"]),
    ("artworks_like", "no-such-artwork", 1, &["artwork_id 99"]),
    ("artworks_favorite", "duplicate", 1, &["artwork_id 5, user_id ann"]),
    ("user_behaviors", "null-key", 1, &["user_id NULL, video_id v2, behavior_type like"]),
    ("user_behaviors", "duplicate", 2, &["user_id ann, video_id v1, behavior_type like"]),
    ("user_behaviors", "bad-time", 1, &["user_id dan, video_id v2, behavior_type like"]),
    ("user_behaviors", "future-time", 1, &["user_id eva, video_id v2, behavior_type like"]),
    ("artworks", "wrong-type", 0, &[]),
];

pub(super) fn finding<'a>(report: &'a Value, table: &str, name: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["table"] == table && finding["name"] == name);
    found.unwrap_or_else(|| panic!("no {table} {name} in {report:#}"))
}

fn ids(finding: &Value) -> Vec<&str> {
    let mut ids: Vec<_> =
        finding["examples"].as_array().unwrap().iter().map(|example| example["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn everything_that_is_wrong_is_found_and_nothing_else() {
    for from in EVERY {
        let theirs = Theirs::broken(from).await;
        let report = theirs.json(&["audit"], "", 1).await;
        assert_eq!(report["state"], "DRIFT");
        let mut wrong: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for found in report["findings"].as_array().unwrap().iter().filter(|found| found["found"] != 0) {
            let key = (found["table"].as_str().unwrap(), found["name"].as_str().unwrap());
            wrong.insert(key, found["found"].as_u64().unwrap());
        }
        let planted = PLANTED.iter().filter(|(_, _, count, _)| *count > 0);
        let planted: BTreeMap<_, _> = planted.map(|(table, name, count, _)| ((*table, *name), *count)).collect();
        assert_eq!(wrong, planted, "{from:?}");
        for (table, name, _, which) in PLANTED {
            assert_eq!(ids(finding(&report, table, name)), which, "{from:?} {table} {name}");
        }
        let examples = |table, name| finding(&report, table, name)["examples"].clone();
        assert_eq!(
            examples("artworks", "like-count"),
            json!([
                { "id": "id 2", "stored": "5", "actual": "1" },
                { "id": "id 6", "stored": "NULL", "actual": "0" },
            ]),
            "{from:?}"
        );
        let favorites = json!([{ "id": "id 5", "stored": "3", "actual": "2, in 3 rows" }]);
        assert_eq!(examples("artworks", "favorite-count"), favorites);
        let stale = json!([{
            "id": "id 4", "stored": "last_hot_update 2026-01-02T00:00:00Z", "actual": "2026-01-05T10:00:00Z",
        }]);
        assert_eq!(examples("artworks", "hot-stale"), stale, "{from:?}");
        let rows: Vec<_> = report["tables"].as_array().unwrap().iter().map(|table| table["rows"].clone()).collect();
        assert_eq!(rows, [6, 8, 4, 11]);
        let absent = report["absent"].as_array().unwrap();
        assert!(absent.contains(&json!("users")) && absent.contains(&json!("videos")), "{absent:?}");

        let (status, text, errors) = theirs.tally(&["audit", "--examples", "1"], "").await;
        assert_eq!((status, &*errors), (1, ""), "{from:?}");
        assert!(text.contains("id 2: stored 5, should be 1") && !text.contains("id 6: stored NULL"), "{text}");
        assert!(text.ends_with("drift found\n") && text.contains("the first 1"), "{text}");
        theirs.remove().await;
    }
}

#[tokio::test]
async fn the_page_needs_nothing_else_and_shows_what_is_wrong() {
    let theirs = Theirs::broken(From::Sqlite).await;
    theirs.sql("UPDATE artworks_like SET user_id = '<script>alert(1)</script>' WHERE user_id = 'cas'").await;
    theirs.sql("INSERT INTO artworks_like SELECT * FROM artworks_like WHERE user_id LIKE '<script>%'").await;
    let page = theirs.file("audit.html");
    assert_eq!(theirs.tally(&["audit", "--html", page.to_str().unwrap()], "").await.0, 1);
    let page = std::fs::read_to_string(page).unwrap();
    for foreign in ["http:", "https:", "src=", "@import", "url(", "<link", "<script"] {
        assert!(!page.contains(foreign), "{foreign} in {page}");
    }
    for shown in ["artwork_id 99", "发现不一致", "Drift found", "热度未随最新互动更新", "&lt;script&gt;alert(1)"]
    {
        assert!(page.contains(shown), "no {shown} in {page}");
    }
    let nowhere = theirs.file("no/such/folder.html");
    let (status, output, errors) = theirs.tally(&["audit", "--html", nowhere.to_str().unwrap()], "").await;
    assert!(status == 2 && errors.contains("cannot be written"), "{errors}");
    assert_eq!(output, "", "it is said before anything is read");
    // What has no length gets the page all the same; where there is no room for it, the report was said before.
    for (place, due) in [("/dev/null", 1), ("/dev/full", 2)] {
        let (status, output, errors) = theirs.tally(&["audit", "--html", place], "").await;
        assert_eq!((status, errors.contains("cannot be written")), (due, due == 2), "{place}: {errors}");
        assert!(output.contains("drift found"), "{place}: {output}");
    }
    let page = theirs.file("none.html");
    theirs
        .sql("DROP TABLE artworks; DROP TABLE artworks_like; DROP TABLE artworks_favorite; DROP TABLE user_behaviors")
        .await;
    assert_eq!(theirs.tally(&["audit", "--html", page.to_str().unwrap()], "").await.0, 2);
    assert!(!page.exists(), "no page of an audit that could not begin");
    theirs.remove().await;
}

#[tokio::test]
async fn what_tallies_ends_with_0_and_what_is_not_there_is_said() {
    for from in EVERY {
        let theirs = Theirs::empty(from).await;
        let (status, output, errors) = theirs.tally(&["audit"], "").await;
        assert_eq!((status, &*output), (2, ""), "{from:?}");
        assert!(errors.contains("none of the tables artworks, "), "{errors}");
        theirs.sql("CREATE TABLE artworks_like (user_id BIGINT)").await;
        let (status, _, errors) = theirs.tally(&["audit"], "").await;
        assert!(status == 2 && errors.contains("no column artwork_id"), "{errors}");
        // Names of their own, ids of different types, and no time at all.
        theirs
            .sql(
                "CREATE TABLE t_art (nr BIGINT, likes BIGINT);
                 CREATE TABLE t_like (work VARCHAR(20), fan VARCHAR(20));
                 INSERT INTO t_art VALUES (1, 2), (2, 0);
                 INSERT INTO t_like VALUES ('1', 'a'), ('1', 'b');",
            )
            .await;
        let map = theirs.file("map.toml");
        let names = "[artworks]\ntable = \"t_art\"\nid = \"nr\"\nlike_count = \"likes\"\n\
                     [artworks_like]\ntable = \"t_like\"\nartwork_id = \"work\"\nuser_id = \"fan\"\n";
        std::fs::write(&map, names).unwrap();
        let report = theirs.json(&["audit", "--map", map.to_str().unwrap()], "", 0).await;
        assert_eq!((&report["state"], &report["consistency_rate"]), (&json!("OK"), &json!(1.0)), "{from:?}");
        assert_eq!(report["tables"][0], json!({ "table": "artworks", "name": "t_art", "rows": 2 }));
        assert!(report["absent"].as_array().unwrap().contains(&json!("artworks.hot_score")));
        theirs.sql("UPDATE t_art SET likes = 3 WHERE nr = 2").await;
        let report = theirs.json(&["audit", "--map", map.to_str().unwrap()], "", 1).await;
        assert_eq!(ids(finding(&report, "artworks", "like-count")), ["id 2"], "{from:?}");
        std::fs::write(&map, names.replace("\"likes\"", "\"like\\\"s; DROP TABLE t_art\"")).unwrap();
        let (status, _, errors) = theirs.tally(&["audit", "--map", map.to_str().unwrap()], "").await;
        assert!(status == 2 && errors.contains("no such column"), "{errors}");
        theirs.remove().await;
    }
}

#[tokio::test]
async fn values_of_a_wrong_type_are_found() {
    let theirs = Theirs::broken(From::Sqlite).await;
    let plant =
        "UPDATE artworks SET like_count = 'many', hot_score = 'hot', last_hot_update = 'yesterday' WHERE id = 1;
                 UPDATE artworks_like SET created_at = 'once' WHERE artwork_id = 4";
    theirs.sql(plant).await;
    let report = theirs.json(&["audit"], "", 1).await;
    let wrong = finding(&report, "artworks", "wrong-type");
    let stored: Vec<_> =
        wrong["examples"].as_array().unwrap().iter().map(|example| example["stored"].as_str().unwrap()).collect();
    assert_eq!(stored, ["like_count many", "hot_score hot", "last_hot_update yesterday"]);
    assert_eq!(ids(finding(&report, "artworks_like", "bad-time")), ["artwork_id 4, user_id cas"]);
    theirs.remove().await;
}

#[tokio::test]
async fn whoever_may_not_read_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    for from in [From::Postgres, From::MariaDb] {
        let theirs = Theirs::broken(from).await;
        let user = format!("u{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        let (make, drop) = match from {
            From::Postgres => (format!("CREATE ROLE {user} LOGIN"), format!("DROP ROLE {user}")),
            _ => (
                format!(
                    "CREATE USER {user}@'%' IDENTIFIED BY 'secret'; GRANT CREATE ON {}.* TO {user}@'%'",
                    theirs.name
                ),
                format!("DROP USER {user}@'%'"),
            ),
        };
        execute(&theirs.url, &make).await;
        let (scheme, rest) = server(from).split_once("://").map(|(s, r)| (s.to_owned(), r.to_owned())).unwrap();
        let place = rest.rsplit('@').next().unwrap().to_owned();
        let url = format!("{scheme}://{user}:secret@{place}/{}", theirs.name);
        let (status, output, errors) = run(&["audit", "--from", &url], &[], folder.path()).await;
        assert_eq!((status, &*output), (2, ""), "{from:?} {errors}");
        assert!(errors.contains("no permission"), "{from:?}: {errors}");
        assert!(!errors.contains("secret") && !errors.contains(" FROM "), "{errors}");
        execute(&theirs.url, &drop).await;
        theirs.remove().await;
    }
    for (url, due) in [
        ("sqlite:/no/such/file.db", "there is no file"),
        ("oracle://x", "--from must begin with"),
        ("postgres://nobody:secret@127.0.0.1:1/x", "cannot be opened"),
        ("mysql://nobody:secret@127.0.0.1:1/x", "cannot be opened"),
    ] {
        let (status, output, errors) = run(&["audit", "--from", url], &[], folder.path()).await;
        assert_eq!((status, &*output), (2, ""), "{url}");
        assert!(errors.contains(due) && !errors.contains("secret"), "{url}: {errors}");
    }
    std::fs::write(folder.path().join("text.db"), "this is no database, however long the text of it may be").unwrap();
    let url = format!("sqlite:{}/text.db", folder.path().display());
    let (status, _, errors) = run(&["audit", "--from", &url], &[], folder.path()).await;
    assert!(status == 2 && errors.contains("not a database"), "{errors}");
}
