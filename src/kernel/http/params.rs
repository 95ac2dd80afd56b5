//! What a client sends to have something executed, whatever the transport.
//! Source: <https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters>.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::kernel::error::{Error, Result};
use crate::kernel::text::brief;

/// Characters of what the parser of JSON says: it repeats values that it does not expect.
const MESSAGE_MOST: usize = 300;

/// The parameters of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct Params {
    /// The document's text; may be left out where it is known by its id or its hash.
    pub query: Option<String>,
    /// Which of the document's operations.
    pub operation_name: Option<String>,
    /// Values of the operation's variables, as they came.
    #[serde(deserialize_with = "or_empty")]
    pub variables: Map<String, Value>,
    /// What extends the protocol: `persistedQuery`.
    #[serde(deserialize_with = "or_empty")]
    pub extensions: Map<String, Value>,
    /// The id of a trusted document.
    pub document_id: Option<String>,
}

/// An object, or `null` for an empty one.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Map<String, Value>, D::Error> {
    Ok(Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default())
}

/// What has to be an object: a struct by itself takes a list of its fields as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectOf(PhantomData))
    }
}

struct ObjectOf<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOf<T> {
    type Value = Object<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// What a POST holds.
pub(super) enum Body {
    /// One operation.
    Single(Box<Params>),
    /// Several, answered in their order.
    Batch(Vec<Params>),
}

impl Body {
    /// How many operations it asks for.
    pub(super) fn operations(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Batch(batch) => batch.len(),
        }
    }
}

/// Reads a JSON body; a batch has `batch_most` operations at most.
///
/// # Errors
/// Whatever is not a request of this form, saying what and where.
pub(super) fn parse(bytes: &[u8], batch_most: usize) -> Result<Body> {
    let wrong = |error| Error::invalid(format!("the body is not a GraphQL request: {}", said(&error)));
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(Error::invalid("the body is empty: send { \"query\": … }")),
        Some(b'[') => {
            // Counted before anything is kept of it.
            let count = serde_json::from_slice::<Vec<IgnoredAny>>(bytes).map_err(wrong)?.len();
            if count == 0 || count > batch_most {
                return Err(Error::invalid(format!("a batch has 1 to {batch_most} operations, not {count}")));
            }
            let batch: Vec<Object<Params>> = serde_json::from_slice(bytes).map_err(wrong)?;
            batch.into_iter().map(|Object(params)| complete(params)).collect::<Result<_>>().map(Body::Batch)
        }
        Some(b'{') => {
            let Object(params) = serde_json::from_slice(bytes).map_err(wrong)?;
            complete(params).map(|params| Body::Single(Box::new(params)))
        }
        Some(_) => Err(Error::invalid("the body must be a JSON object, or a list of them")),
    }
}

/// Reads a JSON body that is one operation.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_single(bytes: &[u8]) -> Result<Params> {
    match parse(bytes, 1)? {
        Body::Single(params) => Ok(*params),
        Body::Batch(_) => Err(Error::invalid("a stream is of one operation: send an object, not a list")),
    }
}

/// Reads the parameters of a GET.
///
/// # Errors
/// As [`parse`].
pub(super) fn from_query(query: &str) -> Result<Params> {
    let mut params = Params::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "query" => params.query = Some(value.into_owned()),
            "operationName" => params.operation_name = Some(value.into_owned()).filter(|name| !name.is_empty()),
            "documentId" => params.document_id = Some(value.into_owned()),
            "variables" => params.variables = object("variables", &value)?,
            "extensions" => params.extensions = object("extensions", &value)?,
            _ => {}
        }
    }
    complete(params)
}

fn object(name: &str, text: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::invalid(format!("{name} must be a JSON object"))),
        Err(error) => Err(Error::invalid(format!("{name} is not JSON: {}", said(&error)))),
    }
}

/// What a client is told of an error in its JSON: without all of its own text, but with the place, which is at the end.
fn said(error: &serde_json::Error) -> String {
    let said = error.to_string();
    match brief(&said, MESSAGE_MOST) {
        Cow::Borrowed(_) => said,
        Cow::Owned(begun) => format!("{begun} at line {} column {}", error.line(), error.column()),
    }
}

/// A document must be named somehow.
fn complete(params: Params) -> Result<Params> {
    if params.query.is_none() && params.document_id.is_none() && !params.extensions.contains_key("persistedQuery") {
        return Err(Error::invalid("query is missing: send the text of a document"));
    }
    Ok(params)
}
