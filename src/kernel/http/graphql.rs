//! GraphQL over HTTP. Source: <https://graphql.github.io/graphql-over-http/draft/>; where it leaves a choice, the
//! audits of the npm package `graphql-http` decide.

use async_graphql::Response;
use async_graphql::parser::types::OperationType;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use mime::Mime;

use super::answer::{MediaType, Outcome, refuse, refuse_by_code, write, write_batch};
use super::params::{self, Body};
use super::{ClientAddress, Operation, Site, execution, refusal, socket};
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::telemetry::Transport;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
const POST: HeaderValue = HeaderValue::from_static("POST");

/// Answers every method of `/graphql`, and opens its sockets.
pub(super) async fn answer(site: &Site, request: Request<Bytes>, client: ClientAddress) -> axum::response::Response {
    if socket::is_upgrade(&request) {
        return socket::upgrade(site.clone(), request, client).await;
    }
    let media = match MediaType::accepted(request.headers()) {
        Ok(media) => media,
        Err(error) => return refuse(MediaType::Json, StatusCode::NOT_ACCEPTABLE, error),
    };
    match *request.method() {
        Method::GET | Method::HEAD => get(site, media, &request.into_parts().0, client).await,
        Method::POST => post(site, media, &request, client).await,
        Method::OPTIONS => (StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response(),
        _ => not_allowed(media, METHODS, "GraphQL is for GET and POST"),
    }
}

pub(super) fn not_allowed(media: MediaType, allow: HeaderValue, message: &'static str) -> axum::response::Response {
    let mut response = refuse(media, StatusCode::METHOD_NOT_ALLOWED, Error::invalid(message));
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Queries only: what changes something must not be a link.
async fn get(site: &Site, media: MediaType, request: &Parts, client: ClientAddress) -> axum::response::Response {
    let session = match site.authenticate(bearer(&request.headers), client).await {
        Ok(session) => session,
        Err(error) => return refuse_by_code(media, error),
    };
    if let Err(error) = site.throttle(&session, client, 1) {
        return refuse_by_code(media, error);
    }
    let params = match params::from_query(request.uri.query().unwrap_or_default()) {
        Ok(params) => params,
        Err(error) => return refuse(media, StatusCode::BAD_REQUEST, error),
    };
    match site.admit(&params, &session, client, Transport::Http) {
        Ok(operation) if operation.kind == OperationType::Mutation => {
            not_allowed(media, POST, "GET is for queries: send a mutation with POST")
        }
        admitted => answer_one(site, media, admitted).await,
    }
}

async fn post(
    site: &Site,
    media: MediaType,
    request: &Request<Bytes>,
    client: ClientAddress,
) -> axum::response::Response {
    if let Err(error) = check_type(request.headers()) {
        return refuse(media, StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    }
    let session = match site.authenticate(bearer(request.headers()), client).await {
        Ok(session) => session,
        Err(error) => return refuse_by_code(media, error),
    };
    // One before its body is looked at: what is no request counts too.
    if let Err(error) = site.throttle(&session, client, 1) {
        return refuse_by_code(media, error);
    }
    let body = match params::parse(request.body(), site.batch_most) {
        Ok(body) => body,
        Err(error) => return refuse(media, StatusCode::BAD_REQUEST, error),
    };
    if let Err(error) = site.throttle(&session, client, body.operations().saturating_sub(1)) {
        return refuse_by_code(media, error);
    }
    match body {
        Body::Single(params) => answer_one(site, media, site.admit(&params, &session, client, Transport::Http)).await,
        Body::Batch(batch) => {
            let admitted = batch.iter().map(|params| site.admit(params, &session, client, Transport::Http));
            answer_batch(site, media, admitted.collect()).await
        }
    }
}

/// What an admitted operation costs; a refused one nothing.
fn cost(admitted: &Result<Operation, Response>) -> u64 {
    admitted.as_ref().map_or(0, |operation| operation.cost)
}

/// Runs one and writes its answer, both within its share of the room for answers.
async fn answer_one(site: &Site, media: MediaType, admitted: Result<Operation, Response>) -> axum::response::Response {
    match site.room.take(cost(&admitted)).await {
        Ok(_share) => write(media, &run(site, admitted).await, site.answer_most),
        Err(error) => refuse_by_code(media, error),
    }
}

/// The same for a batch: one share for all, so that none of it waits for another of it.
async fn answer_batch(
    site: &Site,
    media: MediaType,
    admitted: Vec<Result<Operation, Response>>,
) -> axum::response::Response {
    match site.room.take(admitted.iter().map(cost).fold(0, u64::saturating_add)).await {
        Ok(_share) => write_batch(media, &run_batch(site, admitted).await, site.answer_most),
        Err(error) => refuse_by_code(media, error),
    }
}

async fn run(site: &Site, admitted: Result<Operation, Response>) -> Outcome {
    match admitted {
        Ok(operation) if operation.kind == OperationType::Subscription => {
            let error = Error::invalid("a subscription needs a WebSocket, or /graphql/stream");
            Outcome::Refused(refusal(error))
        }
        Ok(operation) => Outcome::Executed(execution::run(site, operation).await),
        Err(response) => Outcome::Refused(response),
    }
}

/// Queries run together; where something is changed, one after the other in the batch's order.
async fn run_batch(site: &Site, admitted: Vec<Result<Operation, Response>>) -> Vec<Outcome> {
    let changes = |admitted: &Result<Operation, Response>| {
        admitted.as_ref().is_ok_and(|operation| operation.kind == OperationType::Mutation)
    };
    if !admitted.iter().any(changes) {
        return join_all(admitted.into_iter().map(|admitted| run(site, admitted))).await;
    }
    let mut outcomes = Vec::with_capacity(admitted.len());
    for admitted in admitted {
        outcomes.push(run(site, admitted).await);
    }
    outcomes
}

/// The token in `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Result<&str>> {
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

/// JSON in UTF-8, as it is.
pub(super) fn check_type(headers: &HeaderMap) -> Result<()> {
    if !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        return Err(Error::invalid("send JSON in UTF-8: Content-Type: application/json"));
    }
    let codings =
        headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    if !codings.all(|coding| coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Error::invalid("send the body without Content-Encoding"));
    }
    Ok(())
}

fn is_json(given: &HeaderValue) -> bool {
    if given == "application/json" {
        return true;
    }
    let given: Option<Mime> = given.to_str().ok().and_then(|given| given.parse().ok());
    given.is_some_and(|given| {
        given.essence_str() == "application/json" && given.get_param(mime::CHARSET).is_none_or(|set| set == mime::UTF_8)
    })
}
