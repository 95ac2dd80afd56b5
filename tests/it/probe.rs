//! A module for tests of transports: it waits until it is let go, it counts, it talks without end, it panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, Object, Subscription};
use futures_util::{Stream, StreamExt as _, stream};
use tally::kernel::auth::{Access, Root};
use tally::kernel::context::FacadeExt as _;
use tally::kernel::error::Result;
use tally::kernel::graphql::NoFields;
use tally::kernel::module::{Module, Start};
use tokio::sync::Semaphore;

tally::app! {
    /// tally with the probe.
    pub(crate) Probed {
        Probe,
        tally::modules::users::Users,
        tally::modules::engagement::Engagement,
    }
}

pub struct Probe;

impl Module for Probe {
    type Query = ProbeQuery;
    type Mutation = ProbeMutation;
    type Subscription = ProbeSubscription;
    type Viewer = NoFields;

    const NAME: &'static str = "probe";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Query, "wait", Access::Anyone),
        (Root::Query, "panic", Access::Anyone),
        (Root::Mutation, "wait", Access::Anyone),
        (Root::Mutation, "panic", Access::Anyone),
        (Root::Subscription, "wait", Access::Anyone),
        (Root::Subscription, "count", Access::Anyone),
        (Root::Subscription, "flood", Access::Anyone),
        (Root::Subscription, "panic", Access::Anyone),
    ];

    async fn start(start: &mut Start<'_>) -> Result<()> {
        start.provide(ProbeFacade::default())
    }
}

/// What it knows of what goes on.
#[derive(Clone)]
pub struct ProbeFacade(Arc<Inner>);

struct Inner {
    /// Whoever waits takes one.
    gate: Semaphore,
    begun: AtomicUsize,
    ended: AtomicUsize,
    listening: AtomicUsize,
    flooded: AtomicUsize,
}

impl Default for ProbeFacade {
    fn default() -> Self {
        let none = || AtomicUsize::new(0);
        let gate = Semaphore::new(0);
        Self(Arc::new(Inner { gate, begun: none(), ended: none(), listening: none(), flooded: none() }))
    }
}

impl ProbeFacade {
    /// Lets one waiter go.
    pub(crate) fn let_go(&self) {
        self.0.gate.add_permits(1);
    }

    /// How many began to wait.
    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// How many were let go and came to their end.
    pub(crate) fn ended(&self) -> usize {
        self.0.ended.load(Ordering::SeqCst)
    }

    /// How many subscriptions there are now.
    pub(crate) fn listening(&self) -> usize {
        self.0.listening.load(Ordering::SeqCst)
    }

    /// How many messages floods have made.
    pub(crate) fn flooded(&self) -> usize {
        self.0.flooded.load(Ordering::SeqCst)
    }

    async fn wait(&self) -> usize {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.gate.acquire().await.expect("a gate").forget();
        self.0.ended.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn listen(&self) -> Listening {
        self.0.listening.fetch_add(1, Ordering::SeqCst);
        Listening(Arc::clone(&self.0))
    }
}

struct Listening(Arc<Inner>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until `reached` holds.
pub(crate) async fn until(what: &str, reached: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if reached() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

fn fault() -> bool {
    panic!("a resolver that panics, on purpose")
}

#[derive(Default)]
pub struct ProbeQuery;

#[Object]
impl ProbeQuery {
    async fn wait(&self, ctx: &Context<'_>) -> Result<usize> {
        Ok(ctx.facade::<ProbeFacade>()?.wait().await)
    }

    async fn panic(&self) -> bool {
        fault()
    }
}

#[derive(Default)]
pub struct ProbeMutation;

#[Object]
impl ProbeMutation {
    async fn wait(&self, ctx: &Context<'_>) -> Result<usize> {
        Ok(ctx.facade::<ProbeFacade>()?.wait().await)
    }

    async fn panic(&self) -> bool {
        fault()
    }
}

#[derive(Default)]
pub struct ProbeSubscription;

#[Subscription]
impl ProbeSubscription {
    /// One number for each that is let go.
    async fn wait<'a>(&self, ctx: &Context<'a>) -> Result<impl Stream<Item = usize> + use<'a>> {
        let probe = ctx.facade::<ProbeFacade>()?.clone();
        let listening = probe.listen();
        Ok(stream::unfold((probe, listening), async |(probe, listening)| {
            Some((probe.wait().await, (probe, listening)))
        }))
    }

    /// The numbers from 1.
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }

    /// The same long text, without end, as fast as it is taken.
    async fn flood<'a>(&self, ctx: &Context<'a>, bytes: i32) -> Result<impl Stream<Item = String> + use<'a>> {
        let probe = ctx.facade::<ProbeFacade>()?.clone();
        let (listening, text) = (probe.listen(), "x".repeat(usize::try_from(bytes).expect("a length")));
        Ok(stream::repeat(text).inspect(move |_| {
            listening.0.flooded.fetch_add(1, Ordering::SeqCst);
        }))
    }

    async fn panic(&self) -> impl Stream<Item = bool> {
        stream::once(async { fault() })
    }
}
