//! Connections beside the pools: for backups, which must neither wait for the server's work nor be taken for it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector, SqlxSqliteConnector};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tracing::log::LevelFilter;

use super::Db;
use super::open::unopened;
use crate::kernel::config::Settings;
use crate::kernel::error::{Code, Error, Result};

/// What a connection to a SQLite file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To copy it while others write.
    Copy,
    /// To look into a file that nobody writes.
    Look,
    /// To put another in its place. Without a write-ahead log, which SQLite takes away only when nobody else has the
    /// file open: [`Code::CONFLICT`] if somebody has, [`Code::INVALID_INPUT`] if it is no database.
    Replace,
}

/// Where PostgreSQL is, as its own programs take it: by variables, so that no list of processes shows it.
pub(crate) struct PostgresAt {
    /// Names and values: `PGHOST`, `PGPASSWORD`, …
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The database's name.
    pub(crate) database: String,
}

/// The variables that sqlx goes by as well where the URL is silent: who, and how safely. Which server it is does not
/// depend on them.
const CREDENTIALS: [&str; 6] = ["PGPASSWORD", "PGPASSFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];

impl PostgresAt {
    /// Whether a variable of this process may reach PostgreSQL's programs. A `PGHOSTADDR` or a `PGSERVICE` would turn
    /// them to another server than the URL's.
    pub(crate) fn lets_through(variable: &str) -> bool {
        !variable.starts_with("PG") || CREDENTIALS.contains(&variable)
    }

    /// The name alone, in a form in which nothing in it is taken for anything else.
    pub(crate) fn conninfo(&self) -> String {
        format!("dbname='{}'", self.database.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

impl Db {
    /// The file of a SQLite database, behind all links, as SQLite itself goes to it; `None` for PostgreSQL.
    pub(crate) fn sqlite_file(settings: &Settings) -> Option<PathBuf> {
        let url = settings.text("database.url");
        let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok())??;
        Some(real(options.get_filename()))
    }

    /// One connection to a SQLite file that is there.
    pub(crate) async fn sqlite_alone(file: &Path, what_for: Use) -> Result<DatabaseConnection> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(if what_for == Use::Replace { 0 } else { 10 }))
            .log_statements(LevelFilter::Trace);
        let options = match what_for {
            Use::Copy => options,
            Use::Look => options.read_only(true).immutable(true),
            Use::Replace => options.journal_mode(SqliteJournalMode::Delete),
        };
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await;
        match pool {
            Ok(pool) => Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)),
            Err(error) if is_busy(&error) => {
                Err(Error::conflict("another process has the database open").caused_by(&error))
            }
            Err(error) if is_unreadable(&error) => Err(Error::invalid("it is no SQLite database").caused_by(&error)),
            Err(error) => Err(unopened(file, &error)),
        }
    }

    /// One connection to PostgreSQL under another name than the servers': what they have open can be told from it.
    pub(crate) async fn postgres_alone(settings: &Settings) -> Result<DatabaseConnection> {
        let options = postgres_options(settings)?.application_name("tally restore").log_statements(LevelFilter::Trace);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await;
        let pool =
            pool.map_err(|error| Error::new(Code::UNAVAILABLE, "the database cannot be opened").caused_by(&error))?;
        Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
    }

    /// The same place for PostgreSQL's own programs. What the URL leaves out they find as sqlx does: in variables and
    /// in the user's password file.
    pub(crate) fn postgres_at(settings: &Settings) -> Result<PostgresAt> {
        let wrong = || Error::invalid("DATABASE_URL is not a PostgreSQL URL");
        let options = postgres_options(settings)?;
        let url = reqwest::Url::parse(settings.text("database.url")).map_err(|_| wrong())?;
        let host = options.get_socket().map(|folder| folder.display().to_string());
        let database = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
        let mut variables = vec![
            ("PGHOST", host.unwrap_or_else(|| options.get_host().to_owned())),
            ("PGPORT", options.get_port().to_string()),
            ("PGUSER", options.get_username().to_owned()),
            ("PGDATABASE", database.clone()),
        ];
        if let Some(password) = url.password() {
            let password = percent_encoding::percent_decode_str(password).decode_utf8().map_err(|_| wrong())?;
            variables.push(("PGPASSWORD", password.into_owned()));
        }
        for (key, value) in url.query_pairs() {
            let name = match &*key {
                "password" => "PGPASSWORD",
                "sslmode" | "ssl-mode" => "PGSSLMODE",
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
                "sslcert" | "ssl-cert" => "PGSSLCERT",
                "sslkey" | "ssl-key" => "PGSSLKEY",
                _ => continue,
            };
            variables.push((name, value.into_owned()));
        }
        Ok(PostgresAt { variables, database })
    }
}

/// Where a file really is: what is beside it, its logs and its lock, is beside it there. One that is not there yet may
/// have a link that is.
pub(super) fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| match std::fs::read_link(file) {
        Ok(target) => file.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => file.to_owned(),
    })
}

fn postgres_options(settings: &Settings) -> Result<PgConnectOptions> {
    PgConnectOptions::from_str(settings.text("database.url"))
        .map_err(|_| Error::invalid("DATABASE_URL is not a PostgreSQL URL"))
}

/// SQLITE_BUSY and SQLITE_LOCKED, with their extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(5 | 6))
}

/// An error of a SQLite file: [`Code::INVALID_INPUT`] when nobody can read it.
pub(crate) fn sqlite_error(error: DbErr) -> Error {
    let told = match &error {
        DbErr::Conn(RuntimeErr::SqlxError(told))
        | DbErr::Exec(RuntimeErr::SqlxError(told))
        | DbErr::Query(RuntimeErr::SqlxError(told)) => Some(told),
        _ => None,
    };
    match told {
        Some(told) if is_unreadable(told) => Error::invalid("it is no SQLite database").caused_by(told),
        _ => error.into(),
    }
}

/// SQLITE_CORRUPT and SQLITE_NOTADB: nobody can work on such a file.
fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(11 | 26))
}

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code)?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}
