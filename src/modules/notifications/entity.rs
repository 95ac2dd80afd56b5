//! The table `notification_totals`. The other tables have their rows in `notification.rs` and `store/`: constant SQL
//! text, see `docs/adr/0004-hot-paths-in-sql.md`.

use sea_orm::entity::prelude::*;

/// What a user has not read yet, counted.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_totals")]
pub struct Model {
    /// That of the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: i16,
    /// Who is told.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Raised by each transaction that changes what the user is told.
    pub version: i64,
    /// Notifications with something new in them.
    pub unread_count: i64,
}

impl ActiveModelBehavior for ActiveModel {}
