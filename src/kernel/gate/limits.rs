//! How much one operation may ask for.

use crate::kernel::auth::{Role, Session};
use crate::kernel::config::Settings;

/// How often all that a body holds may be put in place.
const COPIES: usize = 4;

/// The limits of one operation, from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens of a document.
    pub tokens: u32,
    /// Fields inside fields.
    pub depth: u32,
    /// Fields, with those of a fragment counted at each spread.
    pub fields: u32,
    /// Aliased fields, counted likewise.
    pub aliases: u32,
    /// Directives, counted likewise.
    pub directives: u32,
    /// Bytes of variables, each counted at every use.
    pub copied_bytes: usize,
    cost_anonymous: u32,
    cost_user: u32,
    cost_service: u32,
}

impl Limits {
    /// Reads the settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            tokens: settings.count("limits.tokens"),
            depth: settings.count("limits.depth"),
            fields: settings.count("limits.fields"),
            aliases: settings.count("limits.aliases"),
            directives: settings.count("limits.directives"),
            copied_bytes: COPIES * settings.count("server.body_bytes") as usize,
            cost_anonymous: settings.count("limits.cost_anonymous"),
            cost_user: settings.count("limits.cost_user"),
            cost_service: settings.count("limits.cost_service"),
        }
    }

    /// What an operation of this session may cost.
    #[must_use]
    pub fn cost(&self, session: &Session) -> u32 {
        match &session.0 {
            None => self.cost_anonymous,
            Some(principal) if principal.has_any(&[Role::Service, Role::Operator]) => self.cost_service,
            Some(_) => self.cost_user,
        }
    }

    /// Selection sets, lists and objects inside one another: what bounds every recursion over a document.
    #[must_use]
    pub fn nesting(&self) -> u32 {
        self.depth.saturating_mul(3).max(64)
    }
}
