//! The write side of engagement: one batch locks, reads, folds, writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::commands::act::{self, Act, ActOutcome};
use super::commands::comment::{self, Comment, CommentOutcome, DeleteComment};
use super::commands::cool;
use super::commands::delete_content::{self, DeleteContent};
use super::commands::forget::{self, Forget};
use super::commands::import::{self, Import, ImportOutcome};
use super::commands::publish::{self, Publish, PublishOutcome};
use super::commands::recalculate::{self, Recalculate};
use super::commands::set_status::{self, SetStatus};
use super::commands::share::{self, Share, ShareOutcome};
use super::commands::view::{self, View};
use super::content::{ContentRecord, Figures};
use super::events::HotnessEvent;
use super::hotness::{Level, Source};
use super::item::Item;
use super::masses::{self, Sums};
use super::outbox::sequences;
use super::ranks::Ranks;
use super::settings::{self, Versions};
use super::store;
use super::wanted::Wanted;
use super::work::{Cause, Work};
use crate::kernel::batch::{Applied, BatchWriter};
use crate::kernel::clock::Clock;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::events::{Event, Outbox};
use crate::kernel::id::{Ids, Lane};
use crate::kernel::live::Live;

/// What moves a content's figures.
pub(super) enum Command {
    /// See [`act`].
    Act(Act),
    /// See [`publish`].
    Publish(Box<Publish>),
    /// See [`set_status`].
    SetStatus(SetStatus),
    /// See [`comment`].
    Comment(Box<Comment>),
    /// See [`comment`].
    DeleteComment(DeleteComment),
    /// See [`share`].
    Share(Box<Share>),
    /// See [`view`].
    View(View),
    /// See [`recalculate`].
    Recalculate(Recalculate),
    /// See [`cool`].
    Cool(Uuid),
    /// See [`delete_content`].
    DeleteContent(DeleteContent),
    /// See [`forget`].
    Forget(Box<Forget>),
    /// See [`import`].
    Import(Box<Import>),
}

impl Command {
    pub(super) fn content(&self) -> Uuid {
        match self {
            Self::Act(act) => act.content,
            Self::Publish(publish) => publish.info.id,
            Self::SetStatus(set) => set.content,
            Self::Comment(comment) => comment.content,
            Self::DeleteComment(delete) => delete.content,
            Self::Share(share) => share.content,
            // All of one lane.
            Self::View(view) => view.contents.first().map_or(Uuid::nil(), |(content, _)| *content),
            Self::Recalculate(recalculate) => recalculate.content,
            Self::Cool(content) => *content,
            Self::DeleteContent(delete) => delete.content,
            Self::Forget(forget) => forget.content,
            Self::Import(import) => import.content,
        }
    }

    /// Whose act it is; refused when that user was deleted.
    pub(super) fn user(&self) -> Option<Uuid> {
        match self {
            Self::Act(act) => Some(act.user),
            Self::Publish(publish) => Some(publish.info.author_id),
            Self::Comment(comment) => Some(comment.user),
            Self::Share(share) => Some(share.user),
            Self::DeleteComment(delete) => Some(delete.actor),
            // Views know no user, and the others write down none.
            Self::View(_) | Self::SetStatus(_) | Self::Recalculate(_) => None,
            Self::Cool(_) | Self::DeleteContent(_) | Self::Forget(_) => None,
            // Each of its acts has one.
            Self::Import(import) => import.publish.as_ref().map(|publish| publish.info.author_id),
        }
    }
}

/// What came of a [`Command`].
pub(super) enum Outcome {
    /// Of an act or a change of status.
    Acted(ActOutcome),
    /// Of a publication.
    Published(PublishOutcome),
    /// Of a comment, or of deleting one.
    Commented(CommentOutcome),
    /// Of a share.
    Shared(ShareOutcome),
    /// Of views: how many count.
    Viewed(u32),
    /// Of a recalculation: whether anything came out otherwise.
    Recalculated(bool),
    /// Of cooling, and of a deletion: whether it changed anything.
    Changed(bool),
    /// Of forgetting: how many rows go.
    Forgotten(u64),
    /// Of an import.
    Imported(ImportOutcome),
}

/// Writes the facts and figures of contents.
pub(super) struct EngagementWriter {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) versions: Arc<Versions>,
    pub(super) history_interval_ms: i64,
    /// How long it is remembered that a like or favorite was taken back.
    pub(super) tombstone_ms: i64,
    pub(super) ranks: Arc<Ranks>,
    pub(super) live: Arc<Live<HotnessEvent>>,
    pub(super) outbox: Outbox,
}

/// What a committed batch changed.
pub(super) struct Effects {
    /// For rankings and listeners.
    hotness: Vec<HotnessEvent>,
    /// Whether there is something to deliver.
    outbox: bool,
}

impl Effects {
    /// Whether any content changed.
    pub(super) fn any(&self) -> bool {
        !self.hotness.is_empty()
    }
}

impl BatchWriter for EngagementWriter {
    type Command = Command;
    type Outcome = Outcome;
    type Effects = Effects;

