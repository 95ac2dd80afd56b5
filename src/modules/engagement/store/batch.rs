//! The writer's statements: constant text for any number of rows.

use std::sync::LazyLock;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::{DETAILS, FIGURES, INFO};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Rows, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::{ContentInfo, Figures, key};

/// The key of a content.
pub(super) const KEYS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];

/// Figures with the content that they belong to.
#[derive(FromQueryResult)]
pub(in super::super) struct FiguresRow {
    /// Whose they are.
    pub(in super::super) content_id: Uuid,
    /// The figures.
    #[sea_orm(nested)]
    pub(in super::super) figures: Figures,
}

/// A mass of a content.
pub(in super::super) struct MassRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) epoch: i64,
    pub(in super::super) mass: i64,
}

/// A stored mass of a content.
#[derive(FromQueryResult)]
pub(in super::super) struct HeldMassRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) epoch: i64,
    pub(in super::super) mass: i64,
    /// The version that a recalculation is making. Read after the locks: what is done by then cannot change any more.
    pub(in super::super) next_version: Option<i64>,
    /// When the version in force came into force, if a recalculation made it.
    pub(in super::super) switched_at: Option<Millis>,
}

/// A like or favorite, held or removed.
#[derive(Clone, Debug, FromQueryResult)]
pub(in super::super) struct BehaviorRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) user_id: Uuid,
    pub(in super::super) kind: i16,
    pub(in super::super) acted_at: Millis,
    pub(in super::super) removed_at: Option<Millis>,
}

/// A content that already has a key which must be unique.
#[derive(FromQueryResult)]
pub(in super::super) struct TakenRow {
    pub(in super::super) id: Uuid,
    pub(in super::super) author_id: Uuid,
    pub(in super::super) external_id: Option<String>,
    pub(in super::super) client_key: Option<String>,
}

/// Keys of contents for a statement whose columns are [`KEYS`].
pub(super) fn keys(sql: &Sql, ids: &[Uuid]) -> Rows {
    let mut rows = sql.rows();
    for id in ids {
        let (lane, id) = key(*id);
        rows.push([lane.into(), id.into()]);
    }
    rows
}

/// Which contents have one of these external ids, or one of these client keys of an author. Before the locks: neither
/// ever changes, and a unique index guards both.
pub(in super::super) async fn content_taken(
    tx: &Tx,
    wanted: &[(Option<&str>, Uuid, Option<&str>)],
) -> Result<Vec<TakenRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT c.id, c.author_id, c.external_id, c.client_key
             FROM {rows} {cross} contents c ON c.external_id = r.external_id
             UNION
             SELECT c.id, c.author_id, c.external_id, c.client_key
             FROM {rows} {cross} contents c ON c.author_id = r.author_id AND c.client_key = r.client_key",
            &[("external_id", Col::OptText), ("author_id", Col::Id), ("client_key", Col::OptText)],
        )
    });
    let mut rows = SQL.rows();
    for (external_id, author_id, client_key) in wanted {
        rows.push([external_id.map(str::to_owned).into(), (*author_id).into(), client_key.map(str::to_owned).into()]);
    }
    tx.select(&SQL, rows).await
}

/// Locks the figures in key order and returns them. PostgreSQL hands out the newest version of a locked row itself;
/// everything else is read in later statements, which see what was committed before the lock was granted.
pub(in super::super) async fn figures_lock(tx: &Tx, ids: &[Uuid]) -> Result<Vec<FiguresRow>> {
    locked(tx, ids).await
}

/// The same lock, and whose it is: what the figures are need not be readable.
pub(in super::super) async fn figures_lock_only(tx: &Tx, ids: &[Uuid]) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Whose {
        #[expect(dead_code, reason = "read, so that its row is one")]
        content_id: Uuid,
    }
    locked::<Whose>(tx, ids).await.map(drop)
}

