//! Other weights, half-life and thresholds: what is in force stays until `tally recalculate` has run, and two versions are
//! never mixed, whoever reads and writes meanwhile.

mod foreign_rows;
mod in_place;
mod repairs;
mod stage;
mod while_others_write;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::{Clock as _, Millis, SystemClock};
use tally::modules::engagement::hotness::{Fact, HeatSettings, RolledUp, Source, Weight};

use crate::deletion::{delete, traces, uuid};
use crate::harness::{Backend, Options, TestApp, on_every_backend};
use stage::{Stage, outcome, recalculate, recalculate_with, settings_of};

on_every_backend!(
    a_change_of_any_setting_waits_for_the_recalculation,
    settings_that_are_changed_back_need_none,
    what_is_due_is_for_all_contents,
    what_cannot_be_made_keeps_the_old_in_force,
    both_tables_of_figures_are_alike,
    rolled_up_views_count_under_other_settings,
    what_is_deleted_is_passed_over_and_levels_end_afterwards,
);

/// Key, variable, another value, the field of `hotnessSettings` and what it is then.
const CHANGES: &[(&str, &str, &str, &str, f64)] = &[
    ("engagement.half_life_hours", "TALLY_ENGAGEMENT_HALF_LIFE_HOURS", "36", "halfLifeHours", 36.0),
    ("engagement.like_weight", "TALLY_ENGAGEMENT_LIKE_WEIGHT", "7.5", "likeWeight", 7.5),
    ("engagement.favorite_weight", "TALLY_ENGAGEMENT_FAVORITE_WEIGHT", "1", "favoriteWeight", 1.0),
    ("engagement.comment_weight", "TALLY_ENGAGEMENT_COMMENT_WEIGHT", "4", "commentWeight", 4.0),
    ("engagement.share_weight", "TALLY_ENGAGEMENT_SHARE_WEIGHT", "0", "shareWeight", 0.0),
    ("engagement.view_weight", "TALLY_ENGAGEMENT_VIEW_WEIGHT", "0.5", "viewWeight", 0.5),
    ("engagement.publish_weight", "TALLY_ENGAGEMENT_PUBLISH_WEIGHT", "30", "publishWeight", 30.0),
    ("engagement.warm_from", "TALLY_ENGAGEMENT_WARM_FROM", "11", "warmFrom", 11.0),
    ("engagement.hot_from", "TALLY_ENGAGEMENT_HOT_FROM", "40", "hotFrom", 40.0),
    ("engagement.blazing_from", "TALLY_ENGAGEMENT_BLAZING_FROM", "60", "blazingFrom", 60.0),
];

async fn a_change_of_any_setting_waits_for_the_recalculation(backend: Backend) {
    let mut stage = Stage::new(backend, Options::default()).await;
    let id = stage.app.user("author").publish("one").await;
    stage.busy(&id).await;
    let mut weights = stage::Weights::default();
    let (mut given, mut environment) = (Vec::new(), Vec::new());
    for (version, (key, variable, value, field, number)) in (1..).zip(CHANGES) {
        let old = stage.score(&id).await;
        assert!((old / weights.score(&stage.acts) - 1.0).abs() < 1e-6, "{old} under version {version}");
        given.push((*key, (*value).to_owned()));
        environment.push((*variable, *value));
        stage = stage.again(&given).await;

        let settings = settings_of(&stage.app).await;
        assert_eq!((&settings["version"], &settings["recalculationDue"]), (&json!(version), &json!(true)), "{key}");
        assert_eq!(settings["pending"]["version"], json!(version + 1), "{key}");
        assert_eq!(settings["pending"][field], json!(number), "{key}");
        assert_ne!(settings[field], json!(number), "{key}: the old stays in force");
        assert_eq!(stage.score(&id).await, old, "{key}: the old stays in force");
        // An act under the old settings, on top.
        stage.act("like", &id).await;
        let more = stage.score(&id).await;
        assert!((more / weights.score(&stage.acts) - 1.0).abs() < 1e-6, "{key}: {more}");
        stage.app.audit().await;

        let (status, report, errors) = recalculate(&stage.app.database, &environment, &[]).await;
        assert_eq!((status, &*errors), (0, ""), "{key}");
        assert_eq!(report, json!({ "total": 1, "succeeded": 1, "failed": 0, "errors": [] }), "{key}");
        weights.set(field, *number);
        let settings = settings_of(&stage.app).await;
        assert_eq!(
            (&settings["version"], &settings["recalculationDue"]),
            (&json!(version + 1), &json!(false)),
            "{key}"
        );
        assert_eq!((&settings[field], &settings["pending"]), (&json!(number), &Value::Null), "{key}");
        let score = stage.score(&id).await;
        assert!((score / weights.score(&stage.acts) - 1.0).abs() < 1e-6, "{key}: {score} under the new settings");
        assert_eq!(stage.hotness(&id).await["level"], json!(weights.level(score)), "{key}");
        stage.app.audit().await;
    }
    // Every change of the score is in the history, and says what it was.
    let history = stage.hotness(&id).await["history"].clone();
    let methods: Vec<_> = history.as_array().unwrap().iter().map(|row| row["calculationMethod"].clone()).collect();
    assert!(methods.iter().filter(|method| **method == json!("RECALCULATION")).count() >= 7, "{methods:?}");
    stage.app.finish().await;
}

