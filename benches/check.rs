//! How fast every figure is checked, and in how much memory: 100,000 contents with 1,000,000 behaviors of 10,007 users,
//! on SQLite, and on PostgreSQL where there is one. One line a backend: the whole of
//! `tally check`, and the checks that read every behavior, each alone. `BENCH_CONTENTS` makes it smaller.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::process::Stdio;

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend};
use support::postgres::create;
use support::{Server, row, stopwatch};
use tokio::process::Command;

/// Behaviors of each content.
const BEHAVIORS: u32 = 10;
/// Users who did them, in turn: a prime, so that each user's are spread.
const USERS: u32 = 10_007;

/// Those that read every behavior.
const ALONE: [&str; 4] = ["like-count", "heat-mass", "heat", "user-remains"];

#[tokio::main]
async fn main() {
    let contents: u32 = std::env::var("BENCH_CONTENTS").map_or(100_000, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite:{}/bench.db", folder.path().display());
    println!(
        "\n`tally check`, {contents} contents with {} behaviors; rates are behaviors a second\n",
        contents * BEHAVIORS
    );
    let mut heading = vec!["backend".to_owned(), "all checks, seconds".into(), "rate".into()];
    heading.extend(ALONE.map(|check| format!("{check}, rate")));
    heading.push("most memory, MiB".into());
    row(&heading);
    row(&vec!["---".into(); heading.len()]);
    measure(&sqlite, contents).await;
    if let Ok(server) = std::env::var("TALLY_TEST_POSTGRES_URL") {
        measure(&create(&server, "bench_check"), contents).await;
    }
}

/// Fills a database, checks it, and prints a line.
async fn measure(url: &str, contents: u32) {
    // A first start makes the schema and puts the first settings in force.
    Server::start(url, &[]).await.stop().await;
    let database = Database::connect(url).await.expect("the database");
    fill(&database, contents).await;
    run(url, &["recalculate", "--all", "--json"]).await;
    let rate = |seconds: f64| format!("{:.0}", f64::from(contents * BEHAVIORS) / seconds);
    let (seconds, mut most) = run(url, &["check", "--json"]).await;
    let backend = if database.get_database_backend() == DbBackend::Postgres { "PostgreSQL" } else { "SQLite" };
    let mut line = vec![backend.to_owned(), format!("{seconds:.1}"), rate(seconds)];
    for check in ALONE {
        let (seconds, memory) = run(url, &["check", "--json", "--check", check]).await;
        line.push(rate(seconds));
        most = most.max(memory);
    }
    line.push(format!("{:.0}", most as f64 / 1024.0));
    row(&line);
    database.close().await.expect("the connection closes");
}

/// Facts by SQL: it is the check that is measured. `tally recalculate` makes masses, heat and levels of them.
async fn fill(database: &DatabaseConnection, contents: u32) {
    let postgres = database.get_database_backend() == DbBackend::Postgres;
    let series = |n: u32| match postgres {
        true => format!("generate_series(1, {n}) AS s(n)"),
        false => format!(
            "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {n}) SELECT n FROM c) AS s"
        ),
    };
    // Of the number n: lanes are what the first byte says, which is all that the order of locks needs here.
    let id = |n: &str| match postgres {
        true => format!("lpad(to_hex({n}), 32, '0')::uuid"),
        false => format!("unhex(printf('%032x', {n}))"),
    };
    let now = 1_767_225_600_000_i64;
    let content = id("s.n");
    let lane = "s.n % 256";
    for sql in [
        format!(
            "INSERT INTO users (id, subject, name, created_at) SELECT {}, 'user ' || s.n, 'user', {now} FROM {}",
            id("s.n - 1"),
            series(USERS)
        ),
        format!(
            "INSERT INTO contents (lane, id, kind, author_id, title, status, published_at, quality, base_weight)
             SELECT {lane}, {content}, 0, {}, 'content', 0, {now} - s.n * 1000, 1000, 0 FROM {}",
            id(&format!("(s.n % {USERS})")),
            series(contents)
        ),
        format!(
            "INSERT INTO content_figures (lane, content_id, version, like_count, favorite_count, comment_count,
                 share_count, view_count, hot_level, hot_score, last_hot_update, last_history_at, heat_version)
             SELECT {lane}, {content}, 1, {BEHAVIORS}, 0, 0, 0, 0, 0, 0, {now}, {now}, 1 FROM {}",
            series(contents)
        ),
        format!(
            "INSERT INTO behaviors (lane, content_id, user_id, kind, acted_at)
             SELECT {lane}, {content}, {}, 0, {now} + s.n + u.n * 60000 FROM {}, {}",
            id(&format!("((s.n * {BEHAVIORS} + u.n) % {USERS})")),
            series(contents),
            series(BEHAVIORS).replace(" AS s", " AS u")
        ),
    ] {
        database.execute_unprepared(&sql).await.expect("it is filled");
    }
    if postgres {
        database.execute_unprepared("ANALYZE").await.expect("it is analyzed");
    }
}

/// Seconds, and the most memory of the process in KiB.
async fn run(url: &str, arguments: &[&str]) -> (f64, u64) {
    let began = stopwatch();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(arguments)
        .env("DATABASE_URL", url)
        .env("TALLY_LOG", "warn")
        .env("TALLY_ENGAGEMENT_RECALCULATION_PAUSE_MS", "0")
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let status = format!("/proc/{}/status", child.id().expect("it runs"));
    let mut most = 0;
    loop {
        tokio::select! {
            ended = child.wait() => {
                assert!(ended.expect("its status").success(), "every number tallies");
                return (began.elapsed().as_secs_f64(), most);
            }
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find(|line| line.starts_with("VmHWM:"));
                most = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(most);
            }
        }
    }
}
