//! Lists: a constant number of statements, and Relay paging that gives every item exactly once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tally::kernel::clock::{ManualClock, Millis};

use crate::harness::{Backend, Client, Options, START, TestApp, on_every_backend};

on_every_backend!(
    fifty_items_take_as_many_statements_as_one,
    pages_forward_and_backward_give_every_item_once,
    filters_agree_with_what_the_items_say,
    contents_keep_the_order_of_their_ids,
    a_ranking_is_one_consistent_list,
);

/// What a page of cards asks of each content.
const CARD: &str = "id title likeCount viewerHasLiked viewerHasFavorited author { id name } \
                    hotness { score level rank history(first: 5) { score } }";

async fn fifty_items_take_as_many_statements_as_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let viewer = app.user("viewer");
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(app.user(&format!("author {n}")).publish(&format!("artwork {n}")).await);
        viewer.act("like", &ids[n]).await.data();
    }
    let counted = async |query: String| {
        let before = app.kernel.db.statement_count();
        let answer = viewer.query(&query).await;
        let data = answer.data().clone();
        (app.kernel.db.statement_count() - before, data)
    };
    // The page, the authors, what the viewer did to them, their histories.
    for first in [1, 50] {
        let (statements, data) = counted(format!("{{ artworks(first: {first}) {{ nodes {{ {CARD} }} }} }}")).await;
        let nodes = data["artworks"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), first);
        assert!(nodes.iter().all(|node| node["viewerHasLiked"] == true && node["viewerHasFavorited"] == false));
        assert!(nodes.iter().all(|node| node["hotness"]["history"][0]["score"].is_number()), "{nodes:#?}");
        assert_eq!(statements, 4, "artworks(first: {first})");
    }
    let total = "{ artworks(first: 50) { totalCount nodes { id } } }".to_owned();
    assert_eq!(counted(total).await.0, 2, "the total is a statement of its own, and only when asked for");
    // The ranking itself is in memory.
    let card = CARD.replace("id title", "id title __typename");
    for first in [1, 50] {
        let query = format!("{{ hotRanking(first: {first}) {{ rank score content {{ {card} }} }} }}");
        let (statements, data) = counted(query).await;
        assert_eq!(data["hotRanking"].as_array().unwrap().len(), first);
        assert_eq!(statements, 4, "hotRanking(first: {first})");
    }
    for some in [&ids[..1], &ids] {
        let (statements, data) = counted(format!("{{ contents(ids: {some:?}) {{ {card} }} }}")).await;
        assert_eq!(data["contents"].as_array().unwrap().len(), some.len());
        assert_eq!(statements, 4, "contents of {} ids", some.len());
    }
    let bare = "{ artworks(first: 50) { nodes { id likeCount hotness { score rank } } } }".to_owned();
    assert_eq!(counted(bare).await.0, 1, "nobody pays for what nobody asks");
    app.finish().await;
}

/// A server at [`START`] with 13 artworks of two authors that differ in age and heat, some of them tied.
async fn aged(backend: Backend) -> (TestApp, Arc<ManualClock>, Vec<String>) {
    let clock = Arc::new(ManualClock::new(START));
    let options = Options::default()
        .at(&clock)
        .with("engagement.warm_from", 9)
        .with("engagement.hot_from", 15)
        .with("engagement.blazing_from", 18);
    let app = TestApp::start_with::<tally::app::Tally>(backend, options).await;
    let mut ids = Vec::new();
    let ages_hours = [800_i64, 200, 100, 30, 30, 30, 10, 10, 3, 1, 0, 0, 0];
    for (n, age) in ages_hours.iter().enumerate() {
        clock.set(START.plus(-age * Millis::HOUR));
        let author = app.user(if n % 3 == 0 { "ann" } else { "ben" });
        ids.push(author.publish(&format!("artwork {n}")).await);
    }
    clock.set(START);
    for (n, verbs) in
        [(0, ["like", "favorite"]), (5, ["like", "favorite"]), (9, ["like", "unlike"]), (12, ["favorite", "like"])]
    {
        for verb in verbs {
            app.user("reader").act(verb, &ids[n]).await.data();
        }
    }
    app.user("other").act("favorite", &ids[12]).await.data();
    (app, clock, ids)
}

/// All ids of a list, read page by page in one direction. Checks what each page says of itself.
async fn read_all(client: &Client, arguments: &str, size: usize, backward: bool) -> Vec<String> {
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut at: Option<String> = None;
    loop {
        let (count, side) = if backward { ("last", "before") } else { ("first", "after") };
        let cursor = at.as_ref().map(|at| format!(", {side}: \"{at}\"")).unwrap_or_default();
        let page = "edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
        let query = format!("{{ artworks({count}: {size}{cursor}{arguments}) {{ {page} }} }}");
        let answer = client.query(&query).await;
        let (edges, info) = (&answer.data()["artworks"]["edges"], &answer.data()["artworks"]["pageInfo"]);
        let edges = edges.as_array().unwrap();
        let (more, been) =
            if backward { ("hasPreviousPage", "hasNextPage") } else { ("hasNextPage", "hasPreviousPage") };
        assert_eq!(info[been], at.is_some(), "there is something where we come from: {info}");
        assert_eq!(info["startCursor"], edges.first().map_or(Value::Null, |edge| edge["cursor"].clone()));
        assert_eq!(info["endCursor"], edges.last().map_or(Value::Null, |edge| edge["cursor"].clone()));
        pages.push(edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect());
        if info[more] == false {
            break;
        }
        assert_eq!(edges.len(), size, "only the last page is short");
        at = info[if backward { "startCursor" } else { "endCursor" }].as_str().map(str::to_owned);
    }
    if backward {
        pages.reverse();
    }
    pages.concat()
}

