//! Any interleaving of acts, at any times, against a model that knows nothing of batches, rows or SQL.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};
use tally::modules::engagement::content::{BehaviorKind, Detail, Kind};
use tally::modules::engagement::hotness::{HeatSettings, artwork_quality};
use tally::modules::engagement::interactions::Channel;
use tally::modules::engagement::{Act, EngagementFacade, NewComment, NewContent, NewShare};
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
    /// When each comment was made, by its id: those that were not deleted.
    comments: HashMap<Uuid, i64>,
    shares: Vec<i64>,
    /// Viewers and hours.
    views: HashSet<(usize, i64)>,
}

/// One thing that a user does to a content.
#[derive(Clone, Copy, Debug)]
enum Step {
    Act(BehaviorKind, bool, Option<i64>),
    Comment,
    Share,
    View,
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

    /// Whether a step changes anything; `made` is the comment that the server made.
    fn step(&mut self, user: usize, step: Step, now: i64, closed_before: i64, made: Option<Uuid>) -> bool {
        match step {
            Step::Act(kind, on, at) => self.act(user, kind, on, at, now),
            Step::Comment => {
                let at = self.now(now);
                self.comments.insert(made.expect("a comment"), at).is_none()
            }
            Step::Share => {
                let at = self.now(now);
                self.shares.push(at);
                true
            }
            Step::View => self.view(user, now, closed_before),
        }
    }

    /// A comment or a share: the server times it, after all that it knows of the content.
    fn now(&mut self, now: i64) -> i64 {
        self.newest = self.newest.max(now);
        self.newest
    }

    /// A view counts at the start of its hour, or of the first that is open.
    fn view(&mut self, user: usize, now: i64, closed_before: i64) -> bool {
        let hour = now.max(closed_before).div_euclid(Millis::HOUR) * Millis::HOUR;
        let counts = self.views.insert((user, hour));
        if counts {
            self.newest = self.newest.max(now);
        }
        counts
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
        self.comments.values().for_each(|at| add(settings.comment_weight, *at));
        self.shares.iter().for_each(|at| add(settings.share_weight, *at));
        self.views.iter().for_each(|(_, hour)| add(settings.view_weight, *hour));
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
            .with("engagement.history_interval_secs", 0)
            .with("engagement.view_hours_days", 5)
            .with("worker.enabled", false);
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

    /// Whether a step changed anything, and the id of what it made.
    async fn step(&self, content: usize, user: usize, step: Step) -> (bool, Option<Uuid>) {
        let (id, person, content_kind) = (self.contents[content], self.users[user], Kind::Artwork);
        match step {
            Step::Act(kind, on, at) => (self.act(content, user, kind, on, at).await, None),
            Step::Comment => {
                let body = "a comment".to_owned();
                let new = NewComment { content: id, content_kind, user: person, body, client_key: None };
                let made = self.engagement.comment(new).await.expect("the comment is taken");
                (made.changed, Some(made.comment.id))
            }
            Step::Share => {
                let channel = Channel::Link;
                let new = NewShare { content: id, content_kind, user: person, channel, client_key: None };
                (self.engagement.share(new).await.expect("the share is taken").changed, None)
            }
            Step::View => {
                let viewer = self.engagement.viewer_of_user(person);
                let views = self.engagement.record_views(&[(id, content_kind)], viewer).await;
                (views.expect("the view is taken") == 1, None)
            }
        }
    }
}

async fn any_interleaving_gives_the_models_figures(backend: Backend) {
    let mut seeded = Seeded::new();
    for (batch, single_lane) in [(1, false), (512, false), (512, true)] {
        let world = World::new(backend, batch, single_lane).await;
        let published = || Model {
            published_at: START.0,
            newest: START.0,
            registers: HashMap::new(),
            comments: HashMap::new(),
            shares: Vec::new(),
            views: HashSet::new(),
        };
        let mut models: Vec<Model> = (0..CONTENTS).map(|_| published()).collect();
        for _ in 0..rounds(40) {
            // The clock jumps, backwards too, by up to ten days.
            let now = START.0 + seeded.random.random_range(-10 * Millis::DAY..10 * Millis::DAY);
            world.clock.set(Millis(now));
            // Roll-ups change no number, and close hours.
            if seeded.random.random_bool(0.2) {
                world.app.settle().await;
            }
            let closed = world.app.number("SELECT closed_before FROM view_state").await;
            let steps: Vec<_> = (0..seeded.random.random_range(1..40))
                .map(|_| {
                    let kind = if seeded.random.random_bool(0.5) { BehaviorKind::Like } else { BehaviorKind::Favorite };
                    let at = seeded
                        .random
                        .random_bool(0.3)
                        .then(|| START.0 + seeded.random.random_range(-20..20) * Millis::HOUR);
                    let step = match seeded.random.random_range(0..10) {
                        0 => Step::Comment,
                        1 => Step::Share,
                        2 | 3 => Step::View,
                        _ => Step::Act(kind, seeded.random.random_bool(0.55), at),
                    };
                    let (content, user) =
                        (seeded.random.random_range(0..CONTENTS), seeded.random.random_range(0..USERS));
                    (content, user, step)
                })
                .collect();
            // All at once: they meet in the queue in this order.
            let changed = join_all(steps.iter().map(|(content, user, step)| world.step(*content, *user, *step))).await;
            for ((content, user, step), (changed, made)) in steps.iter().zip(changed) {
                let model = &mut models[*content];
                let expected = model.step(*user, *step, now, closed, made);
                assert_eq!(changed, expected, "content {content} user {user} {step:?}, now {now}");
            }
            delete_one(&world, &mut models, &mut seeded.random, now).await;
        }
        let settings = world.engagement.hotness().heat;
        for (model, id) in models.iter().zip(&world.contents) {
            let figures = world.engagement.content(*id).await.expect("a read").expect("a content").figures;
            assert_eq!(figures.like_count, model.count(BehaviorKind::Like));
            assert_eq!(figures.favorite_count, model.count(BehaviorKind::Favorite));
            assert_eq!(figures.comment_count, i64::try_from(model.comments.len()).expect("a few"));
            assert_eq!(figures.share_count, i64::try_from(model.shares.len()).expect("a few"));
            assert_eq!(figures.view_count, i64::try_from(model.views.len()).expect("a few"));
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

/// Deletes one of the comments, half of the times; its repeat changes nothing.
async fn delete_one(world: &World, models: &mut [Model], random: &mut StdRng, now: i64) {
    let model = &mut models[random.random_range(0..CONTENTS)];
    let mut comments: Vec<Uuid> = model.comments.keys().copied().collect();
    comments.sort_unstable();
    if comments.is_empty() || random.random_bool(0.5) {
        return;
    }
    let comment = comments[random.random_range(0..comments.len())];
    for changes in [true, false] {
        let gone = world.engagement.delete_comment(comment, world.users[0], true).await;
        assert_eq!(gone.expect("it is deleted").changed, changes);
    }
    model.comments.remove(&comment);
    model.now(now);
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
