//! GraphQL over HTTP POST. The fine print of the protocol (GET, media types by Accept, batching, persisted documents)
//! belongs to the document gate, which is not built yet.

use async_graphql::{Response, Value};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::IntoResponse;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::limits::with_retry_after;
use super::{ClientAddress, Params, Site, refusal};
use crate::kernel::error::{Code, Error, Result};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Runs the operation in the body.
pub(super) async fn post(
    State(site): State<Site>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> axum::response::Response {
    if !is_json(&headers) {
        let error = Error::invalid("send JSON: Content-Type: application/json");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            return refuse(rejection.status(), Error::invalid("the body is too large or was cut off"));
        }
    };
    let session = match site.authenticate(bearer(&headers), address).await {
        Ok(session) => session,
        Err(error) if error.code() == Code::RATE_LIMITED => return refuse(StatusCode::TOO_MANY_REQUESTS, error),
        Err(error) => {
            let mut response = refuse(StatusCode::UNAUTHORIZED, error);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
    };
    if let Err(error) = site.throttle(&session, address, 1) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, error);
    }
    let params: Params = match serde_json::from_slice(&body) {
        Ok(params) => params,
        Err(error) => {
            let error = Error::invalid(format!("the body is not a GraphQL request: {error}"));
            return refuse(StatusCode::BAD_REQUEST, error);
        }
    };
    let response = match site.admit(params, &session) {
        Ok(operation) => site.run(operation).await,
        Err(response) => response,
    };
    // A request error has no data at all; whatever was executed is 200, with its errors inside.
    let status =
        if response.is_err() && response.data == Value::Null && response.errors.iter().all(|e| e.path.is_empty()) {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
    write(status, &response)
}

/// The token in `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<Result<&str>> {
    let value = headers.get(AUTHORIZATION)?;
    Some(
        value
            .to_str()
            .ok()
            .and_then(strip_bearer)
            .ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "Authorization must be: Bearer TOKEN")),
    )
}

/// The scheme's name is case-insensitive (RFC 9110, 11.1).
pub(super) fn strip_bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/graphql-response+json")
}

fn refuse(status: StatusCode, error: Error) -> axum::response::Response {
    with_retry_after(error.retry_after(), write(status, &refusal(error)))
}

fn write(status: StatusCode, response: &Response) -> axum::response::Response {
    match serde_json::to_vec(response) {
        Ok(body) => (status, [(CONTENT_TYPE, JSON)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "a response could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, [(ALLOW, HeaderValue::from_static("POST"))]).into_response()
        }
    }
}
