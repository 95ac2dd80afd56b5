//! What a recalculation makes: the two tables that come into force when it is complete, and hold what was in force until
//! they are emptied.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::FIGURES;
use super::batch::{FIGURE_COLUMNS, FiguresRow, KEYS, MassRow, figure_rows, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Rows, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::{DELETED, Figures, key};

/// A mass of a content that is done.
#[derive(FromQueryResult)]
pub(in super::super) struct NextMassRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) epoch: i64,
    pub(in super::super) mass: i64,
}

/// The masses of those locked contents that are done for a version.
pub(in super::super) async fn mass_by_ids(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    ids: &[Uuid],
    version: i64,
) -> Result<Vec<NextMassRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT n.content_id, h.epoch, h.mass FROM {rows} {cross} content_figures_next n
             ON n.lane = r.lane AND n.content_id = r.id AND n.heat_version = {1}
             JOIN content_heat_next h ON h.lane = n.lane AND h.content_id = n.content_id",
            KEYS,
        )
    });
    let found = connection.query_all_raw(SQL.bind(backend, keys(&SQL, ids), [version.into()])).await?;
    Ok(found.iter().map(|row| NextMassRow::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
}

/// The figures of these contents in the table that is not in force.
pub(in super::super) async fn figures_by_ids(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    ids: &[Uuid],
) -> Result<Vec<FiguresRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let select = format!("SELECT f.content_id, {FIGURES} FROM {{rows}}");
        let join = "content_figures_next f ON f.lane = r.lane AND f.content_id = r.id";
        Sql::new(&format!("{select} {{cross}} {join}"), KEYS)
    });
    let found = connection.query_all_raw(SQL.bind(backend, keys(&SQL, ids), [])).await?;
    Ok(found.iter().map(|row| FiguresRow::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
}

/// Writes the figures of locked contents beside those in force.
pub(in super::super) async fn figures_put(tx: &Tx, figures: impl Iterator<Item = (Uuid, Figures)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = FIGURE_COLUMNS.iter().map(|(name, _)| *name).collect();
        let sets: Vec<_> = names.iter().skip(2).map(|name| format!("{name} = excluded.{name}")).collect();
        let (names, sets) = (names.join(", "), sets.join(", "));
        Sql::new(
            &format!(
                "INSERT INTO content_figures_next ({names}) SELECT {names} FROM {{rows}} WHERE true
                 ON CONFLICT (lane, content_id) DO UPDATE SET {sets}"
            ),
            FIGURE_COLUMNS,
        )
    });
    tx.write_all(&SQL, figure_rows(&SQL, figures)).await
}

