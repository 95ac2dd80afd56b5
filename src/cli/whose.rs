//! Whose tables `tally audit` and `tally import` read.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::kernel::error::{Error, Result};
use crate::legacy::Source;

/// The environment variable, which other users of the machine do not see.
const VARIABLE: &str = "TALLY_FROM";

#[derive(clap::Args)]
pub(super) struct Whose {
    /// Whose tables: `sqlite:PATH`, `postgres://…`, `mysql://…` or `mariadb://…`. They are read, and never written to.
    /// A password in it can be read by other users of this machine: `--from-file`, or the variable `TALLY_FROM`, hides it.
    #[arg(long, value_name = "URL", conflicts_with = "from_file")]
    from: Option<String>,
    /// A file that holds nothing but the URL.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

impl Whose {
    /// Opens it, to be read until this is cancelled. What was made for it goes with it.
    pub(super) async fn open(&self, stop: &CancellationToken) -> Result<Source> {
        let url = self.url()?;
        let opened = stop.run_until_cancelled(Source::open(&url)).await.unwrap_or_else(|| Err(Source::stopped()))?;
        Ok(opened.until(stop.clone()))
    }

    fn url(&self) -> Result<String> {
        let url = match (&self.from, &self.from_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|error| Error::invalid(format!("{} cannot be read", file.display())).caused_by(error))?,
            (None, None) => std::env::var(VARIABLE).map_err(|_| {
                Error::invalid(format!("say whose tables: --from URL, --from-file FILE, or the variable {VARIABLE}"))
            })?,
        };
        Ok(url.trim().to_owned())
    }
}
