//! The jobs, what they tell by metrics and by a message, and what is kept for how long.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tally::kernel::clock::{Clock as _, ManualClock, Millis};

use super::{Stage, run, run_json};
use crate::harness::{Backend, Options, START, on_every_backend};

on_every_backend!(
    a_daily_check_finds_a_drift_and_says_so,
    a_weekly_repair_puts_it_right,
    a_webhook_that_fails_at_first_hears_in_the_end,
    old_runs_go_with_what_they_replaced,
    what_a_repair_that_was_cut_off_put_right_is_told_of_once,
);

/// Takes messages, after refusing so many.
pub(super) struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn start(refusals: usize) -> Self {
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (kept, left) = (Arc::clone(&heard), Arc::new(Mutex::new(refusals)));
        let hook = post(move |Json(body): Json<Value>| async move {
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            kept.lock().unwrap().push(body);
            StatusCode::NO_CONTENT
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook?key=secret", listener.local_addr().expect("an address"));
        let routes = axum::Router::new().route("/hook", hook);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, heard }
    }

    fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    pub(super) fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }
}

pub(super) struct World {
    pub(super) stage: Stage,
    pub(super) clock: Arc<ManualClock>,
    pub(super) receiver: Receiver,
}

impl World {
    pub(super) async fn set(backend: Backend, refusals: usize) -> Self {
        let receiver = Receiver::start(refusals).await;
        let clock = Arc::new(ManualClock::new(START));
        let options = Options::default()
            .at(&clock)
            .with("integrity.check", "0 0 3 * * *")
            .with("integrity.repair", "0 0 4 * * SUN")
            .with("integrity.keep_days", 30)
            .with("integrity.webhook_url", &receiver.url);
        Self { stage: Stage::set_with(backend, options).await, clock, receiver }
    }

    pub(super) async fn later(&self, millis: i64) {
        self.clock.set(self.clock.now().plus(millis));
        self.stage.app.settle().await;
    }

    pub(super) fn metric(&self, series: &str) -> String {
        let text = self.stage.app.kernel.metrics.text().expect("metrics");
        let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series}: {text}"));
        line.rsplit(' ').next().expect("a value").to_owned()
    }

    pub(super) async fn scrape(&self) {
        let answer = crate::harness::http().get(format!("{}/metrics", self.stage.app.url)).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }
}

const DRIFT: &str = "tally_integrity_drift{module=\"guestbook\",check=\"note-count\"}";
/// By tokens this could not be asked: a week later they have expired.
const COUNTED: &str = "SELECT CAST(sum(note_count) AS bigint) FROM guestbook_counts";
const CHECKED: &str = "tally_integrity_last_run_seconds{kind=\"check\"}";

async fn a_daily_check_finds_a_drift_and_says_so(backend: Backend) {
    let world = World::set(backend, 0).await;
    let World { stage, receiver, .. } = &world;
    assert_eq!((world.metric(DRIFT), world.metric(CHECKED)), ("0".to_owned(), "0".to_owned()), "from the start");
    world.later(Millis::DAY).await;
    assert!(receiver.heard().is_empty(), "all is well");
    stage.plant(40).await;
    world.later(Millis::DAY).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    let message = &heard[0];
    assert_eq!((&message["event"], &message["drifted"]), (&json!("integrity.drift"), &json!(2)));
    assert_eq!((&message["checks"][0]["name"], &message["repaired"]), (&json!("note-count"), &json!(0)));
    assert_eq!(message["checks"][0]["examples"].as_array().map(Vec::len), Some(2));
    assert!(message["run"].as_str().is_some_and(|run| run.starts_with("integrity_")), "{message}");
    world.scrape().await;
    assert_eq!(world.metric(DRIFT), "2");
    assert_eq!(world.metric(CHECKED), (world.clock.now().0 / 1000).to_string());
    let (_, jobs) = run_json(&stage.app.database, "jobs --json").await;
    let job = jobs.as_array().unwrap().iter().find(|job| job["name"] == "integrity.check").expect("the job");
    assert_eq!(job["outcome"], "OK");
    assert!(job["detail"].as_str().is_some_and(|detail| detail.contains("2 figures drifted")), "{job}");
    stage.plant(-40).await;
    world.stage.app.finish().await;
}

async fn a_weekly_repair_puts_it_right(backend: Backend) {
    let world = World::set(backend, 0).await;
    let World { stage, receiver, .. } = &world;
    stage.plant(40).await;
    world.later(7 * Millis::DAY).await;
    assert_eq!(stage.app.number(COUNTED).await, 3);
    let events: Vec<_> = receiver.heard().iter().map(|message| message["event"].clone()).collect();
    assert!(events.contains(&json!("integrity.repaired")), "{events:?}");
    let (_, runs) = run_json(&stage.app.database, "repair --list --json").await;
    let repair = runs.as_array().unwrap().iter().find(|run| run["kind"] == "REPAIR").expect("the repair");
    assert_eq!((&repair["startedBy"], &repair["changes"], &repair["state"]), (&json!("job"), &json!(2), &json!("OK")));
    let undo = format!("repair --undo {}", repair["run"].as_str().unwrap());
    let (status, text, errors) = run(&stage.app.database, &undo).await;
    assert_eq!((status, stage.app.number(COUNTED).await), (0, 83), "{text}{errors}");
    stage.plant(-40).await;
    world.scrape().await;
    assert_ne!(world.metric("tally_integrity_last_run_seconds{kind=\"repair\"}"), "0");
    world.stage.app.finish().await;
}

