//! PostgreSQL's own programs: found, matched to the server, run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::kernel::config::Settings;
use crate::kernel::db::PostgresAt;
use crate::kernel::error::{Code, Error, Result};

/// Where Debian puts each version's programs, in `VERSION/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Characters of a program's complaint that are shown, from its end.
const COMPLAINT: usize = 2000;

/// `pg_dump` and `pg_restore` of one version.
pub(super) struct Tools {
    folder: PathBuf,
    /// The major version.
    pub(super) major: u32,
}

impl Tools {
    /// Those of the server's version, or the next later one: older ones refuse the server, much later ones write what
    /// it may not understand.
    pub(super) async fn find(settings: &Settings, server: u32) -> Result<Self> {
        let mut found = Vec::new();
        for folder in folders(settings) {
            if folder.join("pg_dump").is_file() && folder.join("pg_restore").is_file() {
                let said = run(&folder.join("pg_dump"), &["--version"], None).await?;
                found.extend(major(&said).map(|major| Self { folder, major }));
            }
        }
        let oldest = found.iter().map(|tools| tools.major).max();
        let fits = found.into_iter().filter(|tools| tools.major >= server).min_by_key(|tools| tools.major);
        fits.ok_or_else(|| {
            let what = match (oldest, settings.optional("backup.pg_bin")) {
                (Some(major), _) => format!("pg_dump {major} is older than the server, PostgreSQL {server}"),
                (None, Some(folder)) => format!("there is no pg_dump with a pg_restore in backup.pg_bin, {folder}"),
                (None, None) => "pg_dump and pg_restore are not installed here".to_owned(),
            };
            Error::new(
                Code::UNAVAILABLE,
                format!(
                    "{what}: install PostgreSQL's client programs (Debian: postgresql-client-{server}), or set \
                     backup.pg_bin to the folder that has them"
                ),
            )
        })
    }

    /// Runs `pg_dump` on a database.
    pub(super) async fn dump(&self, at: &PostgresAt, arguments: &[&OsStr]) -> Result<String> {
        run(&self.folder.join("pg_dump"), arguments, Some(at)).await
    }

    /// Runs `pg_restore`; without a place it only reads an archive.
    pub(super) async fn restore(&self, at: Option<&PostgresAt>, arguments: &[&OsStr]) -> Result<String> {
        run(&self.folder.join("pg_restore"), arguments, at).await
    }
}

/// Where to look.
fn folders(settings: &Settings) -> Vec<PathBuf> {
    if let Some(folder) = settings.optional("backup.pg_bin").filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders
}

/// Of `pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)`, `17`.
fn major(said: &str) -> Option<u32> {
    let number = said.split("(PostgreSQL)").nth(1)?.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Runs a program to its end; what it printed. Whom it connects as, with which password, is in its variables, which only
/// the same user can read. It ends when whoever waits goes away.
async fn run(program: &Path, arguments: &[impl AsRef<OsStr>], at: Option<&PostgresAt>) -> Result<String> {
    let variables = at.into_iter().flat_map(|at| &at.variables);
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.map(|(name, value)| (name, value)))
        .env("PGAPPNAME", "tally backup")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("PGOPTIONS")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let output = output.map_err(|error| {
        Error::new(Code::UNAVAILABLE, format!("{} cannot be run", program.display())).caused_by(error)
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let from = said.char_indices().rev().nth(COMPLAINT).map_or(0, |(at, _)| at);
    let said = said.get(from..).unwrap_or_default().trim();
    Err(Error::new(Code::UNAVAILABLE, format!("{name} failed")).caused_by(said))
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_are_read_as_programs_print_them() {
        assert_eq!(major("pg_dump (PostgreSQL) 17.5 (Debian 17.5-1.pgdg120+1)\n"), Some(17));
        assert_eq!(major("pg_dump (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("pg_dump (somebody else's) 3\n"), None);
    }
}
