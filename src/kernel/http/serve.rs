//! Listens, serves each connection within its limits, and stops without cutting anybody off.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Version;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::ClientAddress;
use super::front::Front;
use super::mode::Mode;
use super::pulse::{Answer, Overdue, Pulse, Spans, Watched};
use super::routes::Routes;
use super::seats::{Seat, Seats};
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};

/// A request's head has at most so many lines; more are answered with 431.
const HEADERS_MOST: usize = 100;
/// HTTP/2 requests under way on one connection.
const STREAMS_MOST: u32 = 200;
/// HTTP/2 streams that a client may reset before the server began with them, and that the server had to reset, before
/// the connection is closed: CVE-2023-44487 and CVE-2025-8671 live on having no such bounds.
const RESETS_MOST: (usize, usize) = (20, 1024);
/// How long after a failed accept the next is tried: without open files to spare it would fail again at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long connections get to end after their requests.
const GOODBYE: Duration = Duration::from_secs(1);
/// At most one line in the log each so long, whatever strangers do.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// A server that has its port.
pub struct Listening {
    listener: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Takes the port of `server.listen`.
///
/// # Errors
/// When the address is not one, or is taken.
pub async fn listen(kernel: &Kernel) -> Result<Listening> {
    let address = kernel.settings.text("server.listen");
    let refused = |error: std::io::Error| Error::new(Code::UNAVAILABLE, format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok(Listening { listener, address })
}

/// What every connection is served with.
struct Service {
    front: Front,
    protocols: Builder<TokioExecutor>,
    spans: Spans,
    shutdown: CancellationToken,
    grace: Duration,
}

impl Listening {
    /// Serves until [`Kernel::shutdown`], then lets open requests end for `server.shutdown_secs`: what was acknowledged
    /// is already durable. Sockets end by themselves.
    ///
    /// # Errors
    /// None at present: an accept that fails is tried again.
    pub async fn serve(self, routes: Routes) -> Result<()> {
        let kernel = routes.site.kernel.clone();
        let settings = &kernel.settings;
        let (mode, why) = Mode::of(settings);
        tracing::info!(mode = mode.name(), why, "serving");
        let grace = Duration::from_secs(settings.count("server.shutdown_secs").into());
        let service = Arc::new(Service {
            front: Front::new(routes),
            protocols: protocols(settings),
            spans: Spans::new(settings),
            shutdown: kernel.shutdown.clone(),
            grace,
        });
        let connections = TaskTracker::new();
        let accepting = accept(&self.listener, Seats::new(settings), &service, &connections);
        kernel.shutdown.run_until_cancelled(accepting).await;
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(grace + GOODBYE, connections.wait()).await.is_err() {
            tracing::warn!("connections were still open at the end of the grace period");
        }
        Ok(())
    }
}

/// HTTP/1.1 and, for clients that begin with its preface, HTTP/2, which the front answers if the settings have it. What is said here is mostly what hyper has as its
/// defaults: its next version is not to change it unseen.
fn protocols(settings: &Settings) -> Builder<TokioExecutor> {
    let head_most = settings.count("server.header_bytes");
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .half_close(false)
        // See pulse.rs.
        .header_read_timeout(None)
        .max_headers(HEADERS_MOST)
        .max_buf_size(head_most as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MOST)
        .max_pending_accept_reset_streams(RESETS_MOST.0)
        .max_local_error_reset_streams(RESETS_MOST.1)
        .max_header_list_size(head_most);
    builder
}

/// Takes connections for ever. One too many is closed at once: left in the queue, it would wait for its own timeout and
/// hold up whoever looks whether the server lives; a balancer goes elsewhere.
async fn accept(listener: &TcpListener, seats: Arc<Seats>, service: &Arc<Service>, connections: &TaskTracker) {
    let mut log = Seldom::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client's, and gone with it.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                log.now_and_then(|times| tracing::error!(%error, times, "cannot accept connections"));
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let client = (!service.front.proxies.trusts(peer)).then_some(ClientAddress(peer));
        match seats.take(client) {
            Ok(seat) => {
                connections.spawn(connection(Arc::clone(service), stream, peer, seat));
            }
            Err(why) => {
                service.front.kernel.metrics.connection_refused("limit");
                log.now_and_then(|times| tracing::warn!(%peer, times, "connections are closed: {why}"));
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn connection(service: Arc<Service>, stream: TcpStream, peer: IpAddr, seat: Seat) {
    // Small answers are not to wait for the next one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let _counted = service.front.kernel.metrics.connection_opened();
    let pulse = Pulse::new(seat);
    let answer = service_fn(|request: http::Request<Incoming>| {
        let open = pulse.begin(request.version() == Version::HTTP_2);
        let service = Arc::clone(&service);
        async move {
            let response = service.front.answer(peer, request).await;
            Ok::<_, Infallible>(response.map(|body| Answer { body, _open: open }))
        }
    });
    let io = TokioIo::new(Watched { stream, pulse: Arc::clone(&pulse) });
    let mut serving = pin!(service.protocols.serve_connection_with_upgrades(io, answer));
    let mut alarm = pin!(pulse.alarm(&service.spans));
    let overdue = std::future::poll_fn(|cx| pulse.poll_overdue(cx, alarm.as_mut(), &service.spans));
    let goodbye = tokio::select! {
        biased;
        ended = serving.as_mut() => return note(ended),
        overdue = overdue => match overdue {
            Overdue::Slow => return,
            Overdue::Idle => GOODBYE,
        },
        () = service.shutdown.cancelled() => service.grace,
    };
    serving.as_mut().graceful_shutdown();
    let mut ended = tokio::time::timeout(goodbye, serving.as_mut()).await;
    if ended.is_err() && pulse.is_busy() && !service.shutdown.is_cancelled() {
        // A request crossed with the goodbye.
        ended = tokio::time::timeout(service.grace, serving).await;
    }
    match ended {
        Ok(ended) => note(ended),
        Err(_) if service.shutdown.is_cancelled() => tracing::warn!(%peer, "requests were cut off"),
        Err(_) => {}
    }
}

/// Broken connections are the clients' affair.
fn note(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Keeps strangers from filling the log.
#[derive(Default)]
struct Seldom {
    last: Option<Instant>,
    times: u64,
}

impl Seldom {
    /// Logs if it has not for a while; `log` gets how often there was something to say since.
    fn now_and_then(&mut self, log: impl FnOnce(u64)) {
        self.times += 1;
        if self.last.is_none_or(|last| last.elapsed() >= LOGGED_EVERY) {
            log(std::mem::take(&mut self.times));
            self.last = Some(Instant::now());
        }
    }
}
