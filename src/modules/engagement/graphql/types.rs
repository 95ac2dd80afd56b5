//! Types.

use async_graphql::{Context, Enum, Interface, Object, SimpleObject};

use super::ids::{ArtworkKind, VideoKind};
use super::interactions::{Comment, CommentTotal, comments};
use crate::kernel::auth::Session;
use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::graphql::{Count, InField};
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, checked_size};
use crate::modules::engagement::EngagementFacade;
use crate::modules::engagement::content::{ContentRecord, Detail, Kind, Status};
use crate::modules::engagement::hotness::Level;
use crate::modules::engagement::loaders::ViewerState;
use crate::modules::engagement::window::TimeWindow;
use crate::modules::users::UsersFacade;
use crate::modules::users::graphql::User;

/// A picture.
pub struct Artwork(pub(crate) ContentRecord);

/// A video.
pub struct Video(pub(crate) ContentRecord);

/// What users like: an artwork or a video.
#[derive(Interface)]
#[expect(clippy::duplicated_attributes, reason = "one `field(…)` each, alike but for their names")]
#[graphql(
    field(
        name = "id",
        ty = "Result<async_graphql::ID>",
        method = "id_text",
        desc = "`artwork_…` or `video_…`; never changes."
    ),
    field(
        name = "external_id",
        ty = "Option<&str>",
        desc = "The platform's own id, unique among all contents; null when it gave none."
    ),
    field(name = "title", ty = "&str", desc = "What it is called, 1 to 200 characters."),
    field(name = "author", ty = "Option<Result<User>>", desc = "Whose it is; null once that user is gone."),
    field(
        name = "cover_url",
        ty = "Option<&str>",
        desc = "A picture of it for lists: `https://…`, `http://…` or a path of the platform."
    ),
    field(name = "status", ty = "Status", desc = "Whether lists and rankings show it."),
    field(name = "published_at", ty = "Millis", desc = "When it was published first."),
    field(name = "like_count", ty = "Count", desc = "Users who like it now."),
    field(name = "favorite_count", ty = "Count", desc = "Users who have it as a favorite now."),
    field(name = "comment_count", ty = "Count", desc = "Comments on it that were not deleted."),
    field(name = "share_count", ty = "Count", desc = "How often it was shared."),
    field(name = "view_count", ty = "Count", desc = "How often it was viewed: once a viewer and hour."),
    field(name = "hotness", ty = "Hotness", desc = "How hot it is now."),
    field(
        name = "viewer_has_liked",
        ty = "Result<bool>",
        desc = "Whether the token's user likes it; false without a token."
    ),
    field(
        name = "viewer_has_favorited",
        ty = "Result<bool>",
        desc = "Whether the token's user has it as a favorite; false without a token."
    ),
    field(
        name = "comments",
        ty = "Result<Connection<Comment, CommentTotal>>",
        desc = "What was said about it, newest first, deleted comments left out; 20 unless `first` or `last` says otherwise.",
        arg(name = "first", ty = "Option<i32>", desc = "How many from the beginning, 0 to 100; 20 when left out."),
        arg(name = "after", ty = "Option<String>", desc = "Only what comes after this cursor."),
        arg(name = "last", ty = "Option<i32>", desc = "How many from the end, 0 to 100."),
        arg(name = "before", ty = "Option<String>", desc = "Only what comes before this cursor.")
    )
)]
pub enum Content {
    /// A picture.
    Artwork(Artwork),
    /// A video.
    Video(Video),
}

impl From<ContentRecord> for Content {
    fn from(record: ContentRecord) -> Self {
        match record.info.kind {
            Kind::Artwork => Self::Artwork(Artwork(record)),
            Kind::Video => Self::Video(Video(record)),
        }
    }
}

