//! SQLite: a copy by `VACUUM INTO`, put back by its name.
//!
//! SQLite's backup API needs the connection's raw pointer, and with it `unsafe`; it also begins again whenever another
//! connection writes. `VACUUM INTO` reads one snapshot while writers go on: what they write stays in the write-ahead log
//! until it is done.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::store::sqlite as sql;
use super::{Copied, Manifest, Placed, backed_up, files, refused, stamp, store};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::db::{Db, Migrations, Use, belongs_like, take_sqlite};
use crate::kernel::error::{Code, Error, Result, Retry};

/// Copies the database to an empty file, and looks at every page of the copy.
pub(super) async fn dump(settings: &Settings, known: &[Migrations], to: &Path) -> Result<Copied> {
    let database = Db::sqlite_file(settings).ok_or_else(|| Error::internal("no SQLite file"))?;
    let text = to.to_str().ok_or_else(|| Error::invalid(format!("{} is no UTF-8", to.display())))?;
    let source = Db::sqlite_alone(&database, Use::Copy).await?;
    let copied = sql::vacuum_into(&source, text).await;
    source.close().await?;
    copied.map_err(|error| no_room(error, to))?;
    let copy = Db::sqlite_alone(to, Use::Look).await?;
    let faults = sql::integrity_check(&copy).await?;
    let migrations = store::applied(&copy, known).await?;
    let tables = store::count(&copy, &sql::tables(&copy).await?).await?;
    copy.close().await?;
    if faults != ["ok"] {
        return Err(Error::new(Code::INTERNAL, "the backup is not whole, and was removed").caused_by(faults.join("; ")));
    }
    backed_up(&migrations, known)?;
    Ok(Copied { migrations, schema: None, tables, tool: "SQLite".to_owned() })
}

/// Of a full disk, says which one it is.
fn no_room(error: Error, to: &Path) -> Error {
    if !error.has_no_room() {
        return error;
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = format!("there is no room for the backup in {}", folder.display());
    Error::new(Code::UNAVAILABLE, text).caused_by(error.cause().unwrap_or_default())
}

/// A file beside the database's.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    PathBuf::from(name)
}

/// Puts a copy of `backup` where the database is. What was there gets a second name first, and loses its own to the copy
/// in one step: whoever is killed when, a whole database is in its place.
pub(super) async fn restore(
    database: &Path,
    known: &[Migrations],
    backup: (&Path, &Manifest),
    replace: bool,
    now: Millis,
) -> Result<Placed> {
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| files::failed("make", folder, &error))?;
    }
    // Held until the new file has its name, so that no server begins on the old one. SQLite's lock keeps those out that
    // know nothing of the other: older versions, other programs.
    let _guard = take_sqlite(database).map_err(|error| in_use(database, error))?;
    let logs = hold_logs(database)?;
    let held = if database.exists() { take(database).await } else { Ok(None) };
    let is_unreadable = held.as_ref().is_ok_and(|held| held.as_ref().is_some_and(|held| held.connection.is_none()));
    if !is_unreadable {
        let_go(database, &logs);
    }
    let held = held?;
    let is_empty = held.as_ref().is_none_or(|held| held.is_empty);
    if !is_empty && !replace {
        return Err(refused(&database.display().to_string()));
    }
    // Of a database that is gone, or cannot be read: SQLite would take them for the new file's.
    let logs: Vec<_> = match is_unreadable {
        true => logs,
        false => LOGS.into_iter().filter(|ending| beside(database, ending).exists()).collect(),
    };
    if !logs.is_empty() && is_empty {
        let logs: Vec<_> = logs.iter().map(|ending| beside(database, ending).display().to_string()).collect();
        return Err(Error::conflict(format!("{} is there without its database: move it away", logs.join(", "))));
    }
    clean_up(database)?;
    let fresh = beside(database, FRESH);
    if let Err(error) = copy_and_look(backup, &fresh, known).await {
        let _ = std::fs::remove_file(&fresh);
        return Err(error);
    }
    let belongs = belongs_like(&fresh, database);
    let old = beside(database, &format!("{REPLACED}{}", stamp(now)));
    if !is_empty {
        keep(database, &old, &logs)?;
    }
    // An index of a log that is gone.
    let _ = std::fs::remove_file(beside(database, "-shm"));
    std::fs::rename(&fresh, database).map_err(|error| files::failed("name", database, &error))?;
    files::flush_folder(database)?;
    if let Some(connection) = held.and_then(|held| held.connection) {
        connection.close().await?;
    }
    let shown = database.display();
    Ok(Placed {
        kept: (!is_empty).then(|| format!("the database that was there is kept as {}", old.display())),
        warning: (!belongs)
            .then(|| format!("{shown} could not get the owner and the permissions of the one before: set them")),
    })
}

/// The copy while it is made.
const FRESH: &str = ".restoring";
/// What was there, with a moment behind it.
const REPLACED: &str = ".replaced-";