async fn pages_forward_and_backward_give_every_item_once(backend: Backend) {
    let (app, _, ids) = aged(backend).await;
    let reader = app.user("reader");
    for order in ["NEWEST", "OLDEST", "HOTTEST"] {
        let arguments = format!(", orderBy: {order}");
        let whole = read_all(&reader, &arguments, 100, false).await;
        assert_eq!(whole.iter().collect::<BTreeSet<_>>(), ids.iter().collect(), "{order}");
        assert_eq!(whole.len(), ids.len(), "{order}");
        for size in [1, 2, 4, 12, 13, 14] {
            assert_eq!(read_all(&reader, &arguments, size, false).await, whole, "{order} by {size}");
            assert_eq!(read_all(&reader, &arguments, size, true).await, whole, "{order} by {size}, backward");
        }
        let asked = "nodes { publishedAt hotness { score } }";
        let answer = reader.query(&format!("{{ artworks(first: 100{arguments}) {{ totalCount {asked} }} }}")).await;
        assert_eq!(answer.data()["artworks"]["totalCount"], 13);
        let nodes = answer.data()["artworks"]["nodes"].as_array().unwrap().clone();
        let sorted = nodes.is_sorted_by(|a, b| match order {
            "NEWEST" => a["publishedAt"].as_str() >= b["publishedAt"].as_str(),
            "OLDEST" => a["publishedAt"].as_str() <= b["publishedAt"].as_str(),
            _ => a["hotness"]["score"].as_f64() >= b["hotness"]["score"].as_f64(),
        });
        assert!(sorted, "{order}: {nodes:#?}");
    }
    let oldest = read_all(&reader, ", orderBy: OLDEST", 100, false).await;
    let newest = read_all(&reader, "", 100, false).await;
    assert!(newest.iter().eq(oldest.iter().rev()), "newest first is the usual order, and the other one's reverse");

    // Between two cursors.
    let cursors = reader.query("{ artworks(first: 5, orderBy: OLDEST) { edges { cursor } } }").await;
    let cursor = |n: usize| cursors.data()["artworks"]["edges"][n]["cursor"].clone();
    let between =
        format!("{{ artworks(after: {}, before: {}, orderBy: OLDEST) {{ nodes {{ id }} }} }}", cursor(0), cursor(4));
    let answer = reader.query(&between).await;
    let expected: Vec<_> = oldest[1..4].iter().map(|id| json!({ "id": id })).collect();
    assert_eq!(answer.data()["artworks"]["nodes"], json!(expected));
    app.finish().await;
}

/// Ids, level, author and publication of all artworks, as the items themselves say.
async fn said(client: &Client) -> Vec<Value> {
    let query = "{ artworks(first: 100) { nodes { id publishedAt author { id name } hotness { level } } } }";
    client.query(query).await.data()["artworks"]["nodes"].as_array().unwrap().clone()
}

async fn filters_agree_with_what_the_items_say(backend: Backend) {
    let (app, clock, ids) = aged(backend).await;
    let mut seen = BTreeSet::new();
    // Levels fade with time by themselves: look again and again.
    for hours in [0, 1, 23, 60, 200] {
        clock.set(START.plus(hours * Millis::HOUR));
        let reader = app.user("reader");
        let all = said(&reader).await;
        for level in ["NEW", "COLD", "WARM", "HOT", "BLAZING"] {
            let wanted: Vec<_> = all.iter().filter(|node| node["hotness"]["level"] == level).collect();
            let wanted: BTreeSet<_> = wanted.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
            for order in ["NEWEST", "HOTTEST"] {
                let filter = format!(", level: {level}, orderBy: {order}");
                let found = read_all(&reader, &filter, 3, false).await;
                assert_eq!(found.len(), wanted.len(), "{level} after {hours} h");
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted, "{level} after {hours} h");
            }
            let total = reader.query(&format!("{{ artworks(level: {level}) {{ totalCount }} }}")).await;
            assert_eq!(total.data()["artworks"]["totalCount"], wanted.len(), "{level} after {hours} h");
            seen.extend((!wanted.is_empty()).then_some(level));
        }
    }
    assert_eq!(seen.len(), 5, "every level was met: {seen:?}");

    clock.set(START);
    let reader = app.user("reader");
    let ann = app.user("ann").id().await;
    let anns = read_all(&reader, &format!(", authorId: \"{ann}\""), 2, false).await;
    assert_eq!(anns.iter().collect::<BTreeSet<_>>(), [0, 3, 6, 9, 12].map(|n| &ids[n]).into_iter().collect());
    for (window, count) in [("H1", 4), ("H6", 5), ("H24", 7), ("D7", 11), ("D30", 12), ("ALL", 13)] {
        let found = read_all(&reader, &format!(", publishedWithin: {window}"), 4, false).await;
        let youngest: BTreeSet<_> = ids.iter().rev().take(count).collect();
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), youngest, "{window}");
        let ranking = format!("{{ hotRanking(first: 100, publishedWithin: {window}) {{ content {{ id }} }} }}");
        assert_eq!(reader.query(&ranking).await.data()["hotRanking"].as_array().unwrap().len(), count, "{window}");
    }
    let both =
        read_all(&reader, &format!(", authorId: \"{ann}\", publishedWithin: H24, level: BLAZING"), 4, false).await;
    assert_eq!(both, [ids[12].clone()]);
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    app.user("ann").run(hide, json!({ "id": ids[12] })).await.data();
    assert!(!read_all(&reader, "", 100, false).await.contains(&ids[12]), "what is hidden is in no list");
    app.finish().await;
}

