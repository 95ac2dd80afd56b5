//! Subscriptions over graphql-transport-ws: the present state first, then changes, the newest state of each.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Listener, Options, TestApp, on_every_backend, unnamed};

on_every_backend!(
    a_ranking_comes_at_once_and_then_changes,
    two_listeners_see_each_others_likes,
    hotness_is_heard_through_filters,
    many_likes_become_the_newest_state,
    errors_have_codes_on_a_socket_too,
    queries_and_mutations_run_on_a_socket,
    a_listener_that_leaves_leaves_nothing_behind,
    a_stopping_server_ends_its_listeners,
);

const RANKING: &str = "subscription { hotRankingChanged { kind entries { rank level content { id likeCount } } } }";

/// The ids and like counts of a ranking.
fn standing(data: &Value) -> Vec<(&str, i64)> {
    let entries = data["hotRankingChanged"]["entries"].as_array().unwrap().iter().zip(1..);
    entries
        .map(|(entry, rank)| {
            assert_eq!(entry["rank"], rank);
            (entry["content"]["id"].as_str().unwrap(), entry["content"]["likeCount"].as_i64().unwrap())
        })
        .collect()
}

async fn like_and_unlike(user: &Client, id: &str) {
    for verb in ["like", "unlike"] {
        user.act(verb, id).await.data();
    }
}

async fn a_ranking_comes_at_once_and_then_changes(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let (first, second) = (author.publish("first").await, author.publish("second").await);
    author.act("like", &first).await.data();
    let mut listener = app.anonymous().listen(RANKING).await;
    let mut videos = app
        .anonymous()
        .listen("subscription { hotRankingChanged(kind: VIDEO, first: 1) { kind entries { rank } } }")
        .await;
    assert_eq!(standing(&listener.next().await), [(&*first, 1), (&*second, 0)], "the present state, unasked");
    assert_eq!(videos.next().await, json!({ "hotRankingChanged": { "kind": "VIDEO", "entries": [] } }));

    author.act("favorite", &second).await.data();
    assert_eq!(standing(&listener.next().await), [(&*second, 0), (&*first, 1)]);
    author.query(&format!("mutation {{ unpublishContent(id: \"{second}\") {{ changed }} }}")).await.data();
    assert_eq!(standing(&listener.next().await), [(&*first, 1)]);
    author.query("mutation { publishVideo(input: { title: \"a video\" }) { created } }").await.data();
    assert_eq!(standing(&listener.next().await).len(), 2);
    let update = videos.next().await;
    assert_eq!(
        update,
        json!({ "hotRankingChanged": { "kind": "VIDEO", "entries": [{ "rank": 1 }] } }),
        "of artworks this one heard nothing in between"
    );
    app.finish().await;
}

async fn two_listeners_see_each_others_likes(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    let id = ann.publish("one").await;
    let (mut at_anns, mut at_bens) = (ann.listen(RANKING).await, ben.listen(RANKING).await);
    at_anns.next().await;
    at_bens.next().await;
    let mut likes = 0;
    for liker in [&ann, &ben] {
        liker.act("like", &id).await.data();
        likes += 1;
        assert_eq!(standing(&at_anns.next().await), [(&*id, likes)]);
        assert_eq!(standing(&at_bens.next().await), [(&*id, likes)]);
    }
    app.finish().await;
}

