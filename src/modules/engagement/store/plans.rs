//! What front ends read, as both databases plan it on tables that have grown.

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;
    use uuid::Uuid;

    use super::super::comments;
    use super::super::read::{self, Filter, Order};
    use crate::kernel::db::Migrations;
    use crate::kernel::db::plans::Watched;
    use crate::kernel::page::{Cursor, Page};
    use crate::modules::engagement::content::Kind;

    const CONTENTS: &str = "20000";

    /// 20,000 contents, each with 3 likes, 3 rows of history and 2 comments; one has 40,000 comments more.
    async fn grown(backend: DbBackend) -> Watched {
        let kernel = Migrations { module: "kernel", list: tally_migration::kernel::migrations };
        let module = Migrations { module: "engagement", list: tally_migration::engagement::migrations };
        let watched = Watched::open(backend, &[kernel, module]).await.unwrap();
        let postgres = backend == DbBackend::Postgres;
        let numbers = |n: &str, name: &str| match postgres {
            true => format!("generate_series(1, {n}) AS {name}(n)"),
            false => format!(
                "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {n}) SELECT n FROM c) AS {name}"
            ),
        };
        let id = |n: &str| match postgres {
            true => format!("('00000000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"),
            false => format!("CAST(unhex('0000000000007000800000' || printf('%010x', {n})) AS BLOB)"),
        };
        let (content, contents, three) = (id("s.n"), numbers(CONTENTS, "s"), numbers("3", "u"));
        for sql in [
            format!(
                "INSERT INTO contents (lane, id, external_id, kind, author_id, title, status, published_at, quality,
                     base_weight)
                 SELECT s.n % 256, {content}, 'old ' || s.n, 0, {}, 'content', 0, s.n * 1000, 1000, 0 FROM {contents}",
                id("(s.n % 100)")
            ),
            format!(
                "INSERT INTO content_figures (lane, content_id, version, like_count, favorite_count, comment_count,
                     share_count, view_count, heat, hot_level, hot_score, last_hot_update, last_history_at, heat_version)
                 SELECT s.n % 256, {content}, 1, 3, 0, 2, 0, 0, s.n, 0, 0, 0, 0, 1 FROM {contents}"
            ),
            format!(
                "INSERT INTO behaviors (lane, content_id, user_id, kind, acted_at)
                 SELECT s.n % 256, {content}, {}, 0, 0 FROM {contents}, {three}",
                id("u.n")
            ),
            format!(
                "INSERT INTO hot_history (lane, content_id, id, hot_score, hot_level, calculated_at, calculation_method)
                 SELECT s.n % 256, {content}, {}, 0, 0, u.n, 0 FROM {contents}, {three}",
                id("u.n")
            ),
            format!(
                "INSERT INTO comments (lane, content_id, id, user_id, body, commented_at)
                 SELECT s.n % 256, {content}, {}, {}, 'good', 0 FROM {contents}, {}",
                id("(s.n % 256 + 256 * (s.n * 4 + u.n))"),
                id("1"),
                numbers("2", "u")
            ),
            format!(
                "INSERT INTO comments (lane, content_id, id, user_id, body, commented_at)
                 SELECT 1, {}, {}, {}, 'good', 0 FROM {}",
                id("1"),
                id("(1 + 256 * (1000000 + s.n))"),
                id("1"),
                numbers("40000", "s")
            ),
        ] {
            watched.run(&sql).await.unwrap();
        }
        watched.run(if postgres { "VACUUM ANALYZE" } else { "ANALYZE" }).await.unwrap();
        watched
    }

    fn content(n: u128) -> Uuid {
        Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | n)
    }

    /// Fails if what was read since the last look goes through a table that grows.
    async fn look(watched: &Watched, what: &str, index: &str) {
        let plans = watched.plans(false).await.unwrap();
        assert!(!plans.is_empty(), "{what}: nothing was read");
        for (text, plan) in plans {
            let grows = |line: &&str| {
                let sqlite = line.strip_prefix("SCAN ").is_some_and(|of| ["c", "f", "b", "m", "n", "h"].contains(&of));
                let tables = ["contents", "content_figures", "behaviors", "comments", "hot_history"];
                sqlite || tables.iter().any(|table| line.contains(&format!("Seq Scan on {table} ")))
            };
            assert_eq!(plan.lines().filter(grows).count(), 0, "{what}\n{text}\n{plan}");
            assert!(plan.contains(index), "{what}: {index}\n{text}\n{plan}");
        }
    }

    async fn lists(watched: &Watched) {
        let cursor = |value| Some(Cursor { order: 0, value: Some(value), id: content(7) });
        let all = || Filter {
            kind: Kind::Artwork,
            author_id: None,
            published_since: None,
            published_before: None,
            heat_from: None,
            heat_below: None,
        };
        for backward in [false, true] {
            for (from, until) in [(None, None), (cursor(9_000), None), (cursor(9_000), cursor(12_000_000))] {
                let page = Page { size: 20, backward, from, until };
                read::content_page(&watched.db, &all(), Order::Hottest, &page).await.unwrap();
                look(watched, "the hottest", "content_figures_by_heat").await;
                for order in [Order::Newest, Order::Oldest] {
                    read::content_page(&watched.db, &all(), order, &page).await.unwrap();
                    look(watched, "by time", "contents_by_time").await;
                    let of_author = Filter { author_id: Some(content(3)), ..all() };
                    read::content_page(&watched.db, &of_author, order, &page).await.unwrap();
                    look(watched, "of an author", "contents_by_author").await;
                }
            }
        }
        read::ranking(&watched.db, Some(0), None, 20).await.unwrap();
        look(watched, "a ranking from the database", "content_figures_by_heat").await;
    }

    async fn by_ids(watched: &Watched, postgres: bool) {
        let key = |name: &str| if postgres { name.to_owned() } else { "USING".to_owned() };
        // Of more among so few PostgreSQL would rather read all.
        for size in [1, 20] {
            let ids: Vec<Uuid> = (1..=size).map(content).collect();
            read::content_by_ids(&watched.db, &ids).await.unwrap();
            look(watched, "contents by id", &key("contents_pkey")).await;
            let old: Vec<String> = (1..=size).map(|n| format!("old {n}")).collect();
            read::content_by_external_ids(&watched.db, &old).await.unwrap();
            look(watched, "contents by old id", &key("contents_external_id_key")).await;
            let pairs: Vec<_> = ids.iter().map(|id| (*id, content(2))).collect();
            read::behavior_by_pairs(&watched.db, &pairs).await.unwrap();
            look(watched, "what a viewer likes", &key("behaviors_pkey")).await;
            read::history_by_ids(&watched.db, &ids, 100).await.unwrap();
            look(watched, "histories", &key("hot_history_pkey")).await;
        }
    }

    async fn comment_pages(watched: &Watched) {
        let cursor = |n: u128| Some(Cursor { order: 0, value: None, id: content(1 + 256 * n) });
        for backward in [false, true] {
            for (from, until) in [(None, None), (cursor(1_020_000), None), (cursor(1_020_000), cursor(1_000_100))] {
                let page = Page { size: 20, backward, from, until };
                comments::comment_page(&watched.db, &[content(1)], &page).await.unwrap();
                look(watched, "comments of one", "comments_live").await;
                let some: Vec<Uuid> = (1..=20).map(content).collect();
                comments::comment_page(&watched.db, &some, &page).await.unwrap();
                look(watched, "comments of some", "comments_live").await;
            }
        }
        comments::comment_by_ids(&watched.db, &[content(1 + 256 * 1_020_000)]).await.unwrap();
        look(watched, "a comment", "comments_by_id").await;
    }

    async fn no_read_scans(backend: DbBackend) {
        let watched = grown(backend).await;
        lists(&watched).await;
        by_ids(&watched, backend == DbBackend::Postgres).await;
        comment_pages(&watched).await;
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
