//! How resolvers, the demo and other modules reach engagement.

mod ranking;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::commands::act::{Act, ActOutcome};
use super::commands::comment::{CommentOutcome, DeleteComment, NewComment};
use super::commands::delete_content::DeleteContent;
use super::commands::forget::Forget;
use super::commands::publish::{NewContent, PublishOutcome};
use super::commands::recalculate::Recalculate;
use super::commands::set_status::SetStatus;
use super::commands::share::{NewShare, ShareOutcome};
use super::commands::view;
use super::content::{ContentRecord, Kind};
use super::deleting;
use super::events::HotnessEvent;
use super::hotness::Hotness;
use super::interactions::CommentRecord;
use super::limits::Limits;
use super::loaders::Loaders;
use super::metrics::LimitMetrics;
use super::ranks::Ranks;
use super::settings::{self, Versions};
use super::store::in_force::{self, InForce, Lock, Progress};
use super::viewers::{Viewer, Viewers};
use super::writer::{Command, EngagementWriter, Outcome};
use crate::kernel::batch::Batcher;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::{Listener, Live, Tick};
use crate::modules::users::UsersFacade;

/// Contents that one call recalculates at the same time: each is read with all its facts.
const RECALCULATED_AT_ONCE: usize = 20;

/// Contents, interactions and hotness. Cheap to clone.
#[derive(Clone)]
pub struct EngagementFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    versions: Arc<Versions>,
    tombstone_ms: i64,
    loaders: Loaders,
    batcher: Batcher<EngagementWriter>,
    ranks: Arc<Ranks>,
    live: Arc<Live<HotnessEvent>>,
    live_interval: Duration,
    limits: Limits,
    viewers: Viewers,
}

