//! Root queries.

use async_graphql::{Context, Object};
use uuid::Uuid;

use super::find;
use super::ids::{ArtworkKind, ContentId, VideoKind};
use super::list::{ContentTotal, List, Shown};
use super::settings::HotnessSettings;
use super::suspicion::{self, SuspicionTotal, SuspiciousActivity};
use super::types::{Artwork, Content, RankingEntry, Video};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, checked_size};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{ContentRecord, Kind};
use crate::modules::engagement::hotness::Level;
use crate::modules::engagement::store::read::{self, Order};
use crate::modules::engagement::window::TimeWindow;
use crate::modules::users::UserKind;

/// Most ids of one `contents`, and of one recalculation.
pub(super) const IDS_MOST: usize = 1_000;

/// The entries of a ranking at this moment.
pub(super) async fn entries(engagement: &EngagementFacade, ranking: Vec<ContentRecord>) -> Result<Vec<RankingEntry>> {
    let Some(first) = ranking.first() else {
        return Ok(Vec::new());
    };
    // One statement read them all: they are of one version.
    let (hotness, now) = (engagement.hotness_of(first).await?, engagement.now());
    let entry = |(rank, content): (i32, ContentRecord)| RankingEntry {
        rank,
        score: hotness.heat.score(content.figures.heat, now),
        level: hotness.level(content.figures.heat, content.info.published_at, now),
        content: content.into(),
    };
    Ok((1..).zip(ranking).map(entry).collect())
}

/// Root queries.
#[derive(Default)]
pub struct EngagementQuery;

#[Object]
impl EngagementQuery {
    /// An artwork by id, an unpublished one too; null where there is none.
    async fn artwork(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An artwork's id.")] id: Id<ArtworkKind>,
    ) -> Result<Option<Artwork>> {
        Ok(find(ctx, Kind::Artwork, id.uuid()).await?.map(Artwork))
    }

    /// A video by id, an unpublished one too; null where there is none.
    async fn video(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A video's id.")] id: Id<VideoKind>,
    ) -> Result<Option<Video>> {
        Ok(find(ctx, Kind::Video, id.uuid()).await?.map(Video))
    }

    /// Contents by their ids or by the platform's own, in the order asked for; null where there is none.
    /// `INVALID_INPUT` unless one of both is given.
    async fn contents(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 1,000 ids of artworks and videos.")] ids: Option<Vec<ContentId>>,
        #[graphql(desc = "1 to 1,000 of the platform's own ids; give these or ids.")] external_ids: Option<Vec<String>>,
    ) -> Result<Vec<Option<Content>>> {
        let engagement = ctx.facade::<EngagementFacade>()?;
        let db = &engagement.kernel().db;
        let bounded = |n: usize| match n {
            1..=IDS_MOST => Ok(()),
            _ => Err(Error::invalid(format!("give 1 to {IDS_MOST} ids, got {n}"))),
        };
        match (ids, external_ids) {
            (Some(ids), None) => {
                bounded(ids.len())?;
                let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid).collect();
                let found = read::content_by_ids(db, &uuids).await?;
                let by_id: std::collections::HashMap<_, _> =
                    found.into_iter().map(|record| (record.info.id, record)).collect();
                let content = |id: ContentId| by_id.get(&id.uuid).filter(|record| record.info.kind == id.kind).cloned();
                Ok(ids.into_iter().map(|id| content(id).map(Content::from)).collect())
            }
            (None, Some(external_ids)) => {
                bounded(external_ids.len())?;
                if external_ids.iter().any(|id| id.contains('\0')) {
                    return Err(Error::invalid("externalIds must not contain NUL"));
                }
                let found = read::content_by_external_ids(db, &external_ids).await?;
                let by_id: std::collections::HashMap<_, _> =
                    found.into_iter().map(|record| (record.info.external_id.clone(), record)).collect();
                let content = |id: String| by_id.get(&Some(id)).cloned();
                Ok(external_ids.into_iter().map(|id| content(id).map(Content::from)).collect())
            }
            _ => Err(Error::invalid("give ids or externalIds")),
        }
    }

    /// Published artworks, a page at a time; 20 unless `first` or `last` says otherwise, never both.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection, and its filters")]
    async fn artworks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor of the same order.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor of the same order.")] before: Option<String>,
        #[graphql(desc = "Only this author's.")] author_id: Option<Id<UserKind>>,
        #[graphql(desc = "Only those that have this level now.")] level: Option<Level>,
        #[graphql(desc = "Only those published so recently.", default_with = "TimeWindow::All")]
        published_within: TimeWindow,
        #[graphql(desc = "The order; cursors of one are refused by the others.", default_with = "Order::Newest")]
        order_by: Order,
    ) -> Result<Connection<Artwork, ContentTotal>> {
        let shown = Shown { kind: Kind::Artwork, author: author_id, level, window: published_within };
        List { shown, first, after, last, before, order: order_by }.connection(ctx, Artwork).await
    }

    /// Published videos, a page at a time; 20 unless `first` or `last` says otherwise, never both.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection, and its filters")]
    async fn videos(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor of the same order.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor of the same order.")] before: Option<String>,
        #[graphql(desc = "Only this author's.")] author_id: Option<Id<UserKind>>,
        #[graphql(desc = "Only those that have this level now.")] level: Option<Level>,
        #[graphql(desc = "Only those published so recently.", default_with = "TimeWindow::All")]
        published_within: TimeWindow,
        #[graphql(desc = "The order; cursors of one are refused by the others.", default_with = "Order::Newest")]
        order_by: Order,
    ) -> Result<Connection<Video, ContentTotal>> {
        let shown = Shown { kind: Kind::Video, author: author_id, level, window: published_within };
        List { shown, first, after, last, before, order: order_by }.connection(ctx, Video).await
    }

    /// The hottest published contents, best first: one consistent list.
    async fn hot_ranking(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of this kind; of all when left out.")] kind: Option<Kind>,
        #[graphql(desc = "Only those published so recently.", default_with = "TimeWindow::All")]
        published_within: TimeWindow,
        #[graphql(desc = "How many, 0 to 100.", default = 20)] first: i32,
    ) -> Result<Vec<RankingEntry>> {
        let engagement = ctx.facade::<EngagementFacade>()?;
        let size = checked_size("first", first)?;
        let ranking = engagement.ranking(kind, published_within, size).await?;
        entries(engagement, ranking).await
    }

    /// What makes contents hot: weights, half-life and thresholds in force, and those that are wanted instead.
    async fn hotness_settings(&self, ctx: &Context<'_>) -> Result<HotnessSettings> {
        let (standing, under_way) = ctx.facade::<EngagementFacade>()?.settings().await?;
        Ok(HotnessSettings::new(&standing, under_way))
    }

    /// Who did more within an hour than people do: users by their likes, favorites, comments and shares, addresses without
    /// a token by their views. The newest first, a page at a time; kept for `engagement.suspicious_days`. For operators.
    async fn suspicious_activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor of the same list.")] after: Option<String>,
    ) -> Result<Connection<SuspiciousActivity, SuspicionTotal>> {
        suspicion::page(ctx, first, after.as_deref()).await
    }
}
