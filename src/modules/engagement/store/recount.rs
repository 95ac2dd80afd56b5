//! What checks read: stored figures, and the facts that they must equal.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::batch::keys;
use super::facts::{BEHAVIORS, COMMENTS, EPOCHS, OPENINGS, SHARES, VIEWS, of_contents};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::DELETED;
use crate::modules::engagement::hotness::RolledUp;
use crate::modules::engagement::openings::{Counted, Opening};

/// One content: what is stored, and what it must be made of.
#[derive(Default)]
pub(in super::super) struct Stored {
    /// Its kind.
    pub(in super::super) kind: i16,
    pub(in super::super) published_at: Millis,
    pub(in super::super) quality: i64,
    pub(in super::super) base_weight: i64,
    pub(in super::super) like_count: i64,
    pub(in super::super) favorite_count: i64,
    pub(in super::super) comment_count: i64,
    pub(in super::super) share_count: i64,
    pub(in super::super) view_count: i64,
    pub(in super::super) heat: Option<i64>,
    /// Raised by each batch.
    pub(in super::super) version: i64,
    /// Which version of the settings made the heat.
    pub(in super::super) heat_version: i64,
    pub(in super::super) hot_level: i16,
    pub(in super::super) wake_at: Option<Millis>,
    /// The moment that level and wake-up are of; see `Figures::settled_at`.
    pub(in super::super) settled_at: Millis,
    /// The stored masses by epoch.
    pub(in super::super) masses: BTreeMap<i64, i64>,
    /// Kind and moment of each like and favorite that holds.
    pub(in super::super) behaviors: Vec<(i16, Millis)>,
    /// The moment of each comment that was not deleted.
    pub(in super::super) comments: Vec<Millis>,
    /// The moment of each share.
    pub(in super::super) shares: Vec<Millis>,
    /// Hours and how many views each has, from rows of viewers and from counts: an hour may have both.
    pub(in super::super) hours: Vec<(Millis, i64)>,
    /// Epochs that views were rolled up into, each with the version of the settings that it is of.
    pub(in super::super) epochs: Vec<(i64, RolledUp)>,
    /// Counts that an import took over.
    pub(in super::super) openings: Vec<Opening>,
}

/// The keys that follow `after`. What is being deleted is left out: its facts go in chunks, and nobody sees its figures.
pub(in super::super) async fn content_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: (i16, Uuid),
    size: usize,
) -> Result<Vec<(i16, Uuid)>> {
    let text = "SELECT lane, id FROM contents WHERE (lane, id) > ($1, $2) AND status <> $4 ORDER BY lane, id LIMIT $3";
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let values: [Value; 4] = [after.0.into(), after.1.into(), size.into(), DELETED.into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let keys = found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "id")?)));
    Ok(keys.collect::<Result<_, DbErr>>()?)
}

/// Locks one content's figures, as every writer of it does first.
pub(in super::super) async fn content_lock(tx: &Tx, content: (i16, Uuid)) -> Result<()> {
    let lock = if tx.backend() == DbBackend::Postgres { " FOR NO KEY UPDATE" } else { "" };
    let text = format!("SELECT version FROM content_figures WHERE lane = $1 AND content_id = $2{lock}");
    let values: [Value; 2] = [content.0.into(), content.1.into()];
    tx.connection().query_all_raw(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
    Ok(())
}

static FIGURES: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT c.id, c.kind, c.published_at, c.quality, c.base_weight, f.heat,
         coalesce(f.like_count, 0) AS like_count, coalesce(f.favorite_count, 0) AS favorite_count,
         coalesce(f.comment_count, 0) AS comment_count, coalesce(f.share_count, 0) AS share_count,
         coalesce(f.view_count, 0) AS view_count, coalesce(f.version, 0) AS version,
         coalesce(f.heat_version, 0) AS heat_version,
         coalesce(f.hot_level, CAST(-1 AS smallint)) AS hot_level, f.wake_at,
         coalesce(f.last_hot_update, 0) AS last_hot_update, coalesce(f.last_history_at, 0) AS last_history_at
         FROM {rows} {cross} contents c ON c.lane = r.lane AND c.id = r.id
         LEFT JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id WHERE c.status <> 2",
    )
});
static MASSES: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT h.content_id, h.epoch, h.mass FROM {rows} {cross} content_heat h
         ON h.lane = r.lane AND h.content_id = r.id",
    )
});
fn bind(sql: &Sql, backend: DbBackend, contents: &[(i16, Uuid)]) -> Statement {
    let ids: Vec<_> = contents.iter().map(|(_, id)| *id).collect();
    sql.bind(backend, keys(sql, &ids), [])
}