    const NAME: &'static str = "engagement";

    fn lane(&self, command: &Command) -> Lane {
        Lane::of(command.content())
    }

    fn apply<'a>(&'a self, tx: &'a Tx, commands: &'a [Command]) -> BoxFuture<'a, Result<Applied<Self>>> {
        Box::pin(async move {
            let mut wanted = Wanted::of(commands);
            let ground = self.lock(tx, &mut wanted).await?;
            let now = self.clock.now();
            let mut work = Work::new(&ground.hotness, ground.next.clone(), now, now.plus(-self.tombstone_ms));
            work.foreign = ground.foreign;
            self.read(tx, &mut work, wanted, ground.figures).await?;
            let outcomes = commands.iter().map(|command| fold(&mut work, command)).collect();
            self.write(tx, &mut work).await?;
            let effects = Effects { hotness: self.events(&work), outbox: !work.events.is_empty() };
            Ok(Applied { outcomes, effects })
        })
    }

    fn committed(&self, effects: Effects) {
        self.ranks.take(effects.hotness.iter().map(|event| &event.content));
        self.live.publish(effects.hotness);
        if effects.outbox {
            self.outbox.wake();
        }
    }
}

/// What a new content has that no other may have.
fn unique_keys(item: &Item) -> (Option<&str>, Uuid, Option<&str>, Uuid) {
    (item.info.external_id.as_deref(), item.info.author_id, item.client_key.as_deref(), item.info.id)
}

fn fold(work: &mut Work<'_>, command: &Command) -> Result<Outcome> {
    if command.user().is_some_and(|user| work.deleted_users.contains(&user)) {
        return Err(Error::not_found("this user was deleted"));
    }
    work.refuse_foreign(command.content())?;
    match command {
        Command::Act(act) => act::fold(work, act).map(Outcome::Acted),
        Command::Publish(publish) => publish::fold(work, publish).map(Outcome::Published),
        Command::SetStatus(set) => set_status::fold(work, set).map(Outcome::Acted),
        Command::Comment(comment) => comment::fold(work, comment).map(Outcome::Commented),
        Command::DeleteComment(delete) => comment::fold_delete(work, delete).map(Outcome::Commented),
        Command::Share(share) => share::fold(work, share).map(Outcome::Shared),
        Command::View(view) => view::fold(work, view).map(Outcome::Viewed),
        Command::Recalculate(recalculate) => recalculate::fold(work, recalculate).map(Outcome::Recalculated),
        Command::Cool(content) => Ok(Outcome::Changed(cool::fold(work, *content))),
        Command::DeleteContent(delete) => delete_content::fold(work, delete).map(Outcome::Changed),
        Command::Forget(forget) => forget::fold(work, forget).map(Outcome::Forgotten),
        Command::Import(import) => import::fold(work, import).map(Outcome::Imported),
    }
}

impl EngagementWriter {
    pub(super) fn new(
        kernel: &Kernel,
        versions: &Arc<Versions>,
        ranks: &Arc<Ranks>,
        live: &Arc<Live<HotnessEvent>>,
    ) -> Self {
        Self {
            clock: Arc::clone(&kernel.clock),
            ids: Arc::clone(&kernel.ids),
            versions: Arc::clone(versions),
            history_interval_ms: settings::millis(&kernel.settings, "engagement.history_interval_secs", 1000.0),
            tombstone_ms: settings::tombstone_ms(&kernel.settings),
            ranks: Arc::clone(ranks),
            live: Arc::clone(live),
            outbox: kernel.outbox.clone(),
        }
    }

    /// Reads the facts, in later statements than the locks.
    async fn read(
        &self,
        tx: &Tx,
        work: &mut Work<'_>,
        wanted: Wanted<'_>,
        mut figures: HashMap<Uuid, Figures>,
    ) -> Result<()> {
        let ids = wanted.ids();
        for taken in wanted.taken {
            if let Some(external_id) = taken.external_id {
                work.external_ids.insert(external_id, taken.id);
            }
            if let Some(client_key) = taken.client_key {
                work.client_keys.insert((taken.author_id, client_key), taken.id);
            }
        }
        if !ids.is_empty() {
            for info in store::batch::info_by_ids(tx, &ids).await? {
                match figures.remove(&info.id) {
                    Some(figures) => {
                        work.items.insert(info.id, Item::stored(info, figures));
                    }
                    // A recalculation has made none for it: there is no such content.
                    None if info.deleted => {}
                    None if work.foreign.contains(&info.id) => {}
                    None => return Err(Error::internal(format!("content {} has no figures", info.id))),
                }
            }
            let masses = store::batch::mass_by_ids(tx, &ids).await?;
            let (next_version, switched_at) =
                masses.first().map_or((None, None), |row| (row.next_version, row.switched_at));
            work.take_masses(masses);
            if let Some(switched_at) = switched_at {
                work.came_into_force(switched_at);
            }
            if let Some(version) = next_version {
                let hotness = self.versions.of(tx.connection(), version).await?;
                let rows = store::next::mass_by_ids(tx.connection(), tx.backend(), &ids, version).await?;
                work.take_next_masses(rows, &hotness);
            }
        }
        if !wanted.behaviors.is_empty() {
            let behaviors: Vec<_> = wanted.behaviors.into_iter().collect();
            work.take_behaviors(store::batch::behavior_by_keys(tx, &behaviors).await?);
        }
        work.interactions = wanted.interactions.read(tx, work.now).await?;
        if !wanted.users.is_empty() {
            work.deleted_users = store::deletions::deleted_among(tx, &wanted.users).await?;
        }
        if !wanted.recalculations.is_empty() {
            self.recount(tx, work, wanted.recalculations).await?;
        }
        Ok(())
    }

