//! The rank index of one version of the settings, and the change to the next: a ranking never mixes two.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::content::{ContentRecord, key};
use super::graphql::content_id_text;
use super::hotness::Hotness;
use super::settings::Versions;
use super::store::in_force::{self, Lock};
use super::store::read;
use super::window::SPANS;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::ranking::RankIndex;

/// Rows read at once when an index is filled.
const FILL: usize = 5_000;

/// The ranking that one version of the settings makes.
pub(super) struct Ranking {
    /// The version, and all that it says.
    pub(super) hotness: Arc<Hotness>,
    /// The index; it holds figures of this version only.
    pub(super) index: RankIndex,
}

impl Ranking {
    fn new(hotness: Arc<Hotness>) -> Arc<Self> {
        Arc::new(Self { hotness, index: RankIndex::new(SPANS) })
    }

    fn version(&self) -> i64 {
        self.hotness.heat.version
    }
}

/// The ranking in force, and the one that is being read.
pub(super) struct Ranks {
    kernel: Kernel,
    versions: Arc<Versions>,
    held: RwLock<Held>,
    /// One reads at a time.
    reading: tokio::sync::Mutex<()>,
    wake: Notify,
}

struct Held {
    now: Arc<Ranking>,
    coming: Option<Arc<Ranking>>,
    /// The generation that `now` was last read at.
    generation: i64,
}

impl Ranks {
    /// An empty ranking of the version in force.
    pub(super) fn new(kernel: &Kernel, versions: &Arc<Versions>, in_force: Hotness) -> Arc<Self> {
        let now = Ranking::new(versions.add(in_force));
        Arc::new(Self {
            kernel: kernel.clone(),
            versions: Arc::clone(versions),
            held: RwLock::new(Held { now, coming: None, generation: -1 }),
            reading: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
        })
    }

    /// The ranking as this process has it. Who reads contents along with it compares their versions.
    pub(super) fn now(&self) -> Arc<Ranking> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).now)
    }

    /// The newest settings in force that this process knows of.
    pub(super) fn hotness(&self) -> Arc<Hotness> {
        Arc::clone(&self.now().hotness)
    }

    /// Takes committed states into the ranking of their version.
    pub(super) fn take<'a>(&self, records: impl IntoIterator<Item = &'a ContentRecord>) {
        // Held throughout: a change of the rankings comes before all of these, or after.
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let (mut now, mut coming, mut unknown) = (Vec::new(), Vec::new(), false);
        for record in records {
            let version = record.figures.heat_version;
            let (is_now, is_coming) =
                (version == held.now.version(), held.coming.as_ref().is_some_and(|coming| coming.version() == version));
            // Both where the same version is being read anew.
            if is_now {
                now.push(record.standing());
            }
            if is_coming {
                coming.push(record.standing());
            }
            // Of a version that is not read yet: whoever reads it finds this commit.
            unknown |= !is_now && !is_coming && version > held.now.version();
        }
        let at = self.kernel.clock.now();
        held.now.index.apply(at, now);
        if let Some(ranking) = &held.coming {
            ranking.index.apply(at, coming);
        }
        drop(held);
        if unknown {
            self.wake();
        }
    }

    /// Says that other settings seem to be in force by now.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Reads the ranking anew if what is in force is not what it holds. Whether it did.
    ///
    /// # Errors
    /// The database's own.
    pub(super) async fn refresh(&self) -> Result<bool> {
        let _one = self.reading.lock().await;
        let mut read = false;
        loop {
            let (reader, backend) = (self.kernel.db.reader(), self.kernel.backend());
            let state = in_force::in_force(reader, backend, Lock::None).await?;
            let state = state.ok_or_else(|| Error::internal("no settings are in force"))?;
            let (now, generation) = {
                let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
                (Arc::clone(&held.now), held.generation)
            };
            if now.version() == state.version && generation == state.generation {
                return Ok(read);
            }
            read = true;
            // A new index where figures of the same version changed elsewhere, too: what is not there any more is left out.
            let ranking = Ranking::new(self.versions.of(reader, state.version).await?);
            self.held.write().unwrap_or_else(PoisonError::into_inner).coming = Some(Arc::clone(&ranking));
            if self.fill(&ranking).await? {
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                *held = Held { now: ranking, coming: None, generation: state.generation };
            }
        }
    }

    /// Reads all rows; false when another version came into force meanwhile. A row of another version than the one in
    /// force is left out, and reported: it is drift, and must not keep a server from starting.
    async fn fill(&self, ranking: &Ranking) -> Result<bool> {
        let (mut after, mut foreign) = ((i16::MIN, Uuid::nil()), 0);
        loop {
            let chunk = read::standing_chunk(&self.kernel.db, after, FILL).await?;
            let Some(last) = chunk.last else {
                if foreign > 0 {
                    let version = ranking.version();
                    tracing::warn!(version, foreign, "figures of settings that are not in force are in no ranking");
                }
                return Ok(true);
            };
            after = key(last);
            for (kind, id) in &chunk.unreadable {
                let content = content_id_text(*kind, *id);
                tracing::error!(%content, "its figures hold what is no number: it is in no ranking; see `tally check`");
            }
            let others = chunk.standings.iter().filter(|(_, version)| *version != ranking.version()).count();
            if others > 0 {
                let (reader, backend) = (self.kernel.db.reader(), self.kernel.backend());
                let state = in_force::in_force(reader, backend, Lock::None).await?;
                if state.is_none_or(|state| state.version != ranking.version()) {
                    return Ok(false);
                }
                foreign += others;
            }
            let own = chunk.standings.into_iter().filter(|(_, version)| *version == ranking.version());
            ranking.index.apply(self.kernel.clock.now(), own.map(|(standing, _)| standing));
        }
    }

    /// Follows what is in force until the server stops; `changed` hears of every change.
    pub(super) async fn follow(self: Arc<Self>, every: Duration, changed: impl Fn() + Send) {
        let shutdown = self.kernel.shutdown.clone();
        let following = async {
            loop {
                // Woken, or by the way: another process may have put other settings in force.
                let _ = tokio::time::timeout(every, self.wake.notified()).await;
                match self.refresh().await {
                    Ok(true) => {
                        let version = self.hotness().heat.version;
                        tracing::info!(version, "the rankings were read anew");
                        changed();
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = error.for_operator(), "what settings are in force could not be read");
                        tokio::time::sleep(every).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(following).await;
    }
}
