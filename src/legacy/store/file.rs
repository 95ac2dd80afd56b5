//! How a SQLite file is read so that nothing changes, neither in it nor beside it. Who opens a file in WAL mode makes a
//! `-wal` and a `-shm` beside it where there are none.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::kernel::error::{Code, Error, Result};
use crate::legacy::throwaway::Throwaway;

/// How a file is read.
pub(super) enum Reading {
    /// As everybody does: with a rollback journal, or where others have the WAL open.
    Shared,
    /// Without locks, since nobody has it open. Whether it stayed as it was is looked at in the end.
    Alone(Seen),
    /// A copy, with the changes that its WAL holds and that nobody has taken over into the file.
    Copy(Throwaway),
}

/// What a file was like.
#[derive(PartialEq, Eq)]
pub(super) struct Seen {
    file: PathBuf,
    state: Option<(u64, std::time::SystemTime)>,
}

impl Seen {
    fn of(file: &Path) -> Self {
        let state = |held: Metadata| Some((held.len(), held.modified().ok()?));
        Self { file: file.to_path_buf(), state: std::fs::metadata(file).ok().and_then(state) }
    }

    /// # Errors
    /// [`Code::CONFLICT`]: it is another one now.
    fn unchanged(&self) -> Result<()> {
        match *self == Self::of(&self.file) {
            true => Ok(()),
            false => Err(Error::new(
                Code::CONFLICT,
                format!("{} was written to while it was read: run this again", self.file.display()),
            )),
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Bytes 18 and 19 of the header: 2 in WAL mode. See «The Database Header» in SQLite's file format.
fn is_wal(file: &Path) -> bool {
    let mut header = [0; 20];
    File::open(file).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18..] == [2, 2]
}

/// Where SQLite locks a `-shm` for as long as somebody has it open: `UNIX_SHM_DMS` in its `os_unix.c`.
const OPEN_LOCK: u64 = 128;

/// Whether another process has the WAL open that a `-shm` belongs to. A crash leaves the file behind, without a lock:
/// who opens it then makes it anew.
fn is_open(shared: &Path) -> bool {
    let lock = Flock { start: OPEN_LOCK, length: 1, ..Flock::from(FlockType::WriteLock) };
    match File::open(shared) {
        // Where locks cannot be asked for, SQLite is to say what is wrong.
        Ok(file) => fcntl_getlk(&file, &lock).map_or(true, |held| held.is_some()),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

impl Reading {
    /// Says how `file`, its real path, is to be read; makes the copy, where one is needed.
    ///
    /// # Errors
    /// There is no room for a copy; somebody writes while it is made.
    pub(super) async fn of(file: &Path) -> Result<Self> {
        let (wal, shared) = (beside(file, "-wal"), beside(file, "-shm"));
        let held = std::fs::metadata(&wal).map(|held| held.len()).ok();
        match (is_wal(file), held, is_open(&shared)) {
            (false, ..) | (true, Some(_), true) => Ok(Self::Shared),
            (true, None | Some(0), _) => Ok(Self::Alone(Seen::of(file))),
            (true, Some(_), false) => {
                let seen = [Seen::of(file), Seen::of(&wal)];
                let folder = Throwaway::make()?;
                let copied = folder.path().join("copy.db");
                for (from, to) in [(file, copied.clone()), (&wal, beside(&copied, "-wal"))] {
                    let failed = |error| {
                        let place = folder.path().parent().unwrap_or(folder.path()).display().to_string();
                        let text = format!("{} has a WAL, and no copy of both can be made in {place}", file.display());
                        Error::invalid(text).caused_by(error)
                    };
                    tokio::fs::copy(from, &to).await.map_err(failed)?;
                    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
                }
                seen.iter().try_for_each(Seen::unchanged)?;
                Ok(Self::Copy(folder))
            }
        }
    }

    /// Which file to open instead of `file`.
    pub(super) fn path(&self, file: &Path) -> PathBuf {
        match self {
            Self::Copy(folder) => folder.path().join("copy.db"),
            Self::Shared | Self::Alone(_) => file.to_path_buf(),
        }
    }

    /// Whether what was read was one snapshot.
    ///
    /// # Errors
    /// [`Code::CONFLICT`]: it was not.
    pub(super) fn end(&self) -> Result<()> {
        if let Self::Alone(seen) = self { seen.unchanged() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_written_to_while_it_is_read_alone_is_noticed() {
        let folder = Throwaway::make().unwrap();
        let file = folder.path().join("theirs.db");
        let mut header = [0; 100];
        header[18..20].copy_from_slice(&[2, 2]);
        std::fs::write(&file, header).unwrap();
        let reading = Reading::of(&file).await.unwrap();
        assert!(matches!(reading, Reading::Alone(_)));
        reading.end().unwrap();
        std::fs::write(&file, [header, header].concat()).unwrap();
        assert_eq!(reading.end().unwrap_err().code(), Code::CONFLICT);
    }
}