    /// Adds up the facts of contents that are to be recalculated.
    async fn recount(&self, tx: &Tx, work: &mut Work<'_>, ids: BTreeSet<Uuid>) -> Result<()> {
        let ids: Vec<Uuid> = ids.into_iter().filter(|id| work.items.contains_key(id)).collect();
        let next = ids.iter().find_map(|id| work.items.get(id)?.next_hotness());
        let hotness = [Some(&work.hotness.heat), next.as_ref().map(|next| &next.heat)];
        let mut sums: HashMap<Uuid, [Option<Sums>; 2]> = HashMap::new();
        let mut take = |id: Uuid, source| {
            let sums = sums.entry(id).or_insert_with(|| [Some(Sums::new()), Some(Sums::new())]);
            for (sums, heat) in sums.iter_mut().zip(hotness) {
                heat.into_iter().for_each(|heat| masses::add(sums, heat, &source));
            }
        };
        for item in ids.iter().filter_map(|id| work.items.get(id)) {
            take(item.info.id, Source::Fact(publish::publication(&item.info)));
        }
        store::facts::each(tx, &self.versions, &ids, &mut take).await?;
        for (id, [in_force, next]) in sums {
            if let Some(item) = work.items.get_mut(&id) {
                item.compare(in_force, next);
            }
        }
        Ok(())
    }

    /// Writes the net results, tables in one order everywhere.
    async fn write(&self, tx: &Tx, work: &mut Work<'_>) -> Result<()> {
        let history = work.settle(&self.ids, self.history_interval_ms);
        let (mut new, old): (Vec<&Item>, Vec<&Item>) = work.touched().partition(|item| item.before.is_none());
        // Two groups that insert the same unique keys must meet in one order: ids are each group's own.
        new.sort_by(|one, other| unique_keys(one).cmp(&unique_keys(other)));
        let contents: Vec<_> = new.iter().map(|item| (&*item.info, item.client_key.as_deref())).collect();
        // First: a new content may take over the keys of one that goes.
        store::deletions::content_accept(tx, work.deleted_contents(), work.now).await?;
        store::publish::content_insert(tx, &contents).await?;
        store::batch::status_update(tx, work.changed_statuses()).await?;
        store::batch::behavior_put(tx, work.dirty_behaviors()).await?;
        store::openings::behavior_mark(tx, work.imported_behaviors()).await?;
        store::deletions::behavior_remove(tx, work.gone_behaviors()).await?;
        work.interactions.write(tx).await?;
        store::batch::figures_insert(tx, new.iter().map(|item| (item.info.id, item.figures))).await?;
        store::batch::figures_update(tx, old.iter().map(|item| (item.info.id, item.figures))).await?;
        store::batch::mass_put(tx, work.dirty_masses()).await?;
        store::next::figures_put(tx, work.next_figures()).await?;
        store::next::mass_put(tx, work.next_dirty_masses()).await?;
        store::batch::history_insert(tx, &history).await?;
        let events = self.happened(work);
        // A command beside the servers (`tally recalculate`) has no consumers, and nothing to tell them.
        if events.is_empty() { Ok(()) } else { self.outbox.put(tx, &events).await }
    }

    /// What durable consumers are told: of each content in the order of its sequence.
    fn happened(&self, work: &Work<'_>) -> Vec<Event> {
        let version = |id| work.items.get(&id).map_or(0, |item| item.figures.version);
        let events = sequences(&work.events, version).map(|(event, sequence)| Event {
            id: self.ids.next(),
            kind: event.name(),
            key: event.content,
            sequence,
            at: event.at,
            payload: event.payload(),
        });
        events.collect()
    }

    fn events(&self, work: &Work<'_>) -> Vec<HotnessEvent> {
        let events = work.touched().filter_map(|item| {
            let (at, cause) = (item.settled_at(), item.cause?);
            let (heat, published_at) = (item.before.and_then(|before| before.heat), item.info.published_at);
            let announced = item.before.and_then(|before| Level::from_number(before.hot_level));
            let previous_level = match announced.filter(|_| cause == Cause::Cooled) {
                Some(announced) => announced,
                None => work.hotness.level(heat, published_at, at),
            };
            Some(HotnessEvent {
                content: ContentRecord { info: Arc::clone(&item.info), figures: item.figures },
                previous_score: work.hotness.heat.score(heat, at),
                previous_level,
                cause,
            })
        });
        events.collect()
    }
}
