//! Contents as the module's own code sees them: what changes slowly, shared, and the figures, copied.

use std::sync::Arc;

use sea_orm::{DbErr, FromQueryResult, QueryResult};
use uuid::Uuid;

use super::hotness::Weight;
use crate::kernel::clock::Millis;
use crate::kernel::id::Lane;
use crate::kernel::ranking::Standing;

/// What a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, async_graphql::Enum)]
#[graphql(name = "ContentKind")]
pub enum Kind {
    /// A picture.
    Artwork,
    /// A video.
    Video,
}

impl Kind {
    /// The stored number; also the board of its ranking.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    fn from_number(number: i16) -> Result<Self, DbErr> {
        match number {
            0 => Ok(Self::Artwork),
            1 => Ok(Self::Video),
            _ => Err(DbErr::Type(format!("{number} is no content kind"))),
        }
    }
}

/// Whether a content is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ContentStatus")]
pub enum Status {
    /// In lists and rankings.
    Published,
    /// Found by its id only; takes no likes.
    Unpublished,
}

impl Status {
    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }
}

/// The stored status of a content whose deletion was accepted: lists and rankings, which ask for published ones, pass it
/// over, and a look-up by id leaves it out.
pub(super) const DELETED: i16 = 2;

/// What users do to a content, at most once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BehaviorKind {
    /// A like.
    Like,
    /// A favorite.
    Favorite,
}

impl BehaviorKind {
    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }

    /// What one weighs by.
    #[must_use]
    pub fn weight(self) -> Weight {
        match self {
            Self::Like => Weight::Like,
            Self::Favorite => Weight::Favorite,
        }
    }
}

/// What changes slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Its id.
    pub id: Uuid,
    /// The platform's own id.
    pub external_id: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub author_id: Uuid,
    /// What it is called.
    pub title: String,
    /// A picture of it.
    pub cover_url: Option<String>,
    /// Whether it is to be seen.
    pub status: Status,
    /// Whether its deletion was accepted: for everybody there is no such content.
    pub deleted: bool,
    /// When it was published first.
    pub published_at: Millis,
    /// The factor of its score, in thousandths.
    pub quality: i64,
    /// A weight given by hand, in thousandths, from the moment of publishing.
    pub base_weight: i64,
    /// What it was made of: opaque here.
    pub source: Option<String>,
    /// What only its kind has.
    pub detail: Detail,
}

/// What only one kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// An artwork's.
    Artwork {
        /// What it was made from.
        prompt: Option<String>,
        /// What made it.
        model: Option<String>,
        /// In pixels.
        width: Option<i64>,
        /// In pixels.
        height: Option<i64>,
        /// The picture.
        image_url: Option<String>,
    },
    /// A video's.
    Video {
        /// The platform's item.
        item_id: Option<String>,
        /// How long it is.
        duration_ms: Option<i64>,
        /// The video.
        video_url: Option<String>,
    },
}

/// The figures of a content.
#[derive(Clone, Copy, Debug, PartialEq, FromQueryResult)]
pub struct Figures {
    /// Raised by each batch that touches the content.
    pub version: i64,
    /// Likes that hold.
    pub like_count: i64,
    /// Favorites that hold.
    pub favorite_count: i64,
    /// Comments that hold.
    pub comment_count: i64,
    /// Shares.
    pub share_count: i64,
    /// Views.
    pub view_count: i64,
    /// See [`super::hotness`].
    pub heat: Option<i64>,
    /// When the level changes next by itself.
    pub wake_at: Option<Millis>,
    /// The level that was announced last.
    pub hot_level: i16,
    /// The score at that moment.
    pub hot_score: f64,
    /// When somebody last changed the figures.
    pub last_hot_update: Millis,
    /// When a row of history was last written.
    pub last_history_at: Millis,
    /// Which version of the settings heat and level were made with.
    pub heat_version: i64,
}

impl Figures {
    /// How many of a kind hold.
    pub(super) fn count_of(&mut self, kind: BehaviorKind) -> &mut i64 {
        match kind {
            BehaviorKind::Like => &mut self.like_count,
            BehaviorKind::Favorite => &mut self.favorite_count,
        }
    }

    /// The moment that the announced level is of: that of the last interaction, or a later one at which time alone
    /// changed it, for such a moment always is one of history.
    #[must_use]
    pub fn settled_at(&self) -> Millis {
        self.last_hot_update.max(self.last_history_at)
    }
}

/// A content with its figures.
#[derive(Clone, Debug)]
pub struct ContentRecord {
    /// What changes slowly.
    pub info: Arc<ContentInfo>,
    /// What changes often.
    pub figures: Figures,
}

impl ContentRecord {
    /// For the rank index.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.info.id,
            version: self.figures.version,
            board: self.info.kind.number(),
            heat: self.figures.heat,
            since: self.info.published_at,
            listed: self.info.status == Status::Published,
        }
    }
}

/// The lane and the id of a content, as keys of its rows.
#[must_use]
pub fn key(id: Uuid) -> (i16, Uuid) {
    (i16::from(Lane::of(id).0), id)
}

impl FromQueryResult for ContentInfo {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let kind = Kind::from_number(row.try_get(prefix, "kind")?)?;
        let detail = match kind {
            Kind::Artwork => Detail::Artwork {
                prompt: row.try_get(prefix, "prompt")?,
                model: row.try_get(prefix, "model")?,
                width: row.try_get(prefix, "width")?,
                height: row.try_get(prefix, "height")?,
                image_url: row.try_get(prefix, "image_url")?,
            },
            Kind::Video => Detail::Video {
                item_id: row.try_get(prefix, "item_id")?,
                duration_ms: row.try_get(prefix, "duration_ms")?,
                video_url: row.try_get(prefix, "video_url")?,
            },
        };
        let number = row.try_get::<i16>(prefix, "status")?;
        let status = if number == 0 { Status::Published } else { Status::Unpublished };
        Ok(Self {
            id: row.try_get(prefix, "id")?,
            external_id: row.try_get(prefix, "external_id")?,
            kind,
            author_id: row.try_get(prefix, "author_id")?,
            title: row.try_get(prefix, "title")?,
            cover_url: row.try_get(prefix, "cover_url")?,
            status,
            deleted: number == DELETED,
            published_at: row.try_get(prefix, "published_at")?,
            quality: row.try_get(prefix, "quality")?,
            base_weight: row.try_get(prefix, "base_weight")?,
            source: row.try_get(prefix, "source")?,
            detail,
        })
    }
}

impl FromQueryResult for ContentRecord {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            info: Arc::new(ContentInfo::from_query_result(row, prefix)?),
            figures: Figures::from_query_result(row, prefix)?,
        })
    }
}
