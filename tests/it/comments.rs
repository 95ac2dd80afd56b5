//! Comments: made once, deleted by those who may, read in pages, and counted.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tally::kernel::auth::Role;
use tally::modules::engagement::EngagementFacade;
use tally::modules::engagement::graphql::ContentId;

use crate::harness::{Answer, Backend, Client, TestApp, on_every_backend};

on_every_backend!(
    a_comment_counts_and_is_read,
    bad_comments_are_refused,
    a_client_key_makes_one_comment,
    deleting_is_for_the_author_and_operators,
    pages_give_every_comment_once,
    comments_of_many_contents_are_one_statement,
    comments_meet_and_none_is_lost,
    listeners_hear_why,
    planted_drifts_of_comments_are_found,
);

const COMMENT: &str = "mutation ($id: ID!, $body: String!, $key: String, $user: ID) {
    comment(contentId: $id, body: $body, clientKey: $key, userId: $user) {
        changed comment { id body deletedAt author { id } content { id } } content { id commentCount hotness { score } }
    } }";

async fn comment(client: &Client, content: &str, body: &str, key: Option<&str>) -> Answer {
    client.run(COMMENT, json!({ "id": content, "body": body, "key": key })).await
}

async fn commented(client: &Client, content: &str, body: &str) -> String {
    let answer = comment(client, content, body, None).await;
    answer.data()["comment"]["comment"]["id"].as_str().unwrap().to_owned()
}

async fn delete(client: &Client, comment: &str) -> Answer {
    let query = "mutation ($id: ID!) { deleteComment(id: $id) {
        changed comment { id body deletedAt } content { commentCount } } }";
    client.run(query, json!({ "id": comment })).await
}

async fn heat(app: &TestApp, content: &str) -> Option<i64> {
    let id: ContentId = content.parse().unwrap();
    app.facade::<EngagementFacade>().content(id.uuid).await.unwrap().unwrap().figures.heat
}

async fn a_comment_counts_and_is_read(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let answer = comment(&reader, &id, "  well done \n", None).await;
    let made = &answer.data()["comment"];
    let user = reader.id().await;
    assert_eq!(made["changed"], true);
    assert_eq!(made["comment"]["body"], "well done");
    assert_eq!(made["comment"]["deletedAt"], Value::Null);
    assert_eq!((&made["comment"]["author"]["id"], &made["comment"]["content"]["id"]), (&json!(user), &json!(id)));
    assert_eq!(made["content"]["commentCount"], 1);
    let score = made["content"]["hotness"]["score"].as_f64().unwrap();
    assert!((12.99..=13.0).contains(&score), "10 for publishing and 3 for the comment, a moment ago: {score}");

    let comment_id = made["comment"]["id"].as_str().unwrap();
    assert!(comment_id.starts_with("comment_"));
    let query = "query ($id: ID!, $comment: ID!) {
        contents(ids: [$id]) { comments { totalCount nodes { id body author { name } createdAt } } }
        node(id: $comment) { id ... on Comment { body content { title } } } }";
    let answer = app.anonymous().run(query, json!({ "id": id, "comment": comment_id })).await;
    let data = answer.data();
    let page = &data["contents"][0]["comments"];
    assert_eq!((&page["totalCount"], &page["nodes"][0]["body"]), (&json!(1), &json!("well done")));
    assert_eq!(data["node"], json!({ "id": comment_id, "body": "well done", "content": { "title": "one" } }));
    app.finish().await;
}

async fn bad_comments_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let long = "字".repeat(2_001);
    let key = "k".repeat(201);
    for (body, key) in
        [("", None), (" \t\n\u{3000}", None), (&*long, None), ("a\0b", None), ("x", Some(&*key)), ("x", Some("\0"))]
    {
        let answer = comment(&reader, &id, body, key).await;
        assert_eq!(answer.code(), "INVALID_INPUT", "{body:?} {key:?}");
    }
    assert!(comment(&reader, &id, &long, None).await.message().contains("body"));
    assert_eq!(comment(&reader, &reader.id().await, "x", None).await.code(), "INVALID_INPUT", "a user's id");
    assert_eq!(comment(&app.anonymous(), &id, "x", None).await.code(), "UNAUTHENTICATED");
    let unknown = "artwork_01h455vb4pex5vsknk084sn02q";
    assert_eq!(comment(&reader, unknown, "x", None).await.code(), "NOT_FOUND");
    let other_kind = id.replace("artwork_", "video_");
    assert_eq!(comment(&reader, &other_kind, "x", None).await.code(), "NOT_FOUND");
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    author.run(hide, json!({ "id": id })).await.data();
    assert_eq!(comment(&reader, &id, "x", None).await.code(), "CONFLICT");
    let answer = author.run("query ($id: ID!) { artwork(id: $id) { commentCount } }", json!({ "id": id })).await;
    assert_eq!(answer.data()["artwork"]["commentCount"], 0);
    // As long as may be, and of signs that take most bytes.
    let again = "mutation ($id: ID!) { republishContent(id: $id) { changed } }";
    author.run(again, json!({ "id": id })).await.data();
    let longest = "𝄞".repeat(2_000);
    assert_eq!(comment(&reader, &id, &longest, None).await.data()["comment"]["comment"]["body"], json!(longest));
    app.finish().await;
}

