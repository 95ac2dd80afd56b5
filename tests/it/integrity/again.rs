//! A figure that two repairs put right: the older one has nothing to put back any more.

use serde_json::json;

use super::{Stage, run, run_json};
use crate::harness::{Backend, on_every_backend};

on_every_backend!(
    what_a_newer_repair_replaced_is_left_by_the_undo_of_the_older_one,
    repairs_of_one_figure_are_undone_newest_first,
);

async fn repairs_of_one_figure_are_undone_newest_first(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    let mut repairs = Vec::new();
    for more in [7, 30, 500] {
        database
            .sql(&format!("UPDATE guestbook_counts SET note_count = note_count + {more} WHERE note_count = 2"))
            .await;
        let (status, report) = run_json(database, "repair --json").await;
        assert_eq!((status, stage.counted().await), (0, [2, 1]), "{report:#}");
        repairs.push(report["run"].as_str().expect("a run").to_owned());
    }
    for (run, count) in repairs.iter().rev().zip([502, 532, 539]) {
        let (status, report) = run_json(database, &format!("repair --undo {run} --json")).await;
        assert_eq!((status, &report["checks"][0]["changed"]), (0, &json!(1)), "{report:#}");
        assert_eq!(stage.counted().await, [count, 1], "each puts its own difference back");
    }
    let (status, report) = run_json(database, "repair --json").await;
    assert_eq!((status, stage.counted().await), (0, [2, 1]), "{report:#}");
    stage.app.finish().await;
}

async fn what_a_newer_repair_replaced_is_left_by_the_undo_of_the_older_one(backend: Backend) {
    let stage = Stage::set(backend).await;
    let database = &stage.app.database;
    let repaired = async || {
        let (status, report) = run_json(database, "repair --json").await;
        assert_eq!(status, 0, "{report:#}");
        report["run"].as_str().expect("a run").to_owned()
    };
    stage.plant(40).await;
    let older = repaired().await;
    // Of one of the two figures only.
    database.sql("UPDATE guestbook_counts SET note_count = note_count + 7 WHERE note_count = 2").await;
    let newer = repaired().await;
    assert_eq!(stage.counted().await, [2, 1]);

    let (status, report) = run_json(database, &format!("repair --undo {older} --json")).await;
    assert_eq!((status, &report["checks"][0]["changed"]), (1, &json!(1)), "{report:#}");
    assert_eq!(report["checks"][0]["left"], json!(1), "{report:#}");
    assert_eq!(stage.counted().await, [2, 41], "what the newer one replaced is not the older one's to put back");
    let (status, text, errors) = run(database, &format!("repair --undo {newer}")).await;
    assert_eq!((status, stage.counted().await), (0, [9, 41]), "{text}{errors}");
    repaired().await;
    stage.app.finish().await;
}
