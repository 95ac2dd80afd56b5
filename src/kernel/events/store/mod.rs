//! The statements of the outbox: those of writers and relays here.

mod lease;
mod report;

use std::sync::LazyLock;

use sea_orm::{FromQueryResult, Statement};
use uuid::Uuid;

pub(super) use lease::{Term, fence, lease_is_of_another, lease_release, lease_renew, lease_take};
pub(crate) use report::{
    Backlog, SetAside, backlogs, consumers_with_set_aside, discard, replay, set_aside_page, set_aside_prune,
};
pub(super) use report::{Late, has_set_aside, key_first_beside, key_waits, late, oldest};

use super::{Delivered, Event};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::{Code, Error, Result};
use crate::kernel::id::Lane;

/// The rows of a batch are not as they were read: another relay, or an operator, was there in between.
pub(super) const STALE: Code = Code("STALE");

static PUT: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "INSERT INTO outbox (consumer, lane, key, sequence, id, kind, payload, created_at, attempts, due_at)
         SELECT r.consumer, r.lane, r.key, r.sequence, r.id, r.kind, r.payload, r.created_at, 0, r.due_at
         FROM {rows} WHERE true",
        &[
            ("consumer", Col::Text),
            ("lane", Col::Small),
            ("key", Col::Id),
            ("sequence", Col::Int),
            ("id", Col::Id),
            ("kind", Col::Text),
            ("payload", Col::Text),
            ("created_at", Col::Int),
            ("due_at", Col::Int),
        ],
    )
});

/// Writes one row per event and consumer that takes its kind.
pub(super) async fn put(tx: &Tx, now: Millis, rows: Vec<(&'static str, &Event)>) -> Result<()> {
    let mut values = PUT.rows();
    for (consumer, event) in rows {
        values.push([
            consumer.into(),
            i16::from(Lane::of(event.key).0).into(),
            event.key.into(),
            event.sequence.into(),
            event.id.into(),
            event.kind.into(),
            event.payload.to_string().into(),
            event.at.0.into(),
            now.0.into(),
        ]);
    }
    tx.write_all(&PUT, values).await
}

/// An event that is due.
#[derive(FromQueryResult)]
pub(super) struct Due {
    pub(super) lane: i16,
    pub(super) key: Uuid,
    pub(super) sequence: i64,
}

const DUE: &str = "SELECT lane, key, sequence FROM outbox
    WHERE consumer = $1 AND set_aside_at IS NULL AND due_at <= $2 ORDER BY due_at LIMIT $3";

/// What is due longest, up to `most`.
pub(super) async fn due(db: &Db, consumer: &str, now: Millis, most: i64) -> Result<Vec<Due>> {
    let values = [consumer.into(), now.0.into(), most.into()];
    let found = db.query_by_key(Statement::from_sql_and_values(db.backend(), DUE, values)).await?;
    Ok(found.iter().map(|row| Due::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

const IS_ASTRAY: &str =
    "SELECT 1 AS one FROM outbox WHERE consumer = $1 AND set_aside_at IS NULL AND due_at > $2 LIMIT 1";
const ASTRAY: &str = "UPDATE outbox SET due_at = $2 WHERE consumer = $1 AND set_aside_at IS NULL AND due_at > $3";

/// Whether an event would wait until after `longest`.
pub(super) async fn is_astray(db: &Db, consumer: &str, longest: Millis) -> Result<bool> {
    let values = [consumer.into(), longest.0.into()];
    Ok(!db.query_by_key(Statement::from_sql_and_values(db.backend(), IS_ASTRAY, values)).await?.is_empty())
}

/// Makes due what would wait until after `longest`: a clock that jumped said when. How many events.
pub(super) async fn set_right(tx: &Tx, consumer: &str, now: Millis, longest: Millis) -> Result<u64> {
    let values = [consumer.into(), now.0.into(), longest.0.into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), ASTRAY, values)).await?.rows_affected())
}

/// An event that waits, as its row holds it.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Row {
    pub(super) lane: i16,
    pub(super) key: Uuid,
    pub(super) sequence: i64,
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) payload: String,
    pub(super) created_at: Millis,
    pub(super) attempts: i64,
    pub(super) due_at: Millis,
}

