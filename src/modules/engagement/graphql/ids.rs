//! Ids of contents at the edge.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::{Id, a_kind, parse_any};
use crate::modules::engagement::content::Kind;

crate::id_kind! {
    /// Ids of artworks.
    ArtworkKind = "artwork";
    /// Ids of videos.
    VideoKind = "video";
    /// Ids of comments.
    CommentKind = "comment";
    /// Ids of shares.
    ShareKind = "share";
}

/// The id of an artwork or a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentId {
    /// What the prefix says.
    pub kind: Kind,
    /// Which one.
    pub uuid: Uuid,
}

impl FromStr for ContentId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = "expected an artwork or video id";
        let (prefix, uuid) = parse_any(text).map_err(|_| Error::invalid(expected))?;
        let kind = match prefix.as_str() {
            "artwork" => Kind::Artwork,
            "video" => Kind::Video,
            other => return Err(Error::invalid(format!("{expected}, got {}", a_kind(other)))),
        };
        Ok(Self { kind, uuid })
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Artwork => Id::<ArtworkKind>::new(self.uuid).fmt(f),
            Kind::Video => Id::<VideoKind>::new(self.uuid).fmt(f),
        }
    }
}

crate::id_scalar!([] ContentId);

/// The TypeID of a content whose kind is a stored number.
pub(in crate::modules::engagement) fn content_id_text(kind: i16, uuid: Uuid) -> String {
    let kind = if kind == i16::from(Kind::Artwork.number()) { Kind::Artwork } else { Kind::Video };
    ContentId { kind, uuid }.to_string()
}
