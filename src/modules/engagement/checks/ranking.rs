//! The rank index of this process.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::locked;
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Patience, Remedy};
use crate::kernel::ranking::{RankIndex, Seen, Standing};
use crate::modules::engagement::content::key;
use crate::modules::engagement::graphql::content_id_text;
use crate::modules::engagement::ranks::{self, Ranks};
use crate::modules::engagement::store::read;

/// The rank index of this process against the database: what it holds, and where it ranks it in every window.
pub(in crate::modules::engagement) struct Ranking {
    ranks: Arc<Ranks>,
    /// A write shows in the index after its commit, on other servers a moment later.
    patience: Patience,
}

impl Ranking {
    pub(in crate::modules::engagement) fn new(ranks: Arc<Ranks>) -> Self {
        Self { ranks, patience: Patience::default() }
    }
}

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

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        let listed = || {
            let key = super::content_key(id).ok()?;
            self.ranks.now().index.standing(key.1).filter(|standing| standing.listed)
        };
        Ok(super::is_content(kernel, id).await? || listed().is_some())
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        // Here, and not in a repair: that would read a whole ranking anew while it holds the writer.
        self.ranks.refresh().await?;
        let after = after.unwrap_or((i16::MIN, Uuid::nil()));
        let ranking = self.ranks.now();
        if let Some(from) = beyond(after) {
            return self.scan_index(kernel, &ranking.index, from, size).await;
        }
        let chunk = read::standing_chunk(&kernel.db, after, size).await?;
        let now = kernel.clock.now();
        let suspects = chunk.standings.iter().filter(|(standing, version)| {
            let due = ranking.index.due(now, *standing);
            *version != ranking.hotness.heat.version || ranking.index.seen(now, standing.id) != Some(due)
        });
        let mut suspects: Vec<Key> = suspects.map(|(standing, _)| key(standing.id)).collect();
        // Of what cannot be read the index must know nothing.
        let listed = |id: Uuid| ranking.index.standing(id).is_some_and(|standing| standing.listed);
        suspects.extend(chunk.unreadable.iter().filter(|(_, id)| listed(*id)).map(|(_, id)| key(*id)));
        let last = chunk.last.map(key).filter(|_| chunk.size == size);
        Ok(Chunk { checked: chunk.size as u64, suspects, next: last.or(Some(place(0))) })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        // Other settings may have come into force: a change that this process takes in by itself.
        self.ranks.refresh().await?;
        let first = self.compare(kernel, content).await?;
        if first.drifts.is_empty() {
            return Ok(first.drifts);
        }
        let wait = self.patience.begin();
        loop {
            let goes_on = wait.goes_on().await;
            self.ranks.refresh().await?;
            let second = self.compare(kernel, content).await?;
            // Of a content that another server writes all the time the index is always a moment behind: it lags if it has
            // not even what was there before the pause.
            let follows = second.held < second.version() && second.held >= first.version();
            if second.drifts.is_empty() || follows && second.is_of(&self.ranks.now()) {
                return Ok(Vec::new());
            }
            if !goes_on {
                return Ok(second.drifts);
            }
        }
    }

    /// Under the lock of the content's figures: whoever writes it next comes after, with a newer version. The index is
    /// this process's; a drift of it is not put back. One of settings that came into force since the scan is left: the
    /// ranking is read anew for all.
    async fn repair(&self, kernel: &Kernel, tx: &Tx, content: Key) -> Result<Vec<Drift>> {
        locked::lock(tx, content).await?;
        let mut compared = self.compare(kernel, content).await?;
        let ranking = self.ranks.now();
        if !compared.is_of(&ranking) {
            compared.drifts.clear();
        }
        if !compared.drifts.is_empty() {
            ranking.index.put(kernel.clock.now(), content.1, compared.actual);
        }
        Ok(compared.drifts)
    }
}

/// The index beside the database.
struct Compared {
    drifts: Vec<Drift>,
    /// The version that the index has.
    held: Option<i64>,
    /// How the content stands in the database.
    actual: Option<Standing>,
    /// The version of the settings that it is by.
    heat_version: Option<i64>,
}

impl Compared {
    fn version(&self) -> Option<i64> {
        self.actual.map(|standing| standing.version)
    }

    /// Whether the database has it by the settings of this ranking.
    fn is_of(&self, ranking: &ranks::Ranking) -> bool {
        self.heat_version.is_none_or(|version| version == ranking.hotness.heat.version)
    }
}

impl Ranking {
    async fn compare(&self, kernel: &Kernel, content: Key) -> Result<Compared> {
        let ranking = self.ranks.now();
        // Before the read: what the index had by then was committed, so that no row of the database is older.
        let early = ranking.index.seen(kernel.clock.now(), content.1);
        let records = read::content_by_ids(&kernel.db, &[content.1]).await?;
        let now = kernel.clock.now();
        let seen = ranking.index.seen(now, content.1);
        let actual = records.first().map(|record| ranking.index.due(now, record.standing()));
        let version = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.standing.version);
        let listed = seen.as_ref().is_some_and(|seen| seen.standing.listed);
        let board = actual.as_ref().or(seen.as_ref()).map_or(0, |seen| seen.standing.board);
        let same = records.first().is_none_or(|record| ranking.hotness.heat.version == record.figures.heat_version);
        // Newer than what was read: a write came in between, and the index has it, unless it had so before. What is gone
        // may be known, unlisted.
        let differs = match &actual {
            Some(_) => {
                let too_new = version(&early) > version(&actual) && version(&seen) == version(&early);
                !same || too_new || seen != actual && version(&seen) <= version(&actual)
            }
            None => listed,
        };
        let drift = differs.then(|| Drift {
            id: content_id_text(i16::from(board), content.1),
            field: "rank index".into(),
            stored: format!("{seen:?}"),
            actual: format!("{actual:?}"),
        });
        let (held, actual) = (version(&seen), actual.map(|due| due.standing));
        let heat_version = records.first().map(|record| record.figures.heat_version);
        Ok(Compared { drifts: drift.into_iter().collect(), held, actual, heat_version })
    }

    /// A page of what the index lists: what the database does not have.
    async fn scan_index(&self, kernel: &Kernel, index: &RankIndex, from: usize, size: usize) -> Result<Chunk> {
        let Some(ids) = index.listed_chunk(from, size) else {
            return Ok(Chunk { checked: 0, suspects: Vec::new(), next: None });
        };
        let mut found = read::content_present(&kernel.db, &ids).await?;
        found.sort_unstable();
        let gone = ids.into_iter().filter(|id| found.binary_search(id).is_err());
        Ok(Chunk { checked: 0, suspects: gone.map(key).collect(), next: Some(place(from + size)) })
    }
}

/// After the last lane: the places of the index, which a scan goes through once it has seen the database.
const PLACES: i16 = i16::MAX;

fn place(from: usize) -> Key {
    (PLACES, Uuid::from_u128(from as u128))
}

/// From which place on a scan looks at the index, if it has come that far.
fn beyond(after: Key) -> Option<usize> {
    (after.0 == PLACES).then(|| usize::try_from(after.1.as_u128()).unwrap_or(usize::MAX))
}
