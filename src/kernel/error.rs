//! One error type. The client's message and the operator's cause are two strings: the second is logged, never sent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::PathSegment;
use sea_orm::{DbErr, RuntimeErr};

/// What a fallible call of tally returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stable code, sent as `extensions.code`. Modules may add their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub &'static str);

impl Code {
    /// Whether a code of the kernel, as a word, says that this side is at fault, and not who asked.
    pub(crate) fn is_ours(word: &str) -> bool {
        [Self::INTERNAL.0, Self::UNAVAILABLE.0, Self::OVERLOADED.0].contains(&word)
    }

    /// What the act needs does not exist.
    pub const NOT_FOUND: Self = Self("NOT_FOUND");
    /// An argument, a cursor, an id or a document is not of its form.
    pub const INVALID_INPUT: Self = Self("INVALID_INPUT");
    /// No token, or one that does not hold.
    pub const UNAUTHENTICATED: Self = Self("UNAUTHENTICATED");
    /// The token's roles do not allow this.
    pub const FORBIDDEN: Self = Self("FORBIDDEN");
    /// The state of things refuses this: a duplicate key, an unpublished content.
    pub const CONFLICT: Self = Self("CONFLICT");
    /// A document asks for more than one operation may.
    pub const TOO_COMPLEX: Self = Self("TOO_COMPLEX");
    /// Too many operations for one client; [`Error::retry_after`] says when the next may come.
    pub const RATE_LIMITED: Self = Self("RATE_LIMITED");
    /// A queue is full; try again.
    pub const OVERLOADED: Self = Self("OVERLOADED");
    /// The database cannot take it now; try again. If the connection broke at the wrong moment the act may have passed
    /// all the same: every act is idempotent, so a repetition does no harm.
    pub const UNAVAILABLE: Self = Self("UNAVAILABLE");
    /// The lease of a relay or a job went to another node, which goes on with the work. Seen in logs alone.
    pub const LEASE_LOST: Self = Self("LEASE_LOST");
    /// A fault of the server.
    pub const INTERNAL: Self = Self("INTERNAL");
}

/// An error with what the client may read and what the operator should. `Display` is the client's message: async-graphql
/// makes its errors of that, and [`super::graphql::with_codes`] adds the code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{client}")]
pub struct Error {
    code: Code,
    client: Cow<'static, str>,
    cause: Option<Arc<str>>,
    retry: Retry,
    retry_after: Option<Duration>,
    details: Vec<(&'static str, serde_json::Value)>,
    our_fault: bool,
    no_room: bool,
    path: Option<Arc<[PathSegment]>>,
}

/// What a repetition of the failed database work would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same work may pass: a lock, a lost connection.
    Soon,
    /// The same work may pass once it has read again: another writer took a unique key first. If it does not, the fault
    /// is in one of the commands.
    Taken,
    /// The database takes no writes at all: a full disk.
    Down,
    /// It would fail again.
    Never,
}

impl Error {
    /// An error with a code and a message for the client.
    pub fn new(code: Code, client: impl Into<Cow<'static, str>>) -> Self {
        let our_fault = Code::is_ours(code.0);
        let (client, details) = (client.into(), Vec::new());
        Self {
            code,
            client,
            cause: None,
            retry: Retry::Never,
            retry_after: None,
            details,
            our_fault,
            no_room: false,
            path: None,
        }
    }

