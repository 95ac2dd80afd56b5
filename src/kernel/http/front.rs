//! The way of a request from hyper to the router and back: who sends it, may it come in, is it whole, how long may it
//! take. Functions instead of layers: a layer of axum costs allocations, and these hold for every request.

use std::net::IpAddr;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

use super::answer::RefusedWith;
use super::body::{self, Budget, Refused};
use super::client::{ClientAddress, Proxies};
use super::origins::Origins;
use super::routes::Routes;
use super::security;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error};
use crate::kernel::telemetry::Requested;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Largest body of a request that is not the API's, in bytes.
const OTHER_BODY_MOST: usize = 4 * 1024;
/// Longest id that is taken over from a proxy.
const REQUEST_ID_MOST: usize = 64;

/// What all connections share.
pub(super) struct Front {
    routes: Routes,
    pub(super) kernel: Kernel,
    pub(super) proxies: Proxies,
    origins: Origins,
    bodies: Budget,
    body_most: usize,
    body_within: Duration,
    answer_within: Duration,
    https: bool,
    http2: bool,
}

impl Front {
    pub(super) fn new(routes: Routes) -> Self {
        let kernel = routes.site.kernel.clone();
        let settings = &kernel.settings;
        Self {
            proxies: Proxies::new(settings),
            origins: Origins::new(settings),
            bodies: Budget::new(settings.count("server.bodies_mib")),
            body_most: settings.count("server.body_bytes") as usize,
            body_within: Duration::from_secs(settings.count("server.body_secs").into()),
            answer_within: Duration::from_secs(settings.count("server.request_secs").into()),
            https: settings.switch("server.https"),
            http2: settings.switch("server.http2"),
            routes,
            kernel,
        }
    }

