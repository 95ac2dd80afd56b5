//! A database a test.

use sea_orm::{ConnectionTrait as _, Database, Statement};

/// Where facts and figures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// A database of the test's own.
pub(crate) struct TestDatabase {
    pub(crate) backend: Backend,
    pub(crate) url: String,
    name: String,
    /// The SQLite file's folder.
    folder: Option<tempfile::TempDir>,
}

/// The server that `make test` starts, or the caller's own.
fn postgres() -> String {
    std::env::var("TALLY_TEST_POSTGRES_URL").expect(
        "TALLY_TEST_POSTGRES_URL is not set: run the tests with `make test`, which starts a throwaway PostgreSQL, or \
         set it to postgres://user:password@host:port of a server whose user may create databases",
    )
}

impl TestDatabase {
    pub(crate) async fn create(backend: Backend) -> Self {
        let name = format!("tally_test_{:016x}", rand::random::<u64>());
        match backend {
            Backend::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let url = format!("sqlite:{}/{name}.db", folder.path().display());
                Self { backend, url, name, folder: Some(folder) }
            }
            Backend::Postgres => {
                let server = postgres();
                execute(&server, &format!("CREATE DATABASE {name}")).await;
                let url = format!("{}/{name}", server.trim_end_matches('/'));
                Self { backend, url, name, folder: None }
            }
        }
    }

    /// The same for a second server; the first one's is the one to remove.
    pub(crate) fn shared(&self) -> Self {
        Self { backend: self.backend, url: self.url.clone(), name: self.name.clone(), folder: None }
    }

    /// Runs SQL behind the server's back: to plant a drift, or to look at what is stored.
    pub(crate) async fn sql(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// The same, on any database.
    pub(crate) async fn sql_on(url: &str, sql: &str) {
        execute(url, sql).await;
    }

    /// What a SELECT of one number says, asked behind the server's back.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let connection = Database::connect(&self.url).await.expect("the database is there");
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(statement).await.expect("the statement runs").expect("a row");
        connection.close().await.expect("the connection closes");
        row.try_get_by_index(0).expect("a number")
    }

    pub(crate) async fn remove(self) {
        if self.folder.is_none() {
            execute(&postgres(), &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        }
    }
}

async fn execute(url: &str, sql: &str) {
    // PostgreSQL URLs without a database's name mean the user's own.
    let url = if url.starts_with("postgres") && !url.contains("tally_test_") {
        format!("{}/postgres", url.trim_end_matches('/'))
    } else {
        url.to_owned()
    };
    let connection = Database::connect(url).await.expect("the database is there");
    connection.execute_unprepared(sql).await.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}
