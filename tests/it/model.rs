//! Any interleaving of acts, at any times, against a model that knows nothing of batches, rows or SQL.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use rand::RngExt as _;
use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};
use tally::modules::engagement::content::{BehaviorKind, Detail, Kind};
use tally::modules::engagement::hotness::{HeatSettings, artwork_quality};
use tally::modules::engagement::{Act, EngagementFacade, NewContent};
use tally::modules::users::{NewUser, UsersFacade};
use uuid::Uuid;

use crate::harness::{Backend, Options, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(any_interleaving_gives_the_models_figures, a_late_like_does_not_come_back_after_its_unlike);

const USERS: usize = 5;
const CONTENTS: usize = 4;

/// A like or favorite in the model: when the last change was, and whether it holds since when.
#[derive(Clone, Copy)]
struct Register {
    changed_at: i64,
    since: Option<i64>,
}

/// A content in the model: its registers, and the newest moment that it has seen.
struct Model {
    published_at: i64,
    newest: i64,
    registers: HashMap<(usize, BehaviorKind), Register>,
}

impl Model {
    /// The last moment decides; the server's own moments come after all that it knows of the row and the content.
    fn act(&mut self, user: usize, kind: BehaviorKind, on: bool, at: Option<i64>, now: i64) -> bool {
        let register = self.registers.get(&(user, kind)).copied();
        let own = at.is_none();
        let at = at
            .unwrap_or_else(|| now.max(self.newest).max(register.map_or(i64::MIN, |register| register.changed_at + 1)));
        let held = register.is_some_and(|register| register.since.is_some());
        if register.is_some_and(|register| at <= register.changed_at) || held && on || own && !held && !on {
            return false;
        }
        self.registers.insert((user, kind), Register { changed_at: at, since: on.then_some(at) });
        if held != on {
            self.newest = self.newest.max(at);
        }
        held != on
    }

    fn count(&self, kind: BehaviorKind) -> i64 {
        let held = self.registers.iter().filter(|((_, k), register)| *k == kind && register.since.is_some());
        i64::try_from(held.count()).expect("a few")
    }

    fn heat(&self, settings: &HeatSettings) -> Option<i64> {
        let mut masses = BTreeMap::new();
        let mut add = |weight, at| {
            *masses.entry(settings.epoch(Millis(at))).or_insert(0) +=
                settings.contribution(weight, Millis(at)).expect("it fits");
        };
        add(settings.publish_weight, self.published_at);
        for ((_, kind), register) in &self.registers {
            let weight = if *kind == BehaviorKind::Like { settings.like_weight } else { settings.favorite_weight };
            if let Some(at) = register.since {
                add(weight, at);
            }
        }
        settings.heat(artwork_quality(None, false, false), &masses)
    }
}

/// A server, its clock, users and contents.
struct World {
    app: TestApp,
    clock: Arc<ManualClock>,
    engagement: EngagementFacade,
    users: Vec<Uuid>,
    contents: Vec<Uuid>,
}

impl World {
    async fn new(backend: Backend, batch: u32, single_lane: bool) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let options = Options::default()
            .at(&clock)
            .with("batch.commands", batch)
            .with("batch.single_lane", single_lane)
            .with("engagement.history_interval_secs", 0);
        let app = TestApp::start_with::<Tally>(backend, options).await;
        let (engagement, people) = (app.facade::<EngagementFacade>(), app.facade::<UsersFacade>());
        let mut users = Vec::new();
        for n in 0..USERS {
            let user = NewUser { subject: format!("user {n}"), ..NewUser::default() };
            users.push(people.ensure(user).await.expect("a user").id);
        }
        let mut contents = Vec::new();
        for n in 0..CONTENTS {
            let detail = Detail::Artwork { prompt: None, model: None, width: None, height: None, image_url: None };
            let content = NewContent {
                author_id: users[0],
                title: format!("content {n}"),
                cover_url: None,
                external_id: None,
                client_key: None,
                source: None,
                base_weight: None,
                published_at: None,
                detail,
            };
            contents.push(engagement.publish(content).await.expect("it is published").content.info.id);
        }
        Self { app, clock, engagement, users, contents }
    }

    async fn act(&self, content: usize, user: usize, kind: BehaviorKind, on: bool, at: Option<i64>) -> bool {
        let (content, user) = (self.contents[content], self.users[user]);
        let act = Act { content, content_kind: Kind::Artwork, user, kind, on, at: at.map(Millis) };
        self.engagement.act(act).await.expect("the act is taken").changed
    }
}

