//! Views: once a viewer, content and hour; summed up by a job, late ones included, and exact at any moment.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{Clock as _, ManualClock, Millis, SystemClock};

use crate::harness::{Answer, Backend, Client, Options, START, TestApp, on_every_backend};

on_every_backend!(
    a_view_counts_once_a_viewer_content_and_hour,
    bad_views_are_refused,
    a_thousand_views_are_a_few_statements,
    views_meet_and_none_counts_twice,
    roll_ups_change_no_number,
    late_views_are_neither_lost_nor_counted_twice,
    views_go_on_while_they_are_summed_up,
    a_viewer_is_known_after_a_restart_and_by_nobody,
    planted_drifts_of_views_are_found,
    a_count_that_no_int_holds_is_an_error_of_its_field,
);

const VIEWS: &str = "mutation ($ids: [ID!]!, $user: ID) { recordViews(contentIds: $ids, userId: $user) { counted } }";

async fn view(client: &Client, contents: &[impl AsRef<str>]) -> Answer {
    let ids: Vec<_> = contents.iter().map(AsRef::as_ref).collect();
    client.run(VIEWS, json!({ "ids": ids })).await
}

async fn counted(client: &Client, contents: &[impl AsRef<str>]) -> i64 {
    view(client, contents).await.data()["recordViews"]["counted"].as_i64().unwrap()
}

async fn view_counts(app: &TestApp, contents: &[String]) -> Vec<i64> {
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { viewCount } }";
    let answer = app.anonymous().run(query, json!({ "ids": contents })).await;
    answer.data()["contents"].as_array().unwrap().iter().map(|content| content["viewCount"].as_i64().unwrap()).collect()
}

/// A server whose clock the test moves, and whose jobs run when the test says.
async fn at(backend: Backend, clock: &Arc<ManualClock>) -> TestApp {
    let options = Options::default().at(clock).with("worker.enabled", "false").with("engagement.view_open_hours", 2);
    TestApp::start_with::<Tally>(backend, options.with("engagement.view_hours_days", 30)).await
}

/// A user whose token holds while the test moves the clock.
fn long(app: &TestApp, subject: &str) -> Client {
    Client::new(&app.url, Some(app.token(subject, &[Role::User], 86_400)))
}

async fn publish(app: &TestApp, count: usize) -> Vec<String> {
    let author = app.user("author");
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(author.publish(&format!("content {n}")).await);
    }
    ids
}

async fn a_view_counts_once_a_viewer_content_and_hour(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 3).await;
    let (ann, ben, nobody) = (long(&app, "ann"), long(&app, "ben"), app.anonymous());
    assert_eq!(counted(&ann, &[&ids[0], &ids[1], &ids[0]]).await, 2, "a duplicate counts once");
    assert_eq!(counted(&ann, &ids).await, 1, "within the hour the first two count no more");
    assert_eq!(counted(&ben, &ids).await, 3);
    assert_eq!(counted(&nobody, &ids).await, 3);
    assert_eq!(counted(&nobody, &ids).await, 0, "all without a token at one address are one viewer");
    assert_eq!(view_counts(&app, &ids).await, [3, 3, 3]);

    clock.set(START.plus(Millis::HOUR - 1));
    assert_eq!(counted(&ann, &ids).await, 0, "the hour's last millisecond");
    clock.set(START.plus(Millis::HOUR));
    assert_eq!(counted(&ann, &ids).await, 3, "the next hour");
    assert_eq!(view_counts(&app, &ids).await, [4, 4, 4]);

    // What is unknown, of another kind, or hidden is left out.
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    app.user("author").run(hide, json!({ "id": ids[0] })).await.data();
    let other_kind = ids[1].replace("artwork_", "video_");
    let mixed = [&*ids[0], "video_01h455vb4pex5vsknk084sn02q", &other_kind, &ids[2]];
    assert_eq!(counted(&ben, &mixed).await, 1);
    assert_eq!(view_counts(&app, &ids).await, [4, 4, 5]);

    // At the start of its hour: later in the hour it weighs what it weighed then.
    let query = "query ($id: ID!) { artwork(id: $id) { hotness { score } } }";
    let score =
        app.anonymous().run(query, json!({ "id": ids[2] })).await.data()["artwork"]["hotness"]["score"].as_f64();
    let fade = |hours: f64| (-hours / 72.0).exp2();
    let expected = 10.0 * fade(1.0) + 3.0 * 0.1 * fade(1.0) + 2.0 * 0.1;
    assert!((score.unwrap() - expected).abs() < 1e-5, "{score:?} instead of {expected}");
    app.finish().await;
}

