//! The cooling timer: each level ends at its computed moment, whoever looks and however late.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};
use tally::kernel::id::parse_any;
use tally::modules::engagement::content::{BehaviorKind, Kind};
use tally::modules::engagement::hotness::{Hotness, NEW_FOR};
use tally::modules::engagement::{Act, EngagementFacade};
use uuid::Uuid;

use crate::harness::{Backend, Options, START, TestApp, on_every_backend};

on_every_backend!(
    each_level_ends_at_its_own_moment,
    days_of_downtime_are_made_up_for_at_once,
    an_act_that_comes_before_the_timer_records_what_faded,
    acts_of_the_timers_own_batch_are_recorded,
    a_like_between_two_crossings_moves_the_next_one,
    an_unlike_moves_the_crossing_to_an_earlier_moment,
    new_ends_after_a_day_and_not_a_millisecond_earlier,
    nothing_is_written_when_nothing_is_due,
    many_are_cooled_in_chunks,
    two_servers_at_once_announce_it_once,
    a_restart_in_the_middle_loses_nothing,
    a_level_that_is_not_the_last_updates_is_a_drift,
);

/// A server whose only contents are the test's, at a clock that stands still.
struct World {
    app: TestApp,
    clock: Arc<ManualClock>,
    hotness: Hotness,
}

/// A row of history: level, moment, method.
type Row = (String, i64, String);

impl World {
    async fn new(backend: Backend) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(backend, Self::options(&clock)).await;
        let hotness = *app.facade::<EngagementFacade>().hotness();
        Self { app, clock, hotness }
    }

    fn options(clock: &Arc<ManualClock>) -> Options {
        // Changes of level alone are recorded: the interval is longer than any test.
        Options::default().at(clock).with("engagement.history_interval_secs", 31_536_000)
    }

    /// Publishes with points by hand, which decide how hot it begins.
    async fn publish(&self, points: i64) -> String {
        let service = self.app.client("service", &[tally::kernel::auth::Role::Service]);
        let query = "mutation ($points: Float!) {
            publishArtwork(input: { title: \"t\", baseWeight: $points }) { artwork { id } } }";
        let answer = service.run(query, json!({ "points": points })).await;
        answer.data()["publishArtwork"]["artwork"]["id"].as_str().unwrap().to_owned()
    }

    /// When a content of these points of the start, and of nothing else, falls below a score.
    fn crossing(&self, points: i64, threshold: f64) -> i64 {
        let heat = self.hotness.heat;
        let weight = heat.publish_weight + points * 1000;
        let masses = BTreeMap::from([(heat.epoch(START), heat.contribution(weight, START).unwrap())]);
        heat.crossing(heat.heat(1000, &masses).unwrap(), threshold).0
    }

    async fn tick(&self, at: i64) {
        self.clock.set(Millis(at));
        // Schedules know whole seconds, moments do not.
        self.app.kernel.jobs.wake("engagement.cooling").await.unwrap();
        self.app.settle().await;
    }

    async fn history(&self, id: &str) -> Vec<Row> {
        let query = "query ($id: ID!) { artwork(id: $id) { hotness {
            level history(first: 100) { level score calculatedAt calculationMethod } } } }";
        let answer = self.app.anonymous().run(query, json!({ "id": id })).await;
        let rows = answer.data()["artwork"]["hotness"]["history"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let moment = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let row = |row: &Value| {
            (text(&row["level"]), moment(&row["calculatedAt"]).timestamp_millis(), text(&row["calculationMethod"]))
        };
        rows.iter().map(row).collect()
    }

    /// What is stored, past the derived level of the API.
    async fn figures(&self, id: &str) -> tally::modules::engagement::content::Figures {
        let (_, uuid) = parse_any(id).unwrap();
        self.app.facade::<EngagementFacade>().content(uuid).await.unwrap().unwrap().figures
    }

    async fn wake_at(&self, id: &str) -> Option<i64> {
        self.figures(id).await.wake_at.map(|at| at.0)
    }
}

fn row(level: &str, at: i64, method: &str) -> Row {
    (level.to_owned(), at, method.to_owned())
}

