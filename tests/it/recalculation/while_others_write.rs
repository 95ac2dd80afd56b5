//! A recalculation while likes, unlikes and publications arrive and rankings are read; killed in the middle; with two
//! servers on one database.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::SystemClock;

use super::stage::{self, Stage, Weights, recalculate, settings_of};
use crate::harness::{
    Backend, Client, Options, Process, SECRET, Seeded, TestApp, TestDatabase, command, on_every_backend, rounds,
};

on_every_backend!(
    two_versions_are_never_mixed_while_others_write,
    killed_in_the_middle_it_goes_on_where_it_was,
    killed_after_the_swap_it_still_tidies_up,
    two_at_once_do_no_harm,
    a_listener_hears_of_the_other_order,
);

/// Under these, favorites weigh more than likes turn by turn: the order of a ranking is another one.
pub(super) const OTHER: [(&str, &str); 2] =
    [("TALLY_ENGAGEMENT_LIKE_WEIGHT", "50"), ("TALLY_ENGAGEMENT_FAVORITE_WEIGHT", "0.5")];
const CONTENTS: usize = 40;

fn other() -> Weights {
    let mut weights = Weights::default();
    weights.set("likeWeight", 50.0);
    weights.set("favoriteWeight", 0.5);
    weights
}

/// A stage with so many contents; half have favorites, half have likes. Their ids.
pub(super) async fn furnished(backend: Backend, contents: usize) -> (Stage, Vec<String>) {
    let stage = Stage::new(backend, Options::default().with("engagement.settings_poll_ms", 50)).await;
    let mut ids = Vec::new();
    for n in 0..contents {
        let id = stage.app.user("author").publish(&format!("content {n}")).await;
        for user in 0..n % 4 {
            stage.app.user(&format!("fan {user}")).act(if n % 2 == 0 { "like" } else { "favorite" }, &id).await.data();
        }
        ids.push(id);
    }
    (stage, ids)
}

/// What one answer shows of a content.
struct Shown {
    likes: f64,
    favorites: f64,
    score: f64,
    level: String,
}

fn shown(node: &Value) -> Shown {
    Shown {
        likes: node["likeCount"].as_f64().unwrap(),
        favorites: node["favoriteCount"].as_f64().unwrap(),
        score: node["hotness"]["score"].as_f64().unwrap(),
        level: node["hotness"]["level"].as_str().unwrap().to_owned(),
    }
}

/// Fails unless every score of an answer is that of ONE version, and its order too. Which one: 1, 2, or 0 for either.
fn version_of(answer: &[Shown]) -> usize {
    let (old, new) = (Weights::default(), other());
    let of = |weights: &Weights, content: &Shown| {
        let like = weights.get("likeWeight") * content.likes;
        weights.get("publishWeight") + like + weights.get("favoriteWeight") * content.favorites
    };
    // Acts after an unlike are some milliseconds later: 1e-4 is far from any difference between the versions.
    let all_of =
        |weights: &Weights| answer.iter().all(|content| (content.score / of(weights, content) - 1.0).abs() < 1e-4);
    let falls = answer.windows(2).all(|pair| pair[0].score >= pair[1].score * (1.0 - 1e-9));
    assert!(falls, "not in order: {:?}", answer.iter().map(|content| content.score).collect::<Vec<_>>());
    for content in answer {
        assert_eq!(content.level, old.level(content.score), "thresholds are the same in both");
    }
    match (all_of(&old), all_of(&new)) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => {
            let rows: Vec<_> = answer.iter().map(|content| (content.likes, content.favorites, content.score)).collect();
            panic!("two versions in one answer: {rows:?}")
        }
    }
}

const NODE: &str = "likeCount favoriteCount hotness { score level rank }";

