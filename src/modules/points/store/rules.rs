//! What rules know of acts, and what their check compares.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use super::recount::users_beside_accounts;
use super::{KEYS, keys, limit};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Key;
use crate::modules::points::ledger::{Kind, lane};
use crate::modules::points::rules::{Act, Award, Day, Known, SYSTEM, Subject};

const SUBJECT: &[(&str, Col)] = &[
    ("lane", Col::Small),
    ("user_id", Col::Id),
    ("rule", Col::Small),
    ("content_id", Col::Id),
    ("subject_id", Col::Id),
];

static BY_SUBJECTS: LazyLock<Sql> = LazyLock::new(|| {
    let fields = "t.user_id, t.rule, t.content_id, t.subject_id, t.sequence, t.acted_at, t.day, t.award_id, t.points,
         t.day_most";
    Sql::of_both(
        &format!(
            "SELECT {fields} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_rule_acts a
             WHERE (a.lane, a.user_id, a.rule, a.content_id, a.subject_id)
                 >= (r.lane, r.user_id, r.rule, r.content_id, r.subject_id)
             ORDER BY a.lane, a.user_id, a.rule, a.content_id, a.subject_id LIMIT 1) t
             WHERE t.user_id = r.user_id AND t.rule = r.rule AND t.content_id = r.content_id
             AND t.subject_id = r.subject_id"
        ),
        &format!(
            "SELECT {fields} FROM {{rows}} {{cross}} point_rule_acts t ON t.lane = r.lane AND t.user_id = r.user_id
             AND t.rule = r.rule AND t.content_id = r.content_id AND t.subject_id = r.subject_id"
        ),
        SUBJECT,
    )
});

fn act(row: &QueryResult) -> Result<Act> {
    let number: i16 = row.try_get("", "rule")?;
    Act::from_number(number).ok_or_else(|| Error::internal(format!("{number} is no rule")))
}

fn subject(row: &QueryResult) -> Result<Subject> {
    let act = act(row)?;
    let id = |name| row.try_get("", name);
    Ok(Subject { author: id("user_id")?, act, content: id("content_id")?, id: id("subject_id")? })
}

fn known(row: &QueryResult) -> Result<Known, DbErr> {
    let award: Option<Uuid> = row.try_get("", "award_id")?;
    let number = |name| row.try_get("", name);
    let award = award.map(|id| Ok::<_, DbErr>(Award { id, points: number("points")?, day_most: number("day_most")? }));
    Ok(Known {
        sequence: number("sequence")?,
        at: Millis(number("acted_at")?),
        day: number("day")?,
        award: award.transpose()?,
    })
}

/// What is known of these subjects; the accounts of their authors are locked.
pub(in super::super) async fn act_by_subjects(
    tx: &Tx,
    wanted: impl IntoIterator<Item = Subject>,
) -> Result<BTreeMap<Subject, Known>> {
    let mut rows = BY_SUBJECTS.rows();
    for Subject { author, act, content, id } in wanted {
        rows.push([lane(author).into(), author.into(), act.number().into(), content.into(), id.into()]);
    }
    let found = tx.connection().query_all_raw(BY_SUBJECTS.bind(tx.backend(), rows, [])).await?;
    found.iter().map(|row| Ok((subject(row)?, known(row)?))).collect()
}

static DAY_SUMS: LazyLock<Sql> = LazyLock::new(|| {
    const DAYS: &[(&str, Col)] = &[("lane", Col::Small), ("user_id", Col::Id), ("rule", Col::Small), ("day", Col::Int)];
    Sql::of_both(
        "SELECT r.user_id, r.rule, r.day, CAST(sum(t.points) AS bigint) AS n FROM {rows}
         CROSS JOIN LATERAL (SELECT d.points FROM point_rule_acts d
             WHERE d.lane = r.lane AND d.user_id = r.user_id AND d.rule = r.rule AND d.day = r.day
             AND d.award_id IS NOT NULL ORDER BY d.acted_at LIMIT 1000000) t
         GROUP BY r.user_id, r.rule, r.day",
        "SELECT r.user_id, r.rule, r.day, sum(d.points) AS n FROM {rows} {cross} point_rule_acts d
         ON d.lane = r.lane AND d.user_id = r.user_id AND d.rule = r.rule AND d.day = r.day
         AND d.award_id IS NOT NULL GROUP BY r.user_id, r.rule, r.day",
        DAYS,
    )
});

/// What the awards that stand of these days add up to; days without any are left out.
pub(in super::super) async fn day_sums(tx: &Tx, days: impl IntoIterator<Item = Day>) -> Result<HashMap<Day, i64>> {
    let mut rows = DAY_SUMS.rows();
    for (author, act, day) in days {
        rows.push([lane(author).into(), author.into(), act.number().into(), day.into()]);
    }
    let found = tx.connection().query_all_raw(DAY_SUMS.bind(tx.backend(), rows, [])).await?;
    let sum = |row: &QueryResult| {
        Ok(((row.try_get("", "user_id")?, act(row)?, row.try_get("", "day")?), row.try_get("", "n")?))
    };
    found.iter().map(sum).collect()
}

