//! What a module is: a declaration that is validated before anything starts.

mod overviews;
mod reflect;
mod validate;

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use async_graphql::{ObjectType, SubscriptionType};
use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry as Registered;
use sea_orm_migration::MigrationTrait;

use super::auth::{Access, AccessTable, Root};
use super::config::{Setting, Settings};
use super::context::{Facades, Kernel};
use super::db::Migrations;
use super::error::{Error, Result};
use super::events::{Consumer, Consumes};
use super::graphql::{Absent, NodeKind};
use super::integrity::{self, Check, Explain, Integrity, Overview};
use super::jobs::Job;
pub use overviews::Overviews;
use reflect::{root_fields, type_names, viewer_fields};
use validate::{check_access, check_consumers, check_names, in_order};

/// A module: its part of the schema, its tables, its settings, its checks, and how it starts.
///
/// Types for what a module does not have: [`super::graphql::NoFields`].
pub trait Module: Send + Sync + 'static {
    /// Its root query fields.
    type Query: ObjectType + Default + 'static;
    /// Its root mutation fields.
    type Mutation: ObjectType + Default + 'static;
    /// Its root subscription fields.
    type Subscription: SubscriptionType + Default + 'static;
    /// Its fields of `Viewer`, which `me` returns.
    type Viewer: ObjectType + Default + 'static;

    /// Its name: a folder, a migration table, a word in reports.
    const NAME: &'static str;
    /// The modules whose facades it may use.
    const DEPENDS_ON: &'static [&'static str] = &[];
    /// Its settings; every key begins with `NAME.`.
    const SETTINGS: &'static [Setting] = &[];
    /// Who may use each of its root fields; a field without a line keeps the server from starting.
    const ACCESS: &'static [(Root, &'static str, Access)];

    /// Its migrations, oldest first.
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Vec::new()
    }

    /// Its types that `node(id:)` finds.
    fn nodes() -> Vec<NodeKind> {
        Vec::new()
    }

    /// Its checks.
    fn checks() -> Vec<Arc<dyn Check>> {
        Vec::new()
    }

    /// Its figures that can be explained.
    fn explanations() -> Vec<Arc<dyn Explain>> {
        Vec::new()
    }

    /// What operators like to see beside its checks: titled tables of names and values, in a few reads.
    fn overview(_kernel: &Kernel) -> impl Future<Output = Result<Overview>> + Send {
        async { Ok(Overview::new()) }
    }

    /// What of it needs somebody now, for `tally status`; in a few reads.
    fn needs(_kernel: &Kernel) -> impl Future<Output = Result<Vec<Need>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Its durable consumers of events, and the kinds that each takes. Each is started with [`Start::consumer`].
    fn consumers() -> Vec<Consumes> {
        Vec::new()
    }

    /// Whether a consumer takes a kind that it declares, under these settings. Asked when a process starts: what nobody
    /// takes is not written. A kind that takes something back is to be taken for as long as there is something.
    fn takes(_settings: &Settings, _consumer: &str, _kind: &str) -> bool {
        true
    }

    /// Starts it: fills caches, starts writers, provides its facade. The modules it depends on have started.
    fn start(start: &mut Start<'_>) -> impl Future<Output = Result<()>> + Send;
}

/// Something that needs somebody.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is, in words.
    pub what: String,
    /// The command that helps, or shows more.
    pub command: &'static str,
}

/// What a starting module uses and provides.
pub struct Start<'a> {
    /// The kernel's services.
    pub kernel: &'a Kernel,
    module: &'static str,
    depends_on: &'static [&'static str],
    facades: &'a mut Facades,
    checks: &'a mut Vec<Arc<dyn Check>>,
    consumers: &'a [Consumes],
}

impl Start<'_> {
    /// Provides the module's facade to resolvers and to the modules that depend on it.
    ///
    /// # Errors
    /// When another module provides the same type.
    pub fn provide<T: Send + Sync + 'static>(&mut self, facade: T) -> Result<()> {
        self.facades.insert(self.module, facade)
    }

    /// The facade of a module that this one declares to depend on.
    ///
    /// # Errors
    /// When it is not declared, or does not exist.
    pub fn facade<T: Send + Sync + 'static>(&self) -> Result<&T> {
        let (module, facade) = self.facades.get::<T>()?;
        if self.depends_on.contains(&module) {
            return Ok(facade);
        }
        Err(Error::internal(format!("{} uses {module} and does not declare it in DEPENDS_ON", self.module)))
    }

    /// Adds metrics of the module; their names begin with `tally_MODULE_`. Called once.
    pub fn metrics(&self, register: impl FnOnce(&mut Registered)) {
        self.kernel.metrics.register(self.module, register);
    }

    /// Adds the consumer behind a name of [`Module::consumers`].
    ///
    /// # Errors
    /// When the module does not declare it, or has added it before.
    pub fn consumer(&mut self, name: &'static str, consumer: Arc<dyn Consumer>) -> Result<()> {
        if !self.consumers.iter().any(|declared| declared.consumer == name) {
            return Err(Error::internal(format!("{} starts consumer {name} and does not declare it", self.module)));
        }
        self.kernel.outbox.add(name, consumer)
    }

    /// Adds a job; its name begins with `MODULE.`, its schedule is a setting of the module.
    ///
    /// # Errors
    /// When it is there before, or its schedule is no setting or none that ever comes; the database's own.
    pub async fn job(&mut self, job: Job) -> Result<()> {
        let section = format!("{}.", self.module);
        if !job.name.starts_with(&section) || !job.schedule.starts_with(&section) {
            let (name, key) = (job.name, job.schedule);
            return Err(Error::internal(format!("job {name} with schedule {key} is outside {}", self.module)));
        }
        self.kernel.jobs.add(self.kernel, job).await
    }

    /// Adds a check that needs the running server: of an index or a cache against the database.
    pub fn check(&mut self, check: Arc<dyn Check>) {
        self.checks.push(check);
    }
}