/// The moments at which a content of 120 points of the start falls, from BLAZING down; and its rows.
async fn fall(world: &World, id: &str) -> ([i64; 3], Vec<Row>) {
    let falls = [100.0, 50.0, 20.0].map(|threshold| world.crossing(110, threshold));
    assert_eq!(world.wake_at(id).await, Some(falls[0]));
    let rows = vec![
        row("BLAZING", START.0, "REALTIME"),
        row("HOT", falls[0], "SCHEDULED"),
        row("WARM", falls[1], "SCHEDULED"),
        row("COLD", falls[2], "SCHEDULED"),
    ];
    (falls, rows)
}

async fn each_level_ends_at_its_own_moment(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let (falls, rows) = fall(&world, &id).await;
    let mut listener = world
        .app
        .anonymous()
        .listen("subscription { hotnessChanged { content { id } level previousLevel cause score previousScore } }")
        .await;
    for (n, at) in falls.into_iter().enumerate() {
        world.tick(at - 1).await;
        assert_eq!(world.history(&id).await, rows[..=n], "a millisecond early");
        let before = world.figures(&id).await;
        world.tick(at).await;
        assert_eq!(world.history(&id).await, rows[..=n + 1], "at the moment itself");
        let after = world.figures(&id).await;
        assert_eq!((after.version, after.heat), (before.version + 1, before.heat));
        assert_eq!(after.last_hot_update, before.last_hot_update, "nobody interacted");
        assert!(after.wake_at.is_none_or(|wake_at| wake_at.0 > at), "it does not set itself for now");
        let heard = listener.next().await["hotnessChanged"].clone();
        assert_eq!(heard["cause"], "COOLED");
        assert_eq!([&heard["previousLevel"], &heard["level"]], [&json!(rows[n].0), &json!(rows[n + 1].0)]);
        assert_eq!(heard["score"], heard["previousScore"], "time alone makes no step");
        world.tick(at + 1).await;
        assert_eq!(world.history(&id).await, rows[..=n + 1], "and not again");
        world.app.audit().await;
    }
    assert_eq!(world.wake_at(&id).await, None);
    world.app.finish().await;
}

async fn days_of_downtime_are_made_up_for_at_once(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let (_, rows) = fall(&world, &id).await;
    let mut listener =
        world.app.anonymous().listen("subscription { hotnessChanged { level previousLevel cause } }").await;
    let version = world.figures(&id).await.version;
    world.tick(START.0 + 60 * Millis::DAY).await;
    assert_eq!(world.history(&id).await, rows);
    assert_eq!(world.figures(&id).await.version, version + 1, "in one batch");
    let heard = listener.next().await["hotnessChanged"].clone();
    assert_eq!(heard, json!({ "level": "COLD", "previousLevel": "BLAZING", "cause": "COOLED" }));
    world.app.finish().await;
}

async fn an_act_that_comes_before_the_timer_records_what_faded(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let (falls, mut rows) = fall(&world, &id).await;
    // At the very moment of a crossing, the act decides what level that moment has.
    world.clock.set(Millis(falls[1]));
    world.app.user("reader").act("favorite", &id).await.data();
    rows.truncate(2);
    assert_eq!(world.history(&id).await, rows, "HOT → WARM did not happen: five points came at that moment");
    let next = world.wake_at(&id).await.unwrap();
    assert!(next > falls[1] + Millis::HOUR);
    // Much later than the next two: a like of a cold content.
    let late = START.0 + 60 * Millis::DAY;
    world.clock.set(Millis(late));
    world.app.user("reader").act("like", &id).await.data();
    let found = world.history(&id).await;
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[..2], rows);
    assert_eq!(found[2], row("WARM", next, "SCHEDULED"));
    assert_eq!((&*found[3].0, &*found[3].2), ("COLD", "SCHEDULED"));
    assert!(found[3].1 > next && found[3].1 < late);
    world.tick(late + 1).await;
    assert_eq!(world.history(&id).await, found, "the timer finds nothing left");
    world.app.finish().await;
}

async fn a_like_between_two_crossings_moves_the_next_one(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let (falls, rows) = fall(&world, &id).await;
    world.tick(falls[0]).await;
    let between = falls[0] + 10 * Millis::HOUR;
    world.clock.set(Millis(between));
    world.app.user("reader").act("like", &id).await.data();
    let moved = world.wake_at(&id).await.unwrap();
    assert!(moved > falls[1], "{moved} {}", falls[1]);
    world.tick(falls[1]).await;
    assert_eq!(world.history(&id).await, rows[..2], "it is still HOT");
    world.tick(moved - 1).await;
    assert_eq!(world.history(&id).await, rows[..2]);
    world.tick(moved).await;
    assert_eq!(world.history(&id).await[2..], [row("WARM", moved, "SCHEDULED")]);
    world.app.finish().await;
}

