//! What an operator sees of a server: metrics, logs, traces.
//!
//! Metrics belong to a server ([`Metrics`], one a [`super::context::Kernel`]); logs and traces belong to the process,
//! because `tracing` has one subscriber a process.

mod backlog;
mod batches;
mod database;
mod families;
mod integrity;
mod json;
mod labels;
mod logs;
mod metrics;
mod otlp;
mod process;
mod request;
mod served;
mod text;
mod usual;
mod watch;
mod work;

pub use backlog::BacklogWatch;
pub use batches::BatchMetrics;
pub use database::DbMetrics;
pub use labels::{Label, Outcome, Transport};
pub use logs::{start, stop};
pub use metrics::{Held, Metrics, SocketHeld};
/// What modules make their own metrics with: [`crate::kernel::module::Start::metrics`].
pub use prometheus_client;
pub(crate) use request::{Requested, carried, current_request, within};
pub use served::ModuleServed;
pub(crate) use watch::count_statement;
pub use watch::{Facts, Watch, current};
pub(crate) use work::Waiting;
pub use work::WorkMetrics;
