//! graphql-sse in its distinct connections mode: an event stream for each operation.
//! Source: <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>.
//!
//! What is wrong with the HTTP request is answered in HTTP; what is wrong with the GraphQL document comes as an event,
//! as the protocol demands: of a failed connection an `EventSource` learns nothing.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response, ServerError};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::response::IntoResponse as _;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode, Uri};
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

use super::execution::execute;
use super::graphql::strip_bearer;
use super::{Params, Site, refusal};
use crate::kernel::auth::Session;
use crate::kernel::clock::Clock;
use crate::kernel::error::{Code, Error, Result};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
const POST: HeaderValue = HeaderValue::from_static("POST");
/// A comment: clients skip it. Some browsers take a stream for open only once something has come.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// With an empty `data`, without which an `EventSource` passes over the event.
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata:\n\n");

type Answer = axum::response::Response;

/// Answers every method of `/graphql/stream`.
pub(super) async fn answer(State(site): State<Site>, request: Request) -> Answer {
    match *request.method() {
        Method::GET | Method::POST => open(&site, request).await.unwrap_or_else(|refused| *refused),
        Method::OPTIONS => (StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response(),
        // PUT and DELETE are the protocol's single connection mode.
        _ => not_allowed(METHODS, "open a stream for each operation, with GET or POST: there is no other mode"),
    }
}

/// The stream of an operation, or the refusal.
async fn open(site: &Site, request: Request) -> Result<Answer, Box<Answer>> {
    let boxed = |status, error| Box::new(refuse(status, error));
    if !takes_events(request.headers()) {
        let error = Error::invalid("answers are event streams: Accept: text/event-stream");
        return Err(boxed(StatusCode::NOT_ACCEPTABLE, error));
    }
    let (parts, body) = request.into_parts();
    let session = site.session(bearer(&parts.headers)).await.map_err(|error| match error.code() {
        Code::UNAUTHENTICATED => boxed(StatusCode::UNAUTHORIZED, error),
        _ => boxed(StatusCode::SERVICE_UNAVAILABLE, error),
    })?;
    let reads_only = parts.method == Method::GET;
    let params = if reads_only {
        from_query(&parts.uri)
    } else {
        if !is_json(&parts.headers) {
            let error = Error::invalid("send JSON: Content-Type: application/json");
            return Err(boxed(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let bytes = Bytes::from_request(Request::from_parts(parts, body), &()).await;
        let cut_off = Error::invalid("the body is too large or was cut off");
        from_body(&bytes.map_err(|rejection| boxed(rejection.status(), cut_off))?)
    };
    let params = params.map_err(|error| boxed(StatusCode::BAD_REQUEST, error))?;
    let answers = match site.admit(params, &session) {
        Ok(operation) if reads_only && operation.kind == OperationType::Mutation => {
            return Err(Box::new(not_allowed(POST, "a mutation must not be a link: send it with POST")));
        }
        Ok(operation) => execute(site, operation).map(|answer| event(&answer)).boxed(),
        Err(refused) => stream::iter([event(&Refused { errors: &refused.errors })]).boxed(),
    };
    let headers = [
        (CONTENT_TYPE, EVENT_STREAM),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        // nginx would hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events(site, session, answers))).into_response())
}

/// What a refused operation is told.
#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
}

/// An answer as a `next` event; nothing of one that cannot be written.
fn event(answer: &impl Serialize) -> Option<Bytes> {
    let mut bytes = b"event: next\ndata: ".to_vec();
    match serde_json::to_writer(&mut bytes, answer) {
        // JSON has its newlines escaped: it is one line.
        Ok(()) => bytes.extend_from_slice(b"\n\n"),
        Err(error) => {
            tracing::error!(%error, "an event could not be written");
            return None;
        }
    }
    Some(bytes.into())
}

/// Where a stream is.
enum Stage {
    Opening,
    Answering,
    Ended,
}

/// All that is sent: a comment at once and after each silence, the answers, `complete`. A stream that ends with its
/// token or with the server has no `complete`, so that the client comes back.
fn events(
    site: &Site,
    session: Session,
    answers: BoxStream<'static, Option<Bytes>>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let silence = Duration::from_secs(site.kernel.settings.count("server.stream_ping_secs").into());
    let (clock, shutdown) = (site.kernel.clock.clone(), site.kernel.shutdown.clone());
    let state = (Stage::Opening, answers, session);
    stream::unfold(state, move |(stage, mut answers, session)| {
        let (clock, shutdown) = (clock.clone(), shutdown.clone());
        async move {
            let (sent, stage) = match stage {
                Stage::Opening => (COMMENT, Stage::Answering),
                Stage::Answering => tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return None,
                    () = until_expiry(&session, &*clock) => return None,
                    answer = answers.next() => match answer {
                        Some(answer) => (answer?, Stage::Answering),
                        None => (COMPLETE, Stage::Ended),
                    },
                    () = tokio::time::sleep(silence) => (COMMENT, Stage::Answering),
                },
                Stage::Ended => return None,
            };
            Some((Ok(sent), (stage, answers, session)))
        }
    })
}

/// Ends when the session's token does.
async fn until_expiry(session: &Session, clock: &dyn Clock) {
    let Some(principal) = &session.0 else { return pending().await };
    while let left @ 1.. = principal.expires_at.0.saturating_sub(clock.now().0) {
        tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await;
    }
}

fn takes_events(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(ACCEPT).iter().peekable();
    if given.peek().is_none() {
        return true;
    }
    let ranges = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let essences = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    essences
        .into_iter()
        .any(|essence| ["text/event-stream", "text/*", "*/*"].iter().any(|taken| essence.eq_ignore_ascii_case(taken)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn bearer(headers: &HeaderMap) -> Option<Result<&str>> {
    let token = headers.get(AUTHORIZATION)?.to_str().ok().and_then(strip_bearer);
    Some(token.ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "Authorization must be: Bearer TOKEN")))
}

fn from_body(bytes: &[u8]) -> Result<Params> {
    let object: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("the body must be a GraphQL request, a JSON object: {error}")))?;
    params(object)
}

fn from_query(uri: &Uri) -> Result<Params> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Error::invalid(format!("the query string cannot be read: {error}")))?;
    let mut object = Map::new();
    for (name, text) in pairs {
        let value = match &*name {
            "variables" | "extensions" => serde_json::from_str(&text)
                .map_err(|error| Error::invalid(format!("{name} must be a JSON object: {error}")))?,
            _ => Value::String(text),
        };
        object.insert(name, value);
    }
    params(object)
}

fn params(object: Map<String, Value>) -> Result<Params> {
    let params = Params::deserialize(Value::Object(object))
        .map_err(|error| Error::invalid(format!("this is not a GraphQL request: {error}")))?;
    if params.query.is_none() && params.document_id.is_none() && !params.extensions.contains_key("persistedQuery") {
        return Err(Error::invalid("query is missing: send the text of a document"));
    }
    Ok(params)
}

fn refuse(status: StatusCode, error: Error) -> Answer {
    let refused: Response = refusal(error);
    let body = serde_json::to_vec(&Refused { errors: &refused.errors }).unwrap_or_default();
    let mut answer = (status, [(CONTENT_TYPE, JSON)], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn not_allowed(allow: HeaderValue, message: &'static str) -> Answer {
    let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, Error::invalid(message));
    answer.headers_mut().insert(ALLOW, allow);
    answer
}