async fn locked<R: FromQueryResult + Send + Sync>(tx: &Tx, ids: &[Uuid]) -> Result<Vec<R>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let select = format!("SELECT f.content_id, {FIGURES} FROM {{rows}}");
        Sql::new(
            &format!(
                "{select} {{cross}} content_figures f ON f.lane = r.lane AND f.content_id = r.id
                 ORDER BY f.lane, f.content_id {{lock f}}"
            ),
            KEYS,
        )
    });
    tx.select(&SQL, keys(&SQL, ids)).await
}

/// What changes slowly, of the locked contents.
pub(in super::super) async fn info_by_ids(tx: &Tx, ids: &[Uuid]) -> Result<Vec<ContentInfo>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text =
            format!("SELECT {INFO} FROM {{rows}} {{cross}} contents c ON c.lane = r.lane AND c.id = r.id {DETAILS}");
        Sql::new(&text, KEYS)
    });
    tx.select(&SQL, keys(&SQL, ids)).await
}

/// All masses of the locked contents: each has one of its publication, if only of 0.
pub(in super::super) async fn mass_by_ids(tx: &Tx, ids: &[Uuid]) -> Result<Vec<HeldMassRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT h.content_id, h.epoch, h.mass,
             (SELECT next_version FROM heat_in_force WHERE one = 1) AS next_version,
             (SELECT p.switched_at FROM heat_recalculation p JOIN heat_in_force s ON s.version = p.version
              WHERE p.one = 1 AND s.one = 1) AS switched_at
             FROM {rows} {cross} content_heat h ON h.lane = r.lane AND h.content_id = r.id",
            KEYS,
        )
    });
    tx.select(&SQL, keys(&SQL, ids)).await
}

/// The behaviors of these (content, user, kind), as far as there are any.
pub(in super::super) async fn behavior_by_keys(tx: &Tx, wanted: &[(Uuid, Uuid, i16)]) -> Result<Vec<BehaviorRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT b.content_id, b.user_id, b.kind, b.acted_at, b.removed_at FROM {rows} {cross} behaviors b
             ON b.lane = r.lane AND b.content_id = r.id AND b.user_id = r.user_id AND b.kind = r.kind",
            &[("lane", Col::Small), ("id", Col::Id), ("user_id", Col::Id), ("kind", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (content, user, kind) in wanted {
        let (lane, id) = key(*content);
        rows.push([lane.into(), id.into(), (*user).into(), (*kind).into()]);
    }
    tx.select(&SQL, rows).await
}

/// Writes behaviors as they are now.
pub(in super::super) async fn behavior_put(tx: &Tx, behaviors: impl Iterator<Item = BehaviorRow>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO behaviors (lane, content_id, user_id, kind, acted_at, removed_at)
             SELECT r.lane, r.content_id, r.user_id, r.kind, r.acted_at, r.removed_at FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, user_id, kind)
             DO UPDATE SET acted_at = excluded.acted_at, removed_at = excluded.removed_at",
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("user_id", Col::Id),
                ("kind", Col::Small),
                ("acted_at", Col::Int),
                ("removed_at", Col::OptInt),
            ],
        )
    });
    let mut rows = SQL.rows();
    for row in behaviors {
        let (lane, id) = key(row.content_id);
        rows.push([
            lane.into(),
            id.into(),
            row.user_id.into(),
            row.kind.into(),
            row.acted_at.0.into(),
            row.removed_at.map(|at| at.0).into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// The columns of both tables of figures.
pub(super) const FIGURE_COLUMNS: &[(&str, Col)] = &[
    ("lane", Col::Small),
    ("content_id", Col::Id),
    ("version", Col::Int),
    ("like_count", Col::Int),
    ("favorite_count", Col::Int),
    ("comment_count", Col::Int),
    ("share_count", Col::Int),
    ("view_count", Col::Int),
    ("heat", Col::OptInt),
    ("wake_at", Col::OptInt),
    ("hot_level", Col::Small),
    ("hot_score", Col::Float),
    ("last_hot_update", Col::Int),
    ("last_history_at", Col::Int),
    ("heat_version", Col::Int),
];

/// Rows of figures for a statement whose columns are [`FIGURE_COLUMNS`].
pub(super) fn figure_rows(sql: &Sql, figures: impl Iterator<Item = (Uuid, Figures)>) -> Rows {
    let mut rows = sql.rows();
    for (id, f) in figures {
        let (lane, id) = key(id);
        rows.push([
            lane.into(),
            id.into(),
            f.version.into(),
            f.like_count.into(),
            f.favorite_count.into(),
            f.comment_count.into(),
            f.share_count.into(),
            f.view_count.into(),
            f.heat.into(),
            f.wake_at.map(|at| at.0).into(),
            f.hot_level.into(),
            f.hot_score.into(),
            f.last_hot_update.0.into(),
            f.last_history_at.0.into(),
            f.heat_version.into(),
        ]);
    }
    rows
}

/// Writes the figures of locked contents.
pub(in super::super) async fn figures_update(tx: &Tx, figures: impl Iterator<Item = (Uuid, Figures)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE content_figures AS f SET version = r.version, like_count = r.like_count,
             favorite_count = r.favorite_count, comment_count = r.comment_count, share_count = r.share_count,
             view_count = r.view_count, heat = r.heat, wake_at = r.wake_at, hot_level = r.hot_level,
             hot_score = r.hot_score, last_hot_update = r.last_hot_update, last_history_at = r.last_history_at
             FROM {rows} WHERE f.lane = r.lane AND f.content_id = r.content_id",
            FIGURE_COLUMNS,
        )
    });
    tx.write_all(&SQL, figure_rows(&SQL, figures)).await
}

