//! What checks read: stored figures, what facts they must equal is counted to, and what stands beside them.

use std::sync::LazyLock;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, FromQueryResult as _, QueryResult, Statement, Value,
};
use uuid::Uuid;

use super::FIGURES;
use crate::kernel::clock::Millis;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::engagement::content::{DELETED, Figures};
use crate::modules::engagement::openings::Counted;

/// Which contents a check looks at. What is being deleted is left out: its facts go in chunks, and nobody sees its figures.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Which {
    /// At most so many that follow a key.
    After(Key, usize),
    /// This one.
    One(Key),
}

impl Which {
    /// Selects the columns of `contents`, in key order; `$1` to `$3` are [`Which::values`].
    pub(super) fn source(self, columns: &str) -> String {
        let condition = match self {
            Self::After(..) => "(lane, id) > ($1, $2)",
            Self::One(_) => "lane = $1 AND id = $2",
        };
        format!(
            "(SELECT {columns} FROM contents WHERE {condition} AND status <> {DELETED} ORDER BY lane, id LIMIT $3) c"
        )
    }

    pub(super) fn values(self) -> [Value; 3] {
        let ((lane, id), size) = match self {
            Self::After(after, size) => (after, i64::try_from(size).unwrap_or(i64::MAX)),
            Self::One(key) => (key, 1),
        };
        [lane.into(), id.into(), size.into()]
    }

    /// The key of the last one, if there may be more.
    pub(in super::super) fn next(self, keys: &[Key]) -> Option<Key> {
        match self {
            Self::After(_, size) => keys.last().copied().filter(|_| keys.len() >= size),
            Self::One(_) => None,
        }
    }
}

/// Keys from the first to the last, both included.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Range {
    pub(in super::super) first: Key,
    pub(in super::super) last: Key,
}

impl Range {
    /// From the first of these keys to the last; they are in order.
    pub(in super::super) fn of(keys: &[Key]) -> Option<Self> {
        Some(Self { first: *keys.first()?, last: *keys.last()? })
    }

    /// What [`WITHIN`] is bound to.
    pub(super) fn values(self) -> [Value; 4] {
        [self.first.0.into(), self.first.1.into(), self.last.0.into(), self.last.1.into()]
    }
}

/// Of a table whose rows belong to a content: those of the contents of a [`Range`].
pub(super) const WITHIN: &str =
    "(t.lane, t.content_id) >= ($1, $2) AND (t.lane, t.content_id) <= ($3, $4) AND t.lane >= $1 AND t.lane <= $3";

/// A content as it is stored.
pub(in super::super) struct Stored {
    pub(in super::super) id: Uuid,
    /// Its kind.
    pub(in super::super) kind: i16,
    pub(in super::super) published_at: Millis,
    pub(in super::super) quality: i64,
    pub(in super::super) base_weight: i64,
    /// `None`: the row is missing, or cannot be read.
    pub(in super::super) figures: Option<Figures>,
    /// Whether there is a row with what is no number: the check `types` says so.
    pub(in super::super) unreadable: bool,
}

fn stored(row: &QueryResult) -> Result<Stored, DbErr> {
    let figures = match row.try_get::<Option<i64>>("", "version") {
        Ok(None) => Ok(None),
        _ => Figures::from_query_result(row, "").map(Some),
    };
    Ok(Stored {
        id: row.try_get("", "id")?,
        kind: row.try_get("", "kind")?,
        published_at: row.try_get("", "published_at")?,
        quality: row.try_get("", "quality")?,
        base_weight: row.try_get("", "base_weight")?,
        unreadable: figures.is_err(),
        figures: figures.unwrap_or(None),
    })
}

/// Runs a statement on the wanted contents, in their order.
async fn select(reads: &DatabaseTransaction, which: Which, text: String) -> Result<Vec<QueryResult>> {
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, which.values());
    Ok(reads.query_all_raw(statement).await?)
}

const FIGURES_OF: &str = "LEFT JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id";

