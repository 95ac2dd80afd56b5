//! The tables of a system that tally replaces: `tally audit` reads them and says what does not tally in them, `tally
//! import` takes them over. Neither ever writes to them.
//!
//! What is looked for, and under which names, is in [`spec`]; a mapping file ([`map::Mapping`]) gives other names.

pub mod audit;
pub mod import;
pub mod map;
pub mod moment;
mod points;
pub mod spec;
mod store;
pub mod throwaway;

pub use store::Source;
