//! A root without fields.

use std::borrow::Cow;
use std::pin::Pin;

use async_graphql::registry::{ObjectBuilder, Registry};
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, Positioned, Response, ServerResult,
    SubscriptionType, Value,
};
use futures_util::Stream;
use indexmap::IndexMap;

/// For modules that have no query, no mutation, no subscription or no viewer field. async-graphql's own
/// `EmptySubscription` does not do: inside a merge it swallows every later subscription.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFields;

impl OutputType for NoFields {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("NoFields")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(async_graphql::registry::MetaTypeId::Object, |_| {
            ObjectBuilder::new("NoFields", IndexMap::new()).build()
        })
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<async_graphql::parser::types::Field>,
    ) -> ServerResult<Value> {
        Ok(Value::Null)
    }
}

impl ContainerType for NoFields {
    async fn resolve_field(&self, _: &Context<'_>) -> ServerResult<Option<Value>> {
        Ok(None)
    }
}

impl ObjectType for NoFields {}

impl SubscriptionType for NoFields {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed("NoSubscriptionFields")
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_subscription_type::<Self, _>(|_| {
            ObjectBuilder::new("NoSubscriptionFields", IndexMap::new()).is_subscription(true).build()
        })
    }

    fn create_field_stream<'a>(
        &'a self,
        _: &'a Context<'_>,
    ) -> Option<Pin<Box<dyn Stream<Item = Response> + Send + 'a>>> {
        None
    }
}