/// The wanted contents with their figures.
pub(in super::super) async fn stored_of(reads: &DatabaseTransaction, which: Which) -> Result<Vec<Stored>> {
    let source = which.source("lane, id, kind, published_at, quality, base_weight");
    let text = format!(
        "SELECT c.lane, c.id, c.kind, c.published_at, c.quality, c.base_weight, {FIGURES} FROM {source} {FIGURES_OF}
         ORDER BY c.lane, c.id"
    );
    let found = select(reads, which, text).await?;
    Ok(found.iter().map(stored).collect::<Result<_, _>>()?)
}

/// Whether there is any content.
pub(in super::super) async fn has_contents(reads: &DatabaseTransaction) -> Result<bool> {
    let text = "SELECT 1 AS one FROM contents LIMIT 1";
    let statement = Statement::from_string(reads.get_database_backend(), text);
    Ok(reads.query_one_raw(statement).await?.is_some())
}

/// The keys that follow `after`. What is being deleted is left out.
pub(in super::super) async fn content_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let which = Which::After(after, size);
    let text = format!("SELECT c.lane, c.id FROM {} ORDER BY c.lane, c.id", which.source("lane, id"));
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, which.values())).await?;
    let keys = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "id")?)));
    Ok(keys.collect::<Result<_, DbErr>>()?)
}

/// The facts of the content `c` that a count is of, counted along their keys, without what opened it.
fn facts(counted: Counted) -> &'static str {
    match counted {
        Counted::Like => {
            "(SELECT count(*) FROM behaviors t WHERE t.lane = c.lane AND t.content_id = c.id
              AND t.kind = 0 AND t.removed_at IS NULL)"
        }
        Counted::Favorite => {
            "(SELECT count(*) FROM behaviors t WHERE t.lane = c.lane AND t.content_id = c.id
              AND t.kind = 1 AND t.removed_at IS NULL)"
        }
        Counted::Comment => {
            "(SELECT count(*) FROM comments t WHERE t.lane = c.lane AND t.content_id = c.id AND t.deleted_at IS NULL)"
        }
        Counted::Share => "(SELECT count(*) FROM shares t WHERE t.lane = c.lane AND t.content_id = c.id)",
        Counted::View => {
            "(SELECT count(*) FROM content_views t WHERE t.lane = c.lane AND t.content_id = c.id)
             + (SELECT coalesce(CAST(sum(t.count) AS bigint), 0) FROM content_view_hours t
                WHERE t.lane = c.lane AND t.content_id = c.id)
             + (SELECT coalesce(CAST(sum(t.count) AS bigint), 0) FROM content_view_epochs t
                WHERE t.lane = c.lane AND t.content_id = c.id)"
        }
    }
}

/// A count as it is stored and as it must be.
pub(in super::super) struct CountRow {
    pub(in super::super) key: Key,
    pub(in super::super) kind: i16,
    /// `None`: there is no row of figures, or what is no number.
    pub(in super::super) stored: Option<i64>,
    pub(in super::super) actual: i64,
}

/// Counts the facts of the wanted contents, in one statement.
pub(in super::super) async fn count_of(
    reads: &DatabaseTransaction,
    counted: Counted,
    which: Which,
) -> Result<Vec<CountRow>> {
    let text = format!(
        "SELECT c.lane, c.id, c.kind, f.{} AS stored, {}
         + coalesce((SELECT t.count FROM content_openings t
                     WHERE t.lane = c.lane AND t.content_id = c.id AND t.figure = {}), 0) AS actual
         FROM {} {FIGURES_OF} ORDER BY c.lane, c.id",
        counted.column(),
        facts(counted),
        counted.number(),
        which.source("lane, id, kind")
    );
    let row = |row: &QueryResult| {
        Ok(CountRow {
            key: (row.try_get("", "lane")?, row.try_get("", "id")?),
            kind: row.try_get("", "kind")?,
            stored: row.try_get("", "stored").unwrap_or(None),
            actual: row.try_get("", "actual")?,
        })
    };
    let found = select(reads, which, text).await?;
    Ok(found.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// A mass as it is stored: content, epoch, and the sum, if it can be read.
pub(in super::super) type StoredMass = (Uuid, i64, Option<i64>);

/// The stored masses of a range.
pub(in super::super) async fn mass_within(reads: &DatabaseTransaction, range: Range) -> Result<Vec<StoredMass>> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT t.content_id, t.epoch, t.mass FROM content_heat t WHERE {WITHIN}"));
    masses(reads, &SQL, range.values().to_vec()).await
}

/// The same of those that are done for a version to come.
pub(in super::super) async fn next_mass_within(
    reads: &DatabaseTransaction,
    range: Range,
    version: i64,
) -> Result<Vec<StoredMass>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT t.content_id, t.epoch, t.mass FROM content_heat_next t JOIN content_figures_next n
             ON n.lane = t.lane AND n.content_id = t.content_id AND n.heat_version = $5 WHERE {WITHIN}"
        )
    });
    let mut values = range.values().to_vec();
    values.push(version.into());
    masses(reads, &SQL, values).await
}