async fn a_client_key_makes_one_comment(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let (id, other) = (author.publish("one").await, author.publish("other").await);
    let first = comment(&reader, &id, "hello", Some("k")).await.data()["comment"].clone();
    let again = comment(&reader, &id, " hello ", Some("k")).await.data()["comment"].clone();
    assert_eq!((&again["changed"], &again["comment"]["id"]), (&json!(false), &first["comment"]["id"]));
    assert_eq!(again["content"]["commentCount"], 1);
    assert_eq!(comment(&reader, &id, "hello!", Some("k")).await.code(), "CONFLICT", "another body");
    assert_eq!(comment(&reader, &other, "hello", Some("k")).await.code(), "CONFLICT", "another content");
    let theirs = comment(&author, &id, "hello", Some("k")).await.data()["comment"].clone();
    assert_eq!(theirs["changed"], true, "keys are their user's own");

    // The same key from everywhere at once, on two contents: one of them has it.
    let contents = [&id, &other];
    let answers = join_all((0..16).map(|n| comment(&reader, contents[n % 2], "all at once", Some("race")))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.body.get("errors").is_none()).collect();
    let ids: BTreeSet<_> =
        made.iter().map(|answer| answer.data()["comment"]["comment"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), made.len()), (1, 8));
    assert_eq!(made.iter().filter(|answer| answer.data()["comment"]["changed"] == true).count(), 1);
    let refused = answers.iter().filter(|answer| answer.body.get("errors").is_some());
    refused.for_each(|answer| assert_eq!(answer.code(), "CONFLICT"));

    // A repeat is a repeat, whatever became of content and comment.
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    author.run(hide, json!({ "id": id })).await.data();
    assert_eq!(comment(&reader, &id, "hello", Some("k")).await.data()["comment"]["changed"], false);
    delete(&reader, first["comment"]["id"].as_str().unwrap()).await.data();
    let gone = comment(&reader, &id, "hello", Some("k")).await.data()["comment"].clone();
    assert_eq!((&gone["changed"], &gone["comment"]["body"]), (&json!(false), &Value::Null));
    assert_ne!(gone["comment"]["deletedAt"], Value::Null);
    // Of what it said a hash is left, by which its key is still known.
    assert_eq!(app.number("SELECT count(*) FROM comments WHERE deleted_at IS NOT NULL AND body <> ''").await, 0);
    assert_eq!(app.number("SELECT count(*) FROM comments WHERE body_hash IS NOT NULL").await, 1);
    assert_eq!(comment(&reader, &id, "hello!", Some("k")).await.code(), "CONFLICT", "another body");
    app.finish().await;
}

async fn deleting_is_for_the_author_and_operators(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader, service) = (app.user("author"), app.user("reader"), app.client("service", &[Role::Service]));
    let id = author.publish("one").await;
    commented(&author, &id, "stays").await;
    let before = heat(&app, &id).await;
    let first = commented(&reader, &id, "first").await;
    let second = commented(&reader, &id, "second").await;
    let with_both = heat(&app, &id).await;
    assert!(with_both > before);
    for (who, client) in
        [("another", app.user("another")), ("the content's author", author), ("a service", service.clone())]
    {
        assert_eq!(delete(&client, &first).await.code(), "FORBIDDEN", "{who}");
    }
    assert_eq!(delete(&app.anonymous(), &first).await.code(), "UNAUTHENTICATED");
    let answer = delete(&reader, &first).await;
    let gone = &answer.data()["deleteComment"];
    assert_eq!((&gone["changed"], &gone["content"]["commentCount"]), (&json!(true), &json!(2)));
    assert_eq!((&gone["comment"]["id"], &gone["comment"]["body"]), (&json!(first), &Value::Null));
    let again = delete(&reader, &first).await.data()["deleteComment"].clone();
    assert_eq!((&again["changed"], &again["content"]["commentCount"]), (&json!(false), &json!(2)));
    assert_eq!(again["comment"]["deletedAt"], gone["comment"]["deletedAt"], "a repeat does not move the moment");
    let operator = app.client("operator", &[Role::Operator]);
    assert_eq!(delete(&operator, &second).await.data()["deleteComment"]["changed"], true);
    assert_eq!(heat(&app, &id).await, before, "to the last bit");

    // A service acts for the author.
    let third = commented(&reader, &id, "third").await;
    let query = "mutation ($id: ID!, $user: ID!) { deleteComment(id: $id, userId: $user) { changed } }";
    let answer = service.run(query, json!({ "id": third, "user": reader.id().await })).await;
    assert_eq!(answer.data()["deleteComment"]["changed"], true);
    let query = "query ($id: ID!, $comment: ID!) {
        artwork(id: $id) { commentCount comments { totalCount nodes { body } } } node(id: $comment) { id } }";
    let answer = app.anonymous().run(query, json!({ "id": id, "comment": first })).await;
    let seen = json!({ "artwork": { "commentCount": 1, "comments": { "totalCount": 1, "nodes": [{ "body": "stays" }] } },
                       "node": null });
    assert_eq!(*answer.data(), seen);
    assert_eq!(delete(&reader, "comment_01h455vb4pex5vsknk084sn02q").await.code(), "NOT_FOUND");
    assert_eq!(delete(&reader, &id).await.code(), "INVALID_INPUT", "an artwork's id");
    app.finish().await;
}

