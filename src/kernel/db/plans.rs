//! For tests: how PostgreSQL plans a statement on the writer's connections while the tables are empty, as they are when
//! a server starts. Such a plan stays until the next vacuum, whatever comes into the tables.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, Database, Statement};

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
