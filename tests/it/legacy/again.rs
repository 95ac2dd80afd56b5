//! An import that is run again, long after: what users took back in tally meanwhile stays taken back, and what has no
//! time is of the time that it had.

use serde_json::json;
use tally::kernel::clock::Millis;
use tally::legacy::Source;
use tally::legacy::import::{self, Report};
use tally::legacy::map::Mapping;

use super::import::made;
use super::{EVERY, Theirs};
use crate::deletion::World;
use crate::harness::{Backend, START, on_every_backend};

on_every_backend!(what_was_taken_back_stays_so_however_long_ago, what_has_no_time_does_not_move);

async fn imported(world: &World, theirs: &Theirs) -> Report {
    let mut source = Source::open(&theirs.url).await.unwrap();
    let mapping = Mapping::default();
    let how = import::Options {
        mapping: &mapping,
        examples: 9,
        differences: import::Differences::default(),
        heard: &|_, _| {},
    };
    let (report, failed) = import::run(&world.app.kernel, &mut source, &how).await.unwrap();
    assert!(failed.is_none(), "{failed:?}");
    source.close().await.unwrap();
    report
}

async fn what_was_taken_back_stays_so_however_long_ago(backend: Backend) {
    for from in EVERY {
        let theirs = Theirs::broken(from).await;
        let world = World::new(backend).await;
        let app = &world.app;
        world.clock.set(START.plus(10 * Millis::DAY));
        let own = app.user("author").publish("our own").await;
        // Of tally's own, before its source tells of it: also known from then on.
        imported(&world, &theirs).await;
        let found = app.anonymous().query("{ contents(externalIds: [\"1\", \"5\"]) { id } }").await;
        let ids: Vec<_> = (0..2).map(|n| found.data()["contents"][n]["id"].as_str().unwrap().to_owned()).collect();
        let took = async |subject: &str, verb: &str, id: &str| {
            app.user(subject).act(verb, id).await.data()[verb]["changed"].clone()
        };
        assert_eq!(took("ann", "unlike", &ids[0]).await, true);
        assert_eq!(took("ann", "unfavorite", &ids[1]).await, true);
        // Given again and taken back again: newer than all that the source knows, and no less taken back.
        assert_eq!(took("ben", "unlike", &ids[0]).await, true);
        assert_eq!(took("ben", "like", &ids[0]).await, true);
        assert_eq!(took("ben", "unlike", &ids[0]).await, true);
        assert_eq!(took("dan", "like", &own).await, true);
        assert_eq!(took("dan", "unlike", &own).await, true);
        let tombstones = async || app.number("SELECT count(*) FROM behaviors WHERE removed_at IS NOT NULL").await;
        assert_eq!(tombstones().await, 4);
        world.clock.set(START.plus(400 * Millis::DAY));
        app.kernel.jobs.wake("engagement.retention").await.unwrap();
        app.settle().await;
        assert_eq!(tombstones().await, 3, "{from:?}: nobody tells of what is tally's own again");
        app.audit().await;
        let again = imported(&world, &theirs).await;
        let news: u64 = again.tables.iter().map(|table| table.new).sum();
        assert_eq!(news, 0, "{from:?} {again:?}");
        assert_eq!(tombstones().await, 3);
        let query = "{ contents(externalIds: [\"1\", \"5\"]) { likeCount favoriteCount } }";
        let due = json!([{ "likeCount": 0, "favoriteCount": 1 }, { "likeCount": 0, "favoriteCount": 1 }]);
        assert_eq!(app.anonymous().query(query).await.data()["contents"], due, "{from:?}");
        // Nobody is kept from liking it again.
        assert_eq!(took("ann", "like", &ids[0]).await, true);
        app.audit().await;
        world.app.finish().await;
        theirs.remove().await;
    }
}

/// Views, comments and shares without a time are of the publication of their video, whenever an import tells of them.
async fn what_has_no_time_does_not_move(backend: Backend) {
    for (from, listed) in EVERY.into_iter().flat_map(|from| [(from, true), (from, false)]) {
        let theirs = Theirs::empty(from).await;
        theirs
            .sql(
                "CREATE TABLE user_behaviors (user_id VARCHAR(40), video_id VARCHAR(40), behavior_type VARCHAR(20));
                 INSERT INTO user_behaviors VALUES ('ann', 'v1', 'view'), ('ben', 'v1', 'view'), ('ann', 'v1', 'share'),
                     ('ann', 'v1', 'like'), ('cas', 'v2', 'comment');",
            )
            .await;
        if listed {
            let videos = "CREATE TABLE videos (id VARCHAR(40), created_at {time});
                INSERT INTO videos VALUES ('v1', '2026-01-01 00:00:00'), ('v2', NULL);";
            theirs.sql(videos).await;
        }
        let world = World::new(backend).await;
        let app = &world.app;
        world.clock.set(START.plus(10 * Millis::DAY));
        let first = imported(&world, &theirs).await;
        let news = |report: &Report| {
            let tables = report.tables.iter();
            tables.fold((0, 0), |sum, table| (sum.0 + table.new, sum.1 + table.openings))
        };
        // Two videos, five behaviors, and the one user of whom more than a count is known.
        assert_eq!(news(&first), (8, 3), "{from:?} {listed} {first:?}");
        let moved = "SELECT count(*) FROM content_openings o JOIN contents c ON c.id = o.content_id
                     WHERE o.at <> c.published_at";
        assert_eq!(app.number(moved).await, 0, "{from:?} {listed}");
        world.clock.set(START.plus(30 * Millis::DAY));
        app.settle().await;
        let history = async || app.number("SELECT count(*) FROM hot_history").await;
        let before = (made(&app.database).await, history().await);
        assert!(before.0.iter().any(|fact| fact.starts_with("mass")), "{before:?}");
        let again = imported(&world, &theirs).await;
        assert_eq!(news(&again), (0, 0), "{from:?} {listed} {again:?}");
        assert_eq!((made(&app.database).await, history().await), before, "{from:?} {listed}");
        app.audit().await;
        world.app.finish().await;
        theirs.remove().await;
    }
}
