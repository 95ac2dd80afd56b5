//! The schema's roots: each root field is checked against its rule, then resolved. Nested fields pay nothing.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ObjectType, OutputType, PathSegment, Positioned, Response,
    ServerError, ServerResult, SubscriptionType, Value,
};
use futures_util::{Stream, StreamExt as _};

use super::service::served;
use super::{Listener, absent, detached};
use crate::kernel::auth::{AccessTable, Root, Session};
use crate::kernel::error::{Error, Result};

fn authorize(ctx: &Context<'_>, root: Root) -> Result<()> {
    let table = ctx.data_opt::<Arc<AccessTable>>().ok_or_else(|| Error::internal("no access table in the schema"))?;
    table.authorize(root, &ctx.item.node.name.node, Session::unnoted(ctx))
}

fn refusal(ctx: &Context<'_>, error: Error) -> ServerError {
    let error: async_graphql::Error = error.into();
    let key = ctx.item.node.response_key().node.to_string();
    error.into_server_error(ctx.item.pos).with_path(vec![PathSegment::Field(key)])
}

/// Whether the field under way may be null.
fn is_nullable(ctx: &Context<'_>, root: &str) -> bool {
    let root = ctx.schema_env.registry.types.get(root);
    let field = root.and_then(|root| root.field_by_name(&ctx.item.node.name.node));
    field.is_some_and(|field| !field.ty.ends_with('!'))
}

macro_rules! guarded_object {
    ($(#[$doc:meta])* $name:ident, $root:expr) => {
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name<T>(T);

        impl<T: ObjectType> OutputType for $name<T> {
            fn type_name() -> Cow<'static, str> {
                T::type_name()
            }

            fn create_type_info(registry: &mut Registry) -> String {
                let name = T::create_type_info(registry);
                absent::prune(registry, $root, &T::type_name());
                name
            }

            async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
                self.0.resolve(ctx, field).await
            }
        }

        impl<T: ObjectType> ContainerType for $name<T> {
            fn is_empty() -> bool {
                T::is_empty() || absent::is_empty($root)
            }

            async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
                let resolving = async {
                    match authorize(ctx, $root) {
                        Ok(()) => self.0.resolve_field(ctx).await,
                        Err(error) => Err(refusal(ctx, error)),
                    }
                };
                match served(ctx, $root, resolving).await {
                    // An error of a field that may be null stays there (specification, 6.4.4); the library would let it
                    // take the whole of the data.
                    Err(error) if is_nullable(ctx, &T::type_name()) => {
                        ctx.add_error(error);
                        Ok(Some(Value::Null))
                    }
                    resolved => resolved,
                }
            }
        }

        impl<T: ObjectType> ObjectType for $name<T> {}
    };
}

guarded_object!(
    /// `Query` behind its rules.
    GuardedQuery,
    Root::Query
);
guarded_object!(
    /// `Mutation` behind its rules.
    GuardedMutation,
    Root::Mutation
);

/// `Subscription` behind its rules.
#[derive(Default)]
pub struct GuardedSubscription<T>(T);

impl<T: SubscriptionType + Default + 'static> SubscriptionType for GuardedSubscription<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let name = T::create_type_info(registry);
        absent::prune(registry, Root::Subscription, &T::type_name());
        name
    }

    fn is_empty() -> bool {
        T::is_empty() || absent::is_empty(Root::Subscription)
    }

    fn create_field_stream<'a>(
        &'a self,
        ctx: &'a Context<'_>,
    ) -> Option<Pin<Box<dyn Stream<Item = Response> + Send + 'a>>> {
        match authorize(ctx, Root::Subscription) {
            Ok(()) => {
                let listener = ctx.data_opt::<Arc<Listener>>();
                match listener.and_then(|listener| Some((listener, detached::stream_of::<T>(ctx)?))) {
                    Some((listener, answers)) => {
                        listener.take_over(answers);
                        Some(futures_util::stream::empty().boxed())
                    }
                    None => self.0.create_field_stream(ctx),
                }
            }
            Err(error) => {
                let response = Response::from_errors(vec![refusal(ctx, error)]);
                Some(futures_util::stream::iter([response]).boxed())
            }
        }
    }
}