async fn bad_views_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ids = publish(&app, 1).await;
    let (reader, service) = (app.user("reader"), app.client("service", &[Role::Service]));
    assert_eq!(view(&reader, &[""; 0]).await.code(), "INVALID_INPUT");
    let many = vec![ids[0].clone(); 1_001];
    assert_eq!(view(&reader, &many).await.code(), "INVALID_INPUT", "1,001 ids, if of one content");
    assert_eq!(counted(&reader, &many[..1_000]).await, 1);
    let user = app.user("author").id().await;
    assert_eq!(view(&reader, &[&user]).await.code(), "INVALID_INPUT", "a user's id");
    let variables = json!({ "ids": ids, "user": user });
    assert_eq!(reader.run(VIEWS, variables.clone()).await.code(), "FORBIDDEN");
    assert_eq!(app.anonymous().run(VIEWS, variables.clone()).await.code(), "UNAUTHENTICATED");
    assert_eq!(service.run(VIEWS, variables.clone()).await.data()["recordViews"]["counted"], 1);
    assert_eq!(service.run(VIEWS, variables).await.data()["recordViews"]["counted"], 0);
    assert_eq!(counted(&app.user("author"), &ids).await, 0, "the service's view was the author's");
    app.finish().await;
}

async fn a_thousand_views_are_a_few_statements(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default().at(&clock).with("worker.enabled", "false").with("batch.groups", 1);
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let author = app.user("author");
    let ids = author.publish_many(1_000).await;
    let reader = app.user("reader");
    assert_eq!(counted(&reader, &ids[..1]).await, 1, "the reader is known");
    let before = app.kernel.db.statement_count();
    assert_eq!(counted(&reader, &ids).await, 999);
    let statements = app.kernel.db.statement_count() - before;
    // One batch or two: the first command may be taken before the last is there.
    assert!(statements <= 30, "{statements} statements");
    assert_eq!(view_counts(&app, &ids).await, vec![1; 1_000]);
    app.finish().await;
}

async fn views_meet_and_none_counts_twice(backend: Backend) {
    let app = at(backend, &Arc::new(ManualClock::new(START))).await;
    let ids = publish(&app, 40).await;
    let clients: Vec<_> = (0..4).map(|n| app.user(&format!("reader {n}"))).chain([app.anonymous()]).collect();
    // Each viewer eight times at once, each time in another order.
    let tasks = (0..40).map(|n| {
        let mut ids = ids.clone();
        ids.rotate_left(n);
        let client = &clients[n % 5];
        async move { counted(client, &ids).await }
    });
    assert_eq!(join_all(tasks).await.into_iter().sum::<i64>(), 5 * 40);
    assert_eq!(view_counts(&app, &ids).await, vec![5; 40]);
    app.finish().await;
}

/// How many rows each of the three tables has.
async fn rows(app: &TestApp) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip(["content_views", "content_view_hours", "content_view_epochs"]) {
        *count = app.number(&format!("SELECT count(*) FROM {table}")).await;
    }
    counts
}

/// Figures that a roll-up must not touch.
async fn figures(app: &TestApp, ids: &[String]) -> Value {
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { viewCount hotness { score level rank updatedAt } } }";
    app.anonymous().run(query, json!({ "ids": ids })).await.data().clone()
}