async fn masses(reads: &DatabaseTransaction, text: &str, values: Vec<Value>) -> Result<Vec<StoredMass>> {
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, values);
    let found = reads.query_all_raw(statement).await?;
    let row = |row: &QueryResult| {
        Ok((row.try_get("", "content_id")?, row.try_get("", "epoch")?, row.try_get("", "mass").ok()))
    };
    Ok(found.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// The figures that are done for a version to come, of a range.
pub(in super::super) async fn next_figures_within(
    reads: &DatabaseTransaction,
    range: Range,
    version: i64,
) -> Result<Vec<(Uuid, Figures)>> {
    let text = format!(
        "SELECT f.content_id, {FIGURES} FROM content_figures_next f WHERE f.heat_version = $5 AND {}",
        WITHIN.replace("t.", "f.")
    );
    let mut values = range.values().to_vec();
    values.push(version.into());
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, values);
    let found = reads.query_all_raw(statement).await?;
    // One that cannot be read is the check `types`' to say.
    let read = found.iter().filter_map(|row| Some((row, Figures::from_query_result(row, "").ok()?)));
    Ok(read.map(|(row, figures)| Ok((row.try_get("", "content_id")?, figures))).collect::<Result<_, DbErr>>()?)
}

/// A content, its newest row of history, and how many rows do not stand at the moment of their ids.
pub(in super::super) struct HistoryOf {
    pub(in super::super) stored: Stored,
    pub(in super::super) newest: Option<Newest>,
    pub(in super::super) misplaced: i64,
}

/// The newest row of a content's history: the moment of its id, and its level.
#[derive(Clone, Copy)]
pub(in super::super) struct Newest {
    pub(in super::super) id: Uuid,
    pub(in super::super) at: Millis,
    pub(in super::super) level: i16,
    /// How it came about: see `item.rs`.
    pub(in super::super) method: i16,
}

