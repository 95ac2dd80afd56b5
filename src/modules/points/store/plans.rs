//! Every read of the module, as both databases plan it on tables that have grown.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sea_orm::DbBackend;
    use uuid::Uuid;

    use super::super::read::{self, Filter};
    use super::super::{board, imported, incidents, recount, walk};
    use crate::kernel::clock::Millis;
    use crate::kernel::db::Migrations;
    use crate::kernel::db::plans::Watched;
    use crate::kernel::page::{Cursor, Page};
    use crate::modules::points::ledger::{Kind, lane};

    /// 20,000 accounts; 3 transactions of each, and 40,000 of one.
    async fn grown(backend: DbBackend) -> Watched {
        let module = Migrations { module: "points", list: tally_migration::points::migrations };
        let watched = Watched::open(backend, &[module]).await.unwrap();
        let postgres = backend == DbBackend::Postgres;
        let (numbers, id, bytes) = if postgres {
            (
                "generate_series(1, {n}) AS s(n)",
                "('00000000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid",
                "'\\x00'",
            )
        } else {
            (
                "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {n}) SELECT n FROM s) AS s",
                "CAST(unhex('0000000000007000800000' || printf('%010x', {n})) AS BLOB)",
                "x'00'",
            )
        };
        let (id, numbers) = (|n: &str| id.replace("{n}", n), |n: &str| numbers.replace("{n}", n));
        let (user, hot) = (id("s.n"), id("1"));
        let incident = id("s.n");
        watched
            .run(&format!(
                "INSERT INTO point_accounts (lane, user_id, version, balance, sequence, last_hash, overdraft_limit)
                 SELECT s.n % 256, {user}, 3, 3, 3, {bytes}, 0 FROM {}",
                numbers("20000")
            ))
            .await
            .unwrap();
        let each = (
            "20000",
            "s.n % 256",
            &user,
            "q.n",
            "s.n * 8 + q.n",
            format!("{} CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3) AS q", numbers("20000")),
        );
        let of_one = ("40000", "1", &hot, "s.n + 3", "s.n + 1000000", numbers("40000"));
        for (_, lane, user, sequence, number, from) in [each, of_one] {
            let made = id(number);
            watched
                .run(&format!(
                    "INSERT INTO point_transactions (lane, user_id, sequence, id, amount, balance_after,
                     overdraft_limit, kind, reason, actor_id, idempotency_key, input_hash, reverses_id,
                     prev_hash, field_marks, hash, created_at)
                     SELECT {lane}, {user}, {sequence}, {made}, 1, {sequence}, 0, ({sequence}) % 6, 'x', {hot},
                     'key ' || ({number}), {bytes}, NULL, {bytes}, {bytes}, {bytes}, 1000 * ({sequence}) FROM {from}"
                ))
                .await
                .unwrap();
        }
        watched
            .run(&format!(
                "INSERT INTO point_incidents (lane, user_id, id, field, stored, actual, found_by, found_at)
                 SELECT s.n % 256, {user}, {incident}, 'balance', '1', '2', 'WRITE', 0 FROM {}",
                numbers("5000")
            ))
            .await
            .unwrap();
        watched.run(if postgres { "VACUUM ANALYZE" } else { "ANALYZE" }).await.unwrap();
        watched
    }

    fn user(n: u128) -> Uuid {
        Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | n)
    }

    /// What reads a table from one end to the other, if only along an index.
    fn scans(plan: &str) -> Vec<&str> {
        let made = |name: &str| ["CO-ROUTINE", "MATERIALIZE"].iter().any(|how| plan.contains(&format!("{how} {name}")));
        let scan = |line: &&str| match line.strip_prefix("SCAN ") {
            // SQLite: what was asked for, or what is made by another line.
            Some(of) => !of.starts_with("json_each") && !made(of.split(' ').next().unwrap_or(of)),
            None => line.contains("Seq Scan on point_"),
        };
        plan.lines().filter(scan).collect()
    }

    /// Looks at what was read since the last look.
    async fn look(watched: &Watched, texts: &mut BTreeSet<String>, in_snapshot: bool, what: &str, at_least: usize) {
        let plans = watched.plans(in_snapshot).await.unwrap();
        assert!(plans.len() >= at_least, "{what}: {} statements", plans.len());
        for (text, plan) in plans {
            assert_eq!(scans(&plan), Vec::<&str>::new(), "{what}\n{text}\n{plan}");
            texts.insert(text);
        }
    }

    async fn histories(watched: &Watched, texts: &mut BTreeSet<String>) {
        let db = &watched.db;
        // The user of many transactions, and one of few.
        for one in [user(1), user(700)] {
            let cursor = |value| Some(Cursor { order: 0, value: Some(value), id: one });
            for (kinds, actor_id, from, to) in [
                (vec![], None, None, None),
                (vec![Kind::Redeem], None, None, None),
                (vec![Kind::Redeem, Kind::Reversal], None, None, None),
                (vec![], Some(user(1)), None, None),
                (vec![], None, Some(Millis(5_000)), Some(Millis(9_000_000))),
                (vec![Kind::AddPoints], Some(user(2)), Some(Millis(5_000)), Some(Millis(6_000))),
            ] {
                let filter = Filter { user_id: one, kinds, actor_id, from, to };
                for (backward, from, until) in [
                    (false, None, None),
                    (true, None, None),
                    (false, cursor(900), None),
                    (true, cursor(3), cursor(800)),
                ] {
                    let page = Page { size: 20, backward, from, until };
                    read::transaction_page(db, &filter, &page).await.unwrap();
                    look(watched, texts, false, "a page of a history", 1).await;
                }
                read::transaction_count(db, &filter).await.unwrap();
                look(watched, texts, false, "how long a history is", 1).await;
            }
            read::balance_at(db, one, Millis(77_000)).await.unwrap();
            look(watched, texts, false, "the balance at a moment", 1).await;
        }
        let many: Vec<Uuid> = (1..=1_000).map(user).collect();
        for users in [&many[..1], &many[..100], &many[..]] {
            read::account_by_users(db, users).await.unwrap();
            look(watched, texts, false, "accounts", 1).await;
            read::transaction_by_ids(db, users).await.unwrap();
            look(watched, texts, false, "transactions by id", 1).await;
            board::last_by_users(db, users).await.unwrap();
            look(watched, texts, false, "last transactions", 1).await;
            imported::imported_sums(db, users).await.unwrap();
            look(watched, texts, false, "what was imported", 1).await;
        }
    }

    async fn walks(watched: &Watched, texts: &mut BTreeSet<String>, backend: DbBackend) {
        let db = &watched.db;
        for after in [(i16::MIN, Uuid::nil()), (128, user(900)), (255, user(1 << 30))] {
            board::standing_chunk(db, after, 5_000).await.unwrap();
            look(watched, texts, false, "accounts for the leaderboard", 1).await;
            walk::transaction_range(db, (after, 3), (255, user(1 << 31)), 1_000).await.unwrap();
            look(watched, texts, false, "ledgers in a row", 1).await;
            recount::user_keys(db.reader(), backend, after, 500).await.unwrap();
            look(watched, texts, false, "whose ledgers there are", 1).await;
            let snapshot = db.snapshot().await.unwrap();
            let keys = recount::user_keys(&snapshot, backend, after, 500).await.unwrap();
            recount::recount(&snapshot, backend, &keys).await.unwrap();
            snapshot.commit().await.unwrap();
            look(watched, texts, true, "accounts and ledgers", 5).await;
            incidents::account_keys(db.reader(), backend, after, 500).await.unwrap();
            look(watched, texts, false, "whose incidents there are", 1).await;
        }
        let key = (lane(user(1)), user(1));
        for backward in [false, true] {
            let from = Some(Cursor { order: 0, value: Some(500), id: user(1) });
            let snapshot = db.snapshot().await.unwrap();
            recount::transaction_page(&snapshot, backend, key, &Page { size: 20, backward, from, until: None })
                .await
                .unwrap();
            snapshot.commit().await.unwrap();
            look(watched, texts, true, "a page of facts", 1).await;
        }
        walk::transaction_after(db.reader(), backend, key, 700, 1_000).await.unwrap();
        look(watched, texts, false, "the rest of a ledger", 1).await;
        incidents::incident_page(db.reader(), backend, key, Uuid::nil(), 500).await.unwrap();
        look(watched, texts, false, "incidents of an account", 1).await;
    }

    async fn no_read_scans(backend: DbBackend) {
        let (watched, mut texts) = (grown(backend).await, BTreeSet::new());
        histories(&watched, &mut texts).await;
        walks(&watched, &mut texts, backend).await;
        // `recount::totals` counts all that there is, when an operator asks for it.
        assert!(texts.len() > 20, "{}", texts.len());
        watched.close().await.unwrap();
    }

    #[tokio::test]
    async fn no_read_scans_a_table_on_sqlite() {
        no_read_scans(DbBackend::Sqlite).await;
    }

    #[tokio::test]
    async fn no_read_scans_a_table_on_postgres() {
        no_read_scans(DbBackend::Postgres).await;
    }
}
