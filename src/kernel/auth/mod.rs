//! Who asks: bearer tokens (JWT) with roles, and the rule that each root field declares.

mod access;
mod cache;
mod claims;
mod config;
mod fetch;
mod jwks;
mod keys;
mod token;

pub use access::{Access, AccessTable, Root};
pub use config::AuthConfig;
pub use token::Tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::{Context, Enum};
use serde::{Deserialize, Serialize};

use super::clock::Millis;
use super::error::{Code, Error, Result};

/// What a token's bearer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "UPPER")]
pub enum Role {
    /// A person: acts for themself.
    User,
    /// Awards and deducts points of others.
    Teacher,
    /// A back-end service: acts for users.
    Service,
    /// Checks and repairs.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::User, Self::Teacher, Self::Service, Self::Operator, Self::Admin];

    /// As tokens and GraphQL have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Teacher => "TEACHER",
            Self::Service => "SERVICE",
            Self::Operator => "OPERATOR",
            Self::Admin => "ADMIN",
        }
    }
}

/// Whoever a valid token speaks for.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The token's `sub`: the user's external subject.
    pub subject: String,
    /// Those of the token's roles that tally knows, each once.
    pub roles: Vec<Role>,
    /// When the token ceases to hold: its `exp`, and the leeway.
    pub expires_at: Millis,
}

impl Principal {
    /// Whether one of `roles` is held; an administrator holds all.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| *role == Role::Admin || roles.contains(role))
    }
}

/// The request's bearer, or nobody. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Session(pub Option<Arc<Principal>>);

impl Session {
    /// The session of a request. Whoever asks for it makes the answer the caller's own: see [`Asked`].
    #[must_use]
    pub fn of<'a>(ctx: &Context<'a>) -> &'a Session {
        if let Some(asked) = ctx.data_opt::<Caller>().and_then(|caller| caller.asked.as_ref()) {
            asked.0.store(true, Ordering::Relaxed);
        }
        Self::unnoted(ctx)
    }

    /// The same for the rules of root fields, which decide whether there is an answer and not what it is.
    pub(super) fn unnoted<'a>(ctx: &Context<'a>) -> &'a Session {
        static NOBODY: Session = Session(None);
        ctx.data_opt::<Caller>().map_or(&NOBODY, |caller| &caller.session)
    }

    /// The bearer.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] without one.
    pub fn required(&self) -> Result<&Principal> {
        self.0.as_deref().ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "sign in: send a bearer token"))
    }

    /// Whether the bearer holds one of `roles`.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.0.as_ref().is_some_and(|principal| principal.has_any(roles))
    }
}

/// Who asks, in every request's data. Resolvers reach it through [`Session::of`] only, so that nobody asks unnoticed.
pub(crate) struct Caller {
    session: Session,
    asked: Option<Asked>,
}

impl Caller {
    /// Of a request that is answered once.
    pub(crate) fn once(session: Session) -> Self {
        Self { session, asked: None }
    }

    /// Of a listener.
    pub(crate) fn listening(session: Session, asked: Asked) -> Self {
        Self { session, asked: Some(asked) }
    }
}

/// Whether a listener's session was asked by anything that makes its answers.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<AtomicBool>);

impl Asked {
    pub(crate) fn noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
