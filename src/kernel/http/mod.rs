//! The HTTP server: GraphQL, the pages, health, metrics.

mod answer;
mod assets;
mod body;
mod client;
mod execution;
mod front;
mod graphql;
mod health;
mod limits;
mod metrics;
mod mode;
mod origins;
mod params;
mod pulse;
mod seats;
mod security;
mod serve;
mod site;
mod socket;
mod stream;

use axum::Router;
use axum::routing::{any, get};

pub use assets::Assets;
pub use client::ClientAddress;
pub(crate) use client::proxy_form;
pub use limits::Limits;
pub use metrics::{MetricsListening, listen_for_metrics};
pub use mode::Mode;
pub use origins::Origins;
pub(crate) use origins::origin_form;
pub use params::Params;
pub use seats::raise_open_files;
pub use serve::{Listening, listen};
pub use site::{AnySchema, Operation, Site, refusal};

/// All routes of a server. What holds for every request is in `front.rs`.
pub fn router(site: Site, pages: Assets) -> Router {
    let graphiql = Mode::graphiql(&site.kernel.settings);
    let pages =
        Router::new().fallback(move |request: axum::extract::Request| async move { pages.answer(&request, graphiql) });
    Router::new()
        .route("/graphql", any(graphql::answer))
        .route("/graphql/stream", any(stream::answer))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::beside))
        .with_state(site)
        .merge(pages)
        // The front has read it already, within server.body_bytes.
        .layer(axum::extract::DefaultBodyLimit::disable())
}