/// Reads rankings and lists, one after the other, until told to stop. How many answers were of each version.
async fn read(client: Client, stop: Arc<AtomicBool>) -> [usize; 3] {
    let mut seen = [0; 3];
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let first = [100, 7, 23][round % 3];
        let ranking = format!("{{ hotRanking(first: {first}) {{ content {{ {NODE} }} }} }}");
        let answer = client.query(&ranking).await;
        let ranking: Vec<_> =
            answer.data()["hotRanking"].as_array().unwrap().iter().map(|entry| shown(&entry["content"])).collect();
        seen[version_of(&ranking)] += 1;
        let list = format!("{{ artworks(orderBy: HOTTEST, first: {first}) {{ nodes {{ {NODE} }} }} }}");
        seen[version_of(&nodes(&client.query(&list).await))] += 1;
        let list =
            format!("{{ artworks(orderBy: HOTTEST, first: 100, level: HOT) {{ nodes {{ {NODE} }} totalCount }} }}");
        let answer = client.query(&list).await;
        let hot = nodes(&answer);
        assert!(hot.iter().all(|content| content.level == "HOT"), "a list by level holds that level only");
        seen[version_of(&hot)] += 1;
    }
    seen
}

fn nodes(answer: &crate::harness::Answer) -> Vec<Shown> {
    answer.data()["artworks"]["nodes"].as_array().unwrap().iter().map(shown).collect()
}

