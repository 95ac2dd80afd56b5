//! Notifications as the module's own code sees them.

use sea_orm::{DbErr, FromQueryResult, QueryResult};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::id::Lane;
use crate::modules::engagement::hotness::Level;

/// What an author is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, async_graphql::Enum)]
#[graphql(name = "NotificationKind")]
pub enum Kind {
    /// Others like the content.
    Liked,
    /// Others have the content as a favorite.
    Favorited,
    /// Others commented on the content.
    Commented,
    /// Others shared the content.
    Shared,
    /// The content rose to WARM, HOT or BLAZING.
    LevelUp,
}

impl Kind {
    /// All, in the order of their stored numbers.
    pub const ALL: [Self; 5] = [Self::Liked, Self::Favorited, Self::Commented, Self::Shared, Self::LevelUp];

    /// The stored number.
    #[must_use]
    pub fn number(self) -> i16 {
        self as i16
    }

    /// As GraphQL and the settings have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Liked => "LIKED",
            Self::Favorited => "FAVORITED",
            Self::Commented => "COMMENTED",
            Self::Shared => "SHARED",
            Self::LevelUp => "LEVEL_UP",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    fn from_number(number: i16) -> Result<Self, DbErr> {
        let kind = usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).copied();
        kind.ok_or_else(|| DbErr::Type(format!("{number} is no kind of notification")))
    }
}

/// All that a user is told of one content and kind, for as long as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRecord {
    /// Its id.
    pub id: Uuid,
    /// Who is told: the content's author.
    pub user_id: Uuid,
    /// Of which content.
    pub content_id: Uuid,
    /// What happened to it.
    pub kind: Kind,
    /// That of the user's totals when it last changed.
    pub version: i64,
    /// Whose acts hold, each counted once; a rise of the level has one «actor», the content. At 0 nobody sees it: it is
    /// kept because it knows which acts were taken back.
    pub actor_count: i64,
    /// Whose act is the newest that holds; nil without one.
    pub last_actor_id: Uuid,
    /// The level of the newest rise that holds; 0 for other kinds.
    pub level: i16,
    /// The sequence of the newest act that holds; [`NONE`] without one.
    pub newest_sequence: i64,
    /// `newest_sequence` when it was last marked as read; [`NONE`] before.
    pub read_sequence: i64,
    /// Whether an act holds that came after the mark.
    pub unread: bool,
    /// When it was last marked as read.
    pub read_at: Option<Millis>,
    /// When the first act that holds was done.
    pub created_at: Millis,
    /// When the newest act that holds was done.
    pub updated_at: Millis,
}

/// Before every sequence.
pub const NONE: i64 = -1;

impl NotificationRecord {
    /// One without acts.
    pub(super) fn new(id: Uuid, user_id: Uuid, content_id: Uuid, kind: Kind, at: Millis) -> Self {
        Self {
            id,
            user_id,
            content_id,
            kind,
            version: 0,
            actor_count: 0,
            last_actor_id: Uuid::nil(),
            level: 0,
            newest_sequence: NONE,
            read_sequence: NONE,
            unread: false,
            read_at: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// The keys of its rows.
    pub(super) fn key(&self) -> (i16, Uuid) {
        (lane(self.user_id), self.id)
    }

    /// Whether somebody's act holds.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.actor_count > 0
    }

    /// The level that the content rose to.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        Level::from_number(self.level).filter(|level| self.kind == Kind::LevelUp && *level > Level::Cold)
    }
}

/// The lane of all that a user is told.
#[must_use]
pub(super) fn lane(user_id: Uuid) -> i16 {
    i16::from(Lane::of(user_id).0)
}

impl FromQueryResult for NotificationRecord {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get(prefix, "id")?,
            user_id: row.try_get(prefix, "user_id")?,
            content_id: row.try_get(prefix, "content_id")?,
            kind: Kind::from_number(row.try_get(prefix, "kind")?)?,
            version: row.try_get(prefix, "version")?,
            actor_count: row.try_get(prefix, "actor_count")?,
            last_actor_id: row.try_get(prefix, "last_actor_id")?,
            level: row.try_get(prefix, "level")?,
            newest_sequence: row.try_get(prefix, "newest_sequence")?,
            read_sequence: row.try_get(prefix, "read_sequence")?,
            unread: row.try_get::<i16>(prefix, "unread")? != 0,
            read_at: row.try_get(prefix, "read_at")?,
            created_at: row.try_get(prefix, "created_at")?,
            updated_at: row.try_get(prefix, "updated_at")?,
        })
    }
}