/// The moment that an id was made for: the first 48 bits of a UUIDv7.
pub(in super::super) fn moment_of(id: Uuid) -> Millis {
    let [a, b, c, d, e, f, ..] = *id.as_bytes();
    Millis(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

/// Whether a row of history stands elsewhere than its id says, in each dialect.
fn misplaced(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "substr(uuid_send(t.id), 1, 6) <> substr(int8send(t.calculated_at), 3, 6)",
        _ => "substr(t.id, 1, 6) <> unhex(printf('%012x', t.calculated_at))",
    }
}

/// The wanted contents and what there is to compare of their histories, in one statement.
pub(in super::super) async fn history_of(reads: &DatabaseTransaction, which: Which) -> Result<Vec<HistoryOf>> {
    let source = which.source("lane, id, kind, published_at, quality, base_weight");
    let newest =
        "(SELECT t.id FROM hot_history t WHERE t.lane = c.lane AND t.content_id = c.id ORDER BY t.id DESC LIMIT 1)";
    let text = format!(
        "SELECT c.lane, c.id, c.kind, c.published_at, c.quality, c.base_weight, {FIGURES}, h.id AS newest_id,
         h.hot_level AS newest_level, h.calculation_method AS newest_method, (SELECT count(*) FROM hot_history t WHERE t.lane = c.lane
             AND t.content_id = c.id AND {}) AS misplaced
         FROM {source} {FIGURES_OF}
         LEFT JOIN hot_history h ON h.lane = c.lane AND h.content_id = c.id AND h.id = {newest} ORDER BY c.lane, c.id",
        misplaced(reads.get_database_backend())
    );
    let row = |row: &QueryResult| {
        let newest: Option<Uuid> = row.try_get("", "newest_id")?;
        let newest = match newest {
            Some(id) => Some(Newest {
                id,
                at: moment_of(id),
                level: row.try_get("", "newest_level")?,
                method: row.try_get("", "newest_method")?,
            }),
            None => None,
        };
        Ok(HistoryOf { stored: stored(row)?, newest, misplaced: row.try_get("", "misplaced")? })
    };
    let found = select(reads, which, text).await?;
    Ok(found.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// The first thousand rows of a content's history that do not stand where their ids say, and where they stand.
pub(in super::super) async fn history_misplaced(reads: &DatabaseTransaction, key: Key) -> Result<Vec<(Uuid, Millis)>> {
    let backend = reads.get_database_backend();
    let text = format!(
        "SELECT t.id, t.calculated_at FROM hot_history t WHERE t.lane = $1 AND t.content_id = $2 AND {}
         ORDER BY t.id LIMIT 1000",
        misplaced(backend)
    );
    let statement = Statement::from_sql_and_values(backend, text, [key.0.into(), key.1.into()]);
    let row = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "calculated_at")?));
    Ok(reads.query_all_raw(statement).await?.iter().map(row).collect::<Result<_, DbErr>>()?)
}

/// The moment of the newest fact of a content, what was taken back included.
pub(in super::super) async fn newest_fact(reads: &DatabaseTransaction, key: Key) -> Result<Option<Millis>> {
    let views = ["content_views", "content_view_hours"];
    newest(reads, key, ["coalesce(t.removed_at, t.acted_at)", "coalesce(t.deleted_at, t.commented_at)"], &views).await
}

/// The moment of the newest fact that holds, but for views, whose hour may be one to come. What was taken back may have
/// been so before it was given, and nobody noticed.
pub(in super::super) async fn newest_held(reads: &DatabaseTransaction, key: Key) -> Result<Option<Millis>> {
    let held = |at: &str, gone: &str| format!("CASE WHEN t.{gone} IS NULL THEN t.{at} END");
    newest(reads, key, [&held("acted_at", "removed_at"), &held("commented_at", "deleted_at")], &[]).await
}

async fn newest(
    reads: &DatabaseTransaction,
    key: Key,
    [behaviors, comments]: [&str; 2],
    views: &[&str],
) -> Result<Option<Millis>> {
    let newest = |(moment, table): (&str, &str)| {
        format!("SELECT max({moment}) AS at FROM {table} t WHERE t.lane = $1 AND t.content_id = $2")
    };
    let facts =
        [(behaviors, "behaviors"), (comments, "comments"), ("t.shared_at", "shares"), ("t.at", "content_openings")];
    let moments: Vec<_> = facts.into_iter().chain(views.iter().map(|table| ("t.hour", *table))).map(newest).collect();
    let text = format!("SELECT max(at) AS at FROM ({}) m", moments.join(" UNION ALL "));
    let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, [key.0.into(), key.1.into()]);
    let found = reads.query_one_raw(statement).await?;
    Ok(found.map(|row| row.try_get("", "at")).transpose()?.flatten())
}

/// How many contents were announced at each level. What is no level's number is left out.
pub(in super::super) async fn level_counts(db: &Db) -> Result<Vec<(i16, i64)>> {
    let text = format!(
        "SELECT f.hot_level, count(*) AS n FROM content_figures f
         JOIN contents c ON c.lane = f.lane AND c.id = f.content_id WHERE c.status <> {DELETED}
         GROUP BY f.hot_level ORDER BY f.hot_level"
    );
    let found = db.query(Statement::from_string(db.backend(), text)).await?;
    Ok(found.iter().filter_map(|row| Some((row.try_get("", "hot_level").ok()?, row.try_get("", "n").ok()?))).collect())
}
