//! Each kind of act, collapsed; own acts; what is taken back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tally::app::{App as _, Tally};
use tally::kernel::config::Settings;
use tally::kernel::events::Event;
use tally::kernel::module::Modules;

use super::stage::{Stage, acted, actors, comment, event, level, liked, put, said_at, unliked};
use crate::harness::{Backend, Options, TestApp, on_every_backend};

on_every_backend!(
    each_kind_of_act_is_told,
    nobody_is_told_of_their_own_acts,
    many_acts_are_one_notification,
    a_commenter_counts_once,
    what_is_taken_back_leaves_also_after_it_was_read,
    a_level_is_told_and_a_fall_by_time_keeps_it,
    a_kind_that_is_switched_off_is_not_told,
    without_the_module_the_outbox_stays_empty,
    an_event_that_cannot_be_understood_holds_up_nothing_for_ever,
);

async fn each_kind_of_act_is_told(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, reader] = stage.people().await;
    let content = author.client.publish("one").await;
    let uuid = tally::kernel::id::parse_any(&content).unwrap().1;
    stage.app.settle().await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0], "a publication is no news to its author");
    // Sequences far above those of the publication itself.
    let first = 1 << 40;
    stage
        .happen([
            liked(uuid, &author, &reader, first),
            acted("engagement.favorited", uuid, &author, &reader, first + 1),
            comment("engagement.commented", uuid, &author, &reader, 7, first + 2),
            acted("engagement.shared", uuid, &author, &reader, first + 3),
            level(uuid, &author, 0, 3, first + 4),
        ])
        .await;
    let told = stage.told(&author).await;
    let of = |told: &Value| (told["kind"].clone(), told["actorCount"].clone(), told["level"].clone());
    let expected = [
        ("LEVEL_UP", 0, json!("HOT")),
        ("SHARED", 1, Value::Null),
        ("COMMENTED", 1, Value::Null),
        ("FAVORITED", 1, Value::Null),
        ("LIKED", 1, Value::Null),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(kind, n, level)| (json!(kind), json!(n), level)).collect();
    assert_eq!(told.iter().map(of).collect::<Vec<_>>(), expected, "the newest first");
    for (notification, sequence) in told.iter().rev().zip(first..) {
        assert_eq!(notification["content"]["id"], json!(content));
        assert_eq!((&notification["createdAt"], &notification["updatedAt"]), (&said_at(sequence), &said_at(sequence)));
        let level_up = notification["kind"] == "LEVEL_UP";
        assert_eq!(notification["lastActor"], if level_up { Value::Null } else { json!({ "id": reader.id }) });
        assert_eq!(actors(notification), if level_up { Vec::new() } else { vec![&*reader.id] });
    }
    assert_eq!(stage.told(&reader).await, [] as [Value; 0], "the actor is told nothing");
    stage.finish().await;
}

async fn nobody_is_told_of_their_own_acts(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, reader] = stage.people().await;
    let content = stage.content();
    stage
        .happen([
            liked(content, &author, &author, 1),
            acted("engagement.favorited", content, &author, &author, 2),
            comment("engagement.commented", content, &author, &author, 1, 3),
            acted("engagement.shared", content, &author, &author, 4),
            unliked(content, &author, &author, 5),
        ])
        .await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0]);
    stage.happen([liked(content, &author, &author, 6), liked(content, &author, &reader, 7)]).await;
    let only = stage.only(&author).await;
    assert_eq!((only["actorCount"].as_i64(), actors(&only)), (Some(1), vec![&*reader.id]));
    stage.finish().await;
}

async fn many_acts_are_one_notification(backend: Backend) {
    let stage = Stage::start(backend).await;
    let author = stage.person("author").await;
    let likers: [_; 12] = stage.people().await;
    let (content, other) = (stage.content(), stage.content());
    stage.happen(likers.iter().zip(1..).map(|(liker, n)| liked(content, &author, liker, n))).await;
    let only = stage.only(&author).await;
    assert_eq!(only["actorCount"], 12);
    assert_eq!((&only["createdAt"], &only["updatedAt"]), (&said_at(1), &said_at(12)));
    assert_eq!(only["lastActor"]["id"], json!(likers[11].id));
    assert!(actors(&only).into_iter().eq(likers.iter().rev().map(|liker| &*liker.id)), "the newest first");
    let some = "{ notifications { nodes { usual: actors { id } five: actors(first: 5) { id } none: actors(first: 0) { id } } } }";
    let answer = author.client.query(some).await;
    let node = &answer.data()["notifications"]["nodes"][0];
    for (field, size) in [("usual", 3), ("five", 5), ("none", 0)] {
        let ids: Vec<_> = likers.iter().rev().take(size).map(|liker| json!({ "id": liker.id })).collect();
        assert_eq!(node[field], json!(ids), "{field}");
    }
    // Another content is another notification, and so is another kind.
    stage
        .happen([liked(other, &author, &likers[0], 1), acted("engagement.shared", content, &author, &likers[1], 13)])
        .await;
    assert_eq!(stage.told(&author).await.len(), 3);
    stage.finish().await;
}