async fn hotness_is_heard_through_filters(backend: Backend) {
    let options = Options::default().with("engagement.warm_from", 16);
    let app = TestApp::start_with::<tally::app::Tally>(backend, options).await;
    let author = app.user("author");
    let (one, other) = (author.publish("one").await, author.publish("other").await);
    let answer = author.query("mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }").await;
    let video = answer.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
    let fields = "{ hotnessChanged { content { id likeCount } score level previousScore previousLevel cause } }";
    let filtered = async |filter: &str| {
        author.listen(&format!("subscription {}", fields.replace("Changed {", &format!("Changed{filter} {{")))).await
    };
    let mut all = filtered("").await;
    let mut by_id = filtered(&format!("(contentIds: [\"{one}\", \"{video}\"])")).await;
    let mut by_kind = filtered("(kind: VIDEO)").await;
    let mut by_level = filtered("(minLevel: WARM)").await;
    // Every listener is known to listen before the acts that count.
    for (listener, id) in [(&mut all, &other), (&mut by_id, &video), (&mut by_kind, &video)] {
        listener.next_while(async || like_and_unlike(&author, id).await).await;
    }
    let ben = app.user("ben");
    by_level
        .next_while(async || {
            for (verb, id) in [("favorite", &other), ("like", &other), ("unlike", &other), ("unfavorite", &other)] {
                ben.act(verb, id).await.data();
            }
        })
        .await;

    author.act("like", &other).await.data();
    author.act("favorite", &one).await.data();
    let is = |id: &str, cause: &'static str| {
        let id = json!(id);
        move |data: &Value| data["hotnessChanged"]["content"]["id"] == id && data["hotnessChanged"]["cause"] == cause
    };
    let heard_by_id = by_id.until(is(&one, "FAVORITED")).await["hotnessChanged"].clone();
    all.until(is(&one, "FAVORITED")).await;
    assert_eq!((&heard_by_id["level"], &heard_by_id["previousLevel"]), (&json!("NEW"), &json!("NEW")));
    let (now, before) = (heard_by_id["score"].as_f64().unwrap(), heard_by_id["previousScore"].as_f64().unwrap());
    assert!((now - before - 5.0).abs() < 0.01, "a favorite weighs 5: from {before} to {now}");

    author.act("like", &one).await.data();
    let warm = by_level.until(is(&one, "LIKED")).await["hotnessChanged"].clone();
    assert_eq!((&warm["level"], &warm["previousLevel"]), (&json!("WARM"), &json!("NEW")));
    let heard_by_id = by_id.until(|data| data["hotnessChanged"]["content"]["id"] != json!(video)).await;
    assert_eq!(heard_by_id["hotnessChanged"]["cause"], "LIKED");

    author.act("like", &video).await.data();
    author.act("favorite", &video).await.data();
    // What a filter keeps out would have come before this.
    let mut ids = Vec::new();
    by_kind
        .until(|data| {
            ids.push(data["hotnessChanged"]["content"]["id"].clone());
            data["hotnessChanged"]["cause"] == "FAVORITED"
        })
        .await;
    assert!(ids.iter().all(|id| *id == json!(video)), "{ids:?}");
    let warm = by_level.until(is(&video, "FAVORITED")).await["hotnessChanged"].clone();
    assert_eq!(warm["level"], "WARM");
    by_id
        .until(|data| {
            assert_ne!(data["hotnessChanged"]["content"]["id"], json!(other));
            data["hotnessChanged"]["cause"] == "FAVORITED"
        })
        .await;
    app.finish().await;
}

async fn many_likes_become_the_newest_state(backend: Backend) {
    const LIKES: i64 = 60;
    // Long, so that the likes fall into few intervals on a slow machine too.
    let options = Options::default().with("engagement.live_interval_ms", 500);
    let app = TestApp::start_with::<tally::app::Tally>(backend, options).await;
    let id = app.user("author").publish("one").await;
    let likers: Vec<_> = (0..LIKES).map(|n| app.user(&format!("liker {n}"))).collect();
    let mut ranking = app.anonymous().listen(RANKING).await;
    let change = format!(
        "subscription {{ hotnessChanged(contentIds: [\"{id}\"]) {{ score previousScore content {{ likeCount }} }} }}"
    );
    let mut hotness = app.anonymous().listen(&change).await;
    ranking.next().await;
    let author = app.user("author");
    hotness.next_while(async || like_and_unlike(&author, &id).await).await;
    join_all(likers.iter().map(|liker| liker.act("like", &id))).await.iter().for_each(|answer| {
        answer.data();
    });

    let mut counts = Vec::new();
    let mut last_score = None;
    let last = |data: &Value| data["hotnessChanged"]["content"]["likeCount"].as_i64().unwrap();
    hotness
        .until(|data| {
            counts.push(last(data));
            let (score, previous) = (&data["hotnessChanged"]["score"], &data["hotnessChanged"]["previousScore"]);
            assert!(score.is_number() && previous.is_number());
            last_score = score.as_f64();
            last(data) == LIKES
        })
        .await;
    // The author's own like and unlike may still be in front; from then on the count only grows.
    let from = counts.iter().position(|count| *count > 1).unwrap_or(0);
    assert!(counts[from..].is_sorted(), "an older state came after a newer one: {counts:?}");
    assert!(i64::try_from(counts.len()).unwrap() < LIKES / 2, "{} messages for {LIKES} likes", counts.len());
    assert!((last_score.unwrap() - 130.0).abs() < 0.1, "10 + 60 * 2, a moment ago: {last_score:?}");
    ranking.until(|data| standing(data) == [(&*id, LIKES)]).await;
    app.finish().await;
}

