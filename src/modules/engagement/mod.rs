//! Contents, what users do to them, and how hot that makes them. One consistency boundary: a like moves behavior,
//! counter, mass, heat, level and history in one transaction.

mod checks;
pub mod commands;
pub mod content;
mod cooling;
mod deleting;
mod entity;
pub mod events;
mod facade;
pub mod graphql;
mod ground;
pub mod hotness;
pub mod importing;
pub mod interactions;
mod item;
mod jobs;
pub mod limits;
mod loaders;
mod masses;
mod metrics;
pub mod openings;
mod outbox;
mod overview;
mod people;
mod ranks;
pub mod recalculation;
mod retention;
mod rollup;
mod settings;
mod store;
pub mod viewers;
mod wanted;
pub mod window;
mod work;
mod writer;

use std::sync::Arc;

use sea_orm_migration::MigrationTrait;

pub use commands::act::{Act, ActOutcome};
pub use commands::comment::{CommentOutcome, DeleteComment, NewComment};
pub use commands::delete_content::DeleteContent;
pub use commands::publish::{NewContent, PublishOutcome};
pub use commands::recalculate::Recalculate;
pub use commands::set_status::SetStatus;
pub use commands::share::{NewShare, ShareOutcome};
pub use facade::EngagementFacade;
pub use people::Whereabouts;

use crate::kernel::auth::{Access, Role, Root};
use crate::kernel::config::Setting;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::graphql::{NoFields, NodeKind};
use crate::kernel::integrity::{Check, Explain, Overview};
use crate::kernel::module::{Module, Need, Start};
use crate::modules::users::UsersFacade;

/// The module.
pub struct Engagement;

impl Module for Engagement {
    type Query = graphql::EngagementQuery;
    type Mutation = graphql::EngagementMutation;
    type Subscription = graphql::EngagementSubscription;
    type Viewer = NoFields;

    const NAME: &'static str = "engagement";
    const DEPENDS_ON: &'static [&'static str] = &["users"];
    const SETTINGS: &'static [Setting] = settings::SETTINGS;
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Query, "artwork", Access::Anyone),
        (Root::Query, "video", Access::Anyone),
        (Root::Query, "contents", Access::Anyone),
        (Root::Query, "artworks", Access::Anyone),
        (Root::Query, "videos", Access::Anyone),
        (Root::Query, "hotRanking", Access::Anyone),
        (Root::Query, "hotnessSettings", Access::Anyone),
        (Root::Query, "suspiciousActivity", Access::Roles(&[Role::Operator])),
        (Root::Mutation, "publishArtwork", Access::SignedIn),
        (Root::Mutation, "publishVideo", Access::SignedIn),
        (Root::Mutation, "unpublishContent", Access::SignedIn),
        (Root::Mutation, "republishContent", Access::SignedIn),
        (Root::Mutation, "deleteContent", Access::SignedIn),
        (Root::Mutation, "deleteUser", Access::SignedIn),
        (Root::Mutation, "like", Access::SignedIn),
        (Root::Mutation, "unlike", Access::SignedIn),
        (Root::Mutation, "favorite", Access::SignedIn),
        (Root::Mutation, "unfavorite", Access::SignedIn),
        (Root::Mutation, "recalculateHotness", Access::Roles(&[Role::Operator])),
        (Root::Mutation, "comment", Access::SignedIn),
        (Root::Mutation, "deleteComment", Access::SignedIn),
        (Root::Mutation, "share", Access::SignedIn),
        (Root::Mutation, "recordViews", Access::Anyone),
        (Root::Subscription, "hotnessChanged", Access::Anyone),
        (Root::Subscription, "hotRankingChanged", Access::Anyone),
    ];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        tally_migration::engagement::migrations()
    }

    fn nodes() -> Vec<NodeKind> {
        graphql::nodes()
    }

    fn checks() -> Vec<Arc<dyn Check>> {
        checks::all()
    }

    fn explanations() -> Vec<Arc<dyn Explain>> {
        checks::explanations()
    }

    async fn overview(kernel: &Kernel) -> Result<Overview> {
        overview::overview(kernel).await
    }

    async fn needs(kernel: &Kernel) -> Result<Vec<Need>> {
        let due = settings::standing(kernel).await?.pending.is_some();
        let what = "weights, half-life or thresholds are set that are not in force: a recalculation is due";
        Ok(due.then(|| Need { what: what.to_owned(), command: "tally recalculate" }).into_iter().collect())
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let counted = metrics::LimitMetrics::default();
        let facade = EngagementFacade::start(start.kernel, counted.clone()).await?;
        start.check(Arc::new(checks::Ranking::new(Arc::clone(facade.ranks()))));
        let ranks = Arc::clone(facade.ranks());
        start.metrics(|registry| {
            registry.register_collector(Box::new(metrics::RankSizes(ranks)));
            counted.register(registry);
        });
        let users = start.facade::<UsersFacade>()?.clone();
        for job in jobs::all(&facade, &users) {
            start.job(job).await?;
        }
        start.provide(facade)
    }
}
