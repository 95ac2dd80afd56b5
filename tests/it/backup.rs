//! `tally backup` and `tally restore`: whole while clients write, refused where anything is wrong, and nothing lost.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tally::app::Tally;

use crate::harness::{Backend, Options, Process, SECRET, TestApp, TestDatabase, on_every_backend, run};

mod files;
mod kills;
mod programs;
mod schemas;

on_every_backend!(
    a_backup_while_sixteen_clients_like_holds_all_that_was_acknowledged_before,
    broken_cut_off_and_foreign_files_change_nothing,
    a_database_in_use_is_not_replaced,
    what_is_replaced_is_kept,
    a_backup_overwrites_nothing_and_leaves_nothing_half_done,
    a_backup_before_an_upgrade_is_the_way_back,
    a_database_beyond_this_build_is_not_backed_up,
    a_repair_begins_with_a_backup_if_it_is_told_to,
    a_database_that_is_not_there_is_not_backed_up,
);

/// Runs a command on a database in a folder.
async fn on(database: &TestDatabase, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "off")];
    run(arguments, &environment, folder).await
}

/// A backup, and where it is.
async fn back_up(database: &TestDatabase, folder: &Path) -> PathBuf {
    let (status, output, errors) = on(database, folder, &["backup"]).await;
    assert_eq!(status, 0, "{errors}");
    assert!(errors.contains("read again and found whole"), "{errors}");
    assert_eq!(output.lines().count(), 1, "the path alone: {output}");
    folder.join(output.trim())
}

fn manifest_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.json", file.display()))
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stopped database in which artworks have likes, and how many.
async fn furnished(backend: Backend) -> (TestDatabase, i64) {
    let app = TestApp::start(backend).await;
    let id = app.user("author").publish("one").await;
    for who in ["ann", "ben", "eve"] {
        app.user(who).act("like", &id).await.data();
    }
    (app.stop().await, 3)
}

async fn likes(database: &TestDatabase) -> i64 {
    let app = TestApp::start_on::<Tally>(database.shared(), Options::default()).await;
    let likes = app.number("SELECT count(*) FROM behaviors WHERE removed_at IS NULL").await;
    app.stop().await;
    likes
}

async fn a_backup_while_sixteen_clients_like_holds_all_that_was_acknowledged_before(backend: Backend) {
    const CLIENTS: usize = 16;
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let mut artworks = Vec::new();
    for n in 0..60 {
        artworks.push(author.publish(&format!("artwork {n}")).await);
    }
    let done = tokio_util::sync::CancellationToken::new();
    let acknowledged = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut liking = Vec::new();
    for n in 0..CLIENTS {
        let (client, artworks, done) = (app.user(&format!("fan {n}")), artworks.clone(), done.clone());
        let acknowledged = std::sync::Arc::clone(&acknowledged);
        liking.push(tokio::spawn(async move {
            for id in artworks {
                if done.is_cancelled() {
                    break;
                }
                client.act("like", &id).await.data();
                acknowledged.lock().unwrap().push((n, id));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }));
    }
    while acknowledged.lock().unwrap().len() < 100 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = acknowledged.lock().unwrap().clone();
    let folder = tempfile::tempdir().unwrap();
    let file = back_up(&app.database, folder.path()).await;
    let during = acknowledged.lock().unwrap().len();
    assert!(during > before.len(), "nobody could like while the backup was made");
    done.cancel();
    for task in liking {
        task.await.unwrap();
    }
    app.finish().await;

    let elsewhere = TestDatabase::create(backend).await;
    let (status, output, errors) = on(&elsewhere, folder.path(), &["restore", file.to_str().unwrap()]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert!(output.contains("\n0 migration(s) applied\nevery number tallies\n"), "{output}");
    let app = TestApp::start_on::<Tally>(elsewhere, Options::default()).await;
    for n in 0..CLIENTS {
        let client = app.user(&format!("fan {n}"));
        let query = "query ($ids: [ID!]!) { contents(ids: $ids) { id viewerHasLiked } }";
        let answer = client.run(query, json!({ "ids": artworks })).await;
        for content in answer.data()["contents"].as_array().unwrap() {
            let was_acknowledged = before.iter().any(|(who, id)| *who == n && content["id"] == **id);
            assert!(!was_acknowledged || content["viewerHasLiked"] == true, "fan {n}: {content}");
        }
    }
    assert_eq!(
        app.number("SELECT count(*) FROM nodes").await,
        1,
        "of those that ran when it was made, nothing is left"
    );
    app.finish().await;
}

/// A file that is no backup, or no whole one: its name, what it holds, its manifest, and what is said of it.
type Broken = (&'static str, Vec<u8>, Option<String>, &'static str);

fn broken(backend: Backend, good: &Path) -> [Broken; 12] {
    let whole = std::fs::read(good).unwrap();
    let manifest = std::fs::read_to_string(manifest_of(good)).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&manifest).unwrap();
        edit(&mut value);
        Some(value.to_string())
    };
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let other = if backend == Backend::Sqlite { "postgres" } else { "sqlite" };
    let text = b"a shopping list".to_vec();
    let sealed = |bytes: &[u8], edit: &dyn Fn(&mut Value)| {
        edited(&|m| {
            m["bytes"] = json!(bytes.len());
            m["sha256"] = json!(sha256(bytes));
            edit(m);
        })
    };
    let foreign_text = if backend == Backend::Sqlite { "it is no SQLite database" } else { "pg_restore failed" };
    [
        ("flipped", flipped, Some(manifest.clone()), "is broken: its SHA-256 is not that of its manifest"),
        ("cut", whole[..middle].to_vec(), Some(manifest.clone()), "is cut off: "),
        ("longer", [&whole[..], b"more"].concat(), Some(manifest.clone()), "is broken"),
        ("empty", Vec::new(), Some(manifest.clone()), "is cut off: 0 bytes of "),
        ("sealed", text.clone(), sealed(&text, &|_| ()), foreign_text),
        (
            "rows",
            whole.clone(),
            edited(&|m| m["tables"]["contents"] = json!(2)),
            "what was restored is not what the manifest says",
        ),
        (
            "lacking",
            whole.clone(),
            edited(&|m| m["migrations"]["users"] = json!([])),
            "what was restored is not what the manifest says",
        ),
        (
            "module",
            whole.clone(),
            edited(&|m| m["migrations"]["guestbook"] = json!(["M0001Notes"])),
            "whose module guestbook this tally",
        ),
        ("foreign", text, None, "is no backup of `tally backup`, or one that was never finished"),
        ("nonsense", whole.clone(), Some("{}".into()), "is not the manifest of a backup"),
        ("other", whole.clone(), edited(&|m| m["backend"] = json!(other)), "it goes back to the kind it came from"),
        (
            "newer",
            whole.clone(),
            edited(&|m| m["migrations"]["users"].as_array_mut().unwrap().push(json!("M9999Later"))),
            "whose migration users/M9999Later this tally",
        ),
    ]
}

