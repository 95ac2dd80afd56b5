//! Listens, logs each request with an id, and stops without cutting anybody off.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use http::{HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tracing::Instrument as _;

use super::answer::RefusedWith;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a proxy.
const REQUEST_ID_MOST: usize = 64;

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

impl Listening {
    /// Serves until [`Kernel::shutdown`], then lets open requests end for `server.shutdown_secs`, then waits for the
    /// background tasks: what was acknowledged is already durable.
    ///
    /// # Errors
    /// The listener's own.
    pub async fn serve(self, router: Router, kernel: &Kernel) -> Result<()> {
        let listener = self.listener.tap_io(|socket| {
            // Small answers are not to wait for the next one.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
        });
        let shutdown = kernel.shutdown.clone();
        let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let grace = Duration::from_secs(kernel.settings.count("server.shutdown_secs").into());
        let cut_off = async {
            shutdown.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            served = serving => served.map_err(Error::internal)?,
            () = cut_off => tracing::warn!("requests were still open at the end of the grace period"),
        }
        Ok(())
    }
}

/// Gives each request an id, a span and a line in the log.
pub(super) async fn trace(State(kernel): State<Kernel>, request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = match given {
        Some(id) if id.len() <= REQUEST_ID_MOST && id.bytes().all(|byte| byte.is_ascii_graphic()) => id.to_owned(),
        _ => kernel.ids.next().simple().to_string(),
    };
    let span = crate::kernel::telemetry::request_span(&request, &id);
    let started = kernel.clock.now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took_ms = kernel.clock.now().0 - started.0;
    kernel.metrics.http_response(response.status().as_u16());
    if let Some(RefusedWith(code)) = response.extensions().get() {
        kernel.metrics.error(*code);
    }
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), took_ms, "answered"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