/// Writes the copy to the disk, and compares what is in it with what the manifest says.
async fn copy_and_look((backup, manifest): (&Path, &Manifest), fresh: &Path, known: &[Migrations]) -> Result<()> {
    files::copy(backup, fresh).await?;
    let copy = Db::sqlite_alone(fresh, Use::Look).await?;
    let looked = async {
        let tables = sql::tables(&copy).await?;
        Ok::<_, Error>((store::applied(&copy, known).await?, store::count(&copy, &tables).await?))
    };
    let looked = looked.await;
    copy.close().await?;
    let (migrations, tables) = looked?;
    manifest.tallies(&migrations, &tables)
}

/// What SQLite has beside a database: commits that are not in it yet, or what takes half a commit back.
const LOGS: [&str; 2] = ["-wal", "-journal"];

/// Gives the database a second name. Its logs, which only one that cannot be read has, go with it: under their own they
/// would be taken for the new file's. The name comes first: at no moment is a log under the new name without its database.
fn keep(database: &Path, old: &Path, logs: &[&str]) -> Result<()> {
    std::fs::hard_link(database, old).map_err(|error| files::failed("keep", database, &error))?;
    files::flush_folder(database)?;
    for ending in logs {
        let (log, held) = (beside(database, ending), beside(database, &held_name(ending)));
        if held.exists() {
            files::rename(&held, &beside(old, ending))?;
            // SQLite may have removed it.
            let _ = std::fs::remove_file(&log);
        } else {
            files::rename(&log, &beside(old, ending))?;
        }
    }
    files::flush_folder(database)
}

/// A log's second name while it is found out whether its database can be read.
fn held_name(log: &str) -> String {
    format!("{log}.held")
}

/// Gives the logs second names, and says which there are: SQLite removes those of a database that it opens in vain.
/// One that a run left which was killed counts too.
fn hold_logs(database: &Path) -> Result<Vec<&'static str>> {
    let mut logs = Vec::new();
    for ending in LOGS {
        let (log, held) = (beside(database, ending), beside(database, &held_name(ending)));
        if log.exists() {
            let _ = std::fs::remove_file(&held);
            match std::fs::hard_link(&log, &held) {
                // A server ended meanwhile, and took it along.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                linked => linked.map_err(|error| files::failed("keep", &log, &error))?,
            }
        }
        if held.exists() {
            logs.push(ending);
        }
    }
    Ok(logs)
}

/// Takes the second names away again.
fn let_go(database: &Path, logs: &[&str]) {
    for ending in logs {
        let _ = std::fs::remove_file(beside(database, &held_name(ending)));
    }
}

/// Removes what a restore left that was killed: its copy, and the second name of a database that was not replaced. One
/// whose logs have moved to it already stays: they are nowhere else.
fn clean_up(database: &Path) -> Result<()> {
    let fresh = beside(database, FRESH);
    if fresh.exists() {
        std::fs::remove_file(&fresh).map_err(|error| files::failed("remove", &fresh, &error))?;
    }
    let Ok(there) = std::fs::metadata(database) else {
        return Ok(());
    };
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = beside(database, REPLACED);
    let prefix = prefix.file_name().unwrap_or_default().as_encoded_bytes();
    let entries = std::fs::read_dir(folder).map_err(|error| files::failed("read", folder, &error))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix)) {
        let is_same = |kept: &Metadata| (kept.dev(), kept.ino()) == (there.dev(), there.ino());
        if entry.metadata().is_ok_and(|kept| is_same(&kept)) {
            let path = entry.path();
            if !LOGS.iter().any(|ending| beside(&path, ending).exists()) {
                std::fs::remove_file(&path).map_err(|error| files::failed("remove", &path, &error))?;
            }
        }
    }
    Ok(())
}

/// A database that nobody else has open, nor will while this lives.
struct Held {
    /// `None` if SQLite cannot read it.
    connection: Option<sea_orm::DatabaseConnection>,
    is_empty: bool,
}

fn in_use(database: &Path, error: Error) -> Error {
    if error.code() != Code::CONFLICT && error.retry() != Retry::Soon {
        return error;
    }
    let shown = database.display();
    let what = format!("{shown} is in use: stop the server and every other `tally` on it first");
    Error::conflict(what).caused_by(error.for_operator())
}

async fn take(database: &Path) -> Result<Option<Held>> {
    let taken = async {
        let connection = Db::sqlite_alone(database, Use::Replace).await?;
        let is_empty = sql::lock_all(&connection).await?.is_empty();
        Ok::<_, Error>(Held { connection: Some(connection), is_empty })
    };
    match taken.await {
        Ok(held) => Ok(Some(held)),
        // It is no database at all, which nobody can have open: a good reason to restore another.
        Err(error) if error.code() == Code::INVALID_INPUT => {
            tracing::warn!(error = error.for_operator(), "the database that is there cannot be read");
            Ok(Some(Held { connection: None, is_empty: false }))
        }
        // Whatever else it is, without the lock nothing is replaced.
        Err(error) => Err(in_use(database, error)),
    }
}
