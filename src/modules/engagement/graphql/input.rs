//! Inputs and payloads of mutations.

use async_graphql::{InputObject, SimpleObject};

use super::types::{Artwork, Content, Video};
use crate::kernel::id::Id;
use crate::modules::users::UserKind;

/// An artwork to publish.
#[derive(InputObject)]
pub struct PublishArtworkInput {
    /// What it is called, 1 to 200 characters.
    pub(super) title: String,
    /// The words that it was made from, at most 10,000 characters; raises its quality.
    pub(super) prompt: Option<String>,
    /// The model that made it, at most 200 characters; raises its quality.
    pub(super) model: Option<String>,
    /// Its width in pixels, 1 to 100,000; together with height. Megapixels, up to 2, are its quality.
    pub(super) width: Option<i64>,
    /// Its height in pixels, 1 to 100,000; together with width.
    pub(super) height: Option<i64>,
    /// The picture itself: `https://…`, `http://…` or a path that begins with `/`, at most 2,000 characters.
    pub(super) image_url: Option<String>,
    /// A picture for lists: `https://…`, `http://…` or a path that begins with `/`, at most 2,000 characters.
    pub(super) cover_url: Option<String>,
    /// The platform's own id, unique among all contents, at most 200 characters.
    pub(super) external_id: Option<String>,
    /// The author's key, at most 200 characters: publishing with it again returns the first content.
    pub(super) client_key: Option<String>,
    /// What it was made of, at most 200 characters: opaque to tally.
    pub(super) source: Option<String>,
    /// Whose it is, the token's user when left out; for services and operators.
    pub(super) author_id: Option<Id<UserKind>>,
    /// Points by hand, 0 to 1,000,000, from the moment of publishing; for services and operators.
    pub(super) base_weight: Option<f64>,
}

/// A video to publish.
#[derive(InputObject)]
pub struct PublishVideoInput {
    /// What it is called, 1 to 200 characters.
    pub(super) title: String,
    /// The video platform's item id, at most 200 characters.
    pub(super) item_id: Option<String>,
    /// How long it is, in milliseconds, from 0.
    pub(super) duration_ms: Option<i64>,
    /// The video itself: `https://…`, `http://…` or a path that begins with `/`, at most 2,000 characters.
    pub(super) video_url: Option<String>,
    /// A picture for lists: `https://…`, `http://…` or a path that begins with `/`, at most 2,000 characters.
    pub(super) cover_url: Option<String>,
    /// The platform's own id, unique among all contents, at most 200 characters.
    pub(super) external_id: Option<String>,
    /// The author's key, at most 200 characters: publishing with it again returns the first content.
    pub(super) client_key: Option<String>,
    /// What it was made of, at most 200 characters: opaque to tally.
    pub(super) source: Option<String>,
    /// Whose it is, the token's user when left out; for services and operators.
    pub(super) author_id: Option<Id<UserKind>>,
    /// Points by hand, 0 to 1,000,000, from the moment of publishing; for services and operators.
    pub(super) base_weight: Option<f64>,
}

/// What came of publishing an artwork.
#[derive(SimpleObject)]
pub struct PublishArtworkPayload {
    /// The artwork.
    pub(super) artwork: Artwork,
    /// Whether it is new; false: the client key had published it before.
    pub(super) created: bool,
}

/// What came of publishing a video.
#[derive(SimpleObject)]
pub struct PublishVideoPayload {
    /// The video.
    pub(super) video: Video,
    /// Whether it is new; false: the client key had published it before.
    pub(super) created: bool,
}

/// What came of showing or hiding a content.
#[derive(SimpleObject)]
pub struct ContentPayload {
    /// The content after it.
    pub(super) content: Content,
    /// Whether it changed anything.
    pub(super) changed: bool,
}

/// What came of a like or favorite, or of taking one back.
#[derive(SimpleObject)]
pub struct BehaviorPayload {
    /// The content after it.
    pub(super) content: Content,
    /// Whether it changed anything; a repeat does not.
    pub(super) changed: bool,
}

/// What came of a batch.
#[derive(SimpleObject)]
pub struct BatchResult {
    /// How many were asked for.
    pub(super) total: i64,
    /// How many were done.
    pub(super) succeeded: i64,
    /// How many were not.
    pub(super) failed: i64,
    /// Why, one for each that was not.
    pub(super) errors: Vec<BatchError>,
}

/// Why one of a batch was not done.
#[derive(SimpleObject)]
pub struct BatchError {
    /// Which one.
    pub(super) id: async_graphql::ID,
    /// What was wrong with it.
    pub(super) message: String,
}

/// What came of a deletion.
#[derive(SimpleObject)]
pub struct DeletePayload {
    /// What was to be deleted.
    pub(super) id: async_graphql::ID,
    /// Whether there was something to delete; false: it was deleted before, or never there.
    pub(super) changed: bool,
}
