//! The rank index of this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::locked;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::ranking::{RankIndex, Seen, Standing};
use crate::modules::engagement::content::key;
use crate::modules::engagement::graphql::content_id_text;
use crate::modules::engagement::ranks::Ranks;
use crate::modules::engagement::store::read;

/// The rank index of this process against the database: what it holds, and where it ranks it in every window.
pub(in crate::modules::engagement) struct Ranking(pub(in crate::modules::engagement) Arc<Ranks>);

/// A write shows in the index after its commit: a difference counts once it has lasted.
const LASTS: Duration = Duration::from_millis(200);

#[async_trait]
impl Check for Ranking {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        "ranking"
    }

    fn key(&self, id: &str) -> Option<Key> {
        super::content_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let chunk = read::standing_chunk(&kernel.db, after.unwrap_or((i16::MIN, Uuid::nil())), size).await?;
        let (ranking, now) = (self.0.now(), kernel.clock.now());
        let suspects = chunk.iter().filter(|(standing, version)| {
            let due = ranking.index.due(now, *standing);
            *version != ranking.hotness.heat.version || ranking.index.seen(now, standing.id) != Some(due)
        });
        let mut suspects: Vec<Key> = suspects.map(|(standing, _)| key(standing.id)).collect();
        let next = chunk.last().map(|(standing, _)| key(standing.id)).filter(|_| chunk.len() == size);
        if next.is_none() {
            suspects.extend(beyond(&ranking.index, kernel, size).await?);
        }
        Ok(Chunk { checked: chunk.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        tokio::time::sleep(LASTS).await;
        // Other settings may have come into force: a change that this process takes in by itself.
        self.0.refresh().await?;
        Ok(self.compare(kernel, content).await?.0)
    }

    /// Under the lock of the content's figures: whoever writes it next comes after, with a newer version. The index is
    /// this process's; a drift of it is not put back.
    async fn repair(&self, kernel: &Kernel, tx: &Tx, content: Key) -> Result<Vec<Drift>> {
        self.0.refresh().await?;
        locked::lock(tx, content).await?;
        let (drifts, actual) = self.compare(kernel, content).await?;
        if !drifts.is_empty() {
            self.0.now().index.put(kernel.clock.now(), content.1, actual);
        }
        Ok(drifts)
    }
}

impl Ranking {
    /// The drift, and what the database has.
    async fn compare(&self, kernel: &Kernel, content: Key) -> Result<(Vec<Drift>, Option<Standing>)> {
        let ranking = self.0.now();
        let records = read::content_by_ids(&kernel.db, &[content.1]).await?;
        let now = kernel.clock.now();
        let seen = ranking.index.seen(now, content.1);
        let actual = records.first().map(|record| ranking.index.due(now, record.standing()));
        let version = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.standing.version);
        let listed = seen.as_ref().is_some_and(|seen| seen.standing.listed);
        let board = actual.as_ref().or(seen.as_ref()).map_or(0, |seen| seen.standing.board);
        let same = records.first().is_none_or(|record| ranking.hotness.heat.version == record.figures.heat_version);
        // Newer than what was read: a write came in between, and the index has it. What is gone may be known, unlisted.
        let differs = match &actual {
            Some(_) => !same || seen != actual && version(&seen) <= version(&actual),
            None => listed,
        };
        let drift = differs.then(|| Drift {
            id: content_id_text(i16::from(board), content.1),
            field: "rank index".into(),
            stored: format!("{seen:?}"),
            actual: format!("{actual:?}"),
        });
        Ok((drift.into_iter().collect(), actual.map(|actual| actual.standing)))
    }
}

/// What the index lists and the database does not have.
async fn beyond(index: &RankIndex, kernel: &Kernel, size: usize) -> Result<Vec<Key>> {
    let mut beyond = Vec::new();
    let mut from = 0;
    while let Some(ids) = index.listed_chunk(from, size) {
        from += size;
        let mut found = read::content_present(&kernel.db, &ids).await?;
        found.sort_unstable();
        let gone = ids.into_iter().filter(|id| found.binary_search(id).is_err());
        beyond.extend(gone.map(key));
    }
    Ok(beyond)
}
