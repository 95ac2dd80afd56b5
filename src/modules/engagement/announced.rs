//! The check of announced levels.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::content::key;
use super::hotness::{Hotness, Level};
use super::settings::{self, Versions};
use super::store::in_force::{self, Lock};
use super::store::recount::{self, Stored};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};

/// The stored level, and the moment at which it ends, against what the stored heat says of the moment that they were
/// made for: the later one of the last interaction and the last row of history. That the heat itself is right is the
/// check `heat`'s to say. A timer that is late is no drift: score and level are computed when they are read, and what was
/// announced before holds until it announces anew.
pub(super) struct AnnouncedLevel;

impl AnnouncedLevel {
    /// The check, for the module's list.
    pub(super) fn check() -> Arc<dyn Check> {
        Arc::new(Self)
    }
}

fn drifts(hotness: &Hotness, id: Uuid, stored: &Stored) -> Vec<Drift> {
    let (heat, published_at, at) = (stored.heat, stored.published_at, stored.settled_at);
    let level = |number| Level::from_number(number).map_or_else(|| number.to_string(), |level| format!("{level:?}"));
    let moment = |at: Option<Millis>| at.map_or("never".to_owned(), |at| at.0.to_string());
    let fields = [
        ("hotLevel", level(stored.hot_level), format!("{:?}", hotness.level(heat, published_at, at))),
        ("wakeAt", moment(stored.wake_at), moment(hotness.next_change(heat, published_at, at))),
    ];
    let differ = fields.into_iter().filter(|(_, stored, actual)| stored != actual);
    differ
        .map(|(field, held, actual)| Drift {
            id: super::graphql::content_id_text(stored.kind, id),
            field: field.to_owned(),
            stored: held,
            actual,
        })
        .collect()
}

/// Each content by the version of the settings that its row names.
async fn examine(
    versions: &Versions,
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    keys: &[Key],
) -> Result<Vec<(Key, Vec<Drift>)>> {
    let contents = recount::figures_recount(connection, backend, keys).await?;
    let state = in_force::in_force(connection, backend, Lock::None).await?;
    let mut found = Vec::new();
    for (id, stored) in &contents {
        // Without figures: compared with what is in force.
        let version = Some(stored.heat_version).filter(|version| *version > 0).or(state.map(|state| state.version));
        let Some(version) = version else { continue };
        let hotness = versions.of(connection, version).await?;
        found.push((key(*id), drifts(&hotness, *id, stored)));
    }
    Ok(found)
}

#[async_trait]
impl Check for AnnouncedLevel {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        "announced-level"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (connection, backend) = (kernel.db.reader(), kernel.backend());
        let versions = settings::for_checks(kernel).await?;
        let keys = recount::content_keys(connection, backend, after.unwrap_or((i16::MIN, Uuid::nil())), size).await?;
        let found = examine(&versions, connection, backend, &keys).await?;
        let suspects = found.into_iter().filter(|(_, drifts)| !drifts.is_empty()).map(|(key, _)| key).collect();
        let next = keys.last().copied().filter(|_| keys.len() == size);
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        let versions = Arc::new(settings::for_checks(kernel).await?);
        kernel
            .db
            .write(move |tx| {
                let versions = Arc::clone(&versions);
                Box::pin(async move {
                    recount::content_lock(tx, content).await?;
                    let found = examine(&versions, tx.connection(), tx.backend(), &[content]).await?;
                    Ok(found.into_iter().flat_map(|(_, drifts)| drifts).collect())
                })
            })
            .await
    }
}
