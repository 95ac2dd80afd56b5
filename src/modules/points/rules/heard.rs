//! What an event of engagement means for points.

use serde::Deserialize;
use uuid::Uuid;

use super::Act;
use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::events::Delivered;

/// The events that the consumer takes, what they are of, and whether they are of its beginning or its end.
const EVENTS: [(&str, Act, bool); 7] = [
    ("engagement.liked", Act::Like, true),
    ("engagement.unliked", Act::Like, false),
    ("engagement.favorited", Act::Favorite, true),
    ("engagement.unfavorited", Act::Favorite, false),
    ("engagement.commented", Act::Comment, true),
    ("engagement.comment_deleted", Act::Comment, false),
    ("engagement.shared", Act::Share, true),
];

/// Their names.
pub(super) const KINDS: &[&str] =
    &[EVENTS[0].0, EVENTS[1].0, EVENTS[2].0, EVENTS[3].0, EVENTS[4].0, EVENTS[5].0, EVENTS[6].0];

/// What a kind of event is of, and whether it is of its beginning.
pub(super) fn act_of(kind: &str) -> Option<(Act, bool)> {
    EVENTS.into_iter().find(|(name, ..)| *name == kind).map(|(_, act, on)| (act, on))
}

/// What the newest event of decides: an author's award for one act on one content. Of a comment the subject is the
/// comment, else who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct Subject {
    pub(in super::super) author: Uuid,
    pub(in super::super) act: Act,
    pub(in super::super) content: Uuid,
    pub(in super::super) id: Uuid,
}

/// What was heard of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) subject: Subject,
    /// Whether it was done, or taken back.
    pub(super) on: bool,
    /// The content's kind, as engagement numbers it.
    pub(super) content_kind: u8,
    /// The event's.
    pub(super) sequence: i64,
    /// The event's moment: of a like that of the like.
    pub(super) at: Millis,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Acted {
    content_id: Uuid,
    author_id: Uuid,
    user_id: Uuid,
    kind: u8,
    comment_id: Option<Uuid>,
}

/// What an event says; nothing for one's own acts.
///
/// # Errors
/// For an event that is not of its form: it is set aside, where an operator sees it.
pub(super) fn heard(event: &Delivered) -> Result<Option<Heard>> {
    let wrong = |what: String| Error::internal(format!("{} {}: {what}", event.kind, event.id));
    let (act, on) = act_of(&event.kind).ok_or_else(|| wrong("no such act".to_owned()))?;
    let acted = Acted::deserialize(&event.payload).map_err(|error| wrong(error.to_string()))?;
    let id = match act {
        Act::Comment => acted.comment_id.ok_or_else(|| wrong("no comment".to_owned()))?,
        Act::Like | Act::Favorite | Act::Share => acted.user_id,
    };
    let subject = Subject { author: acted.author_id, act, content: acted.content_id, id };
    let heard = Heard { subject, on, content_kind: acted.kind, sequence: event.sequence, at: event.at };
    Ok((acted.user_id != acted.author_id).then_some(heard))
}