impl Row {
    pub(super) fn delivered(&self) -> Result<Delivered> {
        Ok(Delivered {
            id: self.id,
            kind: self.kind.clone(),
            key: self.key,
            sequence: self.sequence,
            at: self.created_at,
            payload: serde_json::from_str(&self.payload).map_err(Error::internal)?,
            attempt: self.attempts + 1,
        })
    }
}

/// Whether a row is not set aside, in words that no partial index has: while the table is empty PostgreSQL takes
/// `outbox_due` for as good as the key, and later reads all that its consumer has there, for each key.
const NOT_SET_ASIDE: &str = "coalesce(set_aside_at, -1) = -1";

static HEADS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        // The limit keeps PostgreSQL from joining any other way than key by key.
        &format!(
            "SELECT o.lane, o.key, o.sequence, o.id, o.kind, o.payload, o.created_at, o.attempts, o.due_at
             FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM outbox
                 WHERE consumer = {{1}} AND lane = r.lane AND key = r.key AND {NOT_SET_ASIDE}
                 ORDER BY consumer, lane, key, sequence LIMIT {{2}}) o
             ORDER BY o.lane, o.key, o.sequence"
        ),
        "SELECT o.lane, o.key, o.sequence, o.id, o.kind, o.payload, o.created_at, o.attempts, o.due_at
         FROM {rows} {cross} outbox o ON o.consumer = {1} AND o.lane = r.lane AND o.key = r.key
         WHERE o.set_aside_at IS NULL AND o.sequence <= coalesce(
             (SELECT p.sequence FROM outbox p WHERE p.consumer = {1} AND p.lane = r.lane AND p.key = r.key
              AND p.set_aside_at IS NULL ORDER BY p.sequence LIMIT 1 OFFSET {2} - 1), 9223372036854775807)
         ORDER BY o.lane, o.key, o.sequence",
        &[("lane", Col::Small), ("key", Col::Id)],
    )
});

/// The first `each` events of each key, in sequence, whether they are due or not.
pub(super) async fn heads(db: &Db, consumer: &str, keys: &[(i16, Uuid)], each: i64) -> Result<Vec<Row>> {
    let mut rows = HEADS.rows();
    for (lane, key) in keys {
        rows.push([(*lane).into(), (*key).into()]);
    }
    let statement = HEADS.bind(db.backend(), rows, [consumer.into(), each.into()]);
    let found = db.query_by_key(statement).await?;
    Ok(found.iter().map(|row| Row::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

static DELETE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        // By the rows' places: any join of keys with an empty table PostgreSQL plans as a walk over all of it. A place
        // is good for a statement: what is not set aside is written by the holder of the lease alone.
        &format!(
            "DELETE FROM outbox WHERE ctid = ANY (ARRAY(
                 SELECT o.place FROM {{rows}} CROSS JOIN LATERAL (SELECT ctid AS place FROM outbox
                     WHERE consumer = {{1}} AND lane = r.lane AND key = r.key AND sequence = r.sequence
                     AND attempts = r.attempts AND {NOT_SET_ASIDE} LIMIT 1) o))"
        ),
        // The keys are the table's own columns: of others, in a list of rows, SQLite looks the first one up alone.
        "DELETE FROM outbox WHERE (consumer, lane, key, sequence) IN
         (SELECT o.consumer, o.lane, o.key, o.sequence FROM {rows} {cross} outbox o ON o.consumer = {1}
          AND o.lane = r.lane AND o.key = r.key AND o.sequence = r.sequence
          AND o.attempts = r.attempts AND o.set_aside_at IS NULL)",
        &[("lane", Col::Small), ("key", Col::Id), ("sequence", Col::Int), ("attempts", Col::Int)],
    )
});

