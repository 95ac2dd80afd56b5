//! Answers of an operation to a transport that sends them one by one.

use std::panic::AssertUnwindSafe;

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use futures_util::FutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{Operation, Site, refusal};
use crate::kernel::error::Error;

/// Starts an operation; its answers, in their order. A panic inside becomes an answer with an internal error.
///
/// Dropping the stream ends a query or a subscription at once. A mutation runs to its end: the batcher carries out what
/// is queued whoever waits for it, but a document may hold several mutations, and each of them more than one command.
/// Its task is among those that the shutdown waits for.
pub(super) fn execute(site: &Site, operation: Operation) -> BoxStream<'static, Response> {
    if operation.kind != OperationType::Mutation {
        let answers = AssertUnwindSafe(site.stream(operation)).catch_unwind();
        return answers.map(|answer| answer.unwrap_or_else(|_| panicked())).boxed();
    }
    let running = site.clone();
    let task = site.kernel.tasks.spawn(async move { running.run(operation).await });
    // The task can fail by a panic only: nobody aborts it.
    stream::once(task.map(|answer| answer.unwrap_or_else(|_| panicked()))).boxed()
}

fn panicked() -> Response {
    refusal(Error::internal("an operation panicked"))
}
