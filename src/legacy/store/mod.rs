//! All SQL on other systems' tables. Their names are not known here, so that texts are made: names are quoted, values are
//! never part of a text.

mod audit;
mod dialect;
mod file;
mod import;
mod points;
mod schema;
mod source;

pub(super) use audit::Queries;
pub(super) use import::Streams;
pub(super) use points::{ledgers, place};
pub(super) use schema::{Found, Schema};
pub(super) use source::Row;
pub use source::Source;
