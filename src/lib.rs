//! tally: an engagement backend whose every number tallies with the facts behind it.
//!
//! For authors of modules: implement [`kernel::module::Module`], add a line to a list ([`app!`]), and hand the list to
//! [`cli::main`]. `docs/modules.md` walks through it; `tests/it/guestbook/` is a complete module outside this crate.

pub mod app;
pub mod cli;
pub mod demo;
pub mod kernel;
pub mod legacy;
pub mod modules;
pub mod server;

pub use tally_migration as migration;
