//! The write batcher under faults, through likes over HTTP.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, Database, Statement, TransactionTrait as _};
use serde_json::json;
use tally::app::Tally;
use tally::modules::engagement::EngagementFacade;

use crate::harness::{Backend, LossyProxy, Options, TestApp, TestDatabase, on_every_backend};

on_every_backend!(
    acts_that_meet_in_one_batch_each_get_their_own_outcome,
    a_full_queue_is_refused_and_what_was_queued_is_done,
    a_culprit_fails_alone,
    a_database_that_takes_no_writes_loses_nothing,
    a_stop_while_a_write_waits_ends_and_keeps_its_word,
    nothing_is_acknowledged_before_its_commit,
);

/// Holds the lock that every batch needs, so that commands pile up behind it.
struct Held(sea_orm::DatabaseTransaction);

impl Held {
    async fn take(database: &TestDatabase) -> Self {
        let connection = Database::connect(database.url.clone()).await.expect("a connection");
        let transaction = connection.begin().await.expect("a transaction");
        let lock = match database.backend {
            Backend::Sqlite => "UPDATE content_figures SET version = version",
            Backend::Postgres => "LOCK TABLE content_figures IN EXCLUSIVE MODE",
        };
        transaction.execute_unprepared(lock).await.expect("the lock");
        Self(transaction)
    }

    async fn release(self) {
        self.0.rollback().await.expect("the lock is released");
    }
}

