//! What rules know of acts.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::{Error, Result};
use crate::modules::points::ledger::lane;
use crate::modules::points::rules::{Act, Award, Day, Known, Subject, seal};

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

pub(super) fn act(row: &QueryResult) -> Result<Act> {
    let number: i16 = row.try_get("", "rule")?;
    Act::from_number(number).ok_or_else(|| Error::internal(format!("{number} is no rule")))
}

pub(super) fn subject(row: &QueryResult) -> Result<Subject> {
    let act = act(row)?;
    let id = |name| row.try_get("", name);
    Ok(Subject { author: id("user_id")?, act, content: id("content_id")?, id: id("subject_id")? })
}

pub(super) fn known(row: &QueryResult) -> Result<Known, DbErr> {
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
            ("seal", Col::Bytes),
        ];
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let text = format!(
            "INSERT INTO point_rule_acts ({names}) SELECT {names} FROM {{rows}} WHERE true
             ON CONFLICT (lane, user_id, rule, content_id, subject_id) DO UPDATE SET sequence = excluded.sequence,
             acted_at = excluded.acted_at, day = excluded.day, award_id = excluded.award_id,
             points = excluded.points, day_most = excluded.day_most, seal = excluded.seal"
        );
        Sql::new(&text, COLUMNS)
    });
    let mut rows = SQL.rows();
    for (subject, known) in acts {
        let (Subject { author, act, content, id }, award) = (subject, known.award);
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
            seal(lane(author), subject, known).into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

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