/// Writes what is known, in key order.
pub(in super::super) async fn act_put(tx: &Tx, acts: impl IntoIterator<Item = (Subject, Known)>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        const COLUMNS: &[(&str, Col)] = &[
            ("lane", Col::Small),
            ("user_id", Col::Id),
            ("rule", Col::Small),
            ("content_id", Col::Id),
            ("subject_id", Col::Id),
            ("sequence", Col::Int),
            ("acted_at", Col::Int),
            ("day", Col::Int),
            ("award_id", Col::OptId),
            ("points", Col::Int),
            ("day_most", Col::Int),
        ];
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let text = format!(
            "INSERT INTO point_rule_acts ({names}) SELECT {names} FROM {{rows}} WHERE true
             ON CONFLICT (lane, user_id, rule, content_id, subject_id) DO UPDATE SET sequence = excluded.sequence,
             acted_at = excluded.acted_at, day = excluded.day, award_id = excluded.award_id,
             points = excluded.points, day_most = excluded.day_most"
        );
        Sql::new(&text, COLUMNS)
    });
    let mut rows = SQL.rows();
    for (Subject { author, act, content, id }, known) in acts {
        let award = known.award;
        rows.push([
            lane(author).into(),
            author.into(),
            act.number().into(),
            content.into(),
            id.into(),
            known.sequence.into(),
            known.at.0.into(),
            known.day.into(),
            award.map(|award| award.id).into(),
            award.map_or(0, |award| award.points).into(),
            award.map_or(0, |award| award.day_most).into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// The users after `after` who have an account, or of whose contents an act is known.
pub(in super::super) async fn user_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    users_beside_accounts(connection, backend, "point_rule_acts", after, size).await
}

/// An award that is said to stand, and what the ledger has under its id.
pub(in super::super) struct Standing {
    pub(in super::super) key: Key,
    /// None of a row whose rule is none.
    pub(in super::super) subject: Option<Subject>,
    pub(in super::super) known: Known,
    pub(in super::super) entry: Option<AwardEntry>,
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

/// The awards of all users up to `to` that are said to stand, after one of a user.
pub(in super::super) async fn standing_range(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    from: (Key, Uuid),
    to: Key,
    size: usize,
) -> Result<Vec<Standing>> {
    let text =
        "SELECT a.lane, a.user_id, a.rule, a.content_id, a.subject_id, a.sequence, a.acted_at, a.day, a.award_id,
             a.points, a.day_most, t.user_id AS entry_user, t.kind AS entry_kind, t.amount AS entry_amount,
             t.actor_id AS entry_actor, t.idempotency_key AS entry_key
         FROM point_rule_acts a LEFT JOIN point_transactions t ON t.lane = a.lane AND t.id = a.award_id
         WHERE a.award_id IS NOT NULL AND (a.lane, a.user_id, a.award_id) > ($1, $2, $3)
         AND (a.lane, a.user_id) <= ($4, $5) ORDER BY a.lane, a.user_id, a.award_id LIMIT $6";
    let ((lane, user), award) = from;
    let values: [Value; 6] = [lane.into(), user.into(), award.into(), to.0.into(), to.1.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let standing = |row: &QueryResult| {
        let there: Option<Uuid> = row.try_get("", "entry_user")?;
        Ok(Standing {
            key: (row.try_get("", "lane")?, row.try_get("", "user_id")?),
            subject: subject(row).ok(),
            known: known(row)?,
            entry: there.map(|_| AwardEntry::from_query_result(row, "")).transpose()?,
        })
    };
    found.iter().map(standing).collect()
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
    Ok(found.iter().map(|row| DayOver::from_query_result(row, "")).collect::<Result<_, _>>()?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::db::{Migrations, plans};

    /// Planned while the tables are empty, and not again until they are vacuumed: each look-up walks its own index.
    #[tokio::test]
    async fn look_ups_walk_their_index_from_the_first_row_on() {
        let module = Migrations { module: "points", list: tally_migration::points::migrations };
        let wanted = [(&BY_SUBJECTS, "point_rule_acts_pkey"), (&DAY_SUMS, "point_rule_acts_by_day")];
        let texts = wanted.map(|(sql, _)| sql.text(DbBackend::Postgres));
        let found = plans::of_empty_tables(&[module], &texts).await.unwrap();
        for (plans, (sql, index)) in found.iter().zip(&wanted) {
            for plan in plans {
                let text = sql.text(DbBackend::Postgres);
                assert!(plan.contains(&format!("using {index} ")), "{text}:\n{plan}");
                assert!(!plan.contains("Seq Scan"), "{text}:\n{plan}");
            }
        }
    }
}
