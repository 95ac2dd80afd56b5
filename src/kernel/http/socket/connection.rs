//! One socket from its handshake to its end, in one task.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, poll};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use super::close::{Close, End};
use super::message::{self, Incoming};
use super::operations::Operations;
use super::{Limits, bearer};
use crate::kernel::auth::Session;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::http::execution::execute;
use crate::kernel::http::seats::Seat;
use crate::kernel::http::{ClientAddress, Params, Site, refusal};
use crate::kernel::telemetry::{Requested, Transport};

/// How long a peer gets to take note of the end.
const LINGER: Duration = Duration::from_secs(1);
/// Messages of a peer that are read in a row, at most, before its operations may go on.
const HEARD_MOST: u8 = 16;
/// Intervals between pings in which a living peer says something.
const SILENT_MOST: u8 = 2;

/// A socket and what runs on it.
pub(super) struct Connection {
    site: Site,
    /// The handshake's: what operations log leads to it.
    request: Option<Requested>,
    socket: WebSocket,
    limits: Limits,
    address: ClientAddress,
    _seat: Seat,
    phase: Phase,
    operations: Operations,
    ping_at: Instant,
    /// Pings since the peer was last heard.
    silent: u8,
    /// Messages since the operations were last asked.
    heard: u8,
}

/// What a socket keeps of its handshake.
pub(super) struct Handshake {
    pub(super) address: ClientAddress,
    pub(super) seat: Seat,
    /// The request that it was.
    pub(super) request: Option<Requested>,
    /// The token that it came with.
    pub(super) token: Option<Result<String>>,
}

/// What a socket does next.
enum Next {
    /// Reads what the peer says; none: it is gone.
    Message(Option<Result<Message, axum::Error>>),
    /// Sends an answer.
    Answer(serde_json::Result<Utf8Bytes>),
}

/// Waits for either. An answer goes first, as it is what wakes most sockets, but not after one that has just been sent:
/// `complete` is to be read however fast an operation answers.
async fn next(socket: &mut WebSocket, operations: &mut Operations, mut answered: bool) -> Next {
    poll_fn(|cx| {
        let answers_first = !std::mem::take(&mut answered);
        if answers_first && let Poll::Ready(answer) = operations.poll_next(cx) {
            return Poll::Ready(Next::Answer(answer));
        }
        if let Poll::Ready(message) = socket.poll_next_unpin(cx) {
            return Poll::Ready(Next::Message(message));
        }
        if answers_first { Poll::Pending } else { operations.poll_next(cx).map(Next::Answer) }
    })
    .await
}

enum Phase {
    /// `connection_init` has to come by then; the token of the handshake, for a payload without one.
    New(Instant, Option<Result<String>>),
    /// Its token is being looked at.
    Checking(BoxFuture<'static, Result<Session>>),
    /// Acknowledged.
    Open(Session),
}

impl Phase {
    async fn checked(&mut self) -> Result<Session> {
        match self {
            Self::Checking(session) => session.await,
            Self::New(..) | Self::Open(_) => std::future::pending().await,
        }
    }
}

impl Connection {
    /// A socket with an accepted handshake.
    pub(super) fn new(site: Site, socket: WebSocket, limits: Limits, handshake: Handshake) -> Self {
        let now = Instant::now();
        let Handshake { address, seat, request, token } = handshake;
        let phase = Phase::New(now + limits.init, token);
        let operations = Operations::answering(site.answer_most);
        Self {
            site,
            request,
            socket,
            limits,
            address,
            _seat: seat,
            phase,
            operations,
            ping_at: now + limits.ping,
            silent: 0,
            heard: 0,
        }
    }

