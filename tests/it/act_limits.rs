//! How often a user may do a thing to one content in an hour: exactly, by a clock that the test moves.

use std::collections::HashMap;
use std::sync::Arc;

use rand::RngExt as _;
use serde_json::Value;
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{ManualClock, Millis};
use tally::kernel::error::Code;
use tally::modules::engagement::EngagementFacade;
use tally::modules::engagement::limits::Action;

use crate::harness::{Answer, Backend, Client, Options, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(
    the_hour_slides_by_the_clock,
    limits_hold_in_production_and_wherever_they_are_set,
    an_act_that_is_refused_is_none,
    acts_at_once_are_counted_one_by_one,
    services_and_operators_have_no_limit,
    comments_and_shares_have_limits_too,
    counts_that_are_taken_back_are_free_again,
    random_acts_get_what_a_model_says,
    what_is_sent_again_under_its_key_is_no_further_act,
);

async fn start(backend: Backend, options: Options) -> (TestApp, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (TestApp::start_with::<Tally>(backend, options.at(&clock)).await, clock)
}

/// The time to wait that a refusal gives.
fn wait_ms(answer: &Answer) -> i64 {
    assert_eq!(answer.code(), "RATE_LIMITED", "{answer:?}");
    let wait = answer.body["errors"][0]["extensions"]["retryAfterMs"].as_i64().expect("a time to wait");
    assert!(answer.message().ends_with(&format!("try again in {wait} ms")), "{}", answer.message());
    wait
}

async fn the_hour_slides_by_the_clock(backend: Backend) {
    let options = Options::default().with("engagement.likes_per_hour", 4).with("engagement.favorites_per_hour", 1);
    let (app, clock) = start(backend, options).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    let (one, other) = (ann.publish("one").await, ann.publish("other").await);
    // An act is an act: to take back is one, and so is a repeat.
    for (minute, verb, changed) in [(0, "like", true), (10, "unlike", true), (10, "unlike", false), (20, "like", true)]
    {
        clock.set(START.plus(minute * 60_000));
        assert_eq!(ann.act(verb, &one).await.data()[verb]["changed"], changed);
    }
    clock.set(START.plus(30 * 60_000));
    for verb in ["like", "unlike"] {
        assert_eq!(wait_ms(&ann.act(verb, &one).await), 30 * 60_000, "until the first is an hour old");
    }
    // Another content, another user, another thing to do.
    ann.act("like", &other).await.data();
    ben.act("like", &one).await.data();
    ann.act("favorite", &one).await.data();
    assert_eq!(wait_ms(&ann.act("unfavorite", &one).await), Millis::HOUR);

    clock.set(START.plus(Millis::HOUR - 1));
    assert_eq!(wait_ms(&ann.act("unlike", &one).await), 1);
    clock.set(START.plus(Millis::HOUR));
    let ann = app.user("ann");
    ann.act("unlike", &one).await.data();
    assert_eq!(wait_ms(&ann.act("like", &one).await), 10 * 60_000);
    // A clock that is set back costs nobody more than what was left.
    clock.set(START.plus(-100 * Millis::HOUR));
    assert_eq!(wait_ms(&app.user("ann").act("like", &one).await), 10 * 60_000);
    clock.set(START.plus(-100 * Millis::HOUR + 10 * 60_000));
    app.user("ann").act("like", &one).await.data();
    clock.set(START.plus(Millis::HOUR));
    app.finish().await;
}

async fn limits_hold_in_production_and_wherever_they_are_set(backend: Backend) {
    let many = async |app: &TestApp, verbs: [&str; 2]| {
        let (author, id) = (app.user("author"), app.user("author").publish("one").await);
        for n in 0..30 {
            let answer = author.act(verbs[n % 2], &id).await;
            if answer.body.get("errors").is_some() {
                wait_ms(&answer);
                return n;
            }
        }
        30
    };
    for (options, likes, favorites) in [
        (Options::default(), 30, 30),
        (Options::default().with("server.mode", "production"), 10, 5),
        (Options::default().with("server.mode", "production").with("engagement.likes_per_hour", 0), 30, 5),
        (Options::default().with("engagement.likes_per_hour", 7), 7, 30),
    ] {
        let (app, _clock) = start(backend, options).await;
        assert_eq!(many(&app, ["like", "unlike"]).await, likes);
        assert_eq!(many(&app, ["favorite", "unfavorite"]).await, favorites);
        app.finish().await;
    }
}

async fn an_act_that_is_refused_is_none(backend: Backend) {
    let (app, _clock) = start(backend, Options::default().with("engagement.likes_per_hour", 2)).await;
    let author = app.user("author");
    let id = author.publish("one").await;
    let unknown = tally::kernel::id::Id::<tally::modules::engagement::graphql::ArtworkKind>::new(app.kernel.ids.next());
    for _ in 0..5 {
        assert_eq!(author.act("like", &unknown.to_string()).await.code(), "NOT_FOUND");
    }
    author.query(&format!("mutation {{ unpublishContent(id: \"{id}\") {{ changed }} }}")).await.data();
    for _ in 0..5 {
        assert_eq!(author.act("like", &id).await.code(), "CONFLICT");
    }
    author.query(&format!("mutation {{ republishContent(id: \"{id}\") {{ changed }} }}")).await.data();
    author.act("like", &id).await.data();
    author.act("unlike", &id).await.data();
    for _ in 0..5 {
        assert_eq!(wait_ms(&author.act("like", &id).await), Millis::HOUR, "to be refused makes it no longer");
    }
    let metrics = app.kernel.metrics.text().unwrap();
    assert!(metrics.contains("tally_engagement_acts_refused_total{action=\"like\"} 5\n"), "{metrics}");
    app.finish().await;
}

async fn acts_at_once_are_counted_one_by_one(backend: Backend) {
    let (app, _clock) = start(backend, Options::default().with("engagement.likes_per_hour", 7)).await;
    let author = app.user("author");
    let id = author.publish("one").await;
    let verbs = ["like", "unlike"].into_iter().cycle().take(60);
    let answers = futures_util::future::join_all(verbs.map(|verb| author.act(verb, &id))).await;
    let refused = answers.iter().filter(|answer| answer.body.get("errors").is_some());
    assert_eq!(refused.map(wait_ms).collect::<Vec<_>>(), [Millis::HOUR; 53]);
    app.finish().await;
}

async fn act_for(client: &Client, verb: &str, content: &str, user: &str) -> Answer {
    client.query(&format!("mutation {{ {verb}(contentId: \"{content}\", userId: \"{user}\") {{ changed }} }}")).await
}

async fn services_and_operators_have_no_limit(backend: Backend) {
    let (app, _clock) = start(backend, Options::default().with("engagement.likes_per_hour", 2)).await;
    let user = app.user("user");
    let (id, user_id) = (user.publish("one").await, user.id().await);
    for role in [Role::Service, Role::Operator, Role::Admin] {
        let staff = app.client("staff", &[role]);
        for n in 0..6 {
            act_for(&staff, ["like", "unlike"][n % 2], &id, &user_id).await.data();
            staff.act(["like", "unlike"][n % 2], &id).await.data();
        }
    }
    // What others did for the user is not the user's doing.
    user.act("like", &id).await.data();
    act_for(&user, "unlike", &id, &user_id).await.data();
    assert_eq!(wait_ms(&act_for(&user, "like", &id, &user_id).await), Millis::HOUR, "a role makes the difference");
    app.finish().await;
}

async fn comments_and_shares_have_limits_too(backend: Backend) {
    let (app, clock) = start(backend, Options::default().with("server.mode", "production")).await;
    let (user, other) = (app.user("user"), app.user("other"));
    let id = user.publish("one").await;
    let comment =
        format!("mutation {{ comment(contentId: \"{id}\", body: \"hello\") {{ changed comment {{ id }} }} }}");
    let share = format!("mutation {{ share(contentId: \"{id}\", channel: LINK) {{ changed }} }}");
    for (act, most) in [(&comment, 20), (&share, 3)] {
        for _ in 0..most {
            user.query(act).await.data();
        }
        assert_eq!(wait_ms(&user.query(act).await), Millis::HOUR);
        other.query(act).await.data();
    }
    // What is no comment is none: the other has 19 left.
    for _ in 0..5 {
        let blank = comment.replace("hello", " ");
        assert_eq!(other.query(&blank).await.code(), "INVALID_INPUT");
    }
    let mut last = Value::Null;
    for _ in 0..19 {
        last = other.query(&comment).await.data()["comment"]["comment"]["id"].clone();
    }
    assert_eq!(wait_ms(&other.query(&comment).await), Millis::HOUR);
    other.query(&format!("mutation {{ deleteComment(id: {last}) {{ changed }} }}")).await.data();
    clock.set(START.plus(Millis::HOUR));
    for act in [&comment, &share] {
        app.user("user").query(act).await.data();
    }
    app.finish().await;
}

async fn what_is_sent_again_under_its_key_is_no_further_act(backend: Backend) {
    let options = Options::default().with("engagement.shares_per_hour", 3).with("engagement.comments_per_hour", 1);
    let (app, _clock) = start(backend, options).await;
    let user = app.user("user");
    let id = user.publish("one").await;
    let act = async |field: &str, key: &str| {
        let what = if field == "share" { "channel: LINK" } else { "body: \"hello\"" };
        let query = format!("mutation {{ {field}(contentId: \"{id}\", {what}, clientKey: \"{key}\") {{ changed }} }}");
        user.query(&query).await
    };
    let changed = async |field: &str, key: &str| act(field, key).await.data()[field]["changed"] == true;
    // Sent again because its answer was lost: below the limit it uses up nothing of it, above it is answered all the same.
    for (field, most) in [("share", 3), ("comment", 1)] {
        for n in 0..most {
            assert!(changed(field, &format!("{n}")).await, "{field} {n}");
            for _ in 0..5 {
                assert!(!changed(field, "0").await, "{field} {n}");
            }
        }
        assert_eq!(wait_ms(&act(field, "new").await), Millis::HOUR, "{field}");
        assert!(!changed(field, "0").await, "{field}");
        // What no command would take is no repeat.
        assert_eq!(wait_ms(&act(field, &"k".repeat(201)).await), Millis::HOUR, "{field}");
        // For something else the key is taken, limit or not.
        let other = user.publish(field).await;
        let what = if field == "share" { "channel: QQ" } else { "body: \"other\"" };
        let query = format!("mutation {{ {field}(contentId: \"{other}\", {what}, clientKey: \"0\") {{ changed }} }}");
        assert_eq!(user.query(&query).await.code(), "CONFLICT", "{field}");
    }
    let metrics = app.kernel.metrics.text().unwrap();
    for action in ["share", "comment"] {
        let line = metrics.lines().find(|line| line.contains("refused") && line.contains(&format!("\"{action}\"")));
        assert!(line.is_some_and(|line| line.ends_with(" 2")), "{line:?}: repeats are not refused");
    }
    app.finish().await;
}

async fn counts_that_are_taken_back_are_free_again(backend: Backend) {
    let (app, _clock) = start(backend, Options::default().with("server.mode", "production")).await;
    let engagement = app.facade::<EngagementFacade>();
    let limits = engagement.limits();
    let (user, content) = (app.kernel.ids.next(), app.kernel.ids.next());
    let all = [(Action::Like, 10), (Action::Favorite, 5), (Action::Comment, 20), (Action::Share, 3)];
    for ((action, most), minute) in all.into_iter().zip(0..) {
        let at = START.plus(minute * 60_000);
        for _ in 0..most {
            limits.take(user, content, action, at).unwrap();
        }
        let error = limits.take(user, content, action, at.plus(1)).unwrap_err();
        assert_eq!(error.code(), Code::RATE_LIMITED);
        assert_eq!(error.retry_after().unwrap().as_millis(), 3_599_999);
        limits.give_back(user, content, action);
        limits.take(user, content, action, at.plus(1)).unwrap();
        limits.take(user, content, action, at.plus(1)).unwrap_err();
    }
    app.finish().await;
}

/// Every act that was not refused, and time as limits have it: a clock that is set back stands still for a moment.
#[derive(Default)]
struct Model {
    acts: HashMap<(usize, usize, usize), Vec<i64>>,
    time: i64,
}

impl Model {
    /// The time to wait, or none.
    fn act(&mut self, key: (usize, usize, usize), most: usize) -> Option<i64> {
        let acts = self.acts.entry(key).or_default();
        let recent: Vec<_> = acts.iter().filter(|at| **at > self.time - Millis::HOUR).collect();
        if recent.len() >= most {
            return Some(recent[recent.len() - most] + Millis::HOUR - self.time);
        }
        acts.push(self.time);
        None
    }
}

async fn random_acts_get_what_a_model_says(backend: Backend) {
    let most = [3, 2];
    let options =
        Options::default().with("engagement.likes_per_hour", most[0]).with("engagement.favorites_per_hour", most[1]);
    let (app, clock) = start(backend, options).await;
    let mut seeded = Seeded::new();
    let random = &mut seeded.random;
    let ids = [app.user("author").publish("one").await, app.user("author").publish("other").await];
    let (mut model, mut now, mut refused) = (Model::default(), START, 0);
    for _ in 0..rounds(200) {
        let step = match random.random_range(0..12) {
            0 => random.random_range(-90..-1) * 60_000,
            _ => random.random_range(0..12 * 60_000),
        };
        now = now.plus(step);
        clock.set(now);
        model.time += step.max(0);
        let (user, content, kind) =
            (random.random_range(0..2), random.random_range(0..2), random.random_range(0..2_usize));
        let verbs = [["like", "unlike"], ["favorite", "unfavorite"]];
        let verb = verbs[kind][random.random_range(0..2_usize)];
        let answer = app.user(&format!("user {user}")).act(verb, &ids[content]).await;
        match model.act((user, content, kind), most[kind]) {
            Some(wait) => {
                assert_eq!(wait_ms(&answer), wait);
                refused += 1;
            }
            None => assert!(matches!(answer.data()[verb]["changed"], Value::Bool(_))),
        }
    }
    assert!(refused > 10, "{refused} is too few to be a test");
    app.finish().await;
}
