//! Every figure of the module, recomputed from its facts.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::content::{BehaviorKind, Figures, key};
use super::hotness::{Fact, HeatSettings, Hotness, Source, Weight};
use super::masses::Sums;
use super::openings::{Counted, opened};
use super::ranks::Ranks;
use super::settings::Versions;
use super::store::batch::FiguresRow;
use super::store::in_force::{self, Lock};
use super::store::recount::{self, Stored};
use super::store::{next, read};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::ranking::{RankIndex, Seen};

/// The checks that need no running server.
pub(super) fn all() -> Vec<Arc<dyn Check>> {
    let figures = [
        Figure::LikeCount,
        Figure::FavoriteCount,
        Figure::CommentCount,
        Figure::ShareCount,
        Figure::ViewCount,
        Figure::HeatMass,
        Figure::Heat,
    ];
    let figures = figures.into_iter().map(|figure| Arc::new(figure) as Arc<dyn Check>);
    figures.chain([super::announced::AnnouncedLevel::check()]).collect()
}

/// A figure of a content.
#[derive(Clone, Copy)]
enum Figure {
    /// The likes that hold.
    LikeCount,
    /// The favorites that hold.
    FavoriteCount,
    /// The comments that were not deleted.
    CommentCount,
    /// The shares.
    ShareCount,
    /// The views: rows of viewers, counts of hours and of epochs together.
    ViewCount,
    /// The sum of each epoch: equal to the last bit.
    HeatMass,
    /// What follows from masses and quality.
    Heat,
}

impl Figure {
    /// The drifts of one content; `next` is what a recalculation has already made of it.
    fn drifts(
        self,
        versions: &Versions,
        heat: &HeatSettings,
        next: Option<&Next>,
        id: Uuid,
        stored: &Stored,
    ) -> Vec<Drift> {
        let opened = |figure| opened(&stored.openings, figure);
        let count = |kind: BehaviorKind, figure| {
            stored.behaviors.iter().filter(|(k, _)| *k == kind.number()).count() as i64 + opened(figure)
        };
        let mut drifts = Vec::new();
        let mut compare = |field: String, held: &dyn Display, actual: &dyn Display| {
            let (held, actual) = (held.to_string(), actual.to_string());
            if held != actual {
                let id = super::graphql::content_id_text(stored.kind, id);
                drifts.push(Drift { id, field, stored: held, actual });
            }
        };
        match self {
            Self::LikeCount => {
                compare("likeCount".into(), &stored.like_count, &count(BehaviorKind::Like, Counted::Like));
            }
            Self::FavoriteCount => {
                let actual = count(BehaviorKind::Favorite, Counted::Favorite);
                compare("favoriteCount".into(), &stored.favorite_count, &actual);
            }
            Self::CommentCount => {
                let actual = stored.comments.len() as i64 + opened(Counted::Comment);
                compare("commentCount".into(), &stored.comment_count, &actual);
            }
            Self::ShareCount => {
                let actual = stored.shares.len() as i64 + opened(Counted::Share);
                compare("shareCount".into(), &stored.share_count, &actual);
            }
            Self::ViewCount => {
                let hours: i64 = stored.hours.iter().map(|(_, count)| count).sum();
                let epochs: i64 = stored.epochs.iter().map(|(_, rolled_up)| rolled_up.count).sum();
                compare("viewCount".into(), &stored.view_count, &(hours + epochs + opened(Counted::View)));
            }
            Self::HeatMass => {
                let next = next.map(|next| (&next.heat, &next.masses, "next mass"));
                for (heat, held, name) in [Some((heat, &stored.masses, "mass")), next].into_iter().flatten() {
                    let actual = masses(versions, heat, stored);
                    let epochs: std::collections::BTreeSet<_> = held.keys().chain(actual.keys()).collect();
                    for epoch in epochs {
                        let mass = |sums: &Sums| sums.get(epoch).copied().unwrap_or(0);
                        compare(format!("{name} of epoch {epoch}"), &mass(held), &mass(&actual));
                    }
                }
            }
            Self::Heat => {
                let text = |heat: Option<i64>| heat.map_or("none".to_owned(), |heat| heat.to_string());
                let actual = |heat: &HeatSettings| text(heat.heat(stored.quality, &masses(versions, heat, stored)));
                compare("heat".into(), &text(stored.heat), &actual(heat));
                if let Some(next) = next {
                    compare("next heat".into(), &text(next.figures.heat), &actual(&next.heat));
                    compare("next version".into(), &next.figures.version, &stored.version);
                }
            }
        }
        drifts
    }

