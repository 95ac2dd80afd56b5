//! What GraphQL needs beyond async-graphql: guarded roots, empty roots, an open `Node`, error codes.

mod absent;
mod big_int;
mod core;
mod count;
mod detached;
mod empty;
mod equals;
mod errors;
mod guard;
mod health;
mod integrity;
mod node;
mod service;

pub use self::absent::Absent;
pub use self::core::{CORE_ACCESS, CoreQuery};
pub use big_int::BigInt;
pub use count::Count;
pub use empty::NoFields;
pub(crate) use equals::Listener;
pub use equals::{Answer, Equals, Likeness, shared};
pub use errors::{InField, with_codes};
pub use guard::{GuardedMutation, GuardedQuery, GuardedSubscription};
pub use integrity::{IntegrityDesk, IntegrityMutation, IntegrityQuery};
pub use node::{BoxNode, Node, NodeKind, NodeKinds, NodeLoad};
pub use service::FieldOwners;
