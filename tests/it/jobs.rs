//! Jobs: each tick once, missed ones once, failures recorded, wrong schedules refused.

use std::sync::Arc;
use std::time::Duration;

use tally::kernel::clock::{Clock as _, ManualClock, Millis};
use tally::kernel::error::Code;

use crate::courier::{CourierFacade, OTHER_KIND, WithCourier};
use crate::harness::{Backend, Options, START, TestApp, on_every_backend};

on_every_backend!(
    each_tick_runs_once_and_missed_ones_once,
    a_woken_job_runs_now_and_its_schedule_stays,
    a_failed_run_is_recorded_and_tried_again,
    old_records_are_removed_and_the_last_stays,
    a_run_whose_lease_is_over_is_taken_over_and_fenced_off,
    a_run_that_always_ends_without_a_word_is_given_up,
    a_long_transaction_and_its_lease_do_not_wait_for_each_other,
    a_start_on_a_clock_that_is_behind_runs_no_tick_twice,
    a_clock_that_jumped_keeps_no_job_from_its_schedule,
    a_clock_set_back_by_hours_keeps_no_job_from_its_schedule,
    a_job_that_was_made_by_a_clock_ahead_runs_by_its_schedule,
    a_clock_that_is_ahead_makes_no_job_run_back_to_back,
    a_woken_run_that_failed_is_tried_again,
    a_woken_job_runs_whatever_its_probe_finds,
    events_set_aside_are_removed_after_their_days,
    jobs_and_consumers_of_others_raise_no_alert,
);

const MINUTE: i64 = 60_000;

/// No jobs but the courier's and the kernel's.
fn alone() -> Options {
    Options::default().with("modules.off", "engagement")
}

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

    fn later(&self, millis: i64) -> Millis {
        self.clock.set(self.clock.now().plus(millis));
        self.clock.now()
    }

    async fn run(&self) -> u64 {
        self.app.kernel.jobs.run_due().await.expect("jobs run")
    }

    async fn ticks(&self) -> Vec<i64> {
        self.courier.ticks("courier.tick").await.iter().map(|ticked| ticked.tick - START.0).collect()
    }
}

async fn each_tick_runs_once_and_missed_ones_once(backend: Backend) {
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    assert_eq!(world.run().await, 0, "nothing is due at the start");
    world.later(5 * MINUTE - 1);
    assert_eq!(world.run().await, 0);
    world.later(1);
    assert_eq!(world.run().await, 1);
    assert_eq!(world.run().await, 0, "once");
    // Days of downtime.
    let World { app, clock, .. } = world;
    let database = app.stop().await;
    clock.set(START.plus(3 * Millis::DAY + 12 * MINUTE));
    let app = TestApp::start_on::<WithCourier>(database, options().at(&clock)).await;
    let courier = app.facade::<CourierFacade>();
    let world = World { app, clock, courier };
    assert_eq!(world.run().await, 1, "the missed ones in one");
    let last = 3 * Millis::DAY + 10 * MINUTE;
    assert_eq!(world.ticks().await, [5 * MINUTE, last]);
    world.later(3 * MINUTE);
    assert_eq!(world.run().await, 1, "and then as before");
    assert_eq!(world.ticks().await, [5 * MINUTE, last, last + 5 * MINUTE]);
    // A clock that steps back gives no tick twice.
    world.later(-Millis::DAY);
    assert_eq!(world.run().await, 0);
    world.app.finish().await;
}

async fn a_woken_job_runs_now_and_its_schedule_stays(backend: Backend) {
    let world = World::new(backend, alone().with("courier.tick", "0 0 * * * *")).await;
    world.later(10 * MINUTE);
    for _ in 0..2 {
        world.app.kernel.jobs.wake("courier.tick").await.expect("woken");
        assert_eq!(world.run().await, 1);
    }
    world.later(50 * MINUTE);
    assert_eq!(world.run().await, 1);
    assert_eq!(world.ticks().await, [10 * MINUTE, 10 * MINUTE + 1, 60 * MINUTE], "ticks rise, whatever the clock says");
    // Off, it still runs when it is woken.
    world.app.kernel.jobs.wake("courier.long").await.expect("woken");
    let error = world.app.kernel.jobs.wake("courier.nothing").await.expect_err("no such job");
    assert_eq!(error.code(), Code::NOT_FOUND);
    assert!(error.client().contains("courier.nothing"), "{error}");
    world.app.finish().await;
}

