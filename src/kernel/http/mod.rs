//! The HTTP server: GraphQL, the pages, health.

mod assets;
mod graphql;
mod health;
mod serve;
mod socket;

use std::sync::Arc;

use async_graphql::{Data, Executor, Request, Response};
use axum::Router;
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use tower_http::compression::CompressionLayer;

pub use assets::Assets;
pub use serve::{Listening, listen};

use super::auth::Tokens;
use super::context::Kernel;
use super::graphql::with_codes;

/// What the handlers share.
pub struct Site<E> {
    /// The kernel's services.
    pub kernel: Kernel,
    /// The schema.
    pub schema: E,
    /// Reads the tokens.
    pub tokens: Tokens,
}

impl<E: Clone> Clone for Site<E> {
    fn clone(&self) -> Self {
        Self { kernel: self.kernel.clone(), schema: self.schema.clone(), tokens: self.tokens.clone() }
    }
}

/// A schema without its types: handlers need not know which modules it is made of.
#[derive(Clone)]
pub struct AnySchema(Arc<dyn DynExecutor>);

trait DynExecutor: Send + Sync {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response>;
    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response>;
}

impl<E: Executor> DynExecutor for E {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(Executor::execute(self, request))
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        Executor::execute_stream(self, request, session)
    }
}

impl AnySchema {
    /// Wraps a schema.
    pub fn new(schema: impl Executor) -> Self {
        Self(Arc::new(schema))
    }
}

impl Executor for AnySchema {
    async fn execute(&self, request: Request) -> Response {
        with_codes(self.0.execute(request).await)
    }

    fn execute_stream(&self, request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        self.0.execute_stream(request, session).map(with_codes).boxed()
    }
}

/// All routes of a server.
pub fn router(site: Site<AnySchema>, pages: Assets) -> Router {
    let body_most = site.kernel.settings.count("server.body_bytes") as usize;
    // Pages are worth compressing (GraphiQL is 7 MB); answers are small, and their CPU counts.
    let pages = Router::new()
        .fallback(move |request: axum::extract::Request| async move { pages.answer(&request) })
        .layer(CompressionLayer::new());
    Router::new()
        .route("/graphql", post(graphql::post).get(socket::upgrade))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(site.clone())
        .merge(pages)
        .layer(axum::extract::DefaultBodyLimit::max(body_most))
        .layer(axum::middleware::from_fn_with_state(site.kernel, serve::trace))
}