    /// Serves it until either side is done with it.
    pub(super) async fn run(mut self: Box<Self>) {
        let mut held = self.site.kernel.metrics.socket_opened();
        let end = if self.socket.protocol().is_some() { self.serve().await } else { Close::SUBPROTOCOL.into() };
        self.operations = Operations::default();
        let farewell = async {
            let deaf = matches!(end, End::Deaf(_));
            match end {
                End::Close(close) | End::Deaf(close) => {
                    tracing::debug!(?close, "socket closed");
                    held.closes(close.code());
                    self.socket.send(Message::Close(Some(close.frame()))).await?;
                }
                End::Left => {}
                End::Gone => return Ok(()),
            }
            // To be gone while something is unread would reset the connection, and the peer might never learn why.
            while let Some(read) = self.socket.recv().await {
                read?;
            }
            if deaf {
                tokio::time::sleep(LINGER).await;
            }
            Ok::<_, axum::Error>(())
        };
        // An error here: it ended before it could be closed.
        let _ = timeout(LINGER, farewell).await;
    }

    async fn serve(&mut self) -> End {
        let shutdown = self.site.kernel.shutdown.clone();
        let mut stopping = pin!(shutdown.cancelled());
        let mut alarm = pin!(sleep_until(self.alarm()));
        let mut answered = false;
        loop {
            // In this order: a listener of a stopping server is to hear that it stops, not that there is no more. What
            // seldom happens is boxed: 5,000 sockets that only listen would hold its state too (3 KiB each).
            let done = tokio::select! {
                biased;
                () = &mut stopping => Err(Close::GOING_AWAY.into()),
                () = &mut alarm => {
                    let done = Box::pin(self.wake()).await;
                    alarm.as_mut().reset(self.alarm());
                    done
                }
                session = self.phase.checked() => {
                    let done = Box::pin(self.open(session)).await;
                    alarm.as_mut().reset(self.alarm());
                    done
                }
                next = next(&mut self.socket, &mut self.operations, answered) => {
                    answered = matches!(next, Next::Answer(_));
                    match next {
                        Next::Message(Some(Ok(message))) => Box::pin(self.receive(message)).await,
                        Next::Message(Some(Err(error))) => Err(End::of(error)),
                        Next::Message(None) => Err(End::Gone),
                        Next::Answer(message) => self.send(message).await,
                    }
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// When to look at the time.
    fn alarm(&self) -> Instant {
        match &self.phase {
            Phase::New(init_by, _) => self.ping_at.min(*init_by),
            Phase::Checking(_) | Phase::Open(Session(None)) => self.ping_at,
            Phase::Open(Session(Some(principal))) => {
                let left = principal.expires_at.0.saturating_sub(self.site.kernel.clock.now().0).max(1);
                let left = Duration::from_millis(left.unsigned_abs());
                Instant::now().checked_add(left).map_or(self.ping_at, |expiry| expiry.min(self.ping_at))
            }
        }
    }

    async fn wake(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if matches!(self.phase, Phase::New(init_by, _) if init_by <= now) {
            return Err(Close::INIT_TIMEOUT.into());
        }
        self.check_expiry()?;
        if self.ping_at > now {
            return Ok(());
        }
        if self.silent >= SILENT_MOST {
            tracing::debug!("a silent socket is dropped");
            return Err(End::Gone);
        }
        self.silent += 1;
        self.ping_at = now + self.limits.ping;
        self.write(Message::Ping(Bytes::new())).await
    }

    fn check_expiry(&self) -> Result<(), End> {
        match &self.phase {
            Phase::Open(Session(Some(principal))) if principal.expires_at <= self.site.kernel.clock.now() => {
                Err(Close::EXPIRED.into())
            }
            _ => Ok(()),
        }
    }

    /// Acknowledges, if the token holds.
    async fn open(&mut self, session: Result<Session>) -> Result<(), End> {
        match session {
            Ok(session) => self.phase = Phase::Open(session),
            Err(error) => {
                return Err(End::Close(match error.code() {
                    Code::UNAUTHENTICATED | Code::FORBIDDEN => Close::FORBIDDEN,
                    code => {
                        tracing::warn!(error = error.for_operator(), "a socket's token could not be checked");
                        let passing = matches!(code, Code::UNAVAILABLE | Code::OVERLOADED | Code::RATE_LIMITED);
                        if passing { Close::TRY_LATER } else { Close::INTERNAL }
                    }
                }));
            }
        }
        self.send(Ok(message::ACK)).await
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        self.silent = 0;
        self.heard += 1;
        if self.heard >= HEARD_MOST {
            self.heard = 0;
            // A client that never pauses would else keep its operations, and what they hold, where they are.
            if let Some(answer) = self.operations.next().now_or_never() {
                self.send(answer).await?;
            }
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Close::INVALID.into()),
            // The library answers a ping by itself.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Left),
        };
        match message::parse(&text).ok_or(Close::INVALID)? {
            Incoming::Init(authorization) => self.init(authorization),
            Incoming::Ping(payload) => self.send(message::pong(payload.as_ref())).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe(id, params) => self.subscribe(id, *params).await,
            Incoming::Complete(id) => {
                self.operations.stop(&id);
                Ok(())
            }
        }
    }

    /// Has the token looked at: the payload's, because browsers cannot set headers on a socket, or the handshake's.
    fn init(&mut self, authorization: Option<Value>) -> Result<(), End> {
        let Phase::New(_, handshake) = &mut self.phase else { return Err(Close::INIT_TWICE.into()) };
        let token = authorization.map(|value| bearer(value.as_str())).or(handshake.take());
        let (site, address) = (self.site.clone(), self.address);
        let session = async move {
            let token = token.as_ref().map(|token| token.as_deref().map_err(Clone::clone));
            site.authenticate(token, address).await
        };
        self.phase = Phase::Checking(session.boxed());
        Ok(())
    }

    async fn subscribe(&mut self, id: Box<str>, params: Params) -> Result<(), End> {
        let Phase::Open(session) = &self.phase else { return Err(Close::UNAUTHORIZED.into()) };
        self.check_expiry()?;
        if self.operations.contains(&id) {
            return Err(Close::taken(&id).into());
        }
        let most = self.limits.operations;
        let admitted = if self.operations.len() >= most {
            Err(refusal(Error::new(Code::RATE_LIMITED, format!("a socket has {most} operations at most at a time"))))
        } else {
            let may = self.site.throttle(session, self.address, 1).map_err(refusal);
            may.and_then(|()| self.site.admit(&params, session, self.address, Transport::Socket))
        };
        match admitted {
            Ok(operation) => {
                let lasting = operation.kind == OperationType::Mutation;
                let answers = execute(&self.site, operation, self.request.clone());
                self.operations.start(id, answers, lasting);
                Ok(())
            }
            Err(refused) => self.send(message::error(&id, &refused.errors)).await,
        }
    }

    async fn send(&mut self, message: serde_json::Result<Utf8Bytes>) -> Result<(), End> {
        match message {
            Ok(text) => self.write(Message::Text(text)).await,
            Err(error) => {
                tracing::error!(%error, "a message could not be written");
                Err(Close::INTERNAL.into())
            }
        }
    }

    /// Sends a frame to its last byte: what the client does not take is not piled up here.
    async fn write(&mut self, message: Message) -> Result<(), End> {
        let Self { site, socket, limits, operations, .. } = self;
        let mut sending = pin!(socket.send(message));
        // Nearly always it is taken at once.
        if let Poll::Ready(sent) = poll!(sending.as_mut()) {
            return sent.map_err(|_| End::Gone);
        }
        tokio::select! {
            biased;
            sent = timeout(limits.write, sending) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => {
                    tracing::debug!("a socket that does not read is dropped");
                    Err(End::Gone)
                }
            },
            () = operations.go_on() => {
                tracing::debug!("a socket that asks and does not read is dropped");
                Err(End::Gone)
            }
            () = site.kernel.shutdown.cancelled() => Err(End::Gone),
        }
    }
}
