//! The statements of relays' leases.

use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Fence, Sql, Tx};
use crate::kernel::error::Result;

#[derive(FromQueryResult)]
struct Fenced {
    fence: i64,
}

/// A lease by this node's clock.
#[derive(Clone, Copy)]
pub(in super::super) struct Term {
    pub(in super::super) now: Millis,
    pub(in super::super) until: Millis,
    /// One that ends later is a clock's that jumped, and is as good as over: those of nodes differ by less than a lease.
    pub(in super::super) horizon: Millis,
}

/// Whether another node has a lease that is not over.
pub(in super::super) async fn lease_is_of_another(db: &Db, consumer: &str, owner: &str, term: Term) -> Result<bool> {
    let sql = "SELECT fence FROM relays WHERE consumer = $1 AND owner <> '' AND owner <> $2
               AND lease_until > $3 AND lease_until <= $4";
    let values = [consumer.into(), owner.into(), term.now.0.into(), term.horizon.0.into()];
    Ok(!db.query(Statement::from_sql_and_values(db.backend(), sql, values)).await?.is_empty())
}

/// Takes a free or expired lease, or one's own again. Its fence, or none while another node has it.
pub(in super::super) async fn lease_take(tx: &Tx, consumer: &str, owner: &str, term: Term) -> Result<Option<i64>> {
    let sql = Sql::new(
        "INSERT INTO relays (consumer, owner, lease_until, fence) VALUES ({1}, {2}, {3}, 1)
         ON CONFLICT (consumer) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until,
         fence = relays.fence + 1
         WHERE relays.owner = '' OR relays.owner = excluded.owner OR relays.lease_until <= {4}
             OR relays.lease_until > {5} RETURNING fence",
        &[],
    );
    let values = [consumer.into(), owner.into(), term.until.0.into(), term.now.0.into(), term.horizon.0.into()];
    let statement = sql.bind(tx.backend(), sql.rows(), values);
    let found = Fenced::find_by_statement(statement).one(tx.connection()).await?;
    Ok(found.map(|row| row.fence))
}

/// Renews a lease; false when it is lost.
pub(in super::super) async fn lease_renew(tx: &Tx, consumer: &str, fence: i64, until: Millis) -> Result<bool> {
    let sql = "UPDATE relays SET lease_until = $1 WHERE consumer = $2 AND fence = $3";
    let values = [until.0.into(), consumer.into(), fence.into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?.rows_affected() == 1)
}

/// Gives a lease back.
pub(in super::super) async fn lease_release(tx: &Tx, consumer: &str, fence: i64) -> Result<()> {
    let sql = "UPDATE relays SET owner = '', lease_until = 0 WHERE consumer = $1 AND fence = $2";
    tx.execute(Statement::from_sql_and_values(tx.backend(), sql, [consumer.into(), fence.into()])).await?;
    Ok(())
}

/// What a delivering transaction holds on to. The share lock conflicts with the update by which another takes over.
pub(in super::super) fn fence(backend: DbBackend, consumer: &'static str, fence: i64) -> Fence {
    let sql = match backend {
        DbBackend::Postgres => "SELECT fence FROM relays WHERE consumer = $1 AND fence = $2 FOR SHARE",
        _ => "SELECT fence FROM relays WHERE consumer = $1 AND fence = $2",
    };
    let guard = Statement::from_sql_and_values(backend, sql, [consumer.into(), fence.into()]);
    Fence { guard, what: consumer }
}
