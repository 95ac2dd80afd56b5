//! Lists, pages, marks, access, bad input, what a request costs.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tally::kernel::integrity;
use tally::kernel::module::Module as _;
use tally::modules::notifications::Notifications;

use super::stage::{Person, Stage, acted, liked, unliked};
use crate::harness::{Backend, Client, TestApp, on_every_backend};

on_every_backend!(
    marks_are_for_given_ones_or_all_and_repeat_well,
    all_means_all_up_to_now,
    more_than_one_chunk_is_marked,
    pages_give_every_notification_once,
    others_notifications_do_not_exist,
    bad_input_is_refused,
    fifty_notifications_take_no_more_statements_than_one,
    planted_drifts_are_found,
);

async fn marks_are_for_given_ones_or_all_and_repeat_well(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, other, one, two] = stage.people().await;
    let contents: Vec<_> = (0..4).map(|_| stage.content()).collect();
    stage.happen(contents.iter().zip(1..).map(|(content, n)| liked(*content, &author, &one, n))).await;
    stage.happen([liked(stage.content(), &other, &one, 9)]).await;
    let told = stage.told(&author).await;
    let ids: Vec<_> = told.iter().map(|told| &told["id"]).collect();
    let foreign = stage.only(&other).await["id"].clone();
    assert_eq!(stage.read(&one, None).await, (0, 0), "who was never told anything has nothing to mark");

    assert_eq!(stage.read(&author, Some(&[ids[1]])).await, (1, 3));
    assert_eq!(stage.read(&author, Some(&[ids[1], ids[1]])).await, (0, 3), "again");
    let unknown = json!("notification_01h455vb4pex5vsknk084sn02q");
    assert_eq!(stage.read(&author, Some(&[&foreign, &unknown])).await, (0, 3), "not one's own: no mark, no word");
    assert_eq!(stage.only(&other).await["readAt"], Value::Null);
    assert_eq!(stage.read(&author, Some(&[ids[0], &foreign, ids[0], ids[1]])).await, (1, 2));
    let read: Vec<_> = stage.told(&author).await.iter().map(|told| told["readAt"].is_string()).collect();
    assert_eq!(read, [true, true, false, false], "a mark moves nothing");
    assert_eq!(stage.read(&author, None).await, (2, 0));
    assert_eq!(stage.read(&author, None).await, (0, 0));

    // Whoever joins brings it to the top, unread.
    stage.happen([liked(contents[0], &author, &two, 10)]).await;
    let told = stage.told(&author).await;
    assert_eq!((&told[0]["id"], told[0]["actorCount"].as_i64(), &told[0]["readAt"]), (ids[3], Some(2), &Value::Null));
    assert!(told[1..].iter().all(|told| told["readAt"].is_string()));
    stage.finish().await;
}

async fn all_means_all_up_to_now(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one, two] = stage.people().await;
    let contents: Vec<_> = (0..8).map(|_| stage.content()).collect();
    for round in 0..6_i64 {
        let arriving = async {
            for (content, n) in contents.iter().zip(0..) {
                let sequence = round * 100 + n * 2 + 1;
                let event = if (round + n) % 3 == 2 {
                    unliked(*content, &author, &one, sequence)
                } else {
                    liked(*content, &author, if n % 2 == 0 { &one } else { &two }, sequence)
                };
                stage.happen([event]).await;
            }
        };
        let marking = async {
            for _ in 0..8 {
                let (marked, unread) = stage.read(&author, None).await;
                assert!((0..=8).contains(&marked) && (0..=8).contains(&unread), "{marked} marked, {unread} unread");
            }
        };
        futures_util::future::join(arriving, marking).await;
        // The list says how many are unread in three ways, and `told` compares them.
        stage.told(&author).await;
        stage.app.audit().await;
        stage.read(&author, None).await;
        let told = stage.told(&author).await;
        assert!(told.iter().all(|told| told["readAt"].is_string()), "{told:#?}");
    }
    stage.finish().await;
}

async fn more_than_one_chunk_is_marked(backend: Backend) {
    const MANY: i64 = 1_150;
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    stage.happen((0..MANY).map(|n| liked(stage.content(), &author, &one, n))).await;
    assert_eq!(stage.read(&author, None).await, (MANY, 0));
    let answer = author.client.query("{ me { unreadNotifications } notifications { totalCount } }").await;
    assert_eq!(*answer.data(), json!({ "me": { "unreadNotifications": 0 }, "notifications": { "totalCount": MANY } }));
    stage.finish().await;
}