    /// Each content is compared by the version that its row names; a row of a version that is not in force is drift.
    async fn examine(
        self,
        connection: &impl ConnectionTrait,
        backend: DbBackend,
        keys: &[Key],
    ) -> Result<BTreeMap<Uuid, Vec<Drift>>> {
        let contents = recount::content_recount(connection, backend, keys).await?;
        let versions = Versions::default();
        let state = in_force::in_force(connection, backend, Lock::None).await?;
        let next = match state.and_then(|state| state.next_version) {
            Some(version) if matches!(self, Self::HeatMass | Self::Heat) => {
                next_of(connection, backend, keys, versions.of(connection, version).await?).await?
            }
            _ => HashMap::new(),
        };
        let mut found = BTreeMap::new();
        for (id, stored) in &contents {
            // Without figures: compared with what is in force.
            let version = Some(stored.heat_version).filter(|version| *version > 0).or(state.map(|state| state.version));
            let Some(version) = version else { continue };
            let hotness = versions.of(connection, version).await?;
            for (version, _) in &stored.epochs {
                versions.of(connection, *version).await?;
            }
            let mut drifts = self.drifts(&versions, &hotness.heat, next.get(id), *id, stored);
            if let Some(state) = state.filter(|state| state.version != version && matches!(self, Self::Heat)) {
                let id = super::graphql::content_id_text(stored.kind, *id);
                let (stored, actual) = (version.to_string(), state.version.to_string());
                drifts.push(Drift { id, field: "version of the settings".into(), stored, actual });
            }
            found.insert(*id, drifts);
        }
        Ok(found)
    }
}

/// What a recalculation has made of a content so far.
struct Next {
    heat: HeatSettings,
    figures: Figures,
    masses: Sums,
}

async fn next_of(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    keys: &[Key],
    hotness: Arc<Hotness>,
) -> Result<HashMap<Uuid, Next>> {
    let ids: Vec<Uuid> = keys.iter().map(|(_, id)| *id).collect();
    let figures = next::figures_by_ids(connection, backend, &ids).await?;
    let own = figures.into_iter().filter(|row| row.figures.heat_version == hotness.heat.version);
    let of = |row: FiguresRow| (row.content_id, Next { heat: hotness.heat, figures: row.figures, masses: Sums::new() });
    let mut found: HashMap<_, _> = own.map(of).collect();
    for row in next::mass_by_ids(connection, backend, &ids, hotness.heat.version).await? {
        if let Some(next) = found.get_mut(&row.content_id) {
            next.masses.insert(row.epoch, row.mass);
        }
    }
    Ok(found)
}

/// The masses that the facts add up to.
fn masses(versions: &Versions, heat: &HeatSettings, stored: &Stored) -> Sums {
    let fact = |weight: Weight, at: Millis, count: i64| Source::Fact(Fact { weight, at, count });
    let publication = fact(Weight::Publish { by_hand: stored.base_weight }, stored.published_at, 1);
    let behaviors = stored.behaviors.iter().map(|(kind, at)| {
        let like = *kind == BehaviorKind::Like.number();
        fact(if like { Weight::Like } else { Weight::Favorite }, *at, 1)
    });
    let comments = stored.comments.iter().map(|at| fact(Weight::Comment, *at, 1));
    let shares = stored.shares.iter().map(|at| fact(Weight::Share, *at, 1));
    let hours = stored.hours.iter().map(|(hour, count)| fact(Weight::View, *hour, *count));
    let epochs = stored
        .epochs
        .iter()
        .filter_map(|(version, rolled_up)| Some(Source::RolledUp(versions.known(*version)?.heat, *rolled_up)));
    let openings = stored.openings.iter().map(|opening| Source::Fact(opening.fact()));
    let facts = std::iter::once(publication).chain(behaviors).chain(comments).chain(shares).chain(hours).chain(epochs);
    let facts = facts.chain(openings);
    let mut sums = Sums::new();
    for source in facts {
        // A fact that does not fit was refused when it came; here it would show as a drift.
        if let Some((epoch, mass)) = heat.adds(&source) {
            let sum = sums.entry(epoch).or_default();
            *sum = sum.saturating_add(mass);
        }
    }
    sums
}

#[async_trait]
impl Check for Figure {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn name(&self) -> &'static str {
        match self {
            Self::LikeCount => "like-count",
            Self::FavoriteCount => "favorite-count",
            Self::CommentCount => "comment-count",
            Self::ShareCount => "share-count",
            Self::ViewCount => "view-count",
            Self::HeatMass => "heat-mass",
            Self::Heat => "heat",
        }
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (connection, backend) = (kernel.db.reader(), kernel.backend());
        let after = after.unwrap_or((i16::MIN, Uuid::nil()));
        let keys = recount::content_keys(connection, backend, after, size).await?;
        let found = self.examine(connection, backend, &keys).await?;
        let suspects = found.iter().filter(|(_, drifts)| !drifts.is_empty()).map(|(id, _)| key(*id)).collect();
        let next = keys.last().copied().filter(|_| keys.len() == size);
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        confirm(*self, kernel, content).await
    }
}

async fn confirm(figure: Figure, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
    kernel
        .db
        .write(move |tx| {
            Box::pin(async move {
                recount::content_lock(tx, content).await?;
                let found = figure.examine(tx.connection(), tx.backend(), &[content]).await?;
                Ok(found.into_values().flatten().collect())
            })
        })
        .await
}

/// The rank index of this process against the database: what it holds, and where it ranks it in every window.
pub(super) struct Ranking(pub(super) Arc<Ranks>);

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

    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
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
            id: super::graphql::content_id_text(i16::from(board), content.1),
            field: "rank index".into(),
            stored: format!("{seen:?}"),
            actual: format!("{actual:?}"),
        });
        Ok(drift.into_iter().collect())
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
