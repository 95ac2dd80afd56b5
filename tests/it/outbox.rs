//! Events: in sequence per key, exactly once in effect, whatever fails.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use tally::kernel::clock::{Clock as _, ManualClock, Millis};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::courier::{CourierFacade, KIND, OTHER_KIND, WithCourier};
use crate::harness::{Backend, Options, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(
    events_come_in_sequence_and_once,
    a_failing_event_parks_its_key_alone,
    what_always_fails_is_set_aside_and_the_rest_goes_on,
    a_panic_is_a_failure_and_no_end,
    a_consumer_that_hangs_fails_the_event_and_no_other,
    a_batch_is_never_larger_than_its_setting,
    a_long_parked_key_is_not_looked_at_event_by_event,
    a_clock_that_jumped_keeps_no_event_waiting,
    who_has_not_the_lease_waits_for_nobody,
    order_per_key_holds_under_random_failures,
    a_large_backlog_is_delivered_in_bounded_batches,
    an_event_of_an_older_time_is_not_skipped,
    a_commit_wakes_the_relay,
    what_waits_and_fails_is_seen_in_the_metrics,
    what_nobody_takes_is_not_kept,
);

/// A server with a clock of its own; nothing runs but what the test asks for.
struct World {
    app: TestApp,
    clock: Arc<ManualClock>,
    courier: CourierFacade,
}

impl World {
    async fn new(backend: Backend, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<WithCourier>(backend, options.at(&clock)).await;
        let courier = app.facade::<CourierFacade>();
        Self { app, clock, courier }
    }

    fn key(&self) -> Uuid {
        self.app.kernel.ids.next()
    }

    fn later(&self, millis: i64) {
        self.clock.set(self.clock.now().plus(millis));
    }

    async fn deliver(&self) -> u64 {
        self.app.kernel.outbox.deliver_all().await.expect("delivered")
    }
}

fn options() -> Options {
    Options::default().with("events.retries", 2).with("events.backoff_ms", 1000)
}

async fn events_come_in_sequence_and_once(backend: Backend) {
    let world = World::new(backend, options()).await;
    let keys: Vec<Uuid> = (0..5).map(|_| world.key()).collect();
    for round in 0..4 {
        for key in &keys {
            world.courier.post(*key, KIND, round + 1, json!({})).await;
        }
    }
    world.app.settle().await;
    assert_eq!(world.deliver().await, 0, "once");
    for key in &keys {
        assert_eq!(world.courier.seen("careful", *key).await, (1..=10).collect::<Vec<_>>());
    }
    assert_eq!(world.courier.number("SELECT count(*) AS n FROM outbox").await, 0);
    world.app.finish().await;
}

async fn a_failing_event_parks_its_key_alone(backend: Backend) {
    let world = World::new(backend, options()).await;
    let (bad, good) = (world.key(), world.key());
    world.courier.post_one(bad).await;
    world.courier.post(bad, KIND, 1, json!({ "fail": 2 })).await;
    world.courier.post(bad, KIND, 3, json!({})).await;
    world.courier.post(good, KIND, 3, json!({})).await;
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", bad).await, [1], "what came before the failure holds");
    assert_eq!(world.courier.seen("careful", good).await, [1, 2, 3]);
    // What comes while the key is parked waits too.
    world.courier.post_one(bad).await;
    world.later(999);
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", bad).await, [1], "not before its pause is over");
    world.later(1);
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", bad).await, [1], "the second try fails, too");
    world.later(1999);
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", bad).await, [1], "the second pause is twice the first");
    world.later(1);
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", bad).await, [1, 2, 3, 4, 5, 6]);
    let attempts: Vec<_> =
        world.courier.effects("careful").await.iter().map(|effect| effect.attempt).max().into_iter().collect();
    assert_eq!(attempts, [3]);
    world.app.finish().await;
}

async fn what_always_fails_is_set_aside_and_the_rest_goes_on(backend: Backend) {
    let world = World::new(backend, options()).await;
    let (one, two) = (world.key(), world.key());
    for key in [one, two] {
        world.courier.post(key, OTHER_KIND, 2, json!({})).await;
    }
    world.deliver().await;
    assert_eq!(world.courier.effects("careful").await.len(), 4, "a consumer that fails holds no other up");
    for _ in 0..20 {
        world.later(4000);
        world.deliver().await;
    }
    assert_eq!(world.courier.effects("hopeless").await, [], "no effect of what failed");
    let set_aside = "SELECT count(*) AS n FROM outbox WHERE set_aside_at IS NOT NULL AND attempts = 3
                     AND error LIKE '%no thanks%try 3%'";
    assert_eq!(world.courier.number(set_aside).await, 4, "each after three tries, with its error");
    assert_eq!(world.courier.number("SELECT count(*) AS n FROM outbox").await, 4);
    world.app.finish().await;
}

async fn a_panic_is_a_failure_and_no_end(backend: Backend) {
    let world = World::new(backend, options().with("events.retries", 0)).await;
    let key = world.key();
    world.courier.post(key, KIND, 1, json!({ "panic": true })).await;
    world.courier.post_one(key).await;
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", key).await, [2], "set aside at its first failure, and the key goes on");
    world.app.finish().await;
}

async fn a_consumer_that_hangs_fails_the_event_and_no_other(backend: Backend) {
    let options = options().with("events.retries", 0).with("worker.lease_secs", 2);
    let app = TestApp::start_with::<WithCourier>(backend, options).await;
    let courier = app.facade::<CourierFacade>();
    let [bad, worse, good] = [(); 3].map(|()| app.kernel.ids.next());
    for key in [bad, worse] {
        courier.post(key, KIND, 1, json!({ "hang": true })).await;
    }
    courier.post_one(bad).await;
    courier.post(good, KIND, 3, json!({})).await;
    let delivered = tokio::time::timeout(Duration::from_secs(20), app.kernel.outbox.deliver_all()).await;
    delivered.expect("it does not wait for ever").expect("delivered");
    assert_eq!(courier.seen("careful", good).await, [1, 2, 3]);
    assert_eq!(courier.seen("careful", bad).await, [2], "set aside, and its key goes on");
    let told =
        "SELECT count(*) AS n FROM outbox WHERE set_aside_at IS NOT NULL AND error LIKE '%took more than 1000 ms%'";
    assert_eq!(courier.number(told).await, 2);
    app.finish().await;
}

async fn a_batch_is_never_larger_than_its_setting(backend: Backend) {
    let world = World::new(backend, options().with("events.batch", 10)).await;
    let keys: Vec<Uuid> = (0..6).map(|_| world.key()).collect();
    // One of each key in turn: what is due first is of all six.
    for _ in 0..5 {
        for key in &keys {
            world.courier.post_one(*key).await;
            world.later(1);
        }
    }
    assert_eq!(world.deliver().await, 30);
    assert!(world.courier.largest_batch() <= 10, "{}: two of each key are more", world.courier.largest_batch());
    world.app.finish().await;
}

async fn a_long_parked_key_is_not_looked_at_event_by_event(backend: Backend) {
    let world = World::new(backend, options().with("events.batch", 10)).await;
    let bad = world.key();
    world.courier.post(bad, KIND, 1, json!({ "fail": 1 })).await;
    world.courier.post(bad, KIND, 1000, json!({})).await;
    // Sequences of contents are as far apart.
    world.app.database.sql("UPDATE outbox SET sequence = sequence * 1048576").await;
    let good = world.key();
    world.courier.post(good, KIND, 1, json!({})).await;
    let before = world.app.kernel.db.statement_count();
    world.deliver().await;
    let statements = world.app.kernel.db.statement_count() - before;
    assert_eq!(world.courier.seen("careful", good).await, [1], "others go on");
    assert!(statements < 100, "{statements} statements to park one key");
    let parked = format!("SELECT count(*) AS n FROM outbox WHERE due_at = {}", START.0 + 1000);
    assert_eq!(world.courier.number(&parked).await, 1001);
    world.later(1000);
    world.deliver().await;
    let all: Vec<i64> = (1..=1001).map(|n| n * 1_048_576).collect();
    assert_eq!(world.courier.seen("careful", bad).await, all);
    world.app.finish().await;
}

async fn a_clock_that_jumped_keeps_no_event_waiting(backend: Backend) {
    let world = World::new(backend, options()).await;
    let key = world.key();
    // For a moment it is tomorrow: a node takes the lease until then, an event is written, and the node dies.
    world.later(Millis::DAY);
    world.courier.post_one(world.key()).await;
    assert_eq!(world.deliver().await, 1);
    world.courier.post(key, KIND, 1, json!({})).await;
    world.later(-Millis::DAY);
    world.courier.post(key, KIND, 1, json!({})).await;
    let other = TestApp::start_on::<WithCourier>(world.app.database.shared(), options().at(&world.clock)).await;
    assert!(other.kernel.outbox.deliver_all().await.expect("delivered") > 0);
    assert_eq!(world.courier.seen("careful", key).await, [1, 2]);
    assert_eq!(world.courier.number("SELECT count(*) AS n FROM outbox").await, 0);
    other.stop().await;
    world.app.finish().await;
}

async fn who_has_not_the_lease_waits_for_nobody(backend: Backend) {
    let world = World::new(backend, options()).await;
    world.courier.post_one(world.key()).await;
    world.deliver().await;
    let other = TestApp::start_on::<WithCourier>(world.app.database.shared(), options().at(&world.clock)).await;
    world.courier.post(world.key(), KIND, 1, json!({ "slow_ms": 4000 })).await;
    let outbox = world.app.kernel.outbox.clone();
    let slow = tokio::spawn(async move { outbox.deliver_all().await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let looked = tokio::time::timeout(Duration::from_secs(2), other.kernel.outbox.deliver_all()).await;
    assert_eq!(looked.expect("it does not wait for the holder's transaction").expect("a look"), 0);
    assert!(!slow.is_finished(), "the holder was faster: this proves nothing");
    assert_eq!(slow.await.expect("no panic").expect("delivered"), 1);
    // Its lease is over: now the other one delivers.
    world.later(30_001);
    world.courier.post_one(world.key()).await;
    assert_eq!(other.kernel.outbox.deliver_all().await.expect("delivered"), 1);
    other.stop().await;
    world.app.finish().await;
}

async fn order_per_key_holds_under_random_failures(backend: Backend) {
    let mut seeded = Seeded::new();
    let retries = 3;
    let options = Options::default().with("events.retries", retries).with("events.batch", 7);
    let world = World::new(backend, options.with("events.backoff_ms", 300)).await;
    let keys: Vec<Uuid> = (0..6).map(|_| world.key()).collect();
    let mut expected = vec![Vec::new(); keys.len()];
    for _ in 0..rounds(40) {
        for _ in 0..seeded.random.random_range(0..6) {
            let at = seeded.random.random_range(0..keys.len());
            let fail = if seeded.random.random_bool(0.3) { seeded.random.random_range(1..=retries + 1) } else { 0 };
            let count = seeded.random.random_range(1..4);
            let last = world.courier.post(keys[at], KIND, count, json!({ "fail": fail })).await;
            if fail <= retries {
                expected[at].extend(last - count + 1..=last);
            }
        }
        world.later(seeded.random.random_range(0..1500));
        world.deliver().await;
    }
    for _ in 0..100 {
        world.later(Millis::HOUR);
        world.deliver().await;
    }
    for (key, expected) in keys.iter().zip(&expected) {
        assert_eq!(world.courier.seen("careful", *key).await, *expected);
    }
    assert_eq!(world.courier.number("SELECT count(*) AS n FROM outbox WHERE set_aside_at IS NULL").await, 0);
    world.app.finish().await;
}

async fn a_large_backlog_is_delivered_in_bounded_batches(backend: Backend) {
    let world = World::new(backend, options().with("events.batch", 50)).await;
    let (long, others) = (world.key(), (0..30).map(|_| world.key()).collect::<Vec<_>>());
    for _ in 0..4 {
        world.courier.post(long, KIND, 500, json!({})).await;
    }
    for key in &others {
        world.courier.post(*key, KIND, 10, json!({})).await;
    }
    assert_eq!(world.deliver().await, 2300);
    assert_eq!(world.courier.seen("careful", long).await, (1..=2000).collect::<Vec<_>>());
    for key in others {
        assert_eq!(world.courier.seen("careful", key).await, (1..=10).collect::<Vec<_>>());
    }
    world.app.finish().await;
}

/// There is no cursor that could have passed it: an event of an older id and an older time is found when it is there.
async fn an_event_of_an_older_time_is_not_skipped(backend: Backend) {
    let world = World::new(backend, options()).await;
    world.later(10_000);
    let new = world.key();
    world.courier.post_one(new).await;
    world.deliver().await;
    world.later(-10_000);
    let old = world.key();
    world.courier.post_one(old).await;
    world.deliver().await;
    assert_eq!(world.courier.seen("careful", new).await, [1]);
    assert_eq!(world.courier.seen("careful", old).await, [1]);
    world.app.finish().await;
}

async fn what_nobody_takes_is_not_kept(backend: Backend) {
    let world = World::new(backend, options()).await;
    world.courier.post(world.key(), "courier.unheard", 1, json!({})).await;
    assert_eq!(world.courier.number("SELECT count(*) AS n FROM outbox").await, 0);
    world.app.finish().await;
}

/// The same with a transaction that began first and commits last. SQLite has one writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_is_not_skipped() {
    let world = World::new(Backend::Postgres, options()).await;
    let (late, early) = (world.key(), world.key());
    let (written, commit) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let held = {
        let (courier, written, commit) = (world.courier.clone(), Arc::clone(&written), Arc::clone(&commit));
        tokio::spawn(async move { courier.post_held(late, written, commit).await })
    };
    written.acquire().await.expect("a gate").forget();
    world.later(1000);
    world.courier.post_one(early).await;
    assert_eq!(world.deliver().await, 1);
    commit.add_permits(1);
    held.await.expect("it commits");
    assert_eq!(world.deliver().await, 1);
    assert_eq!(world.courier.seen("careful", late).await, [1]);
    assert_eq!(world.courier.seen("careful", early).await, [1]);
    world.app.finish().await;
}

async fn a_commit_wakes_the_relay(backend: Backend) {
    let options = Options::default().with("worker.enabled", true).with("worker.poll_ms", 600_000);
    let app = TestApp::start_with::<WithCourier>(backend, options).await;
    let courier = app.facade::<CourierFacade>();
    // The relay has looked, and sleeps.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let key = app.kernel.ids.next();
    courier.post_one(key).await;
    app.kernel.jobs.wake("courier.tick").await.expect("woken");
    let done = async {
        while courier.seen("careful", key).await.is_empty() || courier.ticks("courier.tick").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("long before the next look");
    app.finish().await;
}

async fn what_waits_and_fails_is_seen_in_the_metrics(backend: Backend) {
    let world = World::new(backend, options().with("events.retries", 1).with("modules.off", "engagement")).await;
    let (bad, good) = (world.key(), world.key());
    world.courier.post(bad, OTHER_KIND, 3, json!({})).await;
    world.courier.post(good, KIND, 2, json!({})).await;
    world.deliver().await;
    world.later(1000);
    // The first one's last try; the second one's first.
    world.deliver().await;
    world.later(500);
    let jobs = &world.app.kernel.jobs;
    jobs.wake("courier.tick").await.expect("woken");
    assert_eq!(jobs.run_due().await.expect("jobs"), 1);
    let text = reqwest::get(format!("{}/metrics", world.app.url)).await.expect("metrics").text().await.expect("text");
    for line in [
        "tally_outbox_delivered_total{consumer=\"careful\"} 5",
        "tally_outbox_delivered_total{consumer=\"hopeless\"} 0",
        "tally_outbox_events{consumer=\"careful\",state=\"due\"} 0",
        "tally_outbox_events{consumer=\"hopeless\",state=\"due\"} 0",
        "tally_outbox_events{consumer=\"hopeless\",state=\"parked\"} 2",
        "tally_outbox_events{consumer=\"hopeless\",state=\"set_aside\"} 1",
        "tally_outbox_failures_total{consumer=\"hopeless\"} 3",
        "tally_outbox_set_aside_total{consumer=\"hopeless\"} 1",
        "tally_outbox_oldest_seconds{consumer=\"hopeless\"} 1",
        "tally_job_runs_total{job=\"courier.tick\",outcome=\"ok\"} 1",
        "tally_job_runs_total{job=\"courier.tick\",outcome=\"failed\"} 0",
        "tally_job_overdue_seconds{job=\"courier.tick\"} 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no {line} in:\n{text}");
    }
    let success = format!("tally_job_last_success_seconds{{job=\"courier.tick\"}} {}", world.clock.now().0 / 1000);
    assert!(text.lines().any(|shown| shown == success), "no {success} in:\n{text}");
    world.app.finish().await;
}
