//! What authors are told: likes, favorites, comments, shares and level-ups of their contents. The first consumer of the
//! outbox, exactly once in effect.
//!
//! One notification a user, content and kind, for as long as it is kept: whoever acts joins it. What was read becomes
//! unread again with the next act, and moves to the top. An act that is taken back leaves it again, read or not; of a
//! notification that nobody is left of nothing is to be seen.

mod change;
mod checks;
mod commands;
mod consumer;
mod entity;
pub mod events;
mod explain;
mod facade;
pub mod graphql;
mod jobs;
mod loaders;
pub mod notification;
mod orphans;
mod remains;
mod settings;
mod store;
mod types;
mod work;

use std::sync::Arc;

use sea_orm_migration::MigrationTrait;

pub use facade::{Marked, NotificationsFacade};

use crate::kernel::auth::{Access, Root};
use crate::kernel::config::Setting;
use crate::kernel::error::Result;
use crate::kernel::events::Consumes;
use crate::kernel::graphql::NodeKind;
use crate::kernel::integrity::{Check, Explain};
use crate::kernel::module::{Module, Start};

/// The module.
pub struct Notifications;

impl Module for Notifications {
    type Query = graphql::NotificationsQuery;
    type Mutation = graphql::NotificationsMutation;
    type Subscription = graphql::NotificationsSubscription;
    type Viewer = graphql::NotificationsViewer;

    const NAME: &'static str = "notifications";
    const DEPENDS_ON: &'static [&'static str] = &["users", "engagement"];
    const SETTINGS: &'static [Setting] = settings::SETTINGS;
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Query, "notifications", Access::SignedIn),
        (Root::Mutation, "markNotificationsRead", Access::SignedIn),
        (Root::Subscription, "notificationReceived", Access::SignedIn),
    ];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        tally_migration::notifications::migrations()
    }

    fn nodes() -> Vec<NodeKind> {
        vec![graphql::NOTIFICATION_NODE]
    }

    fn checks() -> Vec<Arc<dyn Check>> {
        checks::all()
    }

    fn explanations() -> Vec<Arc<dyn Explain>> {
        vec![Arc::new(explain::UnreadCount)]
    }

    fn consumers() -> Vec<Consumes> {
        vec![consumer::CONSUMES]
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let kernel = start.kernel.clone();
        let facade = NotificationsFacade::new(&kernel);
        let live = Arc::clone(facade.live());
        for job in jobs::all(&live) {
            start.job(job).await?;
        }
        let kinds = settings::kinds(&kernel.settings);
        start.consumer(consumer::NAME, Arc::new(consumer::NotificationsConsumer { kernel, kinds, live }))?;
        start.provide(facade)
    }
}
