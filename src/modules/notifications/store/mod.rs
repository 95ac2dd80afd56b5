//! All SQL of the module: `read` for resolvers, `batch` for writers, `clean` for what is removed, `recount` for checks.

pub(super) mod batch;
pub(super) mod clean;
pub(super) mod read;
pub(super) mod recount;

use uuid::Uuid;

use crate::kernel::db::{Col, Rows, Sql};

/// What [`super::notification::NotificationRecord`] is read from.
const NOTIFICATION: &str = "n.id, n.user_id, n.content_id, n.kind, n.version, n.actor_count, n.last_actor_id, n.level, \
     n.newest_sequence, n.read_sequence, n.unread, n.read_at, n.created_at, n.updated_at";

/// A look for the notification of a key `r`, on PostgreSQL: the first one from there on, which the caller compares.
/// Four indexes begin with the lane, and of an empty table they are all as good; only one has this order.
const NEXT_BY_KEY: &str = "FROM notifications WHERE (lane, id) >= (r.lane, r.id) ORDER BY lane, id LIMIT 1";

/// The columns of a key.
const KEYS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];

fn keys(sql: &Sql, keys: impl IntoIterator<Item = (i16, Uuid)>) -> Rows {
    let mut rows = sql.rows();
    for (lane, id) in keys {
        rows.push([lane.into(), id.into()]);
    }
    rows
}