async fn contents_keep_the_order_of_their_ids(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let artwork = author.publish("an artwork").await;
    let publish =
        "mutation { publishVideo(input: { title: \"a video\", externalId: \"v's \\\"id\\\"\" }) { video { id } } }";
    let answer = author.query(publish).await;
    let video = answer.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    let unknown = "artwork_01h455vb4pex5vsknk084sn02q".to_owned();
    let disguised = video.replace("video_", "artwork_");
    let query = "query ($ids: [ID!], $externalIds: [String!]) \
                 { contents(ids: $ids, externalIds: $externalIds) { __typename id title } }";
    let ids = [&video, &unknown, &artwork, &disguised, &video];
    let (a, v) = (
        json!({ "__typename": "Artwork", "id": artwork, "title": "an artwork" }),
        json!({ "__typename": "Video", "id": video, "title": "a video" }),
    );
    let answer = author.run(query, json!({ "ids": ids })).await;
    assert_eq!(answer.data()["contents"], json!([v, null, a, null, v]));
    let answer = author.run(query, json!({ "externalIds": ["none", "v's \"id\"", "V'S \"ID\"", ""] })).await;
    assert_eq!(answer.data()["contents"], json!([null, v, null, null]));
    let hide = "mutation ($id: ID!) { unpublishContent(id: $id) { changed } }";
    author.run(hide, json!({ "id": video })).await.data();
    let answer = author.run(query, json!({ "ids": [video] })).await;
    assert_eq!(answer.data()["contents"], json!([v]), "hidden, and found by its id");
    app.finish().await;
}

async fn a_ranking_is_one_consistent_list(backend: Backend) {
    let (app, _, ids) = aged(backend).await;
    let reader = app.user("reader");
    let video = "mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }";
    let answer = reader.query(video).await;
    let video = answer.data()["publishVideo"]["video"]["id"].clone();
    let query = "query ($kind: ContentKind, $first: Int! = 100) { hotRanking(kind: $kind, first: $first) \
                 { rank score level content { id hotness { rank score level } } } }";
    let answer = reader.run(query, json!({})).await;
    let all = answer.data()["hotRanking"].as_array().unwrap().clone();
    assert_eq!(all.len(), 14);
    for (entry, rank) in all.iter().zip(1..) {
        assert_eq!(entry["rank"], rank);
        assert_eq!(entry["content"]["hotness"]["rank"], rank, "an item's own rank is that of the ranking of all");
        assert_eq!(
            (&entry["score"], &entry["level"]),
            (&entry["content"]["hotness"]["score"], &entry["content"]["hotness"]["level"])
        );
    }
    assert!(all.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()), "{all:#?}");
    assert_eq!(all[0]["content"]["id"], json!(ids[12]), "10 for publishing, 5 and 5 for favorites, 2 for a like");
    assert_eq!(reader.run(query, json!({ "first": 3 })).await.data()["hotRanking"], json!(all[..3]));

    let videos = reader.run(query, json!({ "kind": "VIDEO" })).await;
    let videos = videos.data()["hotRanking"].as_array().unwrap().clone();
    assert_eq!((videos.len(), &videos[0]["content"]["id"], &videos[0]["rank"]), (1, &video, &json!(1)));
    let artworks = reader.run(query, json!({ "kind": "ARTWORK" })).await;
    let of = |list: &[Value]| list.iter().map(|entry| entry["content"]["id"].clone()).collect::<Vec<_>>();
    let expected: Vec<_> = of(&all).into_iter().filter(|id| *id != video).collect();
    assert_eq!(of(artworks.data()["hotRanking"].as_array().unwrap()), expected);
    let hottest = read_all(&reader, ", orderBy: HOTTEST", 100, false).await;
    assert_eq!(json!(hottest), json!(expected), "the list by heat from the database agrees with the index in memory");
    app.finish().await;
}
