//! Checks: every figure is recomputed from its facts, put right, and explained, while the server runs.

mod alarm;
mod cells;
mod check;
mod desk;
mod explain;
mod hand;
mod job;
mod late;
mod patience;
mod repair;
mod report;
pub(crate) mod store;
mod tell;
mod undo;

use async_trait::async_trait;
use serde::Serialize;

use super::context::Kernel;
use super::db::Tx;
use super::error::{Error, Result};

pub use cells::Cells;
pub use check::run;
pub use desk::{Integrity, Scope};
pub use explain::{Explain, Explained, Fact};
pub use hand::{Hear, Silent};
pub(crate) use job::jobs;
pub use patience::Patience;
pub(crate) use report::consistency;
pub use report::{Change, CheckLine, Failure, Kind, Report, RunKind, State, percent};
pub use store::cells::{Cell, Due, Left, Table};

/// Titled tables of names and values, that a module shows beside its checks.
pub type Overview = Vec<(String, Vec<(String, String)>)>;

/// A figure, and how to recompute it.
#[async_trait]
pub trait Check: Send + Sync {
    /// The module whose figure it is.
    fn module(&self) -> &'static str;
    /// Its name: `like-count`.
    fn name(&self) -> &'static str;
    /// Compares a chunk of items that follow `after` in key order, in short reads.
    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk>;
    /// A key in the middle of its items, where those up to it and those beyond may be compared at the same time: a process
    /// that was asked does so. For checks whose [`Check::scan`] reads what follows `after` and nothing else, and says `next`
    /// whenever it found as many as it was asked for. `None`: one chunk after the other.
    fn middle(&self) -> Option<Key> {
        None
    }

    /// Compares one item again, under the lock that every write of it takes.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>>;

    /// The key of the item with this id; `None` when the check is not about such items. Not whether there is one.
    fn key(&self, _id: &str) -> Option<Key> {
        None
    }

    /// Whether there is the item with this id, which has a [`Check::key`]. A check that cannot tell says so of all.
    async fn is_there(&self, _kernel: &Kernel, _id: &str) -> Result<bool> {
        Ok(true)
    }

    /// How what it finds is put right.
    fn remedy(&self) -> Remedy;

    /// Takes what items that are put right in one transaction have to lock, in the order of whoever else locks it: for
    /// checks whose items are not what is locked. Called before their [`Check::repair`].
    async fn lock(&self, _kernel: &Kernel, _tx: &Tx, _keys: &[Key]) -> Result<()> {
        Ok(())
    }

    /// Puts an item right in a transaction: takes the lock of [`Check::confirm`], compares again, writes what the facts
    /// say and raises the version of what it writes. What was wrong, as it was: this is kept, and undone by
    /// [`Check::restore`]. Nothing when all tallies by now. Called where [`Check::remedy`] is [`Remedy::Repair`] or [`Remedy::RepairOr`].
    async fn repair(&self, _kernel: &Kernel, _tx: &Tx, _key: Key) -> Result<Vec<Drift>> {
        Err(Error::internal(format!("{} repairs nothing", self.name())))
    }

    /// Puts back, under the same lock, what a repair of the item replaced: the drift as it was, beside all that has
    /// happened since (a sum gets its difference back, so that acts in between stay counted; anything else is put back
    /// only while it is what the repair made of it). Whether each drift was put back, in their order.
    async fn restore(&self, _kernel: &Kernel, _tx: &Tx, _key: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        Ok(vec![false; drifts.len()])
    }

    /// [`Check::repair`] of a check that writes more than its drifts name: with a text of what else it replaced, which is
    /// kept beside them and handed to [`Check::restore_kept`].
    async fn repair_keeping(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<(Vec<Drift>, Option<String>)> {
        Ok((self.repair(kernel, tx, key).await?, None))
    }

    /// [`Check::restore`] with what [`Check::repair_keeping`] kept; `None` of a repair that kept nothing.
    async fn restore_kept(
        &self,
        kernel: &Kernel,
        tx: &Tx,
        key: Key,
        drifts: &[Drift],
        _kept: Option<&str>,
    ) -> Result<Vec<bool>> {
        self.restore(kernel, tx, key, drifts).await
    }

    /// Called after the commits of repairs or of what undoes them, so that indexes, other processes and listeners learn
    /// of them: at the end of each round, by the way where one takes long, and once more when in doubt.
    async fn changed(&self, _kernel: &Kernel, _keys: &[Key]) -> Result<()> {
        Ok(())
    }
}

/// How a drift is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// `tally repair` writes what the facts say.
    Repair,
    /// The same, but for some of it: what to do about that, in a sentence.
    RepairOr(&'static str),
    /// A person decides, or something that is no repair: what to do, in a sentence.
    Advice(&'static str),
}

impl Remedy {
    /// Whether `tally repair` writes anything.
    #[must_use]
    pub const fn repairs(&self) -> bool {
        !matches!(self, Self::Advice(_))
    }
}

/// Where an item stands in key order.
pub type Key = (i16, uuid::Uuid);

/// What a scan of a chunk found.
pub struct Chunk {
    /// How many items were compared.
    pub checked: u64,
    /// The items that seem to differ: a write may have come between two reads.
    pub suspects: Vec<Key>,
    /// Where the next chunk begins; `None` at the end.
    pub next: Option<Key>,
}

/// A figure that is not what its facts add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Drift {
    /// The item, as a TypeID.
    pub id: String,
    /// Which of its figures.
    pub field: String,
    /// What is stored.
    pub stored: String,
    /// What the facts say.
    pub actual: String,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The check's module.
    pub module: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// How many items were compared.
    pub checked: u64,
    /// How many figures differ, confirmed under the lock.
    pub drifted: u64,
    /// Of how many items they are.
    #[serde(skip)]
    pub items: u64,
    /// The first of them.
    pub examples: Vec<Drift>,
}