impl EngagementFacade {
    /// Fills the rank index, then starts the writers.
    pub(super) async fn start(kernel: &Kernel, metrics: LimitMetrics) -> Result<Self> {
        let standing = settings::register(kernel).await?;
        if let Some(pending) = standing.pending {
            tracing::warn!(
                wanted = ?pending,
                in_force = ?standing.in_force,
                "weights, half-life or thresholds were changed: the old ones stay in force until `tally recalculate` has run"
            );
        }
        let versions = Arc::new(Versions::default());
        let ranks = Ranks::new(kernel, &versions, standing.in_force);
        ranks.refresh().await?;
        let interval_ms = settings::millis(&kernel.settings, "engagement.live_interval_ms", 1.0);
        let live_interval = Duration::from_millis(interval_ms.unsigned_abs());
        let live = Live::start(live_interval, &kernel.tasks, kernel.shutdown.clone());
        let writer = EngagementWriter::new(kernel, &versions, &ranks, &live);
        let tombstone_ms = writer.tombstone_ms;
        let batcher = kernel.batcher(Arc::new(writer));
        let poll_ms = settings::millis(&kernel.settings, "engagement.settings_poll_ms", 1.0);
        let (following, listeners) = (Arc::clone(&ranks), Arc::clone(&live));
        // Other settings are another order: who listens to a ranking looks again.
        kernel.tasks.spawn(following.follow(Duration::from_millis(poll_ms.unsigned_abs()), move || listeners.nudge()));
        let loaders = Loaders::new(kernel);
        let viewers = Viewers::open(kernel).await?;
        let limits = Limits::start(kernel, viewers.clone(), metrics);
        Ok(Self(Arc::new(Inner {
            kernel: kernel.clone(),
            versions,
            tombstone_ms,
            loaders,
            batcher,
            ranks,
            live,
            live_interval,
            limits,
            viewers,
        })))
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
            _ => Err(Error::internal("another command's outcome for a publication")),
        }
    }

    /// Shows or hides a content; durable when it returns.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn set_status(&self, set: SetStatus) -> Result<ActOutcome> {
        acted(self.0.batcher.submit(Command::SetStatus(set)).await?)
    }

    /// Comments on a content; durable when it returns. The user must exist.
    ///
    /// # Errors
    /// `INVALID_INPUT`, `NOT_FOUND`, `CONFLICT` for an unpublished content and for a client key that made another
    /// comment, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn comment(&self, comment: NewComment) -> Result<CommentOutcome> {
        let comment = comment.check(self.0.kernel.ids.next())?;
        commented(self.0.batcher.submit(Command::Comment(Box::new(comment))).await?)
    }

    /// Deletes a comment, which leaves a tombstone; durable when it returns.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn delete_comment(&self, comment: Uuid, actor: Uuid, privileged: bool) -> Result<CommentOutcome> {
        // Which content it is on never changes: it may be read before the batch.
        let found = self.0.loaders.comments.one(comment).await?;
        let content = found.ok_or_else(|| Error::not_found("no such comment"))?.content_id;
        let delete = DeleteComment { comment, content, actor, privileged };
        commented(self.0.batcher.submit(Command::DeleteComment(delete)).await?)
    }

    /// Shares a content; durable when it returns. The user must exist.
    ///
    /// # Errors
    /// `INVALID_INPUT`, `NOT_FOUND`, `CONFLICT` for an unpublished content and for a client key that made another
    /// share, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn share(&self, share: NewShare) -> Result<ShareOutcome> {
        let share = share.check(self.0.kernel.ids.next())?;
        match self.0.batcher.submit(Command::Share(Box::new(share))).await? {
            Outcome::Shared(outcome) => Ok(outcome),
            _ => Err(Error::internal("another command's outcome for a share")),
        }
    }

    /// Counts views of 1 to 1,000 contents, each once a viewer, content and hour; what is unknown or unpublished is left
    /// out. Returns how many count that did not before. Each lane is a write of its own: after an error those of others
    /// may hold, and a repeat counts the rest.
    ///
    /// # Errors
    /// `INVALID_INPUT`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn record_views(&self, contents: &[(Uuid, Kind)], viewer: Viewer) -> Result<u64> {
        let views = view::check(contents, viewer)?;
        let submitted = views.into_iter().map(|view| self.0.batcher.submit(Command::View(view)));
        let mut counted = 0;
        // All of them, whatever comes of one: what was queued is carried out anyhow.
        for outcome in futures_util::future::join_all(submitted).await {
            match outcome? {
                Outcome::Viewed(count) => counted += u64::from(count),
                _ => return Err(Error::internal("another command's outcome for views")),
            }
        }
        Ok(counted)
    }

    /// The viewer that a user is.
    #[must_use]
    pub fn viewer_of_user(&self, user: Uuid) -> Viewer {
        self.0.viewers.user(user)
    }

    /// The viewer that everybody without a token at an address is.
    #[must_use]
    pub fn viewer_at(&self, address: std::net::IpAddr) -> Viewer {
        self.0.viewers.address(address)
    }

    /// A comment that was not deleted, read together with others that are asked for at the same time.
    ///
    /// # Errors
    /// The database's own.
    pub async fn find_comment(&self, id: Uuid) -> Result<Option<CommentRecord>> {
        let found = self.0.loaders.comments.one(id).await?;
        Ok(found.filter(|comment| comment.deleted_at.is_none()))
    }

    /// Deletes a content: there is no such content any more when it returns; its rows go later. Whether there was one.
    ///
    /// # Errors
    /// `FORBIDDEN`, `OVERLOADED`, `UNAVAILABLE`.
    pub async fn delete_content(&self, delete: DeleteContent) -> Result<bool> {
        let new = self.submit_deletion(delete).await?;
        deleting::wake(&self.0.kernel).await;
        Ok(new)
    }

    pub(super) async fn submit_deletion(&self, delete: DeleteContent) -> Result<bool> {
        changed(&self.0.batcher.submit(Command::DeleteContent(delete)).await?)
    }

    /// Deletes a user and all that is theirs: when it returns there is neither the user nor any of their contents, and
    /// nothing of theirs is taken any more; what they did to others' contents goes soon, and the rows later. Whether it
    /// is new.
    ///
    /// # Errors
    /// `OVERLOADED`, `UNAVAILABLE`: then it may have been accepted, and goes on.
    pub async fn delete_user(&self, users: &UsersFacade, user: Uuid) -> Result<bool> {
        deleting::user(self, users, user).await
    }

    pub(super) async fn forget(&self, forget: Forget) -> Result<u64> {
        match self.0.batcher.submit(Command::Forget(Box::new(forget))).await? {
            Outcome::Forgotten(rows) => Ok(rows),
            _ => Err(Error::internal("another command's outcome for a forgotten user")),
        }
    }

    /// Acts that are told with an earlier moment are refused.
    #[must_use]
    pub fn oldest_told(&self) -> Millis {
        self.now().plus(-self.0.tombstone_ms)
    }

    /// Ends the level of a content whose time has come; whether anything changed. The job `engagement.cooling` calls it.
    ///
    /// # Errors
    /// `OVERLOADED`, `UNAVAILABLE`.
    pub async fn cool(&self, content: Uuid) -> Result<bool> {
        changed(&self.0.batcher.submit(Command::Cool(content)).await?)
    }

    /// A content, read together with others that are asked for at the same time.
    ///
    /// # Errors
    /// The database's own.
    pub async fn content(&self, id: Uuid) -> Result<Option<ContentRecord>> {
        self.0.loaders.contents.one(id).await
    }

    /// Makes heat, level and next change of contents anew from their facts; an outcome each, in their order: whether
    /// anything came out otherwise.
    pub async fn recalculate(&self, contents: Vec<Recalculate>) -> Vec<Result<bool>> {
        let outcomes = futures_util::stream::iter(contents).map(|recalculate| async move {
            match self.0.batcher.submit(Command::Recalculate(recalculate)).await? {
                Outcome::Recalculated(changed) => Ok(changed),
                _ => Err(Error::internal("another outcome for a recalculation")),
            }
        });
        outcomes.buffered(RECALCULATED_AT_ONCE).collect().await
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Tick<HotnessEvent>> {
        self.0.live.listen()
    }

    /// Hears of every change of these contents from now on.
    #[must_use]
    pub fn listen_to(&self, contents: HashSet<Uuid>) -> Listener<HotnessEvent> {
        self.0.live.listen_to(contents)
    }

    /// How much a user may do in an hour. Who asks for a user is counted there first, then acts.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How often listeners hear of a thing at most.
    #[must_use]
    pub fn live_interval(&self) -> Duration {
        self.0.live_interval
    }

    /// Weights, half-life and thresholds that are in force, as far as this process knows.
    #[must_use]
    pub fn hotness(&self) -> Arc<Hotness> {
        self.0.ranks.hotness()
    }

    /// Those that a content's figures were made with, as it was read.
    ///
    /// # Errors
    /// The database's own.
    pub async fn hotness_of(&self, content: &ContentRecord) -> Result<Arc<Hotness>> {
        self.version(content.figures.heat_version).await
    }

    /// What is in force, what this server is configured with, and the recalculation that was last, under way or not.
    pub(super) async fn settings(&self) -> Result<(settings::Standing, Option<(InForce, Progress)>)> {
        let kernel = self.kernel();
        let (reader, backend) = (kernel.db.reader(), kernel.backend());
        let standing = settings::standing(kernel).await?;
        let state = in_force::in_force(reader, backend, Lock::None).await?;
        let progress = in_force::progress(reader, backend, Lock::None).await?;
        Ok((standing, state.zip(progress)))
    }

    /// Those that lists by heat are made with now: read, not remembered.
    pub(super) async fn in_force(&self) -> Result<Arc<Hotness>> {
        let kernel = self.kernel();
        let state = in_force::in_force(kernel.db.reader(), kernel.backend(), Lock::None).await?;
        self.version(state.ok_or_else(|| Error::internal("no settings are in force"))?.version).await
    }

    pub(super) async fn version(&self, version: i64) -> Result<Arc<Hotness>> {
        if version > self.hotness().heat.version {
            self.0.ranks.wake();
        }
        self.0.versions.of(self.kernel().db.reader(), version).await
    }

    /// The same, if this process has met it.
    pub(super) fn known(&self, version: i64) -> Arc<Hotness> {
        self.0.versions.known(version).unwrap_or_else(|| self.hotness())
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

    pub(super) fn ranks(&self) -> &Arc<Ranks> {
        &self.0.ranks
    }
}

fn changed(outcome: &Outcome) -> Result<bool> {
    match outcome {
        Outcome::Changed(changed) => Ok(*changed),
        _ => Err(Error::internal("another outcome for a job's command")),
    }
}

fn acted(outcome: Outcome) -> Result<ActOutcome> {
    match outcome {
        Outcome::Acted(outcome) => Ok(outcome),
        _ => Err(Error::internal("another command's outcome for an act")),
    }
}

fn commented(outcome: Outcome) -> Result<CommentOutcome> {
    match outcome {
        Outcome::Commented(outcome) => Ok(outcome),
        _ => Err(Error::internal("another command's outcome for a comment")),
    }
}
