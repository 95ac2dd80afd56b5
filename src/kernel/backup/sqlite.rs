//! SQLite: a copy by `VACUUM INTO`, put back by its name.
//!
//! SQLite's backup API needs the connection's raw pointer, and with it `unsafe`; it also begins again whenever another
//! connection writes. `VACUUM INTO` reads one snapshot while writers go on: what they write stays in the write-ahead log
//! until it is done.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Copied, files, refused, stamp, store};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::db::{Db, Use};
use crate::kernel::error::{Code, Error, Result, Retry};

/// Copies the database to an empty file, and looks at every page of the copy.
pub(super) async fn dump(settings: &Settings, to: &Path) -> Result<Copied> {
    let database = Db::sqlite_file(settings).ok_or_else(|| Error::internal("no SQLite file"))?;
    let text = to.to_str().ok_or_else(|| Error::invalid(format!("{} is no UTF-8", to.display())))?;
    let source = Db::sqlite_alone(&database, Use::Copy).await?;
    let copied = store::vacuum_into(&source, text).await;
    source.close().await?;
    copied?;
    let copy = Db::sqlite_alone(to, Use::Look).await?;
    let faults = store::integrity_check(&copy).await?;
    let migrations = store::applied(&copy).await?;
    copy.close().await?;
    if faults != ["ok"] {
        return Err(Error::new(Code::INTERNAL, "the backup is not whole, and was removed").caused_by(faults.join("; ")));
    }
    if migrations.is_empty() {
        return Err(Error::not_found("the database is empty: there is nothing to back up"));
    }
    Ok(Copied { migrations, tool: "SQLite".to_owned() })
}

/// Puts a copy of `backup` where the database is. What was there gets another name.
pub(super) async fn restore(database: &Path, backup: &Path, replace: bool, now: Millis) -> Result<Option<String>> {
    let beside = |ending: &str| {
        let mut name = OsString::from(database);
        name.push(ending);
        PathBuf::from(name)
    };
    let fresh = beside(&format!(".restored-{}", stamp(now)));
    let old = beside(&format!(".replaced-{}", stamp(now)));
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| files::failed("make", folder, &error))?;
    }
    // Held until the new file has its name, so that no server begins on the old one.
    let held = if database.exists() { Some(take(database).await?) } else { None };
    let is_empty = held.as_ref().is_none_or(|held| held.is_empty);
    if !is_empty && !replace {
        return Err(refused(&database.display().to_string()));
    }
    // Of a database that is gone, or cannot be read: SQLite would take them for the new file's.
    let logs: Vec<_> = ["-wal", "-journal"].into_iter().filter(|ending| beside(ending).exists()).collect();
    if !logs.is_empty() && is_empty {
        let logs: Vec<_> = logs.iter().map(|ending| beside(ending).display().to_string()).collect();
        return Err(Error::conflict(format!("{} is there without its database: move it away", logs.join(", "))));
    }
    if let Err(error) = files::copy(backup, &fresh).await {
        let _ = std::fs::remove_file(&fresh);
        return Err(error);
    }
    if !is_empty {
        files::rename(database, &old)?;
        for ending in logs {
            let mut name = OsString::from(&old);
            name.push(ending);
            files::rename(&beside(ending), Path::new(&name))?;
        }
    }
    // An index of a log that is gone.
    let _ = std::fs::remove_file(beside("-shm"));
    std::fs::rename(&fresh, database).map_err(|error| files::failed("name", database, &error))?;
    files::flush_folder(database)?;
    if let Some(connection) = held.and_then(|held| held.connection) {
        connection.close().await?;
    }
    Ok((!is_empty).then(|| format!("the database that was there is kept as {}", old.display())))
}

/// A database that nobody else has open, nor will while this lives.
struct Held {
    connection: Option<sea_orm::DatabaseConnection>,
    is_empty: bool,
}

async fn take(database: &Path) -> Result<Held> {
    let in_use = |error: &Error| {
        let shown = database.display();
        let what = format!("{shown} is in use: stop the server and every other `tally` on it first");
        Error::conflict(what).caused_by(error.for_operator())
    };
    let taken = async {
        let connection = Db::sqlite_alone(database, Use::Replace).await?;
        store::lock_all(&connection).await?;
        let is_empty = store::tables(&connection).await? == 0;
        Ok::<_, Error>(Held { connection: Some(connection), is_empty })
    };
    match taken.await {
        Ok(held) => Ok(held),
        Err(error) if error.code() == Code::CONFLICT || error.retry() == Retry::Soon => Err(in_use(&error)),
        // It cannot be read at all: a good reason to restore another.
        Err(error) => {
            tracing::warn!(error = error.for_operator(), "the database that is there cannot be read");
            Ok(Held { connection: None, is_empty: false })
        }
    }
}
