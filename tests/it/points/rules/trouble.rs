//! What goes wrong: ledgers that take nothing, deletions, wrong settings.

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::events::Event;

use super::{balance_of, comment, event, put, ruled};
use crate::harness::{Backend, Options, SECRET, TestApp, TestDatabase, on_every_backend, run};
use crate::points::stage::{Stage, options};

on_every_backend!(
    an_award_that_failed_is_given_once_when_it_is_replayed,
    an_award_that_the_balance_has_no_room_for_is_left_out,
    a_like_that_was_set_aside_and_taken_back_gives_nothing,
    a_like_taken_back_while_its_rule_was_off_gives_nothing,
    what_no_rule_is_about_is_not_remembered,
    what_is_deleted_takes_nothing_back,
    an_author_who_is_gone_gets_nothing,
    wrong_rules_keep_everything_from_starting,
    an_event_of_another_form_is_set_aside,
);

async fn command(database: &TestDatabase, arguments: &[&str]) -> (i32, String, String) {
    let environment = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "off")];
    run(arguments, &environment, tempfile::tempdir().unwrap().path()).await
}

/// The events that are set aside.
async fn set_aside(stage: &Stage) -> Vec<Value> {
    let (status, printed, errors) = command(&stage.app.database, &["events", "--failed", "--json"]).await;
    assert_eq!(status, 0, "{errors}");
    serde_json::from_str(&printed).unwrap()
}

fn brittle(rules: &str) -> Options {
    options().with("points.rules", rules).with("events.retries", 0)
}

/// Ann with an award by hand, in a ledger that does not hold.
async fn broken(backend: Backend) -> (Stage, String) {
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, brittle("like:5:50")).await).await;
    let content = stage.ann.publish("one").await;
    stage.award(1, "by hand").await.data();
    stage.app.database.sql("UPDATE point_transactions SET reason = 'forged'").await;
    (stage, content)
}

async fn mend(stage: &Stage) {
    stage.app.database.sql("UPDATE point_transactions SET reason = 'homework' WHERE reason = 'forged'").await;
}

async fn replay(stage: &Stage, failed: &Value) {
    let id = failed["id"].as_str().unwrap();
    let (status, _, errors) = command(&stage.app.database, &["events", "--replay", id]).await;
    assert_eq!(status, 0, "{errors}");
    stage.app.settle().await;
}

async fn an_award_that_failed_is_given_once_when_it_is_replayed(backend: Backend) {
    let (stage, content) = broken(backend).await;
    let other = stage.app.user("another author");
    let theirs = other.publish("two").await;
    // In one delivery: what fails holds nobody else up.
    stage.app.user("ben").act("like", &content).await.data();
    stage.app.user("ben").act("like", &theirs).await.data();
    stage.app.settle().await;
    assert_eq!((stage.account(&stage.id).await, stage.account(&other.id().await).await), ((1, 1), (5, 1)));
    let failed = set_aside(&stage).await;
    assert_eq!((failed.len(), &failed[0]["consumer"]), (1, &json!("point-rules")), "{failed:#?}");
    assert!(failed[0]["error"].as_str().unwrap().starts_with("LEDGER_BROKEN"), "{failed:#?}");
    assert_eq!(stage.app.drifted().await, ["point-chain"]);
    mend(&stage).await;
    replay(&stage, &failed[0]).await;
    assert_eq!(stage.account(&stage.id).await, (6, 2));
    assert_eq!(set_aside(&stage).await.len(), 0);
    stage.acts("ben", "unlike", &content).await;
    assert_eq!(stage.account(&stage.id).await, (1, 3));
    stage.app.finish().await;
}

