//! Simulated visitors: they look at what is hot, now and then at something else, and view, like, comment on and share what
//! they see.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use uuid::Uuid;

use super::{Demo, Ids};
use crate::kernel::error::{Code, Result};
use crate::modules::engagement::content::{BehaviorKind, ContentRecord};
use crate::modules::engagement::interactions::Channel;
use crate::modules::engagement::{Act, NewComment, NewShare};

/// How far down the ranking visitors look.
const LOOKS_AT: usize = 40;
/// How long a visitor looks, in milliseconds.
const LOOKS_FOR: std::ops::Range<u64> = 200..2_500;

const WORDS: [&str; 10] = [
    "Love the light in this one",
    "What was the prompt?",
    "好美的光影",
    "More of these, please",
    "这个构图太妙了",
    "Saved it for my mood board",
    "求教程",
    "The colours!",
    "像在梦里一样",
    "Came back to look again",
];

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
        let user = people[random.random_range(0..people.len())];
        match act(demo, &content, user, &mut random).await {
            Ok(()) => {}
            // Hidden while the visitor looked, or a busy server: visitors shrug.
            Err(error) if [Code::CONFLICT, Code::OVERLOADED, Code::UNAVAILABLE].contains(&error.code()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Views the content, and mostly does something more.
async fn act(demo: &Demo, content: &ContentRecord, user: Uuid, random: &mut StdRng) -> Result<()> {
    let (engagement, id, content_kind) = (&demo.engagement, content.info.id, content.info.kind);
    engagement.record_views(&[(id, content_kind)], engagement.viewer_of_user(user)).await?;
    let (kind, on) = match random.next_u32() % 16 {
        0..=7 => (BehaviorKind::Like, true),
        8 | 9 => (BehaviorKind::Favorite, true),
        10 => (BehaviorKind::Like, false),
        11 | 12 => {
            let body = WORDS[random.random_range(0..WORDS.len())].to_owned();
            let comment = NewComment { content: id, content_kind, user, body, client_key: None };
            return engagement.comment(comment).await.map(drop);
        }
        13 => {
            let channel = Channel::ALL[random.random_range(0..Channel::ALL.len())];
            let share = NewShare { content: id, content_kind, user, channel, client_key: None };
            return engagement.share(share).await.map(drop);
        }
        _ => return Ok(()),
    };
    engagement.act(Act { content: id, content_kind, user, kind, on, at: None }).await.map(drop)
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
