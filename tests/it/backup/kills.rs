//! A restore that is killed: the database that was there is there, or the restored one, and the next run ends it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tally::app::Tally;

use super::programs::{newest, script};
use super::{back_up, furnished, likes, number, on};
use crate::harness::{Backend, Options, Process, SECRET, TestApp, TestDatabase, command};

const CONTENTS: &str = "SELECT count(*) FROM contents";

/// A database with two contents, and a backup with one of them.
async fn two_and_one(backend: Backend, folder: &Path) -> (TestDatabase, PathBuf, i64) {
    let (database, count) = furnished(backend).await;
    let file = back_up(&database, folder).await;
    let app = TestApp::start_on::<Tally>(database.shared(), Options::default()).await;
    app.user("author").publish("after the backup").await;
    app.stop().await;
    (database, file, count)
}

fn restore(database: &TestDatabase, file: &Path, folder: &Path, programs: Option<&Path>) -> tokio::process::Child {
    let mut command = command();
    command
        .args(["restore", "--replace"])
        .arg(file)
        .env("DATABASE_URL", &database.url)
        .env("TALLY_AUTH_SECRET", SECRET)
        .env("TALLY_LOG", "off")
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(programs.map(|folder| ("TALLY_BACKUP_PG_BIN", folder)))
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command.spawn().unwrap()
}

/// Whether a process has ended that is nobody's child any more; whoever inherits it may be slow to collect it.
fn has_ended(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    !pid.is_empty() && stat.map_or(true, |stat| stat.contains(") Z "))
}

fn in_folder(file: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_of_sqlite_leaves_a_whole_database() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backup, count) = two_and_one(Backend::Sqlite, folder.path()).await;
    let file = PathBuf::from(database.url.strip_prefix("sqlite:").unwrap());
    // As it was killed between its two steps, and in the first of them.
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", file.display()));
    std::fs::hard_link(&file, beside(".replaced-20200101T000000Z")).unwrap();
    std::fs::write(beside(".replaced-somebody's"), "somebody's").unwrap();
    std::fs::write(beside(".restoring"), "half a database").unwrap();
    let began = Instant::now();
    assert!(restore(&database, &backup, folder.path(), None).wait().await.unwrap().success());
    let took = began.elapsed();
    assert_eq!(likes(&database).await, count);
    assert!(!beside(".replaced-20200101T000000Z").exists() && !beside(".restoring").exists());
    assert!(beside(".replaced-somebody's").exists());

    for part in 0..16 {
        let app = TestApp::start_on::<Tally>(database.shared(), Options::default()).await;
        app.user("author").publish("after the backup").await;
        let contents = app.number(CONTENTS).await;
        app.stop().await;
        let mut child = restore(&database, &backup, folder.path(), None);
        tokio::time::sleep(took * part / 16).await;
        child.kill().await.unwrap();
        let there = number(&database, CONTENTS).await;
        assert!(there == contents || there == 1, "{there} contents after {part}/16");
        assert_eq!(likes(&database).await, count, "after {part}/16");
    }
    // Copies have other names within a second than this one's.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(restore(&database, &backup, folder.path(), None).wait().await.unwrap().success());
    assert_eq!(number(&database, CONTENTS).await, 1);
    let inode = std::fs::metadata(&file).unwrap().ino();
    let same = in_folder(&file).into_iter().filter(|path| std::fs::metadata(path).unwrap().ino() == inode);
    assert_eq!(same.count(), 1, "no kept database is the one that is there");
    assert!(!beside(".restoring").exists());
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_of_postgres_leaves_all_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backup, count) = two_and_one(Backend::Postgres, folder.path()).await;
    let (pg_restore, psql) = (newest("pg_restore"), newest("psql"));
    // What each program does with its words; `reached` says that the moment has come.
    let reading = r#"case "$*" in *--file=-*)"#;
    let cases = [
        (
            "before the archive is read",
            format!("{reading} touch reached; sleep 60;; esac\nexec {pg_restore} \"$@\""),
            None,
        ),
        (
            "in the middle of it",
            format!(
                "{reading} {pg_restore} \"$@\" | head -n 200; touch reached; sleep 60;; esac\nexec {pg_restore} \"$@\""
            ),
            None,
        ),
        (
            "when all but the end is there",
            format!("{reading} {pg_restore} \"$@\"; touch reached; sleep 60;; esac\nexec {pg_restore} \"$@\""),
            None,
        ),
        (
            "before psql begins",
            format!("exec {pg_restore} \"$@\""),
            Some(format!("touch reached; sleep 2; exec {psql} \"$@\"")),
        ),
    ];
    for (moment, restoring, running) in cases {
        let programs = tempfile::tempdir().unwrap();
        script(&programs.path().join("pg_dump"), &format!("exec {} \"$@\"", newest("pg_dump")));
        script(&programs.path().join("pg_restore"), &restoring);
        let running = running.unwrap_or_else(|| format!("exec {psql} \"$@\""));
        script(&programs.path().join("psql"), &format!("echo $$ >psql.pid\n{running}"));
        let psql_pid = folder.path().join("psql.pid");
        let reached = folder.path().join("reached");
        let mut child = restore(&database, &backup, folder.path(), Some(programs.path()));
        let began = Instant::now();
        while !reached.exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "{moment}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        child.kill().await.unwrap();
        std::fs::remove_file(reached).unwrap();
        assert_eq!(number(&database, CONTENTS).await, 2, "{moment}");
        // It has not even begun, maybe, and reads all that it was sent before.
        while !std::fs::read_to_string(&psql_pid).is_ok_and(|pid| has_ended(pid.trim())) {
            assert!(began.elapsed() < Duration::from_secs(50), "{moment}: psql goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(&psql_pid).unwrap();
        // PostgreSQL's own session ends with its input; it may be a moment later.
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tally backup'";
        while number(&database, sessions).await > 0 {
            assert!(began.elapsed() < Duration::from_secs(50), "{moment}: a session stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tally%'";
        assert_eq!((number(&database, CONTENTS).await, number(&database, left).await), (2, 0), "{moment}");
        assert_eq!(likes(&database).await, count, "{moment}");
    }
    assert!(restore(&database, &backup, folder.path(), None).wait().await.unwrap().success());
    assert_eq!((number(&database, CONTENTS).await, likes(&database).await), (1, count));
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_is_not_replaced_under_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (database, backup, _) = two_and_one(Backend::Sqlite, folder.path()).await;
    let server = Process::serve(&database).await;
    let file = database.url.strip_prefix("sqlite:").unwrap();
    // The head of the first page: whoever opens it now finds no database. (What the server writes meanwhile may be lost with
    // it, so that only the file is looked at.)
    let inode = || std::fs::metadata(file).unwrap().ino();
    let (before, names) = (inode(), in_folder(Path::new(file)));
    {
        use std::io::Write as _;
        std::fs::OpenOptions::new().write(true).open(file).unwrap().write_all(&[b'x'; 100]).unwrap();
    }
    let arguments = ["restore", "--replace", backup.to_str().unwrap()];
    let (status, output, errors) = on(&database, folder.path(), &arguments).await;
    assert_eq!((status, &*output), (2, ""), "{errors}");
    assert!(errors.contains("is in use"), "{errors}");
    assert_eq!((inode(), in_folder(Path::new(file)).len()), (before, names.len()), "nothing was replaced or added");
    server.kill().await;
    let (status, _, errors) = on(&database, folder.path(), &arguments).await;
    assert_eq!((status, number(&database, CONTENTS).await), (0, 1), "once nobody has it open: {errors}");
    database.remove().await;
}
