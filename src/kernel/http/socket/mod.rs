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
use bytes::Bytes;
use http::header::{AUTHORIZATION, UPGRADE};
use http::{HeaderMap, Request};

use self::connection::{Connection, Handshake};
use super::answer::{MediaType, refuse_by_code};
use super::graphql::strip_bearer;
use super::{ClientAddress, Site};
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::telemetry::current_request;

/// The only protocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";
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

/// Whether a request asks for a socket.
pub(super) fn is_upgrade<B>(request: &Request<B>) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades to a socket. One that speaks another protocol is told so by its close code, which a browser's script can
/// read; an HTTP status it cannot.
pub(super) async fn upgrade(site: Site, request: Request<Bytes>, address: ClientAddress) -> Response {
    let (mut parts, _) = request.into_parts();
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
