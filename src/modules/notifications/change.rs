//! What an event of engagement means for what authors are told.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::notification::Kind;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::events::Delivered;
use crate::modules::engagement::hotness::Level;

/// The events that the consumer takes.
pub(super) const KINDS: &[&str] = &[
    "engagement.liked",
    "engagement.unliked",
    "engagement.favorited",
    "engagement.unfavorited",
    "engagement.commented",
    "engagement.comment_deleted",
    "engagement.shared",
    "engagement.level_changed",
    "engagement.content_deleted",
    "engagement.user_deleted",
];

/// What an event changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Somebody did something, or took it back.
    Act(Act),
    /// A content is no more.
    ContentGone { content_id: Uuid, author_id: Uuid },
    /// A user is no more.
    UserGone { user_id: Uuid },
}

/// A register: of the acts with the same notification and subject, the one with the highest sequence holds, in
/// whichever order they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Act {
    /// Who is told.
    pub(super) user_id: Uuid,
    /// Of which content.
    pub(super) content_id: Uuid,
    /// Of what.
    pub(super) kind: Kind,
    /// What can be taken back: the actor's one like, favorite or share; a comment; a level.
    pub(super) subject_id: Uuid,
    /// Who did it; of a rise the content itself.
    pub(super) actor_id: Uuid,
    /// Of a rise; 0 for others.
    pub(super) level: i16,
    /// Whether it was done, or taken back.
    pub(super) present: bool,
    /// The event's.
    pub(super) sequence: i64,
    /// The event's moment.
    pub(super) acted_at: Millis,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Acted {
    content_id: Uuid,
    author_id: Uuid,
    user_id: Uuid,
    comment_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelChanged {
    content_id: Uuid,
    author_id: Uuid,
    level: i16,
    previous_level: i16,
    /// Whether the fall is that of an act taken back, not of time.
    #[serde(default)]
    taken_back: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentDeleted {
    content_id: Uuid,
    author_id: Uuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserDeleted {
    user_id: Uuid,
}

/// What an event changes, nothing for one's own acts.
///
/// # Errors
/// For an event that is not of its form: it is set aside, where an operator sees it.
pub(super) fn changes(event: &Delivered) -> Result<Vec<Change>> {
    let one = |kind, present| acted(event, kind, present).map(|act| act.map(Change::Act).into_iter().collect());
    match event.kind.as_str() {
        "engagement.liked" => one(Kind::Liked, true),
        "engagement.unliked" => one(Kind::Liked, false),
        "engagement.favorited" => one(Kind::Favorited, true),
        "engagement.unfavorited" => one(Kind::Favorited, false),
        "engagement.commented" => one(Kind::Commented, true),
        "engagement.comment_deleted" => one(Kind::Commented, false),
        "engagement.shared" => one(Kind::Shared, true),
        "engagement.level_changed" => Ok(levels(event, &payload(event)?)),
        "engagement.content_deleted" => {
            let ContentDeleted { content_id, author_id } = payload(event)?;
            Ok(vec![Change::ContentGone { content_id, author_id }])
        }
        "engagement.user_deleted" => {
            let UserDeleted { user_id } = payload(event)?;
            Ok(vec![Change::UserGone { user_id }])
        }
        other => Err(Error::internal(format!("notifications do not take {other}"))),
    }
}

fn payload<T: DeserializeOwned>(event: &Delivered) -> Result<T> {
    T::deserialize(&event.payload).map_err(|error| Error::internal(format!("{} {}: {error}", event.kind, event.id)))
}

fn acted(event: &Delivered, kind: Kind, present: bool) -> Result<Option<Act>> {
    let Acted { content_id, author_id, user_id, comment_id } = payload(event)?;
    let subject_id = match kind {
        Kind::Commented => comment_id.ok_or_else(|| Error::internal(format!("{} without a comment", event.id)))?,
        _ => user_id,
    };
    let act = Act {
        user_id: author_id,
        content_id,
        kind,
        subject_id,
        actor_id: user_id,
        level: 0,
        present,
        sequence: event.sequence,
        acted_at: event.at,
    };
    Ok((user_id != author_id).then_some(act))
}

/// A rise tells of each level that it reaches. A fall takes back what it leaves, if an act that was taken back is its
/// cause; what time takes away was reached all the same.
fn levels(event: &Delivered, change: &LevelChanged) -> Vec<Change> {
    let (below, above) = (change.previous_level.min(change.level), change.previous_level.max(change.level));
    let present = change.level > change.previous_level;
    if !present && !change.taken_back {
        return Vec::new();
    }
    let crossed = (below + 1..=above).filter(|level| *level >= Level::Warm.number());
    let act = |level: i16| Act {
        user_id: change.author_id,
        content_id: change.content_id,
        kind: Kind::LevelUp,
        subject_id: Uuid::from_u128(level.unsigned_abs().into()),
        actor_id: change.content_id,
        level,
        present,
        sequence: event.sequence,
        acted_at: event.at,
    };
    crossed.map(act).map(Change::Act).collect()
}
