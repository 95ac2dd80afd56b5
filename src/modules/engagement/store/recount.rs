//! What checks read: stored figures, and the facts that they must equal.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::key;

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
    pub(in super::super) heat: Option<i64>,
    /// Raised by each batch.
    pub(in super::super) version: i64,
    /// Which version of the settings made the heat.
    pub(in super::super) heat_version: i64,
    /// The stored masses by epoch.
    pub(in super::super) masses: BTreeMap<i64, i64>,
    /// Kind and moment of each like and favorite that holds.
    pub(in super::super) behaviors: Vec<(i16, Millis)>,
}

/// The keys that follow `after`.
pub(in super::super) async fn content_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: (i16, Uuid),
    size: usize,
) -> Result<Vec<(i16, Uuid)>> {
    let text = "SELECT lane, id FROM contents WHERE (lane, id) > ($1, $2) ORDER BY lane, id LIMIT $3";
    let values: [Value; 3] = [after.0.into(), after.1.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
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

/// Everything about these contents.
pub(in super::super) async fn content_recount(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    keys: &[(i16, Uuid)],
) -> Result<BTreeMap<Uuid, Stored>> {
    const KEYS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];
    static FIGURES: std::sync::LazyLock<Sql> = std::sync::LazyLock::new(|| {
        Sql::new(
            "SELECT c.id, c.kind, c.published_at, c.quality, c.base_weight,
             coalesce(f.like_count, 0) AS like_count, coalesce(f.favorite_count, 0) AS favorite_count, f.heat,
             coalesce(f.version, 0) AS version, coalesce(f.heat_version, 0) AS heat_version
             FROM {rows} {cross} contents c ON c.lane = r.lane AND c.id = r.id
             LEFT JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id",
            KEYS,
        )
    });
    static MASSES: std::sync::LazyLock<Sql> = std::sync::LazyLock::new(|| {
        Sql::new(
            "SELECT h.content_id, h.epoch, h.mass FROM {rows} {cross} content_heat h
             ON h.lane = r.lane AND h.content_id = r.id",
            KEYS,
        )
    });
    static BEHAVIORS: std::sync::LazyLock<Sql> = std::sync::LazyLock::new(|| {
        Sql::new(
            "SELECT b.content_id, b.kind, b.acted_at FROM {rows} {cross} behaviors b
             ON b.lane = r.lane AND b.content_id = r.id WHERE b.removed_at IS NULL",
            KEYS,
        )
    });
    let read = |sql: &'static Sql| {
        let mut rows = sql.rows();
        for (_, id) in keys {
            let (lane, id) = key(*id);
            rows.push([lane.into(), id.into()]);
        }
        connection.query_all_raw(sql.bind(backend, rows, []))
    };
    let mut contents = BTreeMap::new();
    for row in read(&FIGURES).await? {
        let stored = Stored {
            kind: row.try_get("", "kind")?,
            published_at: row.try_get("", "published_at")?,
            quality: row.try_get("", "quality")?,
            base_weight: row.try_get("", "base_weight")?,
            like_count: row.try_get("", "like_count")?,
            favorite_count: row.try_get("", "favorite_count")?,
            heat: row.try_get("", "heat")?,
            version: row.try_get("", "version")?,
            heat_version: row.try_get("", "heat_version")?,
            ..Stored::default()
        };
        contents.insert(row.try_get::<Uuid>("", "id")?, stored);
    }
    for row in read(&MASSES).await? {
        if let Some(stored) = contents.get_mut(&row.try_get::<Uuid>("", "content_id")?) {
            stored.masses.insert(row.try_get("", "epoch")?, row.try_get("", "mass")?);
        }
    }
    for row in read(&BEHAVIORS).await? {
        if let Some(stored) = contents.get_mut(&row.try_get::<Uuid>("", "content_id")?) {
            stored.behaviors.push((row.try_get("", "kind")?, row.try_get("", "acted_at")?));
        }
    }
    Ok(contents)
}
