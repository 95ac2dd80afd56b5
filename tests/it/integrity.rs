//! Checks, repairs, what undoes them, and explanations: by the command line, by jobs and by GraphQL. With the guestbook,
//! whose one figure is easy to plant a drift in.

mod again;
mod failing;
mod jobs;
mod online;
mod remedies;
mod walks;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::guestbook::WithGuestbook;
use crate::harness::{Backend, Client, Options, SECRET, TestApp, TestDatabase, on_every_backend};

on_every_backend!(
    a_check_says_what_it_found_and_keeps_it,
    a_check_of_one_item_looks_at_nothing_else,
    a_repair_keeps_what_it_replaced_and_an_undo_puts_it_back,
    a_dry_run_changes_nothing,
    a_repair_that_was_killed_can_be_undone_and_an_undo_that_was_killed_goes_on,
    repairs_at_once_and_writers_beside_them_do_no_harm,
    a_watch_looks_again_until_it_is_told_to_stop,
    a_watch_goes_on_after_an_error,
    a_figure_is_explained_page_by_page,
    wrong_arguments_are_refused,
);

const BEGINS: &str = "-- the command line begins --";
const WRITE: &str = "mutation ($text: String!) { writeNote(text: $text) { id } }";

/// No test of its own: the guestbook's command line, when [`command`] starts this binary again.
#[test]
#[ignore = "started by others as a process of its own"]
fn as_a_process() {
    if let Ok(arguments) = std::env::var("TALLY_TEST_ARGUMENTS") {
        writeln!(std::io::stdout(), "\n{BEGINS}").expect("an output");
        let arguments = ["tally"].into_iter().chain(arguments.split(' ')).map(OsString::from);
        std::process::exit(tally::cli::run::<WithGuestbook>(arguments).into());
    }
}

fn command(database: &TestDatabase, arguments: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "integrity::as_a_process", "--ignored", "--nocapture", "--test-threads=1"])
        .env_clear()
        .env("TALLY_TEST_ARGUMENTS", arguments)
        .env("DATABASE_URL", &database.url)
        .env("TALLY_AUTH_SECRET", SECRET)
        .env("TALLY_LOG", "off")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end: status, output, errors.
async fn run(database: &TestDatabase, arguments: &str) -> (i32, String, String) {
    let output = tokio::time::timeout(Duration::from_secs(120), command(database, arguments).output()).await;
    let output = output.expect("it ends in time").expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let all = text(output.stdout);
    let (_, printed) = all.split_once(&format!("{BEGINS}\n")).expect("it begins");
    (output.status.code().expect("a status"), printed.to_owned(), text(output.stderr))
}

