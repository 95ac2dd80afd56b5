//! What a client sends to have something executed, whatever the transport.
//! Source: <https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters>.

use apollo_compiler::response::JsonMap;
use serde::Deserialize;

/// The parameters of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Params {
    /// The document's text; may be left out where it is known by its id or its hash.
    pub query: Option<String>,
    /// Which of the document's operations.
    pub operation_name: Option<String>,
    /// Values of the operation's variables, as they came.
    #[serde(deserialize_with = "or_empty")]
    pub variables: JsonMap,
    /// What extends the protocol: `persistedQuery`.
    #[serde(deserialize_with = "or_empty")]
    pub extensions: JsonMap,
    /// The id of a trusted document.
    pub document_id: Option<String>,
}

/// An object, or `null` for an empty one.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<JsonMap, D::Error> {
    Ok(Option::<JsonMap>::deserialize(deserializer)?.unwrap_or_default())
}