async fn any_interleaving_gives_the_models_figures(backend: Backend) {
    let mut seeded = Seeded::new();
    for (batch, single_lane) in [(1, false), (512, false), (512, true)] {
        let world = World::new(backend, batch, single_lane).await;
        let published = || Model { published_at: START.0, newest: START.0, registers: HashMap::new() };
        let mut models: Vec<Model> = (0..CONTENTS).map(|_| published()).collect();
        for _ in 0..rounds(40) {
            // The clock jumps, backwards too, by up to ten days.
            let now = START.0 + seeded.random.random_range(-10 * Millis::DAY..10 * Millis::DAY);
            world.clock.set(Millis(now));
            let acts: Vec<_> = (0..seeded.random.random_range(1..40))
                .map(|_| {
                    let kind = if seeded.random.random_bool(0.5) { BehaviorKind::Like } else { BehaviorKind::Favorite };
                    let at = seeded
                        .random
                        .random_bool(0.3)
                        .then(|| START.0 + seeded.random.random_range(-20..20) * Millis::HOUR);
                    let (content, user) =
                        (seeded.random.random_range(0..CONTENTS), seeded.random.random_range(0..USERS));
                    (content, user, kind, seeded.random.random_bool(0.55), at)
                })
                .collect();
            // All at once: they meet in the queue in this order.
            let changed =
                join_all(acts.iter().map(|(content, user, kind, on, at)| world.act(*content, *user, *kind, *on, *at)))
                    .await;
            for ((content, user, kind, on, at), changed) in acts.iter().zip(changed) {
                let expected = models[*content].act(*user, *kind, *on, *at, now);
                assert_eq!(changed, expected, "content {content} user {user} {kind:?} {on} at {at:?}, now {now}");
            }
        }
        let settings = world.engagement.hotness().heat;
        for (model, id) in models.iter().zip(&world.contents) {
            let figures = world.engagement.content(*id).await.expect("a read").expect("a content").figures;
            assert_eq!(figures.like_count, model.count(BehaviorKind::Like));
            assert_eq!(figures.favorite_count, model.count(BehaviorKind::Favorite));
            assert_eq!(figures.heat, model.heat(&settings), "to the last bit");
            assert_eq!(figures.last_hot_update.0, model.newest);
        }
        let mut expected: Vec<_> =
            models.iter().zip(&world.contents).map(|(model, id)| (model.heat(&settings), *id)).collect();
        expected.sort_by(|a, b| b.cmp(a));
        let ranked: Vec<_> =
            world.engagement.standings(None, 10).iter().map(|standing| (standing.heat, standing.id)).collect();
        assert_eq!(ranked, expected);
        world.app.finish().await;
    }
}

async fn a_late_like_does_not_come_back_after_its_unlike(backend: Backend) {
    let world = World::new(backend, 512, false).await;
    let at = |minutes: i64| Some(START.0 + minutes * 60_000);
    let like = BehaviorKind::Like;
    assert!(world.act(0, 0, like, true, at(1)).await);
    assert!(world.act(0, 0, like, false, at(2)).await);
    assert!(!world.act(0, 0, like, true, at(1)).await, "the same like, delivered again");
    assert!(!world.act(0, 0, like, true, at(2)).await, "not later than the unlike");
    assert!(world.act(0, 0, like, true, at(3)).await);
    assert!(!world.act(0, 0, like, false, at(2)).await, "the same unlike, delivered again");
    // An unlike that overtook its like.
    assert!(!world.act(1, 0, like, false, at(5)).await);
    assert!(!world.act(1, 0, like, true, at(4)).await);
    assert!(world.act(1, 0, like, true, at(6)).await);
    world.app.finish().await;
}
