//! `tally check` as scripts use it: the binary, its exit status, its JSON.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Backend, TestDatabase, command, on_every_backend, run};

on_every_backend!(
    a_clean_demo_tallies_until_somebody_writes_by_hand,
    what_the_first_demo_user_likes_is_left_to_the_reader,
    an_item_that_there_is_not_is_an_error,
    a_database_that_is_not_there_is_an_error,
);

/// Demo contents and what visitors did; few enough for a test.
const CONTENTS: i64 = 40;

async fn demo(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["demo", "--visitors", "0", "--users", "10", "--listen", "127.0.0.1:0", "--contents"];
    let mut child = command()
        .args(arguments)
        .args([&CONTENTS.to_string(), "--database", &database.url])
        .env("TALLY_LOG", "error")
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let filled = async {
        while check(&database.url, &["--check", "figures"]).await.1["checks"][0]["checked"] != json!(CONTENTS) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Likes come after the contents, some three each.
        while database.number("SELECT count(*) FROM behaviors").await < CONTENTS {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), filled).await.expect("it is filled in time");
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
    tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it stops in time").expect("a status");
}

/// Status, JSON if there is any, errors.
async fn check(url: &str, more: &[&str]) -> (i32, Value, String) {
    let arguments = [&["check", "--json"], more].concat();
    let environment = [("DATABASE_URL", url), ("TALLY_LOG", "off")];
    let (status, text, errors) = run(&arguments, &environment, tempfile::tempdir().unwrap().path()).await;
    (status, serde_json::from_str(&text).unwrap_or_default(), errors)
}

async fn a_clean_demo_tallies_until_somebody_writes_by_hand(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    demo(&database).await;
    let (status, report, errors) = check(&database.url, &[]).await;
    assert_eq!((status, &report["state"]), (0, &json!("OK")), "{report:#}{errors}");
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["drifted"] == 0), "{report:#}");
    assert_eq!(report["recommendations"], json!([]));

    database.sql("UPDATE content_figures SET like_count = like_count + 1").await;
    let (status, report, _) = check(&database.url, &[]).await;
    assert_eq!((status, &report["state"]), (1, &json!("DRIFT")));
    let drifted = report["checks"].as_array().unwrap().iter().filter(|check| check["drifted"] != 0);
    let drifted: Vec<_> = drifted.map(|check| (&check["name"], &check["drifted"])).collect();
    assert_eq!(drifted, [(&json!("like-count"), &json!(CONTENTS))]);
    database.remove().await;
}

/// The README's first like is with the token that the demo prints: it is to change something.
async fn what_the_first_demo_user_likes_is_left_to_the_reader(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    demo(&database).await;
    let likes = async |which: &str| {
        database
            .number(&format!(
                "SELECT count(*) FROM behaviors JOIN users ON users.id = behaviors.user_id WHERE subject {which} 'demo-1'"
            ))
            .await
    };
    assert_eq!(likes("=").await, 0);
    assert!(likes("<>").await >= CONTENTS);
    database.remove().await;
}

async fn an_item_that_there_is_not_is_an_error(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    demo(&database).await;
    database.sql("UPDATE content_figures SET like_count = like_count + 1").await;
    let (_, report, _) = check(&database.url, &["--check", "like-count"]).await;
    let id = report["checks"][0]["examples"][0]["id"].as_str().expect("an id").to_owned();
    let (status, report, errors) = check(&database.url, &["--id", &id]).await;
    assert_eq!((status, report["checks"][0]["checked"].as_u64()), (1, Some(1)), "{errors}");
    let (kind, rest) = id.split_once('_').unwrap();
    let other = format!("{}_{rest}", if kind == "video" { "artwork" } else { "video" });
    let nobody = "user_01h455vb4pex5vsknk084sn02q";
    for (arguments, what) in [
        (vec!["--id", "artwork_01h455vb4pex5vsknk084sn02q"], "there is no artwork_01h455vb4pex5vsknk084sn02q"),
        (vec!["--id", &other], &*format!("there is no {other}")),
        (vec!["--id", nobody], &*format!("there is no {nobody}")),
        (vec!["--id", nobody, "--check", "like-count"], &*format!("none of these checks is about {nobody}")),
        (vec!["--id", &id, "--check", "outbox"], &*format!("none of these checks is about {id}")),
    ] {
        let (status, report, errors) = check(&database.url, &arguments).await;
        assert_eq!((status, report), (2, Value::Null), "{arguments:?}");
        assert!(errors.contains(what), "{arguments:?}: {errors}");
    }
    database.remove().await;
}

async fn a_database_that_is_not_there_is_an_error(backend: Backend) {
    let folder = tempfile::tempdir().unwrap();
    let url = match backend {
        Backend::Sqlite => format!("sqlite:{}/nothing.db", folder.path().display()),
        Backend::Postgres => "postgres://nobody:nothing@127.0.0.1:1/nothing".to_owned(),
    };
    let (status, report, errors) = check(&url, &[]).await;
    assert_eq!((status, report), (2, Value::Null), "{errors}");
    assert!(!errors.is_empty());
}
