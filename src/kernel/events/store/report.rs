//! What operators see of the outbox, and what they do to it; what goes of old age.

use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult, Statement};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::Lane;

#[derive(FromQueryResult)]
struct Of {
    consumer: String,
}

/// Puts an event that is set aside back, as if it had never been tried. For whom.
pub(crate) async fn replay(tx: &Tx, id: Uuid, consumer: Option<&str>, now: Millis) -> Result<Vec<String>> {
    let sql = "UPDATE outbox SET attempts = 0, error = NULL, set_aside_at = NULL, due_at = $1
               WHERE set_aside_at IS NOT NULL AND id = $2 AND ($3 = '' OR consumer = $3) RETURNING consumer";
    let values = [now.0.into(), id.into(), consumer.unwrap_or_default().into()];
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    let replayed = Of::find_by_statement(statement).all(tx.connection()).await?;
    Ok(replayed.into_iter().map(|row| row.consumer).collect())
}

/// Removes an event that is set aside: it will have no effect. For whom.
pub(crate) async fn discard(tx: &Tx, id: Uuid, consumer: Option<&str>) -> Result<Vec<String>> {
    let sql = "DELETE FROM outbox WHERE set_aside_at IS NOT NULL AND id = $1 AND ($2 = '' OR consumer = $2)
               RETURNING consumer";
    let values = [id.into(), consumer.unwrap_or_default().into()];
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    let discarded = Of::find_by_statement(statement).all(tx.connection()).await?;
    Ok(discarded.into_iter().map(|row| row.consumer).collect())
}

/// Whose events are set aside, those of consumers that nobody declares any more too.
pub(crate) async fn consumers_with_set_aside(db: &Db) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT consumer FROM outbox WHERE set_aside_at IS NOT NULL";
    let found = db.query(Statement::from_string(db.backend(), sql)).await?;
    Ok(found.iter().map(|row| row.try_get("", "consumer")).collect::<Result<_, sea_orm::DbErr>>()?)
}

/// Removes about `most` events of a consumer that were set aside before a moment, the oldest ones: those up to the
/// moment of the last of them, because a join of keys PostgreSQL may plan badly. How many.
pub(crate) async fn set_aside_prune(tx: &Tx, consumer: &str, before: Millis, most: i64) -> Result<u64> {
    let sql = "DELETE FROM outbox WHERE consumer = $1 AND set_aside_at IS NOT NULL AND set_aside_at < $2
               AND set_aside_at <= coalesce((SELECT o.set_aside_at FROM outbox o
                   WHERE o.consumer = $1 AND o.set_aside_at IS NOT NULL AND o.set_aside_at < $2
                   ORDER BY o.set_aside_at LIMIT 1 OFFSET $3), $2)";
    let values = [consumer.into(), before.0.into(), (most - 1).into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected())
}

/// When the oldest event happened that a consumer has not taken, one that is set aside too. Reads all of them.
pub(in super::super) async fn oldest(db: &Db, consumer: &str) -> Result<Option<Millis>> {
    let sql = "SELECT min(created_at) AS at FROM outbox WHERE consumer = $1";
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, [consumer.into()])).await?;
    Ok(found.first().map(|row| row.try_get::<Option<Millis>>("", "at")).transpose()?.flatten())
}

/// Whether events of a consumer are set aside.
pub(in super::super) async fn has_set_aside(db: &Db, consumer: &str) -> Result<bool> {
    let sql = "SELECT 1 AS one FROM outbox WHERE consumer = $1 AND set_aside_at IS NOT NULL LIMIT 1";
    Ok(!db.query(Statement::from_sql_and_values(db.backend(), sql, [consumer.into()])).await?.is_empty())
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

/// What a consumer has not had in time.
#[derive(Clone, Debug, FromQueryResult)]
pub(in super::super) struct Late {
    pub(in super::super) consumer: String,
    pub(in super::super) late: i64,
    /// Of those that are late.
    pub(in super::super) oldest_at: Option<Millis>,
    pub(in super::super) set_aside: i64,
}

/// The consumers that have events: how many are from before a moment and not set aside, and how many are set aside.
pub(in super::super) async fn late(db: &Db, before: Millis) -> Result<Vec<Late>> {
    // An event may tell of a moment long ago: one that was not tried yet waits since it became due.
    let sql = "SELECT consumer, CAST(sum(late) AS bigint) AS late, min(oldest_at) AS oldest_at,
               CAST(sum(set_aside) AS bigint) AS set_aside
               FROM (SELECT consumer,
                         count(CASE WHEN created_at < $1 AND (attempts > 0 OR due_at < $1) THEN 1 END) AS late,
                         min(CASE WHEN created_at < $1 AND (attempts > 0 OR due_at < $1) THEN created_at END) AS oldest_at,
                         0 AS set_aside FROM outbox WHERE set_aside_at IS NULL GROUP BY consumer
                     UNION ALL
                     SELECT consumer, 0, NULL, count(*) FROM outbox WHERE set_aside_at IS NOT NULL GROUP BY consumer) b
               GROUP BY consumer ORDER BY consumer";
    let found = db.query(Statement::from_sql_and_values(db.backend(), sql, [before.0.into()])).await?;
    Ok(found.iter().map(|row| Late::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

const KEY_WAITS: &str =
    "SELECT sequence FROM outbox WHERE consumer = $1 AND lane = $2 AND key = $3 ORDER BY sequence LIMIT 1";

fn of_key(backend: DbBackend, consumer: &str, key: Uuid) -> Statement {
    let values = [consumer.into(), i16::from(Lane::of(key).0).into(), key.into()];
    Statement::from_sql_and_values(backend, KEY_WAITS, values)
}

/// Whether events of a key have not been taken yet, by whomever they are for; those too that are set aside.
pub(in super::super) async fn key_waits(db: &Db, consumer: &str, key: Uuid) -> Result<bool> {
    Ok(!db.query_by_key(of_key(db.backend(), consumer, key)).await?.is_empty())
}

/// The sequence of the first of them, inside of a transaction: of those that it does not take.
pub(in super::super) async fn key_first_beside(tx: &Tx, consumer: &str, key: Uuid) -> Result<Option<i64>> {
    let found = tx.connection().query_one_raw(of_key(tx.backend(), consumer, key)).await?;
    Ok(found.map(|row| row.try_get("", "sequence")).transpose()?)
}