async fn broken_cut_off_and_foreign_files_change_nothing(backend: Backend) {
    let (database, count) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let good = back_up(&database, folder.path()).await;
    for (name, bytes, manifest, expected) in broken(backend, &good) {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        if let Some(manifest) = manifest {
            std::fs::write(manifest_of(&file), manifest).unwrap();
        }
        for arguments in [&["restore", name][..], &["restore", "--replace", name]] {
            let (status, output, errors) = on(&database, folder.path(), arguments).await;
            assert_eq!((status, &*output), (2, ""), "{name}: {errors}");
            // One that is not empty is refused before its own contents are looked at, without `--replace`.
            let late = ["sealed", "rows", "lacking"].contains(&name);
            let refused = late && arguments.len() == 2 && errors.contains("is not empty");
            assert!(refused || errors.contains(expected) && (late || errors.contains(name)), "{name}: {errors}");
        }
    }
    let (status, _, errors) = on(&database, folder.path(), &["restore", "nowhere"]).await;
    assert!(status == 2 && errors.contains("there is no file nowhere"), "{errors}");
    assert_eq!(likes(&database).await, count);
    // Nor is a copy left beside it, or a schema.
    let replaced = if let Some(file) = database.url.strip_prefix("sqlite:") {
        let names = std::fs::read_dir(Path::new(file).parent().unwrap()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".re")).count() as i64
    } else {
        number(&database, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tally%'").await
    };
    assert_eq!(replaced, 0);
    database.remove().await;
}

/// One number of a stopped database.
async fn number(database: &TestDatabase, sql: &str) -> i64 {
    use sea_orm::{ConnectionTrait as _, Database, Statement};
    let connection = Database::connect(&database.url).await.unwrap();
    let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await.unwrap();
    let number = row.unwrap().try_get_by_index(0).unwrap();
    connection.close().await.unwrap();
    number
}