/// Likes, takes back and publishes at random until told to stop. How many acts.
async fn write(client: Client, mut ids: Vec<String>, seed: u64, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        if random.random_bool(0.1) {
            ids.push(client.publish("another").await);
        } else {
            let verb = ["like", "unlike", "favorite", "unfavorite"][random.random_range(0..4)];
            client.act(verb, &ids[random.random_range(0..ids.len())]).await.data();
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn two_versions_are_never_mixed_while_others_write(backend: Backend) {
    for _ in 0..rounds(1) {
        let mut seeded = Seeded::new();
        let (stage, ids) = furnished(backend, CONTENTS).await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..3)
            .map(|n| {
                let client = stage.app.user(&format!("writer {n}"));
                tokio::spawn(write(client, ids.clone(), seeded.random.random(), Arc::clone(&stop), Arc::clone(&done)))
            })
            .collect();
        let readers: Vec<_> = (0..2).map(|_| tokio::spawn(read(stage.app.anonymous(), Arc::clone(&stop)))).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = done.load(Ordering::Relaxed);
        let slowly = [OTHER[0], OTHER[1], ("TALLY_ENGAGEMENT_RECALCULATION_PAUSE_MS", "40")];
        let (status, report, errors) = recalculate(&stage.app.database, &slowly, &["--chunk", "3"]).await;
        assert_eq!((status, &report["failed"]), (0, &json!(0)), "{errors}");
        assert!(report["succeeded"].as_u64().unwrap() >= CONTENTS as u64, "{report}");
        assert!(done.load(Ordering::Relaxed) > before + 10, "others wrote meanwhile");
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        let mut seen = [0; 3];
        for reader in readers {
            let own = reader.await.expect("a reader saw one version at a time");
            seen = [seen[0] + own[0], seen[1] + own[1], seen[2] + own[2]];
        }
        for writer in writers {
            writer.await.expect("every act is taken");
        }
        assert!(seen[1] > 0 && seen[2] > 0, "both versions were seen: {seen:?}");
        assert_eq!(settings_of(&stage.app).await["version"], json!(2));
        // Every number equals the model under the new settings, and every check is clean.
        let list = format!("{{ artworks(orderBy: HOTTEST, first: 100) {{ nodes {{ {NODE} }} }} }}");
        assert_eq!(version_of(&nodes(&stage.app.anonymous().query(&list).await)), 2);
        for table in ["content_figures_next", "content_heat_next"] {
            assert_eq!(stage::count(&stage.app, table).await, 0, "{table} is emptied");
        }
        stage.app.finish().await;
    }
}

/// `tally recalculate` as a process that can be killed.
pub(super) fn begin(database: &TestDatabase, pause_ms: &str) -> tokio::process::Child {
    command()
        .args(["recalculate", "--json", "--chunk", "2"])
        .env("DATABASE_URL", &database.url)
        .env("TALLY_AUTH_SECRET", SECRET)
        .env("TALLY_ENGAGEMENT_RECALCULATION_PAUSE_MS", pause_ms)
        .envs(OTHER)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Waits until so many contents are done; what `hotnessSettings` says then.
pub(super) async fn until_done(app: &TestApp, contents: i64) -> Value {
    for _ in 0..600 {
        let settings = settings_of(app).await;
        if settings["recalculation"]["succeeded"].as_i64().is_some_and(|done| done >= contents) {
            return settings;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not get there");
}

async fn killed_in_the_middle_it_goes_on_where_it_was(backend: Backend) {
    let (stage, ids) = furnished(backend, CONTENTS).await;
    let mut child = begin(&stage.app.database, "100");
    let settings = until_done(&stage.app, 10).await;
    child.kill().await.expect("it is killed");
    assert_eq!((&settings["version"], &settings["recalculation"]["version"]), (&json!(1), &json!(2)));
    let settings = settings_of(&stage.app).await;
    let done = settings["recalculation"]["succeeded"].as_i64().unwrap();
    assert!((10..CONTENTS as i64).contains(&done), "{done}");
    // The old stays in force; whoever writes keeps up what is done, and the checks see to it.
    for id in &ids {
        stage.app.user("late").act("favorite", id).await.data();
        stage.app.user("fan 0").act("unlike", id).await.data();
    }
    let late = stage.app.user("late").publish("late").await;
    stage.app.user("late").act("like", &late).await.data();
    stage.app.audit().await;
    let list = format!("{{ artworks(orderBy: HOTTEST, first: 100) {{ nodes {{ {NODE} }} }} }}");
    assert_eq!(version_of(&nodes(&stage.app.anonymous().query(&list).await)), 1);

    let (status, report, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    let total = CONTENTS as i64;
    let succeeded = report["succeeded"].as_i64().unwrap();
    assert!((total..=total + 1).contains(&succeeded), "each once, the late one or not: {report}");
    let after = settings_of(&stage.app).await;
    assert_eq!((&after["version"], &after["recalculation"]), (&json!(2), &Value::Null));
    assert_eq!(version_of(&nodes(&stage.app.anonymous().query(&list).await)), 2);
    stage.app.finish().await;
}

async fn killed_after_the_swap_it_still_tidies_up(backend: Backend) {
    let (stage, ids) = furnished(backend, CONTENTS).await;
    let mut child = begin(&stage.app.database, "60");
    for _ in 0..600 {
        if settings_of(&stage.app).await["version"] == json!(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().await.expect("it is killed");
    let left = stage::count(&stage.app, "content_figures_next").await;
    assert!(left > 0, "it was killed in time");
    // What is left of the old settings is in nobody's way.
    for id in ids.iter().take(10) {
        stage.app.user("late").act("like", id).await.data();
    }
    stage.app.audit().await;
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    assert_eq!(stage::count(&stage.app, "content_figures_next").await, 0);
    let acts = stage.hotness(&ids[3]).await["history"].clone();
    let methods: Vec<_> = acts.as_array().unwrap().iter().map(|row| row["calculationMethod"].clone()).collect();
    assert_eq!(methods.iter().filter(|method| **method == json!("RECALCULATION")).count(), 1, "{methods:?}");
    stage.app.finish().await;
}

async fn two_at_once_do_no_harm(backend: Backend) {
    let (stage, _) = furnished(backend, CONTENTS).await;
    let children = [begin(&stage.app.database, "5"), begin(&stage.app.database, "5")];
    let outputs = children.map(|child| tokio::spawn(child.wait_with_output()));
    for output in outputs {
        let output = output.await.expect("it ends").expect("its output");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{errors}");
    }
    assert_eq!(settings_of(&stage.app).await["version"], json!(2));
    assert_eq!(stage::count(&stage.app, "content_figures_next").await, 0);
    stage.app.finish().await;
}

async fn a_listener_hears_of_the_other_order(backend: Backend) {
    let (stage, _) = furnished(backend, 8).await;
    let query = "subscription { hotRankingChanged(first: 8) { entries { score } } }";
    let mut listener = stage.app.anonymous().listen(query).await;
    let top = |event: &Value| event["hotRankingChanged"]["entries"][0]["score"].as_f64().unwrap();
    assert!((top(&listener.next().await) - 25.0).abs() < 1e-3, "three favorites");
    let (status, _, errors) = recalculate(&stage.app.database, &OTHER, &[]).await;
    assert_eq!(status, 0, "{errors}");
    // Nobody wrote: the change of settings alone is heard of.
    assert!((top(&listener.next().await) - 110.0).abs() < 1e-3, "two likes");
    stage.app.finish().await;
}

mod postgres_only {
    use super::*;

    /// A backup holds on to all tables for as long as it takes: the swap waits for it, and nobody waits for the swap.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_backup_delays_the_swap_and_nobody_else() {
        let (stage, ids) = furnished(Backend::Postgres, 6).await;
        let sql = "BEGIN; LOCK TABLE content_figures IN ACCESS SHARE MODE; SELECT pg_sleep(4); COMMIT";
        let (url, database) = (stage.app.database.url.clone(), &stage.app.database);
        let backup = tokio::spawn(async move { TestDatabase::sql_on(&url, sql).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let child = begin(database, "0");
        let output = tokio::spawn(child.wait_with_output());
        let (mut slowest, first) = (Duration::ZERO, std::time::Instant::now());
        for round in 0.. {
            // Well before the backup lets go: the swap comes that very moment.
            if first.elapsed() > Duration::from_secs(3) {
                break;
            }
            let began = std::time::Instant::now();
            stage.app.user("fan").act(["like", "unlike"][round % 2], &ids[0]).await.data();
            slowest = slowest.max(began.elapsed());
            assert_eq!(settings_of(&stage.app).await["version"], json!(1), "the old stays in force");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(slowest < Duration::from_secs(2), "an act waited for {slowest:?}");
        backup.await.expect("the backup ends");
        assert!(output.await.expect("it ends").expect("its output").status.success());
        assert_eq!(settings_of(&stage.app).await["version"], json!(2));
        stage.app.finish().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_servers_on_one_database_both_switch() {
        let database = TestDatabase::create(Backend::Postgres).await;
        let variables = [("TALLY_ENGAGEMENT_SETTINGS_POLL_MS", "50")];
        let servers =
            [Process::serve_with(&database, &variables).await, Process::serve_with(&database, &variables).await];
        let token = Tokens::new(SECRET, Arc::new(SystemClock)).mint("author", &[Role::User], 3600).expect("a token");
        let clients = servers.each_ref().map(|server| Client::new(&server.url, Some(token.clone())));
        let mut ids = Vec::new();
        for n in 0..10 {
            let id = clients[0].publish(&format!("content {n}")).await;
            clients[n % 2].act(if n % 2 == 0 { "like" } else { "favorite" }, &id).await.data();
            ids.push(id);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..2)
            .map(|n| {
                tokio::spawn(write(clients[n].clone(), ids.clone(), n as u64, Arc::clone(&stop), Arc::clone(&done)))
            })
            .collect();
        let slowly = [OTHER[0], OTHER[1], ("TALLY_ENGAGEMENT_RECALCULATION_PAUSE_MS", "50")];
        let (status, _, errors) = recalculate(&database, &slowly, &["--chunk", "1"]).await;
        assert_eq!(status, 0, "{errors}");
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("every act is taken");
        }
        for client in &clients {
            let settings = client.query("{ hotnessSettings { version likeWeight recalculationDue } }").await;
            // It is configured as before: to it, the old settings are due again.
            let expected = json!({ "version": 2, "likeWeight": 50.0, "recalculationDue": true });
            assert_eq!(settings.data()["hotnessSettings"], expected);
            // By rank index and by SQL, the new order.
            let query = "{ hotRanking(first: 100) { score content { id } }
                artworks(orderBy: HOTTEST, first: 100) { nodes { id } } }";
            let answer = client.query(query).await;
            let ranking: Vec<_> = answer.data()["hotRanking"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["content"]["id"].clone())
                .collect();
            let list: Vec<_> =
                answer.data()["artworks"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
            // What the other server published after the change is not in this one's ranking before its next start. Both
            // are pages of a hundred: who is beyond the end of one is of the lowest in the other.
            let of_both = |list: Vec<Value>| -> Vec<_> {
                list.into_iter().filter(|id| ids.iter().any(|known| id == known)).collect()
            };
            let (full, (ranking, list)) = (list.len() == 100, (of_both(ranking), of_both(list)));
            assert!(full || ranking.len() <= list.len(), "{ranking:?} {list:?}");
            let shared = ranking.len().min(list.len());
            assert!(shared >= 2, "no order to compare: {ranking:?} {list:?}");
            assert_eq!(ranking[..shared], list[..shared]);
            assert!(answer.data()["hotRanking"][0]["score"].as_f64().unwrap() > 55.0, "a like weighs 50");
        }
        let (status, output, errors) = stage::outcome(&database, &[], &["check"]).await;
        assert_eq!(status, 0, "{output} {errors}");
        for server in servers {
            server.kill().await;
        }
        database.remove().await;
    }
}
