//! Reads and writes by batch: [`Loader`] gathers the reads of one request, [`Batcher`] the writes of all of them.

mod loader;
mod marker;
mod queue;
mod writer;

pub use loader::{Load, Loader};
pub(crate) use marker::markers_prune;
pub use queue::{BatchLimits, Batcher};
pub use writer::{Applied, BatchWriter};
