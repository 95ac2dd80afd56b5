//! Rankings by kind and by window, as time passes in both directions, against a model that sorts everything anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{ManualClock, Millis};
use tally::kernel::ranking::{RankIndex, Standing, View};
use tally::modules::engagement::content::Detail;
use tally::modules::engagement::{EngagementFacade, NewContent};
use tally::modules::users::{NewUser, UsersFacade};
use uuid::Uuid;

use crate::harness::{Backend, Client, Options, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(
    windows_agree_with_lists_as_time_goes_both_ways,
    past_and_future_publications_have_their_windows,
    a_listener_hears_of_what_leaves_only_because_time_passes,
    a_thousand_ids_take_as_many_statements_as_one,
    the_check_sees_an_index_that_is_not_the_database,
);

const SPANS: &[i64] = &[50, 300, 2_000];

/// What an index should do: everything is looked at each time.
#[derive(Default)]
struct Model(BTreeMap<Uuid, Standing>);

impl Model {
    fn apply(&mut self, new: Standing) {
        let held = self.0.entry(new.id).or_insert(new);
        if new.version > held.version {
            *held = new;
        }
    }

    fn top(&self, view: View) -> Vec<Standing> {
        let since = view.window.map(|window| Millis(view.now.0 - SPANS[window]));
        let here = self.0.values().filter(|standing| {
            standing.listed
                && view.board.is_none_or(|board| board == standing.board)
                && since.is_none_or(|since| standing.since >= since)
        });
        let mut top: Vec<_> = here.copied().collect();
        top.sort_by_key(|standing| std::cmp::Reverse((standing.heat, standing.id)));
        top
    }
}

/// Random items, states out of order, and a clock that moves a little, jumps, and goes back.
#[test]
fn the_index_agrees_with_a_sort_of_everything() {
    let mut seeded = Seeded::new();
    let random = &mut seeded.random;
    for _ in 0..rounds(6) {
        let (index, mut model, mut now) = (RankIndex::new(SPANS), Model::default(), 10_000_i64);
        for _ in 0..400 {
            now += match random.random_range(0..20) {
                0 => random.random_range(-3_000..3_000),
                1 | 2 => -random.random_range(0..60),
                _ => random.random_range(0..40),
            };
            let states = (0..random.random_range(0..8)).map(|_| {
                let id = Uuid::from_u128(random.random_range(0..120));
                // What an item is never changes; the moment may, as after an import that corrects it.
                let held = model.0.get(&id).copied();
                let since = held.filter(|_| random.random_bool(0.9)).map(|held| held.since);
                let state = Standing {
                    id,
                    version: held.map_or(1, |held| held.version) + random.random_range(-2..3),
                    board: u8::try_from(id.as_u128() % 3).unwrap(),
                    // Few values, so that there are ties.
                    heat: random.random_bool(0.9).then(|| random.random_range(0..30)),
                    since: since.unwrap_or(Millis(now - random.random_range(-200..2_500))),
                    listed: random.random_bool(0.85),
                };
                model.apply(state);
                state
            });
            let states: Vec<_> = states.collect();
            index.apply(Millis(now), states);
            let board = [None, Some(0), Some(1), Some(2)][random.random_range(0..4)];
            for window in [None, Some(0), Some(1), Some(2)] {
                let view = View { board, window, now: Millis(now) };
                let (wanted, size) = (model.top(view), random.random_range(0..60));
                let found = index.top(view, size);
                assert_eq!(found, wanted[..size.min(wanted.len())], "{view:?}");
                assert_eq!(index.size(view), wanted.len(), "{view:?}");
                let id = Uuid::from_u128(random.random_range(0..120));
                let rank = wanted.iter().position(|standing| standing.id == id).map(|place| place + 1);
                assert_eq!(index.rank(view, id), rank, "{view:?} {id}");
            }
            let id = Uuid::from_u128(random.random_range(0..120));
            let due = model.0.get(&id).map(|standing| index.due(Millis(now), *standing));
            assert_eq!(index.seen(Millis(now), id), due);
        }
    }
}

const WINDOWS: [(&str, i64); 5] = [
    ("H1", Millis::HOUR),
    ("H6", 6 * Millis::HOUR),
    ("H24", Millis::DAY),
    ("D7", 7 * Millis::DAY),
    ("D30", 30 * Millis::DAY),
];

async fn timed(backend: Backend) -> (TestApp, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    (TestApp::start_with::<Tally>(backend, Options::default().at(&clock)).await, clock)
}

async fn ranking(client: &Client, arguments: &str) -> Vec<String> {
    let query = format!("{{ hotRanking(first: 100{arguments}) {{ rank content {{ id }} }} }}");
    let answer = client.query(&query).await;
    let entries = answer.data()["hotRanking"].as_array().unwrap().iter().zip(1..);
    let ids = entries.map(|(entry, rank)| {
        assert_eq!(entry["rank"], rank);
        entry["content"]["id"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

/// The ids of a list by SQL, which knows nothing of the index.
async fn listed(client: &Client, field: &str, window: &str) -> Vec<String> {
    let query = format!("{{ {field}(first: 100, orderBy: HOTTEST, publishedWithin: {window}) {{ nodes {{ id }} }} }}");
    let answer = client.query(&query).await;
    let nodes = answer.data()[field]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

async fn agree(app: &TestApp, what: &str) {
    let reader = app.anonymous();
    for window in WINDOWS.iter().map(|(name, _)| *name).chain(["ALL"]) {
        let mut both = 0;
        for (kind, field) in [("ARTWORK", "artworks"), ("VIDEO", "videos")] {
            let list = listed(&reader, field, window).await;
            let arguments = format!(", kind: {kind}, publishedWithin: {window}");
            assert_eq!(ranking(&reader, &arguments).await, list, "{what}: {field} in {window}");
            both += list.len();
            for (id, rank) in list.iter().zip(1..) {
                let ask = format!("rank(kind: {kind}, publishedWithin: {window})");
                assert_eq!(rank_of(&reader, id, &ask).await, json!(rank), "{what}: {id} in {window}");
            }
        }
        let all = ranking(&reader, &format!(", publishedWithin: {window}")).await;
        assert_eq!(all.len(), both, "{what}: {window}");
        if let Some(last) = all.last() {
            let ask = format!("rank(publishedWithin: {window})");
            assert_eq!(rank_of(&reader, last, &ask).await, json!(both), "{what}: {window}");
        }
    }
    app.audit().await;
}

async fn rank_of(client: &Client, id: &str, ask: &str) -> Value {
    let answer = client.query(&format!("{{ contents(ids: [\"{id}\"]) {{ hotness {{ {ask} }} }} }}")).await;
    answer.data()["contents"][0]["hotness"]["rank"].clone()
}

async fn windows_agree_with_lists_as_time_goes_both_ways(backend: Backend) {
    let (app, clock) = timed(backend).await;
    let mut seeded = Seeded::new();
    let random = &mut seeded.random;
    let mut ids = Vec::new();
    let ages = [900, 719, 400, 167, 100, 30, 23, 12, 5, 4, 1, 0, 0, 0];
    for (n, age) in ages.into_iter().enumerate() {
        clock.set(START.plus(-age * Millis::HOUR));
        let author = app.user("author");
        let kind = if n % 3 == 0 { "Video" } else { "Artwork" };
        let query = format!(
            "mutation {{ publish{kind}(input: {{ title: \"{n}\" }}) {{ content: {} {{ id }} }} }}",
            kind.to_lowercase()
        );
        let answer = author.query(&query).await;
        ids.push(answer.data()[format!("publish{kind}")]["content"]["id"].as_str().unwrap().to_owned());
    }
    clock.set(START);
    for n in 0..25 {
        let id = &ids[random.random_range(0..ids.len())];
        app.user(&format!("reader {n}")).act(if n % 2 == 0 { "like" } else { "favorite" }, id).await.data();
    }
    agree(&app, "at the start").await;
    // A content of the other kind, and one outside the window, have no rank there.
    let newest_video = &ids[12];
    assert_eq!(rank_of(&app.anonymous(), newest_video, "rank(kind: ARTWORK)").await, Value::Null);
    assert_eq!(rank_of(&app.anonymous(), &ids[0], "rank(publishedWithin: D30)").await, Value::Null);
    for hours in [1, 2, 6, 20, 24 * 7, 24 * 31] {
        clock.set(START.plus(hours * Millis::HOUR));
        agree(&app, &format!("{hours} h later")).await;
    }
    // The clock steps back: what had left is there again, what is now published in the future too.
    for hours in [0, -3, -24 * 8, -24 * 60, 0] {
        clock.set(START.plus(hours * Millis::HOUR));
        agree(&app, &format!("set to {hours} h")).await;
    }
    let author = app.user("author");
    author.query(&format!("mutation {{ unpublishContent(id: \"{}\") {{ changed }} }}", ids[13])).await.data();
    agree(&app, "with one hidden").await;
    author.query(&format!("mutation {{ republishContent(id: \"{}\") {{ changed }} }}", ids[13])).await.data();
    agree(&app, "with all shown").await;
    app.finish().await;
}

async fn publish_at(app: &TestApp, title: &str, at: Millis) -> Uuid {
    let author = NewUser { subject: "author".into(), ..NewUser::default() };
    let author_id = app.facade::<UsersFacade>().ensure(author).await.unwrap().id;
    let content = NewContent {
        author_id,
        title: title.into(),
        cover_url: None,
        external_id: None,
        client_key: None,
        source: None,
        base_weight: None,
        published_at: Some(at),
        detail: Detail::Artwork { prompt: None, model: None, width: None, height: None, image_url: None },
    };
    app.facade::<EngagementFacade>().publish(content).await.unwrap().content.info.id
}

async fn past_and_future_publications_have_their_windows(backend: Backend) {
    let (app, clock) = timed(backend).await;
    for (name, span) in WINDOWS {
        publish_at(&app, &format!("just in {name}"), START.plus(-span)).await;
        publish_at(&app, &format!("just out of {name}"), START.plus(-span - 1)).await;
    }
    publish_at(&app, "tomorrow", START.plus(Millis::DAY)).await;
    let sizes = async || {
        let mut sizes = Vec::new();
        for (name, _) in WINDOWS {
            sizes.push(ranking(&app.anonymous(), &format!(", publishedWithin: {name}")).await.len());
        }
        sizes
    };
    assert_eq!(sizes().await, [2, 4, 6, 8, 10], "the last millisecond counts, and the future is in every window");
    agree(&app, "with the past and the future").await;
    clock.set(START.plus(1));
    assert_eq!(sizes().await, [1, 3, 5, 7, 9]);
    clock.set(START.plus(Millis::DAY + Millis::HOUR));
    assert_eq!(sizes().await[0], 1, "published an hour ago by now");
    clock.set(START.plus(Millis::DAY + Millis::HOUR + 1));
    assert_eq!(sizes().await[0], 0);
    // What is filled at a start is as what was taken one by one.
    let database = app.stop().await;
    let options = Options::default().at(&clock);
    let app = TestApp::start_on::<Tally>(database, options).await;
    agree(&app, "after a start").await;
    app.finish().await;
}

async fn a_listener_hears_of_what_leaves_only_because_time_passes(backend: Backend) {
    let (app, clock) = timed(backend).await;
    let author = app.user("author");
    let first = author.publish("first").await;
    clock.set(START.plus(Millis::HOUR / 2));
    let second = author.publish("second").await;
    let subscription = |window: &str| {
        format!(
            "subscription {{ hotRankingChanged(publishedWithin: {window}, first: 5) \
             {{ publishedWithin entries {{ content {{ id }} }} }} }}"
        )
    };
    // The last moment at which the first one is there: a look each interval, until the clock says that it is over.
    clock.set(START.plus(Millis::HOUR));
    let reader = app.anonymous();
    let (mut hour, mut day) = (reader.listen(&subscription("H1")).await, reader.listen(&subscription("H24")).await);
    let shown = |data: &Value| -> Vec<String> {
        let entries = data["hotRankingChanged"]["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["content"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let heard = hour.next().await;
    assert_eq!(heard["hotRankingChanged"]["publishedWithin"], "H1");
    assert_eq!(shown(&heard), [&*second, &*first]);
    assert_eq!(shown(&day.next().await), [&*second, &*first]);
    clock.set(START.plus(Millis::HOUR + 1));
    assert_eq!(shown(&hour.next().await), [&*second], "nobody did anything");
    // A change of what is not in the window is not heard there.
    app.user("reader").act("like", &first).await.data();
    assert_eq!(shown(&day.next().await), [&*first, &*second]);
    app.user("reader").act("favorite", &second).await.data();
    assert_eq!(shown(&hour.next().await), [&*second]);
    assert_eq!(shown(&day.next().await), [&*second, &*first]);
    app.finish().await;
}

async fn a_thousand_ids_take_as_many_statements_as_one(backend: Backend) {
    let app = TestApp::start(backend).await;
    let author = app.user("author");
    let ids = author.publish_many(1_000).await;
    // What a card shows, within what anybody's operation may cost; and with more, within a user's.
    let query = "query ($ids: [ID!]!) { contents(ids: $ids) { id title likeCount hotness { score level rank } } }";
    let more = "query ($ids: [ID!]!) { contents(ids: $ids) { id title likeCount favoriteCount viewerHasLiked publishedAt \
                author { id name } hotness { score level rank(publishedWithin: H24) } } }";
    for (client, query, statements) in [(app.anonymous(), query, 1), (author, more, 3)] {
        for size in [1, 1_000] {
            let before = app.kernel.db.statement_count();
            let answer = client.run(query, json!({ "ids": ids[..size] })).await;
            let contents = answer.data()["contents"].as_array().unwrap();
            let found: Vec<_> = contents.iter().map(|content| content["id"].as_str().unwrap()).collect();
            assert_eq!(found, ids[..size]);
            assert_eq!(app.kernel.db.statement_count() - before, statements, "{size} ids");
        }
        let too_many = [&ids[..], &ids[..1]].concat();
        assert_eq!(client.run(query, json!({ "ids": too_many })).await.code(), "INVALID_INPUT");
    }
    app.finish().await;
}

async fn the_check_sees_an_index_that_is_not_the_database(backend: Backend) {
    let (app, _clock) = timed(backend).await;
    let author = app.user("author");
    let (one, _other) = (author.publish("one").await, author.publish("other").await);
    let run = async |sql: &str| {
        let backend = app.kernel.backend();
        let statement = sea_orm::Statement::from_string(backend, sql);
        let written = app.kernel.db.write(move |tx| {
            let statement = statement.clone();
            Box::pin(async move { tx.execute(statement).await })
        });
        written.await.expect("it is written");
    };
    assert_eq!(app.drifts().await, []);
    let drifted = |count| vec![("ranking", count, "rank index".to_owned())];
    // Behind the index's back: another moment of publishing, so another window; a status; a newer version.
    run("UPDATE contents SET status = 1 WHERE title = 'one'").await;
    assert_eq!(app.drifts().await, drifted(1));
    run("UPDATE contents SET status = 0 WHERE title = 'one'").await;
    run("UPDATE content_figures SET version = version + 1").await;
    assert_eq!(app.drifts().await, drifted(2));
    // The next change of each tells the index all.
    author.act("like", &one).await.data();
    assert_eq!(app.drifts().await, drifted(1));
    // An index that knows more than there is, as of a database that was put back: no later write would be taken.
    run("UPDATE content_figures SET version = version - 7").await;
    assert_eq!(app.drifts().await, drifted(2));
    let repair = "mutation { repairIntegrity(check: \"ranking\") { state checks { repaired } } }";
    let answer = app.client("operator", &[Role::Operator]).query(repair).await;
    assert_eq!(answer.data()["repairIntegrity"], json!({ "state": "OK", "checks": [{ "repaired": 2 }] }));
    author.act("unlike", &one).await.data();
    assert_eq!(app.drifts().await, []);
    run("UPDATE content_figures SET version = version + 1 WHERE like_count = 0").await;
    // A content that is gone, and is listed still.
    run("DELETE FROM content_figures").await;
    run("DELETE FROM contents").await;
    for rows in ["content_heat", "behaviors", "hot_history", "artworks"] {
        run(&format!("DELETE FROM {rows}")).await;
    }
    assert_eq!(app.drifts().await, drifted(2));
    app.stop_unaudited().await.remove().await;
}
