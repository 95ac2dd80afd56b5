//! Whether the process lives, and whether it can serve.

use axum::extract::State;
use http::StatusCode;

use super::Site;

/// The process lives.
pub(super) async fn alive() -> &'static str {
    "ok"
}

/// The database answers and no shutdown has begun.
pub(super) async fn ready(State(site): State<Site>) -> (StatusCode, &'static str) {
    if site.kernel.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down");
    }
    match site.kernel.db.ping().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(error) => {
            tracing::warn!(error = error.for_operator(), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer")
        }
    }
}