/// Removes what is being delivered, or fails with [`STALE`] when it is not there as it was read.
pub(super) async fn delete(tx: &Tx, consumer: &str, delivered: &[Row]) -> Result<()> {
    let mut rows = DELETE.rows();
    for row in delivered {
        rows.push([row.lane.into(), row.key.into(), row.sequence.into(), row.attempts.into()]);
    }
    let statement = DELETE.bind(tx.backend(), rows, [consumer.into()]);
    let deleted = tx.execute(statement).await?.rows_affected();
    if deleted == delivered.len() as u64 {
        return Ok(());
    }
    Err(Error::new(STALE, "events are being delivered by another"))
}

static PARK: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        // Sequences have gaps: rows are counted.
        &format!(
            "UPDATE outbox SET due_at = {{1}} WHERE consumer = {{2}} AND lane = {{3}} AND key = {{4}}
             AND sequence >= {{5}} AND sequence <= coalesce(
                 (SELECT p.sequence FROM outbox p WHERE p.consumer = {{2}} AND p.lane = {{3}} AND p.key = {{4}}
                  AND p.sequence >= {{5}} ORDER BY p.consumer, p.lane, p.key, p.sequence LIMIT 1 OFFSET {{6}}),
                 9223372036854775807)
             AND due_at < {{1}} AND {NOT_SET_ASIDE}"
        ),
        &[],
    )
});

/// How many events of a key are parked at once: one long key must not hold SQLite's only writer.
const PARK_MOST: i64 = 5_000;

/// Lets the events of a key, from the one that was found due on, wait until the failed one before them is tried again.
pub(super) async fn park(tx: &Tx, consumer: &str, first: &Due, until: Millis) -> Result<()> {
    let values = [
        until.0.into(),
        consumer.into(),
        first.lane.into(),
        first.key.into(),
        first.sequence.into(),
        (PARK_MOST - 1).into(),
    ];
    tx.execute(PARK.bind(tx.backend(), PARK.rows(), values)).await?;
    Ok(())
}

static FAIL: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        &format!(
            "UPDATE outbox SET attempts = attempts + 1, error = {{1}}, due_at = {{2}}, set_aside_at = {{3}}
             WHERE consumer = {{4}} AND lane = {{5}} AND key = {{6}} AND sequence = {{7}} AND attempts = {{8}}
             AND {NOT_SET_ASIDE}"
        ),
        &[],
    )
});

/// Notes a failed try: when the next is, or that there is none.
pub(super) async fn fail(tx: &Tx, consumer: &str, row: &Row, error: &str, then: Then) -> Result<()> {
    let (due_at, set_aside_at) = match then {
        Then::TryAt(at) => (at, None),
        Then::SetAside(at) => (at, Some(at.0)),
    };
    let values = [
        error.into(),
        due_at.0.into(),
        set_aside_at.into(),
        consumer.into(),
        row.lane.into(),
        row.key.into(),
        row.sequence.into(),
        row.attempts.into(),
    ];
    let noted = tx.execute(FAIL.bind(tx.backend(), FAIL.rows(), values)).await?.rows_affected();
    if noted == 1 { Ok(()) } else { Err(Error::new(STALE, "an event is being delivered by another")) }
}

/// What becomes of an event whose try failed.
#[derive(Clone, Copy)]
pub(super) enum Then {
    TryAt(Millis),
    SetAside(Millis),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sea_orm::{ConnectionTrait as _, DbBackend};

    use super::*;
    use crate::kernel::config::{SETTINGS, Settings};
    use crate::kernel::db::{Migrations, plans};

    const KERNEL: Migrations = Migrations { module: "kernel", list: tally_migration::kernel::migrations };

