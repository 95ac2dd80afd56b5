//! Every figure of the module, recomputed from its facts, and put right.

mod announced;
mod counts;
mod explain;
mod heat;
mod history;
mod locked;
mod missing;
mod moments;
mod orphans;
mod people;
mod ranking;
mod tombstones;
mod views;

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use super::content::{Figures, key};
use super::graphql::{ContentId, content_id_text};
use super::hotness::Hotness;
use super::settings::{self, Versions};
use super::store::in_force::{self, InForce, Lock};
use super::store::recount::{self, Range, Stored, Which};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
pub(super) use explain::all as explanations;
use locked::Locked;
pub(super) use ranking::Ranking;

/// The checks that need no running server, in the order in which what one repairs is what the next one builds on.
pub(super) fn all() -> Vec<Arc<dyn Check>> {
    let counts = counts::Count::ALL.map(|count| Arc::new(Of::new(count)) as Arc<dyn Check>);
    let others: [Arc<dyn Check>; 9] = [
        Arc::new(Of::new(heat::HeatMass)),
        Arc::new(Of::new(heat::Heat)),
        // Says nothing of a content while one of the moments that it reads is wrong: the next round of a repair does.
        Arc::new(Of::new(announced::AnnouncedLevel)),
        Arc::new(Of::new(history::History)),
        Arc::new(Of::new(views::Rollups)),
        Arc::new(Of::new(tombstones::Tombstones)),
        Arc::new(orphans::Orphans),
        Arc::new(people::Remains),
        Arc::new(people::Strangers),
    ];
    // What cannot be read first: the others pass over it.
    let first: [Arc<dyn Check>; 2] = [Arc::new(super::store::types::TYPES), Arc::new(Of::new(missing::Missing))];
    first.into_iter().chain(counts).chain(others).collect()
}

const START: Key = (i16::MIN, Uuid::nil());

/// What a check compares with: all of the moment of its reads.
struct Ground {
    versions: Versions,
    /// What is in force; `None` before the first start, when there are no contents.
    state: Option<InForce>,
    /// The settings of that version.
    hotness: Option<Arc<Hotness>>,
    /// Those of the version that a recalculation makes.
    next: Option<Arc<Hotness>>,
    /// No clock of a node can have said a later moment.
    latest: Millis,
    /// Tombstones from before this moment are to be gone; `None`: nobody removes them.
    tombstones_before: Option<Millis>,
}

/// How much longer than its time a tombstone may be there, until somebody should look at the job.
const TOMBSTONE_GRACE: i64 = 7 * Millis::DAY;

impl Ground {
    async fn read(kernel: &Kernel, versions: Versions, reads: &DatabaseTransaction) -> Result<Self> {
        let state = in_force::in_force(reads, reads.get_database_backend(), Lock::None).await?;
        if state.is_none() && recount::has_contents(reads).await? {
            return Err(super::store::in_force::nothing_in_force());
        }
        let hotness = match state {
            Some(state) => Some(versions.of(reads, state.version).await?),
            None => None,
        };
        let next = match state.and_then(|state| state.next_version) {
            Some(version) => Some(versions.of(reads, version).await?),
            None => None,
        };
        let now = kernel.clock.now();
        let pruned = kernel.settings.text("engagement.retention") != "off";
        let tombstones_before =
            pruned.then(|| now.plus(-settings::tombstone_ms(&kernel.settings)).plus(-TOMBSTONE_GRACE));
        Ok(Self { versions, state, hotness, next, latest: now.plus(moments::CLOCK_SKEW), tombstones_before })
    }

    /// What a recalculation under way has made of these contents.
    async fn next_figures(&self, reads: &DatabaseTransaction, contents: &[Stored]) -> Result<HashMap<Uuid, Figures>> {
        let keys: Vec<_> = contents.iter().map(|stored| key(stored.id)).collect();
        self.next_figures_within(reads, Range::of(&keys)).await
    }

    async fn next_figures_within(
        &self,
        reads: &DatabaseTransaction,
        range: Option<Range>,
    ) -> Result<HashMap<Uuid, Figures>> {
        match (range, &self.next) {
            (Some(range), Some(next)) => {
                let rows = recount::next_figures_within(reads, range, next.heat.version).await?;
                Ok(rows.into_iter().collect())
            }
            _ => Ok(HashMap::new()),
        }
    }
}

/// What the name of a field begins with that is none of what is in force, but of what a recalculation makes.
const NEXT: &str = "next ";

/// Whether it is such a field, and its name without that.
fn of_next(field: &str) -> (bool, &str) {
    field.strip_prefix(NEXT).map_or((false, field), |field| (true, field))
}

/// What was compared, in key order, and what differs.
#[derive(Default)]
struct Found {
    keys: Vec<Key>,
    drifts: Vec<(Key, Drift)>,
}

/// One content's drifts, as they are found.
struct Drifts<'a> {
    found: &'a mut Found,
    kind: i16,
    id: Uuid,
}

impl Found {
    /// Notes that a content was looked at.
    fn of(&mut self, kind: i16, id: Uuid) -> Drifts<'_> {
        self.keys.push(key(id));
        Drifts { found: self, kind, id }
    }
}

impl Drifts<'_> {
    /// Notes a drift where the texts differ.
    fn compare(&mut self, field: impl Into<String>, stored: &dyn Display, actual: &dyn Display) {
        let (stored, actual) = (stored.to_string(), actual.to_string());
        if stored != actual {
            self.add(field, stored, actual);
        }
    }

    fn add(&mut self, field: impl Into<String>, stored: String, actual: String) {
        let drift = Drift { id: content_id_text(self.kind, self.id), field: field.into(), stored, actual };
        self.found.drifts.push((key(self.id), drift));
    }
}

