//! Empties what was in force before, chunk by chunk, and notes in the history of each content what the change of settings
//! did to it.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Run;
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Ids;
use crate::modules::engagement::content::{ContentInfo, Figures};
use crate::modules::engagement::hotness::Hotness;
use crate::modules::engagement::item::RECALCULATION;
use crate::modules::engagement::settings::Versions;
use crate::modules::engagement::store::batch::{self, HistoryRow};
use crate::modules::engagement::store::in_force::{self, Lock};
use crate::modules::engagement::store::next as store;

/// Empties the tables that are not in force, but for what a recalculation under way has made.
pub(super) async fn run(run: &Run<'_>) -> Result<()> {
    let mut after = (i16::MIN, Uuid::nil());
    loop {
        let (ids, versions, size) = (Arc::clone(&run.kernel.ids), Arc::clone(&run.versions), run.chunk);
        let done =
            run.kernel.db.write(move |tx| Box::pin(chunk(tx, Arc::clone(&ids), Arc::clone(&versions), after, size)));
        match done.await? {
            Some(last) => after = last,
            None => return Ok(()),
        }
        run.pause().await;
    }
}

/// The key up to which it came; `None` when nothing is left.
async fn chunk(
    tx: &Tx,
    ids: Arc<Ids>,
    versions: Arc<Versions>,
    after: (i16, Uuid),
    size: usize,
) -> Result<Option<(i16, Uuid)>> {
    let (connection, backend) = (tx.connection(), tx.backend());
    // Two processes take turns.
    let progress = in_force::progress(connection, backend, Lock::Own).await?;
    let keys = store::keys_after(tx, after, size).await?;
    let Some(last) = keys.last().copied() else {
        return Ok(None);
    };
    let wanted: Vec<Uuid> = keys.into_iter().map(|(_, id)| id).collect();
    let locked = batch::figures_lock(tx, &wanted).await?;
    // After the locks: what is in force stays so, and nobody writes to these contents.
    let state = in_force::in_force(connection, backend, Lock::None).await?;
    let state = state.ok_or_else(|| Error::internal("no settings are in force"))?;
    let retired = store::figures_by_ids(connection, backend, &wanted).await?;
    let retired: HashMap<Uuid, Figures> = retired
        .into_iter()
        .filter(|row| Some(row.figures.heat_version) != state.next_version)
        .map(|row| (row.content_id, row.figures))
        .collect();
    let infos = batch::info_by_ids(tx, &wanted).await?;
    let infos: HashMap<Uuid, ContentInfo> = infos.into_iter().map(|info| (info.id, info)).collect();
    let in_force = versions.of(connection, state.version).await?;
    let switched_at = progress.and_then(|progress| progress.switched_at);
    let mut history = Vec::new();
    for row in locked {
        let (Some(old), Some(info)) = (retired.get(&row.content_id), infos.get(&row.content_id)) else { continue };
        // Of a recalculation that was given up: it was never in force.
        if old.heat_version < state.version
            && let Some(switched_at) = switched_at
        {
            let before = versions.of(connection, old.heat_version).await?;
            let (level, score, at) = change(info, &row.figures, &in_force, switched_at);
            if level != old.hot_level || score != before.heat.score(old.heat, at) {
                let (content_id, method) = (info.id, RECALCULATION);
                history.push(HistoryRow { content_id, id: ids.at(at), score, level, at, method });
            }
        }
    }
    batch::history_insert(tx, &history).await?;
    let gone: Vec<Uuid> = wanted.into_iter().filter(|id| retired.contains_key(id)).collect();
    store::remove(tx, &gone).await?;
    Ok(Some(last))
}

/// Level and score at the moment of the change; of a content that somebody touched since, those of that moment.
fn change(info: &ContentInfo, figures: &Figures, hotness: &Hotness, switched_at: Millis) -> (i16, f64, Millis) {
    if figures.last_hot_update > switched_at {
        return (figures.hot_level, figures.hot_score, figures.last_hot_update);
    }
    let level = hotness.level(figures.heat, info.published_at, switched_at).number();
    (level, hotness.heat.score(figures.heat, switched_at), switched_at)
}
