//! What a module says of its batched writes.

use futures_util::future::BoxFuture;

use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::id::{Lane, Lanes};

/// The write side of one consistency boundary: folds many commands into one transaction.
pub trait BatchWriter: Send + Sync + 'static {
    /// What is asked for. Carries its ids: they are made before the first try, so that a retry writes the same rows.
    type Command: Send + Sync + 'static;
    /// What the one who asked gets.
    type Outcome: Send + 'static;
    /// What changed, for this process's rankings and listeners.
    type Effects: Send + 'static;

    /// For logs and metrics.
    const NAME: &'static str;

    /// Where the command belongs; every row that it writes has this lane, or one of [`BatchWriter::lanes`].
    fn lane(&self, command: &Self::Command) -> Lane;

    /// The lanes of all rows that the command writes. One whose lanes are of several writers runs in a transaction of its
    /// own, beside theirs: it takes its locks in the same order.
    fn lanes(&self, command: &Self::Command) -> Lanes {
        self.lane(command).into()
    }

    /// How many of [`super::BatchLimits::commands`] a command counts as: one that writes many rows is many.
    fn weight(&self, _command: &Self::Command) -> usize {
        1
    }

    /// Applies `commands`, in their order, inside `tx`: locks the rows in key order, reads in later statements, folds
    /// in memory, writes the net result. A command that is refused gets its own error and leaves its neighbours alone.
    ///
    /// # Errors
    /// What fails the whole batch: the database, or a row count that is not as it must be.
    fn apply<'a>(&'a self, tx: &'a Tx, commands: &'a [Self::Command]) -> BoxFuture<'a, Result<Applied<Self>>>;

    /// Takes what a committed batch changed into this process's rankings, before anybody gets an answer.
    fn committed(&self, effects: Self::Effects);
}

/// What came of a batch: an outcome a command, in their order.
pub struct Applied<W: BatchWriter + ?Sized> {
    /// One for each command.
    pub outcomes: Vec<Result<W::Outcome>>,
    /// For [`BatchWriter::committed`].
    pub effects: W::Effects,
}
