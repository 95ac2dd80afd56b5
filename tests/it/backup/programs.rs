//! PostgreSQL's own programs: missing, too old, and what is said to them; and SQLite files that cannot be read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{furnished, likes, on};
use crate::harness::{Backend, SECRET, TestDatabase, run};

/// A shell script in the place of a program.
pub(super) fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The newest of PostgreSQL's programs here.
pub(super) fn newest(program: &str) -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path().join("bin"));
    let mut found: Vec<_> = versions.map(|folder| folder.join(program)).filter(|path| path.is_file()).collect();
    found.sort();
    found.pop().unwrap().to_str().unwrap().to_owned()
}

async fn back_up_with(database: &TestDatabase, programs: &Path, folder: &Path) -> (i32, String, String) {
    let bin = programs.to_str().unwrap();
    // The throwaway server trusts everybody, and hears the password all the same.
    let url = database.url.replace("postgres://postgres@", "postgres://postgres:hush%2Bpassword@");
    assert!(url.contains("hush"), "{url}");
    let environment = [("DATABASE_URL", &*url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_BACKUP_PG_BIN", bin)];
    run(&["backup", "--to", "shelf/"], &environment, folder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_are_missing_or_too_old_are_named() {
    let (database, _) = furnished(Backend::Postgres).await;
    let (folder, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let refused = async |expected: &str| {
        let (status, output, errors) = back_up_with(&database, programs.path(), folder.path()).await;
        assert_eq!((status, &*output), (2, ""), "{errors}");
        assert!(errors.contains(expected) && !errors.contains("hush"), "{errors}");
        assert_eq!(std::fs::read_dir(folder.path().join("shelf")).unwrap().count(), 0, "nothing is left behind");
    };
    refused("pg_dump, pg_restore and psql are not in backup.pg_bin").await;
    script(&programs.path().join("pg_restore"), "exit 1");
    script(&programs.path().join("pg_dump"), "echo 'pg_dump (PostgreSQL) 9.6.24'");
    refused("pg_dump, pg_restore and psql are not in backup.pg_bin").await;
    script(&programs.path().join("psql"), "exit 1");
    refused("pg_dump 9 is older than the server, PostgreSQL ").await;
    script(&programs.path().join("pg_dump"), "[ $1 = --version ] && echo 'pg_dump (PostgreSQL) 99.1' || exit 3");
    refused("pg_dump failed").await;
    // It ends well, and wrote nothing of use.
    script(&programs.path().join("pg_dump"), "echo 'pg_dump (PostgreSQL) 99.1'");
    script(&programs.path().join("pg_restore"), &format!("exec {} \"$@\"", newest("pg_restore")));
    refused("pg_restore failed").await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_in_no_list_of_processes() {
    let (database, _) = furnished(Backend::Postgres).await;
    let (folder, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let note = programs.path().join("note");
    for program in ["pg_dump", "pg_restore", "psql"] {
        let text = format!("echo \"$PGPASSWORD: $@\" >>{}; exec {} \"$@\"", note.display(), newest(program));
        script(&programs.path().join(program), &text);
    }
    let (status, output, errors) = back_up_with(&database, programs.path(), folder.path()).await;
    assert_eq!(status, 0, "{errors}");
    let noted = std::fs::read_to_string(note).unwrap();
    let dump = noted.lines().find(|line| line.contains("--format=custom")).unwrap();
    let (password, arguments) = dump.split_once(": ").unwrap();
    assert_eq!(password, "hush+password");
    assert!(!arguments.contains("hush") && !output.contains("hush") && !errors.contains("hush"), "{arguments}");
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_sqlite_cannot_read_is_replaced_and_kept() {
    let (database, count) = furnished(Backend::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let backup = super::back_up(&database, folder.path()).await;
    let backup = backup.to_str().unwrap();
    let file = database.url.strip_prefix("sqlite:").unwrap();
    std::fs::write(file, "not a database any more, whatever it was".repeat(100)).unwrap();
    let (status, _, errors) = on(&database, folder.path(), &["restore", backup]).await;
    assert!(status == 2 && errors.contains("is not empty"), "{errors}");
    let (status, output, errors) = on(&database, folder.path(), &["restore", "--replace", backup]).await;
    assert_eq!(status, 0, "{errors}");
    let kept = output.split("kept as ").nth(1).unwrap().lines().next().unwrap();
    assert!(std::fs::read_to_string(kept).unwrap().starts_with("not a database"), "{output}");
    assert_eq!(likes(&database).await, count);

    // A log without its database would be taken for the new one's.
    std::fs::remove_file(file).unwrap();
    std::fs::write(format!("{file}-wal"), "old").unwrap();
    let (status, _, errors) = on(&database, folder.path(), &["restore", backup]).await;
    assert!(status == 2 && errors.contains("-wal is there without its database"), "{errors}");
    assert!(!Path::new(file).exists());
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_do_not_turn_the_programs_to_another_server() {
    let (database, count) = furnished(Backend::Postgres).await;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), TestDatabase::create(Backend::Postgres).await);
    let run_on = async |database: &TestDatabase, arguments: &[&str]| {
        let environment = [
            ("DATABASE_URL", &*database.url),
            ("TALLY_AUTH_SECRET", SECRET),
            ("TALLY_LOG", "off"),
            // Nobody listens there; the URL says where the server is.
            ("PGHOSTADDR", "127.0.0.2"),
            ("PGSERVICE", "nowhere"),
            ("PGSERVICEFILE", "/dev/null"),
            ("PGTARGETSESSIONATTRS", "standby"),
            ("PGPORT", "1"),
            ("PGDATABASE", "postgres"),
        ];
        let (status, output, errors) = run(arguments, &environment, folder.path()).await;
        assert_eq!(status, 0, "{errors}");
        output
    };
    let file = run_on(&database, &["backup"]).await;
    run_on(&elsewhere, &["restore", file.trim()]).await;
    assert_eq!(likes(&elsewhere).await, count);
    elsewhere.remove().await;
    database.remove().await;
}
