//! Running what was admitted, whatever the transport.

use std::panic::AssertUnwindSafe;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use futures_util::FutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{Operation, Site, refusal};
use crate::kernel::error::Error;
use crate::kernel::graphql::Answer;
use crate::kernel::telemetry::{Requested, carried, current_request, within};

/// Runs a query or a mutation; its answer. A panic inside becomes an answer with an internal error.
///
/// Dropping the future ends a query at once. A mutation runs to its end: the batcher carries out what is queued whoever
/// waits for it, but a document may hold several mutations, and each of them more than one command. Its task is among
/// those that the shutdown waits for.
pub(super) async fn run(site: &Site, operation: Operation) -> Response {
    if operation.kind != OperationType::Mutation {
        return AssertUnwindSafe(site.run(operation)).catch_unwind().await.unwrap_or_else(|_| panicked());
    }
    let running = site.clone();
    let task = site.kernel.tasks.spawn(carried(current_request(), async move { running.run(operation).await }));
    // The task can fail by a panic only: nobody aborts it.
    task.await.unwrap_or_else(|_| panicked())
}

/// Starts an operation of any kind, as a part of `request`; its answers, in their order. Panics and mutations as in [`run`]; dropping the stream
/// ends a subscription.
pub(super) fn execute(site: &Site, operation: Operation, request: Option<Requested>) -> BoxStream<'static, Answer> {
    if operation.kind == OperationType::Subscription {
        let answers = AssertUnwindSafe(within(request, || site.stream(operation))).catch_unwind();
        return answers.map(|answer| answer.unwrap_or_else(|_| panicked().into())).boxed();
    }
    let site = site.clone();
    // Its share of the room for answers is held until more is asked of it: until its answer was sent.
    stream::unfold((Some(operation), None), move |(operation, _share)| {
        let (site, request) = (site.clone(), request.clone());
        carried(request, async move {
            let operation = operation?;
            let (answer, share) = match site.room.take(operation.cost).await {
                Ok(share) => (run(&site, operation).await, Some(share)),
                Err(error) => (refusal(error), None),
            };
            Some((answer.into(), (None, share)))
        })
    })
    .boxed()
}

fn panicked() -> Response {
    refusal(Error::internal("an operation panicked"))
}
