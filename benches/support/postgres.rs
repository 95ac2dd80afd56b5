//! Databases of a throwaway PostgreSQL, and `pgbench` on them.

use std::process::Command;
use std::time::Duration;

use super::Load;

/// Makes a database with tally's schema, and returns its URL.
pub(crate) fn create(server: &str, name: &str) -> String {
    psql(&format!("{server}/postgres"), &format!("DROP DATABASE IF EXISTS {name}"));
    psql(&format!("{server}/postgres"), &format!("CREATE DATABASE {name}"));
    let url = format!("{server}/{name}");
    let status = Command::new(env!("CARGO_BIN_EXE_tally")).arg("migrate").env("DATABASE_URL", &url).output();
    assert!(status.expect("it runs").status.success(), "the schema of {name} could not be made");
    url
}

/// Runs SQL.
pub(crate) fn psql(url: &str, sql: &str) {
    let output =
        Command::new("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a script with 64 clients; p50 and p99 are both the average, which is all that pgbench tells.
pub(crate) fn pgbench(url: &str, sql: &str, variables: &[(&str, usize)], warm: Duration, span: Duration) -> Load {
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), sql).expect("the script");
    let run = |secs: u64| {
        let output = Command::new("pgbench")
            .args(["-n", "-M", "prepared", "-c", "64", "-j", "1", "-T", &secs.to_string(), "-f"])
            .arg(script.path())
            .args(variables.iter().flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]))
            .arg(url)
            .output()
            .expect("pgbench runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    run(warm.as_secs());
    let printed = run(span.as_secs());
    let number = |name: &str| -> f64 {
        let line = printed.lines().find(|line| line.starts_with(name)).expect("a figure");
        let words = line.split_once('=').expect("a figure").1;
        words.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    let latency = Duration::from_secs_f64(number("latency average") / 1e3);
    Load { per_sec: number("tps"), p50: latency, p99: latency }
}