async fn a_database_in_use_is_not_replaced(backend: Backend) {
    let (database, _) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(&database).await;
    let file = back_up(&database, folder.path()).await;
    let file = file.to_str().unwrap();
    let (status, output, errors) = on(&database, folder.path(), &["restore", "--replace", file]).await;
    assert_eq!((status, &*output), (2, ""), "{errors}");
    assert!(errors.contains("in use"), "{errors}");
    let token = on(&database, folder.path(), &["token", "--user", "late"]).await.1;
    let client = crate::harness::Client::new(&server.url, Some(token.trim().to_owned()));
    client.publish("the server never noticed").await;
    assert_eq!(server.stop().await.0, 0);
    let (status, _, errors) = on(&database, folder.path(), &["restore", "--replace", file]).await;
    assert_eq!(status, 0, "{errors}");
    let app = TestApp::start_on::<Tally>(database, Options::default()).await;
    assert_eq!(app.number("SELECT count(*) FROM contents").await, 1, "as it was when the backup was made");
    app.finish().await;
}

async fn what_is_replaced_is_kept(backend: Backend) {
    let (database, count) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let file = back_up(&database, folder.path()).await;
    let file = file.to_str().unwrap();
    let app = TestApp::start_on::<Tally>(database.shared(), Options::default()).await;
    app.user("author").publish("after the backup").await;
    app.stop().await;

    let (status, output, errors) = on(&database, folder.path(), &["restore", file]).await;
    assert_eq!((status, &*output), (2, ""), "{errors}");
    assert!(errors.contains("is not empty: `--replace`"), "{errors}");
    let (status, output, errors) = on(&database, folder.path(), &["restore", "--replace", file]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert_eq!(likes(&database).await, count);
    let contents = "SELECT count(*) FROM contents";
    let app = TestApp::start_on::<Tally>(database.shared(), Options::default()).await;
    assert_eq!(app.number(contents).await, 1);
    match backend {
        Backend::Postgres => {
            let name = output.split("kept in schema ").nth(1).unwrap().lines().next().unwrap();
            assert_eq!(app.number(&format!("SELECT count(*) FROM {name}.contents")).await, 2, "{output}");
            app.stop().await;
        }
        Backend::Sqlite => {
            app.stop().await;
            let name = output.split("kept as ").nth(1).unwrap().lines().next().unwrap();
            let mut kept = database.shared();
            kept.url = format!("sqlite:{name}");
            let app = TestApp::start_on::<Tally>(kept, Options::default()).await;
            assert_eq!(app.number(contents).await, 2, "{output}");
            app.stop().await;
        }
    }
    // What is kept is in no later backup, and in nobody's way.
    let again = back_up(&database, folder.path()).await;
    let elsewhere = TestDatabase::create(backend).await;
    let (status, output, errors) = on(&elsewhere, folder.path(), &["restore", again.to_str().unwrap()]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert!(!output.contains(" there "), "{output}");
    assert_eq!(likes(&elsewhere).await, count);
    elsewhere.remove().await;
    database.remove().await;
}

async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done(backend: Backend) {
    use std::os::unix::fs::PermissionsExt as _;
    let (database, _) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let names = |path: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (status, output, _) = on(&database, folder.path(), &["backup", "--to", "one"]).await;
    assert_eq!((status, &*output), (0, "one\n"));
    assert_eq!(names(folder.path()), ["one", "one.json"]);
    let file = folder.path().join("one");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600,
        "it holds what the database holds"
    );
    let bytes = std::fs::read(&file).unwrap();
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest_of(&file)).unwrap()).unwrap();
    assert_eq!(manifest["bytes"], bytes.len());
    assert_eq!(manifest["tally"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["migrations"]["kernel"][0], "M0001Batches");

    let (status, output, errors) = on(&database, folder.path(), &["backup", "--to", "one"]).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("one is there already: a backup overwrites nothing"), "{errors}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    std::fs::write(folder.path().join("two.json"), "somebody's").unwrap();
    let (status, ..) = on(&database, folder.path(), &["backup", "--to", "two"]).await;
    assert_eq!(status, 2, "nor the file that its manifest would be");

    // Into folders, which are made: several within a second have names of their own.
    for _ in 0..2 {
        assert_eq!(on(&database, folder.path(), &["backup", "--to", "shelf/of/backups/"]).await.0, 0);
    }
    assert_eq!(names(&folder.path().join("shelf/of/backups")).len(), 4);
    let (status, _, errors) = on(&database, folder.path(), &["backup", "--to", "one/below"]).await;
    assert!(status == 2 && errors.contains("cannot make one"), "{errors}");
    assert_eq!(names(folder.path()), ["one", "one.json", "shelf", "two.json"]);
    database.remove().await;
}

