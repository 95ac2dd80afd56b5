//! The facts that heat is made of, one after the other: a content may have millions.

use std::pin::pin;
use std::sync::LazyLock;

use futures_util::TryStreamExt as _;
use sea_orm::{DbErr, QueryResult, StreamTrait as _};
use uuid::Uuid;

use super::batch::{KEYS, keys};
use crate::kernel::db::{Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::BehaviorKind;
use crate::modules::engagement::hotness::{Fact, RolledUp, Source, Weight};
use crate::modules::engagement::openings::Counted;
use crate::modules::engagement::settings::Versions;

/// A statement on the rows of the wanted contents.
pub(super) fn of_contents(text: &str) -> Sql {
    Sql::new(text, KEYS)
}

pub(super) static BEHAVIORS: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT b.content_id, b.kind, b.acted_at FROM {rows} {cross} behaviors b
         ON b.lane = r.lane AND b.content_id = r.id WHERE b.removed_at IS NULL",
    )
});
pub(super) static COMMENTS: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT m.content_id, m.commented_at FROM {rows} {cross} comments m
         ON m.lane = r.lane AND m.content_id = r.id WHERE m.deleted_at IS NULL",
    )
});
pub(super) static SHARES: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT s.content_id, s.shared_at FROM {rows} {cross} shares s
         ON s.lane = r.lane AND s.content_id = r.id",
    )
});
pub(super) static VIEWS: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT v.content_id, v.hour, count(*) AS count FROM {rows} {cross} content_views v
         ON v.lane = r.lane AND v.content_id = r.id GROUP BY v.content_id, v.hour
         UNION ALL
         SELECT h.content_id, h.hour, h.count FROM {rows} {cross} content_view_hours h
         ON h.lane = r.lane AND h.content_id = r.id",
    )
});
pub(super) static EPOCHS: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT e.content_id, e.heat_version, e.epoch, e.count, e.mass FROM {rows} {cross} content_view_epochs e
         ON e.lane = r.lane AND e.content_id = r.id",
    )
});

pub(super) static OPENINGS: LazyLock<Sql> = LazyLock::new(|| {
    of_contents(
        "SELECT o.content_id, o.figure, o.count, o.at FROM {rows} {cross} content_openings o
         ON o.lane = r.lane AND o.content_id = r.id",
    )
});

fn opening(row: &QueryResult) -> Result<Fact, DbErr> {
    let weight = Counted::from_number(row.try_get("", "figure")?)?.weight();
    Ok(Fact { weight, at: row.try_get("", "at")?, count: row.try_get("", "count")? })
}

fn behavior(row: &QueryResult) -> Result<Fact, DbErr> {
    let like = row.try_get::<i16>("", "kind")? == BehaviorKind::Like.number();
    let weight = if like { Weight::Like } else { Weight::Favorite };
    Ok(Fact { weight, at: row.try_get("", "acted_at")?, count: 1 })
}

/// Hands all that adds to heat of these locked contents to `take`, publications left out: the contents' own rows tell of
/// those.
pub(in super::super) async fn each(
    tx: &Tx,
    versions: &Versions,
    ids: &[Uuid],
    mut take: impl FnMut(Uuid, Source) + Send,
) -> Result<()> {
    type Read = fn(&QueryResult) -> Result<Fact, DbErr>;
    let facts: [(&'static Sql, Read); 5] = [
        (&BEHAVIORS, behavior),
        (&OPENINGS, opening),
        (&COMMENTS, |row| Ok(Fact { weight: Weight::Comment, at: row.try_get("", "commented_at")?, count: 1 })),
        (&SHARES, |row| Ok(Fact { weight: Weight::Share, at: row.try_get("", "shared_at")?, count: 1 })),
        (&VIEWS, |row| {
            Ok(Fact { weight: Weight::View, at: row.try_get("", "hour")?, count: row.try_get("", "count")? })
        }),
    ];
    for (sql, read) in facts {
        let statement = sql.bind(tx.backend(), keys(sql, ids), []);
        let mut rows = pin!(tx.connection().stream_raw(statement).await?);
        while let Some(row) = rows.try_next().await? {
            take(row.try_get("", "content_id")?, Source::Fact(read(&row)?));
        }
    }
    let statement = EPOCHS.bind(tx.backend(), keys(&EPOCHS, ids), []);
    // Few: a row a content and epoch.
    for row in sea_orm::ConnectionTrait::query_all_raw(tx.connection(), statement).await? {
        let made_with = versions.of(tx.connection(), row.try_get("", "heat_version")?).await?;
        let (count, mass) = (row.try_get("", "count")?, row.try_get("", "mass")?);
        let rolled_up = RolledUp { epoch: row.try_get("", "epoch")?, count, mass };
        take(row.try_get("", "content_id")?, Source::RolledUp(made_with.heat, rolled_up));
    }
    Ok(())
}
