//! What an act gives, what it shows, and what goes again.

use serde_json::json;
use tally::app::Tally;

use super::{comment, delete_comment, ruled, share, uuid};
use crate::harness::{Backend, TestApp, on_every_backend};
use crate::points::stage::{Stage, add, input, options, whole};

on_every_backend!(
    a_like_gives_its_author_a_point_for_as_long_as_it_is_there,
    listeners_hear_of_what_rules_do,
    without_rules_nothing_is_given_nor_written,
    every_act_has_its_rule,
    a_rule_is_about_some_kinds_of_content,
    what_is_spent_is_taken_back_below_zero,
    what_an_operator_took_back_is_not_taken_back_again,
    a_rule_that_is_switched_off_still_takes_back,
    keys_of_rules_are_nobodys,
);

async fn a_like_gives_its_author_a_point_for_as_long_as_it_is_there(backend: Backend) {
    let stage = ruled(backend, "like:2:50").await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    stage.acts("ben", "like", &content).await;
    stage.acts("ann", "like", &content).await;
    let history = stage.history().await;
    assert_eq!(history.len(), 1, "neither a repeat nor one's own like gives anything: {history:#?}");
    let ben = stage.app.user("ben").id().await;
    let key = history[0]["idempotencyKey"].as_str().unwrap();
    assert!(key.starts_with(&format!("like:{}:{}:", uuid(&content), uuid(&ben))), "{key}");
    let shown = ["kind", "amount", "balanceAfter", "reason", "rule", "actor", "reverses"].map(|name| &history[0][name]);
    let expected = [json!("ADD_POINTS"), json!(2), json!(2), json!("a like"), json!("LIKE"), json!(null), json!(null)];
    assert_eq!(shown, expected.each_ref());

    stage.acts("ben", "unlike", &content).await;
    stage.acts("ben", "unlike", &content).await;
    let back = stage.history().await[1].clone();
    let shown = ["kind", "amount", "balanceAfter", "reason", "rule", "actor"].map(|name| &back[name]);
    let expected = [json!("REVERSAL"), json!(-2), json!(0), json!("a like was taken back"), json!("LIKE"), json!(null)];
    assert_eq!(shown, expected.each_ref());
    assert_eq!((&back["reverses"]["id"], &back["idempotencyKey"]), (&history[0]["id"], &json!(format!("back:{key}"))));

    // Another like is another fact.
    stage.acts("ben", "like", &content).await;
    let again = stage.history().await[2].clone();
    assert_eq!((&again["kind"], whole(&again["balanceAfter"])), (&json!("ADD_POINTS"), 2));
    assert_ne!(again["idempotencyKey"].as_str().unwrap(), key);
    // What somebody did is no rule's.
    stage.award(10, "by hand").await.data();
    assert_eq!(stage.history().await[3]["rule"], json!(null));
    stage.app.finish().await;
}

async fn listeners_hear_of_what_rules_do(backend: Backend) {
    let stage = ruled(backend, "like:2:50").await;
    let content = stage.ann.publish("one").await;
    let changed = format!("subscription {{ pointsChanged(userId: \"{}\") {{ rule }} }}", stage.id);
    let mut listener = stage.ann.listen(&changed).await;
    let heard = listener.next_while(async || {
        stage.acts("ben", "like", &content).await;
        stage.acts("ben", "unlike", &content).await;
    });
    assert_eq!(heard.await["data"]["pointsChanged"]["rule"], "LIKE");
    stage.app.finish().await;
}

async fn without_rules_nothing_is_given_nor_written(backend: Backend) {
    let stage = Stage::set(backend).await;
    let content = stage.ann.publish("one").await;
    stage.app.user("ben").act("like", &content).await.data();
    let waits = "SELECT count(*) FROM outbox WHERE consumer = 'point-rules'";
    assert_eq!(stage.app.number(waits).await, 0, "what nobody takes is not written");
    stage.app.settle().await;
    stage.acts("ben", "unlike", &content).await;
    stage.acts("cara", "favorite", &content).await;
    assert_eq!(stage.rows().await, [0, 0, 0]);
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_acts").await, 0);
    stage.app.finish().await;
}

async fn every_act_has_its_rule(backend: Backend) {
    let stage = ruled(backend, "like:1:9,favorite:10:90,comment:100:900,share:1000:9000").await;
    let content = stage.ann.publish("one").await;
    let ben = stage.app.user("ben");
    stage.acts("ben", "like", &content).await;
    stage.acts("ben", "favorite", &content).await;
    let first = comment(&ben, &content).await;
    comment(&ben, &content).await;
    share(&ben, &content).await;
    // Once a content and user, however often.
    share(&ben, &content).await;
    stage.app.settle().await;
    share(&ben, &content).await;
    // One's own.
    comment(&stage.ann, &content).await;
    share(&stage.ann, &content).await;
    stage.app.settle().await;
    assert_eq!(stage.balance().await, 1211);
    let rules: Vec<_> = stage.history().await.iter().map(|entry| entry["rule"].clone()).collect();
    assert_eq!(rules, ["LIKE", "FAVORITE", "COMMENT", "COMMENT", "SHARE"]);

    stage.acts("ben", "unfavorite", &content).await;
    assert_eq!(stage.balance().await, 1201);
    delete_comment(&ben, &first).await;
    delete_comment(&ben, &first).await;
    stage.app.settle().await;
    assert_eq!(stage.balance().await, 1101);
    assert_eq!(stage.history().await.last().unwrap()["reason"], "a comment was deleted");
    stage.app.finish().await;
}

