//! What the check of rules compares: the rows of the register as they are stored, and the ledgers beside them.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, TryGetable, Value};
use uuid::Uuid;

use super::recount::users_beside_accounts;
use super::rules::{known, subject};
use super::{KEYS, keys, limit};
use crate::kernel::db::Sql;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;
use crate::modules::points::ledger::Kind;
use crate::modules::points::rules::{Act, Known, SYSTEM, Subject};

/// Which rows have a user by whom they are found. SQLite takes anything into this table.
const KEYED: &str = "typeof(lane) = 'integer' AND lane BETWEEN -32768 AND 32767
     AND typeof(user_id) = 'blob' AND length(user_id) = 16";

/// The users after `after` who have an account, or of whose contents an act is known.
pub(in super::super) async fn user_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let which = if backend == DbBackend::Sqlite { KEYED } else { "true" };
    users_beside_accounts(connection, backend, ("point_rule_acts", which), after, size).await
}

/// Lane and user of the rows of which one of the two cannot be read, as the database writes them; the first 1,000.
pub(in super::super) async fn unkeyed(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
) -> Result<Vec<(String, String)>> {
    if backend != DbBackend::Sqlite {
        return Ok(Vec::new());
    }
    let text =
        format!("SELECT quote(lane) AS l, quote(user_id) AS u FROM point_rule_acts WHERE NOT ({KEYED}) LIMIT 1000");
    let found = connection.query_all_raw(Statement::from_string(backend, text)).await?;
    Ok(found.iter().map(|row| Ok((row.try_get("", "l")?, row.try_get("", "u")?))).collect::<Result<_, DbErr>>()?)
}

/// An act that is known, and what the ledger has under the id of its award.
pub(in super::super) struct Standing {
    pub(in super::super) key: Key,
    /// None of a row whose rule is none.
    pub(in super::super) subject: Option<Subject>,
    pub(in super::super) known: Known,
    /// None of a row that was written before there were seals.
    pub(in super::super) seal: Option<Vec<u8>>,
    pub(in super::super) entry: Option<AwardEntry>,
}

/// A row of the register.
pub(in super::super) enum Registered {
    /// One that can be read.
    Read(Standing),
    /// One with a value that is none of its column's.
    Unreadable {
        /// Whose.
        key: Key,
        /// The first such field.
        field: &'static str,
    },
}

impl Registered {
    pub(in super::super) fn key(&self) -> Key {
        match self {
            Self::Read(Standing { key, .. }) | Self::Unreadable { key, .. } => *key,
        }
    }
}

/// What a ledger says of an award.
#[derive(Clone, Debug, FromQueryResult)]
pub(in super::super) struct AwardEntry {
    pub(in super::super) entry_user: Uuid,
    pub(in super::super) entry_kind: i16,
    pub(in super::super) entry_amount: i64,
    pub(in super::super) entry_actor: Uuid,
    pub(in super::super) entry_key: String,
}

/// Where a page of rows begins.
#[derive(Clone, Debug)]
pub(in super::super) enum From {
    /// With the first row of the users after this one.
    After(Key),
    /// With the first row of this user.
    Of(Key),
    /// Behind this row.
    Row([Value; 5]),
}

/// The columns of a row's place.
const PLACE: [&str; 5] = ["lane", "user_id", "rule", "content_id", "subject_id"];

/// A column as it is stored, whatever it holds.
fn raw(row: &QueryResult, column: &str) -> Result<Value, DbErr> {
    let number = row.try_get::<i64>("", column).map(Value::from);
    let number = number.or_else(|_| row.try_get::<i16>("", column).map(Value::from));
    let number = number.or_else(|_| row.try_get::<f64>("", column).map(Value::from));
    let text = number.or_else(|_| row.try_get::<String>("", column).map(Value::from));
    let id = text.or_else(|_| row.try_get::<Uuid>("", column).map(Value::from));
    id.or_else(|_| row.try_get::<Vec<u8>>("", column).map(Value::from))
}

