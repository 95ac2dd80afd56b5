//! What switched-off modules leave out of the schema.
//!
//! async-graphql makes a schema of types, and types know no settings: what is absent is told to them for the time in
//! which a schema is built. So it is in neither validation nor introspection nor execution; there is nothing to hide.

use std::cell::RefCell;
use std::collections::HashSet;

use async_graphql::registry::{MetaType, Registry};

use crate::kernel::auth::Root;

/// The parts of a schema that are not to be.
#[derive(Clone, Debug, Default)]
pub struct Absent {
    /// Root fields.
    pub roots: HashSet<(Root, String)>,
    /// Roots that have no field left.
    pub empty: HashSet<Root>,
    /// Fields of `Viewer`.
    pub viewer: HashSet<String>,
    /// Prefixes of ids that `node` does not find.
    pub prefixes: HashSet<&'static str>,
}

thread_local! {
    static ABSENT: RefCell<Absent> = RefCell::default();
}

impl Absent {
    /// Runs `build`, during which schemas come out without what is absent.
    pub fn during<T>(self, build: impl FnOnce() -> T) -> T {
        /// Puts the former back, also when `build` panics.
        struct Restore(Absent);
        impl Drop for Restore {
            fn drop(&mut self) {
                ABSENT.set(std::mem::take(&mut self.0));
            }
        }
        let _restore = Restore(ABSENT.replace(self));
        build()
    }
}

/// Whether a root has no field left.
pub(super) fn is_empty(root: Root) -> bool {
    ABSENT.with_borrow(|absent| absent.empty.contains(&root))
}

/// Whether `node` finds nothing of this prefix.
pub(super) fn has_no_node(prefix: &str) -> bool {
    ABSENT.with_borrow(|absent| absent.prefixes.contains(prefix))
}

/// Takes the absent fields out of a root, and out of `Viewer`.
pub(super) fn prune(registry: &mut Registry, root: Root, name: &str) {
    ABSENT.with_borrow(|absent| {
        retain(registry, name, |field| !absent.roots.contains(&(root, field.to_owned())));
        retain(registry, "Viewer", |field| !absent.viewer.contains(field));
    });
}

fn retain(registry: &mut Registry, name: &str, keep: impl Fn(&str) -> bool) {
    if let Some(MetaType::Object { fields, .. }) = registry.types.get_mut(name) {
        fields.retain(|field, _| keep(field));
    }
}