/// A content type: the fields of all contents, and those of its own kind.
macro_rules! content_object {
    ($about:literal, $type:ident, $id:ty, $own_id:literal, { $($own:tt)* }) => {
        impl $type {
            /// For the interface, whose members have ids of different Rust types.
            async fn id_text(&self, _: &Context<'_>) -> Result<async_graphql::ID> {
                Ok(async_graphql::ID(Id::<$id>::new(self.0.info.id).to_string()))
            }
        }

        #[doc = $about]
        #[Object]
        impl $type {
            #[doc = $own_id]
            async fn id(&self) -> Id<$id> {
                Id::new(self.0.info.id)
            }

            /// The platform's own id, unique among all contents; null when it gave none.
            async fn external_id(&self) -> Option<&str> {
                self.0.info.external_id.as_deref()
            }

            /// What it is called, 1 to 200 characters.
            async fn title(&self) -> &str {
                &self.0.info.title
            }

            /// Whose it is; null once that user is gone.
            async fn author(&self, ctx: &Context<'_>) -> Option<Result<User>> {
                User::find(ctx, self.0.info.author_id).await.transpose()
            }

            /// A picture of it for lists: `https://…`, `http://…` or a path of the platform.
            async fn cover_url(&self) -> Option<&str> {
                self.0.info.cover_url.as_deref()
            }

            /// Whether lists and rankings show it.
            async fn status(&self) -> Status {
                self.0.info.status
            }

            /// When it was published first.
            async fn published_at(&self) -> Millis {
                self.0.info.published_at
            }

            /// Users who like it now.
            async fn like_count(&self) -> Count {
                Count(self.0.figures.like_count)
            }

            /// Users who have it as a favorite now.
            async fn favorite_count(&self) -> Count {
                Count(self.0.figures.favorite_count)
            }

            /// Comments on it that were not deleted.
            async fn comment_count(&self) -> Count {
                Count(self.0.figures.comment_count)
            }

            /// How often it was shared.
            async fn share_count(&self) -> Count {
                Count(self.0.figures.share_count)
            }

            /// How often it was viewed: once a viewer and hour.
            async fn view_count(&self) -> Count {
                Count(self.0.figures.view_count)
            }

            /// How hot it is now.
            async fn hotness(&self) -> Hotness {
                Hotness(self.0.clone())
            }

            /// Whether the token's user likes it; false without a token.
            async fn viewer_has_liked(&self, ctx: &Context<'_>) -> Result<bool> {
                viewer_state(ctx, &self.0).await.map(|state| state.has_liked).in_field(ctx)
            }

            /// Whether the token's user has it as a favorite; false without a token.
            async fn viewer_has_favorited(&self, ctx: &Context<'_>) -> Result<bool> {
                viewer_state(ctx, &self.0).await.map(|state| state.has_favorited).in_field(ctx)
            }

            /// What was said about it, newest first, deleted comments left out; 20 unless `first` or `last` says otherwise.
            async fn comments(
                &self,
                ctx: &Context<'_>,
                #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
                #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
                #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
                #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
            ) -> Result<Connection<Comment, CommentTotal>> {
                comments(ctx, &self.0, first, after, last, before).await.in_field(ctx)
            }

            $($own)*
        }
    };
}

content_object!("A picture that was published.", Artwork, ArtworkKind, "`artwork_…`; never changes.", {
    /// The words that it was made from; null when the publisher gave none.
    async fn prompt(&self) -> Option<&str> {
        match &self.0.info.detail {
            Detail::Artwork { prompt, .. } => prompt.as_deref(),
            Detail::Video { .. } => None,
        }
    }

    /// The model that made it; null when the publisher gave none.
    async fn model(&self) -> Option<&str> {
        match &self.0.info.detail {
            Detail::Artwork { model, .. } => model.as_deref(),
            Detail::Video { .. } => None,
        }
    }

    /// Its width in pixels; null, as is its height, when the publisher gave none.
    async fn width(&self) -> Option<i64> {
        match &self.0.info.detail {
            Detail::Artwork { width, .. } => *width,
            Detail::Video { .. } => None,
        }
    }

    /// Its height in pixels; null, as is its width, when the publisher gave none.
    async fn height(&self) -> Option<i64> {
        match &self.0.info.detail {
            Detail::Artwork { height, .. } => *height,
            Detail::Video { .. } => None,
        }
    }

    /// The picture itself: `https://…`, `http://…` or a path of the platform.
    async fn image_url(&self) -> Option<&str> {
        match &self.0.info.detail {
            Detail::Artwork { image_url, .. } => image_url.as_deref(),
            Detail::Video { .. } => None,
        }
    }

    /// What it was made of, opaque to tally: a generation's id, or what else the publisher said.
    async fn source(&self) -> Option<&str> {
        self.0.info.source.as_deref()
    }
});

content_object!("A video that was published.", Video, VideoKind, "`video_…`; never changes.", {
    /// The video platform's item id; null when the publisher gave none.
    async fn item_id(&self) -> Option<&str> {
        match &self.0.info.detail {
            Detail::Video { item_id, .. } => item_id.as_deref(),
            Detail::Artwork { .. } => None,
        }
    }

    /// How long it is, in milliseconds; null when the publisher gave none.
    async fn duration_ms(&self) -> Option<i64> {
        match &self.0.info.detail {
            Detail::Video { duration_ms, .. } => *duration_ms,
            Detail::Artwork { .. } => None,
        }
    }

    /// The video itself: `https://…`, `http://…` or a path of the platform.
    async fn video_url(&self) -> Option<&str> {
        match &self.0.info.detail {
            Detail::Video { video_url, .. } => video_url.as_deref(),
            Detail::Artwork { .. } => None,
        }
    }
});

