//! The pages, from the binary itself: nothing is loaded from another host or from a folder at run time.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::security;

/// Scripts, styles and connections of the same site only. GraphiQL's editor runs its workers from blobs and sets
/// styles on elements.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
const HASHED: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const FRESH: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// The embedded pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assets;

impl Assets {
    /// Answers `/`, `/graphiql` (if it is to be there), and every file of the build.
    pub(super) fn answer(self, request: &Request, graphiql: bool) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        let name = match request.uri().path() {
            "/" => "index.html",
            "/graphiql" => "graphiql.html",
            path => path.trim_start_matches('/'),
        };
        let hidden = !graphiql && (name == "graphiql.html" || name.starts_with("assets/graphiql"));
        match Dist::get(name).filter(|_| !hidden) {
            Some(file) => page(name, file, request.headers().get(IF_NONE_MATCH)),
            None => (StatusCode::NOT_FOUND, "not found").into_response(),
        }
    }
}

fn page(name: &str, file: EmbeddedFile, seen: Option<&HeaderValue>) -> Response {
    let tag: String = file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(FRESH)),
        (CACHE_CONTROL, if name.starts_with("assets/") { HASHED } else { FRESH }),
        (CONTENT_SECURITY_POLICY, POLICY),
        (ETAG, HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(FRESH)),
    ];
    if seen.is_some_and(|seen| *seen == headers[3].1) {
        return (StatusCode::NOT_MODIFIED, security::PAGE, headers).into_response();
    }
    (security::PAGE, headers, Body::from(file.data)).into_response()
}
