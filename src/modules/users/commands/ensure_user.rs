//! Makes a subject's user at its first sight, and gives it a name or an external id. Idempotent by the subject.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Id;
use crate::kernel::text;
use crate::modules::users::entity::Model;
use crate::modules::users::facade::{NewUser, UserKind};
use crate::modules::users::store;

/// What asks for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::modules::users) enum By {
    /// A token's first sight: a subject whose user was deleted stays without one.
    SignIn,
    /// Somebody who knows what they do: a subject whose user was deleted gets a new one, with a new id.
    Request,
}

/// Checks `new` and returns the user, with `new`'s name and external id where they are given.
pub(in crate::modules::users) async fn run(kernel: &Kernel, new: NewUser, by: By) -> Result<Model> {
    let new = NewUser {
        subject: text::required("subject", &new.subject, 200)?,
        name: text::optional("name", new.name.as_deref(), 100)?,
        external_id: text::optional("externalId", new.external_id.as_deref(), 200)?,
    };
    let id = kernel.ids.next();
    let created_at = kernel.clock.now();
    kernel.db.write(move |tx| Box::pin(ensure(tx, id, created_at, new.clone(), by))).await
}

async fn ensure(tx: &Tx, id: Uuid, created_at: Millis, new: NewUser, by: By) -> Result<Model> {
    let found = store::user_by_subject(tx.connection(), &new.subject).await?;
    if let Some(external_id) = &new.external_id {
        let owner = store::user_by_external_id(tx.connection(), external_id).await?;
        if owner.is_some_and(|owner| owner.subject != new.subject) {
            return Err(Error::conflict("another user has this externalId"));
        }
    }
    if let Some(old) = found {
        let wanted = Model {
            name: new.name.clone().unwrap_or_else(|| old.name.clone()),
            external_id: new.external_id.clone().or_else(|| old.external_id.clone()),
            ..old.clone()
        };
        if wanted != old {
            store::user_update(tx, wanted.clone()).await?;
        }
        return Ok(wanted);
    }
    match by {
        By::SignIn if store::deleted_subject(tx, &new.subject).await? => return Err(deleted()),
        By::SignIn => {}
        By::Request => store::deleted_subject_remove(tx, &new.subject).await?,
    }
    let user = Model {
        id,
        subject: new.subject.clone(),
        external_id: new.external_id.clone(),
        name: new.name.clone().unwrap_or_else(|| unnamed(id)),
        created_at,
    };
    store::user_insert(tx, user.clone()).await?;
    Ok(user)
}

/// What a token of a deleted user hears.
fn deleted() -> Error {
    Error::new(Code::FORBIDDEN, "this user was deleted; only ensureUser of a service makes a new one")
}

/// A name for somebody who gave none. Not the subject: that may be an email address, and names are public.
pub(super) fn unnamed(id: Uuid) -> String {
    let id = Id::<UserKind>::new(id).to_string();
    format!("user {}", &id[id.len() - 6..])
}