async fn a_backup_before_an_upgrade_is_the_way_back(backend: Backend) {
    let (database, count) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    // As the version before left it.
    database.sql("DROP TABLE nodes").await;
    database.sql("DELETE FROM migrations_kernel WHERE version = 'M0005Nodes'").await;
    let old = back_up(&database, folder.path()).await;
    let (status, output, errors) = on(&database, folder.path(), &["migrate", "--backup"]).await;
    assert_eq!(status, 0, "{errors}");
    assert!(output.starts_with("1 migration(s) applied\n"), "{output}");
    assert!(errors.starts_with("backup: data/backups/tally-"), "{errors}");
    let (status, _, errors) = on(&database, folder.path(), &["migrate", "--backup"]).await;
    assert_eq!((status, &*errors), (0, ""), "nothing is pending, nothing to fear");
    assert_eq!(std::fs::read_dir(folder.path().join("data/backups")).unwrap().count(), 4, "two, with their manifests");

    // Back: tables that came with the upgrade are in nobody's way, and this binary brings them again.
    let (status, output, errors) = on(&database, folder.path(), &["restore", "--replace", old.to_str().unwrap()]).await;
    assert_eq!((status, &*errors), (0, ""), "{output}");
    assert!(output.contains("\n1 migration(s) applied\nevery number tallies\n"), "{output}");
    assert_eq!(likes(&database).await, count);

    // Nobody is asked where there is no terminal.
    database.sql("DROP TABLE nodes").await;
    database.sql("DELETE FROM migrations_kernel WHERE version = 'M0005Nodes'").await;
    let (status, _, errors) = on(&database, folder.path(), &["migrate", "--no-backup", "--backup"]).await;
    assert!(status == 2 && errors.contains("cannot be used with"), "{errors}");
    let (status, _, errors) = on(&database, folder.path(), &["migrate"]).await;
    assert_eq!(status, 0);
    assert!(errors.starts_with("no backup was made: `--backup` makes one first"), "{errors}");
    database.remove().await;
}

async fn a_database_that_is_not_there_is_not_backed_up(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let folder = tempfile::tempdir().unwrap();
    if let Some(file) = database.url.strip_prefix("sqlite:") {
        let (status, _, errors) = on(&database, folder.path(), &["backup"]).await;
        assert!(status == 2 && errors.contains("there is no database yet"), "{errors}");
        assert!(!Path::new(file).exists());
        std::fs::write(file, "").unwrap();
    }
    let (status, output, errors) = on(&database, folder.path(), &["backup", "--to", "shelf/"]).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("the database is empty: there is nothing to back up"), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path().join("shelf")).unwrap().count(), 0, "nothing is left behind");
    database.remove().await;
}

async fn a_database_beyond_this_build_is_not_backed_up(backend: Backend) {
    let (database, _) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    database.sql("INSERT INTO migrations_users (version, applied_at) VALUES ('M9999Later', 0)").await;
    let (status, output, errors) = on(&database, folder.path(), &["backup", "--to", "one"]).await;
    assert_eq!((status, &*output), (2, ""));
    assert!(errors.contains("whose migration users/M9999Later this tally"), "{errors}");
    database.sql("DELETE FROM migrations_users WHERE version = 'M9999Later'").await;
    database.sql("CREATE TABLE migrations_gone (version text, applied_at bigint)").await;
    if backend == Backend::Postgres {
        database.sql("COMMENT ON TABLE migrations_gone IS 'tally'").await;
    }
    let (status, _, errors) = on(&database, folder.path(), &["backup", "--to", "one"]).await;
    assert!(status == 2 && errors.contains("whose module gone this tally"), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    database.sql("DROP TABLE migrations_gone").await;
    back_up(&database, folder.path()).await;
    database.remove().await;
}

async fn a_repair_begins_with_a_backup_if_it_is_told_to(backend: Backend) {
    let (database, _) = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    database.sql("UPDATE content_figures SET like_count = 77").await;
    let (status, output, errors) = on(&database, folder.path(), &["repair", "--backup", "--dry-run"]).await;
    assert_eq!((status, &*errors), (1, ""), "a dry run has nothing to fear: {output}");
    let (status, output, errors) = on(&database, folder.path(), &["repair", "--backup"]).await;
    assert_eq!(status, 0, "{output}{errors}");
    let file = errors.strip_prefix("backup: ").and_then(|rest| rest.split(',').next()).unwrap();
    let run = output.split("--undo ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    let (status, _, errors) = on(&database, folder.path(), &["repair", "--undo", run, "--backup"]).await;
    assert_eq!(status, 0, "{errors}");
    assert!(errors.starts_with("backup: data/backups/tally-"), "{errors}");
    // In the backup all is as it was before the repair: drifted, and a restore says so.
    let elsewhere = TestDatabase::create(backend).await;
    let (status, output, errors) = on(&elsewhere, folder.path(), &["restore", file]).await;
    assert_eq!(status, 1, "{output}{errors}");
    assert_eq!(number(&elsewhere, "SELECT like_count FROM content_figures").await, 77);
    elsewhere.remove().await;
    database.remove().await;
}
