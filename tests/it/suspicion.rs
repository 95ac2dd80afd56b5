//! Who does more in an hour than people do: counted, recorded, shown to operators, and forgotten in time.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{ManualClock, Millis};
use tally::modules::engagement::EngagementFacade;
use tally::modules::engagement::limits::Actor;

use crate::deletion::{delete, traces, uuid};
use crate::harness::{Backend, Client, Options, Process, SECRET, START, TestApp, TestDatabase, on_every_backend, run};

on_every_backend!(
    a_user_above_the_threshold_is_one_finding_an_hour,
    acts_that_are_spread_out_are_nobodys_suspicion,
    addresses_are_told_apart_and_not_told,
    views_without_a_token_are_their_addresss,
    findings_last_and_are_removed_in_time,
    in_development_nobody_is_suspected,
    of_a_deleted_user_nothing_is_left,
);

const MOST: usize = 10;

fn options(clock: &Arc<ManualClock>) -> Options {
    Options::default()
        .at(clock)
        .with("engagement.suspicious_per_hour", MOST)
        .with("engagement.suspicious_views_per_hour", MOST)
}

async fn start(backend: Backend) -> (TestApp, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (TestApp::start_with::<Tally>(backend, options(&clock)).await, clock)
}

const FIELDS: &str = "user { id } addressGroup actions since until";

async fn findings(app: &TestApp) -> Vec<Value> {
    let operator = app.client("operator", &[Role::Operator]);
    let answer = operator.query(&format!("{{ suspiciousActivity {{ totalCount nodes {{ {FIELDS} }} }} }}")).await;
    let list = &answer.data()["suspiciousActivity"];
    let nodes = list["nodes"].as_array().unwrap().clone();
    assert_eq!(list["totalCount"], nodes.len());
    nodes
}

fn time(at: Millis) -> Value {
    json!(at.to_utc().to_rfc3339())
}

async fn a_user_above_the_threshold_is_one_finding_an_hour(backend: Backend) {
    let (app, clock) = start(backend).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(ben.publish(&format!("artwork {n}")).await);
    }
    let begun = START.plus(60_000);
    let mut now = START;
    for n in 0..MOST {
        now = START.plus((n as i64 + 1) * 60_000);
        clock.set(now);
        ann.act(["like", "unlike"][n % 2], &ids[n % 4]).await.data();
        ben.act("favorite", &ids[n % 4]).await.data();
    }
    assert_eq!(findings(&app).await, Vec::<Value>::new(), "as many as there may be");
    ann.act("like", &ids[0]).await.data();
    let finding = |actions, since, until, id: &str| json!({ "user": { "id": id }, "addressGroup": null, "actions": actions, "since": time(since), "until": time(until) });
    let ann_id = ann.id().await;
    assert_eq!(findings(&app).await, [finding(MOST + 1, begun, now, &ann_id)]);
    // What follows within the hour is the same finding's, what is refused too.
    let last = begun.plus(Millis::HOUR - 1);
    clock.set(last);
    let unknown = "artwork_01h455vb4pex5vsknk084sn02q";
    assert_eq!(app.user("ann").act("like", unknown).await.code(), "NOT_FOUND");
    assert_eq!(findings(&app).await, [finding(MOST + 2, begun, last, &ann_id)]);
    // The next hour begins with nothing.
    let (second, mut until) = (begun.plus(Millis::HOUR), last);
    for n in 0..=MOST {
        assert_eq!(findings(&app).await.len(), 1);
        until = second.plus(n as i64);
        clock.set(until);
        app.user("ann").act("like", &ids[0]).await.data();
    }
    let both = [finding(MOST + 1, second, until, &ann_id), finding(MOST + 2, begun, last, &ann_id)];
    assert_eq!(findings(&app).await, both, "the newest first");
    // A service's acts count for the user.
    let service = app.client("platform", &[Role::Service]);
    let carl = app.user("carl").id().await;
    for n in 0..=MOST {
        let verb = ["like", "unlike"][n % 2];
        let act = format!("mutation {{ {verb}(contentId: \"{}\", userId: \"{carl}\") {{ changed }} }}", ids[0]);
        service.query(&act).await.data();
    }
    let newest = findings(&app).await.into_iter().find(|finding| finding["user"]["id"] == json!(carl)).unwrap();
    assert_eq!(newest["actions"], json!(MOST + 1));
    let metrics = app.kernel.metrics.text().unwrap();
    let line = "tally_engagement_suspicious_activity_total{actor=\"user\",recorded=\"true\"} 3\n";
    assert!(metrics.contains(line), "{metrics}");
    app.finish().await;
}

