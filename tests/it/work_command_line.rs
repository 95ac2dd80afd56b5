//! `tally jobs` and `tally events`: what operators see and do; and settings of schedules.

use serde_json::{Value, json};

use crate::courier::{CourierFacade, KIND, OTHER_KIND, WithCourier};
use crate::harness::{Backend, Options, TestApp, TestDatabase, on_every_backend};
use crate::workers::run;

on_every_backend!(
    jobs_are_listed_and_woken,
    events_are_counted_and_failed_ones_replayed,
    a_wrong_schedule_keeps_the_server_from_starting,
    without_a_database_they_say_so,
);

async fn desk(backend: Backend) -> (TestApp, CourierFacade) {
    let options = Options::default().with("events.retries", 0).with("courier.moody", "0 0 3 * * *");
    let app = TestApp::start_with::<WithCourier>(backend, options).await;
    let courier = app.facade::<CourierFacade>();
    (app, courier)
}

async fn jobs_are_listed_and_woken(backend: Backend) {
    let (app, _) = desk(backend).await;
    let (status, table, errors) = run(&app.database, "jobs", &[]).await;
    assert_eq!((status, &*errors), (0, ""));
    let line = |table: &str, name: &str| {
        let found = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {table}"));
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(table.starts_with("name"), "{table}");
    assert_eq!(line(&table, "courier.tick")[1..], ["off", "-", "-", "NEVER", "-"], "{table}");
    assert_eq!(line(&table, "courier.moody")[1..7], ["0", "0", "3", "*", "*", "*"], "{table}");
    line(&table, "kernel.retention");

    let (status, said, errors) = run(&app.database, "jobs --run courier.tick", &[]).await;
    assert_eq!((status, &*errors), (0, ""));
    assert!(said.starts_with("courier.tick is due"), "{said}");
    app.settle().await;
    let (_, printed, _) = run(&app.database, "jobs --json", &[]).await;
    let all: Value = serde_json::from_str(&printed).expect("JSON");
    let job = all.as_array().unwrap().iter().find(|job| job["name"] == "courier.tick").expect("the job");
    assert_eq!((&job["outcome"], &job["detail"]), (&json!("OK"), &json!("noted")));
    for time in ["lastTick", "lastSuccessAt", "startedAt", "endedAt"] {
        assert!(job[time].as_str().is_some_and(|text| text.ends_with('Z')), "{job}");
    }
    assert_eq!((&job["nextRunAt"], &job["owner"]), (&Value::Null, &Value::Null));

    let (status, said, errors) = run(&app.database, "jobs --run courier.nothing", &[]).await;
    assert_eq!((status, &*said), (2, ""));
    assert!(errors.contains("there is no job courier.nothing") && errors.contains("courier.moody"), "{errors}");
    app.finish().await;
}

async fn events_are_counted_and_failed_ones_replayed(backend: Backend) {
    let (app, courier) = desk(backend).await;
    let key = app.kernel.ids.next();
    courier.post(key, KIND, 1, json!({ "fail": 1, "note": "很好" })).await;
    courier.post(key, OTHER_KIND, 2, json!({})).await;
    let counts = async |arguments: &str| {
        let (status, printed, errors) = run(&app.database, arguments, &[]).await;
        assert_eq!((status, &*errors), (0, ""));
        serde_json::from_str::<Value>(&printed).expect("JSON")
    };
    let before = counts("events --json").await;
    assert_eq!((&before[0]["consumer"], &before[0]["waiting"]), (&json!("careful"), &json!(3)));
    assert_eq!((&before[1]["consumer"], &before[1]["waiting"]), (&json!("hopeless"), &json!(2)));
    assert!(before[0]["oldestAgeSecs"].as_i64().is_some_and(|age| (0..60).contains(&age)), "{before}");
    app.settle().await;
    let after = counts("events --json --consumer careful").await;
    let expected = json!([{ "consumer": "careful", "known": true, "waiting": 0, "parked": 0, "setAside": 1,
                            "oldestAgeSecs": null }]);
    assert_eq!(after, expected);

    let failed = counts("events --failed --json --consumer careful").await;
    assert_eq!(failed.as_array().map(Vec::len), Some(1));
    let event = &failed[0];
    assert_eq!((&event["kind"], &event["sequence"], &event["attempts"]), (&json!(KIND), &json!(1), &json!(1)));
    assert_eq!(event["key"], json!(key.to_string()));
    assert_eq!(event["payload"]["note"], "很好");
    assert!(event["error"].as_str().is_some_and(|error| error.contains("no thanks (try 1)")), "{event}");
    let (_, text, _) = run(&app.database, "events --failed", &[]).await;
    let id = event["id"].as_str().expect("an id");
    assert!(text.contains(id) && text.contains("no thanks") && text.contains("hopeless"), "{text}");

    // Told apart by the payload's `fail`: at a second first try it fails again, and is replayed again.
    let (status, said, _) = run(&app.database, &format!("events --replay {id}"), &[]).await;
    assert_eq!((status, said.trim()), (0, &*format!("{id} will be delivered to careful again")));
    let (status, _, errors) = run(&app.database, &format!("events --replay {id}"), &[]).await;
    assert_eq!(status, 2, "it waits, and is not set aside any more");
    assert!(errors.contains("is set aside"), "{errors}");
    app.settle().await;
    assert_eq!(courier.seen("careful", key).await, [2, 3]);
    assert_eq!(counts("events --json --consumer careful").await[0]["setAside"], 1);

    let failed = counts("events --failed --json --consumer careful").await;
    let discard = format!("events --discard {}", failed[0]["id"].as_str().expect("an id"));
    let (status, said, errors) = run(&app.database, &discard, &[]).await;
    assert!(status == 0 && said.trim().ends_with("is discarded: careful will never have it"), "{said}{errors}");
    assert_eq!(counts("events --json --consumer careful").await[0]["setAside"], 0);
    assert_eq!(counts("events --json --consumer hopeless").await[0]["setAside"], 2, "nobody else's");
    let (status, _, errors) = run(&app.database, &discard, &[]).await;
    assert!(status == 2 && errors.contains("is set aside"), "{errors}");

    for (wrong, what) in [
        ("events --consumer nobody", "there is no consumer nobody; there are careful, hopeless"),
        ("events --replay nonsense", "nonsense"),
        ("events --discard nonsense", "nonsense"),
        ("events --failed --consumer nobody", "there is no consumer nobody"),
    ] {
        let (status, said, errors) = run(&app.database, wrong, &[]).await;
        assert_eq!((status, &*said), (2, ""), "{wrong}");
        assert!(errors.contains(what), "{wrong}: {errors}");
    }
    a_consumer_that_is_gone_is_shown(&app).await;
    app.finish().await;
}

async fn a_consumer_that_is_gone_is_shown(app: &TestApp) {
    app.database.sql("UPDATE outbox SET consumer = 'gone', set_aside_at = NULL WHERE consumer = 'hopeless'").await;
    app.settle().await;
    let (status, text, _) = run(&app.database, "events", &[]).await;
    assert_eq!(status, 0);
    let line = text.lines().find(|line| line.starts_with("gone")).expect("the consumer that is gone");
    assert!(line.contains(" 2 ") && line.ends_with("no module has this consumer: its events stay"), "{text}");
}

async fn a_wrong_schedule_keeps_the_server_from_starting(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    for wrong in ["never", "* * * * *", "0 0 0 31 2 *", "0 61 * * * *"] {
        for command in ["serve", "worker"] {
            let (status, said, errors) = run(&database, command, &[("TALLY_COURIER_TICK", wrong)]).await;
            assert_eq!((status, &*said), (2, ""), "{wrong}");
            assert!(errors.contains("TALLY_COURIER_TICK: must be off or a cron expression"), "{wrong}: {errors}");
        }
    }
    // Of its form, but in the past.
    let (status, _, errors) = run(&database, "worker", &[("TALLY_COURIER_TICK", "0 0 0 1 1 * 2001")]).await;
    assert_eq!(status, 2);
    assert!(errors.contains("courier.tick: «0 0 0 1 1 * 2001» never comes again"), "{errors}");
    database.remove().await;
}

async fn without_a_database_they_say_so(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    for command in ["jobs", "events"] {
        let (status, _, errors) = run(&database, command, &[]).await;
        assert_eq!(status, 2, "{command}");
        let expected = if backend == Backend::Sqlite { "there is no database yet" } else { "not up to date" };
        assert!(errors.contains(expected), "{errors}");
    }
    database.remove().await;
}