type OverviewFn = for<'a> fn(&'a Kernel) -> BoxFuture<'a, Result<Overview>>;
type NeedsFn = for<'a> fn(&'a Kernel) -> BoxFuture<'a, Result<Vec<Need>>>;
type StartFn = for<'a, 'b> fn(&'a mut Start<'b>) -> BoxFuture<'a, Result<()>>;

/// A module without its types: one line of the list.
pub struct ModuleDecl {
    /// [`Module::NAME`]
    pub name: &'static str,
    /// [`Module::DEPENDS_ON`]
    pub depends_on: &'static [&'static str],
    /// [`Module::SETTINGS`]
    pub settings: &'static [Setting],
    /// [`Module::ACCESS`]
    pub access: &'static [(Root, &'static str, Access)],
    /// [`Module::migrations`]
    pub migrations: fn() -> Vec<Box<dyn MigrationTrait>>,
    /// [`Module::nodes`]
    pub nodes: fn() -> Vec<NodeKind>,
    /// [`Module::checks`]
    pub checks: fn() -> Vec<Arc<dyn Check>>,
    /// [`Module::explanations`]
    pub explanations: fn() -> Vec<Arc<dyn Explain>>,
    /// [`Module::overview`]
    pub overview: OverviewFn,
    /// [`Module::needs`]
    pub needs: NeedsFn,
    /// [`Module::consumers`]
    pub consumers: fn() -> Vec<Consumes>,
    /// [`Module::takes`]
    pub takes: fn(&Settings, &str, &str) -> bool,
    roots: fn() -> Vec<(Root, String)>,
    viewer_fields: fn() -> Vec<String>,
    types: fn() -> BTreeMap<String, &'static str>,
    start: StartFn,
}

impl ModuleDecl {
    /// The declaration of `M`.
    #[must_use]
    pub fn of<M: Module>() -> Self {
        Self {
            name: M::NAME,
            depends_on: M::DEPENDS_ON,
            settings: M::SETTINGS,
            access: M::ACCESS,
            migrations: M::migrations,
            nodes: M::nodes,
            checks: M::checks,
            explanations: M::explanations,
            overview: |kernel| Box::pin(M::overview(kernel)),
            needs: |kernel| Box::pin(M::needs(kernel)),
            consumers: M::consumers,
            takes: M::takes,
            roots: root_fields::<M>,
            viewer_fields: viewer_fields::<M>,
            types: type_names::<M>,
            start: |start| Box::pin(M::start(start)),
        }
    }
}

/// The validated list of modules, in an order in which they can start.
pub struct Modules {
    /// Dependencies first.
    pub list: Vec<ModuleDecl>,
    /// The rules of all root fields.
    pub access: AccessTable,
}

impl Modules {
    /// Validates a list.
    ///
    /// # Errors
    /// Every problem at once, one a line: names that two modules share, or one and the kernel (modules, root fields,
    /// fields of `Viewer`, types, id prefixes, checks, consumers), root fields without a rule and rules without a field, settings
    /// outside the module's section, dependencies that are missing or go in a circle.
    pub fn new(list: Vec<ModuleDecl>) -> Result<Self> {
        let mut problems = Vec::new();
        let mut access = AccessTable::default();
        for (root, field, rule) in super::graphql::CORE_ACCESS {
            access.0.insert((*root, (*field).to_owned()), *rule);
        }
        check_names(&list, &mut problems);
        for module in &list {
            check_access(module, &mut access, &mut problems);
            check_consumers(module, &mut problems);
            for setting in module.settings {
                if !setting.key.starts_with(&format!("{}.", module.name)) {
                    problems.push(format!("{}: setting {} is outside its section", module.name, setting.key));
                }
            }
        }
        let list = in_order(list, &mut problems);
        if problems.is_empty() {
            return Ok(Self { list, access });
        }
        Err(Error::internal(format!("{} wrong module(s):\n  {}", problems.len(), problems.join("\n  "))))
    }

