//! graphql-sse in its distinct connections mode: an event stream for each operation.
//! Source: <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>.
//!
//! What is wrong with the HTTP request is answered in HTTP; what is wrong with the GraphQL document comes as an event,
//! as the protocol demands: of a failed connection an `EventSource` learns nothing.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use async_graphql::ServerError;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::Serialize;

use super::answer::{MediaType, refuse, refuse_by_code};
use super::bounded::Bounded;
use super::execution::execute;
use super::graphql::{bearer, check_type, not_allowed};
use super::seats::Seat;
use super::{ClientAddress, Site, accept, params};
use crate::kernel::auth::Session;
use crate::kernel::clock::Clock;
use crate::kernel::error::{Error, Result};
use crate::kernel::telemetry::{Transport, current_request};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
const POST: HeaderValue = HeaderValue::from_static("POST");
/// A comment: clients skip it. Some browsers take a stream for open only once something has come.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// With an empty `data`, without which an `EventSource` passes over the event.
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata:\n\n");

type Answer = axum::response::Response;

/// Answers every method of `/graphql/stream`.
pub(super) async fn answer(site: &Site, request: Request<Bytes>, client: ClientAddress) -> Answer {
    match *request.method() {
        Method::GET | Method::POST => open(site, &request, client).await.unwrap_or_else(|refused| *refused),
        Method::OPTIONS => (StatusCode::NO_CONTENT, [(ALLOW, METHODS)]).into_response(),
        // PUT and DELETE are the protocol's single connection mode.
        _ => not_allowed(
            MediaType::Json,
            METHODS,
            "open a stream for each operation, with GET or POST: there is no other mode",
        ),
    }
}

/// The stream of an operation, or the refusal.
async fn open(site: &Site, request: &Request<Bytes>, address: ClientAddress) -> Result<Answer, Box<Answer>> {
    let boxed = |status, error| Box::new(refuse(MediaType::Json, status, error));
    if !takes_events(request.headers()) {
        let error = Error::invalid("answers are event streams: Accept: text/event-stream");
        return Err(boxed(StatusCode::NOT_ACCEPTABLE, error));
    }
    let by_code = |error| Box::new(refuse_by_code(MediaType::Json, error));
    let session = site.authenticate(bearer(request.headers()), address).await.map_err(by_code)?;
    site.throttle(&session, address, 1).map_err(by_code)?;
    let seat = site.seat_listener(address).map_err(by_code)?;
    let reads_only = request.method() == Method::GET;
    let params = if reads_only {
        params::from_query(request.uri().query().unwrap_or_default())
    } else {
        check_type(request.headers()).map_err(|error| boxed(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))?;
        params::parse_single(request.body())
    };
    let params = params.map_err(|error| boxed(StatusCode::BAD_REQUEST, error))?;
    let most = site.answer_most;
    let answers = match site.admit(&params, &session, address, Transport::Sse) {
        Ok(operation) if reads_only && operation.kind == OperationType::Mutation => {
            let message = "GET is for queries and subscriptions: send a mutation with POST";
            return Err(Box::new(not_allowed(MediaType::Json, POST, message)));
        }
        Ok(operation) => {
            let answers = execute(site, operation, current_request());
            answers.map(move |answer| event(most, |bytes| answer.write(bytes))).boxed()
        }
        Err(refused) => {
            let refused = Refused { errors: &refused.errors };
            stream::iter([event(most, |bytes| serde_json::to_writer(bytes, &refused))]).boxed()
        }
    };
    let headers = [
        (CONTENT_TYPE, EVENT_STREAM),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        // nginx would hold events back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(events(site, session, seat, answers))).into_response())
}

/// What a refused operation is told.
#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
}

/// An answer of `most` bytes as a `next` event; nothing of one that cannot be written.
fn event(most: usize, write: impl FnOnce(&mut Bounded) -> serde_json::Result<()>) -> Option<Bytes> {
    let mut bytes = Bounded::after(b"event: next\ndata: ".to_vec(), most);
    if let Err(error) = bytes.put(write) {
        tracing::error!(%error, "an event could not be written");
        return None;
    }
    let mut bytes = bytes.into_bytes();
    // JSON has its newlines escaped: it is one line.
    bytes.extend_from_slice(b"\n\n");
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
    seat: Seat,
    answers: BoxStream<'static, Option<Bytes>>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let silence = Duration::from_secs(site.kernel.settings.count("server.stream_ping_secs").into());
    let (clock, shutdown) = (site.kernel.clock.clone(), site.kernel.shutdown.clone());
    let held = (seat, site.kernel.metrics.event_stream_opened());
    let state = (Stage::Opening, answers, session, held);
    stream::unfold(state, move |(stage, mut answers, session, held)| {
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
            Some((Ok(sent), (stage, answers, session, held)))
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
    !headers.contains_key(ACCEPT) || accept::wishes(headers, ["text/event-stream"]).iter().any(Option::is_some)
}
