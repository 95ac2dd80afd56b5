//! Two servers on one PostgreSQL: what one commits, listeners and the leaderboard of the other hear of.

use std::time::Duration;

use serde_json::json;
use tally::app::Tally;
use tally::kernel::auth::Role;

use super::leaderboard::{becomes, give, page};
use super::stage::{Stage, options, whole};
use crate::harness::{Backend, Options, TestApp};

/// As the servers of a cluster are started: what is read anew by the clock comes too late for these tests.
fn quiet() -> Options {
    options().with("points.ranking_reread_secs", 86_400)
}

async fn two() -> (Stage, TestApp) {
    let stage = Stage::of(TestApp::start_with::<Tally>(Backend::Postgres, quiet()).await).await;
    let other = TestApp::start_on::<Tally>(stage.app.database.shared(), quiet()).await;
    (stage, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_hear_of_what_another_server_commits() {
    let (stage, other) = two().await;
    let document = format!("subscription {{ pointsChanged(userId: \"{}\") {{ sequence balanceAfter }} }}", stage.id);
    let mut there = other.user("ann").listen(&document).await;
    let mut here = stage.ann.listen(&document).await;
    let mut given = 0;
    for listener in [&mut there, &mut here] {
        listener
            .next_while(async || {
                given += 1;
                stage.award(1, &format!("first {given}")).await.data();
                tokio::time::sleep(Duration::from_millis(20)).await;
            })
            .await;
    }
    let teacher = other.client("teacher", &[Role::Teacher]);
    for n in 0..10 {
        // In turns, and at once.
        let input = super::stage::input(&stage.id, "ADD_POINTS", 1, &format!("there {n}"));
        let key = format!("here {n}");
        let (one, two) = tokio::join!(stage.award(1, &key), super::stage::add(&teacher, input));
        one.data();
        two.data();
    }
    let (balance, count) = stage.account(&stage.id).await;
    for listener in [&mut there, &mut here] {
        let mut last = 0;
        loop {
            let heard = listener.next().await["pointsChanged"].clone();
            let sequence = whole(&heard["sequence"]);
            assert!(sequence > last, "{sequence} after {last}");
            last = sequence;
            if sequence == count {
                assert_eq!(whole(&heard["balanceAfter"]), balance);
                break;
            }
        }
        // Whoever committed it, nobody hears of it again.
        assert!(listener.silent_for(Duration::from_millis(300)).await);
    }
    other.stop().await;
    stage.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leaderboard_follows_another_server() {
    let (stage, other) = two().await;
    let people = stage.people(3).await;
    for (id, amount) in people.iter().zip([10, 20, 30]) {
        give(&stage, id, amount, "a").await;
    }
    let teacher = other.client("teacher", &[Role::Teacher]);
    let ranked = |places: [(usize, i64); 3]| {
        (1..).zip(places).map(|(rank, (n, balance))| (people[n].clone(), balance, rank)).collect::<Vec<_>>()
    };
    becomes(&teacher, &ranked([(2, 30), (1, 20), (0, 10)])).await;
    give(&stage, &people[0], 100, "b").await;
    becomes(&teacher, &ranked([(0, 110), (2, 30), (1, 20)])).await;
    let delete = "mutation ($id: ID!) { deleteUser(id: $id) { changed } }";
    stage.operator.run(delete, json!({ "id": people[2] })).await.data();
    stage.app.settle().await;
    becomes(&teacher, &[(people[0].clone(), 110, 1), (people[1].clone(), 20, 2)]).await;
    other.stop().await;
    stage.app.finish().await;
}

/// What was said while nobody could hear it is looked for afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_connection_looks_at_all() {
    let (stage, other) = two().await;
    let people = stage.people(1).await;
    give(&stage, &people[0], 10, "a").await;
    let teacher = other.client("teacher", &[Role::Teacher]);
    becomes(&teacher, &[(people[0].clone(), 10, 1)]).await;
    let document = format!("subscription {{ pointsChanged(userId: \"{}\") {{ balanceAfter }} }}", people[0]);
    let mut listener = teacher.listen(&document).await;
    let mut given = 10;
    listener
        .next_while(async || {
            given += 1;
            give(&stage, &people[0], 1, &format!("until heard {given}")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        })
        .await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    for round in 0..3 {
        stage.app.database.sql(cut).await;
        // Said while the other one may be connecting again.
        give(&stage, &people[0], 100, &format!("unheard {round}")).await;
        given += 100;
        let expected = json!({ "pointsChanged": { "balanceAfter": given } });
        listener.until(|data| *data == expected).await;
        becomes(&teacher, &[(people[0].clone(), given, 1)]).await;
    }
    assert_eq!(page(&stage.teacher, json!({})).await.0, [(people[0].clone(), given, 1)]);
    other.stop().await;
    stage.app.finish().await;
}

/// Whoever looks at a hot account always finds the other server a moment behind: that is no drift.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_finds_no_drift_in_what_another_server_writes_all_the_time() {
    let (stage, other) = two().await;
    give(&stage, &stage.id, 1, "first").await;
    let teacher = other.client("teacher", &[Role::Teacher]);
    let checks = async {
        for _ in 0..15 {
            // What it finds of the ledger while it is written is not asked here.
            let found: Vec<_> =
                stage.app.drifts().await.into_iter().filter(|found| found.0 == "point-ranking").collect();
            assert_eq!(found, []);
        }
    };
    let writes = futures_util::future::join_all((0..8).map(async |writer| {
        for n in 0.. {
            let input = super::stage::input(&stage.id, "ADD_POINTS", 1, &format!("{writer} {n}"));
            super::stage::add(&teacher, input).await.data();
        }
    }));
    tokio::select! {
        () = checks => {}
        _ = writes => {}
    }
    other.stop().await;
    stage.app.finish().await;
}
