//! Another system's tables, with everything wrong in them that `tally audit` knows of, in each database that it reads.

mod access;
mod again;
mod audit;
mod import;
mod kinds;
mod openings;
mod points_audit;
mod points_import;
mod points_later;
mod same;
mod times;
mod unreadable;
mod untouched;

use sea_orm::{ConnectionTrait as _, Database};
use serde_json::Value;

use crate::harness::run;

/// In which database another system keeps its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Sqlite,
    Postgres,
    MariaDb,
}

pub(super) const EVERY: [From; 3] = [From::Sqlite, From::Postgres, From::MariaDb];

/// A database of another system.
pub(super) struct Theirs {
    from: From,
    pub(super) url: String,
    name: String,
    folder: tempfile::TempDir,
}

fn server(from: From) -> String {
    let variable = if from == From::Postgres { "TALLY_TEST_POSTGRES_URL" } else { "TALLY_TEST_MARIADB_URL" };
    let url = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `make test`, which starts throwaway servers, or set it")
    });
    url.trim_end_matches('/').to_owned()
}

/// A statement on a server of ours, which sqlx calls by another name.
async fn execute(url: &str, sql: &str) {
    let postgres = url.starts_with("postgres");
    if postgres || url.starts_with("sqlite") {
        let connection = Database::connect(url).await.expect("the database is there");
        connection.execute_unprepared(sql).await.expect("the statement runs");
        return connection.close().await.expect("the connection closes");
    }
    use sqlx::Connection as _;
    let url = url.replacen("mariadb://", "mysql://", 1);
    let mut connection = sqlx::MySqlConnection::connect(&url).await.expect("the server is there");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}

impl Theirs {
    /// A database without a table.
    pub(super) async fn empty(from: From) -> Self {
        let name = format!("tally_test_{:016x}", rand::random::<u64>());
        let folder = tempfile::tempdir().expect("a folder");
        let url = match from {
            From::Sqlite => format!("sqlite:{}/{name}.db", folder.path().display()),
            From::Postgres => {
                execute(&format!("{}/postgres", server(from)), &format!("CREATE DATABASE {name}")).await;
                format!("{}/{name}", server(from))
            }
            From::MariaDb => {
                execute(&server(from), &format!("CREATE DATABASE {name}")).await;
                format!("{}/{name}", server(from))
            }
        };
        if from == From::Sqlite {
            std::fs::write(url.trim_start_matches("sqlite:"), "").unwrap();
        }
        Self { from, url, name, folder }
    }

    /// With all the tables, and everything wrong in them.
    pub(super) async fn broken(from: From) -> Self {
        let theirs = Self::empty(from).await;
        theirs.sql(include_str!("tables.sql")).await;
        theirs
    }

    /// With the tables of points, and everything wrong in them.
    pub(super) async fn points(from: From) -> Self {
        let theirs = Self::empty(from).await;
        theirs.sql(include_str!("points.sql")).await;
        theirs
    }

    pub(super) async fn sql(&self, sql: &str) {
        let (time, float) = match self.from {
            From::Sqlite => ("TEXT", "REAL"),
            From::Postgres => ("timestamp", "double precision"),
            From::MariaDb => ("DATETIME(3)", "DOUBLE"),
        };
        execute(&self.url, &sql.replace("{time}", time).replace("{float}", float)).await;
    }

    /// `tally` with these arguments and `--from` this database; on `database`, where that is given.
    pub(super) async fn tally(&self, arguments: &[&str], database: &str) -> (i32, String, String) {
        let arguments = [arguments, &["--from", &self.url]].concat();
        run(&arguments, &[("DATABASE_URL", database)], self.folder.path()).await
    }

    /// The JSON of a command that ended with a status.
    pub(super) async fn json(&self, arguments: &[&str], database: &str, due: i32) -> Value {
        let (status, output, errors) = self.tally(&[arguments, &["--json"]].concat(), database).await;
        assert_eq!(status, due, "{:?} {arguments:?}: {output}\n{errors}", self.from);
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}\n{errors}"))
    }

    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// All that could change by a write: of a file its bytes and what stands beside it, of a server the tables of points,
    /// with the marks of a rewritten row.
    pub(super) async fn contents(&self) -> Vec<String> {
        let path = self.url.trim_start_matches("sqlite:");
        match self.from {
            From::Sqlite => {
                let names =
                    std::fs::read_dir(self.folder.path()).unwrap().map(|file| format!("{:?}", file.unwrap().path()));
                let mut names: Vec<_> = names.collect();
                names.sort_unstable();
                names.push(format!("{:?}", std::fs::read(path).unwrap()));
                names
            }
            From::Postgres => {
                let sql = "SELECT t::text || ' ' || t.xmin || ' ' || t.ctid AS fact FROM student_points t
                     UNION ALL SELECT t::text || ' ' || t.xmin || ' ' || t.ctid FROM point_transactions t ORDER BY 1";
                points_import::texts(&self.url, sql).await
            }
            From::MariaDb => {
                use sqlx::{Connection as _, Row as _};
                let url = self.url.replacen("mariadb://", "mysql://", 1);
                let mut connection = sqlx::MySqlConnection::connect(&url).await.expect("the server is there");
                let sql = "CHECKSUM TABLE student_points, point_transactions EXTENDED";
                let rows = sqlx::raw_sql(sql).fetch_all(&mut connection).await.expect("checksums");
                connection.close().await.expect("the connection closes");
                let checksum =
                    |row: &sqlx::mysql::MySqlRow| format!("{:?}", row.try_get_unchecked::<Option<i64>, _>(1));
                rows.iter().map(checksum).collect()
            }
        }
    }

    pub(super) async fn remove(self) {
        match self.from {
            From::Sqlite => {}
            From::Postgres => {
                let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
                execute(&format!("{}/postgres", server(self.from)), &drop).await;
            }
            From::MariaDb => execute(&server(self.from), &format!("DROP DATABASE {}", self.name)).await,
        }
    }
}
