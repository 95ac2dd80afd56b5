//! The real binary as a process, to be killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{SECRET, TestDatabase};

/// `tally serve`.
pub(crate) struct Process {
    child: Child,
    log: tokio::task::JoinHandle<String>,
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
        Self::serve_with(database, &[]).await
    }

    /// The same, with variables of the test's own. Its log is kept for [`Process::stop`].
    pub(crate) async fn serve_with(database: &TestDatabase, variables: &[(&str, &str)]) -> Self {
        Self::begin(command(), database, variables).await
    }

    /// The same, with so few open files.
    pub(crate) async fn serve_with_files(database: &TestDatabase, files: u32) -> Self {
        let mut shell = command_of("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tally")]);
        Self::begin(shell, database, &[]).await
    }

    async fn begin(mut command: Command, database: &TestDatabase, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &database.url)
            .env("TALLY_AUTH_SECRET", SECRET)
            .env("TALLY_LOG", "error")
            .env("TALLY_LIMITS_RATE_USER", "0")
            .env("TALLY_LIMITS_RATE_ANONYMOUS", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut errors = child.stderr.take().expect("its errors");
        let log = tokio::spawn(async move {
            let mut text = String::new();
            // What it wrote before it was killed is enough.
            let _ = errors.read_to_string(&mut text).await;
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let line = line.expect("it listens in time").expect("its output").expect("a line");
        let url = line.strip_prefix("listening on ").expect("the address").to_owned();
        Self { child, log, url }
    }

    /// SIGTERM: waits for its end; its status, and all that it logged.
    pub(crate) async fn stop(mut self) -> (i32, String) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = ended.expect("it stops in time").expect("its status").code().expect("it ends by itself");
        (status, self.log.await.expect("its log"))
    }

    /// What it has in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let status = std::fs::read_to_string(status).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number") * 1024
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
