//! Statements on views and their roll-ups: constant text for any number of rows.

use std::collections::HashSet;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::content::key;

/// The only row of `view_state`.
const STATE: i16 = 1;

/// The secret of viewers' keys; `new` at the first start.
pub(in super::super) async fn secret_ensure(tx: &Tx, new: &str) -> Result<String> {
    static INSERT: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO view_state (id, secret, closed_before) VALUES ({1}, {2}, {3}) ON CONFLICT (id) DO NOTHING",
            &[],
        )
    });
    static SELECT: LazyLock<Sql> = LazyLock::new(|| Sql::new("SELECT secret FROM view_state WHERE id = {1}", &[]));
    // Before every hour that there is.
    let scalars: [Value; 3] = [STATE.into(), new.into(), i64::MIN.into()];
    tx.execute(INSERT.bind(tx.backend(), INSERT.rows(), scalars)).await?;
    let found = tx.connection().query_all_raw(SELECT.bind(tx.backend(), SELECT.rows(), [STATE.into()])).await?;
    let row = found.first().ok_or_else(|| Error::internal("view_state has no row"))?;
    Ok(row.try_get("", "secret")?)
}

/// Before this moment no view is recorded any more: its hour may be rolled up. Read after the locks of figures.
pub(in super::super) async fn closed_before(tx: &Tx) -> Result<Millis> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| Sql::new("SELECT closed_before FROM view_state WHERE id = {1}", &[]));
    let found = tx.connection().query_all_raw(SQL.bind(tx.backend(), SQL.rows(), [STATE.into()])).await?;
    let row = found.first().ok_or_else(|| Error::internal("view_state has no row"))?;
    Ok(row.try_get("", "closed_before")?)
}

/// The database's clock, where it may be another machine's: every node asks the same one.
pub(in super::super) async fn database_now(db: &Db) -> Result<Option<Millis>> {
    if db.backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let text = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint) AS now";
    let found = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(found.first().map(|row| row.try_get("", "now")).transpose()?)
}

/// Closes the hours before `before`; never opens one again. Returns the moment that holds.
pub(in super::super) async fn close_before(tx: &Tx, before: Millis) -> Result<Millis> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new("UPDATE view_state SET closed_before = {2} WHERE id = {1} AND closed_before < {2}", &[])
    });
    tx.execute(SQL.bind(tx.backend(), SQL.rows(), [STATE.into(), before.0.into()])).await?;
    closed_before(tx).await
}

/// Which of these (content, viewer's key) count in the hour already.
pub(in super::super) async fn view_by_keys(
    tx: &Tx,
    hour: Millis,
    keys: &[(Uuid, Uuid)],
) -> Result<HashSet<(Uuid, Uuid)>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT v.content_id, v.viewer_key FROM {rows} {cross} content_views v
             ON v.lane = r.lane AND v.content_id = r.id AND v.hour = r.hour AND v.viewer_key = r.viewer_key",
            VIEW,
        )
    });
    let mut rows = SQL.rows();
    for (content, viewer) in keys {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into(), hour.0.into(), (*viewer).into()]);
    }
    let found = tx.connection().query_all_raw(SQL.bind(tx.backend(), rows, [])).await?;
    let keys = found.iter().map(|row| Ok((row.try_get("", "content_id")?, row.try_get("", "viewer_key")?)));
    Ok(keys.collect::<Result<_, DbErr>>()?)
}

const VIEW: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id), ("hour", Col::Int), ("viewer_key", Col::Id)];

/// Adds views, (content, viewer's key) of one hour.
pub(in super::super) async fn view_insert(tx: &Tx, hour: Millis, views: &[(Uuid, Uuid)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_views (lane, content_id, hour, viewer_key)
             SELECT r.lane, r.id, r.hour, r.viewer_key FROM {rows}",
            VIEW,
        )
    });
    let mut rows = SQL.rows();
    for (content, viewer) in views {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into(), hour.0.into(), (*viewer).into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// What a roll-up sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Level {
    /// Views, a row each, into counts an hour.
    Views,
    /// Counts an hour into counts and masses an epoch.
    Hours,
}

