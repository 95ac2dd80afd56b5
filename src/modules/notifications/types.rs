//! What the cells of the module's tables may hold: the list that the check `notification-types` goes through.

use uuid::Uuid;

use super::graphql::notification_id_text;
use super::notification::lane;
use crate::kernel::id::Id;
use crate::kernel::integrity::Due::{Int, IntOrNull, Known, Small};
use crate::kernel::integrity::Left::{All, Neutral, Now};
use crate::kernel::integrity::{Cell, Cells, Table};
use crate::modules::users::UserKind;

/// Figures become 0, or nothing, for the checks that follow to find. What users did nobody can tell.
pub(super) const TYPES: Cells =
    Cells { module: "notifications", name: "notification-types", tables: TABLES, changed: None, item };

/// Of a user: the others are found by theirs.
fn item(id: &str) -> Option<(i16, Uuid)> {
    let user = id.parse::<Id<UserKind>>().ok()?.uuid();
    Some((lane(user), user))
}

fn user(_: i16, id: Uuid) -> String {
    Id::<UserKind>::new(id).to_string()
}

fn notification(_: i16, id: Uuid) -> String {
    notification_id_text(id)
}

const TABLES: &[Table] = &[
    Table {
        name: "notification_totals",
        id: "user_id",
        row: None,
        kind: "0",
        text: user,
        cells: &[Cell("version", Int, Now), Cell("unread_count", Int, Neutral("0"))],
    },
    Table {
        name: "notifications",
        id: "id",
        row: None,
        kind: "0",
        text: notification,
        cells: &[
            Cell("kind", Known(0, 4), All),
            Cell("version", Int, Neutral("0")),
            Cell("actor_count", Int, Neutral("0")),
            Cell("level", Small, Neutral("0")),
            Cell("newest_sequence", Int, Neutral("-1")),
            // As if it had never been read.
            Cell("read_sequence", Int, Neutral("-1")),
            Cell("read_at", IntOrNull, Neutral("NULL")),
            Cell("unread", Small, Neutral("0")),
            Cell("created_at", Int, Neutral("0")),
            Cell("updated_at", Int, Neutral("0")),
        ],
    },
    Table {
        name: "notification_acts",
        id: "notification_id",
        row: None,
        kind: "0",
        text: notification,
        cells: &[
            Cell("level", Small, All),
            Cell("sequence", Int, All),
            Cell("acted_at", Int, All),
            Cell("present", Small, All),
        ],
    },
];
