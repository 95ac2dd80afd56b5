//! Headers that take away from pages what they do not need, and the form of errors that no handler wrote.

use axum::response::Response;
use http::StatusCode;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use super::answer::{self, MediaType};
use crate::kernel::error::{Code, Error};

/// Two years, as the preload lists ask.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What a page gets beside its content security policy.
pub(super) const PAGE: [(HeaderName, HeaderValue); 3] = [
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// Adds what every answer has. `https`: TLS is in front.
pub(super) fn harden(headers: &mut HeaderMap, https: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Of requests without CORS only (images, scripts): pages of listed origins read answers all the same.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
}

/// A GraphQL answer that no handler wrote.
pub(super) fn refuse(status: StatusCode, error: Error) -> Response {
    answer::refuse(MediaType::Json, status, error)
}

/// An error of the API in the form of the API: clients read `errors`, whoever found the fault. Other headers stay.
pub(super) fn as_graphql(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim_end().ends_with("json"));
    if is_json {
        return response;
    }
    let (code, what) = match status {
        StatusCode::NOT_FOUND => (Code::NOT_FOUND, "there is nothing at this path; the API is at /graphql"),
        StatusCode::METHOD_NOT_ALLOWED => (Code::INVALID_INPUT, "this method is not for this path"),
        StatusCode::PAYLOAD_TOO_LARGE => (Code::INVALID_INPUT, "the body is too large"),
        StatusCode::UPGRADE_REQUIRED => (Code::INVALID_INPUT, "this is not a WebSocket handshake"),
        _ if status.is_server_error() => (Code::INTERNAL, "internal error"),
        _ => (Code::INVALID_INPUT, "the request is not of its form"),
    };
    let (old, _) = response.into_parts();
    let mut response = refuse(status, Error::new(code, what));
    for (name, value) in &old.headers {
        if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
