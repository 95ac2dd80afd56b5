//! The table `heat_settings`. The hot tables have their rows in `content.rs` and `store/`: constant SQL text, see
//! `docs/adr/0004-hot-paths-in-sql.md`.

use sea_orm::entity::prelude::*;

use crate::kernel::clock::Millis;

/// A version of the settings that heat and levels are made with.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "heat_settings")]
pub struct Model {
    /// Raised by each change.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// In milliseconds.
    pub half_life_ms: i64,
    /// Thousandths of a point.
    pub like_weight: i64,
    /// Thousandths of a point.
    pub favorite_weight: i64,
    /// Thousandths of a point.
    pub comment_weight: i64,
    /// Thousandths of a point.
    pub share_weight: i64,
    /// Thousandths of a point.
    pub view_weight: i64,
    /// Thousandths of a point.
    pub publish_weight: i64,
    /// Score from which a content is `WARM`; null in a database that kept no thresholds yet.
    pub warm_from: Option<f64>,
    /// Score from which a content is `HOT`; null likewise.
    pub hot_from: Option<f64>,
    /// Score from which a content is `BLAZING`; null likewise.
    pub blazing_from: Option<f64>,
    /// When they were first wanted.
    pub created_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}
