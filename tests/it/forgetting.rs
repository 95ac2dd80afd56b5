//! Deletion beside other writers, and at size; tombstones whose time is over.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Database, TransactionTrait as _};
use serde_json::json;
use tally::app::Tally;
use tally::kernel::clock::Millis;
use tally::modules::engagement::content::{BehaviorKind, Kind};
use tally::modules::engagement::{Act, EngagementFacade};
use uuid::Uuid;

use crate::deletion::{World, delete, query, traces, uuid};
use crate::harness::{Backend, Options, START, TestApp, on_every_backend, rounds};

on_every_backend!(
    likes_that_arrive_meanwhile_are_refused_or_removed,
    a_large_deletion_lets_others_in_between,
    old_tombstones_are_pruned_and_older_acts_refused,
    servers_hear_of_a_deletion_that_a_worker_carries_out,
);

async fn likes_that_arrive_meanwhile_are_refused_or_removed(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let (engagement, leaver) = (app.facade::<EngagementFacade>(), app.user("leaver"));
    let user = uuid(&leaver.id().await);
    let contents = join_all((0..40).map(|n| {
        let author = app.user("author");
        async move { author.publish(&format!("{n}")).await }
    }))
    .await;
    // Past the look-up of the user, as from a server that has not heard of the deletion.
    let like = |content: &String| {
        let (content, kind) = (uuid(content), BehaviorKind::Like);
        engagement.act(Act { content, content_kind: Kind::Artwork, user, kind, on: true, at: None })
    };
    let acts = async {
        let (mut held, mut refused) = (0, 0);
        for _ in 0..3 {
            for outcome in join_all(contents.iter().map(like)).await {
                match outcome {
                    Ok(_) => held += 1,
                    Err(error) if error.code().0 == "NOT_FOUND" => refused += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        (held, refused)
    };
    let id = leaver.id().await;
    let ((held, refused), deleted) = tokio::join!(acts, delete(&leaver, "deleteUser", &id));
    assert!(deleted);
    assert_eq!(held + refused, 120);
    for outcome in join_all(contents.iter().map(like)).await {
        assert_eq!(outcome.unwrap_err().code().0, "NOT_FOUND", "once it is answered, all of them");
    }
    app.settle().await;
    assert_eq!(traces(app, user).await, Vec::<String>::new());
    for content in &contents {
        assert_eq!(world.figures(content).await["likeCount"], 0);
    }
    world.app.finish().await;
}

async fn a_large_deletion_lets_others_in_between(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let engagement = app.facade::<EngagementFacade>();
    let (leaver, reader) = (app.user("leaver"), app.user("reader"));
    let (user, reader_id) = (uuid(&leaver.id().await), uuid(&reader.id().await));
    let author = uuid(&app.user("author").id().await);
    // 100,000 in a soak of twenty.
    let many = match rounds(1) as usize {
        1 => 2_000,
        factor => 5_000 * factor,
    };
    let mut contents = Vec::new();
    for _ in 0..many.div_ceil(500) {
        contents.extend(join_all((0..500).map(|n| publish(&engagement, author, n))).await);
    }
    contents.truncate(many);
    let act = |user, content, on| {
        engagement.act(Act { content, content_kind: Kind::Artwork, user, kind: BehaviorKind::Like, on, at: None })
    };
    for chunk in contents.chunks(500) {
        join_all(chunk.iter().map(|content| act(user, *content, true))).await;
    }
    assert!(delete(&leaver, "deleteUser", &leaver.id().await).await);
    let left = || async {
        let rows = query(app, "SELECT count(*) AS n FROM behaviors".to_owned()).await;
        rows[0].try_get::<i64>("", "n").unwrap()
    };
    // While the job runs somebody else likes, one content after the other; after each it is counted what the job
    // has removed meanwhile.
    let done = tokio_util::sync::CancellationToken::new();
    let others = async {
        let (mut between, mut most) = (0, 0);
        let mut before = left().await;
        for content in contents.iter().cycle() {
            if done.is_cancelled() {
                break;
            }
            for on in [true, false] {
                act(reader_id, *content, on).await.unwrap();
            }
            let now = left().await;
            most = most.max(before - now);
            before = now;
            between += 1;
        }
        (between, most)
    };
    let job = async {
        let began = Instant::now();
        // Not until all is still: others go on for as long as this does.
        while app.number("SELECT count(*) FROM deletions").await > 0 {
            app.kernel.jobs.run_due().await.unwrap();
        }
        done.cancel();
        began.elapsed()
    };
    let ((between, most), took) = tokio::join!(others, job);
    app.settle().await;
    eprintln!(
        "{backend:?}: {many} likes removed in {took:?}, {between} pairs of others in between, at most {most} removed during one"
    );
    // Each waits for one batch of the job at most: twice as many batches as likes of others would be unfair.
    let batches = many / 100;
    assert!(between >= batches / 2, "{between} likes of others came in between {batches} chunks");
    // A batch or two before each of the two, and what goes on while it is counted; not the whole of it.
    assert!((1..=500).contains(&most), "{most} likes were removed while one like and one unlike waited");
    assert_eq!(traces(app, user).await, Vec::<String>::new());
    assert!(left().await <= many as i64, "only the reader's tombstones");
    world.app.finish().await;
}

async fn publish(engagement: &EngagementFacade, author_id: Uuid, n: usize) -> Uuid {
    let detail = tally::modules::engagement::content::Detail::Artwork {
        prompt: None,
        model: None,
        width: None,
        height: None,
        image_url: None,
    };
    let content = tally::modules::engagement::NewContent {
        author_id,
        title: format!("content {n}"),
        cover_url: None,
        external_id: None,
        client_key: None,
        source: None,
        base_weight: None,
        published_at: None,
        detail,
    };
    engagement.publish(content).await.unwrap().content.info.id
}

async fn old_tombstones_are_pruned_and_older_acts_refused(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let engagement = app.facade::<EngagementFacade>();
    let reader = app.user("reader");
    let (content, user) = (uuid(&app.user("author").publish("one").await), uuid(&reader.id().await));
    let act = |kind, on, at: Option<i64>| {
        engagement.act(Act { content, content_kind: Kind::Artwork, user, kind, on, at: at.map(Millis) })
    };
    act(BehaviorKind::Like, true, None).await.unwrap();
    act(BehaviorKind::Favorite, true, None).await.unwrap();
    world.clock.set(Millis(START.0 + 1000));
    act(BehaviorKind::Like, false, None).await.unwrap();
    let rows = || async {
        let found = query(app, "SELECT kind, removed_at FROM behaviors ORDER BY kind".to_owned()).await;
        found.iter().map(|row| row.try_get::<Option<i64>>("", "removed_at").unwrap()).collect::<Vec<_>>()
    };
    let month = START.0 + 30 * Millis::DAY + 1000;
    let prune = async |at| {
        world.clock.set(Millis(at));
        app.kernel.jobs.wake("engagement.retention").await.unwrap();
        app.settle().await;
    };
    prune(month).await;
    assert_eq!(rows().await, [Some(START.0 + 1000), None], "not a millisecond early");
    assert!(!act(BehaviorKind::Like, true, Some(START.0 + 1000)).await.unwrap().changed, "it comes too late");
    let error = act(BehaviorKind::Like, true, Some(START.0 + 999)).await.unwrap_err();
    assert_eq!((error.code().0, error.client().contains("longer ago")), ("INVALID_INPUT", true));
    prune(month + 1).await;
    assert_eq!(rows().await, [None], "a favorite that holds stays, however old");
    let error = act(BehaviorKind::Like, true, Some(START.0 + 1000)).await.unwrap_err();
    assert_eq!(error.code().0, "INVALID_INPUT", "nobody knows any more whether it was taken back");
    assert!(act(BehaviorKind::Like, true, None).await.unwrap().changed);
    world.app.finish().await;
}

async fn servers_hear_of_a_deletion_that_a_worker_carries_out(backend: Backend) {
    let serving = Options::default().with("engagement.settings_poll_ms", 50);
    let app = TestApp::start_with::<Tally>(backend, serving).await;
    // Nobody asks it anything: its ranking is its own.
    let worker = TestApp::start_on::<Tally>(app.database.shared(), Options::default()).await;
    let (author, leaver) = (app.user("author"), app.user("leaver"));
    let (low, high) = (author.publish("low").await, author.publish("high").await);
    app.user("reader").act("like", &low).await.data();
    for verb in ["like", "favorite"] {
        leaver.act(verb, &high).await.data();
    }
    let own = leaver.publish("own").await;
    let ranks = async || {
        let query = "query ($ids: [ID!]!) { contents(ids: $ids) { hotness { rank } } }";
        let answer = app.anonymous().run(query, json!({ "ids": [low, high] })).await;
        let contents = answer.data()["contents"].as_array().unwrap().clone();
        contents.iter().map(|content| content["hotness"]["rank"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ranks().await, [2, 1]);
    assert!(delete(&leaver, "deleteUser", &leaver.id().await).await);
    worker.settle().await;
    assert_eq!(traces(&app, uuid(&own)).await, Vec::<String>::new());
    let heard = async {
        while ranks().await != [1, 2] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the server reads its ranking anew");
    // The index holds what is there, and nothing else.
    app.audit().await;
    worker.stop_unaudited().await;
    app.finish().await;
}

/// A backup reads for hours; whoever may write ends soon. Only the latter is waited for, and nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_ends_beside_a_backup_and_after_writers_under_way() {
    let world = World::new(Backend::Postgres).await;
    let app = &world.app;
    let pending = async || app.number("SELECT count(*) FROM deletions").await;
    let connection = Database::connect(&app.database.url).await.unwrap();
    let backup = connection.begin().await.unwrap();
    backup.execute_unprepared("SELECT count(*) FROM deleted_users").await.unwrap();
    let first = app.user("first");
    assert!(delete(&first, "deleteUser", &first.id().await).await);
    app.settle().await;
    assert_eq!(pending().await, 0, "a backup writes nothing");
    backup.rollback().await.unwrap();

    let writer = connection.begin().await.unwrap();
    writer.execute_unprepared("INSERT INTO batches (id, committed_at) VALUES (gen_random_uuid(), 0)").await.unwrap();
    writer.execute_unprepared("SELECT count(*) FROM deleted_users").await.unwrap();
    let second = app.user("second");
    assert!(delete(&second, "deleteUser", &second.id().await).await);
    app.settle().await;
    assert_eq!(pending().await, 1, "it does not know of the deletion, and may write");
    writer.commit().await.unwrap();
    world.clock.set(START.plus(60_000));
    app.settle().await;
    assert_eq!(pending().await, 0);
    connection.close().await.unwrap();
    world.app.finish().await;
}
