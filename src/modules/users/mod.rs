//! Who people are: an id for each external subject. Roles are the token's and are not kept.

mod commands;
mod entity;
mod facade;
pub mod graphql;
mod store;

use sea_orm_migration::MigrationTrait;

pub use commands::import_users::{ImportedUser, UserOutcome, import_users, users_by_external_ids};
pub use facade::{NewUser, UserKind, UserRecord, UsersFacade};

use crate::kernel::auth::{Access, Role, Root};
use crate::kernel::error::Result;
use crate::kernel::graphql::{NoFields, NodeKind};
use crate::kernel::module::{Module, Start};

/// The module.
pub struct Users;

impl Module for Users {
    type Query = graphql::UsersQuery;
    type Mutation = graphql::UsersMutation;
    type Subscription = NoFields;
    type Viewer = graphql::UsersViewer;

    const NAME: &'static str = "users";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Query, "user", Access::Anyone),
        (Root::Mutation, "ensureUser", Access::Roles(&[Role::Service, Role::Operator])),
    ];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        tally_migration::users::migrations()
    }

    fn nodes() -> Vec<NodeKind> {
        vec![graphql::USER_NODE]
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let facade = UsersFacade::new(start.kernel.clone());
        start.provide(facade)
    }
}
