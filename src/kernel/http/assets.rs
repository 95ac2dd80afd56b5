//! The pages, from the binary itself: nothing is loaded from another host or from a folder at run time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, IF_NONE_MATCH, VARY,
};
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
/// Smaller files gain nothing, in bytes.
const ZIPPED_LEAST: usize = 1024;
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");
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
            return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, METHODS)]).into_response();
        }
        let name = match request.uri().path() {
            "/" => "index.html",
            "/graphiql" => "graphiql.html",
            path => path.trim_start_matches('/'),
        };
        let hidden = !graphiql && (name == "graphiql.html" || name.starts_with("assets/graphiql"));
        match Dist::get(name).filter(|_| !hidden) {
            Some(file) => page(name, file, request.headers()),
            None => (StatusCode::NOT_FOUND, "not found").into_response(),
        }
    }
}

fn page(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag: String = file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(FRESH)),
        (CACHE_CONTROL, if name.starts_with("assets/") { HASHED } else { FRESH }),
        (CONTENT_SECURITY_POLICY, POLICY),
        (VARY, HeaderValue::from_static("accept-encoding")),
        (ETAG, HeaderValue::from_str(&format!("W/\"{tag}\"")).unwrap_or(FRESH)),
    ];
    if asked.get(IF_NONE_MATCH).is_some_and(|seen| *seen == headers[4].1) {
        return (StatusCode::NOT_MODIFIED, security::PAGE, headers).into_response();
    }
    match takes_gzip(asked).then(|| zipped(name, &file)).flatten() {
        Some(bytes) => {
            let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
            (security::PAGE, headers, encoding, Body::from(bytes)).into_response()
        }
        None => (security::PAGE, headers, Body::from(file.data)).into_response(),
    }
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let offered = asked.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    offered.split(',').any(|offer| {
        let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// A file compressed: once, because whoever may ask for a page may ask for it a thousand times a second.
fn zipped(name: &str, file: &EmbeddedFile) -> Option<Bytes> {
    static ZIPPED: Mutex<BTreeMap<String, Bytes>> = Mutex::new(BTreeMap::new());
    if file.data.len() < ZIPPED_LEAST || file.metadata.mimetype().starts_with("image/") {
        return None;
    }
    let mut known = ZIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = known.get(name) {
        return Some(bytes.clone());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&file.data).ok()?;
    let bytes = Bytes::from(encoder.finish().ok()?);
    known.insert(name.to_owned(), bytes.clone());
    Some(bytes)
}