/// What is stored of these contents, without their facts and masses.
pub(in super::super) async fn figures_recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    keys: &[(i16, Uuid)],
) -> Result<BTreeMap<Uuid, Stored>> {
    let mut contents = BTreeMap::new();
    for row in connection.query_all_raw(bind(&FIGURES, backend, keys)).await? {
        let stored = Stored {
            kind: row.try_get("", "kind")?,
            published_at: row.try_get("", "published_at")?,
            quality: row.try_get("", "quality")?,
            base_weight: row.try_get("", "base_weight")?,
            like_count: row.try_get("", "like_count")?,
            favorite_count: row.try_get("", "favorite_count")?,
            comment_count: row.try_get("", "comment_count")?,
            share_count: row.try_get("", "share_count")?,
            view_count: row.try_get("", "view_count")?,
            heat: row.try_get("", "heat")?,
            version: row.try_get("", "version")?,
            heat_version: row.try_get("", "heat_version")?,
            hot_level: row.try_get("", "hot_level")?,
            wake_at: row.try_get("", "wake_at")?,
            settled_at: row.try_get::<Millis>("", "last_hot_update")?.max(row.try_get("", "last_history_at")?),
            ..Stored::default()
        };
        contents.insert(row.try_get::<Uuid>("", "id")?, stored);
    }
    Ok(contents)
}

/// Everything about these contents.
pub(in super::super) async fn content_recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    keys: &[(i16, Uuid)],
) -> Result<BTreeMap<Uuid, Stored>> {
    let mut contents = figures_recount(connection, backend, keys).await?;
    let facts: [(&'static Sql, Take); 7] = [
        (&MASSES, |to, row| {
            to.masses.insert(row.try_get("", "epoch")?, row.try_get("", "mass")?);
            Ok(())
        }),
        (&OPENINGS, |to, row| {
            let figure = Counted::from_number(row.try_get("", "figure")?)?;
            to.openings.push(Opening { figure, count: row.try_get("", "count")?, at: row.try_get("", "at")? });
            Ok(())
        }),
        (&BEHAVIORS, |to, row| {
            to.behaviors.push((row.try_get("", "kind")?, row.try_get("", "acted_at")?));
            Ok(())
        }),
        (&COMMENTS, |to, row| {
            to.comments.push(row.try_get("", "commented_at")?);
            Ok(())
        }),
        (&SHARES, |to, row| {
            to.shares.push(row.try_get("", "shared_at")?);
            Ok(())
        }),
        (&VIEWS, |to, row| {
            to.hours.push((row.try_get("", "hour")?, row.try_get("", "count")?));
            Ok(())
        }),
        (&EPOCHS, |to, row| {
            let (count, mass) = (row.try_get("", "count")?, row.try_get("", "mass")?);
            let rolled_up = RolledUp { epoch: row.try_get("", "epoch")?, count, mass };
            to.epochs.push((row.try_get("", "heat_version")?, rolled_up));
            Ok(())
        }),
    ];
    for (sql, take) in facts {
        for row in connection.query_all_raw(bind(sql, backend, keys)).await? {
            if let Some(stored) = contents.get_mut(&row.try_get::<Uuid>("", "content_id")?) {
                take(stored, &row)?;
            }
        }
    }
    Ok(contents)
}

/// Adds a row of facts to the content that it is of.
type Take = fn(&mut Stored, &QueryResult) -> Result<(), DbErr>;
