//! When PostgreSQL is to plan the writer's statements anew.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// The first renewal after the opening, in milliseconds; the pauses double from there.
const FIRST: u64 = 500;
/// The longest pause.
const LONGEST: u64 = 30_000;

/// A plan that was made while a table had no page, and had been vacuumed so, goes through the whole table for each row
/// that it is given: no row seemed fewer than any. It would stay until the next vacuum. So plans are forgotten soon after
/// the opening, when a table has its first rows, and again now and then.
pub(super) struct Renewal {
    opened: Instant,
    connections: u32,
    next: AtomicU64,
    /// Connections that still have plans from before.
    left: AtomicU32,
}

impl Renewal {
    pub(super) fn new(connections: u32) -> Self {
        Self { opened: Instant::now(), connections, next: AtomicU64::new(FIRST), left: AtomicU32::new(0) }
    }

    /// Whether the connection that is about to be used forgets its plans. The pool hands them out in turn: each comes once
    /// a renewal, as a rule.
    pub(super) fn is_due(&self) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next.load(Ordering::Relaxed);
        let then = now.saturating_add(now.clamp(FIRST, LONGEST));
        let order = Ordering::Relaxed;
        if now >= next && self.next.compare_exchange(next, then, order, order).is_ok() {
            self.left.store(self.connections, order);
        }
        self.left.try_update(order, order, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use sea_orm::{ConnectionTrait as _, Database, Statement};

    use super::*;
    use crate::kernel::config::{SETTINGS, Settings};
    use crate::kernel::db::{Db, Tx};
    use crate::kernel::error::{Error, Result};

    const LOOK_UP: &str = "SELECT t.n FROM unnest($1::bigint[]) r(id) JOIN looked_up t ON t.id = r.id";

    async fn look_up(tx: &Tx) -> Result<()> {
        let statement = Statement::from_sql_and_values(tx.backend(), LOOK_UP, [vec![1_i64, 2, 3].into()]);
        tx.connection().query_all_raw(statement).await?;
        Ok(())
    }

    /// How the statement that its connection has prepared is planned.
    async fn plan(db: &Db) -> String {
        let tx = db.begin().await.unwrap();
        let backend = tx.backend();
        let named = "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT t.n FROM unnest%'";
        let name = tx.connection().query_one_raw(Statement::from_string(backend, named)).await.unwrap().unwrap();
        let name: String = name.try_get("", "name").unwrap();
        let explain = Statement::from_string(backend, format!("EXPLAIN EXECUTE {name} (NULL)"));
        let lines = tx.connection().query_all_raw(explain).await.unwrap();
        lines.iter().map(|line| line.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn a_plan_for_no_rows_is_not_kept_for_many() {
        let server = std::env::var("TALLY_TEST_POSTGRES_URL").map_err(Error::internal).unwrap();
        let name = format!("tally_test_{:016x}", rand::random::<u64>());
        let maintenance = Database::connect(format!("{server}/postgres")).await.unwrap();
        maintenance.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        let flags = [("database.url", format!("{server}/{name}")), ("database.writers", "1".to_owned())];
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &flags).unwrap();
        let db = Arc::new(Db::open(&settings).await.unwrap());
        let run = async |sql: &str| db.writer.execute_unprepared(sql).await.map(drop).unwrap();
        run("CREATE TABLE looked_up (id bigint PRIMARY KEY, n bigint NOT NULL)").await;
        run("VACUUM ANALYZE looked_up").await;
        db.write(|tx| Box::pin(look_up(tx))).await.unwrap();
        let first = plan(&db).await;
        assert!(first.contains("Join Filter"), "or there is nothing to mend:\n{first}");
        run("INSERT INTO looked_up SELECT n, n FROM generate_series(1, 10000) n").await;
        let anew = async {
            loop {
                let plan = plan(&db).await;
                if !plan.contains("Join Filter") {
                    return plan;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let anew = tokio::time::timeout(Duration::from_secs(60), anew).await.expect("it is planned anew");
        assert!(anew.contains("Index Cond: (id = r.id)"), "{anew}");
        Arc::into_inner(db).unwrap().close().await.unwrap();
        maintenance.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        maintenance.close().await.unwrap();
    }

    #[test]
    fn each_connection_plans_anew_once_a_renewal() {
        let renewal = Renewal::new(3);
        assert!(!renewal.is_due(), "they have just begun");
        renewal.next.store(0, Ordering::Relaxed);
        assert_eq!((0..10).filter(|_| renewal.is_due()).count(), 3);
        let pause = renewal.next.load(Ordering::Relaxed);
        assert!((FIRST..FIRST + 60_000).contains(&pause), "{pause}");
    }
}