async fn a_failed_run_is_recorded_and_tried_again(backend: Backend) {
    let options = alone().with("courier.moody", "0 0 * * * *").with("jobs.retry_secs", 31);
    let world = World::new(backend, options.with("jobs.retention", "off")).await;
    // START is at a second that 3 divides, and so is every hour after it: not now, then in a bad mood, then fine.
    world.later(Millis::HOUR);
    assert_eq!(world.run().await, 1);
    let recorded = "SELECT count(*) AS n FROM job_runs WHERE outcome = 'FAILED' AND detail LIKE '%not now%'";
    assert_eq!(world.courier.number(recorded).await, 1);
    world.later(30_000);
    assert_eq!(world.run().await, 0);
    world.later(1000);
    assert_eq!(world.run().await, 1, "earlier than its schedule");
    let panicked = "SELECT count(*) AS n FROM job_runs WHERE outcome = 'FAILED' AND detail LIKE '%panicked%'";
    assert_eq!(world.courier.number(panicked).await, 1);
    world.later(31_000);
    assert_eq!(world.run().await, 1);
    let fine = "SELECT count(*) AS n FROM job_runs WHERE outcome = 'OK' AND detail = 'fine'";
    assert_eq!(world.courier.number(fine).await, 1);
    world.later(31_000);
    assert_eq!(world.run().await, 0, "no retry of what succeeded");
    world.app.finish().await;
}

async fn old_records_are_removed_and_the_last_stays(backend: Backend) {
    let options = alone().with("courier.tick", "0 0 * * * *").with("jobs.keep_days", 1);
    let world = World::new(backend, options.with("jobs.retention", "off")).await;
    for _ in 0..5 {
        world.later(Millis::HOUR);
        assert_eq!(world.run().await, 1);
    }
    world.app.kernel.jobs.wake("kernel.retention").await.expect("woken");
    assert_eq!(world.run().await, 1);
    let kept = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.tick'";
    assert_eq!(world.courier.number(kept).await, 5, "none is old");
    world.later(2 * Millis::DAY);
    world.app.kernel.jobs.wake("kernel.retention").await.expect("woken");
    // The retention, and the tick that was missed.
    assert_eq!(world.run().await, 2);
    assert_eq!(world.courier.number(kept).await, 1, "the last one");
    world.app.finish().await;
}

