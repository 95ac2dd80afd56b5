//! Deletes a user's row. What the user did belongs to other modules, and goes with their deletion. Idempotent.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::modules::users::store;

/// Removes the user and remembers its subject, hashed: a token that is still about must not make a new user. Returns the
/// subject; none where the user is gone already.
pub(in crate::modules::users) async fn run(kernel: &Kernel, id: Uuid) -> Result<Option<String>> {
    let now = kernel.clock.now();
    kernel.db.write(move |tx| Box::pin(delete(tx, id, now))).await
}

async fn delete(tx: &Tx, id: Uuid, now: Millis) -> Result<Option<String>> {
    let Some(subject) = store::user_delete(tx, id).await? else {
        return Ok(None);
    };
    store::deleted_subject_put(tx, &subject, now).await?;
    Ok(Some(subject))
}
