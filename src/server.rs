//! A server from a list of modules: open, migrate, start, serve, stop.

use std::sync::Arc;

use async_graphql::{Schema, ValidationMode};

use crate::app::App;
use crate::kernel::auth::{AuthConfig, Tokens};
use crate::kernel::clock::Clock;
use crate::kernel::config::Settings;
use crate::kernel::context::{Facades, Kernel};
use crate::kernel::error::Result;
use crate::kernel::gate::Gate;
use crate::kernel::graphql::{
    FieldOwners, GuardedMutation, GuardedQuery, GuardedSubscription, IntegrityDesk, NodeKinds,
};
use crate::kernel::http::{
    AnySchema, Assets, Listening, MetricsListening, Mode, Routes, Site, listen, listen_for_metrics,
};
use crate::kernel::id::Ids;
use crate::kernel::integrity::{self, CheckReport, Integrity};
use crate::kernel::module::{Modules, Overviews};
use crate::kernel::nodes::{self, Role};

/// The schema of an app.
pub type AppSchema<A> = Schema<
    GuardedQuery<<A as App>::Query>,
    GuardedMutation<<A as App>::Mutation>,
    GuardedSubscription<<A as App>::Subscription>,
>;

/// The schema's SDL, as `schema.graphql` holds it. Needs no database.
#[must_use]
pub fn sdl<A: App>() -> String {
    let schema = AppSchema::<A>::build(Default::default(), Default::default(), Default::default()).finish();
    schema
        .sdl_with_options(async_graphql::SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items())
}

/// The gate limits how deep documents nest; the library's own limit, which counts otherwise, stays out of the way.
const RECURSION_MOST: usize = 10_000;

/// How long writers get to empty their queues once requests have ended, or had their time.
const LAST_GRACE: std::time::Duration = std::time::Duration::from_secs(5);

/// A server that has started and has its port, and does not serve yet.
pub struct Server {
    /// The kernel's services.
    pub kernel: Kernel,
    /// The modules' facades.
    pub facades: Arc<Facades>,
    /// Where it listens.
    pub listening: Listening,
    /// Makes tokens that it takes.
    pub tokens: Tokens,
    metrics: Option<MetricsListening>,
    schema: AnySchema,
    gate: Gate,
    integrity: Integrity,
}

