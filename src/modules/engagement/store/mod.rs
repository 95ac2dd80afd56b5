//! All SQL of the module: `read` for resolvers, `batch` for the writer, `recount`, `rollups` and `explain` for checks and
//! explanations, `repairs` for what they put right, `types` for what cannot be read, `facts`, `in_force` and `next` for recalculations, `retention` for what
//! goes in time, and what concerns one table alone.

pub(super) mod batch;
pub(super) mod comments;
pub(super) mod deletions;
pub(super) mod due;
pub(super) mod explain;
pub(super) mod facts;
pub(super) mod in_force;
pub(super) mod next;
pub(super) mod openings;
pub(super) mod people;
mod plans;
pub(super) mod publish;
pub(super) mod read;
pub(super) mod recount;
pub(super) mod repairs;
pub(super) mod retention;
pub(super) mod rollups;
pub(super) mod shares;
pub(super) mod suspicion;
pub(super) mod types;
pub(super) mod views;

/// What [`super::content::ContentInfo`] is read from; `c`, `a` and `v` are the three tables.
const INFO: &str = "c.id, c.external_id, c.kind, c.author_id, c.title, c.cover_url, c.status, c.published_at, c.quality, \
     c.base_weight, c.source, a.prompt, a.model, a.width, a.height, a.image_url, v.item_id, v.duration_ms, v.video_url";

/// What only one kind has.
const DETAILS: &str = "LEFT JOIN artworks a ON a.lane = c.lane AND a.content_id = c.id \
     LEFT JOIN videos v ON v.lane = c.lane AND v.content_id = c.id";

/// What [`super::content::Figures`] is read from.
const FIGURES: &str = "f.version, f.like_count, f.favorite_count, f.comment_count, f.share_count, f.view_count, f.heat, \
     f.wake_at, f.hot_level, f.hot_score, f.last_hot_update, f.last_history_at, f.heat_version";

/// The heat that lists are ordered by: one without heat is below all others, on both databases. The text is that of
/// the index.
const ORDER_HEAT: &str = "coalesce(f.heat, -4611686018427387904)";
/// The stand-in itself.
const NO_HEAT: i64 = -4_611_686_018_427_387_904;