async fn a_commenter_counts_once(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let content = stage.content();
    let said = |user, id, sequence| comment("engagement.commented", content, &author, user, id, sequence);
    let deleted = |user, id, sequence| comment("engagement.comment_deleted", content, &author, user, id, sequence);
    stage.happen([said(&one, 1, 1), said(&one, 2, 2), said(&two, 3, 3), said(&one, 4, 4)]).await;
    let only = stage.only(&author).await;
    assert_eq!((only["actorCount"].as_i64(), actors(&only)), (Some(2), vec![&*one.id, &*two.id]));
    stage.happen([deleted(&one, 4, 5), deleted(&one, 1, 6)]).await;
    let only = stage.only(&author).await;
    assert_eq!(
        (only["actorCount"].as_i64(), actors(&only)),
        (Some(2), vec![&*two.id, &*one.id]),
        "one comment is left"
    );
    assert_eq!((&only["createdAt"], &only["updatedAt"]), (&said_at(2), &said_at(3)));
    stage.happen([deleted(&one, 2, 7)]).await;
    let only = stage.only(&author).await;
    assert_eq!((only["actorCount"].as_i64(), actors(&only)), (Some(1), vec![&*two.id]));
    stage.happen([deleted(&two, 3, 8)]).await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0]);
    stage.finish().await;
}

async fn what_is_taken_back_leaves_also_after_it_was_read(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let content = stage.content();
    stage.happen([liked(content, &author, &one, 1)]).await;
    let id = stage.only(&author).await["id"].clone();
    assert_eq!(stage.read(&author, None).await, (1, 0));
    stage.happen([unliked(content, &author, &one, 2)]).await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0], "read or not, nobody is left of it");
    let node = "query ($id: ID!) { node(id: $id) { id } }";
    assert_eq!(author.client.run(node, json!({ "id": id })).await.data()["node"], Value::Null);

    stage.happen([liked(content, &author, &one, 3)]).await;
    let again = stage.only(&author).await;
    assert_eq!((&again["readAt"], &again["createdAt"], &again["id"]), (&Value::Null, &said_at(3), &id), "news again");
    stage.read(&author, None).await;
    let read_at = stage.only(&author).await["readAt"].clone();
    assert!(read_at.is_string());
    stage.happen([liked(content, &author, &two, 4)]).await;
    let joined = stage.only(&author).await;
    assert_eq!(
        (joined["actorCount"].as_i64(), &joined["readAt"]),
        (Some(2), &Value::Null),
        "who joins makes it unread"
    );
    // What made it unread is taken back: nothing is left in it that was not read.
    stage.happen([unliked(content, &author, &two, 5)]).await;
    let left = stage.only(&author).await;
    assert_eq!((actors(&left), &left["readAt"], &left["updatedAt"]), (vec![&*one.id], &read_at, &said_at(3)));
    stage.happen([unliked(content, &author, &one, 6), unliked(content, &author, &one, 7)]).await;
    assert_eq!(stage.told(&author).await, [] as [Value; 0]);
    stage.finish().await;
}

async fn a_level_is_told_and_a_fall_by_time_keeps_it(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author] = stage.people().await;
    let content = stage.content();
    let told = async || {
        let told = stage.told(&author).await;
        told.first().map(|told| (told["level"].as_str().unwrap().to_owned(), told["updatedAt"].clone()))
    };
    // NEW 0, COLD 1, WARM 2, HOT 3, BLAZING 4.
    stage.happen([level(content, &author, 0, 1, 1)]).await;
    assert_eq!(told().await, None, "COLD is no rise");
    stage.happen([level(content, &author, 1, 2, 2), level(content, &author, 2, 4, 3)]).await;
    assert_eq!(told().await, Some(("BLAZING".into(), said_at(3))), "one notification, of the newest rise");
    stage.read(&author, None).await;
    stage.happen([level(content, &author, 4, 1, 4)]).await;
    assert_eq!(told().await, Some(("BLAZING".into(), said_at(3))), "it was reached all the same");
    assert!(stage.only(&author).await["readAt"].is_string());
    stage.happen([level(content, &author, 1, 2, 5)]).await;
    assert_eq!(told().await, Some(("WARM".into(), said_at(5))));
    assert_eq!(stage.only(&author).await["readAt"], Value::Null);

    // A fall of an act that was taken back is another matter: the rise was that act's effect.
    let other = stage.content();
    let taken_back = |from, to, sequence| {
        let payload =
            json!({ "authorId": author.uuid, "previousLevel": from, "level": to, "score": 1.5, "takenBack": true });
        event("engagement.level_changed", other, sequence, payload)
    };
    stage.happen([level(other, &author, 0, 3, 100)]).await;
    assert_eq!(told().await, Some(("HOT".into(), said_at(100))));
    stage.happen([taken_back(3, 2, 101)]).await;
    assert_eq!(told().await, Some(("WARM".into(), said_at(100))));
    stage.happen([taken_back(2, 0, 102)]).await;
    assert_eq!(stage.told(&author).await.len(), 1, "of the other content nothing is left");
    stage.finish().await;
}

