//! Root subscriptions: served by the node that committed, conflated, bounded.

use std::future::ready;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_graphql::{Context, SimpleObject, Subscription};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::ids::ContentId;
use super::query::entries;
use super::types::{Content, RankingEntry};
use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::graphql::shared;
use crate::kernel::live::{Change, Tick, changes};
use crate::kernel::page::checked_size;
use crate::kernel::ranking::Standing;
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{Kind, Status};
use crate::modules::engagement::events::{Cause, HotnessEvent};
use crate::modules::engagement::hotness::Level;
use crate::modules::engagement::window::TimeWindow;

/// Most ids that one listener watches.
const WATCHED_MOST: usize = 1_000;
/// How long a ranking by window stays unlooked at, in case the clock was set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// What numbers the states of rankings: keyed by this process.
static NUMBERS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

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
    /// The level without it, at the same moment; when it cooled, the one announced before.
    previous_level: Level,
    /// Why; of several changes within an interval, the last one's.
    cause: Cause,
}

/// A ranking as it is now.
#[derive(SimpleObject)]
pub struct RankingUpdate {
    /// Of this kind; null: of all.
    kind: Option<Kind>,
    /// Of those published so recently.
    published_within: TimeWindow,
    /// Best first.
    entries: Vec<RankingEntry>,
    /// When this state was read.
    changed_at: Millis,
}

/// What one listener of `hotnessChanged` hears of.
struct Watch {
    /// Whether its contents were given.
    is_named: bool,
    kind: Option<Kind>,
    least: Option<Level>,
}

impl Watch {
    fn hears(&self, event: &HotnessEvent, level: Level) -> bool {
        let info = &event.content.info;
        let counted = |level: Level| {
            if level == Level::New { Level::Cold } else { level }
        };
        // Of what is deleted nobody hears; rankings do.
        if info.deleted {
            return false;
        }
        // What is hidden is found by its id only: listeners of all do not hear of it.
        (self.is_named || info.status == Status::Published)
            && self.kind.is_none_or(|kind| kind == info.kind)
            && self.least.is_none_or(|least| counted(level) >= counted(least))
    }
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
        let engagement = ctx.facade::<EngagementFacade>()?.clone();
        let watch = Watch { is_named: content_ids.is_some(), kind, least: min_level };
        let changes = match content_ids {
            Some(ids) => engagement.listen_to(ids.into_iter().map(|id| id.uuid).collect()).left_stream(),
            None => changes(engagement.listen()).right_stream(),
        };
        let make = move |event: Change<HotnessEvent>| ready(change(&engagement, &watch, &event).map(Ok));
        Ok(shared(ctx, changes, make))
    }

    /// The hot ranking: the present state at once, then again whenever its order or one of its contents changes, also when
    /// a content leaves the window only because time passes.
    async fn hot_ranking_changed<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(desc = "Of this kind; of all when left out.")] kind: Option<Kind>,
        #[graphql(desc = "Only those published so recently.", default_with = "TimeWindow::All")]
        published_within: TimeWindow,
        #[graphql(desc = "How many, 0 to 100.", default = 20)] first: i32,
    ) -> Result<impl Stream<Item = Result<RankingUpdate>> + use<'a>> {
        let engagement = ctx.facade::<EngagementFacade>()?.clone();
        let size = checked_size("first", first)?;
        // Listen first, look then: what is committed in between is heard of.
        let receiver = engagement.listen();
        let shown =
            Arc::new(Shown { engagement, kind, window: published_within, size, unread: AtomicBool::new(false) });
        let ranked = Ranked { shown: Arc::clone(&shown), receiver, seen: None };
        let states = stream::unfold(ranked, async |mut ranked| Some((Ok((ranked.next().await?, ())), ranked)));
        Ok(shared(ctx, states, move |()| Arc::clone(&shown).read()))
    }
}

/// What one listener of `hotRankingChanged` is shown.
struct Shown {
    engagement: EngagementFacade,
    kind: Option<Kind>,
    window: TimeWindow,
    size: usize,
    /// Whether the last state could not be read.
    unread: AtomicBool,
}

/// One listener of `hotRankingChanged`.
struct Ranked {
    shown: Arc<Shown>,
    receiver: Receiver<Tick<HotnessEvent>>,
    /// What it was told last.
    seen: Option<Vec<Standing>>,
}

impl Ranked {
    /// Waits for another state than the last one, and gives its number; none when the server stops.
    async fn next(&mut self) -> Option<u64> {
        loop {
            if let Some(seen) = &self.seen {
                let pause = self.shown.pause(seen);
                tokio::select! {
                    heard = self.receiver.recv() => match heard {
                        // To have fallen behind does no harm: the state is read anew.
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    },
                    () = passed(pause) => {}
                }
            }
            let Shown { engagement, kind, window, size, unread } = &*self.shown;
            let standings = engagement.standings_within(*kind, *window, *size);
            // After a read that failed, the next change is another occasion.
            if unread.swap(false, Ordering::Relaxed) || self.seen.as_ref() != Some(&standings) {
                // Versions are part of it: what has this number is the same in all that the ranking is made of.
                let number = NUMBERS.hash_one(&standings);
                self.seen = Some(standings);
                return Some(number);
            }
        }
    }
}

impl Shown {
    /// How long nothing can change by the passing of time alone: until the first content that is shown leaves. Never so
    /// short that a clock that stands still makes it spin, nor so long that one that is set goes unnoticed.
    fn pause(&self, seen: &[Standing]) -> Option<Duration> {
        self.window.number()?;
        let leaves_ms = self.engagement.leaves_in(self.window, seen).unwrap_or(i64::MAX);
        let leaves = Duration::from_millis(u64::try_from(leaves_ms).unwrap_or(0));
        Some(leaves.clamp(self.engagement.live_interval().min(LOOK_AGAIN), LOOK_AGAIN))
    }

    async fn read(self: Arc<Self>) -> Option<Result<RankingUpdate>> {
        let update = async {
            let ranking = self.engagement.ranking(self.kind, self.window, self.size).await?;
            Ok(RankingUpdate {
                kind: self.kind,
                published_within: self.window,
                entries: entries(&self.engagement, ranking).await?,
                changed_at: self.engagement.now(),
            })
        };
        let update = update.await;
        self.unread.store(update.is_err(), Ordering::Relaxed);
        Some(update)
    }
}

async fn passed(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn change(engagement: &EngagementFacade, watch: &Watch, event: &HotnessEvent) -> Option<HotnessChange> {
    let (figures, published_at) = (event.content.figures, event.content.info.published_at);
    let at = figures.settled_at();
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
