//! SQLite: a lock on a file beside the database, which keeps another from being put in its place while somebody has it
//! open. SQLite's own lock is on the file that goes: who waits for it would then write to the one that was replaced, and
//! of a file that cannot be read there is no such lock at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use crate::kernel::error::{Code, Error, Result};

/// `tally.db-lock`, beside SQLite's own `tally.db-wal`. It is empty and stays: removed, two could lock two of them.
fn path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push("-lock");
    name.into()
}

fn open(database: &Path) -> Result<File> {
    let path = path(database);
    // To read is enough for a lock, and possible where another user made the file.
    let opened = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let made = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            // Made by an operator, it is for the server's user to open.
            if made.is_ok() {
                belongs_like(&path, database);
            }
            made
        }
        opened => opened,
    };
    opened.map_err(|error| failed(&path, &error))
}

/// Gives a file that was just made the owner, the group and the permissions of the database that is there; where none is,
/// the owner and the group of the folder, if that is permitted. Where the group cannot be the same, the permissions stay
/// as they are: they would be for another group. False if not all of the database's could be had.
pub(crate) fn belongs_like(made: &Path, database: &Path) -> bool {
    let Ok(there) = std::fs::metadata(database) else {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = std::fs::metadata(folder) {
            let _ = chown(made, Some(folder.uid()), Some(folder.gid()));
        }
        return true;
    };
    let owned = chown(made, Some(there.uid()), Some(there.gid())).is_ok();
    let grouped = owned || chown(made, None, Some(there.gid())).is_ok();
    grouped && std::fs::set_permissions(made, there.permissions()).is_ok() && owned
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::UNAVAILABLE, format!("cannot lock {}: {error}", path.display()))
}

/// Says that somebody has the database open, until the file is dropped. Any number may.
///
/// # Errors
/// [`Code::UNAVAILABLE`] while a restore replaces it, and when nothing can be locked there.
pub(super) fn share(database: &Path) -> Result<File> {
    let file = open(database)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Code::UNAVAILABLE,
            format!("a backup is being restored to {}: wait for its end", database.display()),
        )),
        Err(TryLockError::Error(error)) => Err(failed(&path(database), &error)),
    }
}

/// Keeps everybody else out until the file is dropped. The database need not be there.
///
/// # Errors
/// [`Code::CONFLICT`] if somebody has it open, [`Code::UNAVAILABLE`] when nothing can be locked there.
pub(crate) fn take(database: &Path) -> Result<File> {
    let file = open(database)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::conflict("another process has the database open")),
        Err(TryLockError::Error(error)) => Err(failed(&path(database), &error)),
    }
}
