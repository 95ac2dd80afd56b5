//! What every part of the server is handed.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Context;
use sea_orm::DbBackend;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{BatchLimits, BatchWriter, Batcher};
use super::clock::Clock;
use super::config::Settings;
use super::db::Db;
use super::error::{Error, Result};
use super::events::Outbox;
use super::id::Ids;
use super::jobs::Jobs;
use super::peers::Peers;
use super::telemetry::{BacklogWatch, Metrics};

/// The kernel's services. Cheap to clone.
#[derive(Clone)]
pub struct Kernel {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids and randomness.
    pub ids: Arc<Ids>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// What this server counts.
    pub metrics: Metrics,
    /// Events for those who act on them later.
    pub outbox: Outbox,
    /// Work that is due by a schedule.
    pub jobs: Jobs,
    /// The other servers on the database.
    pub peers: Peers,
    /// This process, as leases and `tally status` name it: `host/process/chance`.
    pub node: Arc<str>,
    /// When backlogs were last looked up.
    pub(crate) backlogs: BacklogWatch,
    /// Background tasks; the shutdown waits for them.
    pub tasks: TaskTracker,
    /// Told when the server is to stop.
    pub shutdown: CancellationToken,
}

impl Kernel {
    /// Opens the database and gathers the rest.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Result<Self> {
        let db = Db::open(&settings).await?;
        let node: Arc<str> = node_name(&ids).into();
        let metrics = Metrics::new(&settings, &db);
        Ok(Self {
            outbox: Outbox::new(&db, &clock, &node, &settings, metrics.work()),
            metrics,
            jobs: Jobs::new(&node, &settings),
            peers: Peers::new(&node),
            node,
            backlogs: BacklogWatch::default(),
            db,
            clock,
            ids,
            settings: Arc::new(settings),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        })
    }

    /// Starts a module's write batcher with the settings' limits.
    pub fn batcher<W: BatchWriter>(&self, writer: Arc<W>) -> Batcher<W> {
        let limits = BatchLimits {
            commands: self.settings.count("batch.commands") as usize,
            queue: self.settings.count("batch.queue") as usize,
            groups: self.settings.count("batch.groups") as usize,
            single_lane: self.settings.switch("batch.single_lane"),
        };
        Batcher::start(writer, &self.db, &self.clock, &self.ids, limits, &self.tasks, self.metrics.batches(W::NAME))
    }

    /// Which dialect the database speaks.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.db.backend()
    }
}

/// Tells this process from all others, and operators where to look: `host/process/chance`.
fn node_name(ids: &Ids) -> String {
    let host = rustix::system::uname();
    let chance: String = ids.bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}/{}/{chance}", host.nodename().to_string_lossy(), std::process::id())
}

/// The facades that the started modules provide, by type.
#[derive(Default)]
pub struct Facades(HashMap<TypeId, (&'static str, Box<dyn Any + Send + Sync>)>);

impl Facades {
    /// Adds a module's facade.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, module: &'static str, facade: T) -> Result<()> {
        match self.0.insert(TypeId::of::<T>(), (module, Box::new(facade))) {
            None => Ok(()),
            Some((other, _)) => {
                let name = std::any::type_name::<T>();
                Err(Error::internal(format!("{name} is provided by {other} and by {module}")))
            }
        }
    }

    /// A facade and the module that provides it.
    ///
    /// # Errors
    /// When no started module provides it.
    pub fn get<T: Send + Sync + 'static>(&self) -> Result<(&'static str, &T)> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|(module, facade)| Some((*module, facade.downcast_ref::<T>()?)))
            .ok_or_else(|| Error::internal(format!("no module provides {}", std::any::type_name::<T>())))
    }
}

/// How resolvers reach facades.
pub trait FacadeExt<'a> {
    /// The facade of type `T`.
    ///
    /// # Errors
    /// When no started module provides it.
    fn facade<T: Send + Sync + 'static>(&self) -> Result<&'a T>;
}

impl<'a> FacadeExt<'a> for Context<'a> {
    fn facade<T: Send + Sync + 'static>(&self) -> Result<&'a T> {
        let facades = self.data_opt::<Arc<Facades>>().ok_or_else(|| Error::internal("no facades in the schema"))?;
        Ok(facades.get::<T>()?.1)
    }
}
