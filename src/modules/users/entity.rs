//! The table `users`.

use sea_orm::entity::prelude::*;

use crate::kernel::clock::Millis;

/// A user.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The `sub` of the user's tokens.
    #[sea_orm(unique)]
    pub subject: String,
    /// The platform's own id.
    #[sea_orm(unique)]
    pub external_id: Option<String>,
    /// What others see.
    pub name: String,
    /// When it was first seen.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
