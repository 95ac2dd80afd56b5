//! `node(id:)` over an open set of types: each module says which of its types it finds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;

use async_graphql::parser::types::Field;
use async_graphql::registry::{MetaField, MetaType, MetaTypeId, MetaTypeName, Registry};
use async_graphql::{Context, ContextSelectionSet, ID, ObjectType, OutputType, Positioned, ServerResult, Value};
use futures_util::future::BoxFuture;
use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use super::absent;
use crate::app::App;
use crate::kernel::auth::Access;
use crate::kernel::error::Result;
use crate::kernel::module::ModuleDecl;

/// Finds one item for `node(id:)`.
pub type NodeLoad = for<'a> fn(&'a Context<'a>, Uuid) -> BoxFuture<'a, Result<Option<BoxNode>>>;

/// A type that `node(id:)` finds.
pub struct NodeKind {
    /// The prefix of its TypeIDs.
    pub prefix: &'static str,
    /// Who may find items so: `node` must not open what a root field closes.
    pub access: Access,
    /// Registers the type; returns its name.
    pub register: fn(&mut Registry) -> String,
    /// Finds an item.
    pub load: NodeLoad,
}

/// The types that `node(id:)` finds, by prefix. In the schema's data.
pub struct NodeKinds(HashMap<&'static str, NodeKind>);

impl NodeKinds {
    /// Those of these modules.
    #[must_use]
    pub fn of(modules: &[ModuleDecl]) -> Self {
        let kinds = modules.iter().flat_map(|module| (module.nodes)());
        Self(kinds.map(|kind| (kind.prefix, kind)).collect())
    }

    /// The type whose ids begin so.
    pub(super) fn find(&self, prefix: &str) -> Option<&NodeKind> {
        self.0.get(prefix)
    }
}

/// Any object that is a node.
pub struct BoxNode(Box<dyn AnyObject>);

impl BoxNode {
    /// Wraps a GraphQL object.
    pub fn new<T: ObjectType + 'static>(object: T) -> Self {
        Self(Box::new(object))
    }
}

/// [`OutputType`] with what dynamic dispatch needs.
trait AnyObject: Send + Sync {
    fn type_name(&self) -> Cow<'static, str>;
    fn resolve<'a>(
        &'a self,
        ctx: &'a ContextSelectionSet<'a>,
        field: &'a Positioned<Field>,
    ) -> BoxFuture<'a, ServerResult<Value>>;
}

impl<T: ObjectType> AnyObject for T {
    fn type_name(&self) -> Cow<'static, str> {
        self.introspection_type_name()
    }

    fn resolve<'a>(
        &'a self,
        ctx: &'a ContextSelectionSet<'a>,
        field: &'a Positioned<Field>,
    ) -> BoxFuture<'a, ServerResult<Value>> {
        Box::pin(OutputType::resolve(self, ctx, field))
    }
}

/// The interface `Node` of an app.
pub struct Node<A>(BoxNode, PhantomData<fn() -> A>);

impl<A> Node<A> {
    /// Wraps what a module found.
    pub(crate) fn new(node: BoxNode) -> Self {
        Self(node, PhantomData)
    }
}

impl<A: App> OutputType for Node<A> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("Node")
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.0.type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Interface, |registry| {
            let id_type = <ID as OutputType>::create_type_info(registry);
            let mut possible_types = IndexSet::new();
            let kinds = A::modules().into_iter().flat_map(|module| (module.nodes)());
            for kind in kinds.filter(|kind| !absent::has_no_node(kind.prefix)) {
                // `create_type_info` answers `Artwork!`; the registry knows `Artwork`.
                let name = MetaTypeName::concrete_typename(&(kind.register)(registry)).to_owned();
                registry.add_implements(&name, "Node");
                possible_types.insert(name);
            }
            let mut id = MetaField::new("id", id_type);
            id.description = Some("A TypeID: what it is, and which one.".to_owned());
            MetaType::Interface {
                name: "Node".to_owned(),
                description: Some("Whatever has an id.".to_owned()),
                fields: IndexMap::from([("id".to_owned(), id)]),
                possible_types,
                extends: false,
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                keys: None,
                rust_typename: Some(std::any::type_name::<Self>()),
                directive_invocations: Vec::new(),
                requires_scopes: Vec::new(),
            }
        })
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        self.0.0.resolve(ctx, field).await
    }
}
