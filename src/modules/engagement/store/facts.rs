//! The facts that heat is made of, one after the other: a content may have millions.

use std::pin::pin;
use std::sync::LazyLock;

use futures_util::TryStreamExt as _;
use sea_orm::StreamTrait;
use uuid::Uuid;

use super::batch::{KEYS, keys};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::BehaviorKind;
use crate::modules::engagement::hotness::{Fact, Weight};

/// Hands every fact of these locked contents to `take`, publications left out: the contents' own rows tell of those.
pub(in super::super) async fn each(tx: &Tx, ids: &[Uuid], mut take: impl FnMut(Uuid, Fact)) -> Result<()> {
    static BEHAVIORS: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT b.content_id, b.kind, b.acted_at FROM {rows} {cross} behaviors b
             ON b.lane = r.lane AND b.content_id = r.id WHERE b.removed_at IS NULL",
            KEYS,
        )
    });
    let statement = BEHAVIORS.bind(tx.backend(), keys(&BEHAVIORS, ids), []);
    let mut rows = pin!(tx.connection().stream_raw(statement).await?);
    while let Some(row) = rows.try_next().await? {
        let like = row.try_get::<i16>("", "kind")? == BehaviorKind::Like.number();
        let weight = if like { Weight::Like } else { Weight::Favorite };
        let at: Millis = row.try_get("", "acted_at")?;
        take(row.try_get("", "content_id")?, Fact { weight, at, count: 1 });
    }
    Ok(())
}
