//! The messages of graphql-transport-ws.
//! Source: <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>.

use async_graphql::ServerError;
use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value};

use crate::kernel::graphql::Answer;
use crate::kernel::http::Params;
use crate::kernel::http::bounded::Bounded;

/// What a client sends.
pub(super) enum Incoming {
    /// With the payload's `Authorization`, if there is one.
    Init(Option<Value>),
    /// With its payload.
    Ping(Option<Map<String, Value>>),
    Pong,
    Subscribe(Box<str>, Box<Params>),
    Complete(Box<str>),
}

/// Reads a message; nothing if it is not one that a client may send.
pub(super) fn parse(text: &str) -> Option<Incoming> {
    let mut message: Map<String, Value> = serde_json::from_str(text).ok()?;
    let Value::String(kind) = message.remove("type")? else { return None };
    match kind.as_str() {
        "connection_init" => Some(Incoming::Init(payload(&mut message)?.and_then(authorization))),
        "ping" => Some(Incoming::Ping(payload(&mut message)?)),
        "pong" => payload(&mut message).map(|_| Incoming::Pong),
        "subscribe" => {
            let id = id(&mut message)?;
            let Value::Object(payload) = message.remove("payload")? else { return None };
            let params = Params::deserialize(Value::Object(payload)).ok()?;
            let named = params.query.is_some()
                || params.document_id.is_some()
                || params.extensions.contains_key("persistedQuery");
            named.then(|| Incoming::Subscribe(id, Box::new(params)))
        }
        "complete" => id(&mut message).map(Incoming::Complete),
        _ => None,
    }
}

fn id(message: &mut Map<String, Value>) -> Option<Box<str>> {
    match message.remove("id")? {
        Value::String(id) if !id.is_empty() => Some(id.into_boxed_str()),
        _ => None,
    }
}

/// A payload that may be left out; outer `None`: it is something else than an object.
fn payload(message: &mut Map<String, Value>) -> Option<Option<Map<String, Value>>> {
    match message.remove("payload") {
        None | Some(Value::Null) => Some(None),
        Some(Value::Object(payload)) => Some(Some(payload)),
        Some(_) => None,
    }
}

/// Header names have no case.
fn authorization(payload: Map<String, Value>) -> Option<Value> {
    let named =
        payload.into_iter().find(|(name, value)| name.eq_ignore_ascii_case("authorization") && !value.is_null());
    named.map(|(_, value)| value)
}

#[derive(Serialize)]
struct Outgoing<'a, P> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<P>,
}

/// `connection_ack`
pub(super) const ACK: Utf8Bytes = Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#);

/// `pong` with the payload of the ping.
pub(super) fn pong(payload: Option<&Map<String, Value>>) -> serde_json::Result<Utf8Bytes> {
    write(&Outgoing { id: "", kind: "pong", payload })
}

/// `next`: a result of at most `most` bytes, or an error in its place. `room` is what it may need, in bytes.
pub(super) fn next(id: &str, result: &Answer, room: usize, most: usize) -> serde_json::Result<Utf8Bytes> {
    let mut bytes = Vec::with_capacity(room.max(128));
    bytes.extend_from_slice(br#"{"id":"#);
    serde_json::to_writer(&mut bytes, id)?;
    bytes.extend_from_slice(br#","type":"next","payload":"#);
    let mut bytes = Bounded::after(bytes, most);
    bytes.put(|bytes| result.write(bytes))?;
    bytes.push(b'}');
    let bytes = bytes.into_bytes();
    Utf8Bytes::try_from(bytes).map_err(serde::ser::Error::custom)
}

/// `error`: an operation that was not executed.
pub(super) fn error(id: &str, errors: &[ServerError]) -> serde_json::Result<Utf8Bytes> {
    write(&Outgoing { id, kind: "error", payload: Some(errors) })
}

/// `complete`: there is no more.
pub(super) fn complete(id: &str) -> serde_json::Result<Utf8Bytes> {
    write(&Outgoing::<()> { id, kind: "complete", payload: None })
}

fn write(message: &impl Serialize) -> serde_json::Result<Utf8Bytes> {
    Ok(serde_json::to_string(message)?.into())
}