async fn a_webhook_that_fails_at_first_hears_in_the_end(backend: Backend) {
    let world = World::set(backend, 2).await;
    world.stage.plant(1).await;
    world.later(Millis::DAY).await;
    assert_eq!(world.receiver.heard().len(), 1, "the third try");
    // The job fails: of that it tells, too, and not of what it is made.
    world.stage.app.database.sql("ALTER TABLE guestbook_counts RENAME TO elsewhere").await;
    world.later(Millis::DAY).await;
    let heard = world.receiver.heard();
    let failure = heard.last().expect("a message");
    assert_eq!((&failure["event"], &failure["job"]), (&json!("integrity.failed"), &json!("integrity.check")));
    assert!(!failure.to_string().contains("guestbook_counts"), "{failure}");
    world.stage.app.database.sql("ALTER TABLE elsewhere RENAME TO guestbook_counts").await;
    world.stage.plant(-1).await;
    world.stage.app.finish().await;
}

async fn old_runs_go_with_what_they_replaced(backend: Backend) {
    let world = World::set(backend, 0).await;
    let World { stage, .. } = &world;
    stage.plant(40).await;
    world.later(7 * Millis::DAY).await;
    assert_eq!(stage.app.number("SELECT count(*) FROM integrity_changes").await, 2);
    world.later(40 * Millis::DAY).await;
    assert_eq!(stage.app.number("SELECT count(*) FROM integrity_changes").await, 0);
    let old = format!("SELECT count(*) FROM integrity_runs WHERE began_at < {}", START.plus(10 * Millis::DAY).0);
    assert_eq!(stage.app.number(&old).await, 0);
    assert!(stage.app.number("SELECT count(*) FROM integrity_results").await > 0, "what was found last stays");
    world.stage.app.finish().await;
}

async fn what_a_repair_that_was_cut_off_put_right_is_told_of_once(backend: Backend) {
    let world = World::set(backend, 0).await;
    let World { stage, receiver, .. } = &world;
    // Nothing is wrong until the day of the repair; then a figure drifts.
    world.later(2 * Millis::DAY).await;
    stage.plant(40).await;
    world.later(5 * Millis::DAY).await;
    assert_eq!(stage.app.number(COUNTED).await, 3);
    // As if its process had ended with that, before it could tell.
    let cut = "UPDATE integrity_runs SET state = 'RUNNING', ended_at = NULL, alive_until = began_at
         WHERE id IN (SELECT run FROM integrity_changes);
         INSERT INTO integrity_untold (run) SELECT DISTINCT run FROM integrity_changes";
    stage.app.database.sql(cut).await;
    receiver.forget();
    world.later(Millis::DAY).await;
    world.later(Millis::DAY).await;
    let repaired: Vec<_> =
        receiver.heard().into_iter().filter(|message| message["event"] == "integrity.repaired").collect();
    assert_eq!(repaired.len(), 1, "{repaired:#?}");
    let message = &repaired[0];
    assert_eq!((&message["state"], &message["repaired"]), (&json!("INTERRUPTED"), &json!(2)), "{message:#}");
    assert_eq!(message["checks"][0]["name"], "note-count");
    assert_eq!(message["checks"][0]["examples"].as_array().map(Vec::len), Some(2));
    assert_eq!(stage.app.number("SELECT count(*) FROM integrity_untold").await, 0);
    world.stage.app.finish().await;
}

#[tokio::test]
async fn a_wrong_webhook_keeps_the_server_from_starting_and_is_not_shown() {
    for wrong in ["ftp://hooks.example/s3cret", "s3cret", "http://"] {
        let database = crate::harness::TestDatabase::create(Backend::Sqlite).await;
        let environment = [
            ("DATABASE_URL", &*database.url),
            ("TALLY_AUTH_SECRET", crate::harness::SECRET),
            ("TALLY_LISTEN", "127.0.0.1:0"),
            ("TALLY_INTEGRITY_WEBHOOK_URL", wrong),
        ];
        let (status, _, errors) =
            crate::harness::run(&["serve"], &environment, tempfile::tempdir().unwrap().path()).await;
        assert_eq!(status, 2, "{wrong}");
        assert!(errors.contains("integrity.webhook_url: must be http://…") && !errors.contains("s3cret"), "{errors}");
        database.remove().await;
    }
}
