//! The write side of engagement: one batch locks, reads, folds, writes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::commands::act::{self, Act, ActOutcome};
use super::commands::comment::{self, Comment, CommentOutcome, DeleteComment};
use super::commands::cool;
use super::commands::delete_content::{self, DeleteContent};
use super::commands::forget::{self, Forget};
use super::commands::publish::{self, Publish, PublishOutcome};
use super::commands::set_status::{self, SetStatus};
use super::commands::share::{self, Share, ShareOutcome};
use super::commands::view::{self, View};
use super::content::{BehaviorKind, ContentRecord, key};
use super::events::HotnessEvent;
use super::hotness::{Hotness, Level};
use super::interactions::Wanted;
use super::outbox::sequences;
use super::store;
use super::work::{Cause, Item, Work};
use crate::kernel::batch::{Applied, BatchWriter};
use crate::kernel::clock::Clock;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::events::{Event, Outbox};
use crate::kernel::id::{Ids, Lane};
use crate::kernel::live::Live;
use crate::kernel::ranking::RankIndex;

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
    /// See [`cool`].
    Cool(Uuid),
    /// See [`delete_content`].
    DeleteContent(DeleteContent),
    /// See [`forget`].
    Forget(Box<Forget>),
}

impl Command {
    fn content(&self) -> Uuid {
        match self {
            Self::Act(act) => act.content,
            Self::Publish(publish) => publish.info.id,
            Self::SetStatus(set) => set.content,
            Self::Comment(comment) => comment.content,
            Self::DeleteComment(delete) => delete.content,
            Self::Share(share) => share.content,
            // All of one lane.
            Self::View(view) => view.contents.first().map_or(Uuid::nil(), |(content, _)| *content),
            Self::Cool(content) => *content,
            Self::DeleteContent(delete) => delete.content,
            Self::Forget(forget) => forget.content,
        }
    }

    /// Whose act it is; refused when that user was deleted.
    fn user(&self) -> Option<Uuid> {
        match self {
            Self::Act(act) => Some(act.user),
            Self::Publish(publish) => Some(publish.info.author_id),
            Self::Comment(comment) => Some(comment.user),
            Self::Share(share) => Some(share.user),
            Self::DeleteComment(delete) => Some(delete.actor),
            // Views know no user, and the others write down none.
            Self::View(_) | Self::SetStatus(_) => None,
            Self::Cool(_) | Self::DeleteContent(_) | Self::Forget(_) => None,
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
    /// Of cooling, and of a deletion: whether it changed anything.
    Changed(bool),
    /// Of forgetting: how many rows go.
    Forgotten(u64),
}

/// Writes the facts and figures of contents.
pub(super) struct EngagementWriter {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) hotness: Hotness,
    pub(super) history_interval_ms: i64,
    /// How long it is remembered that a like or favorite was taken back.
    pub(super) tombstone_ms: i64,
    pub(super) ranking: Arc<RankIndex>,
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
            let mut work = self.read(tx, commands).await?;
            let outcomes = commands.iter().map(|command| fold(&mut work, command)).collect();
            self.write(tx, &mut work).await?;
            let effects = Effects { hotness: self.events(&work), outbox: !work.events.is_empty() };
            Ok(Applied { outcomes, effects })
        })
    }

    fn committed(&self, effects: Effects) {
        self.ranking.apply(self.clock.now(), effects.hotness.iter().map(|event| event.content.standing()));
        self.live.publish(effects.hotness);
        if effects.outbox {
            self.outbox.wake();
        }
    }
}

fn fold(work: &mut Work<'_>, command: &Command) -> Result<Outcome> {
    if command.user().is_some_and(|user| work.deleted_users.contains(&user)) {
        return Err(Error::not_found("this user was deleted"));
    }
    match command {
        Command::Act(act) => act::fold(work, act).map(Outcome::Acted),
        Command::Publish(publish) => publish::fold(work, publish).map(Outcome::Published),
        Command::SetStatus(set) => set_status::fold(work, set).map(Outcome::Acted),
        Command::Comment(comment) => comment::fold(work, comment).map(Outcome::Commented),
        Command::DeleteComment(delete) => comment::fold_delete(work, delete).map(Outcome::Commented),
        Command::Share(share) => share::fold(work, share).map(Outcome::Shared),
        Command::View(view) => view::fold(work, view).map(Outcome::Viewed),
        Command::Cool(content) => Ok(Outcome::Changed(cool::fold(work, *content))),
        Command::DeleteContent(delete) => delete_content::fold(work, delete).map(Outcome::Changed),
        Command::Forget(forget) => forget::fold(work, forget).map(Outcome::Forgotten),
    }
}

