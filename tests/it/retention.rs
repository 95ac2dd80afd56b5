//! What is kept for a time only: deleted comments, rows of hot history.

use serde_json::{Value, json};
use tally::kernel::clock::Millis;

use crate::deletion::{World, query};
use crate::harness::{Backend, Client, Options, START, on_every_backend};

on_every_backend!(deleted_comments_go_in_time, history_goes_in_time_but_for_the_newest_row);

async fn commented(client: &Client, content: &str, key: &str) -> Value {
    let query = "mutation ($id: ID!, $key: String) { comment(contentId: $id, body: \"hm\", clientKey: $key) {
        changed comment { id } } }";
    client.run(query, json!({ "id": content, "key": key })).await.data()["comment"].clone()
}

async fn deleted_comments_go_in_time(backend: Backend) {
    let world = World::new(backend).await;
    let app = &world.app;
    let id = app.user("author").publish("one").await;
    for n in 0..3 {
        // A token holds for an hour, and the clock moves on.
        let reader = app.user("reader");
        let made = commented(&reader, &id, &format!("{n}")).await;
        if n < 2 {
            let drop = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
            reader.run(drop, json!({ "id": made["comment"]["id"] })).await.data();
        }
        world.clock.set(START.plus((n + 1) * Millis::HOUR));
    }
    let rows = async || app.number("SELECT count(*) FROM comments").await;
    let prune = async |at| {
        world.clock.set(START.plus(at));
        app.kernel.jobs.wake("engagement.retention").await.unwrap();
        app.settle().await;
    };
    let month = 30 * Millis::DAY;
    prune(month).await;
    assert_eq!(rows().await, 3, "not a millisecond early");
    let reader = app.user("reader");
    assert_eq!(commented(&reader, &id, "0").await["changed"], false, "its key is still known");
    prune(month + 1).await;
    assert_eq!(rows().await, 2);
    prune(2 * month).await;
    assert_eq!(rows().await, 1, "what was not deleted stays, however old");
    let reader = app.user("reader");
    assert_eq!(commented(&reader, &id, "2").await["changed"], false);
    assert_eq!(commented(&reader, &id, "0").await["changed"], true, "its key is free");
    let query = "query ($id: ID!) { artwork(id: $id) { commentCount comments(first: 10) { nodes { id } } } }";
    let answer = app.anonymous().run(query, json!({ "id": id })).await;
    assert_eq!(answer.data()["artwork"]["commentCount"], 2);
    assert_eq!(answer.data()["artwork"]["comments"]["nodes"].as_array().unwrap().len(), 2);
    world.app.finish().await;
}

async fn history_goes_in_time_but_for_the_newest_row(backend: Backend) {
    let mut all: Option<[Vec<i64>; 2]> = None;
    for days in [0, 10, 1] {
        let options = Options::default()
            .with("engagement.history_days", days)
            .with("engagement.history_interval_secs", 0)
            .with("engagement.half_life_hours", 8_760);
        let world = World::with(backend, options).await;
        let app = &world.app;
        for title in ["busy", "idle"] {
            app.user("author").publish(title).await;
        }
        let busy = app.anonymous().query("{ artworks(first: 2) { nodes { id title } } }").await;
        let nodes = busy.data()["artworks"]["nodes"].as_array().unwrap().clone();
        let busy = nodes.iter().find(|node| node["title"] == "busy").unwrap()["id"].as_str().unwrap().to_owned();
        for day in 1..=10 {
            world.clock.set(START.plus(day * Millis::DAY));
            app.user(&format!("reader {day}")).act("like", &busy).await.data();
        }
        let now = START.plus(15 * Millis::DAY);
        world.clock.set(now);
        // Levels that end by themselves are rows too; then what is old goes.
        for job in ["engagement.cooling", "engagement.retention"] {
            app.kernel.jobs.wake(job).await.unwrap();
            app.settle().await;
        }
        let mut left = [Vec::new(), Vec::new()];
        for (rows, title) in left.iter_mut().zip(["busy", "idle"]) {
            let found = query(
                app,
                format!(
                    "SELECT h.calculated_at FROM hot_history h JOIN contents c ON c.id = h.content_id
                     WHERE c.title = '{title}' ORDER BY h.id"
                ),
            );
            rows.extend(found.await.iter().map(|row| row.try_get::<i64>("", "calculated_at").unwrap()));
        }
        let Some(all) = &all else {
            assert!(left[0].len() > 10, "0 keeps all: {left:?}");
            all = Some(left);
            world.app.finish().await;
            continue;
        };
        let before = now.0 - days * Millis::DAY;
        for (rows, all) in left.iter().zip(all) {
            let newest = all.last().copied();
            let expected: Vec<i64> = all.iter().copied().filter(|at| *at >= before || Some(*at) == newest).collect();
            assert_eq!(*rows, expected, "after {days} days");
        }
        world.app.finish().await;
    }
}