async fn an_award_that_the_balance_has_no_room_for_is_left_out(backend: Backend) {
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, brittle("like:5:50")).await).await;
    let content = stage.ann.publish("one").await;
    stage.award(i64::MAX - 7, "almost all").await.data();
    // In one delivery: there is room for one of them.
    stage.app.user("ben").act("like", &content).await.data();
    stage.app.user("cara").act("like", &content).await.data();
    stage.app.settle().await;
    assert_eq!(set_aside(&stage).await.len(), 0);
    assert_eq!(stage.account(&stage.id).await, (i64::MAX - 2, 2));
    let acts = "SELECT count(*) FROM point_rule_acts";
    assert_eq!(stage.app.number(acts).await, 2);
    assert_eq!(stage.app.number(&format!("{acts} WHERE award_id IS NULL")).await, 1);
    stage.deduct(1_000, "room").await.data();
    // What was left out is not given later, and takes nothing away; what comes then is given.
    stage.acts("dora", "like", &content).await;
    assert_eq!(stage.account(&stage.id).await, (i64::MAX - 997, 4));
    for who in ["ben", "cara"] {
        stage.acts(who, "unlike", &content).await;
    }
    assert_eq!(stage.account(&stage.id).await, (i64::MAX - 1_002, 5));
    stage.app.finish().await;
}

async fn a_like_that_was_set_aside_and_taken_back_gives_nothing(backend: Backend) {
    let (stage, content) = broken(backend).await;
    stage.acts("ben", "like", &content).await;
    let failed = set_aside(&stage).await;
    // It goes past the like, which waits for an operator.
    stage.acts("ben", "unlike", &content).await;
    mend(&stage).await;
    replay(&stage, &failed[0]).await;
    assert_eq!(stage.account(&stage.id).await, (1, 1));
    stage.acts("ben", "like", &content).await;
    assert_eq!(stage.account(&stage.id).await, (6, 2));
    stage.app.finish().await;
}

async fn a_like_taken_back_while_its_rule_was_off_gives_nothing(backend: Backend) {
    let (stage, content) = broken(backend).await;
    stage.acts("ben", "like", &content).await;
    stage.acts("cara", "like", &content).await;
    mend(&stage).await;
    let database = stage.app.stop().await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, brittle("")).await).await;
    stage.acts("ben", "unlike", &content).await;
    let database = stage.app.stop().await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, brittle("like:5:50")).await).await;
    for failed in set_aside(&stage).await {
        replay(&stage, &failed).await;
    }
    assert_eq!(stage.account(&stage.id).await, (6, 2), "cara's like is there");
    stage.app.finish().await;
}

async fn what_no_rule_is_about_is_not_remembered(backend: Backend) {
    let options = options().with("events.batch", 2);
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, options).await).await;
    let content = stage.ann.publish("one").await;
    // While more events of the same content wait than are delivered at once.
    for n in 0..5 {
        let reader = stage.app.user(&format!("reader {n}"));
        reader.act("like", &content).await.data();
        reader.act("unlike", &content).await.data();
    }
    stage.app.settle().await;
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_acts").await, 0);
    stage.app.finish().await;
}

async fn delete(stage: &Stage, field: &str, id: &str) {
    let query = format!("mutation ($id: ID!) {{ {field}(id: $id) {{ changed }} }}");
    assert_eq!(stage.operator.run(&query, json!({ "id": id })).await.data()[field]["changed"], true);
    stage.app.settle().await;
}

async fn what_is_deleted_takes_nothing_back(backend: Backend) {
    let stage = ruled(backend, "like:5:50,comment:1:50").await;
    let (one, two) = (stage.ann.publish("one").await, stage.ann.publish("two").await);
    for content in [&one, &two] {
        stage.acts("ben", "like", content).await;
        comment(&stage.app.user("ben"), content).await;
    }
    stage.app.settle().await;
    assert_eq!(stage.balance().await, 12);
    let ben = stage.app.user("ben").id().await;
    delete(&stage, "deleteContent", &one).await;
    delete(&stage, "deleteUser", &ben).await;
    assert_eq!(stage.balance().await, 12);
    // A like that was done before, and is told of late.
    let late = event(&stage.app, "engagement.liked", super::uuid(&two), &stage.id, &ben, 1);
    put(&stage.app, vec![late]).await;
    stage.app.settle().await;
    assert_eq!(stage.balance().await, 12, "older than what is known");
    stage.app.finish().await;
}