/// All ids of the list, read page by page.
async fn pages(client: &Client, size: usize, backward: bool, unread_only: bool) -> Vec<String> {
    let (mut pages, mut at): (Vec<Vec<String>>, Option<String>) = (Vec::new(), None);
    loop {
        let (count, side) = if backward { ("last", "before") } else { ("first", "after") };
        let cursor = at.as_ref().map(|at| format!(", {side}: \"{at}\"")).unwrap_or_default();
        let query = format!(
            "{{ notifications({count}: {size}, unreadOnly: {unread_only}{cursor}) {{ edges {{ cursor node {{ id }} }} \
             pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        let answer = client.query(&query).await;
        let (edges, info) = (&answer.data()["notifications"]["edges"], &answer.data()["notifications"]["pageInfo"]);
        let ids = edges.as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned());
        pages.push(ids.collect());
        let (more, next) = if backward { ("hasPreviousPage", "startCursor") } else { ("hasNextPage", "endCursor") };
        if info[more] == false {
            break;
        }
        at = info[next].as_str().map(str::to_owned);
    }
    if backward {
        pages.reverse();
    }
    pages.concat()
}

async fn pages_give_every_notification_once(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    // Three of each moment: ties are broken by the id.
    stage.happen((0..13).map(|n| liked(stage.content(), &author, &one, n / 3))).await;
    let told = stage.told(&author).await;
    let all: Vec<String> = told.iter().map(|told| told["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 13);
    assert!(told.is_sorted_by(|a, b| a["updatedAt"].as_str() >= b["updatedAt"].as_str()));
    let read: Vec<_> = told.iter().step_by(3).map(|told| &told["id"]).collect();
    assert_eq!(stage.read(&author, Some(&read)).await, (5, 8));
    let unread: Vec<_> = all.iter().enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, id)| id.clone()).collect();
    for size in [1, 2, 5, 12, 13, 14] {
        for backward in [false, true] {
            assert_eq!(pages(&author.client, size, backward, false).await, all, "by {size}, backward: {backward}");
            assert_eq!(pages(&author.client, size, backward, true).await, unread, "by {size}, backward: {backward}");
        }
    }
    assert_eq!(pages(&one.client, 5, false, false).await, [] as [String; 0]);
    let none = author.client.query("{ notifications(first: 0) { nodes { id } pageInfo { hasNextPage } } }").await;
    assert_eq!(none.data()["notifications"], json!({ "nodes": [], "pageInfo": { "hasNextPage": false } }));
    stage.finish().await;
}

async fn others_notifications_do_not_exist(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    let operator = stage.app.client("operator", &[tally::kernel::auth::Role::Operator]);
    stage.happen([liked(stage.content(), &author, &one, 1)]).await;
    let id = stage.only(&author).await["id"].clone();
    let node = "query ($id: ID!) { node(id: $id) { __typename id ... on Notification { kind actorCount } } }";
    let found = author.client.run(node, json!({ "id": id })).await.data()["node"].clone();
    assert_eq!(found, json!({ "__typename": "Notification", "id": id, "kind": "LIKED", "actorCount": 1 }));
    for stranger in [&one.client, &operator] {
        assert_eq!(stranger.run(node, json!({ "id": id })).await.data()["node"], Value::Null);
        let list = stranger.query("{ notifications { totalCount } me { unreadNotifications } }").await;
        let nothing = json!({ "notifications": { "totalCount": 0 }, "me": { "unreadNotifications": 0 } });
        assert_eq!(*list.data(), nothing);
    }
    let nobody = stage.app.anonymous();
    for document in [
        "{ notifications { totalCount } }".to_owned(),
        "mutation { markNotificationsRead { marked } }".to_owned(),
        format!("{{ node(id: {id}) {{ id }} }}"),
    ] {
        assert_eq!(nobody.query(&document).await.code(), "UNAUTHENTICATED", "{document}");
    }
    assert_eq!(nobody.query("{ me { unreadNotifications } }").await.data()["me"], Value::Null);
    stage.finish().await;
}

async fn bad_input_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let user = app.user("user");
    let mark = "mutation ($ids: [ID!]) { markNotificationsRead(ids: $ids) { marked } }";
    let id = "notification_01h455vb4pex5vsknk084sn02q";
    let bounds = "give 1 to 1000 ids, or leave them out";
    for (ids, message) in [
        (json!([]), bounds),
        (json!(vec![id; 1001]), bounds),
        (json!([id, ""]), "expected a notification id"),
        (json!(["artwork_01h455vb4pex5vsknk084sn02q"]), "expected a notification id, got an artwork id"),
        (json!(["nonsense"]), "expected a notification id"),
    ] {
        let answer = user.run(mark, json!({ "ids": ids })).await;
        assert_eq!(answer.code(), "INVALID_INPUT");
        assert!(answer.message().contains(message), "{}", answer.message());
    }
    assert_eq!(user.run(mark, json!({ "ids": vec![id; 1000] })).await.data()["markNotificationsRead"]["marked"], 0);
    let artworks = "{ artworks { pageInfo { endCursor } } }";
    user.publish("one").await;
    let cursor = user.query(artworks).await.data()["artworks"]["pageInfo"]["endCursor"].clone();
    for document in [
        "{ notifications(first: 101) { totalCount } }".to_owned(),
        "{ notifications(first: -1) { totalCount } }".to_owned(),
        "{ notifications(first: 1, last: 1) { totalCount } }".to_owned(),
        "{ notifications(after: \"nonsense\") { totalCount } }".to_owned(),
        format!("{{ notifications(after: {cursor}) {{ totalCount }} }}"),
    ] {
        assert_eq!(user.query(&document).await.code(), "INVALID_INPUT", "{document}");
    }
    app.finish().await;
}

