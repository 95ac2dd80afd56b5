//! THE LIST of tables and columns that are looked for, and the names that are tried where no mapping gives one.

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// How tally calls it; also its name, unless a mapping gives another.
    pub name: &'static str,
    /// What tally reads of it.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// How tally calls it; the first name that is tried.
    pub name: &'static str,
    /// Other names that are tried, in order. Each is also tried in `camelCase`, and whatever its case.
    pub others: &'static [&'static str],
    /// Whether the table is of no use without it.
    pub needed: bool,
}

const fn needed(name: &'static str) -> Column {
    Column { name, others: &[], needed: true }
}

const fn needed_as(name: &'static str, others: &'static [&'static str]) -> Column {
    Column { name, others, needed: true }
}

const fn known(name: &'static str, others: &'static [&'static str]) -> Column {
    Column { name, others, needed: false }
}

const CREATED: Column = known("created_at", &["created", "create_time", "created_time", "gmt_create"]);
const AUTHOR: Column = known("author_id", &["user_id", "creator_id", "owner_id"]);
const RELATION: &[Column] = &[needed("artwork_id"), needed("user_id"), CREATED];

/// Works with counters and hotness.
pub const ARTWORKS: Table = Table {
    name: "artworks",
    columns: &[
        needed("id"),
        known("like_count", &["likes_count"]),
        known("favorite_count", &["favorites_count"]),
        known("comment_count", &["comments_count"]),
        known("share_count", &["shares_count"]),
        known("view_count", &["views_count"]),
        known("hot_score", &[]),
        known("hot_level", &[]),
        known("last_hot_update", &["hot_updated_at"]),
        AUTHOR,
        known("title", &["name"]),
        CREATED,
        known("prompt", &[]),
        known("model", &[]),
        known("width", &[]),
        known("height", &[]),
        known("image_url", &["url"]),
    ],
};

/// Who liked what.
pub const LIKES: Table = Table { name: "artworks_like", columns: RELATION };

/// Who has what among the favorites.
pub const FAVORITES: Table = Table { name: "artworks_favorite", columns: RELATION };

/// What users did to videos.
pub const BEHAVIORS: Table = Table {
    name: "user_behaviors",
    columns: &[
        needed("user_id"),
        needed("video_id"),
        needed("behavior_type"),
        known("behavior_time", &["created_at", "created"]),
    ],
};

/// Users. Where there is such a table, whoever is not in it does not exist.
pub const USERS: Table =
    Table { name: "users", columns: &[needed("id"), known("name", &["nickname", "username"]), CREATED] };

/// Videos. Where there is such a table, what is not in it does not exist.
pub const VIDEOS: Table =
    Table { name: "videos", columns: &[needed("id"), known("title", &["name"]), AUTHOR, CREATED] };

/// How many points students have.
pub const ACCOUNTS: Table = Table {
    name: "student_points",
    columns: &[
        needed_as("student_id", &["user_id"]),
        needed_as("points", &["balance", "total_points", "current_points"]),
    ],
};

/// What changed them. `points_change` has a sign, unless the mapping says otherwise.
pub const TRANSACTIONS: Table = Table {
    name: "point_transactions",
    columns: &[
        known("id", &["transaction_id"]),
        needed_as("student_id", &["user_id"]),
        known("teacher_id", &["operator_id", "created_by"]),
        needed_as("points_change", &["points", "amount", "change"]),
        known("transaction_type", &["type"]),
        known("reason", &["description", "remark", "note"]),
        CREATED,
    ],
};

/// All of them, in the order in which they are taken over.
pub const TABLES: [Table; 8] = [USERS, ARTWORKS, VIDEOS, LIKES, FAVORITES, BEHAVIORS, ACCOUNTS, TRANSACTIONS];

/// Those of which one is enough.
pub const USEFUL: [Table; 6] = [ARTWORKS, LIKES, FAVORITES, BEHAVIORS, ACCOUNTS, TRANSACTIONS];

/// The hot columns of [`ARTWORKS`].
pub const HOT: [&str; 3] = ["hot_score", "hot_level", "last_hot_update"];

impl Column {
    /// Whether a column of somebody's table is this one, at the place of the name in the order of names.
    #[must_use]
    pub fn place(&self, theirs: &str) -> Option<usize> {
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        let mut names = std::iter::once(&self.name).chain(self.others);
        names.position(|name| plain(name) == plain(theirs))
    }
}
