//! Who asks: bearer tokens (JWT, HS256) with roles, and the rule that each root field declares.

mod access;
mod token;

pub use access::{Access, AccessTable, Root};
pub use token::Tokens;

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

/// Whoever a valid token speaks for.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The token's `sub`: the user's external subject.
    pub subject: String,
    /// The token's `roles`.
    pub roles: Vec<Role>,
    /// The token's `exp`.
    pub expires_at: Millis,
}

impl Principal {
    /// Whether one of `roles` is held; an administrator holds all.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| *role == Role::Admin || roles.contains(role))
    }
}

/// The request's bearer, or nobody. In every request's data.
#[derive(Clone, Debug, Default)]
pub struct Session(pub Option<Principal>);

impl Session {
    /// The session of a request.
    #[must_use]
    pub fn of<'a>(ctx: &Context<'a>) -> &'a Session {
        static NOBODY: Session = Session(None);
        ctx.data_opt::<Session>().unwrap_or(&NOBODY)
    }

    /// The bearer.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] without one.
    pub fn required(&self) -> Result<&Principal> {
        self.0.as_ref().ok_or_else(|| Error::new(Code::UNAUTHENTICATED, "sign in: send a bearer token"))
    }

    /// Whether the bearer holds one of `roles`.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.0.as_ref().is_some_and(|principal| principal.has_any(roles))
    }
}