    /// Takes out the modules named in `modules.off`, and says what their absence leaves out of the schema.
    ///
    /// # Errors
    /// Every problem at once: names that are no module's, modules that stay and depend on one that goes.
    pub fn switched(mut self, settings: &Settings) -> Result<(Self, Absent)> {
        let off: HashSet<&str> = settings.list("modules.off").collect();
        let mut problems: Vec<_> = off
            .iter()
            .filter(|name| !self.list.iter().any(|module| module.name == **name))
            .map(|name| format!("there is no module {name}"))
            .collect();
        let (gone, kept): (Vec<_>, Vec<_>) = self.list.into_iter().partition(|module| off.contains(module.name));
        for module in &kept {
            for name in module.depends_on.iter().filter(|name| off.contains(**name)) {
                problems.push(format!("{} depends on {name}: switch it off too", module.name));
            }
        }
        if !problems.is_empty() {
            problems.sort();
            return Err(Error::invalid(format!("modules.off:\n  {}", problems.join("\n  "))));
        }
        let mut absent = Absent::default();
        for module in gone {
            absent.roots.extend((module.roots)());
            absent.viewer.extend((module.viewer_fields)());
            absent.prefixes.extend((module.nodes)().iter().map(|node| node.prefix));
        }
        self.access.0.retain(|field, _| !absent.roots.contains(field));
        let left: HashSet<Root> = self.access.0.keys().map(|(root, _)| *root).collect();
        absent.empty =
            [Root::Query, Root::Mutation, Root::Subscription].into_iter().filter(|root| !left.contains(root)).collect();
        self.list = kept;
        Ok((self, absent))
    }

    /// All settings: the kernel's and every module's.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let own = super::config::SETTINGS.iter().chain(super::config::OPERATIONS);
        own.chain(self.list.iter().flat_map(|module| module.settings)).copied().collect()
    }

    /// All migrations, the kernel's first.
    #[must_use]
    pub fn migrations(&self) -> Vec<Migrations> {
        let kernel = Migrations { module: "kernel", list: tally_migration::kernel::migrations };
        let modules = self.list.iter().map(|module| Migrations { module: module.name, list: module.migrations });
        std::iter::once(kernel).chain(modules).collect()
    }

    /// All checks that need no running server.
    #[must_use]
    pub fn checks(&self) -> Vec<Arc<dyn Check>> {
        let own: Arc<dyn Check> = Arc::new(super::events::Undelivered);
        self.list.iter().flat_map(|module| (module.checks)()).chain([own]).collect()
    }

    /// All figures that can be explained.
    #[must_use]
    pub fn explanations(&self) -> Vec<Arc<dyn Explain>> {
        self.list.iter().flat_map(|module| (module.explanations)()).collect()
    }

    /// What works on both, for a process that has started no modules.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        Integrity::new(self.checks(), Vec::new(), self.explanations())
    }

    /// What the modules show beside their checks.
    ///
    /// # Errors
    /// The database's own.
    pub async fn overview(&self, kernel: &Kernel) -> Result<Overview> {
        Overviews::of(&self.list).look(kernel, None).await
    }

    /// What of the modules needs somebody.
    ///
    /// # Errors
    /// The database's own.
    pub async fn needs(&self, kernel: &Kernel) -> Result<Vec<Need>> {
        let mut needs = Vec::new();
        let off: Vec<_> = kernel.settings.list("modules.off").collect();
        for module in self.list.iter().filter(|module| !off.contains(&module.name)) {
            needs.extend((module.needs)(kernel).await?);
        }
        Ok(needs)
    }

    /// All durable consumers.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumes> {
        self.list.iter().flat_map(|module| (module.consumers)()).collect()
    }

    /// Starts all modules. Returns their facades, and all checks, those too that need them.
    ///
    /// # Errors
    /// The first module's that cannot start.
    pub async fn start(&self, kernel: &Kernel) -> Result<(Facades, Integrity)> {
        let mut facades = Facades::default();
        let mut checks = Vec::new();
        for module in &self.list {
            let takes = |consumer: &str, kind: &str| (module.takes)(&kernel.settings, consumer, kind);
            kernel.outbox.declare(&(module.consumers)(), takes);
        }
        // Before a module reads what it is to be told changes of.
        kernel.peers.open(kernel).await;
        let first = kernel.jobs.open(kernel);
        if first {
            kernel.jobs.add(kernel, super::jobs::retention()).await?;
        }
        for module in &self.list {
            let consumers = (module.consumers)();
            let mut start = Start {
                kernel,
                module: module.name,
                depends_on: module.depends_on,
                facades: &mut facades,
                checks: &mut checks,
                consumers: &consumers,
            };
            (module.start)(&mut start).await?;
            if let Some(missing) = consumers.iter().find(|declared| !kernel.outbox.has(declared.consumer)) {
                let (module, name) = (module.name, missing.consumer);
                return Err(Error::internal(format!("{module} declares consumer {name} and does not start it")));
            }
        }
        let integrity = Integrity::new(self.checks(), checks, self.explanations());
        kernel.metrics.integrity().begin(integrity.checks());
        for job in integrity::jobs(&integrity, &kernel.settings)?.into_iter().filter(|_| first) {
            kernel.jobs.add(kernel, job).await?;
        }
        Ok((facades, integrity))
    }
}
