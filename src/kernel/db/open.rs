//! Opens the pools with what durability and order need.

use std::fs::File;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend, SqlxPostgresConnector, SqlxSqliteConnector};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Pool};
use tracing::log::LevelFilter;

use super::renewal::Renewal;
use super::{Db, alone, guard};
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result, has_no_room};
use crate::kernel::telemetry::DbMetrics;

/// How PostgreSQL is to plan for the writer, whose statements have constant text, take their rows as arrays, and find
/// them by key. Planned for the arrays at hand, each batch is planned anew; planned once while a table was small, a
/// statement reads the whole of it until the table is analyzed. So: one plan, and it walks the keys. A plan that cannot
/// but scan counts as very dear then, and PostgreSQL would compile it to machine code at each execution, for a tenth of
/// a second: nothing of the writer's is worth that. Readers plan as usual: they also join whole ranges.
const WRITER_PLANS: [(&str, &str); 5] = [
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// How long a caller waits for a connection before the work counts as failed.
pub(super) const ACQUIRE: Duration = Duration::from_secs(10);
/// SQLite: how long the writer waits for another process (a check, a backup) to leave the lock.
const BUSY: Duration = Duration::from_secs(10);
/// SQLite: pages that a connection keeps, in KiB where negative.
const CACHE: &str = "-16384";
/// SQLite: rows that its thread may be ahead of their reader. With fewer than a page of rows the two wake each other for
/// every row: two thirds of the time of a long read.
const AHEAD: usize = 8192;

impl Db {
    /// Opens `database.url`: `sqlite:PATH` (made with its folder when missing) or `postgres://…`.
    ///
    /// # Errors
    /// [`Code::INVALID_INPUT`] for a URL of another kind, [`Code::UNAVAILABLE`] when it cannot be opened.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let url = settings.text("database.url");
        let (mut guard, mut listening) = (None, None);
        let (backend, mut writer, mut reader) = if url.starts_with("sqlite:") {
            let (writer, reader, lock) = open_sqlite(url, settings.count("database.readers")).await?;
            guard = Some(Arc::new(lock));
            (DbBackend::Sqlite, writer, reader)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (writer, reader, options) = open_postgres(url, settings).await?;
            listening = Some(Arc::new(options));
            (DbBackend::Postgres, writer, reader)
        } else {
            return Err(Error::invalid("DATABASE_URL must begin with sqlite: or postgres://"));
        };
        let metrics = DbMetrics::default();
        for (connection, counted) in [(&mut writer, metrics.writer()), (&mut reader, metrics.reader())] {
            let counted = counted.clone();
            connection.set_metric_callback(move |statement| counted.ran(statement.failed));
        }
        Ok(Self { backend, writer, reader, metrics, listening, guard })
    }
}

impl Db {
    /// Whether `database.url` names a SQLite file that does not exist; [`Db::open`] would make it.
    #[must_use]
    pub fn is_missing(settings: &Settings) -> bool {
        let url = settings.text("database.url");
        url.starts_with("sqlite:")
            && !is_in_memory(url)
            && SqliteConnectOptions::from_str(url).is_ok_and(|options| {
                let file = options.get_filename();
                // Where a folder's name is taken by a file, nothing can be made: opening it says so.
                let nearest = file.ancestors().skip(1).find(|folder| folder.exists());
                !file.exists() && nearest.is_none_or(Path::is_dir)
            })
    }
}

/// sqlx gives a database in memory a file name of its own: only the URL still says so.
fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

fn unavailable(error: &sqlx::Error) -> Error {
    Error::new(Code::UNAVAILABLE, "the database cannot be opened").caused_by(error)
}

/// Of a SQLite file: on a full disk not even its `-shm` can be made.
pub(super) fn unopened(file: &Path, error: &sqlx::Error) -> Error {
    match has_no_room(error) {
        true => {
            let text = format!("there is no room on the disk of {}", file.display());
            Error::new(Code::UNAVAILABLE, text).caused_by(error)
        }
        false => unavailable(error),
    }
}

async fn open_sqlite(url: &str, readers: u32) -> Result<(DatabaseConnection, DatabaseConnection, File)> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| unavailable(&error))?;
    if is_in_memory(url) {
        return Err(Error::invalid(
            "DATABASE_URL must name a file: two pools share it, and facts are to outlive a restart",
        ));
    }
    if let Some(folder) = options.get_filename().parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| unavailable(&sqlx::Error::Io(error)))?;
    }
    let lock = guard::share(&alone::real(options.get_filename()))?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .pragma("cache_size", CACHE)
        .row_buffer_size(AHEAD)
        .log_statements(LevelFilter::Trace);
    let writer: Pool<sqlx::Sqlite> = SqlitePoolOptions::new()
        .max_connections(1)
        // A full disk fails COMMIT itself, and SQLite rolls back by itself; sqlx then still counts a transaction, and what
        // follows would be savepoints of one that nobody commits. Such a connection is thrown away.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await
        .map_err(|error| unopened(options.get_filename(), &error))?;
    let reader: Pool<sqlx::Sqlite> = SqlitePoolOptions::new()
        .max_connections(readers)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.clone().pragma("query_only", "ON"))
        .await
        .map_err(|error| unopened(options.get_filename(), &error))?;
    let connector = SqlxSqliteConnector::from_sqlx_sqlite_pool;
    Ok((connector(writer), connector(reader), lock))
}

async fn open_postgres(
    url: &str,
    settings: &Settings,
) -> Result<(DatabaseConnection, DatabaseConnection, PgConnectOptions)> {
    let (writers, readers) = (settings.count("database.writers"), settings.count("database.readers"));
    // A node that stands still in the middle of a transaction keeps its locks, those of its leases too. After a lease's
    // time PostgreSQL takes them away: whoever takes over need not wait for it to wake or die.
    let patience = [("idle_in_transaction_session_timeout", format!("{}s", settings.count("worker.lease_secs")))];
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::invalid("DATABASE_URL is not a PostgreSQL URL"))?
        .application_name("tally")
        .log_statements(LevelFilter::Trace);
    let pool =
        |size: u32| PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE).test_before_acquire(false);
    let renewal = Arc::new(Renewal::new(writers));
    let writer = pool(writers)
        .before_acquire(move |connection, _| {
            let renewal = Arc::clone(&renewal);
            Box::pin(async move {
                if renewal.is_due() {
                    connection.execute("DISCARD PLANS").await?;
                }
                Ok(true)
            })
        })
        .connect_with(options.clone().options(WRITER_PLANS).options(patience))
        .await
        .map_err(|error| unavailable(&error))?;
    let reader = pool(readers)
        .connect_with(options.clone().options([("default_transaction_read_only", "on")]))
        .await
        .map_err(|error| unavailable(&error))?;
    let connector = SqlxPostgresConnector::from_sqlx_postgres_pool;
    Ok((connector(writer), connector(reader), options))
}