async fn page(client: &Client, content: &str, arguments: &str) -> Value {
    let query = format!(
        "query ($id: ID!) {{ artwork(id: $id) {{ comments({arguments}) {{ nodes {{ body }}
         pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }} }}"
    );
    client.run(&query, json!({ "id": content })).await.data()["artwork"]["comments"].clone()
}

fn bodies(page: &Value) -> Vec<String> {
    page["nodes"].as_array().unwrap().iter().map(|node| node["body"].as_str().unwrap().to_owned()).collect()
}

async fn pages_give_every_comment_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let mut expected = Vec::new();
    for n in 0..30 {
        let body = format!("comment {n}");
        let made = commented(&reader, &id, &body).await;
        if n % 4 == 1 {
            delete(&reader, &made).await.data();
        } else {
            expected.insert(0, body);
        }
    }
    let client = app.anonymous();
    for size in [1, 7, 22, 100] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = page(&client, &id, &format!("first: {size}{after}")).await;
            assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_empty());
            seen.extend(bodies(&page));
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = format!(", after: {}", page["pageInfo"]["endCursor"]);
        }
        assert_eq!(seen, expected, "forward by {size}");
        let (mut seen, mut before) = (Vec::new(), String::new());
        loop {
            let page = page(&client, &id, &format!("last: {size}{before}")).await;
            seen.splice(0..0, bodies(&page));
            if page["pageInfo"]["hasPreviousPage"] == false {
                break;
            }
            before = format!(", before: {}", page["pageInfo"]["startCursor"]);
        }
        assert_eq!(seen, expected, "backward by {size}");
    }
    assert_eq!(bodies(&page(&client, &id, "first: 0").await), Vec::<String>::new());
    assert_eq!(bodies(&page(&client, &id, "last: null").await), expected[..20]);
    // Between two cursors, from both ends.
    let first = page(&client, &id, "first: 3").await["pageInfo"]["endCursor"].clone();
    let last = page(&client, &id, "last: 3").await["pageInfo"]["startCursor"].clone();
    let between = expected[3..expected.len() - 3].to_vec();
    assert_eq!(bodies(&page(&client, &id, &format!("first: 100, after: {first}, before: {last}")).await), between);
    assert_eq!(bodies(&page(&client, &id, &format!("last: 100, after: {first}, before: {last}")).await), between);
    let query = "query ($id: ID!, $after: String) { artwork(id: $id) { comments(after: $after) { totalCount } } }";
    let lists = app.anonymous().query("{ artworks { pageInfo { endCursor } } }").await;
    let foreign = lists.data()["artworks"]["pageInfo"]["endCursor"].clone();
    for cursor in [foreign, json!("nonsense")] {
        let answer = client.run(query, json!({ "id": id, "after": cursor })).await;
        assert_eq!(answer.code(), "INVALID_INPUT", "{cursor}");
    }
    app.finish().await;
}

