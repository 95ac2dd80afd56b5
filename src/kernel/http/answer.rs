//! Media types and status codes of answers.
//! Source: <https://graphql.github.io/graphql-over-http/draft/#sec-Response>.

use async_graphql::{Response, ServerError};
use axum::response::IntoResponse as _;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::bounded::Bounded;
use super::limits::with_retry_after;
use super::{accept, refusal};
use crate::kernel::error::{Code, Error, Result};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const GRAPHQL: HeaderValue = HeaderValue::from_static("application/graphql-response+json; charset=utf-8");

/// What is set aside for a body before it is written.
const USUAL_BYTES: usize = 128;
/// About so many headers an answer has.
const HEADERS: usize = 12;

/// What an answer is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`: a refused document answers 200, as clients from before the specification expect.
    Json,
    /// `application/graphql-response+json`: the status says whether anything was executed.
    Graphql,
}

/// What came of one operation.
pub(super) enum Outcome {
    /// It ran; there are data, or null where an error took all of them.
    Executed(Response),
    /// It did not run: errors only.
    Refused(Response),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Executed(&'a Response),
    Refused { errors: &'a [ServerError] },
}

impl MediaType {
    /// The type that `Accept` prefers; `application/json` without one, or for whoever takes anything.
    ///
    /// # Errors
    /// When it takes neither.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self> {
        let mut given = headers.get_all(ACCEPT).iter();
        match (given.next(), given.next()) {
            (None, _) => return Ok(Self::Json),
            // What nearly everybody sends, without a parser.
            (Some(value), None) if value == "*/*" || value == "application/json" => return Ok(Self::Json),
            _ => {}
        }
        match accept::wishes(headers, ["application/json", "application/graphql-response+json"]) {
            [None, None] => {
                Err(Error::invalid("answers are application/graphql-response+json or application/json, in UTF-8"))
            }
            [json, graphql] => Ok(if graphql > json { Self::Graphql } else { Self::Json }),
        }
    }

    fn header(self) -> HeaderValue {
        match self {
            Self::Json => JSON,
            Self::Graphql => GRAPHQL,
        }
    }
}

impl Outcome {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Executed(response) => Body::Executed(response),
            Self::Refused(response) => Body::Refused { errors: &response.errors },
        }
    }

    /// 200 for whatever ran. For what did not: 200 or 400 where the document is at fault, by the media type; else by
    /// the first error's code.
    fn status(&self, media: MediaType) -> StatusCode {
        let Self::Refused(response) = self else { return StatusCode::OK };
        let code = response.errors.first().and_then(|error| error.extensions.as_ref()?.get("code"));
        let code = match code {
            Some(async_graphql::Value::String(code)) => code.as_str(),
            _ => Code::INTERNAL.0,
        };
        match (status(code), media) {
            (StatusCode::BAD_REQUEST, MediaType::Json) => StatusCode::OK,
            (status, _) => status,
        }
    }
}

/// The status of a refusal with this code.
fn status(code: &str) -> StatusCode {
    match code {
        code if code == Code::UNAUTHENTICATED.0 => StatusCode::UNAUTHORIZED,
        code if code == Code::FORBIDDEN.0 => StatusCode::FORBIDDEN,
        code if code == Code::RATE_LIMITED.0 => StatusCode::TOO_MANY_REQUESTS,
        code if code == Code::OVERLOADED.0 || code == Code::UNAVAILABLE.0 => StatusCode::SERVICE_UNAVAILABLE,
        code if code == Code::INTERNAL.0 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The answer to one operation: at most so many bytes, else an error in its place.
pub(super) fn write(media: MediaType, outcome: &Outcome, most: usize) -> axum::response::Response {
    let mut bytes = Bounded::after(Vec::with_capacity(USUAL_BYTES), most);
    let fits = bytes.put(|bytes| serde_json::to_writer(bytes, &outcome.body()));
    written(media, outcome.status(media), fits.map(|fits| (bytes.into_bytes(), fits)))
}

/// The answers to a batch, in its order; all of them together have at most so many bytes.
pub(super) fn write_batch(media: MediaType, outcomes: &[Outcome], most: usize) -> axum::response::Response {
    let mut bytes = Bounded::after(Vec::with_capacity(USUAL_BYTES), most);
    let mut all_fit = Ok(true);
    bytes.push(b'[');
    for (place, outcome) in outcomes.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        let fits = bytes.put(|bytes| serde_json::to_writer(bytes, &outcome.body()));
        all_fit = all_fit.and_then(|all| fits.map(|fits| all && fits));
    }
    bytes.push(b']');
    written(media, StatusCode::OK, all_fit.map(|fit| (bytes.into_bytes(), fit)))
}

/// What was written, and whether all of it fitted; what did not is counted on its way out.
fn written(
    media: MediaType,
    status: StatusCode,
    bytes: serde_json::Result<(Vec<u8>, bool)>,
) -> axum::response::Response {
    let fits = !matches!(bytes, Ok((_, false)));
    let mut response = respond(media, status, bytes.map(|(bytes, _)| bytes));
    if !fits {
        response.extensions_mut().insert(RefusedWith(Code::TOO_COMPLEX));
    }
    response
}

/// An error that no operation has counted: it is, on its way out.
#[derive(Clone, Copy)]
pub(super) struct RefusedWith(pub(super) Code);

/// The answer to a request of which nothing is executed, with a status of its own.
pub(super) fn refuse(media: MediaType, status: StatusCode, error: Error) -> axum::response::Response {
    let (code, wait) = (error.code(), error.retry_after());
    let bytes = serde_json::to_vec(&Body::Refused { errors: &refusal(error).errors });
    let mut response = respond(media, status, bytes);
    response.extensions_mut().insert(RefusedWith(code));
    with_retry_after(wait, response)
}

/// The same, with the status of the error's code.
pub(super) fn refuse_by_code(media: MediaType, error: Error) -> axum::response::Response {
    let status = status(error.code().0);
    refuse(media, status, error)
}

fn respond(media: MediaType, status: StatusCode, body: serde_json::Result<Vec<u8>>) -> axum::response::Response {
    let bytes = match body {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "a response could not be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = axum::response::Response::new(bytes.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // With those that the front adds.
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, media.header());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept, authorization"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
