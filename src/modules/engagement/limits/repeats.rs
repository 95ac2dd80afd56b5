//! Acts that are sent again because their answer was lost: they are no further ones.

use uuid::Uuid;

use super::Action;
use crate::kernel::error::Result;
use crate::kernel::text;
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::store::{comments, shares};

impl EngagementFacade {
    /// Whether a user has made a comment or a share with this key already.
    ///
    /// # Errors
    /// The database's own.
    pub(in crate::modules::engagement) async fn has_made(
        &self,
        user: Uuid,
        action: Action,
        client_key: Option<&str>,
    ) -> Result<bool> {
        // One that no command would take has made nothing.
        let Ok(Some(client_key)) = text::optional("clientKey", client_key, 200) else {
            return Ok(false);
        };
        let db = &self.kernel().db;
        match action {
            Action::Comment => comments::client_key_exists(db, user, &client_key).await,
            Action::Share => shares::client_key_exists(db, user, &client_key).await,
            Action::Like | Action::Favorite => Ok(false),
        }
    }
}