/// Contents with rows before `before`, in key order after `after`: of the next `size` contents that have any rows, those
/// whose oldest is so old. Returns them, and the last key that was looked at, unless there are no more.
pub(in super::super) async fn rollup_contents(
    db: &Db,
    level: Level,
    after: (i16, Uuid),
    before: Millis,
    size: usize,
) -> Result<(Vec<Uuid>, Option<(i16, Uuid)>)> {
    let text = rollup_contents_text(level);
    let values: [Value; 3] = [after.0.into(), after.1.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = db.query_by_key(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    let mut contents = Vec::new();
    let mut last = None;
    for row in &found {
        let key: (i16, Uuid) = (row.try_get("", "lane")?, row.try_get("", "content_id")?);
        if row.try_get::<Millis>("", "hour")? < before {
            contents.push(key.1);
        }
        last = Some(key);
    }
    Ok((contents, last.filter(|_| found.len() == size)))
}

/// A loose index scan: one seek a content, however many views it has. The first row of a content is its oldest hour.
fn rollup_contents_text(level: Level) -> String {
    let table = match level {
        Level::Views => "content_views",
        Level::Hours => "content_view_hours",
    };
    // Past every hour of the content: without it SQLite would walk all the rows of the content before.
    let next = |after: &str, column: &str| {
        format!(
            "(SELECT t.{column} FROM {table} t WHERE (t.lane, t.content_id, t.hour) > ({after}, {})
              ORDER BY t.lane, t.content_id, t.hour LIMIT 1)",
            i64::MAX
        )
    };
    let (first, then) = ("$1, $2", "s.lane, s.content_id");
    format!(
        "WITH RECURSIVE seen(n, lane, content_id) AS (
             SELECT 1, {}, {}
             UNION ALL
             SELECT s.n + 1, {}, {} FROM seen s WHERE s.n < $3 AND s.lane IS NOT NULL
         )
         SELECT s.lane, s.content_id,
             (SELECT t.hour FROM {table} t WHERE t.lane = s.lane AND t.content_id = s.content_id
              ORDER BY t.hour LIMIT 1) AS hour
         FROM seen s WHERE s.lane IS NOT NULL ORDER BY s.lane, s.content_id",
        next(first, "lane"),
        next(first, "content_id"),
        next(then, "lane"),
        next(then, "content_id"),
    )
}

/// A view that is still a row of its own.
#[derive(FromQueryResult)]
pub(in super::super) struct ViewRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) hour: Millis,
    viewer_key: Uuid,
}

/// A content's views of an hour.
#[derive(FromQueryResult)]
pub(in super::super) struct HourRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) hour: Millis,
    pub(in super::super) count: i64,
}

const IDS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];

/// At most `size` rows of these locked contents before `before`.
pub(in super::super) async fn view_before(
    tx: &Tx,
    contents: &[Uuid],
    before: Millis,
    size: usize,
) -> Result<Vec<ViewRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT v.content_id, v.hour, v.viewer_key FROM {rows} {cross} content_views v
             ON v.lane = r.lane AND v.content_id = r.id AND v.hour < {1} LIMIT {2}",
            IDS,
        )
    });
    select_before(tx, &SQL, contents, before, size).await
}

/// As [`view_before`], of counts an hour.
pub(in super::super) async fn hour_before(
    tx: &Tx,
    contents: &[Uuid],
    before: Millis,
    size: usize,
) -> Result<Vec<HourRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT h.content_id, h.hour, h.count FROM {rows} {cross} content_view_hours h
             ON h.lane = r.lane AND h.content_id = r.id AND h.hour < {1} LIMIT {2}",
            IDS,
        )
    });
    select_before(tx, &SQL, contents, before, size).await
}

async fn select_before<T: FromQueryResult>(
    tx: &Tx,
    sql: &Sql,
    contents: &[Uuid],
    before: Millis,
    size: usize,
) -> Result<Vec<T>> {
    let mut rows = sql.rows();
    for content in contents {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into()]);
    }
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let found = tx.connection().query_all_raw(sql.bind(tx.backend(), rows, [before.0.into(), size.into()])).await?;
    Ok(found.iter().map(|row| T::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

// The keys are the tables' own columns: of others, in a list of rows, SQLite looks the first one up alone.
static VIEW_DELETE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "DELETE FROM content_views WHERE (lane, content_id, hour, viewer_key) IN
         (SELECT v.lane, v.content_id, v.hour, v.viewer_key FROM {rows} {cross} content_views v
          ON v.lane = r.lane AND v.content_id = r.id AND v.hour = r.hour AND v.viewer_key = r.viewer_key)",
        VIEW,
    )
});
static HOUR_DELETE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "DELETE FROM content_view_hours WHERE (lane, content_id, hour) IN
         (SELECT h.lane, h.content_id, h.hour FROM {rows} {cross} content_view_hours h
          ON h.lane = r.lane AND h.content_id = r.id AND h.hour = r.hour)",
        &[("lane", Col::Small), ("id", Col::Id), ("hour", Col::Int)],
    )
});

