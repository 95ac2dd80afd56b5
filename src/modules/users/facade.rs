//! How other modules reach users.

use std::collections::HashMap;
use std::sync::Arc;

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::commands::ensure_user;
use super::entity::Model;
use super::store;
use crate::kernel::auth::{Role, Session};
use crate::kernel::batch::{Load, Loader};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;

crate::id_kind! {
    /// Ids of users.
    UserKind = "user";
}

/// Subjects whose ids are remembered; about 150 bytes each.
const REMEMBERED: usize = 20_000;

/// A user to be.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The `sub` of its tokens, 1 to 200 characters.
    pub subject: String,
    /// What others see, at most 100 characters; «user» and a part of the id when left out.
    pub name: Option<String>,
    /// The platform's own id, at most 200 characters.
    pub external_id: Option<String>,
}

/// A user as other modules see one.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Its id.
    pub id: Uuid,
    /// What others see.
    pub name: String,
    /// The platform's own id.
    pub external_id: Option<String>,
    /// When it was first seen.
    pub created_at: Millis,
}

impl From<Model> for UserRecord {
    fn from(model: Model) -> Self {
        Self { id: model.id, name: model.name, external_id: model.external_id, created_at: model.created_at }
    }
}

/// Users, for resolvers and for other modules. Cheap to clone.
#[derive(Clone)]
pub struct UsersFacade(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    by_id: Loader<UsersById>,
    /// Only what never changes is remembered: which id a subject has, and that an id exists.
    ids: Cache<String, Uuid>,
    known: Cache<Uuid, ()>,
}

impl UsersFacade {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self(Arc::new(Inner {
            by_id: Loader::new(UsersById(kernel.clone())),
            ids: Cache::new(REMEMBERED),
            known: Cache::new(REMEMBERED),
            kernel,
        }))
    }

    /// The user with this id, read together with others that are asked for at the same time.
    ///
    /// # Errors
    /// The database's own.
    pub async fn find(&self, id: Uuid) -> Result<Option<Arc<UserRecord>>> {
        self.0.by_id.one(id).await
    }

    /// Makes or updates a subject's user.
    ///
    /// # Errors
    /// [`Code::INVALID_INPUT`] for texts that are blank, too long or hold NUL; [`Code::CONFLICT`] for an external id
    /// that another user has.
    pub async fn ensure(&self, new: NewUser) -> Result<UserRecord> {
        let user = ensure_user::run(&self.0.kernel, new).await?;
        self.0.ids.insert(user.subject.clone(), user.id);
        self.0.known.insert(user.id, ());
        Ok(user.into())
    }

    /// The id of the session's user, who is made at first sight.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] without a token.
    pub async fn viewer_id(&self, session: &Session) -> Result<Uuid> {
        let subject = &session.required()?.subject;
        // One look-up at a time for a subject: the fields of a request ask for their viewer all at once.
        self.0.ids.get_or_insert_async(subject.as_str(), self.first_sight(subject)).await
    }

    async fn first_sight(&self, subject: &str) -> Result<Uuid> {
        if let Some(user) = store::user_by_subject_read(&self.0.kernel.db, subject).await? {
            return Ok(user.id);
        }
        let new = NewUser { subject: subject.to_owned(), ..NewUser::default() };
        Ok(ensure_user::run(&self.0.kernel, new).await?.id)
    }

    /// Whom an act is for: the session's user, or `other` for services and operators.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`], [`Code::FORBIDDEN`] for somebody else's act, [`Code::NOT_FOUND`] for an unknown user.
    pub async fn acting_for(&self, session: &Session, other: Option<Id<UserKind>>) -> Result<Uuid> {
        let Some(other) = other.map(Id::uuid) else {
            return self.viewer_id(session).await;
        };
        if !session.has_any(&[Role::Service, Role::Operator]) {
            if self.viewer_id(session).await? == other {
                return Ok(other);
            }
            return Err(Error::new(Code::FORBIDDEN, "only services and operators act for others"));
        }
        if self.0.known.get(&other).is_none() {
            self.find(other).await?.ok_or_else(|| Error::not_found("no such user"))?;
            self.0.known.insert(other, ());
        }
        Ok(other)
    }
}

struct UsersById(Kernel);

impl Load for UsersById {
    type Key = Uuid;
    type Value = Arc<UserRecord>;

    async fn load(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Arc<UserRecord>>> {
        let users = store::user_by_ids(&self.0.db, &ids).await?;
        Ok(users.into_iter().map(|user| (user.id, Arc::new(user.into()))).collect())
    }
}
