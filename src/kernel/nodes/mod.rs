//! The processes that serve or work on a database, each with its last sign of life: what `tally status` shows.
//!
//! Nothing depends on it. Who may deliver or run a job is decided by leases; a sign of life only tells operators.

mod store;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

pub(crate) use store::{NodeState, all, clear};

use super::clock::Millis;
use super::context::Kernel;
use super::db::Tx;
use super::error::Result;

/// Signs of life that may be missed.
const MISSED_MOST: i64 = 4;
/// How long a node that ended without a word is shown.
const SHOWN: i64 = Millis::DAY;
/// How long the database may take to say that it is there, or to take leave of: a shutdown does not wait for more.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a process does.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// It serves, on this address.
    Server(SocketAddr),
    /// It delivers events and runs jobs, and serves nothing.
    Worker,
}

/// This process as others see it.
#[derive(Clone, Debug)]
struct Node {
    id: String,
    host: String,
    role: &'static str,
    works: bool,
    listen: Option<String>,
    beat_secs: i64,
    started_at: Millis,
}

/// Writes the first sign of life, and the next ones until the server stops. A database that does not take one is no
/// reason not to serve: the log says so, once.
pub(crate) async fn begin(kernel: &Kernel, role: Role) {
    let node = Node {
        id: kernel.node.to_string(),
        host: kernel.node.split('/').next().unwrap_or_default().to_owned(),
        role: match role {
            Role::Server(_) => "server",
            Role::Worker => "worker",
        },
        works: matches!(role, Role::Worker) || kernel.settings.switch("worker.enabled"),
        listen: match role {
            Role::Server(address) => Some(address.to_string()),
            Role::Worker => None,
        },
        beat_secs: kernel.settings.count("nodes.heartbeat_secs").into(),
        started_at: kernel.clock.now(),
    };
    let mut heard = beat(kernel, &node, true).await;
    let kernel = kernel.clone();
    kernel.tasks.clone().spawn(async move {
        let mut ticks = interval(Duration::from_secs(node.beat_secs.unsigned_abs()));
        // Signs that were missed while the database was away are not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            tokio::select! {
                () = kernel.shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            // A read first: while the database is away, nothing waits to be written.
            if matches!(timeout(PATIENCE, kernel.db.ping()).await, Ok(Ok(()))) {
                heard = beat(&kernel, &node, heard).await;
            }
        }
        let id = node.id.clone();
        let left = kernel.db.write(move |tx| {
            let id = id.clone();
            Box::pin(async move { store::leave(tx, &id).await })
        });
        if !matches!(timeout(PATIENCE, left).await, Ok(Ok(()))) {
            tracing::debug!("this node stays in the list until it counts as dead");
        }
    });
}

/// Whether the sign was written; the first of several that were not is logged.
async fn beat(kernel: &Kernel, node: &Node, heard: bool) -> bool {
    let (node, now) = (node.clone(), kernel.clock.now());
    let written = kernel.db.write(move |tx| {
        let node = node.clone();
        Box::pin(async move { store::beat(tx, &node, now).await })
    });
    match written.await {
        Ok(()) => true,
        Err(error) => {
            if heard {
                tracing::warn!(error = error.for_operator(), "no sign of life can be written");
            }
            false
        }
    }
}

/// Removes the nodes that have been silent for a day. How many.
pub(crate) async fn prune(tx: &Tx, now: Millis) -> Result<u64> {
    store::prune(tx, now.plus(-SHOWN)).await
}

impl NodeState {
    /// For how many seconds it has been silent, if that is too long.
    pub(crate) fn dead_secs(&self, now: Millis) -> Option<i64> {
        let silent = (now.0 - self.seen_at.0) / 1000;
        (silent > MISSED_MOST * self.beat_secs).then_some(silent)
    }
}
