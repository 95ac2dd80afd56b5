//! What resolvers read.

use std::sync::LazyLock;

use sea_orm::{DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{DETAILS, FIGURES, INFO, NO_HEAT, ORDER_HEAT};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql};
use crate::kernel::error::Result;
use crate::kernel::page::Page;
use crate::kernel::ranking::Standing;
use crate::modules::engagement::content::{ContentRecord, DELETED, Kind, Status, key};

fn records(found: &[sea_orm::QueryResult]) -> Result<Vec<ContentRecord>> {
    Ok(found.iter().map(|row| ContentRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// Those that can be read. One that cannot be is no reason to keep the others from anybody; the check `types` names it.
fn readable(found: &[sea_orm::QueryResult]) -> Vec<ContentRecord> {
    let read = |row| match ContentRecord::from_query_result(row, "") {
        Ok(record) => Some(record),
        Err(error) => {
            let id: Option<Uuid> = row.try_get("", "id").ok();
            tracing::error!(?id, %error, "a content cannot be read: `tally check --check types` says why");
            None
        }
    };
    found.iter().filter_map(read).collect()
}

/// Contents by their ids, in no order; unknown ones, and those that cannot be read, are left out.
pub(in super::super) async fn content_by_ids(db: &Db, ids: &[Uuid]) -> Result<Vec<ContentRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!(
                "SELECT {INFO}, {FIGURES} FROM {{rows}} {{cross}} contents c ON c.lane = r.lane AND c.id = r.id
                 JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id {DETAILS}
                 WHERE c.status <> {DELETED}"
            ),
            &[("lane", Col::Small), ("id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for id in ids {
        let (lane, id) = key(*id);
        rows.push([lane.into(), id.into()]);
    }
    Ok(readable(&db.query(SQL.bind(db.backend(), rows, [])).await?))
}

/// Which of these contents there are, in no order.
pub(in super::super) async fn content_present(db: &Db, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT c.id FROM {rows} {cross} contents c ON c.lane = r.lane AND c.id = r.id",
            &[("lane", Col::Small), ("id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for id in ids {
        let (lane, id) = key(*id);
        rows.push([lane.into(), id.into()]);
    }
    let found = db.query(SQL.bind(db.backend(), rows, [])).await?;
    Ok(found.iter().map(|row| row.try_get("", "id")).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// Contents by the platform's own ids, in no order; unknown ones are left out.
pub(in super::super) async fn content_by_external_ids(db: &Db, external_ids: &[String]) -> Result<Vec<ContentRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!(
                "SELECT {INFO}, {FIGURES} FROM {{rows}} {{cross}} contents c ON c.external_id = r.external_id
                 JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id {DETAILS}"
            ),
            &[("external_id", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for external_id in external_ids {
        rows.push([external_id.clone().into()]);
    }
    records(&db.query(SQL.bind(db.backend(), rows, [])).await?)
}

/// What a list of contents is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ContentOrder")]
pub enum Order {
    /// Hottest first. A content that moves between two pages can be met twice or not at all; `hotRanking` is one
    /// consistent list.
    Hottest,
    /// Published last first.
    Newest,
    /// Published first first.
    Oldest,
}

/// Which contents of a kind a list shows.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Filter {
    /// Of this kind.
    pub(in super::super) kind: Kind,
    /// Of this author.
    pub(in super::super) author_id: Option<Uuid>,
    /// Published at this moment or later.
    pub(in super::super) published_since: Option<Millis>,
    /// Published before this moment.
    pub(in super::super) published_before: Option<Millis>,
    /// Of this heat or hotter.
    pub(in super::super) heat_from: Option<i64>,
    /// Less hot than this.
    pub(in super::super) heat_below: Option<i64>,
}

impl Filter {
    /// The conditions and their values. One text for each set of conditions, not for each set of values.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut text = format!("c.kind = $1 AND c.status = {}", Status::Published.number());
        let mut values: Vec<Value> = vec![i16::from(self.kind.number()).into()];
        let mut and = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                values.push(value);
                text.push_str(&format!(" AND {condition} ${}", values.len()));
            }
        };
        and("c.author_id =", self.author_id.map(Value::from));
        and("c.published_at >=", self.published_since.map(|at| at.0.into()));
        and("c.published_at <", self.published_before.map(|at| at.0.into()));
        and(&format!("{ORDER_HEAT} >="), self.heat_from.map(Value::from));
        and(&format!("{ORDER_HEAT} <"), self.heat_below.map(Value::from));
        (text, values)
    }
}

/// Contents with their figures, to be read in the order of heat. Of all: a walk along the index of heat, which both
/// databases would leave for a sort of everything. Of few: as the database likes.
fn by_heat(backend: DbBackend, of_all: bool) -> &'static str {
    match (of_all, backend) {
        (true, DbBackend::Postgres) => {
            "content_figures f CROSS JOIN LATERAL
                 (SELECT * FROM contents w WHERE w.lane = f.lane AND w.id = f.content_id OFFSET 0) c"
        }
        (true, _) => "content_figures f CROSS JOIN contents c ON c.lane = f.lane AND c.id = f.content_id",
        (false, _) => "content_figures f JOIN contents c ON c.lane = f.lane AND c.id = f.content_id",
    }
}

/// The same in the order of time: a walk along one of its indexes, unless heat leaves few.
fn by_time(backend: DbBackend, filter: &Filter) -> &'static str {
    let by_heat = filter.heat_from.is_some() || filter.heat_below.is_some();
    match (by_heat, backend, filter.author_id) {
        (true, ..) => "contents c JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id",
        (false, DbBackend::Postgres, _) => {
            "contents c CROSS JOIN LATERAL
                 (SELECT * FROM content_figures w WHERE w.lane = c.lane AND w.content_id = c.id OFFSET 0) f"
        }
        (false, _, None) => {
            "contents c INDEXED BY contents_by_time CROSS JOIN content_figures f
                 ON f.lane = c.lane AND f.content_id = c.id"
        }
        (false, _, Some(_)) => {
            "contents c INDEXED BY contents_by_author CROSS JOIN content_figures f
                 ON f.lane = c.lane AND f.content_id = c.id"
        }
    }
}

/// One content more than the page holds, in the direction of reading.
pub(in super::super) async fn content_page(
    db: &Db,
    filter: &Filter,
    order: Order,
    page: &Page,
) -> Result<Vec<ContentRecord>> {
    let (mut text, mut values) = filter.conditions();
    let (by, descending) = match order {
        Order::Hottest => (ORDER_HEAT, true),
        Order::Newest => ("c.published_at", true),
        Order::Oldest => ("c.published_at", false),
    };
    // Lists by heat walk the index of the narrow table, lists by time that of contents.
    let (tie, from) = match order {
        Order::Hottest => {
            let of_few = filter.author_id.is_some() || filter.published_since.is_some();
            ("f.content_id", by_heat(db.backend(), !of_few))
        }
        Order::Newest | Order::Oldest => ("c.id", by_time(db.backend(), filter)),
    };
    let reads_down = descending != page.backward;
    let (further, back) = if reads_down { ("<", ">") } else { (">", "<") };
    for (cursor, side) in [(page.from, further), (page.until, back)] {
        if let Some(cursor) = cursor {
            values.push(cursor.value.unwrap_or(NO_HEAT).into());
            values.push(cursor.id.into());
            text.push_str(&format!(" AND ({by}, {tie}) {side} (${}, ${})", values.len() - 1, values.len()));
        }
    }
    let direction = if reads_down { "DESC" } else { "ASC" };
    values.push(i64::try_from(page.size + 1).unwrap_or(i64::MAX).into());
    let text = format!(
        "SELECT {INFO}, {FIGURES} FROM {from} {DETAILS} WHERE {text}
         ORDER BY {by} {direction}, {tie} {direction} LIMIT ${}",
        values.len()
    );
    records(&db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?)
}

/// How many contents a list has, and which version of the settings is in force at that moment.
pub(in super::super) async fn content_count(db: &Db, filter: &Filter) -> Result<(i64, i64)> {
    let (text, values) = filter.conditions();
    let by_heat = filter.heat_from.is_some() || filter.heat_below.is_some();
    let figures = if by_heat { "JOIN content_figures f ON f.lane = c.lane AND f.content_id = c.id" } else { "" };
    let text = format!(
        "SELECT count(*) AS n, (SELECT version FROM heat_in_force WHERE one = 1) AS version FROM contents c {figures} WHERE {text}"
    );
    let statement = Statement::from_sql_and_values(db.backend(), text, values);
    let rows = db.query(statement).await?;
    let counted = rows.first().map(|row| Ok((row.try_get("", "n")?, row.try_get("", "version")?)));
    Ok(counted.transpose().map_err(|error: sea_orm::DbErr| error)?.unwrap_or((0, 0)))
}

/// The best `size` of a kind (`None`: of all), of those published since `since`: for the moments in which the rank index
/// has not caught up with the settings in force. It walks down the index of heat until it has enough. What cannot be read is
/// in no ranking.
pub(in super::super) async fn ranking(
    db: &Db,
    kind: Option<u8>,
    since: Option<Millis>,
    size: usize,
) -> Result<Vec<ContentRecord>> {
    let text = format!(
        "SELECT {INFO}, {FIGURES} FROM {} {DETAILS}
         WHERE c.status = {} AND c.kind >= $1 AND c.kind <= $2 AND c.published_at >= $3
         ORDER BY {ORDER_HEAT} DESC, f.content_id DESC LIMIT $4",
        by_heat(db.backend(), since.is_none()),
        Status::Published.number()
    );
    let (least, most) = kind.map_or((i16::MIN, i16::MAX), |kind| (i16::from(kind), i16::from(kind)));
    let since = since.map_or(i64::MIN, |since| since.0);
    let values: [Value; 4] = [least.into(), most.into(), since.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    Ok(found.iter().filter_map(|row| ContentRecord::from_query_result(row, "").ok()).collect())
}

/// A user's standing towards a content.
#[derive(FromQueryResult)]
pub(in super::super) struct ViewerRow {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) user_id: Uuid,
    pub(in super::super) kind: i16,
}

/// The likes and favorites that hold, of pairs of content and user.
pub(in super::super) async fn behavior_by_pairs(db: &Db, pairs: &[(Uuid, Uuid)]) -> Result<Vec<ViewerRow>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT b.content_id, b.user_id, b.kind FROM {rows} {cross} behaviors b
             ON b.lane = r.lane AND b.content_id = r.id AND b.user_id = r.user_id WHERE b.removed_at IS NULL",
            &[("lane", Col::Small), ("id", Col::Id), ("user_id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for (content, user) in pairs {
        let (lane, id) = key(*content);
        rows.push([lane.into(), id.into(), (*user).into()]);
    }
    let found = db.query(SQL.bind(db.backend(), rows, [])).await?;
    Ok(found.iter().map(|row| ViewerRow::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// A row of history.
#[derive(Clone, Debug, FromQueryResult)]
pub(in super::super) struct HistoryRecord {
    pub(in super::super) content_id: Uuid,
    pub(in super::super) hot_score: f64,
    pub(in super::super) hot_level: i16,
    pub(in super::super) calculated_at: Millis,
    pub(in super::super) calculation_method: i16,
}

/// The newest `size` rows of history of each content, oldest first.
pub(in super::super) async fn history_by_ids(db: &Db, ids: &[Uuid], size: usize) -> Result<Vec<HistoryRecord>> {
    // The first row that still belongs to the newest ones is found in the key; from there it is a range.
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT h.content_id, h.hot_score, h.hot_level, h.calculated_at, h.calculation_method
             FROM {rows} {cross} hot_history h ON h.lane = r.lane AND h.content_id = r.id AND h.id >= coalesce(
                 (SELECT n.id FROM hot_history n WHERE n.lane = r.lane AND n.content_id = r.id
                  ORDER BY n.id DESC LIMIT 1 OFFSET {1}), {2})
             ORDER BY h.content_id, h.calculated_at, h.id",
            &[("lane", Col::Small), ("id", Col::Id)],
        )
    });
    let mut rows = SQL.rows();
    for id in ids {
        let (lane, id) = key(*id);
        rows.push([lane.into(), id.into()]);
    }
    let offset = i64::try_from(size).unwrap_or(i64::MAX) - 1;
    let statement = SQL.bind(db.backend(), rows, [offset.into(), Uuid::nil().into()]);
    let found = db.query(statement).await?;
    Ok(found.iter().map(|row| HistoryRecord::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// A chunk of what the rank index holds.
pub(in super::super) struct StandingChunk {
    /// In key order, each with its version of the settings.
    pub(in super::super) standings: Vec<(Standing, i64)>,
    /// Contents whose row holds what is no number: kind and id.
    pub(in super::super) unreadable: Vec<(i16, Uuid)>,
    /// The last content of both; `None`: there is none any more.
    pub(in super::super) last: Option<Uuid>,
    /// How many they are together.
    pub(in super::super) size: usize,
}

/// A chunk of what the rank index holds, after `after`.
pub(in super::super) async fn standing_chunk(db: &Db, after: (i16, Uuid), size: usize) -> Result<StandingChunk> {
    let text = "SELECT f.content_id, f.version, f.heat, f.heat_version, c.kind, c.status, c.published_at
         FROM content_figures f JOIN contents c ON c.lane = f.lane AND c.id = f.content_id
         WHERE (f.lane, f.content_id) > ($1, $2) ORDER BY f.lane, f.content_id LIMIT $3";
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let values: [Value; 3] = [after.0.into(), after.1.into(), size.into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
    let ids = found.iter().map(|row| row.try_get("", "content_id"));
    let ids: Vec<Uuid> = ids.collect::<Result<_, sea_orm::DbErr>>()?;
    let standing = |row: &sea_orm::QueryResult| {
        let standing = Standing {
            id: row.try_get("", "content_id")?,
            version: row.try_get("", "version")?,
            board: u8::try_from(row.try_get::<i16>("", "kind")?).unwrap_or(u8::MAX),
            heat: row.try_get("", "heat")?,
            since: row.try_get("", "published_at")?,
            listed: row.try_get::<i16>("", "status")? == Status::Published.number(),
        };
        Ok::<_, sea_orm::DbErr>((standing, row.try_get("", "heat_version")?))
    };
    let mut chunk =
        StandingChunk { standings: Vec::new(), unreadable: Vec::new(), last: ids.last().copied(), size: ids.len() };
    for (row, id) in found.iter().zip(ids) {
        match standing(row) {
            Ok(standing) => chunk.standings.push(standing),
            Err(_) => chunk.unreadable.push((row.try_get("", "kind").unwrap_or(0), id)),
        }
    }
    Ok(chunk)
}
