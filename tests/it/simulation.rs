//! Thirty days of a platform on a clock of its own: users act, do it again and leave, the timer cools, views are rolled
//! up, servers come and go; in the end every number is the model's. `make test` runs a part of the acts, `make soak` all of them.

mod model;
mod world;

use std::ops::Range;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tally::kernel::clock::Millis;

use self::model::{Content, LIKE};
use self::world::{ADDRESSES, Viewer, World};
use crate::harness::{Backend, START, Seeded, on_every_backend, rounds};

on_every_backend!(thirty_days_end_as_the_model_says);

const USERS: usize = 500;
/// The first of them publish.
const AUTHORS: usize = 12;
/// The first of them, authors and others, do most.
const BUSY: usize = 20;
const CONTENTS: usize = 40;
const SPAN: i64 = 30 * Millis::DAY;
/// Acts of one document: all at one moment, one after the other.
const TOGETHER: usize = 25;
/// Documents of `make test`; twenty times as many are 100,000 acts.
const DOCUMENTS: u32 = 200;

/// At the end somebody publishes before each of these: outside of a window by a millisecond, and just inside.
const PAUSES: [i64; 4] = [18 * Millis::HOUR, 5 * Millis::HOUR, 1, Millis::HOUR];

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
        key: Option<u64>,
    },
    /// Of the comment with this number on the content.
    DeleteComment {
        content: usize,
        comment: usize,
    },
    Share {
        content: usize,
        user: usize,
        key: Option<u64>,
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
        let deeds = deeds(&mut seeded.random, &world, &contents);
        let made = world.perform(&deeds, &contents).await;
        for (deed, made) in deeds.iter().zip(made) {
            world.model(&mut contents, deed, &made, now);
        }
        for share in [0.5, 0.2] {
            if seeded.random.random_bool(share) {
                let viewer = match seeded.random.random_bool(0.5) {
                    true => Viewer::User(somebody(&mut seeded.random, &world, 0..USERS)),
                    false => Viewer::Address(seeded.random.random_range(0..ADDRESSES.len())),
                };
                let seen: Vec<usize> = (0..contents.len()).filter(|_| seeded.random.random_bool(0.2)).collect();
                world.view(&mut contents, viewer, &seen, now).await;
            }
        }
        if seeded.random.random_bool(0.03) {
            let at = seeded.random.random_range(0..contents.len());
            world.turn(&mut contents[at], now).await;
        }
        if seeded.random.random_bool(0.03) {
            let author = somebody(&mut seeded.random, &world, 0..AUTHORS);
            contents.push(world.publish(author).await);
        }
        if contents.len() > CONTENTS / 2 && seeded.random.random_bool(0.02) {
            let at = seeded.random.random_range(0..contents.len());
            world.delete_content(&mut contents, at).await;
        }
        if let Some(user) = who_leaves(&mut seeded.random, &world, documents) {
            world.delete_user(&mut contents, user).await;
        }
        // The timer, the relay, the roll-ups and what finishes deletions are late by anything from nothing to days.
        if seeded.random.random_bool(0.1) {
            world.settle(&mut contents, now).await;
            if seeded.random.random_bool(0.3) {
                let author = somebody(&mut seeded.random, &world, 0..AUTHORS);
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
    now = (START.0 + SPAN - PAUSES.iter().sum::<i64>()).max(now + 1);
    for pause in PAUSES {
        world.clock.set(Millis(now));
        let author = somebody(&mut seeded.random, &world, 0..AUTHORS);
        contents.push(world.publish(author).await);
        now += pause;
    }
    world.clock.set(Millis(now));
    world.settle(&mut contents, now).await;
    world.compare(&mut contents, now, true).await;
    world.app.finish().await;
}

/// One of these users who is still there.
fn somebody(random: &mut StdRng, world: &World, among: Range<usize>) -> usize {
    let there: Vec<usize> = among.filter(|user| !world.gone.contains(user)).collect();
    *there.choose(random).expect("some stay")
}

/// Rarely somebody: a few of those who do most, however long it goes on, and some of the others.
fn who_leaves(random: &mut StdRng, world: &World, documents: u32) -> Option<usize> {
    let busy = random.random_bool(5.0 / f64::from(documents));
    if busy && world.gone.range(..BUSY).count() < AUTHORS / 2 {
        return Some(somebody(random, world, 0..BUSY));
    }
    random.random_bool(0.02).then(|| somebody(random, world, BUSY..USERS))
}

/// What happens at one moment, on contents that are shown. Some contents are liked far more often than others, and some
/// users do one thing over and over.
fn deeds(random: &mut StdRng, world: &World, contents: &[Content]) -> Vec<Deed> {
    let shown: Vec<usize> = (0..contents.len()).filter(|at| contents[*at].listed).collect();
    let mut deeds = Vec::new();
    for _ in 0..TOGETHER {
        let skewed = random.random_range(0.0..1.0_f64).powi(3);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
        let Some(content) = shown.get((skewed * shown.len() as f64) as usize).copied() else { continue };
        let among = if random.random_bool(0.3) { 0..BUSY } else { 0..USERS };
        let user = somebody(random, world, among);
        let kind = usize::from(random.random_bool(0.3));
        let key = random.random_bool(0.5).then(|| random.random());
        deeds.push(match random.random_range(0..100) {
            0..50 => Deed::Act { content, user, kind, on: true },
            50..65 => Deed::Act { content, user, kind, on: false },
            65..80 => Deed::Comment { content, user, key },
            80..85 => match contents[content].comments.len() {
                0 => Deed::Act { content, user, kind: LIKE, on: true },
                comments => Deed::DeleteComment { content, comment: random.random_range(0..comments) },
            },
            85..95 => Deed::Share { content, user, key },
            _ => match again(random, world, contents) {
                Some(again) => again,
                None => Deed::Share { content, user, key },
            },
        });
        // At once, before anybody heard the first answer.
        if let Some(last @ (Deed::Comment { key: Some(_), .. } | Deed::Share { key: Some(_), .. })) = deeds.last()
            && random.random_bool(0.1)
        {
            deeds.push(last.clone());
        }
    }
    deeds
}

/// A comment or share once more, by its key: of any content, also a hidden one, and also a comment that was deleted.
fn again(random: &mut StdRng, world: &World, contents: &[Content]) -> Option<Deed> {
    let content = random.random_range(0..contents.len());
    let comments = contents[content].comments.iter().map(|first| (true, first.user, first.key));
    let shares = contents[content].shares.iter().map(|first| (false, first.user, first.key));
    let firsts = comments.chain(shares).filter(|(_, user, key)| key.is_some() && !world.gone.contains(user));
    let (comment, user, key) = *firsts.collect::<Vec<_>>().choose(random)?;
    Some(if comment { Deed::Comment { content, user, key } } else { Deed::Share { content, user, key } })
}