async fn roll_ups_change_no_number(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 5).await;
    for hour in 0..6 {
        clock.set(START.plus(hour * Millis::HOUR + 1));
        for (n, reader) in ["ann", "ben", "eva"].into_iter().enumerate() {
            assert_eq!(counted(&app.user(reader), &ids[n..]).await, 5 - n as i64);
        }
    }
    // 6 hours of 5, 4 and 3 views.
    assert_eq!(rows(&app).await, [72, 0, 0]);
    for (hours, expected) in [
        (6, [24, 20, 0]),      // hours 0 to 3 are closed: four rows a content
        (9, [0, 30, 0]),       // all are
        (24 * 40, [0, 30, 0]), // 30 days, but the epoch of 24 days that they are in has not ended so long ago
        (24 * 60, [0, 0, 5]),
    ] {
        clock.set(START.plus(hours * Millis::HOUR));
        let before = figures(&app, &ids).await;
        app.settle().await;
        assert_eq!(rows(&app).await, expected, "after {hours} hours");
        assert_eq!(figures(&app, &ids).await, before, "after {hours} hours");
        app.audit().await;
    }
    assert_eq!(view_counts(&app, &ids).await, [6, 12, 18, 18, 18]);
    let reader = app.user("ann");
    assert_eq!(counted(&reader, &ids).await, 5, "life goes on");
    app.finish().await;
}

async fn late_views_are_neither_lost_nor_counted_twice(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 2).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    assert_eq!(counted(&ann, &ids[..1]).await, 1);
    clock.set(START.plus(10 * Millis::HOUR));
    app.settle().await;
    assert_eq!(rows(&app).await, [0, 1, 0]);

    // A node whose clock is ten hours behind: that hour is closed, and the first that is open takes its views.
    clock.set(START.plus(1));
    assert_eq!(counted(&ann, &ids).await, 2);
    assert_eq!(counted(&ben, &ids).await, 2);
    assert_eq!((counted(&ann, &ids).await, counted(&ben, &ids).await), (0, 0), "each once, there too");
    assert_eq!(app.number("SELECT min(hour) FROM content_views").await, START.plus(8 * Millis::HOUR).0);
    clock.set(START.plus(8 * Millis::HOUR));
    assert_eq!(counted(&app.user("ann"), &ids).await, 0, "the same hour by a clock that is right");
    app.audit().await;

    // The job of such a node opens nothing again.
    clock.set(START.plus(Millis::HOUR));
    app.settle().await;
    assert_eq!(rows(&app).await, [4, 1, 0]);
    clock.set(START.plus(12 * Millis::HOUR));
    app.settle().await;
    assert_eq!(rows(&app).await, [0, 3, 0]);
    assert_eq!(view_counts(&app, &ids).await, [3, 2]);
    app.finish().await;
}

async fn views_go_on_while_they_are_summed_up(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 20).await;
    let mut expected = 0;
    for round in 1..=6 {
        let readers: Vec<_> = (0..6).map(|n| long(&app, &format!("reader {n}"))).collect();
        let views = join_all(readers.iter().map(|reader| async {
            let mut sum = 0;
            for chunk in ids.chunks(5) {
                sum += counted(reader, chunk).await;
            }
            sum
        }));
        let (sums, ()) = tokio::join!(views, async {
            // Forward while they view, by hours: what they count in closes behind them.
            for step in 0..3 {
                clock.set(START.plus((round * 3 + step) * Millis::HOUR));
                app.settle().await;
                app.audit().await;
            }
        });
        expected += sums.into_iter().sum::<i64>();
        assert_eq!(view_counts(&app, &ids).await.into_iter().sum::<i64>(), expected, "round {round}");
    }
    assert!(expected >= 6 * 6 * 20, "{expected}");
    app.finish().await;
}

async fn a_viewer_is_known_after_a_restart_and_by_nobody(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 1).await;
    assert_eq!(counted(&app.anonymous(), &ids).await, 1);
    assert_eq!(counted(&app.user("ann"), &ids).await, 1);
    let database = app.stop().await;
    let options = Options::default().at(&clock).with("worker.enabled", "false");
    let app = TestApp::start_on::<Tally>(database, options).await;
    assert_eq!(counted(&app.anonymous(), &ids).await, 0);
    assert_eq!(counted(&app.user("ann"), &ids).await, 0);
    clock.set(START.plus(Millis::HOUR));
    assert_eq!(counted(&app.anonymous(), &ids).await, 1);
    assert_eq!(counted(&app.user("ann"), &ids).await, 1);
    // Four keys of two viewers: nothing leads from one hour's to the next one's, or to the user.
    assert_eq!(app.number("SELECT count(DISTINCT viewer_key) FROM content_views").await, 4);
    assert_eq!(app.number("SELECT count(*) FROM content_views v JOIN users u ON u.id = v.viewer_key").await, 0);
    app.finish().await;
}

