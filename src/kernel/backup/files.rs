//! The files of a backup: written under another name, flushed, then named; never over anything.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sea_orm::DbBackend;
use sha2::{Digest as _, Sha256};

use super::{Manifest, stamp};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Ids;

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 20;

/// A file that could not be made, read, moved.
pub(super) fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::UNAVAILABLE, format!("cannot {verb} {}: {error}", path.display()))
}

/// Where a backup is to be; its folder is made.
pub(super) fn target(settings: &Settings, to: Option<&Path>, backend: DbBackend, now: Millis) -> Result<PathBuf> {
    let given = to.unwrap_or_else(|| Path::new(settings.text("backup.folder")));
    let is_folder = to.is_none() || given.is_dir() || given.as_os_str().as_encoded_bytes().ends_with(b"/");
    let folder = if is_folder { given } else { given.parent().unwrap_or(Path::new("")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::create_dir_all(folder).map_err(|error| failed("make", folder, &error))?;
    let ending = if backend == DbBackend::Postgres { "pgdump" } else { "sqlite" };
    let free = |file: &Path| !file.exists() && !Manifest::path(file).exists();
    if is_folder {
        let name = |n: u32| match n {
            1 => folder.join(format!("tally-{}.{ending}", stamp(now))),
            n => folder.join(format!("tally-{}-{n}.{ending}", stamp(now))),
        };
        // Several within a second.
        (1..100).map(name).find(|file| free(file)).ok_or_else(|| taken(&name(1)))
    } else if free(given) {
        Ok(given.to_owned())
    } else {
        Err(taken(given))
    }
}

fn taken(file: &Path) -> Error {
    Error::conflict(format!("{} is there already: a backup overwrites nothing", file.display()))
}

/// A new file that only its owner may read: a backup holds what the database holds.
fn create(path: &Path) -> Result<File> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(failed("make", path, &error)),
    }
}

/// A backup that is being made; gone unless it is published.
pub(super) struct Partial(PathBuf);

impl Partial {
    /// An empty file in the folder of `file`.
    pub(super) fn begin(file: &Path, ids: &Ids) -> Result<Self> {
        let chance: String = ids.bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = file.with_file_name(format!(".{name}.{chance}.partial"));
        create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives it its name, then writes its manifest: from then on it is a backup.
    pub(super) fn publish(self, file: &Path, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_string_pretty(manifest).map_err(Error::internal)?;
        // Taken first, so that a rename can overwrite nobody else's.
        create(file)?;
        std::fs::rename(&self.0, file).map_err(|error| failed("name", file, &error))?;
        let path = Manifest::path(file);
        let written = create(&path).and_then(|mut beside| {
            let written = beside.write_all(text.as_bytes()).and_then(|()| beside.write_all(b"\n"));
            written.and_then(|()| beside.sync_all()).map_err(|error| failed("write", &path, &error))
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(file);
            return Err(error);
        }
        flush_folder(file)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Not there any more when it was published.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn flush_folder(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("flush", folder, &error))
}

/// Size and SHA-256 of what the disk has.
pub(super) async fn flush_and_hash(path: &Path) -> Result<(u64, String)> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed("flush", path, &error))?;
    hash(path).await
}

/// Size and SHA-256.
pub(super) async fn hash(path: &Path) -> Result<(u64, String)> {
    let path = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let read = || -> std::io::Result<(u64, String)> {
            let (mut file, mut digest, mut bytes) = (File::open(&path)?, Sha256::new(), 0);
            let mut piece = vec![0; PIECE];
            loop {
                let read = file.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                digest.update(piece.get(..read).unwrap_or_default());
                bytes += read as u64;
            }
            Ok((bytes, digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
        };
        read().map_err(|error| failed("read", &path, &error))
    });
    hashed.await.map_err(Error::internal)?
}

/// Copies a file to a new one that only its owner may read, onto the disk.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        let mut target = create(&to)?;
        File::open(&from)
            .and_then(|mut source| std::io::copy(&mut source, &mut target))
            .and_then(|_| target.sync_all())
            .map_err(|error| failed("write", &to, &error))
    });
    copied.await.map_err(Error::internal)?
}

/// Gives a file another name, which nothing has.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(taken(to));
    }
    std::fs::rename(from, to).map_err(|error| failed("rename", from, &error))
}