/// A check of what each content has. [`Of`] makes it a [`Check`].
#[async_trait]
trait OfContents: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    /// Compares contents; `reads` sees one moment, or holds the lock of the one that is wanted.
    async fn find(&self, ground: &Ground, reads: &DatabaseTransaction, which: Which) -> Result<Found>;

    /// Makes a locked content what a drift says is actual. Whether it can.
    async fn repair(&self, _ground: &Ground, _locked: &mut Locked<'_>, _drift: &Drift) -> Result<bool> {
        Ok(false)
    }

    /// Puts a locked content back to what was stored. Whether it could.
    async fn restore(&self, _locked: &mut Locked<'_>, _drift: &Drift) -> Result<bool> {
        Ok(false)
    }

    /// Whether what it puts back is in the row of figures.
    fn is_of_figures(&self) -> bool {
        true
    }
}

/// A check of contents.
struct Of<T>(Arc<T>);

impl<T> Of<T> {
    fn new(check: T) -> Self {
        Self(Arc::new(check))
    }
}

#[async_trait]
impl<T: OfContents> Check for Of<T> {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn key(&self, id: &str) -> Option<Key> {
        content_key(id).ok()
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_content(kernel, id).await
    }

    fn remedy(&self) -> Remedy {
        self.0.remedy()
    }

    /// Lanes are the first byte of what is random in an id.
    fn middle(&self) -> Option<Key> {
        Some((127, Uuid::max()))
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let versions = settings::for_checks(kernel).await?;
        let which = Which::After(after.unwrap_or(START), size);
        let reads = kernel.db.snapshot().await?;
        let ground = Ground::read(kernel, versions, &reads).await?;
        let Found { keys, drifts } = self.0.find(&ground, &reads, which).await?;
        reads.commit().await?;
        let mut suspects: Vec<Key> = drifts.into_iter().map(|(key, _)| key).collect();
        suspects.dedup();
        Ok(Chunk { checked: keys.len() as u64, suspects, next: which.next(&keys) })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        let (check, kernel) = (Arc::clone(&self.0), kernel.clone());
        let db = kernel.db.clone();
        db.write(move |tx| {
            let (check, kernel) = (Arc::clone(&check), kernel.clone());
            Box::pin(async move {
                let versions = settings::for_checks(&kernel).await?;
                locked::lock(tx, content).await?;
                let ground = Ground::read(&kernel, versions, tx.connection()).await?;
                let found = check.find(&ground, tx.connection(), Which::One(content)).await?;
                Ok(found.drifts.into_iter().map(|(_, drift)| drift).collect())
            })
        })
        .await
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, content: Key) -> Result<Vec<Drift>> {
        Ok(self.repair_keeping(kernel, tx, content).await?.0)
    }

    async fn repair_keeping(&self, kernel: &Kernel, tx: &Tx, content: Key) -> Result<(Vec<Drift>, Option<String>)> {
        let versions = settings::for_checks(kernel).await?;
        locked::lock(tx, content).await?;
        let ground = Ground::read(kernel, versions, tx.connection()).await?;
        let found = self.0.find(&ground, tx.connection(), Which::One(content)).await?;
        let mut repaired = Vec::new();
        if found.drifts.is_empty() {
            return Ok((repaired, None));
        }
        let Some(mut locked) = Locked::open(kernel, tx, content, None).await? else { return Ok((repaired, None)) };
        for (_, drift) in found.drifts {
            if self.0.repair(&ground, &mut locked, &drift).await? {
                repaired.push(drift);
            }
        }
        let kept = serde_json::to_string(&locked.write().await?).map_err(Error::internal)?;
        Ok((repaired, Some(kept)))
    }

    async fn restore(&self, kernel: &Kernel, tx: &Tx, content: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        self.restore_kept(kernel, tx, content, drifts, None).await
    }

    async fn restore_kept(
        &self,
        kernel: &Kernel,
        tx: &Tx,
        content: Key,
        drifts: &[Drift],
        kept: Option<&str>,
    ) -> Result<Vec<bool>> {
        let kept = kept.map(serde_json::from_str).transpose().map_err(Error::internal)?;
        locked::lock(tx, content).await?;
        let none = || Ok(vec![false; drifts.len()]);
        // Deleted since, or without figures that it would be of: there is nothing to put anything back into.
        let there = recount::stored_of(tx.connection(), Which::One(content)).await?;
        if !there.iter().any(|stored| stored.figures.is_some() || !self.0.is_of_figures()) {
            return none();
        }
        let Some(mut locked) = Locked::open(kernel, tx, content, kept).await? else { return none() };
        let mut restored = Vec::with_capacity(drifts.len());
        // The last one first, as a pile is taken down.
        for drift in drifts.iter().rev() {
            restored.push(self.0.restore(&mut locked, drift).await?);
        }
        restored.reverse();
        locked.write().await?;
        Ok(restored)
    }

    async fn changed(&self, kernel: &Kernel, keys: &[Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        // Figures changed behind the back of the servers' rank indexes.
        kernel.db.write(|tx| Box::pin(in_force::generation_raise(tx))).await
    }
}

/// Whether there is a content with this TypeID, and of the kind that it says. One that is being deleted is gone.
async fn is_content(kernel: &Kernel, id: &str) -> Result<bool> {
    let reads = kernel.db.snapshot().await?;
    let found = recount::stored_of(&reads, Which::One(content_key(id)?)).await?;
    reads.commit().await?;
    Ok(found.iter().any(|stored| content_id_text(stored.kind, stored.id) == id))
}

/// The key of a content by its TypeID.
///
/// # Errors
/// [`crate::kernel::error::Code::INVALID_INPUT`] for an id of another kind.
fn content_key(id: &str) -> Result<Key> {
    Ok(key(id.parse::<ContentId>()?.uuid))
}
