//! What a client sends to have something executed, whatever the transport.
//! Source: <https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters>.

use serde::Deserialize;
use serde_json::{Map, Value};

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
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default())
}