async fn an_author_who_is_gone_gets_nothing(backend: Backend) {
    let stage = ruled(backend, "like:5:50").await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    // Not delivered before the author goes.
    stage.app.user("cara").act("like", &content).await.data();
    delete(&stage, "deleteUser", &stage.id).await;
    assert_eq!(stage.rows().await, [1, 1, 0]);
    let late = event(&stage.app, "engagement.unliked", super::uuid(&content), &stage.id, &stage.id, 1 << 50);
    let ben = super::uuid(&stage.app.user("ben").id().await);
    let late = Event {
        payload: json!({ "userId": ben, "authorId": super::uuid(&stage.id), "kind": 0,
        "contentId": super::uuid(&content) }),
        ..late
    };
    put(&stage.app, vec![late]).await;
    stage.app.settle().await;
    assert_eq!(stage.rows().await, [1, 2, 0], "what was given goes all the same");
    stage.app.finish().await;
}

async fn wrong_rules_keep_everything_from_starting(backend: Backend) {
    let database = TestDatabase::create(backend).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, value, what) in [
        ("TALLY_POINTS_RULES", "like:1", "«like:1» must be an act"),
        ("TALLY_POINTS_RULES", "like:1:50,like:2:50", "there are two rules for like"),
        ("TALLY_POINTS_RULES", "like:5:4", "«like:5:4» must give 5 to 50000 points a day at most"),
        ("TALLY_POINTS_RULE_CONTENTS", "ARTWORK,SONG", "«SONG» must be ARTWORK or VIDEO"),
        ("TALLY_DAYS_TIME_ZONE", "Shanghai", "must be a time zone"),
    ] {
        let environment = [
            ("DATABASE_URL", &*database.url),
            ("TALLY_AUTH_SECRET", SECRET),
            ("TALLY_LISTEN", "127.0.0.1:0"),
            (name, value),
        ];
        let (status, said, _) = run(&["doctor"], &environment, folder.path()).await;
        assert!(status == 1 && said.contains("FAIL") && said.contains(&format!("{name}: ")), "{said}");
        assert!(said.contains(what), "{what}: {said}");
        let (status, _, errors) = run(&["serve"], &environment, folder.path()).await;
        assert!(status == 2 && errors.contains(name) && errors.contains(what), "{errors}");
    }
    std::fs::write(folder.path().join("tally.toml"), "[points]\nrules = [\"like:1:50\", \"like:0:1\"]\n").unwrap();
    let environment =
        [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LISTEN", "127.0.0.1:0")];
    let (status, said, _) = run(&["doctor"], &environment, folder.path()).await;
    assert!(status == 1 && said.contains("points.rules: «like:0:1»"), "{said}");
    std::fs::write(folder.path().join("tally.toml"), "[points]\nrules = [\"like:1:50\", \"share:1:5\"]\n").unwrap();
    assert_eq!(run(&["doctor"], &environment, folder.path()).await.0, 0);
    database.remove().await;
}

async fn an_event_of_another_form_is_set_aside(backend: Backend) {
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, brittle("like:5:50,comment:1:1")).await).await;
    let ben = stage.app.user("ben").id().await;
    let content = stage.app.kernel.ids.next();
    let whole = event(&stage.app, "engagement.liked", content, &stage.id, &ben, 1);
    let mut nobody = event(&stage.app, "engagement.liked", content, &stage.id, &ben, 1);
    nobody.payload["userId"] = json!("somebody");
    let mut nothing = event(&stage.app, "engagement.commented", content, &stage.id, &ben, 1);
    nothing.payload["commentId"] = json!(null);
    put(&stage.app, vec![nobody, whole, nothing]).await;
    stage.app.settle().await;
    assert_eq!(balance_of(&stage.app, &stage.id).await, 5);
    let of_rules = set_aside(&stage).await.into_iter().filter(|failed| failed["consumer"] == "point-rules");
    assert_eq!(of_rules.count(), 2);
    stage.app.finish().await;
}
