//! What the cells of the module's tables may hold: the list that the check `types` goes through.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::integrity::Due::{Int, IntOrNull, Known, Real, Small};
use crate::kernel::integrity::Left::{All, Neutral, Now};
use crate::kernel::integrity::{Cell, Cells, Table};
use crate::modules::engagement::content::key;
use crate::modules::engagement::graphql::{ContentId, content_id_text};
use crate::modules::engagement::store::in_force;

/// Figures become 0, or nothing, for the checks that follow to find. Facts nobody can tell.
pub(in super::super) const TYPES: Cells =
    Cells { module: "engagement", name: "types", tables: TABLES, changed: Some(changed), item };

fn item(id: &str) -> Option<(i16, Uuid)> {
    Some(key(id.parse::<ContentId>().ok()?.uuid))
}

/// Figures changed behind the back of the servers' rank indexes.
fn changed(tx: &Tx) -> BoxFuture<'_, Result<()>> {
    Box::pin(in_force::generation_raise(tx))
}

const KIND: &str = "(SELECT k.kind FROM contents k WHERE k.lane = t.lane AND k.id = t.content_id)";

const fn of_content(name: &'static str, cells: &'static [Cell]) -> Table {
    Table { name, id: "content_id", row: None, kind: KIND, text: content_id_text, cells }
}

/// The version of the settings that figures beside those in force are made with.
const NEXT: &str = "coalesce((SELECT coalesce(h.next_version, h.version) FROM heat_in_force h WHERE h.one = 1), 0)";

const TABLES: &[Table] = &[
    Table {
        name: "contents",
        id: "id",
        row: None,
        kind: "t.kind",
        text: content_id_text,
        cells: &[
            Cell("kind", Known(0, 1), All),
            Cell("status", Known(0, 2), All),
            Cell("published_at", Int, All),
            Cell("quality", Int, All),
            Cell("base_weight", Int, All),
        ],
    },
    of_content("content_figures", &FIGURES),
    of_content("content_figures_next", &FIGURES_NEXT),
    Table { row: Some("epoch"), ..of_content("content_heat", MASS) },
    Table { row: Some("epoch"), ..of_content("content_heat_next", MASS) },
    Table {
        row: Some("figure"),
        ..of_content(
            "content_openings",
            &[Cell("figure", Known(0, 4), All), Cell("count", Int, All), Cell("at", Int, All)],
        )
    },
    of_content(
        "behaviors",
        &[Cell("kind", Known(0, 1), All), Cell("acted_at", Int, All), Cell("removed_at", IntOrNull, All)],
    ),
    of_content("comments", &[Cell("commented_at", Int, All), Cell("deleted_at", IntOrNull, All)]),
    of_content("shares", &[Cell("shared_at", Int, All)]),
    of_content("content_views", &[Cell("hour", Int, All)]),
    of_content("content_view_hours", &[Cell("hour", Int, All), Cell("count", Int, All)]),
    of_content(
        "content_view_epochs",
        &[Cell("heat_version", Int, All), Cell("epoch", Int, All), Cell("count", Int, All), Cell("mass", Int, All)],
    ),
    of_content(
        "hot_history",
        &[
            Cell("hot_score", Real, All),
            Cell("hot_level", Small, All),
            Cell("calculated_at", Int, All),
            Cell("calculation_method", Small, All),
        ],
    ),
];

const MASS: &[Cell] = &[Cell("mass", Int, Neutral("0"))];

const FIGURES: [Cell; 13] = figures("0");
const FIGURES_NEXT: [Cell; 13] = figures(NEXT);

/// The columns of figures. Without a version of the settings a row would be of nothing.
const fn figures(heat_version: &'static str) -> [Cell; 13] {
    [
        Cell("version", Int, Now),
        Cell("like_count", Int, Neutral("0")),
        Cell("favorite_count", Int, Neutral("0")),
        Cell("comment_count", Int, Neutral("0")),
        Cell("share_count", Int, Neutral("0")),
        Cell("view_count", Int, Neutral("0")),
        Cell("heat", IntOrNull, Neutral("NULL")),
        Cell("wake_at", IntOrNull, Neutral("NULL")),
        Cell("hot_level", Small, Neutral("0")),
        Cell("hot_score", Real, Neutral("0.0")),
        Cell("last_hot_update", Int, Neutral("0")),
        Cell("last_history_at", Int, Neutral("0")),
        Cell("heat_version", Int, Neutral(heat_version)),
    ]
}