async fn an_unlike_moves_the_crossing_to_an_earlier_moment(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let alone = world.wake_at(&id).await.unwrap();
    let reader = world.app.user("reader");
    reader.act("favorite", &id).await.data();
    let liked = world.wake_at(&id).await.unwrap();
    world.clock.set(Millis(START.0 + Millis::HOUR / 2));
    reader.act("unfavorite", &id).await.data();
    assert_eq!(world.wake_at(&id).await, Some(alone), "to the millisecond where it was");
    world.tick(alone).await;
    assert!(alone < liked);
    assert_eq!(world.history(&id).await.last().unwrap(), &row("HOT", alone, "SCHEDULED"));
    // One that drops it below a threshold at once needs no timer.
    let warm = world.publish(9).await;
    let reader = world.app.user("reader");
    reader.act("like", &warm).await.data();
    let now = alone;
    assert_eq!(world.history(&warm).await, [row("NEW", now, "REALTIME"), row("WARM", now, "REALTIME")]);
    reader.act("unlike", &warm).await.data();
    assert_eq!(world.history(&warm).await[2..], [row("NEW", now + 1, "REALTIME")]);
    world.app.finish().await;
}

async fn new_ends_after_a_day_and_not_a_millisecond_earlier(backend: Backend) {
    let world = World::new(backend).await;
    let (quiet, warm) = (world.publish(0).await, world.publish(15).await);
    let fall = world.crossing(15, 20.0);
    assert_eq!(world.wake_at(&quiet).await, Some(START.0 + NEW_FOR));
    assert!(fall < START.0 + NEW_FOR && fall > START.0);
    let mut quiet_rows = vec![row("NEW", START.0, "REALTIME")];
    let mut warm_rows = vec![row("WARM", START.0, "REALTIME"), row("NEW", fall, "SCHEDULED")];
    world.tick(START.0 + NEW_FOR - 1).await;
    assert_eq!((world.history(&quiet).await, world.history(&warm).await), (quiet_rows.clone(), warm_rows.clone()));
    world.tick(START.0 + NEW_FOR).await;
    quiet_rows.push(row("COLD", START.0 + NEW_FOR, "SCHEDULED"));
    warm_rows.push(row("COLD", START.0 + NEW_FOR, "SCHEDULED"));
    assert_eq!((world.history(&quiet).await, world.history(&warm).await), (quiet_rows, warm_rows));
    assert_eq!(world.wake_at(&quiet).await, None);
    world.app.finish().await;
}

async fn nothing_is_written_when_nothing_is_due(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let at = world.crossing(110, 100.0);
    world.tick(at).await;
    let engagement = world.app.facade::<EngagementFacade>();
    let (batches, version) = (engagement.batch_count(), world.figures(&id).await.version);
    // A hundred ticks around and after the boundary: one millisecond, then a second each.
    for n in 0..50 {
        world.tick(at + n).await;
        world.tick(at + n * 1000).await;
    }
    assert_eq!(engagement.batch_count(), batches, "no batch at all");
    assert_eq!(world.figures(&id).await.version, version);
    // By its schedule, without anybody's wish, it does not even run.
    let runs = "SELECT count(*) FROM job_runs WHERE job = 'engagement.cooling'";
    let runs_before = world.app.number(runs).await;
    for n in 50..100 {
        world.clock.set(Millis(at + n * 1000));
        world.app.settle().await;
    }
    assert_eq!(world.app.number(runs).await, runs_before, "a run with nothing to do");
    // Once a minute it runs all the same: its last success tells that it is alive.
    world.clock.set(Millis(at + 99_000 + 60_000));
    world.app.settle().await;
    assert_eq!(world.app.number(runs).await, runs_before + 1);
    assert_eq!(engagement.batch_count(), batches);
    world.app.finish().await;
}

