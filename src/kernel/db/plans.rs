//! For tests: how PostgreSQL plans a statement on the writer's connections while the tables are empty, as they are when
//! a server starts. Such a plan stays until the next vacuum, whatever comes into the tables. And how both databases plan
//! what readers read, which is planned for the tables as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};

use super::{Db, Migrations};
use crate::kernel::config::{SETTINGS, Settings};
use crate::kernel::error::{Error, Result};

/// The plans of each statement: where its tables were never vacuumed, and where they were.
///
/// # Errors
/// Without a PostgreSQL, which `scripts/postgres.sh` starts; the database's own.
pub(crate) async fn of_empty_tables(migrations: &[Migrations], statements: &[&str]) -> Result<Vec<[String; 2]>> {
    let server = std::env::var("TALLY_TEST_POSTGRES_URL").map_err(Error::internal)?;
    let name = format!("tally_test_{:016x}", rand::random::<u64>());
    let maintenance = Database::connect(format!("{server}/postgres")).await?;
    maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
    let flags = [("database.url", format!("{server}/{name}"))];
    let db = Db::open(&Settings::read(SETTINGS, None, &BTreeMap::new(), &flags)?).await?;
    db.migrate(migrations).await?;
    let fresh = explain(&db, statements).await?;
    db.writer.execute_unprepared("VACUUM ANALYZE").await?;
    let vacuumed = explain(&db, statements).await?;
    db.close().await?;
    maintenance.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;
    maintenance.close().await?;
    Ok(fresh.into_iter().zip(vacuumed).map(|(fresh, vacuumed)| [fresh, vacuumed]).collect())
}

async fn explain(db: &Db, statements: &[&str]) -> Result<Vec<String>> {
    // For the one connection that it has.
    let tx = db.begin().await?;
    let mut plans = Vec::new();
    for text in statements {
        let parameters = (1..20).filter(|n| text.contains(&format!("${n}"))).max().unwrap_or(0);
        let nulls = vec!["NULL"; parameters].join(", ");
        let nulls = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        tx.connection().execute_unprepared(&format!("PREPARE explained AS {text}")).await?;
        let explain = Statement::from_string(db.backend(), format!("EXPLAIN EXECUTE explained{nulls}"));
        let lines = tx.connection().query_all_raw(explain).await?;
        let lines = lines.iter().map(|line| line.try_get_by_index(0)).collect::<Result<Vec<String>, _>>()?;
        plans.push(lines.join("\n"));
        tx.connection().execute_unprepared("DEALLOCATE explained").await?;
    }
    Ok(plans)
}

/// A database of its own whose reads are written down.
pub(crate) struct Watched {
    pub(crate) db: Db,
    read: Arc<Mutex<Vec<Statement>>>,
    /// The SQLite file's folder, or the PostgreSQL database's name and its server's connection.
    folder: Option<tempfile::TempDir>,
    postgres: Option<(String, DatabaseConnection)>,
}

impl Watched {
    /// With these tables, empty.
    ///
    /// # Errors
    /// As [`of_empty_tables`].
    pub(crate) async fn open(backend: DbBackend, migrations: &[Migrations]) -> Result<Self> {
        let name = format!("tally_test_{:016x}", rand::random::<u64>());
        let (mut folder, mut postgres) = (None, None);
        let url = if backend == DbBackend::Postgres {
            let server = std::env::var("TALLY_TEST_POSTGRES_URL").map_err(Error::internal)?;
            let maintenance = Database::connect(format!("{server}/postgres")).await?;
            maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
            postgres = Some((name.clone(), maintenance));
            format!("{server}/{name}")
        } else {
            let made = tempfile::tempdir().map_err(Error::internal)?;
            format!("sqlite:{}/{name}.db", folder.insert(made).path().display())
        };
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &[("database.url", url)])?;
        let mut db = Db::open(&settings).await?;
        db.migrate(migrations).await?;
        let read = Arc::<Mutex<Vec<Statement>>>::default();
        let noted = Arc::clone(&read);
        db.reader.set_metric_callback(move |info| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(info.statement.clone());
        });
        Ok(Self { db, read, folder, postgres })
    }

    /// Runs this on the connection that writes.
    ///
    /// # Errors
    /// The database's own.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        self.db.writer.execute_unprepared(sql).await?;
        Ok(())
    }

    /// The statements that were read since the last call, each with its plan, as it is planned with these values.
    ///
    /// # Errors
    /// The database's own.
    pub(crate) async fn plans(&self, in_snapshot: bool) -> Result<Vec<(String, String)>> {
        let read = std::mem::take(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner));
        let postgres = self.db.backend == DbBackend::Postgres;
        let (explain, column) = if postgres { ("EXPLAIN", "QUERY PLAN") } else { ("EXPLAIN QUERY PLAN", "detail") };
        let mut plans = Vec::new();
        for mut statement in read.into_iter().filter(|statement| statement.sql.contains("SELECT")) {
            let text = statement.sql.clone();
            statement.sql = format!("{explain} {text}");
            let lines = if in_snapshot {
                let snapshot = self.db.snapshot().await?;
                let lines = snapshot.query_all_raw(statement).await?;
                snapshot.commit().await?;
                lines
            } else {
                self.db.reader.query_all_raw(statement).await?
            };
            let lines = lines.iter().map(|line| line.try_get("", column)).collect::<Result<Vec<String>, _>>()?;
            plans.push((text, lines.join("\n")));
        }
        // Not those of this look.
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(plans)
    }

    /// Ends it.
    ///
    /// # Errors
    /// The database's own.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { db, folder, postgres, .. } = self;
        db.close().await?;
        if let Some((name, maintenance)) = postgres {
            maintenance.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;
            maintenance.close().await?;
        }
        drop(folder);
        Ok(())
    }
}
