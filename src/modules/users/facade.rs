//! How other modules reach users.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::commands::ensure_user::By;
use super::commands::{delete_user, ensure_user};
use super::entity::Model;
use super::store;
use crate::kernel::auth::{Role, Session};
use crate::kernel::batch::{Load, Loader};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::kernel::peers::Ear;

crate::id_kind! {
    /// Ids of users.
    UserKind = "user";
}

/// What all servers are told of: users who are gone.
const GONE: &str = "users.gone";

/// Subjects whose ids are remembered; about 150 bytes each.
const REMEMBERED: usize = 20_000;
/// For how many milliseconds it is taken for granted that a user still exists. What a deleted user does in that time on
/// another server is refused where it is written.
pub const REMEMBERED_FOR: i64 = 60_000;

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
    /// Which id a subject has, and that an id exists: neither changes but by a deletion, which another server may have
    /// done. So each is looked up again after [`REMEMBERED_FOR`].
    ids: Cache<String, (Uuid, Millis)>,
    known: Cache<Uuid, Millis>,
}

impl Inner {
    fn is_fresh(&self, looked_up: Millis) -> bool {
        (0..REMEMBERED_FOR).contains(&self.kernel.clock.now().0.saturating_sub(looked_up.0))
    }
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

    /// Those of these users that there are, for checks: they run where no module has started.
    ///
    /// # Errors
    /// The database's own.
    pub async fn among(db: &Db, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        Ok(store::user_by_ids(db, ids).await?.into_iter().map(|user| user.id).collect())
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
        let user = ensure_user::run(&self.0.kernel, new, By::Request).await?;
        let now = self.0.kernel.clock.now();
        self.0.ids.insert(user.subject.clone(), (user.id, now));
        self.0.known.insert(user.id, now);
        Ok(user.into())
    }

    /// Removes a user's row; what the user did is other modules'. Whether there was one. A later token of the same
    /// subject is refused until [`UsersFacade::ensure`] makes a new user of it.
    ///
    /// # Errors
    /// The database's own.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        let gone = delete_user::run(&self.0.kernel, id).await?;
        self.0.known.remove(&id);
        if let Some(subject) = &gone {
            self.0.ids.remove(subject);
            self.0.kernel.peers.tell_all(GONE, &[id]);
        }
        Ok(gone.is_some())
    }

    /// Hears of users who are gone from now on, whichever server removed them.
    #[must_use]
    pub fn listen_for_gone(&self) -> Ear {
        self.0.kernel.peers.listen(GONE)
    }

    /// The id of the session's user, who is made at first sight.
    ///
    /// # Errors
    /// [`Code::UNAUTHENTICATED`] without a token, [`Code::FORBIDDEN`] when the user was deleted.
    pub async fn viewer_id(&self, session: &Session) -> Result<Uuid> {
        let subject = &session.required()?.subject;
        if let Some((id, looked_up)) = self.0.ids.get(subject.as_str()) {
            if self.0.is_fresh(looked_up) {
                return Ok(id);
            }
            self.0.ids.remove(subject.as_str());
        }
        // One look-up at a time for a subject: the fields of a request ask for their viewer all at once.
        Ok(self.0.ids.get_or_insert_async(subject.as_str(), self.first_sight(subject)).await?.0)
    }

    /// The id of the session's user; none without a token, and for a user who was deleted.
    ///
    /// # Errors
    /// The database's own.
    pub async fn viewer_if_any(&self, session: &Session) -> Result<Option<Uuid>> {
        match self.viewer_id(session).await {
            Ok(id) => Ok(Some(id)),
            Err(error) if [Code::UNAUTHENTICATED, Code::FORBIDDEN].contains(&error.code()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn first_sight(&self, subject: &str) -> Result<(Uuid, Millis)> {
        let now = self.0.kernel.clock.now();
        if let Some(user) = store::user_by_subject_read(&self.0.kernel.db, subject).await? {
            return Ok((user.id, now));
        }
        let new = NewUser { subject: subject.to_owned(), ..NewUser::default() };
        Ok((ensure_user::run(&self.0.kernel, new, By::SignIn).await?.id, now))
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
        self.exists(other).await?;
        Ok(other)
    }

    /// Makes sure that there is such a user, or was one less than [`REMEMBERED_FOR`] ago.
    ///
    /// # Errors
    /// [`Code::NOT_FOUND`]; the database's own.
    pub async fn exists(&self, id: Uuid) -> Result<()> {
        if !self.0.known.get(&id).is_some_and(|looked_up| self.0.is_fresh(looked_up)) {
            let now = self.0.kernel.clock.now();
            self.find(id).await?.ok_or_else(|| Error::not_found("no such user"))?;
            self.0.known.insert(id, now);
        }
        Ok(())
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
