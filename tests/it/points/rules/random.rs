//! A random history of acts, days and changes of the rules, against a model that knows nothing of rows and events.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use tally::app::Tally;
use tally::kernel::clock::{ManualClock, Millis};

use super::{at, balance_of, comment, delete_comment, share};
use crate::harness::{Backend, START, Seeded, TestApp, on_every_backend, rounds};

on_every_backend!(any_history_gives_the_models_points);

const PEOPLE: usize = 5;
/// What is done, by its place in a set of rules.
const WORDS: [&str; 4] = ["like", "favorite", "comment", "share"];

/// An award that stands: on which day, and how many points.
type Standing = Option<(i64, i64)>;

#[derive(Default)]
struct Model {
    /// Points of one and of a day, by act; none where there is no rule.
    rules: [Option<(i64, i64)>; 4],
    /// By author, what was done, and by what it is known: content and user, or the comment.
    acts: BTreeMap<(usize, usize, String), Standing>,
    balances: [i64; PEOPLE],
}

impl Model {
    fn begins(&mut self, author: usize, act: usize, subject: String, day: i64) {
        let standing = self.acts.iter().filter(|((a, b, _), _)| (*a, *b) == (author, act));
        let given: i64 = standing.filter_map(|(_, award)| *award).filter(|(on, _)| *on == day).map(|(_, n)| n).sum();
        let award = self.rules[act].filter(|(points, most)| given + points <= *most).map(|(points, _)| (day, points));
        self.balances[author] += award.map_or(0, |(_, points)| points);
        self.acts.insert((author, act, subject), award);
    }

    fn ends(&mut self, author: usize, act: usize, subject: String) {
        if let Some(Some((_, points))) = self.acts.insert((author, act, subject), None) {
            self.balances[author] -= points;
        }
    }
}

/// Any rules: as the setting has them, and as the model does.
fn any_rules(seeded: &mut Seeded) -> (String, [Option<(i64, i64)>; 4]) {
    let rules = [0; 4].map(|_| {
        let points = seeded.random.random_range(1..4);
        seeded.random.random_bool(0.8).then(|| (points, points * seeded.random.random_range(1..4)))
    });
    let entries = WORDS.iter().zip(rules).filter_map(|(word, rule)| {
        let (points, most) = rule?;
        Some(format!("{word}:{points}:{most}"))
    });
    (entries.collect::<Vec<_>>().join(","), rules)
}

fn name(person: usize) -> String {
    format!("person {person}")
}

/// What everybody has published, with its author, and everybody's id.
async fn published(app: &TestApp) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut contents, mut ids) = (Vec::new(), Vec::new());
    for person in 0..PEOPLE {
        ids.push(app.user(&name(person)).id().await);
        contents.push((person, app.user(&name(person)).publish("one").await));
        contents.push((person, app.user(&name(person)).publish("two").await));
    }
    (contents, ids)
}

async fn any_history_gives_the_models_points(backend: Backend) {
    let mut seeded = Seeded::new();
    let clock = Arc::new(ManualClock::new(START));
    let (rules, known) = any_rules(&mut seeded);
    let mut model = Model { rules: known, ..Model::default() };
    let mut app = TestApp::start_with::<Tally>(backend, at(&rules, "Asia/Shanghai", &clock)).await;
    let (contents, ids) = published(&app).await;
    let mut comments = Vec::new();
    let mut now = START;
    // Who likes and has what, as the acts below leave it; and who shared what.
    let mut state = std::collections::BTreeSet::new();
    for round in 0..rounds(120) {
        now = now.plus(seeded.random.random_range(1..2 * Millis::HOUR));
        clock.set(now);
        let day = now.plus(8 * Millis::HOUR).0.div_euclid(Millis::DAY);
        let (author, content) = contents[seeded.random.random_range(0..contents.len())].clone();
        let user = seeded.random.random_range(0..PEOPLE);
        let client = app.user(&name(user));
        let subject = format!("{content} {user}");
        match seeded.random.random_range(0..20) {
            0..12 => {
                let act = usize::from(seeded.random.random_bool(0.3));
                let on = !state.contains(&(subject.clone(), act));
                client.act(&format!("{}{}", if on { "" } else { "un" }, WORDS[act]), &content).await.data();
                if on {
                    state.insert((subject.clone(), act));
                } else {
                    state.remove(&(subject.clone(), act));
                }
                match on {
                    _ if author == user => {}
                    true => model.begins(author, act, subject, day),
                    false => model.ends(author, act, subject),
                }
            }
            12..15 => {
                let id = comment(&client, &content).await;
                comments.push((author, user, id.clone()));
                if author != user {
                    model.begins(author, 2, id, day);
                }
            }
            15 | 16 if !comments.is_empty() => {
                let (author, user, id) = comments.swap_remove(seeded.random.random_range(0..comments.len()));
                delete_comment(&app.user(&name(user)), &id).await;
                model.ends(author, 2, id);
            }
            17 | 18 => {
                share(&client, &content).await;
                let known = model.acts.contains_key(&(author, 3, subject.clone()));
                // Without a rule nothing is known of it.
                if author != user && !known && model.rules[3].is_some() {
                    model.begins(author, 3, subject, day);
                }
            }
            19 if round % 4 == 0 => {
                let (rules, known) = any_rules(&mut seeded);
                model.rules = known;
                let database = app.stop().await;
                app = TestApp::start_on::<Tally>(database, at(&rules, "Asia/Shanghai", &clock)).await;
            }
            _ => {}
        }
        app.settle().await;
    }
    clock.set(now.plus(Millis::HOUR));
    for (person, id) in ids.iter().enumerate() {
        assert_eq!(balance_of(&app, id).await, model.balances[person], "person {person}, seed {}", seeded.seed);
    }
    app.finish().await;
}
