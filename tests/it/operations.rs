//! docs/operations.md, tried: its routine runs as it stands there, and what it names exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tally::app::{App as _, Tally};
use tally::kernel::module::Modules;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::command_line::repository;
use crate::harness::{Backend, Process, SECRET, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    the_daily_routine_runs,
    upgrade_and_rollback_run,
    servers_and_workers_apart_run,
    every_job_is_described,
);

fn document() -> String {
    std::fs::read_to_string(repository("docs/operations.md")).unwrap()
}

/// The fenced commands of a section, a block each.
fn blocks(section: &str) -> Vec<String> {
    let document = document();
    let (_, rest) = document.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let text = rest.split("\n## ").next().unwrap();
    let found: Vec<_> =
        text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect();
    assert!(!found.is_empty(), "no commands in {section}");
    found
}

/// A shell that finds this binary as `tally`.
fn shell(database: &TestDatabase, folder: &Path, script: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_tally")).parent().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-euc", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", binary.display()))
        .env("DATABASE_URL", &database.url)
        .env("TALLY_AUTH_SECRET", SECRET)
        .env("TALLY_LISTEN", "127.0.0.1:0")
        .env("TALLY_LOG", "error")
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs each line of a block to its end; all must succeed.
async fn succeeds(database: &TestDatabase, folder: &Path, block: &str) {
    for line in block.lines() {
        let output = tokio::time::timeout(Duration::from_secs(60), shell(database, folder, line).output()).await;
        let output = output.expect("it ends in time").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (printed, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "`{line}` of docs/operations.md: {printed}{errors}");
    }
}

/// A stopped database with a like in it.
async fn furnished(backend: Backend) -> TestDatabase {
    let app = TestApp::start(backend).await;
    let id = app.user("author").publish("one").await;
    app.user("ann").act("like", &id).await.data();
    app.stop().await
}

async fn the_daily_routine_runs(backend: Backend) {
    let database = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(&database).await;
    for block in blocks("Daily routine") {
        succeeds(&database, folder.path(), &block).await;
    }
    assert_eq!(server.stop().await.0, 0);
    database.remove().await;
}

async fn upgrade_and_rollback_run(backend: Backend) {
    let database = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let blocks = blocks("Upgrade and rollback");
    let [up, back] = &blocks[..] else {
        panic!("one block up, one back: {blocks:?}");
    };
    // As the version before left it.
    database.sql("DROP TABLE nodes").await;
    database.sql("DELETE FROM migrations_kernel WHERE version = 'M0005Nodes'").await;
    succeeds(&database, folder.path(), up).await;
    let server = Process::serve(&database).await;
    assert_eq!(server.stop().await.0, 0);
    succeeds(&database, folder.path(), back).await;
    let server = Process::serve(&database).await;
    assert_eq!(server.stop().await.0, 0);
    database.remove().await;
}

async fn servers_and_workers_apart_run(backend: Backend) {
    let database = furnished(backend).await;
    let folder = tempfile::tempdir().unwrap();
    let mut running = Vec::new();
    for line in blocks("Servers and workers apart").concat().lines() {
        // Variables before the command are the shell's to set; the process is to be the command itself.
        let script = format!("exec env {line}");
        let mut child = shell(&database, folder.path(), &script).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let ready = ready.expect("it is ready in time").unwrap().unwrap_or_else(|| panic!("`{line}` ended"));
        assert!(ready == "working" || ready.starts_with("listening on "), "{ready}");
        running.push(child);
    }
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let (status, output, _) = run(&["status", "--json"], &environment, folder.path()).await;
    let report: Value = serde_json::from_str(&output).unwrap();
    let works: BTreeSet<_> = report["nodes"].as_array().unwrap().iter().map(|node| node["works"] == true).collect();
    assert_eq!((status, works), (0, BTreeSet::from([false, true])), "{report:#}");
    for child in running {
        end(child).await;
    }
    database.remove().await;
}

async fn end(mut child: Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    assert!(ended.expect("it stops in time").unwrap().success());
}

async fn every_job_is_described(backend: Backend) {
    let database = TestApp::start(backend).await.stop().await;
    let environment = [("DATABASE_URL", &*database.url)];
    let (_, output, _) = run(&["jobs", "--json"], &environment, tempfile::tempdir().unwrap().path()).await;
    let jobs: Value = serde_json::from_str(&output).unwrap();
    let document = document();
    let (_, table) = document.split_once("\n### The jobs there are\n").unwrap();
    let table = table.split("\n#").next().unwrap();
    let described = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: BTreeSet<_> = described.collect();
    let there: BTreeSet<_> = jobs.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(described, there, "docs/operations.md, The jobs there are");
    database.remove().await;
}

#[test]
fn every_check_is_described() {
    let modules = Modules::new(Tally::modules()).map_err(|error| error.for_operator()).unwrap();
    let document = document();
    let (_, section) = document.split_once("\n## Checks\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for check in modules.checks() {
        assert!(section.contains(&format!("`{}`", check.name())), "docs/operations.md, Checks: no {}", check.name());
    }
}

#[tokio::test]
async fn every_command_and_flag_that_it_names_exists() {
    let folder = tempfile::tempdir().unwrap();
    let document = document();
    let mut commands = BTreeSet::new();
    let inline = document.split('`').filter(|code| code.starts_with("tally ") && !code.contains('\n'));
    let fenced = document.lines().filter(|line| line.starts_with("tally "));
    for code in inline.chain(fenced) {
        commands.insert(code.split('#').next().unwrap().trim().to_owned());
    }
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        let (status, help, errors) = run(&[words[0], "--help"], &[], folder.path()).await;
        assert_eq!(status, 0, "`{command}`: {errors}");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "`{command}`: {help}");
        }
    }
}