async fn settings_that_are_changed_back_need_none(backend: Backend) {
    let stage = Stage::new(backend, Options::default()).await;
    let stage = stage.again(&[("engagement.like_weight", "9".to_owned())]).await;
    assert_eq!(settings_of(&stage.app).await["recalculationDue"], json!(true));
    let stage = stage.again(&[]).await;
    let settings = settings_of(&stage.app).await;
    assert_eq!((&settings["version"], &settings["recalculationDue"]), (&json!(1), &json!(false)));
    // The same values again are the same version.
    let stage = stage.again(&[("engagement.like_weight", "9".to_owned())]).await;
    assert_eq!(settings_of(&stage.app).await["pending"]["version"], json!(2));
    let (status, output, _) = outcome(&stage.app.database, &[], &["recalculate"]).await;
    assert_eq!((status, output.trim()), (0, "no recalculation is due"), "configured as what is in force");
    stage.app.finish().await;
}

async fn what_is_due_is_for_all_contents(backend: Backend) {
    let stage = Stage::new(backend, Options::default()).await;
    let id = stage.app.user("author").publish("one").await;
    let other = [("TALLY_ENGAGEMENT_LIKE_WEIGHT", "3")];
    for part in [&["--kind", "ARTWORK"][..], &["--ids", &id], &["--stale"]] {
        let (status, output, errors) = recalculate_with(&stage.app.database, &other, part).await;
        assert_eq!((status, &*output), (2, ""), "{part:?}");
        assert!(errors.contains("all contents"), "{errors}");
    }
    assert_eq!(settings_of(&stage.app).await["version"], json!(1));
    // Thresholds that do not rise are refused, and nothing is begun.
    let (status, _, errors) = recalculate_with(&stage.app.database, &[("TALLY_ENGAGEMENT_WARM_FROM", "90")], &[]).await;
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("must rise"), "{errors}");
    stage.app.finish().await;
}

async fn what_cannot_be_made_keeps_the_old_in_force(backend: Backend) {
    let stage = Stage::new(backend, Options::default()).await;
    let (good, bad) = (stage.app.user("author").publish("good").await, stage.app.user("author").publish("bad").await);
    let weigh = |weight: &str| format!("UPDATE contents SET base_weight = {weight} WHERE title = 'bad'");
    stage.app.database.sql(&weigh("9000000000000000")).await;
    let other = [("TALLY_ENGAGEMENT_PUBLISH_WEIGHT", "12")];
    for _ in 0..2 {
        let (status, report, errors) = recalculate(&stage.app.database, &other, &[]).await;
        assert_eq!(status, 1, "{errors}");
        let why = json!([{ "id": bad, "message": "its mass overflows with these settings" }]);
        assert_eq!(report, json!({ "total": 2, "succeeded": 1, "failed": 1, "errors": why }));
        assert_eq!(settings_of(&stage.app).await["version"], json!(1));
        assert!((stage.score(&good).await - 10.0).abs() < 1e-6);
    }
    stage.app.database.sql(&weigh("0")).await;
    let (status, report, errors) = recalculate(&stage.app.database, &other, &[]).await;
    assert_eq!((status, &report["succeeded"]), (0, &json!(2)), "{errors}");
    assert!((stage.score(&bad).await - 12.0).abs() < 1e-6);
    stage.app.finish().await;
}

/// The mean moment of views that were summed up: as many, all at once then, add the same mass.
#[test]
fn views_without_moments_count_at_their_mean_moment() {
    let made_with = HeatSettings {
        version: 1,
        half_life_ms: 72 * Millis::HOUR,
        like_weight: 2_000,
        favorite_weight: 5_000,
        comment_weight: 3_000,
        share_weight: 8_000,
        view_weight: 100,
        publish_weight: 10_000,
    };
    let start = made_with.epoch_start(40);
    let views = [(1, 10), (30, 7), (31, 1), (575, 90)].map(|(hours, count)| (start.plus(hours * Millis::HOUR), count));
    let fact = |(at, count): (Millis, i64)| Fact { weight: Weight::View, at, count };
    let mass = |settings: &HeatSettings| views.iter().map(|view| settings.mass(&fact(*view)).unwrap()).sum::<i64>();
    let rolled_up = RolledUp { epoch: 40, count: 108, mass: mass(&made_with) };
    let source = Source::RolledUp(made_with, rolled_up);
    assert_eq!(made_with.adds(&source), Some((40, rolled_up.mass)), "as it stands");
    for (view_weight, factor) in [(100, 1.0), (250, 2.5), (0, 0.0)] {
        let other = HeatSettings { version: 2, view_weight, ..made_with };
        let (epoch, mass) = other.adds(&source).unwrap();
        let wanted = rolled_up.mass as f64 * factor;
        assert_eq!(epoch, 40);
        assert!((mass as f64 - wanted).abs() <= wanted * 1e-6, "{mass} instead of {wanted}");
    }
    // Of no weight at all, their moments are unknown: the middle of the epoch.
    let weightless = HeatSettings { view_weight: 0, ..made_with };
    let source = Source::RolledUp(weightless, RolledUp { mass: 0, ..rolled_up });
    let middle = fact((start.plus(4 * made_with.half_life_ms), 108));
    let other = HeatSettings { version: 2, ..made_with };
    assert_eq!(other.adds(&source), Some((40, other.mass(&middle).unwrap())));
}