async fn fifty_notifications_take_no_more_statements_than_one(backend: Backend) {
    let stage = Stage::start(backend).await;
    let author = stage.person("author").await;
    let people: [Person; 5] = stage.people().await;
    for n in 0..50_i64 {
        let content = author.client.publish(&format!("content {n}")).await;
        let content = tally::kernel::id::parse_any(&content).unwrap().1;
        let likes = people.iter().zip(0..).map(|(person, m)| liked(content, &author, person, (1 << 40) + n * 10 + m));
        stage.happen(likes).await;
    }
    // The least of three: what relays and jobs ask meanwhile only adds.
    let counted = async |query: String| {
        let (mut least, mut data) = (u64::MAX, Value::Null);
        for _ in 0..3 {
            let before = stage.app.kernel.db.statement_count();
            data = author.client.query(&query).await.data().clone();
            least = least.min(stage.app.kernel.db.statement_count() - before);
        }
        (least, data)
    };
    // The page, the contents, the actors, and the users: first the last actors with the contents' authors, then the rest.
    let mut all = BTreeSet::new();
    for first in [1, 50] {
        let fields = "id kind content { id title } actors(first: 3) { id name } actorCount lastActor { id name }";
        let (statements, data) =
            counted(format!("{{ notifications(first: {first}) {{ nodes {{ {fields} }} }} }}")).await;
        let nodes = data["notifications"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), first);
        assert!(nodes.iter().all(|node| node["actors"].as_array().unwrap().len() == 3 && node["actorCount"] == 5));
        assert!(nodes.iter().all(|node| node["content"]["title"].is_string()), "{nodes:#?}");
        all.insert(statements);
    }
    // On a busy machine the two of users may meet in one.
    assert!(all.iter().all(|statements| (4..=5).contains(statements)), "50 take no more statements than 1: {all:?}");
    assert_eq!(counted("{ notifications(first: 50) { nodes { id kind actorCount readAt } } }".into()).await.0, 1);
    assert_eq!(counted("{ me { unreadNotifications } }".into()).await.0, 1);
    let ids = counted("{ notifications(first: 50) { nodes { id } } }".into()).await.1;
    let ids: Vec<_> = ids["notifications"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
    let mut marks = BTreeSet::new();
    for some in [&ids[..1], &ids[1..50]] {
        let before = stage.app.kernel.db.statement_count();
        stage.read(&author, Some(&some.iter().collect::<Vec<_>>())).await;
        marks.insert(stage.app.kernel.db.statement_count() - before);
    }
    assert_eq!(marks.len(), 1, "marks: {marks:?}");
    stage.finish().await;
}

async fn planted_drifts_are_found(backend: Backend) {
    let stage = Stage::start(backend).await;
    let [author, one] = stage.people().await;
    let content = stage.content();
    stage.happen([liked(content, &author, &one, 1), acted("engagement.shared", content, &author, &one, 2)]).await;
    let checks = Notifications::checks();
    let drifts = async |name: &str| {
        let check = checks.iter().find(|check| check.name() == name).unwrap();
        let report = integrity::run(&**check, &stage.app.kernel, &|_| ()).await.unwrap();
        assert!(report.checked > 0);
        report.examples.into_iter().map(|drift| (drift.id, drift.field, drift.stored, drift.actual)).collect::<Vec<_>>()
    };
    let text = |values: [&str; 4]| values.map(str::to_owned).into();
    let unread = |stored: &str, actual: &str| -> Vec<(String, String, String, String)> {
        vec![text([&author.id, "unreadNotifications", stored, actual])]
    };
    assert_eq!(drifts("unread-count").await, []);
    stage.app.database.sql("UPDATE notification_totals SET unread_count = 7").await;
    assert_eq!(drifts("unread-count").await, unread("7", "2"));
    stage.app.database.sql("DELETE FROM notification_totals").await;
    assert_eq!(drifts("unread-count").await, unread("none", "2"), "a lost row is found too");
    let mend = "INSERT INTO notification_totals SELECT lane, user_id, 9, 2 FROM notifications WHERE kind = 0";
    stage.app.database.sql(mend).await;

    assert_eq!(drifts("notification-actors").await, []);
    stage.app.database.sql("UPDATE notifications SET actor_count = 3 WHERE kind = 0").await;
    let told = stage.told(&author).await;
    let liked = told.iter().find(|told| told["kind"] == "LIKED").unwrap()["id"].as_str().unwrap();
    assert_eq!(drifts("notification-actors").await, [text([liked, "actorCount", "3", "1"])]);
    stage.app.database.sql("UPDATE notifications SET actor_count = 1, unread = 0 WHERE kind = 0").await;
    assert_eq!(drifts("notification-actors").await, [text([liked, "unread", "false", "true"])]);
    assert_eq!(drifts("unread-count").await, unread("2", "1"));
    stage.app.database.sql("UPDATE notifications SET unread = 1 WHERE kind = 0").await;
    stage.finish().await;
}
