//! Every error has a code.

use async_graphql::{Context, ErrorExtensionValues, PathSegment, QueryPathSegment, Response, Value};

use crate::kernel::error::{Code, Error, Result};
use crate::kernel::telemetry::{self, Facts};

/// Gives every error its code: tally's own, or [`Code::INVALID_INPUT`] for what async-graphql raised by itself (syntax,
/// validation, coercion). Logs the operator's cause, which the client does not get.
#[must_use]
pub fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        if let Some(path) = error.source::<Error>().and_then(Error::path).map(<[_]>::to_vec) {
            error.path = path;
        }
        let retry_after = error.source::<Error>().and_then(Error::retry_after);
        let details = error.source::<Error>().map(|own| own.details().to_vec()).unwrap_or_default();
        let code = match error.source::<Error>() {
            Some(own) => {
                if own.cause().is_some() {
                    let facts = telemetry::current();
                    tracing::error!(
                        path = ?error.path,
                        operation = facts.as_ref().and_then(Facts::logged_name),
                        kind = facts.as_ref().map(Facts::kind_word),
                        error = own.for_operator(),
                        "request failed"
                    );
                }
                own.code()
            }
            None => Code::INVALID_INPUT,
        };
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        if extensions.get("code").is_none() {
            extensions.set("code", code.0);
        }
        for (name, value) in details {
            extensions.set(name, Value::from_json(value).unwrap_or_default());
        }
        if let Some(wait) = retry_after {
            extensions.set("retryAfterMs", u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
    }
    response
}

/// Says in which field an error came up. On its way out of fields that must not be null async-graphql replaces the path
/// by theirs: a field below a root that may fail and is not null ends with it.
pub trait InField {
    /// The same, with the path of the field that is being resolved.
    #[must_use]
    fn in_field(self, ctx: &Context<'_>) -> Self;
}

impl<T> InField for Result<T> {
    fn in_field(self, ctx: &Context<'_>) -> Self {
        self.map_err(|error| {
            let nodes = std::iter::successors(ctx.path_node.as_ref(), |node| node.parent);
            let mut path: Vec<PathSegment> = nodes
                .map(|node| match node.segment {
                    QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
                    QueryPathSegment::Index(index) => PathSegment::Index(index),
                })
                .collect();
            path.reverse();
            error.at(path)
        })
    }
}