async fn acts_that_are_spread_out_are_nobodys_suspicion(backend: Backend) {
    let (app, clock) = start(backend).await;
    let id = app.user("author").publish("one").await;
    // Ten in any hour, for five hours.
    for (n, verb) in (0..5 * MOST as i64).zip(["like", "unlike"].into_iter().cycle()) {
        clock.set(START.plus(n * Millis::HOUR / MOST as i64));
        app.user("ann").act(verb, &id).await.data();
    }
    assert_eq!(findings(&app).await, Vec::<Value>::new());
    // One more within the last hour: it reaches across the hour of the clock.
    app.user("ann").act("like", &id).await.data();
    assert_eq!(findings(&app).await.len(), 1);
    app.finish().await;
}

async fn addresses_are_told_apart_and_not_told(backend: Backend) {
    let (app, clock) = start(backend).await;
    let address = |text: &str| Actor::Address(text.parse::<IpAddr>().unwrap());
    let (one, other) = (address("198.51.100.7"), address("2001:db8:1:2::"));
    let note = |app: &TestApp, actor, acts| app.facade::<EngagementFacade>().limits().note(actor, acts, START);
    note(&app, one, 10);
    note(&app, other, 1_000);
    note(&app, one, 5);
    let found = findings(&app).await;
    let mut actions: Vec<_> = found.iter().map(|finding| finding["actions"].as_i64().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(actions, [MOST as i64 + 5, 1_000], "of many at once each counts");
    let groups = |found: &[Value]| -> Vec<String> {
        found.iter().map(|finding| finding["addressGroup"].as_str().unwrap().to_owned()).collect()
    };
    let first = groups(&found);
    assert!(first[0] != first[1] && first.iter().all(|group| group.len() == 32), "{first:?}");
    assert!(found.iter().all(|finding| finding["user"] == Value::Null));
    // After a restart an address is still the same one: operators can follow it.
    let database = app.stop().await;
    let app = TestApp::start_on::<Tally>(database, options(&clock)).await;
    assert_eq!(findings(&app).await, found, "durable");
    note(&app, one, 100);
    let again = groups(&findings(&app).await);
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|group| first.contains(group)), "{first:?} {again:?}");
    app.finish().await;
}

async fn views_without_a_token_are_their_addresss(backend: Backend) {
    let (app, _clock) = start(backend).await;
    let author = app.user("author");
    let id = author.publish("one").await;
    let view = format!("mutation {{ recordViews(contentIds: [\"{id}\"]) {{ counted }} }}");
    for _ in 0..=MOST {
        // Whoever has a token views as much as they like.
        author.query(&view).await.data();
    }
    for _ in 0..MOST {
        app.anonymous().query(&view).await.data();
    }
    assert_eq!(findings(&app).await, Vec::<Value>::new());
    app.anonymous().query(&view).await.data();
    let found = findings(&app).await;
    assert_eq!((found.len(), &found[0]["actions"]), (1, &json!(MOST + 1)), "{found:?}");
    assert!(found[0]["addressGroup"].is_string(), "{found:?}");
    app.finish().await;
}