async fn a_rule_is_about_some_kinds_of_content(backend: Backend) {
    let options = options().with("points.rules", "like:1:50").with("points.rule_contents", "ARTWORK");
    let stage = Stage::of(TestApp::start_with::<Tally>(backend, options).await).await;
    let query = "mutation { publishVideo(input: { title: \"v\" }) { video { id } } }";
    let video = stage.ann.query(query).await.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    let artwork = stage.ann.publish("one").await;
    stage.acts("ben", "like", &video).await;
    assert_eq!(stage.balance().await, 0);
    stage.acts("ben", "like", &artwork).await;
    assert_eq!(stage.balance().await, 1);
    stage.acts("ben", "unlike", &video).await;
    assert_eq!(stage.balance().await, 1);
    stage.app.finish().await;
}

async fn what_is_spent_is_taken_back_below_zero(backend: Backend) {
    let stage = ruled(backend, "like:5:50").await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    let award = stage.history().await[0]["id"].clone();
    add(&stage.teacher, input(&stage.id, "REDEEM", 5, "spent")).await.data();
    assert_eq!(stage.reverse(&award, "a").await.code(), "INSUFFICIENT_POINTS", "a person may not");
    stage.acts("ben", "unlike", &content).await;
    assert_eq!(stage.balance().await, -5);
    assert_eq!(stage.deduct(1, "more").await.code(), "INSUFFICIENT_POINTS");
    stage.acts("cara", "like", &content).await;
    assert_eq!(stage.balance().await, 0);
    stage.app.finish().await;
}

async fn what_an_operator_took_back_is_not_taken_back_again(backend: Backend) {
    let stage = ruled(backend, "like:5:5").await;
    let content = stage.ann.publish("one").await;
    stage.acts("ben", "like", &content).await;
    let award = stage.history().await[0]["id"].clone();
    stage.reverse(&award, "a").await.data();
    stage.app.audit().await;
    stage.acts("ben", "unlike", &content).await;
    assert_eq!(stage.account(&stage.id).await, (0, 2));
    // Nor may anybody take back what a rule took back.
    stage.acts("ben", "like", &content).await;
    stage.acts("ben", "unlike", &content).await;
    let history = stage.history().await;
    assert_eq!(stage.reverse(&history[2]["id"], "b").await.code(), "CONFLICT");
    assert_eq!(stage.reverse(&history[3]["id"], "b").await.code(), "INVALID_INPUT");
    stage.app.finish().await;
}

async fn a_rule_that_is_switched_off_still_takes_back(backend: Backend) {
    let stage = ruled(backend, "like:5:50,comment:1:10").await;
    let content = stage.ann.publish("one").await;
    for who in ["ben", "cara"] {
        stage.acts(who, "like", &content).await;
    }
    assert_eq!(stage.balance().await, 10);
    let database = stage.app.stop().await;
    // Another rule is left: this one is off all the same.
    let options = options().with("points.rules", "comment:1:10");
    let stage = Stage::of(TestApp::start_on::<Tally>(database, options).await).await;
    stage.acts("dora", "like", &content).await;
    stage.acts("ben", "unlike", &content).await;
    stage.acts("dora", "unlike", &content).await;
    assert_eq!(stage.balance().await, 5, "nothing is given any more, and what was given goes");
    assert_eq!(stage.app.number("SELECT count(*) FROM point_rule_acts").await, 2, "of dora nothing is to be known");
    stage.acts("ben", "like", &content).await;
    let database = stage.app.stop().await;
    let stage = Stage::of(TestApp::start_on::<Tally>(database, super::options()).await).await;
    stage.acts("cara", "unlike", &content).await;
    assert_eq!(stage.account(&stage.id).await, (0, 4));
    stage.app.finish().await;
}

async fn keys_of_rules_are_nobodys(backend: Backend) {
    let stage = ruled(backend, "like:1:50").await;
    let content = stage.ann.publish("one").await;
    let ben = stage.app.user("ben").id().await;
    let key = format!("like:{}:{}:1767225600000", uuid(&content), uuid(&ben));
    for key in [key.clone(), format!("back:{key}")] {
        let answer = stage.award(1, &key).await;
        assert_eq!(answer.code(), "INVALID_INPUT");
        assert!(answer.message().contains("idempotencyKey"), "{}", answer.message());
    }
    // One's own names are free.
    stage.award(1, "like:1:2:3").await.data();
    stage.award(1, &format!("like:{content}:{ben}:1")).await.data();
    stage.app.finish().await;
}