/// Removes views that were summed up in this transaction.
pub(in super::super) async fn view_delete(tx: &Tx, views: &[ViewRow]) -> Result<()> {
    let mut rows = VIEW_DELETE.rows();
    for view in views {
        let (lane, content) = key(view.content_id);
        rows.push([lane.into(), content.into(), view.hour.0.into(), view.viewer_key.into()]);
    }
    tx.write_all(&VIEW_DELETE, rows).await
}

/// Removes counts an hour that were summed up in this transaction.
pub(in super::super) async fn hour_delete(tx: &Tx, hours: &[HourRow]) -> Result<()> {
    let mut rows = HOUR_DELETE.rows();
    for hour in hours {
        let (lane, content) = key(hour.content_id);
        rows.push([lane.into(), content.into(), hour.hour.0.into()]);
    }
    tx.write_all(&HOUR_DELETE, rows).await
}

/// Adds to the counts of (content, hour).
pub(in super::super) async fn hour_add(tx: &Tx, counts: &[HourRow]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_view_hours AS h (lane, content_id, hour, count)
             SELECT r.lane, r.id, r.hour, r.count FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, hour) DO UPDATE SET count = h.count + excluded.count",
            &[("lane", Col::Small), ("id", Col::Id), ("hour", Col::Int), ("count", Col::Int)],
        )
    });
    let mut rows = SQL.rows();
    for row in counts {
        let (lane, content) = key(row.content_id);
        rows.push([lane.into(), content.into(), row.hour.0.into(), row.count.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// Adds to the counts and masses of (content, epoch), as a version of the settings makes them: `(content, epoch, count, mass)`.
pub(in super::super) async fn epoch_add(tx: &Tx, version: i64, sums: &[(Uuid, i64, i64, i64)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_view_epochs AS e (lane, content_id, heat_version, epoch, count, mass)
             SELECT r.lane, r.id, r.heat_version, r.epoch, r.count, r.mass FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, heat_version, epoch)
             DO UPDATE SET count = e.count + excluded.count, mass = e.mass + excluded.mass",
            &[
                ("lane", Col::Small),
                ("id", Col::Id),
                ("heat_version", Col::Int),
                ("epoch", Col::Int),
                ("count", Col::Int),
                ("mass", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (content, epoch, count, mass) in sums {
        let (lane, content) = key(*content);
        rows.push([lane.into(), content.into(), version.into(), (*epoch).into(), (*count).into(), (*mass).into()]);
    }
    tx.write_all(&SQL, rows).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::config::{SETTINGS, Settings};
    use crate::kernel::db::Migrations;

    /// Whatever the tables hold, a roll-up goes by keys. On PostgreSQL the writer's plans see to it.
    #[tokio::test]
    async fn a_roll_up_uses_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/views.db", folder.path().display());
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &[("database.url", url)]).unwrap();
        let db = Db::open(&settings).await.unwrap();
        let kernel = Migrations { module: "kernel", list: tally_migration::kernel::migrations };
        let engagement = Migrations { module: "engagement", list: tally_migration::engagement::migrations };
        db.migrate(&[kernel, engagement]).await.unwrap();
        let backend = DbBackend::Sqlite;
        for (text, expected) in [
            (&*rollup_contents_text(Level::Views), "SEARCH t USING PRIMARY KEY ((lane,content_id,hour)>(?,?,?))"),
            (&*rollup_contents_text(Level::Hours), "SEARCH t USING PRIMARY KEY ((lane,content_id,hour)>(?,?,?))"),
            (
                VIEW_DELETE.text(backend),
                "SEARCH content_views USING PRIMARY KEY (lane=? AND content_id=? AND hour=? AND viewer_key=?)",
            ),
            (
                HOUR_DELETE.text(backend),
                "SEARCH content_view_hours USING PRIMARY KEY (lane=? AND content_id=? AND hour=?)",
            ),
        ] {
            let explain = Statement::from_string(backend, format!("EXPLAIN QUERY PLAN {text}"));
            let rows = db.reader().query_all_raw(explain).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            assert!(plan.iter().any(|step| step.contains(expected)), "{text}\n{plan:#?}");
            assert!(!plan.iter().any(|step| step.contains("SCAN t") || step.contains("SCAN content")), "{plan:#?}");
        }
    }
}
