//! Thirty days of a platform on a clock of its own: users act, the timer cools, views are rolled up, servers come and
//! go; in the end every number is the model's. `make test` runs a part of the acts, `make soak` all of them.

mod model;
mod world;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use tally::kernel::clock::Millis;

use self::model::{Content, LIKE};
use self::world::World;
use crate::harness::{Backend, START, Seeded, on_every_backend, rounds};

on_every_backend!(thirty_days_end_as_the_model_says);

const USERS: usize = 500;
/// The first of them publish.
const AUTHORS: usize = 12;
const CONTENTS: usize = 40;
const SPAN: i64 = 30 * Millis::DAY;
/// Acts of one document: all at one moment, one after the other.
const TOGETHER: usize = 25;
/// Documents of `make test`; twenty times as many are 100,000 acts.
const DOCUMENTS: u32 = 200;

/// One thing that a user does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Like or favorite (`kind`), done or taken back.
    Act {
        content: usize,
        user: usize,
        kind: usize,
        on: bool,
    },
    Comment {
        content: usize,
        user: usize,
    },
    /// Of the comment with this number on the content.
    DeleteComment {
        content: usize,
        comment: usize,
    },
    Share {
        content: usize,
        user: usize,
    },
}

async fn thirty_days_end_as_the_model_says(backend: Backend) {
    let mut seeded = Seeded::new();
    let mut world = World::new(backend, USERS).await;
    let mut contents: Vec<Content> = Vec::new();
    for _ in 0..CONTENTS {
        let author = seeded.random.random_range(0..AUTHORS);
        contents.push(world.publish(author).await);
    }
    let documents = rounds(DOCUMENTS);
    let mut now = START.0;
    for document in 0..documents {
        // To an odd millisecond: no two moments of the model are to fall together.
        now += seeded.random.random_range(1..=2 * SPAN / i64::from(documents));
        world.clock.set(Millis(now));
        let deeds = deeds(&mut seeded, &mut contents);
        let made = world.perform(&deeds, &contents).await;
        for (deed, made) in deeds.iter().zip(made) {
            world.model(&mut contents, deed, &made, now);
        }
        if seeded.random.random_bool(0.5) {
            let viewer = seeded.random.random_range(0..USERS);
            let seen: Vec<usize> = (0..contents.len()).filter(|_| seeded.random.random_bool(0.2)).collect();
            world.view(&mut contents, viewer, &seen, now).await;
        }
        if seeded.random.random_bool(0.03) {
            let at = seeded.random.random_range(0..contents.len());
            world.turn(&mut contents[at], now).await;
        }
        if seeded.random.random_bool(0.03) {
            let author = seeded.random.random_range(0..AUTHORS);
            contents.push(world.publish(author).await);
        }
        // The timer, the relay and the roll-ups are late by anything from nothing to days.
        if seeded.random.random_bool(0.1) {
            world.app.settle().await;
            if seeded.random.random_bool(0.3) {
                let author = seeded.random.random_range(0..AUTHORS);
                world.read_all(&mut contents, author).await;
            }
        }
        if seeded.random.random_bool(0.02) {
            world = world.restart().await;
        }
        if document % 50 == 0 {
            world.compare(&mut contents, now, false).await;
        }
    }
    now = (START.0 + SPAN).max(now + 1);
    world.clock.set(Millis(now));
    world.app.settle().await;
    world.compare(&mut contents, now, true).await;
    world.app.finish().await;
}

/// What happens at one moment, on contents that are shown. Some contents are liked far more often than others, and some
/// users do one thing over and over.
fn deeds(seeded: &mut Seeded, contents: &mut [Content]) -> Vec<Deed> {
    let random = &mut seeded.random;
    let shown: Vec<usize> = (0..contents.len()).filter(|at| contents[*at].listed).collect();
    let mut deeds = Vec::new();
    for _ in 0..TOGETHER {
        let skewed = random.random_range(0.0..1.0_f64).powi(3);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
        let Some(content) = shown.get((skewed * shown.len() as f64) as usize).copied() else { continue };
        let user = if random.random_bool(0.3) { random.random_range(0..20) } else { random.random_range(0..USERS) };
        let kind = usize::from(random.random_bool(0.3));
        deeds.push(match random.random_range(0..100) {
            0..55 => Deed::Act { content, user, kind, on: true },
            55..70 => Deed::Act { content, user, kind, on: false },
            70..85 => Deed::Comment { content, user },
            85..90 => match contents[content].comments.choose(random) {
                Some(comment) => Deed::DeleteComment { content, comment: comment.number },
                None => Deed::Act { content, user, kind: LIKE, on: true },
            },
            _ => Deed::Share { content, user },
        });
    }
    deeds
}
