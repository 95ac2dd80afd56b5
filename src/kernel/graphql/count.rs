//! Numbers of things, which GraphQL's `Int` holds up to 2,147,483,647 only.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};

use crate::kernel::error::{Code, Error, Result};

/// How many of something: an `Int`. One that an `Int` does not hold is an error of its field, as the specification has it
/// (3.5.1): a client would take it for another number, or for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub i64);

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        // What is above is told alike.
        Self(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl OutputType for Count {
    fn type_name() -> Cow<'static, str> {
        <i32 as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <i32 as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let count: Result<i32> = i32::try_from(self.0).map_err(|_| {
            let cause = format!("{} = {}", field.node.name.node, self.0);
            Error::new(Code::INTERNAL, "the number is outside of what Int holds, 32 bits").caused_by(cause)
        });
        count.resolve(ctx, field).await
    }
}