/// The timer comes for contents that acts of the same batch have just made warm.
async fn acts_of_the_timers_own_batch_are_recorded(backend: Backend) {
    let world = World::new(backend).await;
    let engagement = world.app.facade::<EngagementFacade>();
    let ids = world.app.user("author").publish_many(20).await;
    let uuid = |id: &str| parse_any(id).unwrap().1;
    let mut fans = Vec::new();
    for n in 0..3 {
        fans.push(uuid(&world.app.user(&format!("fan {n}")).id().await));
    }
    let day = START.0 + NEW_FOR;
    world.clock.set(Millis(day));
    // Queued in this order, all at once: while the first are committed, the others form a batch.
    join_all(ids.iter().map(async |id| {
        let (content, engagement) = (uuid(id), &engagement);
        let acts = fans.iter().map(async |user| {
            let act = Act {
                content,
                content_kind: Kind::Artwork,
                user: *user,
                kind: BehaviorKind::Favorite,
                on: true,
                at: None,
            };
            assert!(engagement.act(act).await.unwrap().changed);
        });
        tokio::join!(join_all(acts), async { engagement.cool(content).await.unwrap() })
    }))
    .await;
    for id in &ids {
        let history = world.history(id).await;
        assert_eq!(history[0], row("NEW", START.0, "REALTIME"));
        assert_eq!(history.last(), Some(&row("WARM", day, "REALTIME")), "{history:?}");
    }
    world.app.audit().await;
    world.app.finish().await;
}

async fn many_are_cooled_in_chunks(backend: Backend) {
    let world = World::new(backend).await;
    // Some at once, as in `publish_many`.
    let ids: Vec<_> = stream::iter((0..600).map(|_| world.publish(0))).buffered(50).collect().await;
    world.tick(START.0 + 2 * Millis::DAY).await;
    for id in &ids {
        assert_eq!(world.history(id).await.len(), 2);
    }
    assert_eq!(world.wake_at(&ids[599]).await, None);
    world.app.finish().await;
}

async fn two_servers_at_once_announce_it_once(backend: Backend) {
    // One file has one server; there two runs of one server meet.
    let world = World::new(backend).await;
    let ids = futures_util::future::join_all((0..40).map(|_| world.publish(110))).await;
    let (falls, rows) = fall(&world, &ids[0]).await;
    world.clock.set(Millis(falls[2] + 1));
    if backend == Backend::Postgres {
        let second = TestApp::start_on::<Tally>(world.app.database.shared(), World::options(&world.clock)).await;
        // The same contents from both sides, past the jobs, which would let one server do it.
        let (one, two) = (world.app.facade::<EngagementFacade>(), second.facade::<EngagementFacade>());
        let uuids: Vec<Uuid> = ids.iter().map(|id| parse_any(id).unwrap().1).collect();
        let cool = |engagement: EngagementFacade| {
            let uuids = uuids.clone();
            async move { join_all(uuids.iter().map(|id| engagement.cool(*id))).await }
        };
        let (first, other) = tokio::join!(cool(one), cool(two));
        for (first, other) in first.into_iter().zip(other) {
            assert_eq!(usize::from(first.unwrap()) + usize::from(other.unwrap()), 1, "one of both did it");
        }
        second.stop_unaudited().await;
    } else {
        tokio::join!(world.app.settle(), world.app.settle());
    }
    for id in &ids {
        assert_eq!(world.history(id).await, rows);
        assert_eq!(world.figures(id).await.version, 2);
    }
    // The rank index of each has not heard of what the other committed.
    let database = world.app.stop_unaudited().await;
    TestApp::start_on::<Tally>(database, World::options(&world.clock)).await.finish().await;
}

async fn a_restart_in_the_middle_loses_nothing(backend: Backend) {
    let world = World::new(backend).await;
    let id = world.publish(110).await;
    let (falls, rows) = fall(&world, &id).await;
    world.tick(falls[0]).await;
    let World { app, clock, hotness } = world;
    let database = app.stop().await;
    clock.set(Millis(falls[2]));
    let app = TestApp::start_on::<Tally>(database, World::options(&clock)).await;
    let world = World { app, clock, hotness };
    world.app.settle().await;
    assert_eq!(world.history(&id).await, rows);
    world.app.finish().await;
}

async fn a_level_that_is_not_the_last_updates_is_a_drift(backend: Backend) {
    let world = World::new(backend).await;
    world.publish(110).await;
    let settled = "UPDATE content_figures SET";
    for (planted, put_right) in [("hot_level = 3", "hot_level = 4"), ("wake_at = wake_at + 1", "wake_at = wake_at - 1")]
    {
        world.app.database.sql(&format!("{settled} {planted}")).await;
        let drifted = world.app.drifted().await;
        assert_eq!(drifted, ["announced-level"], "{planted}");
        world.app.database.sql(&format!("{settled} {put_right}")).await;
    }
    world.app.finish().await;
}