impl EngagementWriter {
    /// Locks the figures in key order, then reads the facts in later statements.
    async fn read(&self, tx: &Tx, commands: &[Command]) -> Result<Work<'_>> {
        let now = self.clock.now();
        let mut work = Work::new(&self.hotness, now, now.plus(-self.tombstone_ms));
        // By (lane, id): the one order in which every writer locks.
        let mut wanted: BTreeSet<(i16, Uuid)> = BTreeSet::new();
        let mut behaviors = HashSet::new();
        let mut publications = Vec::new();
        let mut interactions = Wanted::default();
        for command in commands {
            interactions.by(command);
            match command {
                Command::Act(act) => {
                    wanted.insert(key(act.content));
                    behaviors.insert((act.content, act.user, act.kind.number()));
                }
                Command::Publish(publish) => {
                    let client_key = publish.client_key.as_deref();
                    if publish.info.external_id.is_some() || client_key.is_some() {
                        publications.push((publish.info.external_id.as_deref(), publish.info.author_id, client_key));
                    }
                }
                Command::View(view) => wanted.extend(view.contents.iter().map(|(content, _)| key(*content))),
                Command::Forget(forget) => {
                    wanted.insert(key(forget.content));
                    for kind in [BehaviorKind::Like, BehaviorKind::Favorite] {
                        behaviors.insert((forget.content, forget.user, kind.number()));
                    }
                }
                other => {
                    wanted.insert(key(other.content()));
                }
            }
        }
        if !publications.is_empty() {
            for taken in store::batch::content_taken(tx, &publications).await? {
                wanted.insert(key(taken.id));
                if let Some(external_id) = taken.external_id {
                    work.external_ids.insert(external_id, taken.id);
                }
                if let Some(client_key) = taken.client_key {
                    work.client_keys.insert((taken.author_id, client_key), taken.id);
                }
            }
        }
        let wanted: Vec<Uuid> = wanted.into_iter().map(|(_, id)| id).collect();
        if !wanted.is_empty() {
            let locked = store::batch::figures_lock(tx, &wanted).await?;
            let mut figures: HashMap<_, _> = locked.into_iter().map(|row| (row.content_id, row.figures)).collect();
            for info in store::batch::info_by_ids(tx, &wanted).await? {
                let figures = figures
                    .remove(&info.id)
                    .ok_or_else(|| Error::internal(format!("content {} has no figures", info.id)))?;
                work.items.insert(info.id, Item::stored(info, figures));
            }
            work.take_masses(store::batch::mass_by_ids(tx, &wanted).await?);
        }
        if !behaviors.is_empty() {
            let behaviors: Vec<_> = behaviors.into_iter().collect();
            work.take_behaviors(store::batch::behavior_by_keys(tx, &behaviors).await?);
        }
        work.interactions = interactions.read(tx, work.now).await?;
        let users: BTreeSet<Uuid> = commands.iter().filter_map(Command::user).collect();
        if !users.is_empty() {
            work.deleted_users = store::deletions::deleted_among(tx, &users).await?;
        }
        Ok(work)
    }

    /// Writes the net results, tables in one order everywhere.
    async fn write(&self, tx: &Tx, work: &mut Work<'_>) -> Result<()> {
        let history = work.settle(&self.ids, self.history_interval_ms);
        let (mut new, old): (Vec<&Item>, Vec<&Item>) = work.touched().partition(|item| item.before.is_none());
        // Two groups that insert the same unique keys must meet in one order.
        new.sort_by_key(|item| key(item.info.id));
        let contents: Vec<_> = new.iter().map(|item| (&*item.info, item.client_key.as_deref())).collect();
        // First: a new content may take over the keys of one that goes.
        store::deletions::content_accept(tx, work.deleted_contents(), work.now).await?;
        store::publish::content_insert(tx, &contents).await?;
        store::batch::status_update(tx, work.changed_statuses()).await?;
        store::batch::behavior_put(tx, work.dirty_behaviors()).await?;
        store::deletions::behavior_remove(tx, work.gone_behaviors()).await?;
        work.interactions.write(tx).await?;
        store::batch::figures_insert(tx, new.iter().map(|item| (item.info.id, item.figures))).await?;
        store::batch::figures_update(tx, old.iter().map(|item| (item.info.id, item.figures))).await?;
        store::batch::mass_put(tx, work.dirty_masses()).await?;
        store::batch::history_insert(tx, &history).await?;
        let events = self.happened(work);
        self.outbox.put(tx, &events).await
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
                None => self.hotness.level(heat, published_at, at),
            };
            Some(HotnessEvent {
                content: ContentRecord { info: Arc::clone(&item.info), figures: item.figures },
                previous_score: self.hotness.heat.score(heat, at),
                previous_level,
                cause,
            })
        });
        events.collect()
    }
}
