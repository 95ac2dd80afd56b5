//! PostgreSQL's own word between its clients: a connection that hears.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Db;
use super::open::ACQUIRE;
use crate::kernel::error::{Code, Error, Result};

/// A connection of its own that hears what is said on a channel.
pub(crate) struct Listener(PgListener);

impl Db {
    /// Begins to listen; `None` on SQLite, where nobody else serves.
    ///
    /// # Errors
    /// [`Code::UNAVAILABLE`] when the connection cannot be had.
    pub(crate) async fn listener(&self, channel: &str) -> Result<Option<Listener>> {
        let Some(options) = &self.listening else { return Ok(None) };
        let listen = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(ACQUIRE)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_with((**options).clone())
                .await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok(Listener(listener))
        };
        let listener: Result<Listener, sqlx::Error> = listen.await;
        listener.map(Some).map_err(|error| Error::new(Code::UNAVAILABLE, "nothing can be heard").caused_by(error))
    }
}

impl Listener {
    /// The next word; `None` when the connection is lost, and with it what was said since.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.try_recv().await.ok().flatten().map(|word| word.payload().to_owned())
    }
}
