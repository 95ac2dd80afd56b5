//! `GET /demo/session`: a token of the next demo user, so that two browsers are two people; with `?role=TEACHER` of one
//! who may award points. Only a demo has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CACHE_CONTROL;

use super::{Demo, subject};
use crate::kernel::auth::{Role, Tokens};
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::modules::users::UserKind;

#[derive(Clone)]
struct Sessions {
    demo: Demo,
    tokens: Tokens,
    token_secs: i64,
    handed_out: Arc<AtomicU32>,
}

pub(super) fn router(demo: Demo, tokens: Tokens, token_secs: i64) -> Router {
    let sessions = Sessions { demo, tokens, token_secs, handed_out: Arc::default() };
    Router::new().route("/demo/session", get(next)).with_state(sessions)
}

async fn next(State(sessions): State<Sessions>, RawQuery(asked): RawQuery) -> Response {
    // Nobody gets more than that: operators read addresses, and end things for everybody.
    let role = if asked.as_deref() == Some("role=TEACHER") { Role::Teacher } else { Role::User };
    match sessions.next(role).await {
        Ok(session) => ([(CACHE_CONTROL, "no-store")], Json(session)).into_response(),
        Err(error) => {
            tracing::error!(error = error.for_operator(), "no demo session");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

impl Sessions {
    async fn next(&self, role: Role) -> Result<serde_json::Value> {
        let n = self.handed_out.fetch_add(1, Ordering::Relaxed) % self.demo.scale.users + 1;
        let (id, name) = self.demo.user(n).await?;
        let token = self.tokens.mint(&subject(n), &[role], self.token_secs)?;
        let id = Id::<UserKind>::new(id).to_string();
        Ok(serde_json::json!({ "token": token, "user": { "id": id, "name": name } }))
    }
}