async fn viewer_state(ctx: &Context<'_>, content: &ContentRecord) -> Result<ViewerState> {
    let Some(viewer) = ctx.facade::<UsersFacade>()?.viewer_if_any(Session::of(ctx)).await? else {
        return Ok(ViewerState::default());
    };
    let loaders = ctx.facade::<EngagementFacade>()?.loaders();
    Ok(loaders.viewers.one((content.info.id, viewer)).await?.unwrap_or_default())
}

/// How hot a content is. Score and level are derived when they are read: they are right at any moment.
pub struct Hotness(ContentRecord);

/// How hot a content is. Score and level are derived when they are read: they are right at any moment.
#[Object]
impl Hotness {
    /// The points of all interactions, each halved once a half-life, times the quality of the content; not negative.
    /// `hotnessSettings` has points and half-life.
    async fn score(&self, ctx: &Context<'_>) -> Result<f64> {
        async {
            let engagement = ctx.facade::<EngagementFacade>()?;
            let hotness = engagement.hotness_of(&self.0).await?;
            Ok(hotness.heat.score(self.0.figures.heat, engagement.now()))
        }
        .await
        .in_field(ctx)
    }

    /// The level of the score; see `hotnessSettings`.
    async fn level(&self, ctx: &Context<'_>) -> Result<Level> {
        async {
            let engagement = ctx.facade::<EngagementFacade>()?;
            let (heat, published_at) = (self.0.figures.heat, self.0.info.published_at);
            Ok(engagement.hotness_of(&self.0).await?.level(heat, published_at, engagement.now()))
        }
        .await
        .in_field(ctx)
    }

    /// The rank among the published contents of a kind and of a window, from 1, as in `hotRanking` with the same arguments;
    /// null when the content is not one of them.
    async fn rank(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Among those of this kind; among all when left out.")] kind: Option<Kind>,
        #[graphql(desc = "Among those published so recently.", default_with = "TimeWindow::All")]
        published_within: TimeWindow,
    ) -> Option<Result<i64>> {
        let engagement = match ctx.facade::<EngagementFacade>() {
            Ok(engagement) => engagement,
            Err(error) => return Some(Err(error)),
        };
        let rank = engagement.rank_of(&self.0, kind, published_within).await;
        rank.transpose().map(|rank| i64::try_from(rank?).map_err(Error::internal))
    }

    /// When an interaction last changed it.
    async fn updated_at(&self) -> Millis {
        self.0.figures.last_hot_update
    }

    /// When the level changes next if nobody interacts; null when it does not.
    async fn level_changes_at(&self, ctx: &Context<'_>) -> Option<Result<Millis>> {
        let (heat, published_at) = (self.0.figures.heat, self.0.info.published_at);
        let next = async {
            let engagement = ctx.facade::<EngagementFacade>()?;
            Ok(engagement.hotness_of(&self.0).await?.next_change(heat, published_at, engagement.now()))
        };
        next.await.transpose()
    }

    /// The newest recorded scores, oldest first: one a change of level, and one an interval of
    /// `engagement.history_interval_secs`.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 20, desc = "How many, from 0 to 100.")] first: i32,
    ) -> Result<Vec<HotHistoryEntry>> {
        async {
            let size = checked_size("first", first)?;
            if size == 0 {
                return Ok(Vec::new());
            }
            let loaders = ctx.facade::<EngagementFacade>()?.loaders();
            let rows = loaders.history.one((self.0.info.id, size)).await?;
            let entries = rows.iter().flat_map(|rows| rows.iter()).map(|row| HotHistoryEntry {
                score: row.hot_score,
                level: Level::from_number(row.hot_level).unwrap_or(Level::Cold),
                calculated_at: row.calculated_at,
                calculation_method: CalculationMethod::from_number(row.calculation_method),
            });
            Ok(entries.collect())
        }
        .await
        .in_field(ctx)
    }
}

/// How a row of history came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum CalculationMethod {
    /// By an interaction.
    Realtime,
    /// By the passing of time.
    Scheduled,
    /// By `tally recalculate`.
    Recalculation,
    /// By a repair.
    Repair,
    /// By an import.
    Import,
}

impl CalculationMethod {
    fn from_number(number: i16) -> Self {
        match number {
            1 => Self::Scheduled,
            2 => Self::Recalculation,
            3 => Self::Repair,
            4 => Self::Import,
            _ => Self::Realtime,
        }
    }
}

/// A recorded score.
#[derive(SimpleObject)]
pub struct HotHistoryEntry {
    /// The score at that moment.
    score: f64,
    /// The level at that moment.
    level: Level,
    /// The moment that it was recorded.
    calculated_at: Millis,
    /// How the record came to be.
    calculation_method: CalculationMethod,
}

/// A place in a ranking.
#[derive(SimpleObject)]
pub struct RankingEntry {
    /// The place, from 1; no two have the same.
    pub(super) rank: i32,
    /// The content that has this place.
    pub(super) content: Content,
    /// Its score now.
    pub(super) score: f64,
    /// Its level now.
    pub(super) level: Level,
}