/// A counter of the module's batches.
fn counted(app: &TestApp, what: &str) -> u64 {
    let text = app.kernel.metrics.text().unwrap();
    let series = format!("tally_batch_{what}_total{{writer=\"engagement\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).expect("the series").parse().unwrap()
}

/// Waits until so many commands are queued.
async fn queued_up(app: &TestApp, commands: u64) {
    let length = || {
        let text = app.kernel.metrics.text().unwrap();
        let lengths = text.lines().filter(|line| line.starts_with("tally_batch_queue_length{writer=\"engagement\""));
        lengths.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    for _ in 0..2_000 {
        if length() == commands {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} instead of {commands} commands are queued", length());
}

async fn acts_that_meet_in_one_batch_each_get_their_own_outcome(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (reader, other) = (app.user("reader"), app.user("other"));
    let id = app.user("author").publish("one").await;
    other.act("like", &id).await.data();
    reader.id().await;
    let engagement = app.facade::<EngagementFacade>();
    let batches = engagement.batch_count();

    let held = Held::take(&app.database).await;
    let first = tokio::spawn({
        let (other, id) = (other.clone(), id.clone());
        async move { other.act("favorite", &id).await }
    });
    // The first is under way, behind the lock; the others queue up in this order.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let acts = ["like", "like", "unlike", "like", "unlike", "unlike"];
    let mut queued = Vec::new();
    for (verb, number) in acts.into_iter().zip(1..) {
        let (reader, id) = (reader.clone(), id.clone());
        queued.push(tokio::spawn(async move { reader.act(verb, &id).await }));
        queued_up(&app, number).await;
    }
    held.release().await;

    assert_eq!(first.await.unwrap().data()["favorite"]["changed"], true);
    let expected = [(true, 2), (false, 2), (true, 1), (true, 2), (true, 1), (false, 1)];
    for ((verb, answer), (changed, likes)) in acts.iter().zip(join_all(queued).await).zip(expected) {
        let answer = answer.unwrap();
        assert_eq!(answer.data()[*verb]["changed"], changed, "{verb}");
        assert_eq!(answer.data()[*verb]["content"]["likeCount"], likes, "{verb}");
    }
    assert_eq!(engagement.batch_count() - batches, 2, "the first alone, then all the others together");
    app.finish().await;
}

async fn a_full_queue_is_refused_and_what_was_queued_is_done(backend: Backend) {
    let options = Options::default().with("batch.queue", 4).with("batch.groups", 1).with("batch.commands", 2);
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let id = app.user("author").publish("one").await;
    let readers: Vec<_> = (0..20).map(|n| app.user(&format!("reader {n}"))).collect();
    for reader in &readers {
        reader.id().await;
    }
    let held = Held::take(&app.database).await;
    let answers = tokio::spawn({
        let (readers, id) = (readers.clone(), id.clone());
        async move { join_all(readers.iter().map(|reader| reader.act("like", &id))).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    held.release().await;
    let answers = answers.await.unwrap();

    let done = answers.iter().filter(|answer| answer.body.get("errors").is_none()).count();
    let refused =
        answers.iter().filter(|answer| answer.body.get("errors").is_some() && answer.code() == "OVERLOADED").count();
    assert_eq!(done + refused, 20);
    assert!(refused > 0 && done >= 4, "{done} done, {refused} refused");
    let answer = app.anonymous().query("{ hotRanking { content { likeCount } } }").await;
    assert_eq!(answer.data()["hotRanking"][0]["content"]["likeCount"], json!(done));
    app.finish().await;
}

async fn a_culprit_fails_alone(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let ids = join_all((0..8).map(|n| {
        let author = author.clone();
        async move { author.publish(&format!("content {n}")).await }
    }))
    .await;
    let reader = app.user("reader");
    reader.id().await;
    // A content whose figures are gone: a fault of the database, which fails every batch that meets it.
    let victim = &ids[3];
    let uuid = reader.run("query ($id: ID!) { artwork(id: $id) { title } }", json!({ "id": victim })).await;
    let title = uuid.data()["artwork"]["title"].as_str().unwrap().to_owned();
    let broken =
        format!("DELETE FROM content_figures WHERE content_id = (SELECT id FROM contents WHERE title = '{title}')");
    let held = Held::take(&app.database).await;
    let answers = tokio::spawn({
        let (reader, ids) = (reader.clone(), ids.clone());
        async move { join_all(ids.iter().map(|id| reader.act("like", id))).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    held.0.execute_unprepared(&broken).await.expect("the fault is planted");
    held.0.commit().await.expect("the lock is released");
    for (id, answer) in ids.iter().zip(answers.await.unwrap()) {
        if id == victim {
            assert_eq!(answer.code(), "INTERNAL");
            assert_eq!(answer.message(), "internal error", "the cause is the operator's");
        } else {
            assert_eq!(answer.data()["like"]["changed"], true);
        }
    }
    assert_eq!(counted(&app, "failed"), 1, "one command failed for good");
    // None, where the culprit came first: the first command of a group does not wait for others.
    assert!(counted(&app, "halvings") <= 3, "of eight, three halvings find it at most");
    assert_eq!(counted(&app, "retries"), 0, "a fault that stays is not tried again");
    let remove = format!("DELETE FROM contents WHERE title = '{title}'");
    app.database.sql(&remove).await;
    for rows in ["content_heat", "hot_history", "artworks"] {
        let remove = format!("DELETE FROM {rows} WHERE content_id NOT IN (SELECT id FROM contents)");
        app.database.sql(&remove).await;
    }
    // The rank index of this process knows a content that the database has lost, and its check says so; a new process
    // does not.
    assert_eq!(app.drifts().await, [("ranking", 1, "rank index".to_owned())]);
    let database = app.stop_unaudited().await;
    TestApp::start_on::<Tally>(database, Options::default()).await.finish().await;
}

async fn a_database_that_takes_no_writes_loses_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    reader.act("like", &id).await.data();
    let limit = |full: bool| {
        let app = &app;
        async move {
            match backend {
                // As full as a disk: no page more than there are.
                Backend::Sqlite => {
                    let pages = if full { 1 } else { 1_073_741_823 };
                    let pragma = format!("PRAGMA max_page_count = {pages}");
                    let run = app
                        .kernel
                        .db
                        .write(move |tx| Box::pin(tx.execute(Statement::from_string(tx.backend(), pragma.clone()))));
                    run.await.unwrap();
                }
                Backend::Postgres => {
                    let word = if full { "on" } else { "off" };
                    app.database.sql(&format!(
                        "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {word}', current_database()); END $$; COMMIT"
                    )).await;
                    app.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
                }
            }
        }
    };
    limit(true).await;
    let long = "x".repeat(10_000);
    let publish =
        "mutation ($prompt: String!) { publishArtwork(input: { title: \"too much\", prompt: $prompt }) { created } }";
    let mut refused = 0;
    for _ in 0..20 {
        let answer = author.run(publish, json!({ "prompt": long })).await;
        if answer.body.get("errors").is_some() {
            assert_eq!(answer.code(), "UNAVAILABLE", "{:#}", answer.body);
            refused += 1;
        }
    }
    assert!(refused > 0, "the limit was never met");
    limit(false).await;
    let answer = author.run(publish, json!({ "prompt": long })).await;
    assert_eq!(answer.data()["publishArtwork"]["created"], true, "it takes writes again");
    let kept =
        app.anonymous().query("{ artworks(orderBy: OLDEST, first: 1) { totalCount nodes { likeCount } } }").await;
    assert_eq!(kept.data()["artworks"]["nodes"][0]["likeCount"], 1);
    assert_eq!(kept.data()["artworks"]["totalCount"], json!(2 + 20 - refused));
    app.finish().await;
}

async fn nothing_is_acknowledged_before_its_commit(backend: Backend) {
    let app = TestApp::start(backend).await;
    let reader = app.user("reader");
    let id = app.user("author").publish("one").await;
    reader.id().await;
    let mut listener = app.anonymous().listen("subscription { hotnessChanged { content { likeCount } } }").await;
    let held = Held::take(&app.database).await;
    let like = tokio::spawn({
        let (reader, id) = (reader.clone(), id.clone());
        async move { reader.act("like", &id).await }
    });
    assert!(listener.silent_for(Duration::from_millis(300)).await, "a listener heard of what is not committed");
    assert!(!like.is_finished());
    let rank = app.anonymous().query("{ hotRanking { score content { likeCount } } }").await;
    assert_eq!(rank.data()["hotRanking"][0]["content"]["likeCount"], 0);
    held.release().await;
    assert_eq!(like.await.unwrap().data()["like"]["content"]["likeCount"], 1);
    assert_eq!(listener.next().await["hotnessChanged"]["content"]["likeCount"], 1);
    app.finish().await;
}

async fn a_stop_while_a_write_waits_ends_and_keeps_its_word(backend: Backend) {
    let options = Options::default().with("server.shutdown_secs", 1);
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let (id, reader) = (app.user("author").publish("one").await, app.user("reader"));
    reader.id().await;
    let held = Held::take(&app.database).await;
    let like = tokio::spawn({
        let (reader, id) = (reader.clone(), id.clone());
        async move { reader.try_run("mutation ($id: ID!) { like(contentId: $id) { changed } }", json!({ "id": id })).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let tasks = app.kernel.tasks.clone();
    // Ends, although the lock is still held.
    let database = app.stop_unaudited().await;
    held.release().await;
    // What was left behind would die with its process; here it shares the next server's, and must not write under it.
    tasks.wait().await;
    let acknowledged = matches!(like.await.unwrap(), Ok(answer) if answer.body.get("errors").is_none());
    let app = TestApp::start_on::<Tally>(database, Options::default()).await;
    let query = "query ($id: ID!) { artwork(id: $id) { viewerHasLiked } }";
    let kept = app.user("reader").run(query, json!({ "id": id })).await.data()["artwork"]["viewerHasLiked"] == true;
    assert!(kept || !acknowledged, "a like was acknowledged and is not there");
    app.finish().await;
}

/// SQLite only: a full disk fails COMMIT itself, and SQLite then rolls back by itself, behind the pool's back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_full_disk_lasts() {
    let app = TestApp::start(Backend::Sqlite).await;
    let author = app.user("author");
    let ids = join_all((0..40).map(|n| {
        let author = author.clone();
        async move { author.publish(&format!("content {n}")).await }
    }))
    .await;
    let set = async |pages: u32| {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        let run =
            app.kernel.db.write(move |tx| Box::pin(tx.execute(Statement::from_string(tx.backend(), pragma.clone()))));
        run.await.unwrap();
    };
    // Likes that come and go need no room but that of their batches' markers: the first statement is what fails.
    let reader = app.user("reader");
    reader.act("favorite", &ids[0]).await.data();
    set(1).await;
    let mut refused = false;
    for verb in ["unfavorite", "favorite"].into_iter().cycle().take(1_000) {
        let answer = reader.act(verb, &ids[0]).await;
        if answer.body.get("errors").is_some() {
            assert_eq!(answer.code(), "UNAVAILABLE", "{:#}", answer.body);
            refused = true;
            break;
        }
    }
    assert!(refused, "the limit was never met");
    set(1_073_741_823).await;
    // A write that rolls back, as a conflict does.
    let service = app.client("service", &[tally::kernel::auth::Role::Service]);
    for subject in ["one", "two"] {
        let ensure = format!("mutation {{ ensureUser(subject: \"{subject}\", externalId: \"same\") {{ id }} }}");
        service.query(&ensure).await;
    }
    assert_eq!(author.act("like", &ids[0]).await.data()["like"]["changed"], true);
    // Another process sees it: it is committed, not the beginning of a transaction that nobody ends.
    let other = Database::connect(app.database.url.clone()).await.unwrap();
    let count = "SELECT count(*) AS n FROM behaviors WHERE kind = 0";
    let row = other.query_one_raw(Statement::from_string(sea_orm::DbBackend::Sqlite, count)).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 1);
    app.finish().await;
}

/// PostgreSQL only: SQLite's commit is a call, whose answer cannot be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_commit_that_is_lost_changes_nothing() {
    let database = TestDatabase::create(Backend::Postgres).await;
    let proxy = LossyProxy::start(&database).await;
    let app = TestApp::start_on::<Tally>(proxy.database(database), Options::default()).await;
    let reader = app.user("reader");
    let id = app.user("author").publish("one").await;
    reader.id().await;
    for (verb, likes) in [("like", 1), ("unlike", 0), ("like", 1)] {
        proxy.lose_the_next_commits_answer();
        let answer = reader.act(verb, &id).await;
        assert_eq!(answer.data()[verb]["changed"], true, "the first try's outcome, not «nothing changed»");
        assert_eq!(answer.data()[verb]["content"]["likeCount"], likes);
        assert!(proxy.has_lost_it(), "the fault was met");
    }
    assert_eq!(counted(&app, "retries"), 3);
    app.finish().await;
}
