//! Points: a ledger that cannot disagree with its balances. One transaction writes fact, balance, sequence, hash and
//! event; a transaction is never edited, and taken back by another one.
//!
//! The transactions of a user are a chain: each holds the hash of the one before it. What a row of `point_accounts` says
//! is what the last transaction says, and every write begins by comparing the two.

mod board;
mod chain;
mod checks;
mod commands;
mod entity;
pub mod events;
mod explain;
mod facade;
pub mod graphql;
pub mod importing;
mod incidents;
pub mod ledger;
mod loaders;
mod metrics;
mod rules;
mod settings;
mod standing;
mod store;
mod work;
mod writer;

use std::sync::Arc;

use sea_orm_migration::MigrationTrait;

pub use commands::post::{INSUFFICIENT_POINTS, Posted};
pub use facade::{BATCH_MOST, NewTransaction, PointsFacade};

use crate::kernel::auth::{Access, Role, Root};
use crate::kernel::config::{Setting, Settings};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::events::Consumes;
use crate::kernel::graphql::NodeKind;
use crate::kernel::integrity::{Check, Explain, Overview};
use crate::kernel::module::{Module, Start};
use crate::modules::users::UsersFacade;

/// Those who may give and take points, and see every account.
const TEACHERS: &[Role] = &[Role::Teacher, Role::Service, Role::Operator];

/// The module.
pub struct Points;

impl Module for Points {
    type Query = graphql::PointsQuery;
    type Mutation = graphql::PointsMutation;
    type Subscription = graphql::PointsSubscription;
    type Viewer = graphql::PointsViewer;

    const NAME: &'static str = "points";
    const DEPENDS_ON: &'static [&'static str] = &["users"];
    const SETTINGS: &'static [Setting] = settings::SETTINGS;
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        // Of others for teachers and above.
        (Root::Query, "pointAccount", Access::SignedIn),
        (Root::Query, "pointLeaderboard", Access::Roles(TEACHERS)),
        (Root::Query, "pointAccounts", Access::Roles(TEACHERS)),
        // Adjustments for administrators.
        (Root::Mutation, "addPoints", Access::Roles(TEACHERS)),
        (Root::Mutation, "addPointsBatch", Access::Roles(TEACHERS)),
        (Root::Mutation, "reversePointTransaction", Access::Roles(&[Role::Operator])),
        (Root::Mutation, "setOverdraftLimit", Access::Roles(&[Role::Admin])),
        // Of others for teachers and above.
        (Root::Subscription, "pointsChanged", Access::SignedIn),
    ];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        tally_migration::points::migrations()
    }

    fn nodes() -> Vec<NodeKind> {
        graphql::nodes()
    }

    fn checks() -> Vec<Arc<dyn Check>> {
        checks::all()
    }

    fn explanations() -> Vec<Arc<dyn Explain>> {
        vec![Arc::new(explain::Balance)]
    }

    fn consumers() -> Vec<Consumes> {
        vec![rules::CONSUMES]
    }

    fn takes(settings: &Settings, _: &str, kind: &str) -> bool {
        rules::takes(settings, kind)
    }

    async fn overview(kernel: &Kernel) -> Result<Overview> {
        explain::overview(kernel).await
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let users = start.facade::<UsersFacade>()?.clone();
        let counted = metrics::PointsMetrics::default();
        let facade = PointsFacade::start(start.kernel, users, counted.clone()).await?;
        let board = Arc::clone(facade.board());
        start.metrics(|registry| {
            registry.register_collector(Box::new(metrics::BoardSize(board)));
            counted.register(registry);
        });
        start.check(Arc::new(board::check::PointRanking::new(Arc::clone(facade.board()))));
        let (kernel, writer) = (start.kernel.clone(), facade.writer());
        let rules = rules::Rules::of(&kernel.settings)?;
        rules::begin(&kernel).await?;
        start.consumer(rules::NAME, Arc::new(rules::RulesConsumer { kernel, rules, writer }))?;
        start.provide(facade)
    }
}