async fn comments_of_many_contents_are_one_statement(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let mut ids = Vec::new();
    for n in 0..10 {
        let id = author.publish(&format!("content {n}")).await;
        for m in 0..n {
            commented(&reader, &id, &format!("{n}.{m}")).await;
        }
        ids.push(id);
    }
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) {
        comments(first: 3) { totalCount nodes { body author { name } content { title } } } } }";
    let client = app.anonymous();
    let mut counts = BTreeSet::new();
    for wanted in [&ids[9..], &ids[..]] {
        let before = app.kernel.db.statement_count();
        let answer = client.run(query, json!({ "ids": wanted })).await;
        counts.insert(app.kernel.db.statement_count() - before);
        let last = answer.data()["contents"].as_array().unwrap().last().unwrap()["comments"].clone();
        assert_eq!((&last["totalCount"], bodies(&last)), (&json!(9), vec!["9.8".into(), "9.7".into(), "9.6".into()]));
    }
    assert_eq!(counts, BTreeSet::from([4]), "contents, comments, authors, contents again");
    app.finish().await;
}

async fn comments_meet_and_none_is_lost(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let contents = [author.publish("one").await, author.publish("two").await];
    let before = heat(&app, &contents[0]).await;
    let readers: Vec<_> = (0..8).map(|n| app.user(&format!("reader {n}"))).collect();
    let made = join_all((0..160).map(|n| commented(&readers[n % 8], &contents[n / 8 % 2], "hello"))).await;
    assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), 160);
    // Each deleted twice at once, by its author: one of both changes something.
    let deletions = (0..160).flat_map(|n| [(n, 0), (n, 1)]).map(|(n, _)| delete(&readers[n % 8], &made[n]));
    let answers = join_all(deletions).await;
    let changed = answers.iter().filter(|answer| answer.data()["deleteComment"]["changed"] == true);
    assert_eq!(changed.count(), 160);
    assert_eq!(heat(&app, &contents[0]).await, before, "to the last bit");
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { commentCount } }";
    let answer = app.anonymous().run(query, json!({ "ids": contents })).await;
    assert_eq!(answer.data()["contents"], json!([{ "commentCount": 0 }, { "commentCount": 0 }]));
    app.finish().await;
}

async fn listeners_hear_why(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let subscription = "subscription { hotnessChanged { cause content { commentCount shareCount viewCount } } }";
    let mut listener = app.anonymous().listen(subscription).await;
    listener.next_while(async || drop(reader.act("like", &author.publish("news").await).await)).await;
    let share = format!("mutation {{ share(contentId: \"{id}\", channel: QQ) {{ changed }} }}");
    let view = format!("mutation {{ recordViews(contentIds: [\"{id}\"]) {{ counted }} }}");
    let made = commented(&reader, &id, "hello").await;
    for (cause, comments, shares, views) in
        [("COMMENTED", 1, 0, 0), ("COMMENT_DELETED", 0, 0, 0), ("SHARED", 0, 1, 0), ("VIEWED", 0, 1, 1)]
    {
        match cause {
            "COMMENT_DELETED" => drop(delete(&reader, &made).await.data()),
            "SHARED" => drop(reader.query(&share).await.data()),
            "VIEWED" => drop(reader.query(&view).await.data()),
            _ => {}
        }
        let heard = listener.until(|heard| heard["hotnessChanged"]["cause"] == cause).await;
        let expected = json!({ "commentCount": comments, "shareCount": shares, "viewCount": views });
        assert_eq!(heard["hotnessChanged"]["content"], expected, "{cause}");
    }
    app.finish().await;
}

async fn planted_drifts_of_comments_are_found(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (author, reader) = (app.user("author"), app.user("reader"));
    let id = author.publish("one").await;
    let gone = commented(&reader, &id, "gone").await;
    commented(&reader, &id, "stays").await;
    delete(&reader, &gone).await.data();
    for (plant, mend, expected) in [
        (
            "UPDATE content_figures SET comment_count = 7",
            "UPDATE content_figures SET comment_count = 1",
            vec!["comment-count"],
        ),
        // A deletion that no figure knows of; not of long ago, else it would be a tombstone that stays too long, too.
        (
            "UPDATE comments SET deleted_at = commented_at WHERE body = 'stays'",
            "UPDATE comments SET deleted_at = NULL WHERE body = 'stays'",
            vec!["comment-count", "heat-mass", "heat"],
        ),
        // A comment that came back.
        (
            "UPDATE comments SET deleted_at = NULL WHERE body = ''",
            "UPDATE comments SET deleted_at = commented_at WHERE body = ''",
            vec!["comment-count", "heat-mass", "heat"],
        ),
        (
            "UPDATE comments SET commented_at = commented_at + 60000 WHERE body = 'stays'",
            "UPDATE comments SET commented_at = commented_at - 60000 WHERE body = 'stays'",
            vec!["heat-mass", "heat"],
        ),
    ] {
        app.database.sql(plant).await;
        assert_eq!(app.drifted().await, expected, "{plant}");
        app.database.sql(mend).await;
        assert_eq!(app.drifted().await, Vec::<&str>::new(), "mended: {plant}");
    }
    app.finish().await;
}
