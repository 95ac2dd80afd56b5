//! Publishes an artwork or a video: the content, its first mass, its first row of history.

use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::error::{Error, Result};
use crate::kernel::text;
use crate::modules::engagement::content::{ContentInfo, ContentRecord, Detail, Kind, Status};
use crate::modules::engagement::hotness::{Fact, Weight, artwork_quality};
use crate::modules::engagement::item::Item;
use crate::modules::engagement::work::{Cause, Work};

/// Largest weight by hand, in points.
const BASE_WEIGHT_MOST: f64 = 1_000_000.0;
/// Longest side of a picture, in pixels.
const SIDE_MOST: i64 = 100_000;

/// A content to be.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// Whose it is, an existing user.
    pub author_id: Uuid,
    /// What it is called, 1 to 200 characters.
    pub title: String,
    /// A picture of it.
    pub cover_url: Option<String>,
    /// The platform's own id, unique, at most 200 characters.
    pub external_id: Option<String>,
    /// The author's key: publishing with it again returns the first content.
    pub client_key: Option<String>,
    /// What it was made of: opaque here.
    pub source: Option<String>,
    /// A weight by hand, in points, 0 to 1,000,000.
    pub base_weight: Option<f64>,
    /// When it was published, if that was earlier; `None`: now.
    pub published_at: Option<Millis>,
    /// What only its kind has.
    pub detail: Detail,
}

/// A checked [`NewContent`] with its id.
#[derive(Clone, Debug)]
pub(in crate::modules::engagement) struct Publish {
    pub(in crate::modules::engagement) info: ContentInfo,
    pub(in crate::modules::engagement) client_key: Option<String>,
    pub(in crate::modules::engagement) published_at: Option<Millis>,
}

/// What came of publishing.
#[derive(Clone, Debug)]
pub struct PublishOutcome {
    /// The content.
    pub content: ContentRecord,
    /// Whether it is new; otherwise it is the one that the client key made before.
    pub created: bool,
}

impl NewContent {
    /// Checks all texts and numbers.
    ///
    /// # Errors
    /// [`crate::kernel::error::Code::INVALID_INPUT`], naming the field.
    pub(in crate::modules::engagement) fn check(self, id: Uuid) -> Result<Publish> {
        let (kind, quality, detail) = check_detail(self.detail)?;
        let base_weight = self.base_weight.unwrap_or(0.0);
        if !(0.0..=BASE_WEIGHT_MOST).contains(&base_weight) {
            return Err(Error::invalid(format!("baseWeight must be from 0 to {BASE_WEIGHT_MOST}")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        let base_weight = libm::round(base_weight * 1000.0) as i64;
        Ok(Publish {
            info: ContentInfo {
                id,
                external_id: text::optional("externalId", self.external_id.as_deref(), 200)?,
                kind,
                author_id: self.author_id,
                title: text::required("title", &self.title, 200)?,
                cover_url: text::optional_url("coverUrl", self.cover_url.as_deref())?,
                status: Status::Published,
                deleted: false,
                published_at: Millis(0),
                quality,
                base_weight,
                source: text::optional("source", self.source.as_deref(), 200)?,
                detail,
            },
            client_key: text::optional("clientKey", self.client_key.as_deref(), 200)?,
            published_at: self.published_at,
        })
    }
}

fn check_detail(detail: Detail) -> Result<(Kind, i64, Detail)> {
    match detail {
        Detail::Artwork { prompt, model, width, height, image_url } => {
            let prompt = text::optional("prompt", prompt.as_deref(), 10_000)?;
            let model = text::optional("model", model.as_deref(), 200)?;
            let size = match (width, height) {
                (None, None) => None,
                (Some(width @ 1..=SIDE_MOST), Some(height @ 1..=SIDE_MOST)) => Some((width, height)),
                _ => {
                    let bounds = format!("width and height come together, from 1 to {SIDE_MOST}");
                    return Err(Error::invalid(bounds));
                }
            };
            let quality = artwork_quality(size, prompt.is_some(), model.is_some());
            let image_url = text::optional_url("imageUrl", image_url.as_deref())?;
            Ok((Kind::Artwork, quality, Detail::Artwork { prompt, model, width, height, image_url }))
        }
        Detail::Video { item_id, duration_ms, video_url } => {
            if duration_ms.is_some_and(|duration| duration < 0) {
                return Err(Error::invalid("durationMs must not be negative"));
            }
            let item_id = text::optional("itemId", item_id.as_deref(), 200)?;
            let video_url = text::optional_url("videoUrl", video_url.as_deref())?;
            Ok((Kind::Video, 1000, Detail::Video { item_id, duration_ms, video_url }))
        }
    }
}

/// The fact that a content was published.
pub(in crate::modules::engagement) fn publication(info: &ContentInfo) -> Fact {
    Fact { weight: Weight::Publish { by_hand: info.base_weight }, at: info.published_at, count: 1 }
}

/// Folds a publication into a batch.
///
/// # Errors
/// An external id, or a client key of another kind of content, that is taken: nothing is changed then.
pub(in crate::modules::engagement) fn fold(work: &mut Work<'_>, publish: &Publish) -> Result<PublishOutcome> {
    let author_id = publish.info.author_id;
    let key = publish.client_key.as_ref().and_then(|key| work.client_keys.get(&(author_id, key.clone())));
    let external_id = publish.info.external_id.as_ref().and_then(|id| work.external_ids.get(id));
    for taken in [key, external_id].into_iter().flatten() {
        work.refuse_foreign(*taken)?;
    }
    if let Some(key) = &publish.client_key
        && let Some(first) = work.client_keys.get(&(author_id, key.clone())).copied()
        // The key of one that was deleted meanwhile is free.
        && let Ok(item) = work.item(first)
    {
        if item.info.kind != publish.info.kind {
            return Err(Error::conflict("this clientKey published a content of another kind"));
        }
        return Ok(PublishOutcome { content: item.record(), created: false });
    }
    if let Some(external_id) = &publish.info.external_id
        && let Some(owner) = work.external_ids.get(external_id).copied()
        && work.item(owner).is_ok()
    {
        return Err(Error::conflict("another content has this externalId"));
    }

    let (hotness, at) = (*work.hotness, publish.published_at.unwrap_or(work.now));
    let info = ContentInfo { published_at: at, ..publish.info.clone() };
    let mut item = Item::new(work, info, publish.client_key.clone());
    item.add(&hotness, &publication(&item.info))?;
    item.touch(&hotness, Cause::Published, at);

    let (id, content) = (item.info.id, item.record());
    if let Some(key) = &publish.client_key {
        work.client_keys.insert((author_id, key.clone()), id);
    }
    if let Some(external_id) = &item.info.external_id {
        work.external_ids.insert(external_id.clone(), id);
    }
    work.items.insert(id, item);
    Ok(PublishOutcome { content, created: true })
}