/// Adds the figures of new contents.
pub(in super::super) async fn figures_insert(tx: &Tx, figures: impl Iterator<Item = (Uuid, Figures)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = FIGURE_COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Sql::new(&format!("INSERT INTO content_figures ({names}) SELECT {names} FROM {{rows}}"), FIGURE_COLUMNS)
    });
    tx.write_all(&SQL, figure_rows(&SQL, figures)).await
}

/// Writes masses as they are now.
pub(in super::super) async fn mass_put(tx: &Tx, masses: impl Iterator<Item = MassRow>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO content_heat (lane, content_id, epoch, mass)
             SELECT r.lane, r.content_id, r.epoch, r.mass FROM {rows} WHERE true
             ON CONFLICT (lane, content_id, epoch) DO UPDATE SET mass = excluded.mass",
            &[("lane", Col::Small), ("content_id", Col::Id), ("epoch", Col::Int), ("mass", Col::Int)],
        )
    });
    let mut rows = SQL.rows();
    for row in masses {
        let (lane, id) = key(row.content_id);
        rows.push([lane.into(), id.into(), row.epoch.into(), row.mass.into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// A row of history to be.
pub(in super::super) struct HistoryRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) id: Uuid,
    pub(in super::super) score: f64,
    pub(in super::super) level: i16,
    pub(in super::super) at: Millis,
    pub(in super::super) method: i16,
}

/// Adds rows of history.
pub(in super::super) async fn history_insert(tx: &Tx, history: &[HistoryRow]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "INSERT INTO hot_history (lane, content_id, id, hot_score, hot_level, calculated_at, calculation_method)
             SELECT r.lane, r.content_id, r.id, r.score, r.level, r.at, r.method FROM {rows}",
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("id", Col::Id),
                ("score", Col::Float),
                ("level", Col::Small),
                ("at", Col::Int),
                ("method", Col::Small),
            ],
        )
    });
    let mut rows = SQL.rows();
    for row in history {
        let (lane, id) = key(row.content_id);
        rows.push([
            lane.into(),
            id.into(),
            row.id.into(),
            row.score.into(),
            row.level.into(),
            row.at.0.into(),
            row.method.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// Shows or hides contents.
pub(in super::super) async fn status_update(tx: &Tx, contents: impl Iterator<Item = (Uuid, i16)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE contents AS c SET status = r.status FROM {rows} WHERE c.lane = r.lane AND c.id = r.id",
            &[("lane", Col::Small), ("id", Col::Id), ("status", Col::Small)],
        )
    });
    let mut rows = SQL.rows();
    for (id, status) in contents {
        let (lane, id) = key(id);
        rows.push([lane.into(), id.into(), status.into()]);
    }
    tx.write_all(&SQL, rows).await
}
