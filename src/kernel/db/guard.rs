//! SQLite: a lock on a file beside the database, which keeps another from being put in its place while somebody has it
//! open. SQLite's own lock is on the file that goes: who waits for it would then write to the one that was replaced, and
//! of a file that cannot be read there is no such lock at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
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
            OpenOptions::new().write(true).create(true).truncate(false).open(&path)
        }
        opened => opened,
    };
    opened.map_err(|error| failed(&path, &error))
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
