//! All SQL on other systems' tables. Their names are not known here, so that texts are made: names are quoted, values are
//! never part of a text.

mod audit;
mod dialect;
mod file;
mod import;
mod schema;
mod source;

pub(super) use audit::Queries;
pub(super) use import::Streams;
pub(super) use schema::{Found, Schema};
pub use source::Source;
