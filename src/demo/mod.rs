//! A platform to look at: demo users, artworks and videos, and visitors who like them.

mod contents;
mod session;
mod visitors;

use std::sync::Arc;

use axum::Router;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::modules::engagement::EngagementFacade;
use crate::modules::users::{NewUser, UsersFacade};
use crate::server::Server;

/// How much there is to see.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Users.
    pub users: u32,
    /// Artworks and videos.
    pub contents: u32,
    /// Simulated visitors.
    pub visitors: u32,
}

/// What the demo's parts share.
#[derive(Clone)]
struct Demo {
    kernel: Kernel,
    users: UsersFacade,
    engagement: EngagementFacade,
    scale: Scale,
}

/// The subject of the n-th demo user, from 1.
#[must_use]
pub fn subject(n: u32) -> String {
    format!("demo-{n}")
}

/// Fills the server with demo content, if it has none yet, and sends visitors, all in the background: the server
/// answers at once. Returns the routes that only a demo has.
///
/// # Errors
/// When the server lacks one of the modules that the demo shows.
pub fn start(server: &Server, scale: Scale, token_secs: i64) -> Result<Router> {
    let demo = Demo {
        kernel: server.kernel.clone(),
        users: server.facades.get::<UsersFacade>()?.1.clone(),
        engagement: server.facades.get::<EngagementFacade>()?.1.clone(),
        scale,
    };
    let session = session::router(demo.clone(), server.tokens.clone(), token_secs);
    let shutdown = server.kernel.shutdown.clone();
    server.kernel.tasks.spawn(async move {
        let filled = shutdown.run_until_cancelled(async {
            let (people, contents) = contents::fill(&demo).await?;
            visitors::walk(&demo, &people.into(), &contents.into()).await
        });
        if let Some(Err(error)) = filled.await {
            tracing::error!(error = error.for_operator(), "the demo stopped");
        }
    });
    Ok(session)
}

impl Demo {
    /// The n-th demo user, from 1; made when it is not there yet.
    async fn user(&self, n: u32) -> Result<(Uuid, String)> {
        let user = NewUser { subject: subject(n), name: Some(contents::user_name(n)), external_id: None };
        let user = self.users.ensure(user).await?;
        Ok((user.id, user.name))
    }

    fn random(&self) -> StdRng {
        StdRng::from_seed(self.kernel.ids.bytes())
    }
}

/// Ids that visitors choose from.
type Ids = Arc<[Uuid]>;
