//! The HTTP server: GraphQL, the pages, health, metrics.

mod answer;
mod assets;
mod body;
mod execution;
mod graphql;
mod health;
mod metrics;
mod params;
mod serve;
mod site;
mod socket;
mod stream;

use axum::Router;
use axum::routing::{any, get};
use tower_http::compression::CompressionLayer;

pub use assets::Assets;
pub use metrics::{MetricsListening, listen_for_metrics};
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
        .route("/graphql", any(graphql::answer))
        .route("/graphql/stream", any(stream::answer))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::beside))
        .with_state(site.clone())
        .merge(pages)
        .layer(axum::extract::DefaultBodyLimit::max(body_most))
        .layer(axum::middleware::from_fn_with_state(site.kernel, serve::trace))
}
