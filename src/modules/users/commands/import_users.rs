//! Users of another system, many at once: its own id for one is both subject and external id. Idempotent by that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::ensure_user::unnamed;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::text;
use crate::modules::users::entity::Model;
use crate::modules::users::store;

/// A user of another system.
#[derive(Clone, Debug, Default)]
pub struct ImportedUser {
    /// Its id there.
    pub old_id: String,
    /// What others see; «user» and a part of the new id when left out.
    pub name: Option<String>,
    /// When it was first seen; `None`: now.
    pub created_at: Option<Millis>,
}

/// What came of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserOutcome {
    /// It is new.
    Created(Uuid),
    /// It was there, by that external id or by that subject. Its name stays.
    Found(Uuid),
    /// It was deleted here, and stays so.
    Deleted,
    /// Its id or name is not one, and why.
    Refused(String),
}

impl UserOutcome {
    /// The user, where there is one.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::Created(id) | Self::Found(id) => Some(*id),
            Self::Deleted | Self::Refused(_) => None,
        }
    }
}

/// Makes the users that are not there, in one transaction. An outcome each, in their order. Of two with one id the first
/// counts.
///
/// # Errors
/// The database's own.
pub async fn import_users(kernel: &Kernel, users: Vec<ImportedUser>) -> Result<Vec<UserOutcome>> {
    let now = kernel.clock.now();
    let checked = users.into_iter().map(|user| check(kernel, &user, now));
    let users: Arc<Vec<Result<Model>>> = Arc::new(checked.collect());
    let written = Arc::clone(&users);
    let ids = kernel.db.write(move |tx| {
        let users = Arc::clone(&written);
        Box::pin(async move { write(tx, &users).await })
    });
    let ids = ids.await?;
    let outcome = |user: &Result<Model>| match user {
        Ok(user) => ids.get(&user.subject).cloned().unwrap_or(UserOutcome::Deleted),
        Err(error) => UserOutcome::Refused(error.client().to_owned()),
    };
    Ok(users.iter().map(outcome).collect())
}

fn check(kernel: &Kernel, user: &ImportedUser, now: Millis) -> Result<Model> {
    let id = kernel.ids.next();
    let subject = text::required("the user's id", &user.old_id, 200)?;
    let name = text::optional("the user's name", user.name.as_deref(), 100)?;
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| unnamed(id));
    let created_at = user.created_at.unwrap_or(now);
    Ok(Model { id, external_id: Some(subject.clone()), subject, name, created_at })
}

async fn write(tx: &Tx, users: &[Result<Model>]) -> Result<HashMap<String, UserOutcome>> {
    let mut wanted: Vec<&Model> = users.iter().flatten().collect();
    // Two imports that insert the same unique keys must meet in one order; of equals the first stays first.
    wanted.sort_by(|a, b| a.subject.cmp(&b.subject));
    wanted.dedup_by(|next, first| next.subject == first.subject);
    let held = store::user_by_old_ids(tx, &wanted).await?;
    let mut outcomes = HashMap::new();
    let subjects: HashSet<&str> = wanted.iter().map(|user| &*user.subject).collect();
    // One user may be found by both, under two old ids. An external id says more than a subject.
    for user in &held {
        if let Some(id) = user.external_id.as_ref().filter(|id| subjects.contains(&***id)) {
            outcomes.insert(id.clone(), UserOutcome::Found(user.id));
        }
    }
    let mut named = Vec::new();
    for user in held.iter().filter(|user| subjects.contains(&*user.subject)) {
        let outcome = outcomes.entry(user.subject.clone()).or_insert(UserOutcome::Found(user.id));
        if user.external_id.is_none() && *outcome == UserOutcome::Found(user.id) {
            named.push((user.id, user.subject.clone()));
        }
    }
    store::external_id_put(tx, &named).await?;
    wanted.retain(|user| !outcomes.contains_key(&user.subject));
    let deleted = store::deleted_subjects_among(tx, wanted.iter().map(|user| &*user.subject)).await?;
    wanted.retain(|user| !deleted.contains(&user.subject));
    store::user_insert_many(tx, &wanted).await?;
    outcomes.extend(wanted.iter().map(|user| (user.subject.clone(), UserOutcome::Created(user.id))));
    Ok(outcomes)
}

/// The users that other systems' ids are of, by these: unknown ones are left out.
///
/// # Errors
/// The database's own.
pub async fn users_by_external_ids(kernel: &Kernel, ids: &[String]) -> Result<HashMap<String, Uuid>> {
    let found = store::user_ids_by_old_ids(&kernel.db, ids).await?;
    let mut users = HashMap::new();
    for (old_id, id, by_external_id) in found {
        if by_external_id {
            users.insert(old_id, id);
        } else {
            users.entry(old_id).or_insert(id);
        }
    }
    Ok(users)
}
