//! The statements of the outbox and of its relays' leases.

use std::sync::LazyLock;

use sea_orm::{DbBackend, FromQueryResult, Statement};
use uuid::Uuid;

use super::{Delivered, Event};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Fence, Sql, Tx};
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
pub(super) async fn put(tx: &Tx, now: Millis, rows: &[(&'static str, &Event)]) -> Result<()> {
    let mut values = PUT.rows();
    for (consumer, event) in rows {
        values.push([
            (*consumer).into(),
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

/// What is due longest, up to `most`: the keys whose turn it is, each with how many of its events are due.
#[derive(FromQueryResult)]
pub(super) struct Due {
    pub(super) lane: i16,
    pub(super) key: Uuid,
    pub(super) sequence: i64,
}

pub(super) async fn due(db: &Db, consumer: &str, now: Millis, most: i64) -> Result<Vec<Due>> {
    let sql = "SELECT lane, key, sequence FROM outbox
               WHERE consumer = $1 AND set_aside_at IS NULL AND due_at <= $2 ORDER BY due_at LIMIT $3";
    let values = [consumer.into(), now.0.into(), most.into()];
    let found = db.query_by_key(Statement::from_sql_and_values(db.backend(), sql, values)).await?;
    Ok(found.iter().map(|row| Due::from_query_result(row, "")).collect::<Result<_, _>>()?)
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

static HEADS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "SELECT o.lane, o.key, o.sequence, o.id, o.kind, o.payload, o.created_at, o.attempts, o.due_at
         FROM {rows} {cross} outbox o ON o.consumer = {1} AND o.lane = r.lane AND o.key = r.key
         WHERE o.set_aside_at IS NULL AND o.sequence <= coalesce(
             (SELECT p.sequence FROM outbox p WHERE p.consumer = {1} AND p.lane = r.lane AND p.key = r.key
              AND p.set_aside_at IS NULL ORDER BY p.sequence LIMIT 1 OFFSET {2}), 9223372036854775807)
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
    let statement = HEADS.bind(db.backend(), rows, [consumer.into(), (each - 1).into()]);
    let found = db.query_by_key(statement).await?;
    Ok(found.iter().map(|row| Row::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

static DELETE: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "DELETE FROM outbox WHERE consumer = {1} AND set_aside_at IS NULL AND (lane, key, sequence, attempts) IN
         (SELECT r.lane, r.key, r.sequence, r.attempts FROM {rows})",
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
        "UPDATE outbox SET due_at = r.due_at FROM {rows}
         WHERE outbox.consumer = {1} AND outbox.lane = r.lane AND outbox.key = r.key AND outbox.sequence = r.sequence
         AND outbox.set_aside_at IS NULL AND outbox.due_at < r.due_at",
        &[("lane", Col::Small), ("key", Col::Id), ("sequence", Col::Int), ("due_at", Col::Int)],
    )
});

/// Lets events wait until the failed one before them is tried again.
pub(super) async fn park(tx: &Tx, consumer: &str, parked: &[(Due, Millis)]) -> Result<()> {
    let mut rows = PARK.rows();
    for (due, until) in parked {
        rows.push([due.lane.into(), due.key.into(), due.sequence.into(), until.0.into()]);
    }
    tx.execute(PARK.bind(tx.backend(), rows, [consumer.into()])).await?;
    Ok(())
}

/// Notes a failed try: when the next is, or that there is none.
pub(super) async fn fail(tx: &Tx, consumer: &str, row: &Row, error: &str, then: Then) -> Result<()> {
    let (due_at, set_aside_at) = match then {
        Then::TryAt(at) => (at, None),
        Then::SetAside(at) => (at, Some(at.0)),
    };
    let sql = "UPDATE outbox SET attempts = attempts + 1, error = $1, due_at = $2, set_aside_at = $3
               WHERE consumer = $4 AND lane = $5 AND key = $6 AND sequence = $7 AND attempts = $8
               AND set_aside_at IS NULL";
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
    let noted = tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected();
    if noted == 1 { Ok(()) } else { Err(Error::new(STALE, "an event is being delivered by another")) }
}

/// What becomes of an event whose try failed.
#[derive(Clone, Copy)]
pub(super) enum Then {
    TryAt(Millis),
    SetAside(Millis),
}

#[derive(FromQueryResult)]
struct Fenced {
    fence: i64,
}

/// Takes a free or expired lease, or one's own again. Its fence, or none while another node has it.
pub(super) async fn lease_take(
    tx: &Tx,
    consumer: &str,
    owner: &str,
    now: Millis,
    until: Millis,
) -> Result<Option<i64>> {
    let sql = Sql::new(
        "INSERT INTO relays (consumer, owner, lease_until, fence) VALUES ({1}, {2}, {3}, 1)
         ON CONFLICT (consumer) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until,
         fence = relays.fence + 1
         WHERE relays.owner = '' OR relays.owner = excluded.owner OR relays.lease_until <= {4} RETURNING fence",
        &[],
    );
    let values = [consumer.into(), owner.into(), until.0.into(), now.0.into()];
    let statement = sql.bind(tx.backend(), sql.rows(), values);
    let found = Fenced::find_by_statement(statement).one(tx.connection()).await?;
    Ok(found.map(|row| row.fence))
}

/// Renews a lease; false when it is lost.
pub(super) async fn lease_renew(tx: &Tx, consumer: &str, fence: i64, until: Millis) -> Result<bool> {
    let sql = "UPDATE relays SET lease_until = $1 WHERE consumer = $2 AND fence = $3";
    let values = [until.0.into(), consumer.into(), fence.into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected() == 1)
}

/// Gives a lease back.
pub(super) async fn lease_release(tx: &Tx, consumer: &str, fence: i64) -> Result<()> {
    let sql = "UPDATE relays SET owner = '', lease_until = 0 WHERE consumer = $1 AND fence = $2";
    tx.execute(Statement::from_sql_and_values(tx.backend(), sql, [consumer.into(), fence.into()])).await?;
    Ok(())
}

/// What a delivering transaction holds on to. The share lock conflicts with the update by which another takes over.
pub(super) fn fence(backend: DbBackend, consumer: &'static str, fence: i64) -> Fence {
    let sql = match backend {
        DbBackend::Postgres => "SELECT fence FROM relays WHERE consumer = $1 AND fence = $2 FOR SHARE",
        _ => "SELECT fence FROM relays WHERE consumer = $1 AND fence = $2",
    };
    let guard = Statement::from_sql_and_values(backend, sql, [consumer.into(), fence.into()]);
    Fence { guard, what: consumer }
}

/// What waits for one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromQueryResult, serde::Serialize)]
pub(crate) struct Backlog {
    pub(crate) consumer: String,
    /// To be delivered: now, or later because they are parked.
    pub(crate) waiting: i64,
    /// Of those: waiting for the next try of a failed event, their own or of the same key.
    pub(crate) parked: i64,
    /// Failed for good, until an operator replays them.
    pub(crate) set_aside: i64,
    /// When the oldest of those that wait happened.
    pub(crate) oldest_at: Option<Millis>,
}

/// The backlogs of all consumers that have any row. Reads indexes alone, but all of them.
pub(crate) async fn backlogs(db: &Db, now: Millis) -> Result<Vec<Backlog>> {
    let sql = "SELECT consumer, CAST(sum(waiting) AS bigint) AS waiting, CAST(sum(parked) AS bigint) AS parked,
               CAST(sum(set_aside) AS bigint) AS set_aside, min(oldest_at) AS oldest_at
               FROM (SELECT consumer, count(*) AS waiting, count(CASE WHEN due_at > $1 THEN 1 END) AS parked,
                     0 AS set_aside, min(created_at) AS oldest_at FROM outbox WHERE set_aside_at IS NULL GROUP BY consumer
                     UNION ALL
                     SELECT consumer, 0, 0, count(*), NULL FROM outbox WHERE set_aside_at IS NOT NULL GROUP BY consumer) b
               GROUP BY consumer ORDER BY consumer";
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, [now.0.into()])).await?;
    Ok(found.iter().map(|row| Backlog::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// An event that failed for good.
#[derive(Clone, Debug, FromQueryResult, serde::Serialize)]
pub(crate) struct SetAside {
    pub(crate) id: Uuid,
    pub(crate) consumer: String,
    pub(crate) kind: String,
    pub(crate) key: Uuid,
    pub(crate) sequence: i64,
    pub(crate) created_at: Millis,
    pub(crate) attempts: i64,
    pub(crate) set_aside_at: Millis,
    pub(crate) error: String,
    pub(crate) payload: String,
}

/// The events that are set aside, oldest first; of one consumer or of all.
pub(crate) async fn set_aside_page(db: &Db, consumer: Option<&str>, most: i64) -> Result<Vec<SetAside>> {
    let sql = "SELECT id, consumer, kind, key, sequence, created_at, attempts, set_aside_at,
               coalesce(error, '') AS error, payload FROM outbox
               WHERE set_aside_at IS NOT NULL AND ($1 = '' OR consumer = $1) ORDER BY set_aside_at, id LIMIT $2";
    let values = [consumer.unwrap_or_default().into(), most.into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, values)).await?;
    Ok(found.iter().map(|row| SetAside::from_query_result(row, "")).collect::<Result<_, _>>()?)
}
