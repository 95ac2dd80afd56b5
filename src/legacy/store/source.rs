//! A connection that reads, and cannot do anything else.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ColumnIndex, ConnectOptions as _, Connection as _, Database, Decode, Type};
use tokio_util::sync::CancellationToken;
use tracing::log::LevelFilter;

use super::dialect::Dialect;
use super::file::Reading;
use crate::kernel::error::{Code, Error, Result};

/// A row, every value as text.
pub(in super::super) type Row = Vec<Option<String>>;

/// How long another program may keep a SQLite file to itself.
const BUSY: Duration = Duration::from_secs(10);

/// Somebody's database, in one snapshot that lasts until it is closed.
pub struct Source {
    connection: Connection,
    /// What to call it: no password, no user.
    name: String,
    stop: CancellationToken,
}

enum Connection {
    Sqlite(SqliteConnection, Reading),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Source {
    /// Opens `sqlite:PATH`, `postgres://…`, `mysql://…` or `mariadb://…` for reading alone. A SQLite file is opened
    /// read-only, and nothing is made beside it; the others begin a read-only transaction.
    ///
    /// # Errors
    /// [`Code::INVALID_INPUT`] for a URL of another kind, [`Code::UNAVAILABLE`] when it cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" => sqlite(url).await,
            "postgres" | "postgresql" => postgres(url).await,
            "mysql" | "mariadb" => mysql(url).await,
            _ => Err(Error::invalid("--from must begin with sqlite:, postgres://, mysql:// or mariadb://")),
        }
    }

    /// Ends what is read with an error once this is cancelled, also where the database has long said nothing.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// What ends what is read after [`Source::until`].
    #[must_use]
    pub fn stopped() -> Error {
        Error::new(Code::UNAVAILABLE, "stopped before the end")
    }

    /// What to call it in reports: without user and password.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(in super::super) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(..) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::MySql(_) => Dialect::MySql,
        }
    }

    /// The rows of a statement, one after the other, however many there are; an error when it is told to stop.
    pub(in super::super) fn rows(&mut self, sql: String) -> BoxStream<'_, Result<Row>> {
        let (sql, stop) = (AssertSqlSafe(sql), self.stop.clone());
        let rows = match &mut self.connection {
            Connection::Sqlite(connection, _) => sqlx::query(sql).fetch(connection).map(texts).boxed(),
            Connection::Postgres(connection) => sqlx::query(sql).fetch(connection).map(texts).boxed(),
            Connection::MySql(connection) => sqlx::query(sql).fetch(connection).map(texts).boxed(),
        };
        let ended = stop.clone().cancelled_owned();
        let told = move || stop.is_cancelled().then(|| Err(Self::stopped()));
        rows.take_until(ended).chain(stream::once(async move { told() }).filter_map(std::future::ready)).boxed()
    }

    /// The same with a value for its only parameter, read at once: of few rows.
    pub(super) async fn rows_of(&mut self, sql: &'static str, value: &str) -> Result<Vec<Row>> {
        let value = value.to_owned();
        match &mut self.connection {
            Connection::Sqlite(connection, _) => {
                sqlx::query(sql).bind(value).fetch(connection).map(texts).try_collect().await
            }
            Connection::Postgres(connection) => {
                sqlx::query(sql).bind(value).fetch(connection).map(texts).try_collect().await
            }
            Connection::MySql(connection) => {
                sqlx::query(sql).bind(value).fetch(connection).map(texts).try_collect().await
            }
        }
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// The connection's own; a SQLite file that nobody had open was written to meanwhile: then what was read may be wrong.
    pub async fn close(self) -> Result<()> {
        if self.stop.is_cancelled() {
            // A statement may be under way that takes hours: nobody waits for it.
            return Ok(());
        }
        let closed = match self.connection {
            Connection::Sqlite(connection, reading) => {
                let closed = connection.close().await;
                reading.end()?;
                closed
            }
            Connection::Postgres(connection) => connection.close().await,
            Connection::MySql(connection) => connection.close().await,
        };
        closed.map_err(refused)
    }
}