/// Writes masses of locked contents beside those in force.
pub(in super::super) async fn mass_put(tx: &Tx, masses: impl Iterator<Item = MassRow>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_heat_next (lane, content_id, epoch, mass)
             SELECT r.lane, r.content_id, r.epoch, r.mass FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, epoch) DO UPDATE SET mass = excluded.mass",
            &[("lane", Col::Small), ("content_id", Col::Id), ("epoch", Col::Int), ("mass", Col::Int)],
        )
    });
    let mut rows: Rows = SQL.rows();
    for row in masses {
        let (lane, id) = key(row.content_id);
        rows.push([lane.into(), id.into(), row.epoch.into(), row.mass.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// Removes what is there of locked contents: of a recalculation that was given up, or what was in force before.
pub(in super::super) async fn remove(tx: &Tx, ids: &[Uuid]) -> Result<()> {
    static MASSES: LazyLock<Sql> = LazyLock::new(|| delete_of("content_heat_next", ", epoch"));
    static FIGURES_OF: LazyLock<Sql> = LazyLock::new(|| delete_of("content_figures_next", ""));
    for sql in [&*FIGURES_OF, &*MASSES] {
        tx.execute(sql.bind(tx.backend(), keys(sql, ids), [])).await?;
    }
    Ok(())
}

/// The contents with figures of any other version beside those in force, with keys after `after` up to `until`.
pub(in super::super) async fn foreign_between(
    tx: &Tx,
    after: (i16, Uuid),
    until: (i16, Uuid),
    version: i64,
) -> Result<Vec<Uuid>> {
    let text = "SELECT content_id FROM content_figures_next WHERE (lane, content_id) > ($1, $2)
         AND (lane, content_id) <= ($3, $4) AND heat_version <> $5";
    let values: [Value; 5] = [after.0.into(), after.1.into(), until.0.into(), until.1.into(), version.into()];
    let found = tx.connection().query_all_raw(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    Ok(found.iter().map(|row| row.try_get("", "content_id")).collect::<Result<_, DbErr>>()?)
}

/// The keys are the table's own columns: of others, in a list of rows, SQLite looks the first one up alone.
fn delete_of(table: &str, rest: &str) -> Sql {
    let text = format!(
        "DELETE FROM {table} WHERE (lane, content_id{rest}) IN
         (SELECT o.lane, o.content_id{} FROM {{rows}} {{cross}} {table} o
          ON o.lane = r.lane AND o.content_id = r.id)",
        rest.replace(", ", ", o.")
    );
    Sql::new(&text, KEYS)
}

/// The first keys of the table that is not in force, after `after`.
pub(in super::super) async fn keys_after(tx: &Tx, after: (i16, Uuid), size: usize) -> Result<Vec<(i16, Uuid)>> {
    let text = "SELECT lane, content_id FROM content_figures_next WHERE (lane, content_id) > ($1, $2)
         ORDER BY lane, content_id LIMIT $3";
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let values: [Value; 3] = [after.0.into(), after.1.into(), size.into()];
    let found = tx.connection().query_all_raw(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    let keys = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "content_id")?)));
    Ok(keys.collect::<Result<_, DbErr>>()?)
}

/// Which contents a recalculation in place takes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wanted {
    /// Of this kind.
    pub(in super::super) kind: Option<i16>,
    /// Those that nobody touched since.
    pub(in super::super) untouched_since: Option<Millis>,
}

impl Wanted {
    /// The conditions, and the values from `$1` on.
    fn conditions(&self) -> (String, Vec<Value>) {
        let (mut text, mut values) = (format!("c.status <> {DELETED}"), Vec::new());
        if let Some(kind) = self.kind {
            values.push(Value::from(kind));
            text.push_str(" AND c.kind = $1");
        }
        if let Some(since) = self.untouched_since {
            values.push(Value::from(since.0));
            text.push_str(&format!(" AND f.last_hot_update < ${}", values.len()));
        }
        (text, values)
    }
}

const FROM: &str = "contents c JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id";

/// The wanted contents that follow `after`, with their kinds.
pub(in super::super) async fn wanted_after(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &Wanted,
    after: (i16, Uuid),
    size: usize,
) -> Result<Vec<(i16, Uuid, i16)>> {
    let (text, mut values) = wanted.conditions();
    let n = values.len();
    values.extend([after.0.into(), after.1.into(), i64::try_from(size).unwrap_or(i64::MAX).into()]);
    let text = format!(
        "SELECT c.lane, c.id, c.kind FROM {FROM} WHERE {text} AND (c.lane, c.id) > (${}, ${})
         ORDER BY c.lane, c.id LIMIT ${}",
        n + 1,
        n + 2,
        n + 3
    );
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let keys = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "id")?, row.try_get("", "kind")?)));
    Ok(keys.collect::<Result<_, DbErr>>()?)
}

/// How many contents are wanted after `after`: for progress bars.
pub(in super::super) async fn wanted_count(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &Wanted,
    after: (i16, Uuid),
) -> Result<i64> {
    let (text, mut values) = wanted.conditions();
    let n = values.len();
    values.extend([after.0.into(), after.1.into()]);
    let text = format!("SELECT count(*) AS n FROM {FROM} WHERE {text} AND (c.lane, c.id) > (${}, ${})", n + 1, n + 2);
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(found.first().map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0))
}