/// The two swap their names: a column or an index that one alone has would be lost every other time.
async fn both_tables_of_figures_are_alike(backend: Backend) {
    let app = TestApp::start_with::<Tally>(backend, Options::default()).await;
    for table in ["content_figures", "content_heat"] {
        let (own, next) = (stage::shape(&app, table).await, stage::shape(&app, &format!("{table}_next")).await);
        assert!(own.len() > 4, "{own:?}");
        assert_eq!(own, next, "{table}");
    }
    app.finish().await;
}

/// Of views that were summed up by the epoch no moments are left: they count at their mean moment, exactly checkable.
async fn rolled_up_views_count_under_other_settings(backend: Backend) {
    let options = Options::default().with("engagement.view_open_hours", 1).with("engagement.view_hours_days", 1);
    let stage = Stage::new(backend, options).await;
    let id = stage.app.user("author").publish("one").await;
    for hour in 0..6 {
        for viewer in 0..3 {
            let query = "mutation ($id: ID!) { recordViews(contentIds: [$id]) { counted } }";
            let viewer = stage.app.user(&format!("viewer {viewer}"));
            viewer.run(query, json!({ "id": id })).await.data();
        }
        let hours = if hour == 3 { 40 } else { 1 };
        stage.clock.set(stage.clock.now().plus(hours * Millis::HOUR));
    }
    stage.clock.set(stage.clock.now().plus(90 * Millis::DAY));
    stage.app.kernel.jobs.run_due().await.expect("the jobs run");
    stage.app.audit().await;
    let rolled = stage::count(&stage.app, "content_view_epochs").await;
    assert!(rolled > 0, "the views were rolled up");
    for change in [("TALLY_ENGAGEMENT_HALF_LIFE_HOURS", "200"), ("TALLY_ENGAGEMENT_VIEW_WEIGHT", "3")] {
        let (status, _, errors) = recalculate(&stage.app.database, &[change], &[]).await;
        assert_eq!(status, 0, "{errors}");
        // The sums stay as they are, and every check is an equality.
        stage.app.audit().await;
        assert_eq!(stage::count(&stage.app, "content_view_epochs").await, rolled);
    }
    stage.app.finish().await;
}

async fn what_is_deleted_is_passed_over_and_levels_end_afterwards(backend: Backend) {
    let mut stage = Stage::new(backend, Options::default()).await;
    // The command works by the system's clock: a recalculation in the future would be after every end of a level.
    stage.clock.set(SystemClock.now());
    let author = stage.app.user("author");
    let (gone, left) = (author.publish("gone").await, author.publish("left").await);
    stage.act("like", &gone).await;
    stage.busy(&left).await;
    assert!(delete(&author, "deleteContent", &gone).await);
    let (status, report, errors) =
        recalculate(&stage.app.database, &[("TALLY_ENGAGEMENT_LIKE_WEIGHT", "20")], &[]).await;
    assert_eq!((status, &report["total"], &report["succeeded"]), (0, &json!(1), &json!(1)), "{errors}");
    // Its rows are there, its figures are not: whoever acts hears that it is gone, and the others of the batch do not mind.
    assert!(!traces(&stage.app, uuid(&gone)).await.is_empty());
    assert_eq!(stage.app.user("late").act("like", &gone).await.code(), "NOT_FOUND");
    stage.act("like", &left).await;
    stage.app.audit().await;

    stage.clock.set(SystemClock.now().plus(60 * Millis::DAY));
    stage.app.settle().await;
    assert_eq!(traces(&stage.app, uuid(&gone)).await, Vec::<String>::new());
    let hotness = stage.hotness(&left).await;
    let history = hotness["history"].as_array().expect("rows");
    assert_eq!(
        (&hotness["level"], &history[history.len() - 1]["calculationMethod"]),
        (&json!("COLD"), &json!("SCHEDULED"))
    );
    assert!(history.iter().any(|row| row["calculationMethod"] == "RECALCULATION"), "{history:?}");
    stage.app.audit().await;
    stage.app.finish().await;
}
