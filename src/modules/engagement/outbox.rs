//! What engagement tells durable consumers: the kinds and payloads of its events.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::content::{BehaviorKind, ContentRecord};
use crate::kernel::clock::Millis;

/// Characters of a comment that an event carries.
const BEGINNING: usize = 200;
/// Events of one content in one batch at most: the ordinal's bits in a sequence.
const ORDINAL_BITS: u32 = 20;

/// What happened to a content.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happened {
    /// A like or favorite, or one taken back.
    Acted { user: Uuid, kind: BehaviorKind, on: bool },
    /// A comment, with its beginning.
    Commented { comment: Uuid, user: Uuid, body: String },
    /// A comment of `user` is gone.
    CommentDeleted { comment: Uuid, user: Uuid },
    /// A share.
    Shared { user: Uuid, channel: &'static str },
    /// The announced level, by all of a batch. `taken_back`: not because of time, but of an act that was undone.
    LevelChanged { level: i16, previous: i16, score: f64, taken_back: bool },
    /// It was deleted.
    ContentDeleted,
}

/// An event to be, of a content in work.
pub(super) struct Pending {
    pub(super) content: Uuid,
    pub(super) at: Millis,
    author: Uuid,
    kind: u8,
    happened: Happened,
}

impl Pending {
    pub(super) fn new(content: &ContentRecord, at: Millis, happened: Happened) -> Self {
        let info = &content.info;
        Self { content: info.id, at, author: info.author_id, kind: info.kind.number(), happened }
    }

    /// The name that consumers know it by.
    pub(super) fn name(&self) -> &'static str {
        match self.happened {
            Happened::Acted { kind: BehaviorKind::Like, on: true, .. } => "engagement.liked",
            Happened::Acted { kind: BehaviorKind::Like, on: false, .. } => "engagement.unliked",
            Happened::Acted { kind: BehaviorKind::Favorite, on: true, .. } => "engagement.favorited",
            Happened::Acted { kind: BehaviorKind::Favorite, on: false, .. } => "engagement.unfavorited",
            Happened::Commented { .. } => "engagement.commented",
            Happened::CommentDeleted { .. } => "engagement.comment_deleted",
            Happened::Shared { .. } => "engagement.shared",
            Happened::LevelChanged { .. } => "engagement.level_changed",
            Happened::ContentDeleted => "engagement.content_deleted",
        }
    }

    /// What consumers need to know.
    pub(super) fn payload(&self) -> Value {
        let mut payload =
            json!({ "contentId": self.content, "kind": self.kind, "authorId": self.author, "at": self.at });
        let own = match &self.happened {
            Happened::Acted { user, .. } => json!({ "userId": user }),
            Happened::Commented { comment, user, body } => {
                json!({ "userId": user, "commentId": comment, "body": body })
            }
            Happened::CommentDeleted { comment, user } => json!({ "userId": user, "commentId": comment }),
            Happened::Shared { user, channel } => json!({ "userId": user, "channel": channel }),
            Happened::LevelChanged { level, previous, score, taken_back } => {
                json!({ "level": level, "previousLevel": previous, "score": score, "takenBack": taken_back })
            }
            Happened::ContentDeleted => json!({}),
        };
        if let (Value::Object(payload), Value::Object(own)) = (&mut payload, own) {
            payload.extend(own);
        }
        payload
    }
}

/// The place of each event among all of its content: the content's version, then the order in the batch.
pub(super) fn sequences<'a>(
    events: &'a [Pending],
    version: impl Fn(Uuid) -> i64 + 'a,
) -> impl Iterator<Item = (&'a Pending, i64)> {
    let mut ordinals: HashMap<Uuid, i64> = HashMap::new();
    events.iter().map(move |event| {
        let ordinal = ordinals.entry(event.content).or_default();
        let sequence = (version(event.content) << ORDINAL_BITS) | *ordinal;
        *ordinal += 1;
        (event, sequence)
    })
}

/// The beginning of a text.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(BEGINNING).collect()
}
