//! graphql-transport-ws with small buffers: 12 KiB a listener where the stock service takes 139.
//! Source: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>.

use std::time::Duration;

use async_graphql::Data;
use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ALLOW, HeaderValue, UPGRADE};
use tokio::sync::watch;

use super::Site;
use super::graphql::strip_bearer;
use crate::kernel::auth::Session;
use crate::kernel::clock::{Clock, Millis};
use crate::kernel::error::{Code, Error};

const READ_BUFFER: usize = 2_048;
const MESSAGE_MOST: usize = 64 * 1024;
/// A reader that lets so much pile up is cut off.
const WRITE_BUFFER_MOST: usize = 512 * 1024;

/// Whether a request asks for a socket.
pub(super) fn is_upgrade(request: &Request) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades to a socket.
pub(super) async fn upgrade(site: Site, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        let allow = [(ALLOW, HeaderValue::from_static("POST"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "POST a GraphQL request, or open a WebSocket").into_response();
    };
    let Ok(protocol) = GraphQLProtocol::from_request_parts(&mut parts, &()).await else {
        return (StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol must be graphql-transport-ws").into_response();
    };
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_MOST)
        .max_message_size(MESSAGE_MOST)
        .max_frame_size(MESSAGE_MOST)
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .on_upgrade(move |socket| async move {
            let _counted = site.kernel.metrics.socket_opened();
            let (expiry, expired) = watch::channel(None);
            let clock = site.kernel.clock.clone();
            let shutdown = site.kernel.shutdown.clone();
            let serving = GraphQLWebSocket::new(socket, site.executor(), protocol)
                .on_connection_init(move |payload| async move { init(&site, &payload, &expiry).await })
                .serve();
            tokio::select! {
                () = serving => {}
                () = shutdown.cancelled() => {}
                () = until_expiry(expired, &*clock) => {}
            }
        })
}

/// The token is in the payload, because browsers cannot set headers on a socket.
async fn init(
    site: &Site,
    payload: &serde_json::Value,
    expiry: &watch::Sender<Option<Millis>>,
) -> async_graphql::Result<Data> {
    let header = ["Authorization", "authorization"].iter().find_map(|name| payload.get(name));
    let token = match header {
        None | Some(serde_json::Value::Null) => None,
        Some(value) => Some(
            value
                .as_str()
                .and_then(strip_bearer)
                .ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "Authorization must be: Bearer TOKEN")),
        ),
    };
    let session: Session = site.session(token).await?;
    if let Some(principal) = &session.0 {
        expiry.send_replace(Some(principal.expires_at));
    }
    let mut data = Data::default();
    data.insert(session);
    Ok(data)
}

/// Ends when the token that the socket was opened with does.
async fn until_expiry(mut expired: watch::Receiver<Option<Millis>>, clock: &dyn Clock) {
    let known = expired.wait_for(Option::is_some).await.map(|expires_at| *expires_at);
    let Ok(Some(expires_at)) = known else {
        // The sender is gone and no token came: an anonymous socket, which never expires.
        return std::future::pending().await;
    };
    let left = u64::try_from(expires_at.0 - clock.now().0).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}
