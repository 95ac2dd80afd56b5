//! Schema migrations of tally's built-in modules: forward only, one list and one migration table a module.
//!
//! Every statement is written once in [`dialect::ddl`]'s small template language, because SQLite and PostgreSQL
//! differ here in three type names and in `WITHOUT ROWID` alone.

pub mod dialect;
pub mod engagement;
pub mod kernel;
pub mod notifications;
pub mod points;
pub mod users;

pub use sea_orm_migration::MigrationTrait;