async fn run_json(database: &TestDatabase, arguments: &str) -> (i32, Value) {
    let (status, printed, errors) = run(database, arguments).await;
    (status, serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{errors}")))
}

/// A server with a guestbook in which two visitors wrote: one two notes, the other one.
struct Stage {
    app: TestApp,
    ann: Client,
    ben: Client,
}

impl Stage {
    async fn set(backend: Backend) -> Self {
        Self::set_with(backend, Options::default()).await
    }

    async fn set_with(backend: Backend, options: Options) -> Self {
        let app = TestApp::start_with::<WithGuestbook>(backend, options).await;
        let (ann, ben) = (app.user("ann"), app.user("ben"));
        let stage = Self { app, ann, ben };
        for (who, text) in [(&stage.ann, "one"), (&stage.ann, "two"), (&stage.ben, "three")] {
            stage.write(who, text).await;
        }
        stage
    }

    async fn write(&self, who: &Client, text: &str) {
        who.run(WRITE, json!({ "text": text })).await.data();
    }

    /// Adds to every count what no note stands behind.
    async fn plant(&self, more: i64) {
        self.app.database.sql(&format!("UPDATE guestbook_counts SET note_count = note_count + {more}")).await;
    }

    async fn counted(&self) -> [i64; 2] {
        let mut counts = [0; 2];
        for (count, who) in counts.iter_mut().zip([&self.ann, &self.ben]) {
            let answer = who.query("{ me { noteCount } }").await;
            *count = answer.data()["me"]["noteCount"].as_i64().expect("a number");
        }
        counts
    }
}

async fn a_check_says_what_it_found_and_keeps_it(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    let (status, text, errors) = run(database, "check --module guestbook").await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    assert!(text.ends_with("every number tallies\n") && !text.contains("Guestbook"), "{text}");
    let (status, report) = run_json(database, "check --json").await;
    assert_eq!((status, &report["state"], &report["consistencyRate"]), (0, &json!("OK"), &json!(1.0)));
    let overview = json!([{ "title": "Guestbook", "rows": [{ "name": "notes", "value": "3" }] }]);
    assert!(report["overview"].as_array().unwrap().contains(&overview[0]), "{report:#}");
    assert_eq!(report["recommendations"], json!([]));

    stage.plant(40).await;
    let (status, report) = run_json(database, "check --check note-count --json").await;
    assert_eq!((status, &report["state"], &report["consistencyRate"]), (1, &json!("DRIFT"), &json!(0.0)));
    let check = &report["checks"][0];
    assert_eq!((&check["name"], &check["checked"], &check["drifted"]), (&json!("note-count"), &json!(2), &json!(2)));
    let ann = stage.ann.id().await;
    let drift = json!({ "id": ann, "field": "noteCount", "stored": "42", "actual": "2" });
    assert!(check["examples"].as_array().unwrap().contains(&drift), "{check:#}");
    assert!(report["recommendations"][0].as_str().unwrap().contains("tally repair --check note-count"), "{report:#}");
    let (status, text, _) = run(database, "check").await;
    assert_eq!(status, 1);
    assert!(text.contains("notes") && text.ends_with("drift found\n"), "{text}");
    assert!(text.contains(&format!("  {ann} noteCount: stored 42, the facts say 2\n")), "{text}");

    let (_, runs) = run_json(database, "repair --list --json").await;
    let runs = runs.as_array().expect("runs");
    assert_eq!(runs.len(), 4, "{runs:#?}");
    let of = |place: usize| ["kind", "state", "scope", "startedBy"].map(|name| runs[place][name].as_str().unwrap());
    assert_eq!(of(0), ["CHECK", "DRIFT", "", "cli"]);
    assert_eq!(of(1), ["CHECK", "DRIFT", "check note-count", "cli"]);
    assert_eq!(of(2), ["CHECK", "OK", "", "cli"]);
    stage.plant(-40).await;
    stage.app.finish().await;
}

async fn a_check_of_one_item_looks_at_nothing_else(backend: Backend) {
    let stage = Stage::set(backend).await;
    let (ann, ben) = (stage.ann.id().await, stage.ben.id().await);
    stage.plant(1).await;
    let database = &stage.app.database;
    let (status, report) = run_json(database, &format!("check --id {ann} --module guestbook --json")).await;
    assert_eq!((status, &report["checks"][0]["checked"], &report["checks"][0]["drifted"]), (1, &json!(1), &json!(1)));
    assert_eq!(report["checks"][0]["examples"][0]["id"], json!(ann));
    let (status, report) = run_json(database, &format!("repair --id {ann} --module guestbook --json")).await;
    assert_eq!((status, &report["changes"][0]["id"]), (0, &json!(ann)), "{report:#}");
    assert_eq!(stage.counted().await, [2, 2], "the other one is left alone");
    let (status, _, _) = run(database, &format!("repair --id {ben} --check note-count")).await;
    assert_eq!((status, stage.counted().await), (0, [2, 1]));
    stage.app.finish().await;
}

async fn a_repair_keeps_what_it_replaced_and_an_undo_puts_it_back(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    stage.plant(40).await;
    let (status, text, errors) = run(database, "repair --no-backup").await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    let (ann, ben) = (stage.ann.id().await, stage.ben.id().await);
    assert!(text.contains(&format!("note-count: {ann} noteCount: 42 → 2\n")), "{text}");
    assert!(text.contains("2 figures put right; `tally repair --undo integrity_"), "{text}");
    assert!(text.ends_with("every number tallies\n"), "{text}");
    assert_eq!(stage.counted().await, [2, 1]);
    let id = text.split("--undo ").nth(1).and_then(|rest| rest.split('`').next()).expect("the run").to_owned();
    let (_, shown, _) = run(database, &format!("repair --show {id}")).await;
    assert_eq!(shown.lines().count(), 2, "{shown}");

    // What happens in between stays counted.
    stage.write(&stage.ben, "four").await;
    let (status, text, errors) = run(database, &format!("repair --undo {id}")).await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    assert!(text.contains(&format!("note-count: {ben} noteCount: put back 41\n")), "{text}");
    assert!(text.ends_with("2 figures put back, 0 left as they are\n"), "{text}");
    assert_eq!(stage.counted().await, [42, 42], "the drift as it was, and the note in between");
    let (status, said, errors) = run(database, &format!("repair --undo {id}")).await;
    assert_eq!((status, &*said), (2, ""));
    assert!(errors.contains("is undone already"), "{errors}");
    assert_eq!(stage.counted().await, [42, 42]);

    let (status, report) = run_json(database, "repair --json").await;
    assert_eq!((status, &report["state"], &report["more"]), (0, &json!("OK"), &json!(false)));
    assert_eq!(report["changes"].as_array().map(Vec::len), Some(2));
    let (_, runs) = run_json(database, "repair --list --json").await;
    assert_eq!(runs.as_array().map(Vec::len), Some(3), "a refused undo is no run: {runs:#}");
    assert_eq!((&runs[1]["kind"], &runs[1]["undoes"]), (&json!("UNDO"), &json!(id)));
    assert_eq!((&runs[2]["undoneBy"], &runs[2]["changes"]), (&runs[1]["run"], &json!(2)));
    stage.app.finish().await;
}

async fn a_dry_run_changes_nothing(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    let (status, text, _) = run(database, "repair --dry-run").await;
    assert_eq!(status, 0, "{text}");
    stage.plant(40).await;
    let (status, text, _) = run(database, "repair --dry-run").await;
    let ann = stage.ann.id().await;
    assert_eq!(status, 1);
    assert!(text.contains(&format!("note-count: {ann} noteCount: 42 → 2\n")), "{text}");
    assert!(text.contains("2 figures would be put right; nothing was changed\n"), "{text}");
    assert_eq!(stage.counted().await, [42, 41]);
    let (_, runs) = run_json(database, "repair --list --json").await;
    assert_eq!((&runs[0]["dryRun"], &runs[0]["changes"]), (&json!(true), &json!(0)));
    let (status, _, errors) = run(database, &format!("repair --undo {}", runs[0]["run"].as_str().unwrap())).await;
    assert!(status == 2 && errors.contains("only repairs are undone"), "{errors}");
    stage.plant(-40).await;
    stage.app.finish().await;
}

async fn a_repair_that_was_killed_can_be_undone_and_an_undo_that_was_killed_goes_on(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    stage.plant(40).await;
    let (_, report) = run_json(database, "repair --json").await;
    let id = report["run"].as_str().expect("a run").to_owned();
    // As a kill leaves it: no end, and nobody who says that it lives.
    let killed = "state = 'RUNNING', ended_at = NULL, alive_until";
    database.sql(&format!("UPDATE integrity_runs SET {killed} = 9000000000000")).await;
    let (status, _, errors) = run(database, &format!("repair --undo {id}")).await;
    assert!(status == 2 && errors.contains("still goes on"), "{errors}");
    database.sql(&format!("UPDATE integrity_runs SET {killed} = 1")).await;
    let (_, runs) = run_json(database, "repair --list --json").await;
    assert_eq!(runs[0]["state"], "INTERRUPTED");
    let (status, text, _) = run(database, &format!("repair --undo {id}")).await;
    assert_eq!((status, stage.counted().await), (0, [42, 41]), "{text}");

    // An undo that came to its first item: the figure and the word of it are of one transaction.
    database.sql(&format!("UPDATE integrity_runs SET {killed} = 1 WHERE kind = 'UNDO'")).await;
    database.sql("UPDATE integrity_changes SET put_back = NULL WHERE number = 1").await;
    let at_first = "author_id = (SELECT item FROM integrity_changes WHERE number = 1)";
    database.sql(&format!("UPDATE guestbook_counts SET note_count = note_count - 40 WHERE {at_first}")).await;
    let (status, text, _) = run(database, &format!("repair --undo {id}")).await;
    assert!(status == 0 && text.ends_with("1 figures put back, 0 left as they are\n"), "{text}");
    assert_eq!(stage.counted().await, [42, 41]);
    stage.plant(-40).await;
    stage.app.finish().await;
}

async fn repairs_at_once_and_writers_beside_them_do_no_harm(backend: Backend) {
    let stage = Stage::set(backend).await;
    stage.plant(40).await;
    let writes = async {
        for n in 0..20 {
            stage.write(&stage.ann, &format!("note {n}")).await;
            stage.write(&stage.ben, &format!("note {n}")).await;
        }
    };
    let database = &stage.app.database;
    let (first, second, ()) =
        tokio::join!(run_json(database, "repair --json"), run_json(database, "repair --json"), writes);
    for (status, report) in [&first, &second] {
        assert_eq!(*status, 0, "{report:#}");
    }
    let changes = |report: &Value| report["changes"].as_array().map_or(0, Vec::len);
    assert_eq!(changes(&first.1) + changes(&second.1), 2, "each figure once");
    assert_eq!(stage.counted().await, [22, 21]);
    stage.app.finish().await;
}

async fn a_watch_looks_again_until_it_is_told_to_stop(backend: Backend) {
    let stage = Stage::set(backend).await;
    let mut child = command(&stage.app.database, "check --module guestbook --json --watch 1s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut planted = false;
    let seen = async {
        while let Some(line) = lines.next_line().await.expect("its output") {
            let Ok(report) = serde_json::from_str::<Value>(&line) else { continue };
            match (report["state"].as_str(), planted) {
                (Some("OK"), false) => {
                    stage.plant(1).await;
                    planted = true;
                }
                (Some("DRIFT"), true) => return,
                _ => {}
            }
        }
        panic!("it ended by itself");
    };
    tokio::time::timeout(Duration::from_secs(120), seen).await.expect("it looks again in time");
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs").success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it stops in time");
    assert_eq!(ended.expect("a status").code(), Some(1), "the last status");
    stage.plant(-1).await;
    stage.app.finish().await;
}

async fn a_watch_goes_on_after_an_error(backend: Backend) {
    let stage = Stage::set(backend).await;
    let mut child = command(&stage.app.database, "check --module guestbook --json --watch 1s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    // What it says, and the error where there is one.
    let rename = async |from: &str, to: &str| {
        stage.app.database.sql(&format!("ALTER TABLE {from} RENAME TO {to}")).await;
    };
    let seen = async {
        let mut errors = 0;
        while let Some(line) = lines.next_line().await.expect("its output") {
            let Ok(report) = serde_json::from_str::<Value>(&line) else { continue };
            match (report["state"].as_str(), errors) {
                (Some("OK"), 0) => rename("guestbook_counts", "guestbook_elsewhere").await,
                (Some("OK"), 2..) => return,
                (Some("FAILED"), _) => {
                    assert!(report["error"].is_string() && report["ranAt"].is_string(), "{report:#}");
                    errors += 1;
                    if errors == 2 {
                        rename("guestbook_elsewhere", "guestbook_counts").await;
                    }
                }
                _ => {}
            }
        }
        panic!("it ended by itself");
    };
    tokio::time::timeout(Duration::from_secs(120), seen).await.expect("it looks again in time");
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs").success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it stops in time");
    assert_eq!(ended.expect("a status").code(), Some(0), "the last status");
    stage.app.finish().await;
}

async fn a_figure_is_explained_page_by_page(backend: Backend) {
    let stage = Stage::set(backend).await;
    let (database, ann) = (&stage.app.database, stage.ann.id().await);
    let (status, text, errors) = run(database, &format!("explain note-count {ann}")).await;
    assert_eq!((status, &*errors), (0, ""), "{text}");
    assert_eq!(text.matches("NOTE").count(), 2, "{text}");
    assert!(text.contains("2 facts add up to 2 notes; stored is 2\n") && text.ends_with("it tallies\n"), "{text}");
    let (_, first) = run_json(database, &format!("explain note-count {ann} --first 1 --json")).await;
    assert_eq!((&first["hasNextPage"], &first["totalCount"]), (&json!(true), &json!(2)));
    let cursor = first["endCursor"].as_str().expect("a cursor");
    let (_, second) = run_json(database, &format!("explain note-count {ann} --first 1 --after {cursor} --json")).await;
    assert_eq!(second["hasNextPage"], json!(false));
    let source = |page: &Value| page["facts"][0]["source"].as_str().expect("a source").to_owned();
    assert!(source(&first).starts_with("note_") && source(&first) != source(&second));
    stage.plant(5).await;
    let (status, text, _) = run(database, &format!("explain note-count {ann}")).await;
    assert!(status == 1 && text.contains("2 facts add up to 2 notes; stored is 7\n"), "{text}");
    stage.plant(-5).await;
    stage.app.finish().await;
}

async fn wrong_arguments_are_refused(backend: Backend) {
    let stage = Stage::set(backend).await;
    let some = "01h455vb4pex5vsknk084sn02q";
    for (arguments, what) in [
        ("check --check nonsense".to_owned(), "there are guestbook/note-count, "),
        ("check --id nonsense".to_owned(), "none of these checks is about nonsense"),
        ("check --watch 60x".to_owned(), "a time such as 60s"),
        ("check --watch 0s".to_owned(), "a time such as 60s"),
        ("repair --undo nonsense".to_owned(), "expected an integrity id"),
        (format!("repair --undo integrity_{some}"), "there is no run integrity_"),
        (format!("repair --show integrity_{some}"), "nothing is recorded of"),
        ("repair --list --dry-run".to_owned(), "cannot be used with"),
        (format!("explain nonsense user_{some}"), "there is no figure"),
        (format!("explain note-count note_{some}"), "expected a user id, got a note id"),
        (format!("explain note-count user_{some}"), "there is no user_"),
        (format!("explain note-count user_{some}"), "figures are note-count, "),
        (format!("explain like-count user_{some}"), "got a user id; figures are note-count, "),
        (format!("check --id artwork_{some}"), "there is no artwork_"),
        (format!("repair --id artwork_{some}"), "there is no artwork_"),
        (format!("explain note-count user_{some} --first 101"), "first must be from 0 to 100"),
        (format!("explain note-count user_{some} --after nonsense"), "the cursor"),
    ] {
        let (status, said, errors) = run(&stage.app.database, &arguments).await;
        assert_eq!((status, &*said), (2, ""), "{arguments}");
        assert!(errors.contains(what), "{arguments}: {errors}");
    }
    stage.app.finish().await;
}