async fn errors_have_codes_on_a_socket_too(backend: Backend) {
    let app = TestApp::start(backend).await;
    let user = app.user("user");
    for subscription in [
        "subscription { hotRankingChanged(first: -1) { kind } }",
        "subscription { hotRankingChanged(first: 101) { kind } }",
        "subscription { hotnessChanged(contentIds: []) { score } }",
        "subscription { hotnessChanged(contentIds: [\"nonsense\"]) { score } }",
        "subscription { nothing }",
        "subscription {",
    ] {
        let payload = user.listen(subscription).await.next_payload().await;
        // `next` carries a response, `error` a list of errors.
        let errors = payload.get("errors").unwrap_or(&payload);
        assert_eq!(errors[0]["extensions"]["code"], "INVALID_INPUT", "{subscription}: {payload:#}");
        assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let many = vec!["artwork_01h455vb4pex5vsknk084sn02q"; 1001];
    let subscription = format!("subscription {{ hotnessChanged(contentIds: {many:?}) {{ score }} }}");
    let payload = user.listen(&subscription).await.next_payload().await;
    assert_eq!(payload["errors"][0]["message"], "give 1 to 1000 contentIds, or leave them out");
    app.finish().await;
}

async fn queries_and_mutations_run_on_a_socket(backend: Backend) {
    let app = TestApp::start(backend).await;
    let user = app.user("user");
    let id = user.publish("one").await;
    let mut socket = user.listen("{ me { user { name } } }").await;
    assert_eq!(socket.next().await, json!({ "me": { "user": { "name": unnamed(&user.id().await) } } }));
    assert_eq!(socket.message().await, json!({ "type": "complete", "id": "1" }));
    let like = "mutation ($id: ID!) { like(contentId: $id) { changed content { likeCount viewerHasLiked } } }";
    let payload = json!({ "query": like, "variables": { "id": id } });
    for (n, changed) in [("2", true), ("3", false)] {
        socket.send(json!({ "type": "subscribe", "id": n, "payload": payload })).await;
        let content = json!({ "likeCount": 1, "viewerHasLiked": true });
        assert_eq!(socket.next().await, json!({ "like": { "changed": changed, "content": content } }));
        assert_eq!(socket.message().await, json!({ "type": "complete", "id": n }));
    }
    let hide = format!("mutation {{ unpublishContent(id: \"{id}\") {{ changed }} }}");
    let mut other = app.user("other").listen(&hide).await;
    assert_eq!(other.next_payload().await["errors"][0]["extensions"]["code"], "FORBIDDEN");
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.message().await["type"], "pong");
    app.finish().await;
}

async fn a_listener_that_leaves_leaves_nothing_behind(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let id = author.publish("one").await;
    // On one socket: `complete` ends a subscription and leaves its neighbour alone.
    let mut socket = author.listen(RANKING).await;
    socket.next().await;
    socket.send(json!({ "type": "subscribe", "id": "2", "payload": { "query": RANKING } })).await;
    assert_eq!(socket.message().await["id"], "2");
    socket.send(json!({ "type": "complete", "id": "1" })).await;
    // The answer to what came after it: from now on nothing is heard of it.
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.message().await, json!({ "type": "pong" }));
    author.act("like", &id).await.data();
    assert_eq!(socket.message().await["id"], "2");
    // The same id may be used again, which it may not while the server still holds the subscription.
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": RANKING } })).await;
    let again = socket.message().await;
    assert_eq!((&again["type"], &again["id"]), (&json!("next"), &json!("1")));

    // Gone without a word, some in the middle of the handshake.
    for _ in 0..20 {
        drop(author.listen(RANKING).await);
        drop(Listener::raw(&app.url).await);
    }
    author.act("unlike", &id).await.data();
    assert_eq!(standing(&socket.message().await["payload"]["data"]), [(&*id, 0)]);
    app.finish().await;
}

async fn a_stopping_server_ends_its_listeners(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let mut listeners = Vec::new();
    for _ in 0..10 {
        let mut listener = author.listen(RANKING).await;
        listener.next().await;
        listeners.push(listener);
    }
    // With a grace period of ten seconds for open requests, open sockets must not be what it is spent on.
    app.finish().await;
    for listener in listeners {
        let (close, sent) = listener.end().await;
        assert_eq!(
            (close.0, &*close.1, sent),
            (1001, "Going away", Vec::new()),
            "no `complete`: there is more to come"
        );
    }
}