/// The rows up to the user `to`, and behind which the next page begins.
pub(in super::super) async fn standing_page(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    from: From,
    to: Key,
    size: usize,
) -> Result<(Vec<Registered>, Option<From>)> {
    let (which, mut values) = match from {
        From::After((lane, user)) => ("(a.lane, a.user_id) > ($1, $2)", vec![lane.into(), user.into()]),
        From::Of((lane, user)) => ("(a.lane, a.user_id) >= ($1, $2)", vec![lane.into(), user.into()]),
        From::Row(place) => {
            ("(a.lane, a.user_id, a.rule, a.content_id, a.subject_id) > ($1, $2, $3, $4, $5)", place.to_vec())
        }
    };
    let n = values.len();
    // Of rows that no user finds `unkeyed` tells.
    let keyed = match backend {
        DbBackend::Sqlite => KEYED.replace("lane", "a.lane").replace("user_id", "a.user_id"),
        _ => "true".to_owned(),
    };
    let text = format!(
        "SELECT a.lane, a.user_id, a.rule, a.content_id, a.subject_id, a.sequence, a.acted_at, a.day, a.award_id,
             a.points, a.day_most, a.seal, t.user_id AS entry_user, t.kind AS entry_kind, t.amount AS entry_amount,
             t.actor_id AS entry_actor, t.idempotency_key AS entry_key
         FROM point_rule_acts a LEFT JOIN point_transactions t ON t.lane = a.lane AND t.id = a.award_id
         WHERE {which} AND (a.lane, a.user_id) <= (${}, ${}) AND {keyed}
         ORDER BY a.lane, a.user_id, a.rule, a.content_id, a.subject_id LIMIT ${}",
        n + 1,
        n + 2,
        n + 3
    );
    values.extend([to.0.into(), to.1.into(), limit(size).into()]);
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let rows = found.iter().map(registered).collect::<Result<Vec<_>, DbErr>>()?;
    let next = match found.last().filter(|_| found.len() == size) {
        Some(last) => {
            let [lane, user, rule, content, subject] = PLACE.map(|column| raw(last, column));
            Some(From::Row([lane?, user?, rule?, content?, subject?]))
        }
        None => None,
    };
    Ok((rows, next))
}

fn not<T: TryGetable>(row: &QueryResult, column: &str) -> bool {
    row.try_get::<T>("", column).is_err()
}

/// Whether a column of a row is not of its type.
type Unreadable = fn(&QueryResult, &str) -> bool;

/// Fields, their columns and types; those of the key apart.
const COLUMNS: [(&str, &str, Unreadable); 10] = [
    ("rule", "rule", not::<i16>),
    ("contentId", "content_id", not::<Uuid>),
    ("subjectId", "subject_id", not::<Uuid>),
    ("sequence", "sequence", not::<i64>),
    ("actedAt", "acted_at", not::<i64>),
    ("day", "day", not::<i64>),
    ("awardId", "award_id", not::<Option<Uuid>>),
    ("points", "points", not::<i64>),
    ("dayMost", "day_most", not::<i64>),
    ("seal", "seal", not::<Option<Vec<u8>>>),
];

fn registered(row: &QueryResult) -> Result<Registered, DbErr> {
    let key = (row.try_get("", "lane")?, row.try_get("", "user_id")?);
    if let Some((field, ..)) = COLUMNS.iter().find(|(_, column, unreadable)| unreadable(row, column)) {
        return Ok(Registered::Unreadable { key, field });
    }
    let there: Option<Uuid> = row.try_get("", "entry_user")?;
    Ok(Registered::Read(Standing {
        key,
        subject: subject(row).ok(),
        known: known(row)?,
        seal: row.try_get("", "seal")?,
        entry: there.map(|_| AwardEntry::from_query_result(row, "")).transpose()?,
    }))
}

