//! SQLite's file: whose it is after a restore, and what is beside it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::{back_up, furnished, likes, on};
use crate::harness::{Backend, Process, TestDatabase};

/// A user and a group that nothing here runs as.
const STRANGER: u32 = 54_321;

fn file_of(database: &TestDatabase) -> PathBuf {
    PathBuf::from(database.url.strip_prefix("sqlite:").unwrap())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

async fn restored(database: &TestDatabase, folder: &Path, backup: &Path) -> String {
    let (status, output, errors) = on(database, folder, &["restore", "--replace", backup.to_str().unwrap()]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_file_belongs_to_whom_the_one_before_belonged() {
    let (database, count) = furnished(Backend::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let backup = back_up(&database, folder.path()).await;
    let (file, lock) = (file_of(&database), beside(&file_of(&database), "-lock"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::remove_file(&lock).unwrap();
    // Only root may give files away.
    let is_root = chown(&file, Some(STRANGER), Some(STRANGER)).is_ok();
    restored(&database, folder.path(), &backup).await;
    assert_eq!((mode(&file), mode(&lock)), (0o640, 0o640));
    let owner = |path: &Path| std::fs::metadata(path).map(|there| (there.uid(), there.gid())).unwrap();
    if is_root {
        assert_eq!((owner(&file), owner(&lock)), ((STRANGER, STRANGER), (STRANGER, STRANGER)));
    }
    assert_eq!(likes(&database).await, count);

    // Where none was, it is the folder's owner's, and nobody else's.
    let elsewhere = TestDatabase::create(Backend::Sqlite).await;
    let file = file_of(&elsewhere);
    if is_root {
        chown(file.parent().unwrap(), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    restored(&elsewhere, folder.path(), &backup).await;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(owner(&file), owner(file.parent().unwrap()));
    elsewhere.remove().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_a_database_stays_one_and_is_locked_with_it() {
    let (database, count) = furnished(Backend::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let backup = back_up(&database, folder.path()).await;
    let (file, link) = (file_of(&database), folder.path().join("link.db"));
    symlink(&file, &link).unwrap();
    let mut linked = database.shared();
    linked.url = format!("sqlite:{}", link.display());
    let server = Process::serve(&linked).await;
    assert!(!beside(&link, "-lock").exists(), "two names, two locks");
    // Whoever opens it now finds no database, and SQLite no lock of its own.
    // In its place: the server has the file in its memory, and would be ended if it became shorter.
    {
        use std::io::Write as _;
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(&[b'x'; 100]).unwrap();
    }
    let arguments = ["restore", "--replace", backup.to_str().unwrap()];
    for name in [&database, &linked] {
        let (status, _, errors) = on(name, folder.path(), &arguments).await;
        assert!(status == 2 && errors.contains("in use"), "{errors}");
    }
    server.kill().await;

    // The log that nobody can read any more goes with its database.
    std::fs::write(&file, "not a database any more, whatever it was".repeat(100)).unwrap();
    std::fs::write(beside(&file, "-wal"), "its log").unwrap();
    let output = restored(&linked, folder.path(), &backup).await;
    assert!(link.is_symlink() && !file.is_symlink());
    let kept = output.split("kept as ").nth(1).unwrap().lines().next().unwrap();
    assert!(kept.starts_with(beside(&file.canonicalize().unwrap(), ".replaced-").to_str().unwrap()), "{output}");
    assert!(std::fs::read_to_string(kept).unwrap().starts_with("not a database"), "{output}");
    assert_eq!(std::fs::read_to_string(format!("{kept}-wal")).unwrap(), "its log");
    assert_eq!((likes(&database).await, likes(&linked).await), (count, count));
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_moved_before_a_restore_was_killed_keeps_its_database() {
    let (database, count) = furnished(Backend::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let backup = back_up(&database, folder.path()).await;
    let file = file_of(&database);
    std::fs::write(&file, "not a database any more, whatever it was".repeat(100)).unwrap();
    let kept = beside(&file, ".replaced-20200101T000000Z");
    std::fs::hard_link(&file, &kept).unwrap();
    std::fs::write(beside(&kept, "-wal"), "its log").unwrap();
    restored(&database, folder.path(), &backup).await;
    assert!(std::fs::read_to_string(&kept).unwrap().starts_with("not a database"));
    assert_eq!(std::fs::read_to_string(beside(&kept, "-wal")).unwrap(), "its log");
    assert_eq!(likes(&database).await, count);
    database.remove().await;
}

/// `tally` beside a disk of its own, `disk`, of which only it knows.
fn beside_a_disk(disk: &Path, size: &str, before: &str, arguments: &[&str], url: &str) -> (i32, String) {
    let shell = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_tally"))
            .args(arguments)
            .env("DATABASE_URL", url);
        command.env("TALLY_AUTH_SECRET", crate::harness::SECRET).current_dir(disk).output()
    };
    let mount = format!("mount -t tmpfs -o size={size} none {}", disk.display());
    let made = shell(&mount).expect("unshare, of Debian's util-linux");
    let why = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "a full disk needs a mount namespace, which this machine refuses: {why}");
    let ended = shell(&format!("{mount} && {before} && exec \"$0\" \"$@\"")).unwrap();
    (ended.status.code().unwrap(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named() {
    let (database, _) = furnished(Backend::Sqlite).await;
    let disk = tempfile::tempdir().unwrap();
    let to = disk.path().join("x.backup");
    let backup = ["backup", "--to", to.to_str().unwrap()];
    let (status, errors) = beside_a_disk(disk.path(), "100k", "true", &backup, &database.url);
    let due = format!("there is no room for the backup in {}", disk.path().display());
    assert!(status == 2 && errors.contains(&due), "{status} {errors}");
    let (file, copy) = (file_of(&database), disk.path().join("copy.db"));
    // Everything fits but what SQLite needs beside it.
    let fill = format!(
        "cp {} {} && (cat /dev/zero > {} || true) 2>/dev/null",
        file.display(),
        copy.display(),
        disk.path().join("rest").display()
    );
    let url = format!("sqlite:{}", copy.display());
    let (status, errors) = beside_a_disk(disk.path(), "8m", &fill, &["check"], &url);
    let due = format!("there is no room on the disk of {}", copy.display());
    assert!(status == 2 && errors.contains(&due), "{status} {errors}");
    database.remove().await;
}
