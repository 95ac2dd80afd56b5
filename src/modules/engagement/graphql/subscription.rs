//! Root subscriptions: served by the node that committed, conflated, bounded.

use std::collections::HashSet;

use async_graphql::{Context, SimpleObject, Subscription};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::ids::ContentId;
use super::query::entries;
use super::types::{Content, RankingEntry};
use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::page::checked_size;
use crate::kernel::ranking::Standing;
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{Kind, Status};
use crate::modules::engagement::events::{Cause, HotnessEvent};
use crate::modules::engagement::hotness::Level;

/// Most ids that one listener watches.
const WATCHED_MOST: usize = 1_000;

/// A content's hotness changed.
#[derive(SimpleObject)]
pub struct HotnessChange {
    /// The content after the change.
    content: Content,
    /// The score after it.
    score: f64,
    /// The level after it.
    level: Level,
    /// The score without it, at the same moment.
    previous_score: f64,
    /// The level without it, at the same moment.
    previous_level: Level,
    /// Why; of several changes within an interval, the last one's.
    cause: Cause,
}

/// A ranking as it is now.
#[derive(SimpleObject)]
pub struct RankingUpdate {
    /// Of this kind; null: of all.
    kind: Option<Kind>,
    /// Best first.
    entries: Vec<RankingEntry>,
    /// When this state was read.
    changed_at: Millis,
}

/// What one listener of `hotnessChanged` hears of.
struct Watch {
    ids: Option<HashSet<uuid::Uuid>>,
    kind: Option<Kind>,
    least: Option<Level>,
}

impl Watch {
    fn hears(&self, event: &HotnessEvent, level: Level) -> bool {
        let info = &event.content.info;
        let counted = |level: Level| {
            if level == Level::New { Level::Cold } else { level }
        };
        // What is hidden is found by its id only: listeners of all do not hear of it.
        self.ids.as_ref().map_or(info.status == Status::Published, |ids| ids.contains(&info.id))
            && self.kind.is_none_or(|kind| kind == info.kind)
            && self.least.is_none_or(|least| counted(level) >= counted(least))
    }
}

fn behind() -> Error {
    Error::new(Code::OVERLOADED, "this listener fell behind; subscribe again")
}

/// Root subscriptions.
#[derive(Default)]
pub struct EngagementSubscription;

#[Subscription]
impl EngagementSubscription {
    /// Hears when hotness changes; of several changes of a content within an interval, the newest state. Ends with
    /// `OVERLOADED` for a listener that falls 64 intervals behind: subscribe again.
    async fn hotness_changed<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(desc = "Only of these, 1 to 1,000; of all when left out.")] content_ids: Option<Vec<ContentId>>,
        #[graphql(desc = "Only of this kind.")] kind: Option<Kind>,
        #[graphql(desc = "Only of those at this level or above, after the change.")] min_level: Option<Level>,
    ) -> Result<impl Stream<Item = Result<HotnessChange>> + use<'a>> {
        if content_ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > WATCHED_MOST) {
            return Err(Error::invalid(format!("give 1 to {WATCHED_MOST} contentIds, or leave them out")));
        }
        let ids = content_ids.map(|ids| ids.into_iter().map(|id| id.uuid).collect());
        let watch = Watch { ids, kind, least: min_level };
        let engagement = ctx.facade::<EngagementFacade>()?.clone();
        let changes = stream::unfold(Some(engagement.listen()), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Ok(tick) => Some((Ok(tick), Some(receiver))),
                Err(RecvError::Lagged(_)) => Some((Err(behind()), None)),
                Err(RecvError::Closed) => None,
            }
        });
        Ok(changes.flat_map(move |tick| {
            let heard: Vec<_> = match tick {
                Ok(tick) => tick.iter().filter_map(|event| change(&engagement, &watch, event)).map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(heard)
        }))
    }

    /// The hot ranking: the present state at once, then again whenever its order or one of its contents changes.
    async fn hot_ranking_changed<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(desc = "Of this kind; of all when left out.")] kind: Option<Kind>,
        #[graphql(desc = "How many, 0 to 100.", default = 20)] first: i32,
    ) -> Result<impl Stream<Item = Result<RankingUpdate>> + use<'a>> {
        let size = checked_size("first", first)?;
        let engagement = ctx.facade::<EngagementFacade>()?.clone();
        // Listen first, look then: what is committed in between is heard of.
        let state = (engagement.listen(), None::<Vec<Standing>>, engagement);
        Ok(stream::unfold(state, move |(mut receiver, mut seen, engagement)| async move {
            loop {
                if seen.is_some() {
                    match receiver.recv().await {
                        // To have fallen behind does no harm: the state is read anew.
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
                let standings = engagement.standings(kind.map(Kind::number), size);
                if seen.as_ref() != Some(&standings) {
                    let update = update(&engagement, kind, size).await;
                    // After a read that failed, the next change is another occasion.
                    seen = Some(if update.is_ok() { standings } else { Vec::new() });
                    return Some((update, (receiver, seen, engagement)));
                }
            }
        }))
    }
}

fn change(engagement: &EngagementFacade, watch: &Watch, event: &HotnessEvent) -> Option<HotnessChange> {
    let (figures, published_at) = (event.content.figures, event.content.info.published_at);
    let at = figures.last_hot_update;
    // The writer of this process made them: it knows the version.
    let hotness = engagement.known(figures.heat_version);
    let level = hotness.level(figures.heat, published_at, at);
    watch.hears(event, level).then(|| HotnessChange {
        content: event.content.clone().into(),
        score: hotness.heat.score(figures.heat, at),
        level,
        previous_score: event.previous_score,
        previous_level: event.previous_level,
        cause: event.cause,
    })
}

async fn update(engagement: &EngagementFacade, kind: Option<Kind>, size: usize) -> Result<RankingUpdate> {
    let ranking = engagement.ranking(kind.map(Kind::number), None, size).await?;
    Ok(RankingUpdate { kind, entries: entries(engagement, ranking).await?, changed_at: engagement.now() })
}
