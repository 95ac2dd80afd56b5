//! How resolvers, the demo and other modules reach engagement.

use std::sync::Arc;

use tokio::sync::broadcast;
use uuid::Uuid;

use super::commands::act::{Act, ActOutcome};
use super::commands::publish::{NewContent, PublishOutcome};
use super::commands::set_status::SetStatus;
use super::content::ContentRecord;
use super::events::HotnessEvent;
use super::hotness::Hotness;
use super::loaders::Loaders;
use super::store::read;
use super::writer::{Command, EngagementWriter, Outcome};
use crate::kernel::batch::Batcher;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::{Live, Tick};
use crate::kernel::ranking::{RankIndex, Standing};

/// Rows read at once when the rank index is filled.
const FILL: usize = 5_000;

/// Contents, interactions and hotness. Cheap to clone.
#[derive(Clone)]
pub struct EngagementFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    hotness: Hotness,
    loaders: Loaders,
    batcher: Batcher<EngagementWriter>,
    ranking: Arc<RankIndex>,
    live: Arc<Live<HotnessEvent>>,
}

impl EngagementFacade {
    /// Fills the rank index, then starts the writers.
    pub(super) async fn start(kernel: &Kernel) -> Result<Self> {
        let hotness = super::settings::in_force(kernel).await?;
        let ranking = Arc::new(RankIndex::default());
        fill(kernel, &ranking).await?;
        let interval_ms = super::settings::millis(&kernel.settings, "engagement.live_interval_ms", 1.0);
        let interval = std::time::Duration::from_millis(interval_ms.unsigned_abs());
        let live = Live::start(interval, &kernel.tasks, kernel.shutdown.clone());
        let batcher = kernel.batcher(Arc::new(EngagementWriter {
            clock: Arc::clone(&kernel.clock),
            ids: Arc::clone(&kernel.ids),
            hotness,
            history_interval_ms: super::settings::millis(&kernel.settings, "engagement.history_interval_secs", 1000.0),
            ranking: Arc::clone(&ranking),
            live: Arc::clone(&live),
        }));
        let loaders = Loaders::new(kernel);
        Ok(Self(Arc::new(Inner { kernel: kernel.clone(), hotness, loaders, batcher, ranking, live })))
    }

    /// Does or takes back a like or favorite; durable when it returns. The user must exist.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT` for a like of an unpublished content, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn act(&self, act: Act) -> Result<ActOutcome> {
        acted(self.0.batcher.submit(Command::Act(act)).await?)
    }

    /// Publishes a content; durable when it returns. The author must exist.
    ///
    /// # Errors
    /// `INVALID_INPUT`, `CONFLICT` for a taken external id, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn publish(&self, content: NewContent) -> Result<PublishOutcome> {
        let publish = content.check(self.0.kernel.ids.next())?;
        match self.0.batcher.submit(Command::Publish(Box::new(publish))).await? {
            Outcome::Published(outcome) => Ok(outcome),
            _ => Err(Error::internal("another outcome for a publication")),
        }
    }

    /// Shows or hides a content; durable when it returns.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn set_status(&self, set: SetStatus) -> Result<ActOutcome> {
        acted(self.0.batcher.submit(Command::SetStatus(set)).await?)
    }

    /// Ends the level of a content whose time has come; whether anything changed. The job `engagement.cooling` calls it.
    ///
    /// # Errors
    /// `OVERLOADED`, `UNAVAILABLE`.
    pub async fn cool(&self, content: Uuid) -> Result<bool> {
        changed(self.0.batcher.submit(Command::Cool(content)).await?)
    }

    /// A content, read together with others that are asked for at the same time.
    ///
    /// # Errors
    /// The database's own.
    pub async fn content(&self, id: Uuid) -> Result<Option<ContentRecord>> {
        self.0.loaders.contents.one(id).await
    }

    /// The best `size` of a board (`None`: of all kinds), of those published since `since`, with their contents: one
    /// consistent list.
    ///
    /// # Errors
    /// The database's own.
    pub async fn ranking(&self, board: Option<u8>, since: Option<Millis>, size: usize) -> Result<Vec<ContentRecord>> {
        let top = self.0.ranking.top(board, since, size);
        let found = futures_util::future::try_join_all(top.iter().map(|standing| self.content(standing.id))).await?;
        let mut listed: Vec<_> = found.into_iter().flatten().filter(|record| record.standing().listed).collect();
        // One statement read them all; what was committed since the look into the index may have changed their order.
        listed.sort_by_key(|record| std::cmp::Reverse((record.figures.heat, record.info.id)));
        Ok(listed)
    }

    /// The ids and versions of the best: cheap, to see whether a ranking changed.
    #[must_use]
    pub fn standings(&self, board: Option<u8>, size: usize) -> Vec<Standing> {
        self.0.ranking.top(board, None, size)
    }

    /// A content's rank among all that are published, from 1.
    #[must_use]
    pub fn rank(&self, id: Uuid) -> Option<usize> {
        self.0.ranking.rank(None, id)
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Tick<HotnessEvent>> {
        self.0.live.listen()
    }

    /// Weights, half-life and thresholds that are in force.
    #[must_use]
    pub fn hotness(&self) -> &Hotness {
        &self.0.hotness
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.0.kernel.clock.now()
    }

    /// How many batches were committed since the start.
    #[must_use]
    pub fn batch_count(&self) -> u64 {
        self.0.batcher.batch_count()
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    pub(super) fn loaders(&self) -> &Loaders {
        &self.0.loaders
    }

    pub(super) fn rank_index(&self) -> &Arc<RankIndex> {
        &self.0.ranking
    }
}

fn changed(outcome: Outcome) -> Result<bool> {
    match outcome {
        Outcome::Changed(changed) => Ok(changed),
        _ => Err(Error::internal("another outcome for a job's command")),
    }
}

fn acted(outcome: Outcome) -> Result<ActOutcome> {
    match outcome {
        Outcome::Acted(outcome) => Ok(outcome),
        _ => Err(Error::internal("another outcome for an act")),
    }
}

async fn fill(kernel: &Kernel, ranking: &RankIndex) -> Result<()> {
    let mut after = (i16::MIN, Uuid::nil());
    loop {
        let chunk = read::standing_chunk(&kernel.db, after, FILL).await?;
        let Some(last) = chunk.last() else {
            return Ok(());
        };
        after = super::content::key(last.id);
        ranking.apply(chunk);
    }
}