async fn sqlite(url: &str) -> Result<Source> {
    let options = SqliteConnectOptions::from_str(url).map_err(unopened)?;
    let file = options.get_filename().to_path_buf();
    if !file.is_file() {
        return Err(Error::invalid(format!("there is no file {}", file.display())));
    }
    let real = file.canonicalize().map_err(|error| unopened(sqlx::Error::Io(error)))?;
    let reading = Reading::of(&real).await?;
    let options = options
        .filename(reading.path(&real))
        .read_only(true)
        .immutable(matches!(reading, Reading::Alone(_)))
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .pragma("query_only", "ON")
        .log_statements(LevelFilter::Trace);
    let mut connection = options.connect().await.map_err(unopened)?;
    sqlx::raw_sql("BEGIN").execute(&mut connection).await.map_err(unopened)?;
    Ok(Source {
        connection: Connection::Sqlite(connection, reading),
        name: format!("sqlite:{}", file.display()),
        stop: CancellationToken::new(),
    })
}

async fn postgres(url: &str) -> Result<Source> {
    let options = PgConnectOptions::from_str(url).map_err(unopened)?;
    let name = format!(
        "postgres://{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    let options = options
        .options([("default_transaction_read_only", "on"), ("datestyle", "ISO"), ("timezone", "UTC"), ("jit", "off")])
        .log_statements(LevelFilter::Trace);
    let mut connection = options.connect().await.map_err(unopened)?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(begin).execute(&mut connection).await.map_err(unopened)?;
    Ok(Source { connection: Connection::Postgres(connection), name, stop: CancellationToken::new() })
}

async fn mysql(url: &str) -> Result<Source> {
    let url = url.replacen("mariadb://", "mysql://", 1);
    let options = MySqlConnectOptions::from_str(&url).map_err(unopened)?;
    // Where it is, from the text itself: the options do not say. What is behind the `?` may be anything.
    let place = url.split('?').next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default().trim_start_matches("mysql://");
    let name = format!("mysql://{place}");
    let options = options.timezone(Some("+00:00".to_owned())).log_statements(LevelFilter::Trace);
    let mut connection = options.connect().await.map_err(unopened)?;
    for statement in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        sqlx::raw_sql(statement).execute(&mut connection).await.map_err(unopened)?;
    }
    Ok(Source { connection: Connection::MySql(connection), name, stop: CancellationToken::new() })
}

fn texts<R>(row: Result<R, sqlx::Error>) -> Result<Row>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database>,
    Option<String>: Type<R::Database>,
    R::Database: Database,
{
    let row = row.map_err(refused)?;
    (0..row.len()).map(|column| row.try_get::<Option<String>, _>(column).map_err(refused)).collect()
}

fn unopened(error: sqlx::Error) -> Error {
    Error::new(Code::UNAVAILABLE, "the database of --from cannot be opened").caused_by(words(error))
}

/// What the database says, in words that an operator can act on. Never a statement: those are ours, not theirs.
fn refused(error: sqlx::Error) -> Error {
    let denied = matches!(&error, sqlx::Error::Database(error)
        // insufficient privilege; table, column and database access denied
        if ["42501", "42000"].contains(&error.code().unwrap_or_default().as_ref()) && error.message().contains("denied"));
    let not_text = matches!(&error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_));
    let (code, text) = match (denied, not_text) {
        (true, _) => (Code::FORBIDDEN, "there is no permission to read a table of --from"),
        (_, true) => (Code::INVALID_INPUT, "a column of --from holds what is not text in UTF-8"),
        _ => (Code::UNAVAILABLE, "the database of --from cannot be read"),
    };
    Error::new(code, text).caused_by(words(error))
}

fn words(error: sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            // MySQL quotes the statement behind this word.
            error.message().split(" near '").next().unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    }
}
