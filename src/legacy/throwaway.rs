//! A folder for what is needed once, which nobody else can read.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::kernel::clock::SystemClock;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;

/// A folder in the system's one for temporary files. It goes with its owner.
pub struct Throwaway(PathBuf);

impl Throwaway {
    /// Makes one. What is copied into it may be people's data: nobody but this user may look inside.
    ///
    /// # Errors
    /// No folder can be made there.
    pub fn make() -> Result<Self> {
        let parent = std::env::temp_dir();
        let folder = parent.join(format!("tally-{}", Ids::new(Arc::new(SystemClock)).next().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
            Error::invalid(format!("no folder can be made in {}", parent.display())).caused_by(error)
        })?;
        Ok(Self(folder))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a throwaway folder stays behind");
        }
    }
}