    /// Answers a request that came over a connection of `peer`.
    pub(super) async fn answer(&self, peer: IpAddr, mut request: http::Request<Incoming>) -> Response {
        if request.version() == Version::HTTP_2 && !self.http2 {
            // Without a body: an answer with one could be held back for ever, by a window that is never opened. What
            // pulse.rs sees is the socket, on which such a client is lively.
            return StatusCode::HTTP_VERSION_NOT_SUPPORTED.into_response();
        }
        let client = self.proxies.client(peer, request.headers_mut());
        if request.version() == Version::HTTP_2
            && !request.headers().contains_key(HOST)
            && let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            // One name for it, whatever the protocol. Source: RFC 9113, 8.3.1.
            request.headers_mut().insert(HOST, host);
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let is_api = is_api(request.uri().path());
        let id = self.request_id(request.headers());
        let started = tracing::enabled!(tracing::Level::DEBUG).then(|| self.kernel.clock.now());
        if !(peer.is_loopback() || self.proxies.trusts(peer)) {
            // Whoever is traced is sent to the collector: not for strangers to decide.
            request.headers_mut().remove(TRACEPARENT);
        }
        let requested = Requested::new(&request, &id, client.0);
        // Boxed: hyper moves it about, and it is as large as the largest of all answers' ways.
        let admitted = Box::pin(self.admit(request, client, is_api));
        let answered = requested.scope(async {
            let mut response = admitted.await;
            if is_api {
                response = security::as_graphql(response);
            }
            if let Some(started) = started {
                let took_ms = self.kernel.clock.now().0 - started.0;
                tracing::debug!(status = response.status().as_u16(), took_ms, "answered");
            }
            response
        });
        let mut response = answered.await;
        self.kernel.metrics.http_response(response.status().as_u16());
        if let Some(RefusedWith(code)) = response.extensions().get() {
            self.kernel.metrics.error(*code);
        }
        if let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(id)) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        if is_api {
            self.origins.share(origin.as_ref(), response.headers_mut());
        }
        security::harden(response.headers_mut(), self.https);
        response
    }

    /// The one that a proxy gave it, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        match given {
            Some(id) if id.len() <= REQUEST_ID_MOST && id.bytes().all(|byte| byte.is_ascii_graphic()) => id.to_owned(),
            _ => self.kernel.ids.next().simple().to_string(),
        }
    }

    async fn admit(&self, request: http::Request<Incoming>, client: ClientAddress, is_api: bool) -> Response {
        let (parts, body) = request.into_parts();
        if !has_one_host(&parts) {
            let error = Error::invalid("send one Host header: a name or an address, and a port where there is one");
            return refuse(is_api, StatusCode::BAD_REQUEST, error);
        }
        if is_api {
            if let Some(headers) = self.origins.preflight(&parts.method, &parts.headers) {
                return (StatusCode::NO_CONTENT, headers).into_response();
            }
            if self.origins.refuses(&parts.method, &parts.headers) {
                let error = Error::new(Code::FORBIDDEN, "pages of other sites may not use this API from a browser");
                return refuse(is_api, StatusCode::FORBIDDEN, error);
            }
        }
        let (body, _share) = match body.is_end_stream() {
            true => (Bytes::new(), None),
            false => {
                let most = self.body_most(is_api);
                match body::read(&parts.headers, body, most, self.body_within, &self.bodies).await {
                    Ok(read) => read,
                    Err(refused) => return self.without_body(is_api, parts.version, refused),
                }
            }
        };
        // Until the head of the answer: what streams has its own ends. Whoever waits for a write is dropped, the write is
        // not: the batcher commits it or not, whoever listens.
        let request = http::Request::from_parts(parts, body);
        match tokio::time::timeout(self.answer_within, self.routes.answer(request, client)).await {
            Ok(response) => response,
            Err(_) => {
                tracing::warn!("a request took longer than server.request_secs");
                let what = "the server took too long; a write may have passed all the same, and may be repeated";
                refuse(is_api, StatusCode::SERVICE_UNAVAILABLE, Error::new(Code::UNAVAILABLE, what))
            }
        }
    }

    /// Nothing but the API needs a large body.
    fn body_most(&self, is_api: bool) -> usize {
        if is_api { self.body_most } else { self.body_most.min(OTHER_BODY_MOST) }
    }

    fn without_body(&self, is_api: bool, version: Version, refused: Refused) -> Response {
        let (status, error) = match refused {
            Refused::TooLarge => {
                let what = format!("the body is larger than {} bytes", self.body_most(is_api));
                (StatusCode::PAYLOAD_TOO_LARGE, Error::invalid(what))
            }
            Refused::TooSlow => {
                let what = format!("the body did not arrive within {} s", self.body_within.as_secs());
                (StatusCode::REQUEST_TIMEOUT, Error::invalid(what))
            }
            Refused::Broken => (StatusCode::BAD_REQUEST, Error::invalid("the body is not of its form or was cut off")),
            Refused::Crowded => {
                let error = Error::new(Code::OVERLOADED, "too much is being sent at once, try again");
                (StatusCode::SERVICE_UNAVAILABLE, error)
            }
        };
        closing(refuse(is_api, status, error), version)
    }
}

/// What is left of a body is not waited for, and would be read as the next request.
fn closing(mut response: Response, version: Version) -> Response {
    if version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn is_api(path: &str) -> bool {
    path.strip_prefix("/graphql").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Source: RFC 9112, 3.2. HTTP/1.0 may have none, and HTTP/2 its own way.
fn has_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, _) => parts.version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Nothing, or `uri-host [ ":" port ]`. Source: RFC 9110, 7.2.
fn is_host(host: &[u8]) -> bool {
    // A name or an address of IPv4 without a port, or with one, needs no parser.
    let (name, port) = match host.iter().position(|byte| *byte == b':') {
        Some(colon) => host.split_at(colon),
        None => (host, &[][..]),
    };
    let is_port = |port: &[u8]| port.iter().skip(1).all(u8::is_ascii_digit);
    if name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) && is_port(port) {
        return true;
    }
    Authority::try_from(host).is_ok_and(|authority| {
        let (name, whole) = (authority.host(), authority.as_str());
        whole
            .strip_prefix(name)
            .is_some_and(|port| port.is_empty() || port.starts_with(':') && is_port(port.as_bytes()))
    })
}

/// In the form of the API for its clients, in a line for the others.
fn refuse(is_api: bool, status: StatusCode, error: Error) -> Response {
    if is_api { security::refuse(status, error) } else { (status, error.client().to_owned()).into_response() }
}
