//! The HTTP server: GraphQL, the pages, health.

mod assets;
mod execution;
mod graphql;
mod health;
mod params;
mod serve;
mod site;
mod socket;
mod stream;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use http::StatusCode;
use http::header::ALLOW;
use tower_http::compression::CompressionLayer;

pub use assets::Assets;
pub use params::Params;
pub use serve::{Listening, listen};
pub use site::{AnySchema, Operation, Site, refusal};

/// All routes of a server.
pub fn router(site: Site, pages: Assets) -> Router {
    let body_most = site.kernel.settings.count("server.body_bytes") as usize;
    // Pages are worth compressing (GraphiQL is 7 MB); answers are small, and their CPU counts.
    let pages = Router::new()
        .fallback(move |request: axum::extract::Request| async move { pages.answer(&request) })
        .layer(CompressionLayer::new());
    Router::new()
        .route("/graphql", post(graphql::post).get(get_graphql))
        .route("/graphql/stream", any(stream::answer))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(site.clone())
        .merge(pages)
        .layer(axum::extract::DefaultBodyLimit::max(body_most))
        .layer(axum::middleware::from_fn_with_state(site.kernel, serve::trace))
}

/// A stand-in until GraphQL over GET is there.
async fn get_graphql(State(site): State<Site>, request: Request) -> Response {
    if socket::is_upgrade(&request) {
        return socket::upgrade(site, request).await;
    }
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], "POST a GraphQL request, or open a WebSocket").into_response()
}
