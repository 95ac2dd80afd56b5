//! What the types of a declaration have in the schema.

use std::collections::BTreeMap;

use async_graphql::registry::{MetaType, Registry};
use async_graphql::{OutputType, SubscriptionType};

use super::Module;
use crate::kernel::auth::Root;

fn registry_of<M: Module>() -> Registry {
    let mut registry = Registry::default();
    <M::Query as OutputType>::create_type_info(&mut registry);
    <M::Mutation as OutputType>::create_type_info(&mut registry);
    <M::Subscription as SubscriptionType>::create_type_info(&mut registry);
    <M::Viewer as OutputType>::create_type_info(&mut registry);
    registry
}

fn fields_of(registry: &Registry, name: &str) -> Vec<String> {
    let fields = registry.types.get(name).and_then(MetaType::fields);
    fields.into_iter().flatten().map(|(field, _)| field.clone()).collect()
}

pub(super) fn root_fields<M: Module>() -> Vec<(Root, String)> {
    let registry = registry_of::<M>();
    let fields =
        |root, name: &str| fields_of(&registry, name).into_iter().map(|field| (root, field)).collect::<Vec<_>>();
    [
        fields(Root::Query, &<M::Query as OutputType>::type_name()),
        fields(Root::Mutation, &<M::Mutation as OutputType>::type_name()),
        fields(Root::Subscription, &<M::Subscription as SubscriptionType>::type_name()),
    ]
    .concat()
}

pub(super) fn viewer_fields<M: Module>() -> Vec<String> {
    let registry = registry_of::<M>();
    let fields = registry.types.get(&*<M::Viewer as OutputType>::type_name()).and_then(MetaType::fields);
    fields.into_iter().flatten().map(|(field, _)| field.clone()).collect()
}

/// GraphQL names and the Rust types behind them, the four roots left out: they are merged away.
pub(super) fn type_names<M: Module>() -> BTreeMap<String, &'static str> {
    let roots = [
        <M::Query as OutputType>::type_name(),
        <M::Mutation as OutputType>::type_name(),
        <M::Subscription as SubscriptionType>::type_name(),
        <M::Viewer as OutputType>::type_name(),
    ];
    let registry = registry_of::<M>();
    let named = registry.types.iter().filter(|(name, _)| !roots.iter().any(|root| root == name.as_str()));
    named.filter_map(|(name, meta)| Some((name.clone(), meta.rust_typename()?))).collect()
}
