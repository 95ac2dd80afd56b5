//! graphql-transport-ws, by its specification, in small buffers.
//! Source: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>; where it is silent, the package decides.

mod close;
mod connection;
mod message;
mod operations;

use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

use self::connection::{Connection, Handshake};
use super::answer::{MediaType, refuse, refuse_by_code};
use super::graphql::strip_bearer;
use super::{ClientAddress, Site};
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::telemetry::current_request;

/// The only protocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";
/// Of the WebSocket protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Bytes that a handshake's key stands for.
const KEY_BYTES: usize = 16;
/// Grows for a longer message.
const READ_BUFFER: usize = 512;
const MESSAGE_MOST: usize = 64 * 1024;

/// The settings of every socket.
#[derive(Clone, Copy)]
struct Limits {
    /// Until `connection_init`.
    init: Duration,
    /// Between two pings.
    ping: Duration,
    /// For one message.
    write: Duration,
    /// At a time.
    operations: usize,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let secs = |key| Duration::from_secs(settings.count(key).into());
        Self {
            init: secs("server.socket_init_secs"),
            ping: secs("server.socket_ping_secs"),
            write: secs("server.socket_write_secs"),
            operations: settings.count("server.socket_operations") as usize,
        }
    }
}

/// Whether a request asks for a socket; one that has but some of what is needed for that is a request like others.
/// Source: RFC 6455, 4.2.1; RFC 9110, 7.8.
pub(super) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// The refusal of a handshake that is not of its form. Source: RFC 6455, 4.2.1 and 4.4.
fn malformed(headers: &HeaderMap) -> Option<Response> {
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let error = Error::invalid("version 13 of the WebSocket protocol is spoken here: Sec-WebSocket-Version: 13");
        let mut response = refuse(MediaType::Json, StatusCode::UPGRADE_REQUIRED, error);
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        return Some(response);
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter().map(|key| STANDARD.decode(key));
    match (keys.next(), keys.next()) {
        (Some(Ok(key)), None) if key.len() == KEY_BYTES => None,
        _ => {
            let error = Error::invalid("Sec-WebSocket-Key must be 16 bytes in Base64");
            Some(refuse(MediaType::Json, StatusCode::BAD_REQUEST, error))
        }
    }
}

/// Upgrades to a socket. One that speaks another protocol is told so by its close code, which a browser's script can
/// read; an HTTP status it cannot.
pub(super) async fn upgrade(site: Site, request: Request<Bytes>, address: ClientAddress) -> Response {
    let (mut parts, _) = request.into_parts();
    if let Some(refused) = malformed(&parts.headers) {
        return refused;
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let seat = match site.seat_listener(address) {
        Ok(seat) => seat,
        Err(error) => return refuse_by_code(MediaType::Json, error),
    };
    let handshake = Handshake { address, seat, request: current_request(), token: handshake_token(&parts.headers) };
    let limits = Limits::of(&site.kernel.settings);
    // A message is sent to its last byte before the next one is written: the write buffer holds one at most.
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(MESSAGE_MOST)
        .max_frame_size(MESSAGE_MOST)
        .protocols([PROTOCOL])
        .on_upgrade(move |socket| {
            // The shutdown waits until the peers know of it.
            let tasks = site.kernel.tasks.clone();
            tasks.track_future(Box::new(Connection::new(site, socket, limits, handshake)).run())
        })
}

fn handshake_token(headers: &HeaderMap) -> Option<Result<String>> {
    headers.get(AUTHORIZATION).map(|value| bearer(value.to_str().ok()))
}

/// The token in `Bearer …`.
fn bearer(text: Option<&str>) -> Result<String> {
    let token = text.and_then(strip_bearer);
    token.map(str::to_owned).ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "Authorization must be: Bearer TOKEN"))
}