async fn a_run_whose_lease_is_over_is_taken_over_and_fenced_off(backend: Backend) {
    let options = || alone().with("courier.gated", "0 0 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    let database = world.app.database.shared();
    let other = TestApp::start_on::<WithCourier>(database, options().at(&world.clock)).await;
    let tick = world.later(Millis::HOUR);
    let jobs = world.app.kernel.jobs.clone();
    let paused = tokio::spawn(async move { jobs.run_due().await });
    world.courier.gate().begun().await;
    assert_eq!(other.kernel.jobs.run_due().await.expect("jobs"), 0, "its lease holds");
    world.later(30_001);
    let gate = other.facade::<CourierFacade>();
    gate.gate().open();
    assert_eq!(other.kernel.jobs.run_due().await.expect("jobs"), 1, "its lease is over");
    // Now the one that everybody thought dead goes on.
    world.courier.gate().open();
    assert_eq!(paused.await.expect("no panic").expect("jobs"), 1);
    let chunks: Vec<_> = world.courier.ticks("courier.gated").await.iter().map(|row| (row.tick, row.chunk)).collect();
    assert_eq!(chunks, [(tick.0, 0), (tick.0, 0), (tick.0, 1)], "its second write is refused");
    let recorded = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.gated' AND outcome = 'OK' AND attempts = 2";
    assert_eq!(world.courier.number(recorded).await, 1);
    other.stop().await;
    world.app.finish().await;
}

async fn a_run_that_always_ends_without_a_word_is_given_up(backend: Backend) {
    let options = alone().with("courier.tick", "0 0 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options).await;
    world.later(Millis::HOUR);
    // As five servers leave it that were killed by this very run.
    let tick = world.clock.now().0;
    let run = format!(
        "UPDATE jobs SET tick = {tick}, last_tick = {tick}, owner = 'dead', lease_until = 1 WHERE name = 'courier.tick';
         INSERT INTO job_runs (job, tick, owner, attempts, started_at) VALUES ('courier.tick', {tick}, 'dead', 5, {tick})"
    );
    for statement in run.split(';') {
        world.app.database.sql(statement).await;
    }
    assert_eq!(world.run().await, 2, "it is given up, and the tick that was due meanwhile runs");
    let failed =
        "SELECT count(*) AS n FROM job_runs WHERE outcome = 'FAILED' AND detail LIKE '%without a word 5 times%'";
    assert_eq!(world.courier.number(failed).await, 1);
    assert_eq!(world.courier.ticks("courier.tick").await.len(), 1);
    world.app.finish().await;
}

async fn a_long_transaction_and_its_lease_do_not_wait_for_each_other(backend: Backend) {
    let options = alone().with("worker.lease_secs", 1).with("jobs.retention", "off");
    let app = TestApp::start_with::<WithCourier>(backend, options).await;
    let courier = app.facade::<CourierFacade>();
    app.kernel.jobs.wake("courier.slow").await.expect("woken");
    let jobs = app.kernel.jobs.clone();
    let slow = tokio::spawn(async move { jobs.run_due().await });
    let others = async {
        for _ in 0..10 {
            courier.post_one(app.kernel.ids.next()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slow.await.expect("no panic").expect("jobs run")
    };
    let runs = tokio::time::timeout(Duration::from_secs(8), others).await.expect("nobody waits for the lease");
    assert_eq!(runs, 1);
    assert_eq!(courier.ticks("courier.slow").await.len(), 4);
    let well = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.slow' AND outcome = 'OK' AND attempts = 1";
    assert_eq!(courier.number(well).await, 1);
    app.settle().await;
    app.finish().await;
}

async fn a_start_on_a_clock_that_is_behind_runs_no_tick_twice(backend: Backend) {
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    world.later(5 * MINUTE);
    assert_eq!(world.run().await, 1);
    let behind = Arc::new(ManualClock::new(START.plus(5 * MINUTE - 1000)));
    let other = TestApp::start_on::<WithCourier>(world.app.database.shared(), options().at(&behind)).await;
    behind.set(START.plus(5 * MINUTE));
    assert_eq!(other.kernel.jobs.run_due().await.expect("jobs"), 0, "the tick ran already");
    behind.set(START.plus(10 * MINUTE));
    assert_eq!(other.kernel.jobs.run_due().await.expect("jobs"), 1);
    assert_eq!(world.ticks().await, [5 * MINUTE, 10 * MINUTE]);
    other.stop().await;
    world.app.finish().await;
}

async fn a_clock_that_jumped_keeps_no_job_from_its_schedule(backend: Backend) {
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    world.later(5 * MINUTE);
    assert_eq!(world.run().await, 1);
    // For a moment it was next year; the server goes on, and one that starts.
    world.later(YEAR);
    assert_eq!(world.run().await, 1);
    world.later(-YEAR + 1000);
    assert_eq!(world.run().await, 0, "its next tick is the schedule's");
    assert_eq!(world.run().await, 0);
    world.later(5 * MINUTE);
    assert_eq!(world.run().await, 1, "and its schedule");
    world.later(5 * MINUTE);
    assert_eq!(world.run().await, 1);
    let today: Vec<_> = world.ticks().await.into_iter().filter(|tick| *tick < YEAR).collect();
    assert_eq!(today, [5 * MINUTE, 10 * MINUTE, 15 * MINUTE]);
    let last = START.plus(YEAR).0;
    world.app.database.sql(&format!("UPDATE jobs SET last_tick = {last}, next_run_at = {last} + 1")).await;
    let clock = Arc::new(ManualClock::new(START.plus(16 * MINUTE)));
    let other = TestApp::start_on::<WithCourier>(world.app.database.shared(), options().at(&clock)).await;
    let next = "SELECT next_run_at FROM jobs WHERE name = 'courier.tick'";
    assert_eq!(other.number(next).await, START.plus(20 * MINUTE).0, "a start sets it right");
    other.stop().await;
    world.app.finish().await;
}

async fn a_clock_set_back_by_hours_keeps_no_job_from_its_schedule(backend: Backend) {
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    world.later(20 * Millis::HOUR);
    assert_eq!(world.run().await, 1);
    world.later(MINUTE - 20 * Millis::HOUR);
    assert_eq!(world.run().await, 0, "its next tick is the schedule's");
    world.later(4 * MINUTE);
    assert_eq!(world.run().await, 1);
    // One that died while it ran, by a clock that was ahead.
    let (tick, until) = (START.plus(10 * MINUTE).0, START.plus(20 * Millis::HOUR).0);
    let died = format!(
        "UPDATE jobs SET owner = 'gone', lease_until = {until}, tick = {tick}, next_run_at = {until}
         WHERE name = 'courier.tick'"
    );
    world.app.database.sql(&died).await;
    world.later(5 * MINUTE);
    assert_eq!(world.run().await, 1, "its run is taken over");
    world.app.finish().await;
}

async fn a_job_that_was_made_by_a_clock_ahead_runs_by_its_schedule(backend: Backend) {
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let ahead = Arc::new(ManualClock::new(START.plus(365 * 24 * 60 * MINUTE)));
    let database = TestApp::start_with::<WithCourier>(backend, options().at(&ahead)).await.stop().await;
    let clock = Arc::new(ManualClock::new(START.plus(MINUTE)));
    let app = TestApp::start_on::<WithCourier>(database, options().at(&clock)).await;
    let world = World { courier: app.facade::<CourierFacade>(), app, clock };
    assert_eq!(world.run().await, 0, "it is not due");
    world.later(4 * MINUTE);
    assert_eq!((world.run().await, world.ticks().await), (1, vec![5 * MINUTE]));
    world.app.finish().await;
}

async fn a_clock_that_is_ahead_makes_no_job_run_back_to_back(backend: Backend) {
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    let options = || alone().with("courier.tick", "0 */5 * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options()).await;
    let ahead = Arc::new(ManualClock::new(START.plus(YEAR)));
    let other = TestApp::start_on::<WithCourier>(world.app.database.shared(), options().at(&ahead)).await;
    for minute in 1..=10 {
        world.later(MINUTE);
        ahead.set(START.plus(YEAR + minute * MINUTE));
        for _ in 0..5 {
            world.run().await;
            other.kernel.jobs.run_due().await.expect("jobs");
        }
    }
    let (today, later): (Vec<i64>, Vec<i64>) = world.ticks().await.into_iter().partition(|tick| *tick < YEAR);
    assert_eq!(today, [5 * MINUTE, 10 * MINUTE], "its schedule, by the clock that is right");
    assert!(later.len() <= 3, "and by the other: {later:?}");
    other.stop().await;
    world.app.finish().await;
}

async fn a_woken_run_that_failed_is_tried_again(backend: Backend) {
    let world = World::new(backend, alone().with("jobs.retry_secs", 31).with("jobs.retention", "off")).await;
    // By seconds that 3 divides: not now, then in a bad mood, then fine.
    world.later(3000);
    world.app.kernel.jobs.wake("courier.moody").await.expect("woken");
    for _ in 0..3 {
        assert_eq!(world.run().await, 1, "its schedule is off, and it is tried again");
        world.later(31_000);
    }
    assert_eq!(world.run().await, 0, "no retry of what succeeded");
    let fine = "SELECT count(*) AS n FROM job_runs WHERE job = 'courier.moody' AND outcome = 'OK'";
    assert_eq!(world.courier.number(fine).await, 1);
    world.app.finish().await;
}

async fn a_woken_job_runs_whatever_its_probe_finds(backend: Backend) {
    let options = alone().with("courier.idle", "* * * * * *").with("jobs.retention", "off");
    let world = World::new(backend, options).await;
    world.later(10_500);
    assert_eq!(world.run().await, 0, "its probe finds nothing");
    for _ in 0..2 {
        // It was due long before: only that it was asked for tells.
        world.app.kernel.jobs.wake("courier.idle").await.expect("woken");
        assert_eq!(world.run().await, 1);
        world.later(5000);
        assert_eq!(world.run().await, 0, "once");
    }
    assert_eq!(world.courier.ticks("courier.idle").await.len(), 2);
    world.app.finish().await;
}

async fn events_set_aside_are_removed_after_their_days(backend: Backend) {
    let options = alone().with("events.retries", 0).with("events.set_aside_days", 3);
    let world = World::new(backend, options.with("jobs.retention", "0 0 0 * * *")).await;
    let post = async || {
        world.courier.post(world.app.kernel.ids.next(), OTHER_KIND, 2, serde_json::json!({})).await;
        world.app.kernel.outbox.deliver_all().await.expect("delivered");
    };
    post().await;
    world.later(2 * Millis::DAY);
    post().await;
    let set_aside = "SELECT count(*) AS n FROM outbox WHERE set_aside_at IS NOT NULL";
    assert_eq!(world.run().await, 1);
    assert_eq!(world.courier.number(set_aside).await, 4, "none is old");
    world.later(Millis::DAY + 1);
    assert_eq!(world.run().await, 1);
    assert_eq!(world.courier.number(set_aside).await, 2, "the old ones");
    let said = "SELECT count(*) AS n FROM job_runs WHERE detail LIKE '%, 2 events set aside,%'";
    assert_eq!(world.courier.number(said).await, 1);
    world.app.finish().await;
}

async fn jobs_and_consumers_of_others_raise_no_alert(backend: Backend) {
    let world = World::new(backend, alone().with("jobs.retention", "off")).await;
    world.courier.post_one(world.app.kernel.ids.next()).await;
    for plant in [
        "UPDATE outbox SET consumer = 'gone'",
        "INSERT INTO jobs (name, schedule, next_run_at, owner, lease_until, fence) VALUES ('gone.job', 'x', 1, '', 0, 0)",
    ] {
        world.app.database.sql(plant).await;
    }
    world.later(Millis::HOUR);
    let text = reqwest::get(format!("{}/metrics", world.app.url)).await.expect("metrics").text().await.expect("text");
    assert!(text.contains("tally_outbox_oldest_seconds{consumer=\"careful\"} 0"), "{text}");
    assert!(!text.contains("\"gone"), "nobody here could end the alert:\n{text}");
    world.app.finish().await;
}