    /// Whatever the table holds, the statements of a relay go by keys.
    #[tokio::test]
    async fn the_hot_statements_use_their_indexes_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/outbox.db", folder.path().display());
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &[("database.url", url)]).unwrap();
        let db = Db::open(&settings).await.unwrap();
        db.migrate(&[KERNEL]).await.unwrap();
        let by_key = "(consumer=? AND lane=? AND key=? AND sequence=?)";
        let backend = DbBackend::Sqlite;
        for (text, expected) in [
            (DUE, "USING INDEX outbox_due (consumer=? AND due_at<?)"),
            (HEADS.text(backend), "SEARCH o USING PRIMARY KEY (consumer=? AND lane=? AND key=? AND sequence<?)"),
            (DELETE.text(backend), &*format!("SEARCH outbox USING PRIMARY KEY {by_key}")),
            (DELETE.text(backend), &*format!("SEARCH o USING PRIMARY KEY {by_key}")),
            (
                PARK.text(backend),
                "SEARCH outbox USING PRIMARY KEY (consumer=? AND lane=? AND key=? AND sequence>? AND sequence<?)",
            ),
            (PARK.text(backend), "SEARCH p USING PRIMARY KEY (consumer=? AND lane=? AND key=? AND sequence>?)"),
            (IS_ASTRAY, "USING INDEX outbox_due (consumer=? AND due_at>?)"),
            (ASTRAY, "USING INDEX outbox_due (consumer=? AND due_at>?)"),
            (FAIL.text(backend), &*format!("SEARCH outbox USING PRIMARY KEY {by_key}")),
        ] {
            let explain = Statement::from_string(backend, format!("EXPLAIN QUERY PLAN {text}"));
            let rows = db.reader().query_all_raw(explain).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            assert!(plan.iter().any(|step| step.contains(expected)), "{text}\n{plan:#?}");
            assert!(!plan.iter().any(|step| step.contains("SCAN o")), "{text}\n{plan:#?}");
        }
    }

    /// The same with the plans that PostgreSQL makes while the table is empty, and keeps.
    #[tokio::test]
    async fn the_hot_statements_use_their_indexes_on_postgres() {
        let backend = DbBackend::Postgres;
        let by_key = "Index Cond: ((consumer = $?) AND (lane = $?) AND (key = $?)";
        let of_rows = "Index Cond: ((consumer = $?) AND (lane = u.lane) AND (key = u.key)";
        let wanted = [
            (DUE, "Index Cond: ((consumer = $?) AND (due_at <= $?))".to_owned()),
            (HEADS.text(backend), format!("{of_rows})")),
            (DELETE.text(backend), format!("{of_rows} AND (sequence = u.sequence))")),
            (PARK.text(backend), format!("{by_key} AND (sequence >= $?) AND (sequence <= COALESCE($0")),
            (IS_ASTRAY, "Index Cond: ((consumer = $?) AND (due_at > $?))".to_owned()),
            (ASTRAY, "Index Cond: ((consumer = $?) AND (due_at > $?))".to_owned()),
            (FAIL.text(backend), format!("{by_key} AND (sequence = $?))")),
        ];
        let texts = wanted.each_ref().map(|(text, _)| *text);
        for (plans, (text, expected)) in plans::of_empty_tables(&[KERNEL], &texts).await.unwrap().iter().zip(&wanted) {
            for plan in plans {
                let of_any = (1..10).fold(plan.clone(), |plan, n| plan.replace(&format!("${n}"), "$?"));
                assert!(of_any.contains(expected), "{text}\n{plan}");
                let scans = plan.matches("Index Scan").count() + plan.matches("Index Only Scan").count();
                // Parking looks by key for its last one, too.
                let due = if *text == PARK.text(backend) { 2 } else { 1 };
                assert_eq!(scans, due, "looks by key, and none beside them: {text}\n{plan}");
                assert!(!plan.contains("Seq Scan"), "{text}\n{plan}");
            }
        }
    }
}