async fn planted_drifts_of_views_are_found(backend: Backend) {
    let clock = Arc::new(ManualClock::new(START));
    let app = at(backend, &clock).await;
    let ids = publish(&app, 1).await;
    counted(&app.user("ann"), &ids).await;
    counted(&app.user("ben"), &ids).await;
    clock.set(START.plus(60 * Millis::DAY));
    app.settle().await;
    assert_eq!(counted(&app.user("ann"), &ids).await, 1);
    clock.set(START.plus(61 * Millis::DAY));
    app.settle().await;
    assert_eq!(counted(&app.user("ann"), &ids).await, 1);
    assert_eq!(rows(&app).await, [1, 1, 1]);
    let all = vec!["view-count", "heat-mass", "heat"];
    for (plant, mend, expected) in [
        ("UPDATE content_figures SET view_count = 5", "UPDATE content_figures SET view_count = 4", vec!["view-count"]),
        (
            "UPDATE content_view_hours SET count = count + 1",
            "UPDATE content_view_hours SET count = count - 1",
            all.clone(),
        ),
        (
            "UPDATE content_view_epochs SET count = count + 1",
            "UPDATE content_view_epochs SET count = count - 1",
            vec!["view-count"],
        ),
        // One unit of 2^-24 points, 60 days old: too little to move the heat.
        (
            "UPDATE content_view_epochs SET mass = mass - 1",
            "UPDATE content_view_epochs SET mass = mass + 1",
            vec!["heat-mass"],
        ),
        (
            "UPDATE content_views SET hour = hour - 3600000",
            "UPDATE content_views SET hour = hour + 3600000",
            vec!["heat-mass", "heat"],
        ),
    ] {
        app.database.sql(plant).await;
        assert_eq!(app.drifted().await, expected, "{plant}");
        app.database.sql(mend).await;
        assert_eq!(app.drifted().await, Vec::<&str>::new(), "mended: {plant}");
    }
    app.database.sql("DELETE FROM content_views").await;
    assert_eq!(app.drifted().await, all);
    app.stop_unaudited().await.remove().await;
}

/// Closed is closed, for every node: the one whose clock is days ahead closes no hour that is yet to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_of_the_databases_closes_no_hours() {
    let clock = Arc::new(ManualClock::new(SystemClock.now().plus(10 * Millis::DAY)));
    let app = at(Backend::Postgres, &clock).await;
    let ids = publish(&app, 1).await;
    assert_eq!(counted(&long(&app, "viewer"), &ids).await, 1);
    clock.set(SystemClock.now().plus(11 * Millis::DAY));
    app.settle().await;
    let closed = app.number("SELECT closed_before FROM view_state").await;
    let now = SystemClock.now().0;
    assert!(closed > now - 4 * Millis::HOUR && closed <= now - 2 * Millis::HOUR, "{closed} at {now}");
    app.finish().await;
}

async fn a_count_that_no_int_holds_is_an_error_of_its_field(backend: Backend) {
    let app = TestApp::start(backend).await;
    let ids = publish(&app, 2).await;
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { id viewCount } }";
    let most = i64::from(i32::MAX);
    app.database.sql(&format!("UPDATE content_figures SET view_count = {most}")).await;
    assert_eq!(view_counts(&app, &ids).await, [most, most]);
    app.database.sql(&format!("UPDATE content_figures SET view_count = {}", most + 1)).await;
    let answer = app.anonymous().run(query, json!({ "ids": ids[..1] })).await;
    assert_eq!((answer.code(), &answer.body["data"]["contents"]), ("INTERNAL", &json!([null])), "{:#}", answer.body);
    assert_eq!(answer.message(), "the number is outside of what Int holds, 32 bits");
    assert_eq!(answer.body["errors"][0]["path"], json!(["contents", 0, "viewCount"]));
    // What does not ask for it gets the rest.
    let rest = "query ($ids: [ID!]!) { contents(ids: $ids) { likeCount } }";
    assert_eq!(app.anonymous().run(rest, json!({ "ids": ids })).await.data()["contents"][1]["likeCount"], 0);
    app.database.sql("UPDATE content_figures SET view_count = 0").await;
    app.finish().await;
}
