//! Who may use a root field: declared in one list a module, enforced in one place.

use std::collections::HashMap;

use super::{Role, Session};
use crate::kernel::error::{Code, Error, Result};

/// Who may use a root field. What a field does with another user's data is its command's to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token too.
    Anyone,
    /// Every valid token.
    SignedIn,
    /// Holders of one of these roles, and administrators.
    Roles(&'static [Role]),
}

impl Access {
    /// Checks the rule of `what` against a session.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] or [`Code::FORBIDDEN`].
    pub fn authorize(self, what: &str, session: &Session) -> Result<()> {
        match self {
            Self::Anyone => Ok(()),
            Self::SignedIn => session.required().map(|_| ()),
            Self::Roles(roles) if session.required()?.has_any(roles) => Ok(()),
            Self::Roles(_) => Err(Error::new(Code::FORBIDDEN, format!("{what} is not for your role"))),
        }
    }
}

impl std::fmt::Display for Access {
    /// Who it is, in words for `docs/access.md`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::SignedIn => f.write_str("any valid token"),
            Self::Roles(roles) => {
                roles
                    .iter()
                    .filter(|role| **role != Role::Admin)
                    .try_for_each(|role| write!(f, "{}, ", role.name()))?;
                f.write_str(Role::Admin.name())
            }
        }
    }
}

/// The operation's root that a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// `Query`
    Query,
    /// `Mutation`
    Mutation,
    /// `Subscription`
    Subscription,
}

/// The rules of all root fields.
#[derive(Clone, Debug, Default)]
pub struct AccessTable(pub HashMap<(Root, String), Access>);

impl AccessTable {
    /// Checks a field against a session.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] or [`Code::FORBIDDEN`]; a field without a rule is forbidden to all.
    pub fn authorize(&self, root: Root, field: &str, session: &Session) -> Result<()> {
        match self.0.get(&(root, field.to_owned())) {
            Some(access) => access.authorize(field, session),
            None => Err(Error::new(Code::FORBIDDEN, format!("{field} is for nobody"))),
        }
    }
}