async fn findings_last_and_are_removed_in_time(backend: Backend) {
    let (app, clock) = start(backend).await;
    let limits = app.facade::<EngagementFacade>();
    for n in 0..25 {
        clock.set(START.plus(n * Millis::DAY));
        limits.limits().note(Actor::User(app.kernel.ids.next()), 100, START.plus(n * Millis::DAY));
    }
    // Users that are not there any more have findings all the same. Pages of ten.
    let operator = app.client("operator", &[Role::Operator]);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = "nodes { since user { id } } pageInfo { hasNextPage endCursor }";
        let answer = operator.query(&format!("{{ suspiciousActivity(first: 10{after}) {{ {page} }} }}")).await;
        let list = answer.data()["suspiciousActivity"].clone();
        seen.extend(list["nodes"].as_array().unwrap().iter().map(|node| node["since"].clone()));
        if list["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = format!(", after: {}", list["pageInfo"]["endCursor"]);
    }
    let days: Vec<_> = (0..25).rev().map(|n| time(START.plus(n * Millis::DAY))).collect();
    assert_eq!(seen, days, "each once, the newest first");
    for (arguments, code) in [("first: 101", "INVALID_INPUT"), ("after: \"nonsense\"", "INVALID_INPUT")] {
        let answer = operator.query(&format!("{{ suspiciousActivity({arguments}) {{ totalCount }} }}")).await;
        assert_eq!(answer.code(), code);
    }
    // 90 days after the tenth began, the first nine are too old; the job runs at night.
    clock.set(START.plus(100 * Millis::DAY - 1));
    app.settle().await;
    assert_eq!(findings(&app).await.len(), 15);
    clock.set(START.plus(1_000 * Millis::DAY));
    app.settle().await;
    assert_eq!(findings(&app).await.len(), 0);
    app.finish().await;
}

async fn in_development_nobody_is_suspected(backend: Backend) {
    for (mode, found) in [("development", 0), ("production", 1)] {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(backend, Options::default().at(&clock).with("server.mode", mode)).await;
        let user = Actor::User(tally::kernel::id::parse_any(&app.user("ann").id().await).unwrap().1);
        let limits = app.facade::<EngagementFacade>();
        limits.limits().note(user, 100, START);
        assert_eq!(findings(&app).await.len(), 0);
        limits.limits().note(user, 1, START);
        assert_eq!(findings(&app).await.len(), found, "{mode}");
        app.finish().await;
    }
}

async fn of_a_deleted_user_nothing_is_left(backend: Backend) {
    let (app, _clock) = start(backend).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    let id = ben.publish("one").await;
    for verb in ["like", "unlike"].into_iter().cycle().take(MOST + 1) {
        ann.act(verb, &id).await.data();
        ben.act(verb, &id).await.data();
    }
    assert_eq!(findings(&app).await.len(), 2);
    // The finding is under way: in memory is a state that is not written yet.
    ann.act("favorite", &id).await.data();
    let user = ann.id().await;
    assert!(delete(&ann, "deleteUser", &user).await);
    app.settle().await;
    // Whoever reads has all written first.
    let left = findings(&app).await;
    assert_eq!((left.len(), &left[0]["user"]["id"]), (1, &json!(ben.id().await)));
    // As from a server that has not heard of the deletion.
    app.facade::<EngagementFacade>().limits().note(Actor::User(uuid(&user)), 1, START);
    assert_eq!(findings(&app).await, left);
    assert_eq!(traces(&app, uuid(&user)).await, Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn the_log_has_one_line_a_user_and_hour_and_says_who() {
    let database = TestDatabase::create(Backend::Sqlite).await;
    let settings = [("TALLY_LOG", "warn"), ("TALLY_ENGAGEMENT_SUSPICIOUS_PER_HOUR", "5")];
    let server = Process::serve_with(&database, &settings).await;
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET)];
    let folder = tempfile::tempdir().unwrap();
    let (_, token, _) = run(&["token", "--user", "somebody"], &environment, folder.path()).await;
    let client = Client::new(&server.url, Some(token.trim().to_owned()));
    let id = client.publish("one").await;
    for verb in ["like", "unlike"].into_iter().cycle().take(20) {
        client.act(verb, &id).await.data();
    }
    let (status, log) = server.stop().await;
    assert_eq!(status, 0);
    let lines: Vec<_> = log.lines().filter(|line| line.contains("suspicious activity")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for said in ["more than 5 acts in an hour", "kind=\"user\"", "actions=6"] {
        assert!(lines[0].contains(said), "{said}: {log}");
    }
    // What came after the first look at it was written when the server stopped.
    let kernel = TestApp::start_on::<Tally>(database, Options::default()).await;
    assert_eq!(findings(&kernel).await[0]["actions"], 20);
    kernel.finish().await;
}
