//! `/metrics`, as OpenMetrics text: to those on this machine, unless the settings say otherwise.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HOST, HeaderMap, VIA, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::graphql::strip_bearer;
use super::{ClientAddress, Site, health};
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};

/// Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A database that does not answer must not keep the other numbers back.
const PING: Duration = Duration::from_secs(1);
/// What proxies add: a peer on this machine that sends one of these speaks for somebody else.
const FORWARDING: [HeaderName; 6] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// `/metrics` beside GraphQL. To those who may not read it, it does not exist; with a token set, it asks for it.
pub(super) async fn beside(State(site): State<Site>, request: Request) -> Response {
    let settings = &site.kernel.settings;
    let reader = match settings.optional("telemetry.metrics_listen") {
        Some(_) => Reader::None,
        None => reader(settings.text("telemetry.metrics"), settings.optional("telemetry.metrics_token")),
    };
    let may = match reader {
        Reader::All => true,
        Reader::Local => is_local(&request),
        Reader::Bearer(token) if shows(request.headers(), token) => true,
        Reader::Bearer(_) => return unauthorized(),
        Reader::None => false,
    };
    if may {
        site.measure();
        text(&site.kernel).await
    } else {
        (StatusCode::NOT_FOUND, "not found").into_response()
    }
}

/// `/metrics` on a port of its own: for whoever reaches it, and shows the token where one is set.
async fn apart(State(process): State<Process>, headers: HeaderMap) -> Response {
    match process.kernel.settings.optional("telemetry.metrics_token") {
        Some(token) if !shows(&headers, token) => unauthorized(),
        _ => {
            if let Some(site) = &process.site {
                site.measure();
            }
            text(&process.kernel).await
        }
    }
}

/// What is measured at a port of its own.
#[derive(Clone)]
struct Process {
    kernel: Kernel,
    /// None in a worker, which serves nothing else.
    site: Option<Site>,
}

/// Who may read.
enum Reader<'a> {
    All,
    Local,
    Bearer(&'a str),
    None,
}

fn reader<'a>(mode: &str, token: Option<&'a str>) -> Reader<'a> {
    match (mode, token) {
        ("off", _) => Reader::None,
        (_, Some(token)) => Reader::Bearer(token),
        ("all", None) => Reader::All,
        _ => Reader::Local,
    }
}

/// Whether the request comes from this machine, and from nobody else through a proxy on it.
fn is_local(request: &Request) -> bool {
    let loopback =
        request.extensions().get::<ClientAddress>().is_some_and(|address| address.0.to_canonical().is_loopback());
    loopback && has_local_name(request.headers()) && !FORWARDING.iter().any(|name| request.headers().contains_key(name))
}

/// Whether the request calls this machine by a name of its own. A proxy that adds nothing passes on the public name,
/// and a page whose name was turned to this machine sends that.
fn has_local_name(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether the token is shown. Digests are compared, so that the time says nothing of how much of it was right.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(strip_bearer);
    shown.is_some_and(|shown| Sha256::digest(shown) == Sha256::digest(token))
}

fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "the token of telemetry.metrics_token").into_response()
}

async fn text(kernel: &Kernel) -> Response {
    // A task of its own: one that takes longer than readers wait still comes to its end.
    let (looking, kernel_too) = (kernel.backlogs.clone(), kernel.clone());
    let looked = tokio::spawn(async move { looking.look(&kernel_too).await });
    let _ = tokio::time::timeout(PING, looked).await;
    let answers = matches!(tokio::time::timeout(PING, kernel.db.ping()).await, Ok(Ok(())));
    kernel.metrics.set_ready(answers && !kernel.shutdown.is_cancelled());
    match kernel.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => {
            tracing::error!(error = error.for_operator(), "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The port of `telemetry.metrics_listen`.
pub struct MetricsListening(TcpListener);

/// Takes the port of `telemetry.metrics_listen`, where it is set.
///
/// # Errors
/// When the address is not one, or is taken.
pub async fn listen_for_metrics(kernel: &Kernel) -> Result<Option<MetricsListening>> {
    let Some(address) = kernel.settings.optional("telemetry.metrics_listen") else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(MetricsListening(listener))),
        Err(error) => Err(Error::new(Code::UNAVAILABLE, format!("cannot listen for metrics on {address}: {error}"))),
    }
}

impl MetricsListening {
    /// Serves `/metrics`, `/healthz` and `/readyz` in the background, until the shutdown begins: a reader that is cut
    /// off reads again elsewhere or later. `site` is what is served beside it, if anything is.
    pub fn serve(self, kernel: &Kernel, site: Option<&Site>) {
        let router = Router::new()
            .route("/metrics", get(apart))
            .route("/healthz", get(health::alive))
            .route(
                "/readyz",
                get(|State(process): State<Process>| async move { health::readiness(&process.kernel).await }),
            )
            .with_state(Process { kernel: kernel.clone(), site: site.cloned() });
        let shutdown = kernel.shutdown.clone();
        kernel.tasks.spawn(async move {
            let serving = axum::serve(self.0, router).into_future();
            if let Some(Err(error)) = shutdown.run_until_cancelled(serving).await {
                tracing::error!(%error, "metrics are served no more");
            }
        });
    }
}
