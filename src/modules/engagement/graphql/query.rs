//! Root queries.

use async_graphql::{Context, Object};
use uuid::Uuid;

use super::find;
use super::ids::{ArtworkKind, ContentId, VideoKind};
use super::suspicion::{self, SuspicionTotal, SuspiciousActivity};
use super::types::{Artwork, Content, HotnessSettings, RankingEntry, Video};
use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, Cursor, Page, checked_size};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{ContentRecord, Kind};
use crate::modules::engagement::hotness::{Level, NEW_FOR};
use crate::modules::engagement::store::read::{self, Filter, Order};
use crate::modules::engagement::window::TimeWindow;
use crate::modules::users::UserKind;

/// Most ids of one `contents`.
const IDS_MOST: usize = 1_000;

/// A page of contents of one kind, and how many there are in all.
pub struct ContentTotal(Filter);

/// What a connection has besides its page.
#[Object]
impl ContentTotal {
    /// How many contents the whole list has; counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i64> {
        read::content_count(&ctx.facade::<EngagementFacade>()?.kernel().db, &self.0).await
    }
}

/// The arguments of a list of contents.
struct List {
    kind: Kind,
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
    author: Option<Id<UserKind>>,
    level: Option<Level>,
    window: TimeWindow,
    order: Order,
}

impl List {
    fn filter(&self, engagement: &EngagementFacade) -> Filter {
        let now = engagement.now();
        let heat = self.level.map(|level| engagement.hotness().heat_range(level, now));
        let (heat_from, heat_below) = heat.unwrap_or((None, None));
        let new_since = now.plus(1 - NEW_FOR);
        let window = self.window.since(now);
        Filter {
            kind: self.kind,
            author_id: self.author.map(Id::uuid),
            published_since: if self.level == Some(Level::New) { window.max(Some(new_since)) } else { window },
            published_before: (self.level == Some(Level::Cold)).then_some(new_since),
            heat_from,
            heat_below,
        }
    }

    async fn connection<Node: async_graphql::OutputType>(
        self,
        ctx: &Context<'_>,
        node: fn(ContentRecord) -> Node,
    ) -> Result<Connection<Node, ContentTotal>> {
        let engagement = ctx.facade::<EngagementFacade>()?;
        let order = self.order as u8;
        let page = Page::new(order, self.first, self.after.as_deref(), self.last, self.before.as_deref())?;
        let filter = self.filter(engagement);
        let found = match page.size {
            0 => Vec::new(),
            _ => read::content_page(&engagement.kernel().db, &filter, self.order, &page).await?,
        };
        let by_heat = self.order == Order::Hottest;
        Ok(page.connection(found, ContentTotal(filter), |record| {
            let value = if by_heat { record.figures.heat } else { Some(record.info.published_at.0) };
            (Cursor { order, value, id: record.info.id }, node(record))
        }))
    }
}

/// The entries of a ranking at this moment.
pub(super) fn entries(engagement: &EngagementFacade, ranking: Vec<ContentRecord>) -> Vec<RankingEntry> {
    let now = engagement.now();
    let entry = |(rank, content): (i32, ContentRecord)| RankingEntry {
        rank,
        score: engagement.hotness().heat.score(content.figures.heat, now),
        level: engagement.hotness().level(content.figures.heat, content.info.published_at, now),
        content: content.into(),
    };
    (1..).zip(ranking).map(entry).collect()
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
        let (kind, author, window, order) = (Kind::Artwork, author_id, published_within, order_by);
        List { kind, first, after, last, before, author, level, window, order }.connection(ctx, Artwork).await
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
        let (kind, author, window, order) = (Kind::Video, author_id, published_within, order_by);
        List { kind, first, after, last, before, author, level, window, order }.connection(ctx, Video).await
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
        Ok(entries(engagement, ranking))
    }

    /// What makes contents hot: weights, half-life and thresholds in force.
    async fn hotness_settings(&self, ctx: &Context<'_>) -> Result<HotnessSettings> {
        let hotness = ctx.facade::<EngagementFacade>()?.hotness();
        let points = |thousandths: i64| thousandths as f64 / 1000.0;
        Ok(HotnessSettings {
            version: hotness.heat.version,
            half_life_hours: hotness.heat.half_life_ms as f64 / Millis::HOUR as f64,
            like_weight: points(hotness.heat.like_weight),
            favorite_weight: points(hotness.heat.favorite_weight),
            comment_weight: points(hotness.heat.comment_weight),
            share_weight: points(hotness.heat.share_weight),
            view_weight: points(hotness.heat.view_weight),
            publish_weight: points(hotness.heat.publish_weight),
            warm_from: hotness.thresholds.warm,
            hot_from: hotness.thresholds.hot,
            blazing_from: hotness.thresholds.blazing,
        })
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
