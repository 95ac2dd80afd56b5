//! Who answers a path.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::{Assets, ClientAddress, Mode, Site, graphql, health, metrics, stream};

/// The API, and a router for all else: axum's costs some copies and allocations, which a query of the API would notice
/// and a page does not.
pub struct Routes {
    pub(super) site: Site,
    others: TowerToHyperService<Router>,
}

impl Routes {
    /// All routes of a server. What holds for every request is in `front.rs`. `extra` are routes of whoever runs it.
    #[must_use]
    pub fn new(site: Site, pages: Assets, extra: Router) -> Self {
        let graphiql = Mode::graphiql(&site.kernel.settings);
        let pages = Router::new()
            .fallback(move |request: axum::extract::Request| async move { pages.answer(&request, graphiql) });
        let others = Router::new()
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics::beside))
            .with_state(site.clone())
            .merge(extra)
            .merge(pages)
            // The front has read it already, within server.body_bytes.
            .layer(axum::extract::DefaultBodyLimit::disable());
        Self { site, others: TowerToHyperService::new(others) }
    }

    pub(super) async fn answer(&self, request: http::Request<Bytes>, client: ClientAddress) -> Response {
        match request.uri().path() {
            "/graphql" => graphql::answer(&self.site, request, client).await,
            "/graphql/stream" => stream::answer(&self.site, request, client).await,
            _ => {
                let mut request = request.map(Body::from);
                request.extensions_mut().insert(client);
                let Ok(response) = self.others.call(request).await;
                response
            }
        }
    }
}