impl Server {
    /// Opens the database, brings its schema up, starts all modules, takes the port.
    ///
    /// # Errors
    /// Settings without a key to check tokens with, modules that do not fit together, a database or a port that cannot be had.
    pub async fn start<A: App>(settings: Settings, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Result<Self> {
        let (modules, absent) = Modules::new(A::modules())?.switched(&settings)?;
        // Before anything is made: a server without keys is refused, and leaves no database behind.
        let auth = AuthConfig::read(&settings)?;
        let (kernel, facades, integrity) = open(&modules, settings, clock, ids).await?;
        let facades = Arc::new(facades);
        let schema =
            absent.during(|| AppSchema::<A>::build(Default::default(), Default::default(), Default::default()));
        let introspection = Mode::introspection(&kernel.settings);
        let schema = if introspection { schema } else { schema.disable_introspection().disable_suggestions() };
        let overviews = Overviews::of(&modules.list);
        let schema = schema
            .data(Arc::clone(&facades))
            .data(Arc::new(NodeKinds::of(&modules.list)))
            .data(Arc::new(FieldOwners::of(&modules.list, &kernel.metrics)))
            .data(Arc::new(modules.access))
            .data(IntegrityDesk { kernel: kernel.clone(), integrity: integrity.clone(), overviews })
            .validation_mode(ValidationMode::Fast)
            .limit_recursive_depth(RECURSION_MOST)
            .finish();
        let gate = Gate::new(&schema.sdl(), &kernel.settings, introspection)?;
        let listening = listen(&kernel).await?;
        let metrics = listen_for_metrics(&kernel).await?;
        let tokens = Tokens::start(auth, &kernel).await?;
        nodes::begin(&kernel, Role::Server(listening.address)).await;
        Ok(Self { kernel, facades, listening, tokens, metrics, schema: AnySchema::new(schema), gate, integrity })
    }

    /// Serves until [`Kernel::shutdown`] is cancelled; every acknowledged write is durable long before.
    ///
    /// # Errors
    /// The listener's own.
    pub async fn serve(self, extra: axum::Router) -> Result<()> {
        let Self { kernel, facades, listening, tokens, metrics, schema, gate, .. } = self;
        if kernel.settings.switch("worker.enabled") {
            work(&kernel);
        }
        let site = Site::new(kernel.clone(), schema, gate, tokens);
        if let Some(metrics) = metrics {
            metrics.serve(&site.kernel, Some(&site));
        }
        listening.serve(Routes::new(site, Assets, extra)).await?;
        // The routes and their schema are gone.
        close(kernel, facades).await
    }

    /// A handle that runs every check, those of this process's indexes too.
    #[must_use]
    pub fn auditor(&self) -> Auditor {
        Auditor { kernel: self.kernel.clone(), integrity: self.integrity.clone() }
    }
}

/// Opens the database, brings its schema up, starts all modules.
async fn open(
    modules: &Modules,
    settings: Settings,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
) -> Result<(Kernel, Facades, Integrity)> {
    let kernel = Kernel::open(settings, clock, ids).await?;
    let applied = kernel.db.migrate(&modules.migrations()).await?;
    if applied > 0 {
        tracing::info!(applied, "schema brought up");
    }
    let (facades, integrity) = modules.start(&kernel).await?;
    Ok((kernel, facades, integrity))
}

/// Begins to deliver events and to run jobs.
fn work(kernel: &Kernel) {
    kernel.outbox.start(&kernel.tasks, &kernel.shutdown);
    kernel.jobs.start(kernel);
}

/// With consumers, jobs and facades go the writers' queues, and the writers end.
async fn close(kernel: Kernel, facades: Arc<Facades>) -> Result<()> {
    let ended = async {
        kernel.outbox.close().await;
        kernel.jobs.close();
        drop(facades);
        kernel.tasks.close();
        // What is still under way after that was never acknowledged.
        kernel.tasks.wait().await;
        kernel.peers.close(&kernel.db).await;
        kernel.db.close().await
    };
    match tokio::time::timeout(LAST_GRACE, ended).await {
        Ok(closed) => closed,
        Err(_) => {
            tracing::warn!("writes were still under way at the end of the grace period");
            Ok(())
        }
    }
}

/// What a server does without being asked: it delivers events and runs jobs, and serves nothing but its metrics.
pub struct Worker {
    /// The kernel's services.
    pub kernel: Kernel,
    facades: Arc<Facades>,
    metrics: Option<MetricsListening>,
}

impl Worker {
    /// Opens the database, brings its schema up, starts all modules, takes the port of `telemetry.metrics_listen`.
    ///
    /// # Errors
    /// Modules that do not fit together, a database or a port that cannot be had.
    pub async fn start<A: App>(settings: Settings, clock: Arc<dyn Clock>, ids: Arc<Ids>) -> Result<Self> {
        let (modules, _) = Modules::new(A::modules())?.switched(&settings)?;
        let (kernel, facades, _) = open(&modules, settings, clock, ids).await?;
        let metrics = listen_for_metrics(&kernel).await?;
        nodes::begin(&kernel, Role::Worker).await;
        Ok(Self { kernel, facades: Arc::new(facades), metrics })
    }

    /// Works until [`Kernel::shutdown`] is cancelled, and lets what is under way come to the end of its transaction.
    ///
    /// # Errors
    /// The database's own.
    pub async fn run(self) -> Result<()> {
        if let Some(metrics) = self.metrics {
            metrics.serve(&self.kernel, None);
        }
        work(&self.kernel);
        self.kernel.shutdown.cancelled().await;
        close(self.kernel, self.facades).await
    }
}

/// Runs the checks of a running server.
#[derive(Clone)]
pub struct Auditor {
    kernel: Kernel,
    integrity: Integrity,
}

impl Auditor {
    /// Runs all checks.
    ///
    /// # Errors
    /// The database's own.
    pub async fn run(&self) -> Result<Vec<CheckReport>> {
        let mut reports = Vec::new();
        for check in self.integrity.checks() {
            reports.push(integrity::run(&**check, &self.kernel, &|_| ()).await?);
        }
        Ok(reports)
    }
}