async fn a_kind_that_is_switched_off_is_not_told(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let content = stage.content();
    stage.happen([liked(content, &author, &one, 1)]).await;
    let database = stage.app.stop().await;

    let options = Options::default().with("notifications.kinds", "SHARED, LEVEL_UP");
    let app = TestApp::start_on::<Tally>(database, options).await;
    let stage = Stage { app };
    let [author, one, two] = [&author, &one, &two].map(|person| person.clone());
    let author = super::stage::Person { client: stage.app.user("person 0"), ..author };
    stage.happen([liked(content, &author, &two, 2), acted("engagement.shared", content, &author, &two, 3)]).await;
    let told = stage.told(&author).await;
    let kinds: Vec<_> = told.iter().map(|told| (&told["kind"], &told["actorCount"])).collect();
    assert_eq!(kinds, [(&json!("SHARED"), &json!(1)), (&json!("LIKED"), &json!(1))], "no like was added");
    stage.happen([unliked(content, &author, &one, 4), unliked(content, &author, &two, 5)]).await;
    assert_eq!(stage.only(&author).await["kind"], "SHARED", "what was told is taken back all the same");
    stage.finish().await;
}

async fn without_the_module_the_outbox_stays_empty(backend: Backend) {
    let options = Options::default().with("modules.off", "notifications");
    let app = TestApp::start_with::<Tally>(backend, options).await;
    let content = app.kernel.ids.next();
    let payload = json!({ "authorId": content, "userId": app.kernel.ids.next() });
    put(&app, vec![event("engagement.liked", content, 1, payload)]).await;
    let count = "SELECT count(*) AS n FROM outbox";
    let rows = app.kernel.db.query(sea_orm::Statement::from_string(app.kernel.backend(), count)).await.unwrap();
    assert_eq!(rows[0].try_get::<i64>("", "n").unwrap(), 0, "nobody takes it, so nobody keeps it");
    let user = app.user("user");
    for document in [
        "{ notifications { nodes { id } } }",
        "{ me { unreadNotifications } }",
        "mutation { markNotificationsRead { marked } }",
        "{ node(id: \"notification_01h455vb4pex5vsknk084sn02q\") { id } }",
    ] {
        assert_eq!(user.query(document).await.code(), "INVALID_INPUT", "{document}");
    }
    app.finish().await;
}

async fn an_event_that_cannot_be_understood_holds_up_nothing_for_ever(backend: Backend) {
    let options = Options::default().with("events.retries", 0);
    let stage = Stage::with(backend, options).await;
    let [author, one, two] = stage.people().await;
    let (content, other) = (stage.content(), stage.content());
    let broken = [
        event("engagement.liked", content, 2, json!({ "authorId": author.uuid })),
        event("engagement.commented", content, 3, json!({ "authorId": author.uuid, "userId": one.uuid })),
        event("engagement.level_changed", content, 4, json!({ "authorId": author.uuid, "level": "HOT" })),
        Event { payload: json!(7), ..event("engagement.user_deleted", content, 5, json!({})) },
    ];
    let good = [
        liked(content, &author, &one, 1),
        unliked(content, &author, &one, 6),
        liked(other, &author, &two, 1),
        liked(content, &author, &two, 7),
    ];
    stage.happen(good.into_iter().chain(broken)).await;
    let told = stage.told(&author).await;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told.iter().all(|told| actors(told) == [&*two.id]),
        "the unlike behind the broken ones came too: {told:#?}"
    );
    stage.finish().await;
}

#[test]
fn a_kind_or_a_schedule_that_does_not_exist_is_refused() {
    let list = Modules::new(Tally::modules()).unwrap_or_else(|error| panic!("{}", error.for_operator())).settings();
    for (key, value, problem) in [
        ("notifications.kinds", "LIKED,liked", "«liked» must be LIKED, FAVORITED, COMMENTED, SHARED or LEVEL_UP"),
        ("notifications.retention_days", "0", "must be a whole number from 1 to 36500"),
        ("notifications.cleanup_schedule", "every minute", "notifications.cleanup_schedule: "),
        ("notifications.retention_schedule", "* * *", "notifications.retention_schedule: "),
    ] {
        let refused = Settings::read(&list, None, &BTreeMap::new(), &[(key, value.to_owned())]).unwrap_err();
        assert!(refused.client().contains(problem), "{key}: {}", refused.client());
    }
}
