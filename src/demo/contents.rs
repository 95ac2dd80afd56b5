//! Demo users and contents. Idempotent: every content has an external id.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::{Rng as _, RngExt as _};
use uuid::Uuid;

use super::Demo;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Result};
use crate::modules::engagement::content::{BehaviorKind, Detail};
use crate::modules::engagement::{Act, NewContent};

/// Commands under way at once: enough to fill batches.
const AT_ONCE: usize = 512;
/// Over how long the contents were published.
const PUBLISHED_WITHIN: i64 = 10 * Millis::DAY;
/// Early likes for each content, on average.
const EARLY_LIKES: u32 = 3;

const COLOURS: [&str; 10] = ["amber", "azure", "coral", "indigo", "jade", "lilac", "ochre", "pearl", "ruby", "teal"];
const ANIMALS: [&str; 10] = ["crane", "fox", "heron", "koi", "lynx", "otter", "owl", "panda", "raven", "tapir"];
const MOODS: [&str; 12] = [
    "Quiet", "Neon", "Misty", "Golden", "Paper", "Frozen", "Floating", "Hidden", "Electric", "Velvet", "Distant",
    "Early",
];
const PLACES: [&str; 12] = [
    "harbour",
    "night market",
    "tea hill",
    "rooftops",
    "lantern street",
    "bamboo path",
    "station",
    "reef",
    "observatory",
    "old town",
    "rice terraces",
    "greenhouse",
];
const MOODS_ZH: [&str; 12] = [
    "静谧的",
    "霓虹",
    "薄雾中的",
    "金色",
    "纸上",
    "冰封的",
    "漂浮的",
    "隐秘的",
    "电光",
    "丝绒般的",
    "远方的",
    "清晨的",
];
const PLACES_ZH: [&str; 12] =
    ["港湾", "夜市", "茶山", "屋顶", "灯笼街", "竹径", "车站", "珊瑚礁", "天文台", "古镇", "梯田", "温室"];

fn pick<'a>(words: &[&'a str], n: u32) -> &'a str {
    words[n as usize % words.len()]
}

/// The name of the n-th demo user.
pub(super) fn user_name(n: u32) -> String {
    let (colour, animal) = (pick(&COLOURS, n), pick(&ANIMALS, n / 10));
    if n <= 100 { format!("{colour} {animal}") } else { format!("{colour} {animal} {n}") }
}

fn title(n: u32) -> String {
    let (mood, place) = (n, n / 12);
    if n.is_multiple_of(3) {
        format!("{}{} · {n}", pick(&MOODS_ZH, mood), pick(&PLACES_ZH, place))
    } else {
        format!("{} {} · {n}", pick(&MOODS, mood), pick(&PLACES, place))
    }
}

fn detail(n: u32, title: &str) -> Detail {
    if n.is_multiple_of(4) {
        let duration_ms = Some(i64::from(5_000 + n % 50 * 1_000));
        return Detail::Video { item_id: Some(format!("demo-item-{n}")), duration_ms, video_url: None };
    }
    let side = |n: u32| Some(i64::from(640 + n % 8 * 128));
    Detail::Artwork {
        prompt: n.is_multiple_of(2).then(|| format!("{title}, soft light, wide angle")),
        model: (!n.is_multiple_of(5)).then(|| format!("demo-diffusion-{}", 1 + n % 3)),
        width: side(n),
        height: side(n / 8),
        image_url: None,
    }
}

/// Makes users and contents, and the first likes of new ones. Returns the ids of the contents, and of the users that
/// visitors may act as: all but the first, whose token the demo prints. What that one likes is the reader's to say.
pub(super) async fn fill(demo: &Demo) -> Result<(Vec<Uuid>, Vec<Uuid>)> {
    let now = demo.engagement.now();
    let mut people = Vec::new();
    for n in 1..=demo.scale.users {
        people.push(demo.user(n).await?.0);
    }
    let others = if people.len() > 1 { people[1..].to_vec() } else { people.clone() };
    let mut random = demo.random();
    let planned: Vec<_> = (1..=demo.scale.contents)
        .map(|n| (n, people[random.random_range(0..people.len())], random.random_range(0..PUBLISHED_WITHIN)))
        .collect();
    let published = stream::iter(planned).map(async |(n, author_id, age)| {
        let title = title(n);
        let content = NewContent {
            author_id,
            cover_url: None,
            external_id: Some(format!("demo-{n}")),
            client_key: None,
            source: None,
            base_weight: None,
            published_at: Some(now.plus(-age)),
            detail: detail(n, &title),
            title,
        };
        demo.engagement.publish(content).await
    });
    let mut contents = Vec::new();
    let mut acts = Vec::new();
    let mut published = published.buffered(AT_ONCE);
    while let Some(outcome) = published.next().await {
        // A CONFLICT: an earlier run of the demo published it.
        let outcome = match outcome {
            Err(error) if error.code() == Code::CONFLICT => continue,
            outcome => outcome?,
        };
        let info = outcome.content.info;
        contents.push(info.id);
        let early = random.random_range(0..=2 * EARLY_LIKES) * u32::from(random.next_u32().is_multiple_of(8)) * 4
            + random.random_range(0..=EARLY_LIKES);
        for _ in 0..early {
            let age = random.random_range(0..=(now.0 - info.published_at.0).max(1));
            acts.push(Act {
                content: info.id,
                content_kind: info.kind,
                user: others[random.random_range(0..others.len())],
                kind: if random.next_u32().is_multiple_of(4) { BehaviorKind::Favorite } else { BehaviorKind::Like },
                on: true,
                at: Some(now.plus(-age)),
            });
        }
    }
    let liked = stream::iter(acts).map(|act| demo.engagement.act(act)).buffer_unordered(AT_ONCE);
    liked.try_for_each(async |_| Ok(())).await?;
    tracing::info!(new = contents.len(), "demo content is there");
    Ok((others, contents))
}
