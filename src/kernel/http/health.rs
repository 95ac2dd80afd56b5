//! Whether the process lives, and whether it can serve.

use axum::extract::State;
use http::StatusCode;

use super::Site;
use crate::kernel::context::Kernel;

/// The process lives.
pub(super) async fn alive() -> &'static str {
    "ok"
}

/// The database answers and no shutdown has begun.
pub(super) async fn ready(State(site): State<Site>) -> (StatusCode, &'static str) {
    readiness(&site.kernel).await
}

/// The same, of any process.
pub(super) async fn readiness(kernel: &Kernel) -> (StatusCode, &'static str) {
    if kernel.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down");
    }
    match kernel.db.ping().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(error) => {
            tracing::warn!(error = error.for_operator(), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer")
        }
    }
}
