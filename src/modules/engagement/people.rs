//! What is known of users of whom only rows are left.

use std::collections::HashMap;

use uuid::Uuid;

use super::facade::EngagementFacade;
use super::store::people;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::modules::users::UsersFacade;

/// How it is with a user whose id some row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// There is such a user.
    There,
    /// The user's deletion was accepted, and takes its time.
    Leaving,
    /// The user was deleted, to the end.
    Deleted,
    /// There was no such user, as far as anybody remembers.
    Unknown,
}

impl EngagementFacade {
    /// How it is with each of these users, for checks: they run where no module has started. Rows that are to be looked at
    /// with it are read later: a deletion that ends in between leaves none.
    ///
    /// # Errors
    /// The database's own.
    pub async fn whereabouts(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, Whereabouts>> {
        // In this order: a deletion is accepted before the user's row goes.
        let there = UsersFacade::among(db, users).await?;
        let missing: Vec<Uuid> = users.iter().copied().filter(|user| !there.contains(user)).collect();
        let (leaving, deleted) =
            if missing.is_empty() { Default::default() } else { people::user_gone(db, &missing).await? };
        let of = |user: &Uuid| match user {
            user if there.contains(user) => Whereabouts::There,
            user if leaving.contains(user) => Whereabouts::Leaving,
            user if deleted.contains(user) => Whereabouts::Deleted,
            _ => Whereabouts::Unknown,
        };
        Ok(users.iter().map(|user| (*user, of(user))).collect())
    }
}