/// What [`awards_without_act`] finds; `fields` of `t`, and what comes behind.
fn without_act(fields: &str, then: &str) -> Sql {
    let words: Vec<_> = Act::ALL.iter().map(|act| format!("t.idempotency_key LIKE '{}:%'", act.word())).collect();
    let text = format!(
        "SELECT {fields} FROM {{rows}} {{cross}} point_transactions t
         ON t.lane = r.lane AND t.user_id = r.id AND t.actor_id = {{1}}
         WHERE t.kind = {} AND ({}) AND NOT EXISTS (SELECT 1 FROM point_transactions v
             WHERE v.lane = t.lane AND v.user_id = t.user_id AND v.reverses_id = t.id)
         AND NOT EXISTS (SELECT 1 FROM point_rule_acts a
             WHERE a.lane = t.lane AND a.user_id = t.user_id AND a.award_id = t.id) {then}",
        Kind::AddPoints.number(),
        words.join(" OR "),
    );
    Sql::new(&text, KEYS)
}

/// Awards of rules in a user's ledger that no act stands for and no reversal takes back: id and key; the first 1,000.
pub(in super::super) async fn awards_without_act(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    user: Key,
) -> Result<Vec<(Uuid, String)>> {
    static SQL: LazyLock<Sql> =
        LazyLock::new(|| without_act("t.id, t.idempotency_key", "ORDER BY t.sequence LIMIT 1000"));
    let statement = SQL.bind(backend, keys(&SQL, [user]), [SYSTEM.into()]);
    let found = connection.query_all_raw(statement).await?;
    let award = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "idempotency_key")?));
    Ok(found.iter().map(award).collect::<Result<_, DbErr>>()?)
}

/// Those of these users who have such awards: all of them, however many one has.
pub(in super::super) async fn users_without_act(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<Vec<Key>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| without_act("DISTINCT t.lane, t.user_id", ""));
    let statement = SQL.bind(backend, keys(&SQL, wanted.iter().copied()), [SYSTEM.into()]);
    users(&connection.query_all_raw(statement).await?)
}

fn users(rows: &[QueryResult]) -> Result<Vec<Key>> {
    let user = |row: &QueryResult| Ok((row.try_get("", "lane")?, row.try_get("", "user_id")?));
    Ok(rows.iter().map(user).collect::<Result<_, DbErr>>()?)
}

/// A day that gave more than it might.
#[derive(Clone, Debug, FromQueryResult)]
pub(in super::super) struct DayOver {
    pub(in super::super) lane: i16,
    pub(in super::super) user_id: Uuid,
    pub(in super::super) rule: i16,
    pub(in super::super) day: i64,
    pub(in super::super) given: i64,
    pub(in super::super) most: i64,
}

/// What [`days_over`] finds; a selection of `g`, and what comes behind.
fn over(fields: &str, then: &str) -> Sql {
    // Points that no rule gives are named with their award; a sum of them might be none.
    let text = format!(
        "SELECT {fields} FROM (
             SELECT a.lane, a.user_id, a.rule, a.day, CAST(sum(a.points) AS bigint) AS given,
                 CAST(max(a.day_most) AS bigint) AS most
             FROM {{rows}} {{cross}} point_rule_acts a ON a.lane = r.lane AND a.user_id = r.id
                 AND a.award_id IS NOT NULL AND a.points BETWEEN 1 AND 1000000
             GROUP BY a.lane, a.user_id, a.rule, a.day HAVING sum(a.points) > max(a.day_most)) g {then}"
    );
    Sql::new(&text, KEYS)
}

/// The days of a user on which awards that stand are more than the rule allowed when the last of them was given; the
/// first 1,000. A rule that allows less later takes nothing back.
pub(in super::super) async fn days_over(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    user: Key,
) -> Result<Vec<DayOver>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| over("g.*", "ORDER BY g.rule, g.day LIMIT 1000"));
    let found = connection.query_all_raw(SQL.bind(backend, keys(&SQL, [user]), [])).await?;
    // One that cannot be read is named with its row.
    Ok(found.iter().filter_map(|row| DayOver::from_query_result(row, "").ok()).collect())
}

/// Those of these users who have such days: all of them, however many one has.
pub(in super::super) async fn users_over(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    wanted: &[Key],
) -> Result<Vec<Key>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| over("DISTINCT g.lane, g.user_id", ""));
    users(&connection.query_all_raw(SQL.bind(backend, keys(&SQL, wanted.iter().copied()), [])).await?)
}
