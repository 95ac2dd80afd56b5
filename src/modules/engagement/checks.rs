//! Every figure of the module, recomputed from its facts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::content::{BehaviorKind, key};
use super::hotness::HeatSettings;
use super::rollup::view_mass;
use super::settings;
use super::store::read;
use super::store::recount::{self, Stored};
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::integrity::{Check, Chunk, Drift, Key};
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
    /// The drifts of one content.
    fn drifts(self, heat: &HeatSettings, id: Uuid, stored: &Stored) -> Vec<Drift> {
        let count = |kind: BehaviorKind| stored.behaviors.iter().filter(|(k, _)| *k == kind.number()).count();
        let mut drifts = Vec::new();
        let mut compare = |field: String, held: &dyn Display, actual: &dyn Display| {
            let (held, actual) = (held.to_string(), actual.to_string());
            if held != actual {
                let id = super::graphql::content_id_text(stored.kind, id);
                drifts.push(Drift { id, field, stored: held, actual });
            }
        };
        match self {
            Self::LikeCount => compare("likeCount".into(), &stored.like_count, &count(BehaviorKind::Like)),
            Self::FavoriteCount => {
                compare("favoriteCount".into(), &stored.favorite_count, &count(BehaviorKind::Favorite));
            }
            Self::CommentCount => compare("commentCount".into(), &stored.comment_count, &stored.comments.len()),
            Self::ShareCount => compare("shareCount".into(), &stored.share_count, &stored.shares.len()),
            Self::ViewCount => {
                let hours: i64 = stored.hours.iter().map(|(_, count)| count).sum();
                let epochs: i64 = stored.epochs.iter().map(|(_, count, _)| count).sum();
                compare("viewCount".into(), &stored.view_count, &(hours + epochs));
            }
            Self::HeatMass => {
                let actual = masses(heat, stored);
                let epochs: std::collections::BTreeSet<_> = stored.masses.keys().chain(actual.keys()).collect();
                for epoch in epochs {
                    let held = stored.masses.get(epoch).copied().unwrap_or(0);
                    compare(format!("mass of epoch {epoch}"), &held, &actual.get(epoch).copied().unwrap_or(0));
                }
            }
            Self::Heat => {
                let text = |heat: Option<i64>| heat.map_or("none".to_owned(), |heat| heat.to_string());
                compare("heat".into(), &text(stored.heat), &text(heat.heat(stored.quality, &masses(heat, stored))));
            }
        }
        drifts
    }

    async fn examine(
        self,
        heat: &HeatSettings,
        connection: &impl ConnectionTrait,
        backend: DbBackend,
        keys: &[Key],
    ) -> Result<BTreeMap<Uuid, Vec<Drift>>> {
        let contents = recount::content_recount(connection, backend, keys).await?;
        Ok(contents.iter().map(|(id, stored)| (*id, self.drifts(heat, *id, stored))).collect())
    }
}

/// The masses that the facts add up to.
fn masses(heat: &HeatSettings, stored: &Stored) -> BTreeMap<i64, i64> {
    let publication = (heat.publish_weight + stored.base_weight, stored.published_at);
    let behaviors = stored.behaviors.iter().map(|(kind, at)| {
        let like = *kind == BehaviorKind::Like.number();
        (if like { heat.like_weight } else { heat.favorite_weight }, *at)
    });
    let comments = stored.comments.iter().map(|at| (heat.comment_weight, *at));
    let shares = stored.shares.iter().map(|at| (heat.share_weight, *at));
    let mut masses: BTreeMap<i64, i64> = BTreeMap::new();
    // A fact that does not fit was refused when it came; here it would show as a drift.
    let mut add = |epoch: i64, mass: Option<i64>| {
        let sum = masses.entry(epoch).or_default();
        *sum = sum.saturating_add(mass.unwrap_or(0));
    };
    for (weight, at) in std::iter::once(publication).chain(behaviors).chain(comments).chain(shares) {
        add(heat.epoch(at), heat.contribution(weight, at));
    }
    for (hour, count) in &stored.hours {
        add(heat.epoch(*hour), view_mass(heat, *hour, *count));
    }
    for (epoch, _, mass) in &stored.epochs {
        add(*epoch, Some(*mass));
    }
    masses
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

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let (connection, backend) = (kernel.db.reader(), kernel.backend());
        let heat = settings::heat(kernel).await?;
        let after = after.unwrap_or((i16::MIN, Uuid::nil()));
        let keys = recount::content_keys(connection, backend, after, size).await?;
        let found = self.examine(&heat, connection, backend, &keys).await?;
        let suspects = found.iter().filter(|(_, drifts)| !drifts.is_empty()).map(|(id, _)| key(*id)).collect();
        let next = keys.last().copied().filter(|_| keys.len() == size);
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        confirm(*self, kernel, content).await
    }
}

async fn confirm(figure: Figure, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
    let heat = settings::heat(kernel).await?;
    kernel
        .db
        .write(move |tx| {
            Box::pin(async move {
                recount::content_lock(tx, content).await?;
                let found = figure.examine(&heat, tx.connection(), tx.backend(), &[content]).await?;
                Ok(found.into_values().flatten().collect())
            })
        })
        .await
}

/// The rank index of this process against the database: what it holds, and where it ranks it in every window.
pub(super) struct Ranking(pub(super) Arc<RankIndex>);

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

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let chunk = read::standing_chunk(&kernel.db, after.unwrap_or((i16::MIN, Uuid::nil())), size).await?;
        let now = kernel.clock.now();
        let suspects = chunk.iter().filter(|standing| {
            let due = self.0.due(now, **standing);
            self.0.seen(now, standing.id) != Some(due)
        });
        let mut suspects: Vec<Key> = suspects.map(|standing| key(standing.id)).collect();
        let next = chunk.last().map(|standing| key(standing.id)).filter(|_| chunk.len() == size);
        if next.is_none() {
            suspects.extend(self.beyond(kernel, size).await?);
        }
        Ok(Chunk { checked: chunk.len() as u64, suspects, next })
    }

    async fn confirm(&self, kernel: &Kernel, content: Key) -> Result<Vec<Drift>> {
        tokio::time::sleep(LASTS).await;
        let records = read::content_by_ids(&kernel.db, &[content.1]).await?;
        let now = kernel.clock.now();
        let seen = self.0.seen(now, content.1);
        let actual = records.first().map(|record| self.0.due(now, record.standing()));
        let version = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.standing.version);
        let listed = seen.as_ref().is_some_and(|seen| seen.standing.listed);
        let board = actual.as_ref().or(seen.as_ref()).map_or(0, |seen| seen.standing.board);
        // Newer than what was read: a write came in between, and the index has it. What is gone may be known, unlisted.
        let differs = match &actual {
            Some(_) => seen != actual && version(&seen) <= version(&actual),
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

impl Ranking {
    /// What the index lists and the database does not have.
    async fn beyond(&self, kernel: &Kernel, size: usize) -> Result<Vec<Key>> {
        let mut beyond = Vec::new();
        let mut from = 0;
        while let Some(ids) = self.0.listed_chunk(from, size) {
            from += size;
            let mut found = read::content_present(&kernel.db, &ids).await?;
            found.sort_unstable();
            let gone = ids.into_iter().filter(|id| found.binary_search(id).is_err());
            beyond.extend(gone.map(key));
        }
        Ok(beyond)
    }
}
