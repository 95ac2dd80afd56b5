//! The real binary as a process, to be killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{SECRET, TestDatabase};

/// `tally serve`.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
}

/// The binary with nothing of this machine's settings in its environment.
pub(crate) fn command() -> Command {
    command_of(env!("CARGO_BIN_EXE_tally"))
}

fn command_of(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Process {
    /// Starts a server on a database and waits until it listens.
    pub(crate) async fn serve(database: &TestDatabase) -> Self {
        Self::begin(command(), database).await
    }

    /// The same, with so few open files.
    pub(crate) async fn serve_with_files(database: &TestDatabase, files: u32) -> Self {
        let mut shell = command_of("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tally")]);
        Self::begin(shell, database).await
    }

    async fn begin(mut command: Command, database: &TestDatabase) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &database.url)
            .env("TALLY_AUTH_SECRET", SECRET)
            .env("TALLY_LOG", "error")
            .env("TALLY_LIMITS_RATE_USER", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let line = line.expect("it listens in time").expect("its output").expect("a line");
        let url = line.strip_prefix("listening on ").expect("the address").to_owned();
        Self { child, url }
    }

    /// SIGKILL: no warning, nothing is flushed.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the server is killed");
    }
}

/// Runs a command of the binary to its end: status, output, errors.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)], folder: &Path) -> (i32, String, String) {
    let mut command = command();
    let output = command.args(arguments).envs(environment.iter().copied()).current_dir(folder).output();
    // A command that should have refused and serves instead is to fail the test, not to hang it.
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("the command ends in time");
    let output = output.expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a status"), text(output.stdout), text(output.stderr))
}