    /// [`Code::INVALID_INPUT`].
    pub fn invalid(client: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::INVALID_INPUT, client)
    }

    /// [`Code::NOT_FOUND`].
    pub fn not_found(client: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NOT_FOUND, client)
    }

    /// [`Code::CONFLICT`].
    pub fn conflict(client: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::CONFLICT, client)
    }

    /// [`Code::INTERNAL`]: the client learns nothing, `cause` is for the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(Code::INTERNAL, "internal error").caused_by(cause)
    }

    /// Adds the operator's cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the client reads.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What only the operator reads.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Code, message and cause in one line, for logs and the command line.
    #[must_use]
    pub fn for_operator(&self) -> String {
        match self.cause() {
            Some(cause) => format!("{}: {} ({cause})", self.code.0, self.client),
            None => format!("{}: {}", self.code.0, self.client),
        }
    }

    /// Says that this side is at fault, of a module's own code: metrics and logs count it as failed, not as refused.
    #[must_use]
    pub fn our_fault(self) -> Self {
        Self { our_fault: true, ..self }
    }

    /// Whether this side is at fault, and not who asked.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.our_fault
    }

    /// Says when the client may try again: `extensions.retryAfterMs`, and `Retry-After` over HTTP.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// How long the client should wait before it tries again, if anybody knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Adds what programs may read of the error: `extensions.NAME`.
    #[must_use]
    pub fn with_detail(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// What programs may read of it, besides its code.
    #[must_use]
    pub fn details(&self) -> &[(&'static str, serde_json::Value)] {
        &self.details
    }

    /// Whether a disk is full.
    pub(crate) fn has_no_room(&self) -> bool {
        self.no_room
    }

    /// Says in which field of an answer it came up; the first one who says so knows best.
    #[must_use]
    pub(crate) fn at(self, path: Vec<PathSegment>) -> Self {
        Self { path: self.path.or_else(|| Some(path.into())), ..self }
    }

    /// In which field of an answer it came up, as far as that was said.
    #[must_use]
    pub fn path(&self) -> Option<&[PathSegment]> {
        self.path.as_deref()
    }

    /// Says what a repetition would do.
    #[must_use]
    pub(crate) fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Whether to try the same work again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let (retry, no_room) = (classify(&error), of_sqlx(&error).is_some_and(has_no_room));
        let error = match retry {
            Retry::Never | Retry::Taken => Self::internal(&error),
            Retry::Soon | Retry::Down => {
                Self::new(Code::UNAVAILABLE, "the database is not available, try again").caused_by(&error)
            }
        };
        Self { retry, no_room, ..error }
    }
}

fn of_sqlx(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether a disk is full: SQLITE_FULL, SQLITE_IOERR_SHMSIZE (the `-shm` cannot grow), disk full on PostgreSQL.
pub(crate) fn has_no_room(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["13", "4874", "53100"].contains(&code.as_ref()))
}

/// SQLSTATE classes (PostgreSQL, appendix A of its manual) and SQLite result codes that pass by themselves.
fn classify(error: &DbErr) -> Retry {
    let error = match (error, of_sqlx(error)) {
        (_, Some(error)) => error,
        (DbErr::ConnectionAcquire(_), None) => return Retry::Soon,
        _ => return Retry::Never,
    };
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => {
            Retry::Soon
        }
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error.is_unique_violation() {
                // Another process took the key between our read and our write: the next read sees it.
                return Retry::Taken;
            }
            match code.as_ref() {
                // serialization failure, deadlock, lock not available, too many connections, stood still in a transaction
                "40001" | "40P01" | "55P03" | "53300" | "25P03" => Retry::Soon,
                // SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR and disk full, out of memory, read-only on PostgreSQL
                "13" | "8" | "53100" | "53200" | "25006" => Retry::Down,
                postgres if postgres.len() == 5 && (postgres.starts_with("08") || postgres.starts_with("57P")) => {
                    Retry::Soon
                }
                postgres if postgres.len() == 5 => Retry::Never,
                // SQLite puts the primary code in the low byte: 5 busy, 6 locked, 10 input/output.
                sqlite => match sqlite.parse::<u32>().map(|code| code & 0xff) {
                    Ok(5 | 6) => Retry::Soon,
                    Ok(8 | 10 | 13) => Retry::Down,
                    _ => Retry::Never,
                },
            }
        }
        _ => Retry::Never,
    }
}
