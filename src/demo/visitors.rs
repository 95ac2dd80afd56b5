//! Simulated visitors: they look at what is hot, now and then at something else, and like what they see.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

use super::{Demo, Ids};
use crate::kernel::error::{Code, Result};
use crate::modules::engagement::Act;
use crate::modules::engagement::content::{BehaviorKind, ContentRecord};

/// How far down the ranking visitors look.
const LOOKS_AT: usize = 40;
/// How long a visitor looks, in milliseconds.
const LOOKS_FOR: std::ops::Range<u64> = 200..2_500;

/// Sends the visitors and waits for them: they leave when the server stops.
pub(super) async fn walk(demo: &Demo, people: &Ids, contents: &Ids) -> Result<()> {
    let visitors = (0..demo.scale.visitors).map(|_| visit(demo, people, contents, demo.random()));
    futures_util::future::try_join_all(visitors).await?;
    Ok(())
}

async fn visit(demo: &Demo, people: &Ids, contents: &Ids, mut random: StdRng) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(LOOKS_FOR))).await;
        let content = match look(demo, contents, &mut random).await {
            Ok(Some(content)) => content,
            Err(error) if error.code() != Code::UNAVAILABLE => return Err(error),
            _ => continue,
        };
        let (kind, on) = match random.next_u32() % 10 {
            0..=6 => (BehaviorKind::Like, true),
            7 | 8 => (BehaviorKind::Favorite, true),
            _ => (BehaviorKind::Like, false),
        };
        let user = people[random.random_range(0..people.len())];
        let act = Act { content: content.info.id, content_kind: content.info.kind, user, kind, on, at: None };
        match demo.engagement.act(act).await {
            Ok(_) => {}
            // Hidden while the visitor looked, or a busy server: visitors shrug.
            Err(error) if [Code::CONFLICT, Code::OVERLOADED, Code::UNAVAILABLE].contains(&error.code()) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn look(demo: &Demo, contents: &Ids, random: &mut StdRng) -> Result<Option<ContentRecord>> {
    if random.next_u32().is_multiple_of(4) && !contents.is_empty() {
        return demo.engagement.content(contents[random.random_range(0..contents.len())]).await;
    }
    let top = demo.engagement.standings(None, LOOKS_AT);
    if top.is_empty() {
        return Ok(None);
    }
    demo.engagement.content(top[random.random_range(0..top.len())].id).await
}
