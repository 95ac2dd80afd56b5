//! PostgreSQL's own programs: found, matched to the server, run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;

use super::store::archive::pass_on;
use super::store::script::{COMMIT, READY};

use crate::kernel::config::Settings;
use crate::kernel::db::PostgresAt;
use crate::kernel::error::{Code, Error, Result};

/// Where Debian puts each version's programs, in `VERSION/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Characters of a program's complaint that are shown, from its end.
const COMPLAINT: usize = 2000;
/// Of one version, in one folder.
const PROGRAMS: [&str; 3] = ["pg_dump", "pg_restore", "psql"];
/// `pg_dump`, `pg_restore` and `psql` of one version.
pub(super) struct Tools {
    folder: PathBuf,
    /// The major version.
    pub(super) major: u32,
    /// The server's.
    server: u32,
}

impl Tools {
    /// Those of the server's version, or the next later one: older ones refuse the server, much later ones write what
    /// it may not understand.
    pub(super) async fn find(settings: &Settings, server: u32) -> Result<Self> {
        let (mut found, mut failed) = (Vec::new(), None);
        for folder in folders(settings) {
            if PROGRAMS.iter().all(|program| folder.join(program).is_file()) {
                match run(&folder.join("pg_dump"), &["--version"], None).await {
                    Ok(said) => found.extend(major(&said).map(|major| Self { folder, major, server })),
                    Err(error) => failed = Some(error),
                }
            }
        }
        if let Some(error) = failed.filter(|_| found.is_empty()) {
            return Err(error);
        }
        let oldest = found.iter().map(|tools| tools.major).max();
        // Of several the first.
        let fits = found.into_iter().filter(|tools| tools.major >= server).min_by_key(|tools| tools.major);
        fits.ok_or_else(|| {
            let what = match (oldest, settings.optional("backup.pg_bin")) {
                (Some(major), _) => format!("pg_dump {major} is older than the server, PostgreSQL {server}"),
                (None, Some(folder)) => format!("pg_dump, pg_restore and psql are not in backup.pg_bin, {folder}"),
                (None, None) => "pg_dump, pg_restore and psql are not installed here".to_owned(),
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
    pub(super) async fn dump(&self, at: &PostgresAt, arguments: &[OsString]) -> Result<String> {
        run(&self.folder.join("pg_dump"), arguments, Some(at)).await
    }

    /// What `pg_restore` reads out of an archive, without a server.
    pub(super) async fn read(&self, arguments: &[&OsStr]) -> Result<String> {
        run(&self.folder.join("pg_restore"), arguments, None).await
    }

    /// Lets `psql` run `before`, the statements of an archive and `after`, and commit. The COMMIT is sent when `psql` says
    /// that it has done all the rest: whatever ends early, this process too, nothing was done.
    pub(super) async fn replay(
        &self,
        at: &PostgresAt,
        file: &Path,
        schema: &str,
        before: &str,
        after: &str,
    ) -> Result<()> {
        let into = format!("--dbname={}", at.conninfo());
        let mut psql = command(&self.folder.join("psql"), Some(at));
        psql.args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", &into]);
        let mut psql = spawned(psql.stdin(Stdio::piped()).stdout(Stdio::piped()), "psql")?;
        let mut read = command(&self.folder.join("pg_restore"), None);
        read.args(["--file=-", "--no-owner", "--no-privileges"]).arg(format!("--schema={schema}")).arg(file);
        let mut read = spawned(read.stdin(Stdio::null()).stdout(Stdio::piped()), "pg_restore")?;
        let pipes = (psql.stdin.take(), psql.stdout.take(), read.stdout.take());
        let (Some(mut input), Some(said), Some(output)) = pipes else {
            return Err(Error::internal("a program without its pipe"));
        };
        let (tell, ready) = oneshot::channel();
        let feed = async {
            let fed = async {
                input.write_all(before.as_bytes()).await?;
                pass_on(self.server, output, &mut input).await
            };
            // Its end goes with it: pg_restore would wait for ever for somebody to read the rest.
            let fed = fed.await;
            let read = read.wait_with_output().await.map_err(Error::internal)?;
            if fed.is_ok() {
                succeeded("pg_restore", &read)?;
                let _ = input.write_all(after.as_bytes()).await;
                if ready.await.is_ok() {
                    let _ = input.write_all(COMMIT.as_bytes()).await;
                }
            }
            // What psql did not take, it says itself.
            drop(input);
            Ok(())
        };
        let (fed, (), ended) = tokio::join!(feed, listen(said, tell), psql.wait_with_output());
        let ended = ended.map_err(Error::internal)?;
        fed.and_then(|()| succeeded("psql", &ended))
    }
}

/// Hears what `psql` prints to its end, and tells when it is [`READY`]; never if it ends before.
async fn listen(said: ChildStdout, tell: oneshot::Sender<()>) {
    let (mut lines, mut tell) = (BufReader::new(said).split(b'\n'), Some(tell));
    while let Ok(Some(line)) = lines.next_segment().await {
        if line == READY.as_bytes()
            && let Some(tell) = tell.take()
        {
            // An error here: whoever waited has given up.
            let _ = tell.send(());
        }
    }
}

/// Where to look. Debian's own folders come first: its `/usr/bin/pg_dump` is a wrapper, whose version depends on what is
/// around it.
fn folders(settings: &Settings) -> Vec<PathBuf> {
    if let Some(folder) = settings.optional("backup.pg_bin").filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders
}

/// Of `pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)`, `17`.
fn major(said: &str) -> Option<u32> {
    let number = said.split("(PostgreSQL)").nth(1)?.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A program with its surroundings. Whom it connects as, with which password, is in its variables, which only the same
/// user can read. It ends when whoever waits goes away.
fn command(program: &Path, at: Option<&PostgresAt>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| !PostgresAt::lets_through(name)) {
            command.env_remove(name);
        }
    }
    let variables = at.into_iter().flat_map(|at| &at.variables);
    command
        .envs(variables.map(|(name, value)| (name, value)))
        .env("PGAPPNAME", "tally backup")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn spawned(command: &mut Command, name: &str) -> Result<Child> {
    command.spawn().map_err(|error| cannot_run(name, &error))
}

fn cannot_run(name: &str, error: &std::io::Error) -> Error {
    Error::new(Code::UNAVAILABLE, format!("{name} cannot be run")).caused_by(error)
}

/// Runs a program to its end; what it printed.
async fn run(program: &Path, arguments: &[impl AsRef<OsStr>], at: Option<&PostgresAt>) -> Result<String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let output = command(program, at).args(arguments).output().await;
    let output = output.map_err(|error| cannot_run(&program.display().to_string(), &error))?;
    succeeded(&name, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An error with the end of what a program complained of, if it failed.
fn succeeded(name: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
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
