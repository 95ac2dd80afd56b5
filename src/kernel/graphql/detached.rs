//! The field of a subscription on its own: async-graphql's stream of a subscription is a stream of streams of any number
//! of fields, which wakes its task once more an event (`FuturesUnordered` with one future). There is one field
//! (specification, 5.2.3.1), and the gate sees to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use async_graphql::parser::types::Selection;
use async_graphql::{Context, Response, SubscriptionType};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::equals::pending_once;

/// What was told last, until it is taken.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<Response>>>);

impl Slot {
    fn put(&self, response: Response) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    fn take(&self) -> Option<Response> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The stream of the field of `ctx`, which has all that it needs; none if there is no such field.
pub(super) fn stream_of<T>(ctx: &Context<'_>) -> Option<BoxStream<'static, Response>>
where
    T: SubscriptionType + Default + 'static,
{
    let (schema, query) = (ctx.schema_env.clone(), ctx.query_env.clone());
    let is_ours = |item: &Selection| matches!(item, Selection::Field(field) if std::ptr::eq(field, ctx.item));
    let place = query.operation.node.selection_set.node.items.iter().position(|item| is_ours(&item.node))?;
    let slot = Slot::default();
    let told = slot.clone();
    let telling = async move {
        let root = T::default();
        let selections = &query.operation.node.selection_set;
        let Some(Selection::Field(field)) = selections.node.items.get(place).map(|item| &item.node) else { return };
        let ctx = query.create_context(&schema, None, selections, None);
        let ctx = ctx.with_field(field);
        let Some(mut answers) = root.create_field_stream(&ctx) else { return };
        while let Some(answer) = answers.next().await {
            told.put(answer);
            // Once: whoever polls takes it, and polls again for more.
            pending_once().await;
        }
    };
    let mut telling: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = Some(Box::pin(telling));
    Some(
        stream::poll_fn(move |cx| {
            let Some(running) = &mut telling else { return Poll::Ready(None) };
            match running.as_mut().poll(cx) {
                Poll::Ready(()) => {
                    telling = None;
                    Poll::Ready(None)
                }
                Poll::Pending => slot.take().map_or(Poll::Pending, |response| Poll::Ready(Some(response))),
            }
        })
        .boxed(),
    )
}
