//! The durable consumer: acts become awards and reversals, in the transaction in which their events go.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::heard::{self, Heard};
use super::register::Register;
use super::versions::Versions;
use super::{Rules, has_rule};
use crate::kernel::batch::BatchWriter as _;
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Code, Result};
use crate::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};
use crate::modules::points::commands::post::Post;
use crate::modules::points::ledger::lane;
use crate::modules::points::store::{batch, rule_versions, rules as store};
use crate::modules::points::writer::PointsWriter;
use crate::modules::users::UsersFacade;

/// Its name in the outbox: never changes.
pub(in super::super) const NAME: &str = "point-rules";

/// What it takes.
pub(in super::super) const CONSUMES: Consumes = Consumes { consumer: NAME, kinds: heard::KINDS };

/// Whether it takes a kind: without a rule nothing is given, but what was given is still taken back.
pub(in super::super) fn takes(settings: &Settings, kind: &str) -> bool {
    heard::act_of(kind).is_some_and(|(act, on)| !on || has_rule(settings, act))
}

/// Turns acts into points.
pub(in super::super) struct RulesConsumer {
    pub(in super::super) kernel: Kernel,
    /// Those of the settings, where none are written down.
    pub(in super::super) rules: Rules,
    pub(in super::super) writer: Arc<PointsWriter>,
}

impl Consumer for RulesConsumer {
    fn consume<'a>(&'a self, tx: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        Box::pin(async move {
            let heard = events.iter().filter_map(|event| heard::heard(event).transpose());
            let heard = heard.collect::<Result<Vec<_>>>()?;
            if heard.is_empty() { Ok(None) } else { self.apply(tx, &heard).await }
        })
    }
}

impl RulesConsumer {
    async fn apply(&self, tx: &Tx, heard: &[Heard]) -> Result<AfterCommit> {
        let versions = Versions::new(&self.rules, &rule_versions::version_all(tx).await?)?;
        let mut register = self.read(tx, heard, &versions).await?;
        let mut firsts = HashMap::new();
        for heard in heard {
            let remember = self.must_remember(tx, heard, is_ruled(&versions, heard), &mut firsts).await?;
            register.take(heard, remember);
        }
        let gone: Vec<_> = register.gone().collect();
        let mut reversed = HashSet::new();
        if !gone.is_empty() {
            let reversals = batch::reversal_by_ids(tx, gone).await?;
            reversed.extend(reversals.into_iter().filter_map(|reversal| reversal.reverses_id));
        }
        let entries = register.entries(&reversed);
        let mut after: AfterCommit = None;
        if !entries.is_empty() {
            let asked: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
            let post = [Post { entries, atomic: false, dry_run: false }];
            let applied = self.writer.apply(tx, &post).await?;
            let posted = applied.outcomes.into_iter().collect::<Result<Vec<_>>>()?;
            let mut done = Vec::with_capacity(asked.len());
            for (posted, asked) in posted.into_iter().flatten().zip(asked) {
                let posted = match posted {
                    // The balance has no room for it, and no later try would find any: the content's events go on.
                    Err(error) if error.code() == Code::INVALID_INPUT && register.leave_out(asked) => {
                        tracing::error!(error = error.for_operator(), "an award was left out");
                        continue;
                    }
                    // A ledger that does not hold, say: the event is tried again, until it is mended.
                    outcome => outcome?,
                };
                if posted.replayed {
                    register.renamed(asked, posted.transaction.id);
                }
                done.push(posted);
            }
            let (writer, effects) = (Arc::clone(&self.writer), applied.effects);
            after = Some(Box::new(move || {
                writer.count(&done);
                writer.committed(effects);
            }));
        }
        store::act_put(tx, register.changed()).await?;
        Ok(after)
    }

    /// Locks the authors' accounts; reads what is known of the subjects, and what their days have given.
    async fn read<'a>(&'a self, tx: &Tx, heard: &[Heard], versions: &'a Versions) -> Result<Register<'a>> {
        let authors: BTreeSet<(i16, Uuid)> =
            heard.iter().map(|heard| (lane(heard.subject.author), heard.subject.author)).collect();
        batch::account_lock(tx, authors.iter().copied()).await?;
        let subjects: BTreeSet<_> = heard.iter().map(|heard| heard.subject).collect();
        let known = store::act_by_subjects(tx, subjects).await?;
        let mut register = Register::new(versions, &self.kernel.ids, known);
        let given: Vec<&Heard> = heard.iter().filter(|heard| heard.on && is_ruled(versions, heard)).collect();
        if !given.is_empty() {
            let day = |heard: &&Heard| {
                let days = versions.at(heard.at).days;
                (heard.subject.author, heard.subject.act, days.day(heard.at))
            };
            let days: BTreeSet<_> = given.iter().map(day).collect();
            register.given = store::day_sums(tx, days).await?;
            // Nobody would see what a deleted user gets.
            let authors: BTreeSet<Uuid> = given.iter().map(|heard| heard.subject.author).collect();
            let authors: Vec<Uuid> = authors.into_iter().collect();
            register.authors = UsersFacade::among(&self.kernel.db, &authors).await?;
        }
        Ok(register)
    }

    /// Whether an act of which nothing is known is to be known from now on: what is taken back must stay so, if what
    /// did it comes later. Without a rule only if something that came before it still waits or is set aside.
    async fn must_remember(
        &self,
        tx: &Tx,
        heard: &Heard,
        is_ruled: bool,
        firsts: &mut HashMap<Uuid, Option<i64>>,
    ) -> Result<bool> {
        if is_ruled || heard.on {
            return Ok(is_ruled);
        }
        let content = heard.subject.content;
        let first = match firsts.entry(content) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(self.kernel.outbox.first_beside(tx, NAME, content).await?),
        };
        Ok(first.is_some_and(|first| first < heard.sequence))
    }
}

/// Whether there was a rule for an act when it was done.
fn is_ruled(versions: &Versions, heard: &Heard) -> bool {
    versions.at(heard.at).of_act(heard.subject.act, heard.content_kind).is_some()
}
