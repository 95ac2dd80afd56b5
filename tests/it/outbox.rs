//! Events: in sequence per key, exactly once in effect, whatever fails.

use std::sync::Arc;

use rand::RngExt as _;
use serde_json::json;
use tally::kernel::clock::{Clock as _, ManualClock, Millis};
use uuid::Uuid;

use crate::courier::{CourierFacade, KIND, OTHER_KIND, WithCourier};
use crate::harness::{Backend, Options, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(
    events_come_in_sequence_and_once,
    a_failing_event_parks_its_key_alone,
    what_always_fails_is_set_aside_and_the_rest_goes_on,
    a_panic_is_a_failure_and_no_end,
    order_per_key_holds_under_random_failures,
    a_large_backlog_is_delivered_in_bounded_batches,
    a_transaction_that_commits_late_is_not_skipped,
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
async fn a_transaction_that_commits_late_is_not_skipped(backend: Backend) {
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
