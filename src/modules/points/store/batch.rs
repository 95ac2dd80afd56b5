//! What the writer locks, reads and writes. An account's row is the lock of its ledger.
//!
//! On PostgreSQL a row is looked up as the first one from its key on, in the order of one index: several begin with the
//! account, and of an empty table they are all as good.

use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, FromQueryResult};
use uuid::Uuid;

use super::walk::{Link, links};
use super::{ACCOUNT, KEYS, TRANSACTION, keys, keys_of_users};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::points::ledger::{AccountRecord, TransactionRecord, lane};

/// Locks accounts in key order and returns them; users without one are left out.
pub(in super::super) async fn account_lock(
    tx: &Tx,
    users: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<AccountRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let text = format!(
            "SELECT {ACCOUNT} FROM {{rows}} {{cross}} point_accounts a ON a.lane = r.lane AND a.user_id = r.id
             ORDER BY a.lane, a.user_id {{lock a}}"
        );
        Sql::new(&text, KEYS)
    });
    tx.select(&SQL, keys(&SQL, users)).await
}

const ACCOUNT_COLUMNS: &[(&str, Col)] = &[
    ("lane", Col::Small),
    ("user_id", Col::Id),
    ("version", Col::Int),
    ("balance", Col::Int),
    ("sequence", Col::Int),
    ("last_hash", Col::Bytes),
    ("overdraft_limit", Col::Int),
];

async fn account_write(tx: &Tx, sql: &Sql, accounts: impl IntoIterator<Item = &AccountRecord>) -> Result<()> {
    let mut rows = sql.rows();
    for account in accounts {
        rows.push([
            lane(account.user_id).into(),
            account.user_id.into(),
            account.version.into(),
            account.balance.into(),
            account.sequence.into(),
            account.last_hash.clone().into(),
            account.overdraft_limit.into(),
        ]);
    }
    tx.write_all(sql, rows).await
}

/// Makes accounts, given in key order. One that somebody else makes at the same time fails the transaction, which is
/// tried again and finds it.
pub(in super::super) async fn account_insert(
    tx: &Tx,
    accounts: impl IntoIterator<Item = &AccountRecord>,
) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = ACCOUNT_COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let text = format!(
            "INSERT INTO point_accounts ({names}) SELECT {names} FROM {{rows}} WHERE true ORDER BY lane, user_id"
        );
        Sql::new(&text, ACCOUNT_COLUMNS)
    });
    account_write(tx, &SQL, accounts).await
}

/// Writes locked accounts.
pub(in super::super) async fn account_update(
    tx: &Tx,
    accounts: impl IntoIterator<Item = &AccountRecord>,
) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE point_accounts AS a SET version = r.version, balance = r.balance, sequence = r.sequence,
             last_hash = r.last_hash, overdraft_limit = r.overdraft_limit
             FROM {rows} WHERE a.lane = r.lane AND a.user_id = r.user_id",
            ACCOUNT_COLUMNS,
        )
    });
    account_write(tx, &SQL, accounts).await
}

pub(in super::super) static LAST: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_transactions l
             WHERE l.lane = r.lane AND l.user_id = r.id
             ORDER BY l.lane DESC, l.user_id DESC, l.sequence DESC LIMIT 1) t"
        ),
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} {{cross}} point_transactions t ON t.lane = r.lane AND t.user_id = r.id
             AND t.sequence = (SELECT max(l.sequence) FROM point_transactions l
                 WHERE l.lane = r.lane AND l.user_id = r.id)"
        ),
        KEYS,
    )
});

/// The last transaction of each of these accounts, as it is stored; those without any are left out.
pub(in super::super) async fn last_by_accounts(
    tx: &Tx,
    users: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<Link>> {
    links(&tx.connection().query_all_raw(LAST.bind(tx.backend(), keys(&LAST, users), [])).await?)
}

const SEQUENCES: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id), ("sequence", Col::Int)];

static BY_SEQUENCES: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_transactions s
             WHERE (s.lane, s.user_id, s.sequence) >= (r.lane, r.id, r.sequence)
             ORDER BY s.lane, s.user_id, s.sequence LIMIT 1) t WHERE t.user_id = r.id AND t.sequence = r.sequence"
        ),
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} {{cross}} point_transactions t ON t.lane = r.lane AND t.user_id = r.id
             AND t.sequence = r.sequence"
        ),
        SEQUENCES,
    )
});

/// The transactions of these users with these sequences, as far as there are any.
pub(in super::super) async fn transaction_by_sequences(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (Uuid, i64)>,
) -> Result<Vec<TransactionRecord>> {
    let mut rows = BY_SEQUENCES.rows();
    for (user, sequence) in wanted {
        rows.push([lane(user).into(), user.into(), sequence.into()]);
    }
    tx.select(&BY_SEQUENCES, rows).await
}

/// What there is of an account that could not be locked.
#[derive(FromQueryResult)]
pub(in super::super) struct Absent {
    pub(in super::super) user_id: Uuid,
    /// 1 if it is there by now: another server made it since.
    pub(in super::super) accounts: i64,
    /// How often something of it was found to differ, as long as it was there.
    pub(in super::super) incidents: i64,
}

/// What there is in the place of accounts that are not there.
pub(in super::super) async fn absent_accounts(
    tx: &Tx,
    users: impl IntoIterator<Item = (i16, Uuid)>,
) -> Result<Vec<Absent>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.id AS user_id,
             (SELECT count(*) FROM point_accounts a WHERE a.lane = r.lane AND a.user_id = r.id) AS accounts,
             (SELECT count(*) FROM point_incidents i WHERE i.lane = r.lane AND i.user_id = r.id) AS incidents
             FROM {rows}",
            KEYS,
        )
    });
    tx.select(&SQL, keys(&SQL, users)).await
}

const USER_KEYS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id), ("idempotency_key", Col::Text)];

static BY_KEYS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_transactions k
             WHERE (k.lane, k.user_id, k.idempotency_key) >= (r.lane, r.id, r.idempotency_key)
             ORDER BY k.lane, k.user_id, k.idempotency_key LIMIT 1) t
             WHERE t.user_id = r.id AND t.idempotency_key = r.idempotency_key"
        ),
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} {{cross}} point_transactions t ON t.lane = r.lane AND t.user_id = r.id
             AND t.idempotency_key = r.idempotency_key"
        ),
        USER_KEYS,
    )
});

/// The transactions of these users and idempotency keys, as far as there are any.
pub(in super::super) async fn transaction_by_keys(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (Uuid, &str)>,
) -> Result<Vec<TransactionRecord>> {
    let mut rows = BY_KEYS.rows();
    for (user, key) in wanted {
        rows.push([lane(user).into(), user.into(), key.into()]);
    }
    tx.select(&BY_KEYS, rows).await
}

pub(in super::super) static BY_IDS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_transactions i
             WHERE (i.lane, i.id) >= (r.lane, r.id) ORDER BY i.lane, i.id LIMIT 1) t WHERE t.id = r.id"
        ),
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} {{cross}} point_transactions t ON t.lane = r.lane AND t.id = r.id"
        ),
        KEYS,
    )
});

/// The transactions with these ids, whose lane is in them.
pub(in super::super) async fn transaction_by_ids(tx: &Tx, ids: &[Uuid]) -> Result<Vec<TransactionRecord>> {
    tx.select(&BY_IDS, keys_of_users(&BY_IDS, ids)).await
}

const REVERSED: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id), ("reverses_id", Col::Id)];

static REVERSALS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::of_both(
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} CROSS JOIN LATERAL (SELECT * FROM point_transactions v
             WHERE (v.lane, v.user_id, v.reverses_id) >= (r.lane, r.id, r.reverses_id) AND v.reverses_id IS NOT NULL
             ORDER BY v.lane, v.user_id, v.reverses_id LIMIT 1) t
             WHERE t.user_id = r.id AND t.reverses_id = r.reverses_id"
        ),
        &format!(
            "SELECT {TRANSACTION} FROM {{rows}} {{cross}} point_transactions t ON t.lane = r.lane AND t.user_id = r.id
             AND t.reverses_id = r.reverses_id"
        ),
        REVERSED,
    )
});

/// What takes these transactions of these users back, as far as it was done.
pub(in super::super) async fn reversal_by_ids(
    tx: &Tx,
    wanted: impl IntoIterator<Item = (Uuid, Uuid)>,
) -> Result<Vec<TransactionRecord>> {
    let mut rows = REVERSALS.rows();
    for (user, id) in wanted {
        rows.push([lane(user).into(), user.into(), id.into()]);
    }
    tx.select(&REVERSALS, rows).await
}

/// Writes new transactions.
pub(in super::super) async fn transaction_insert(tx: &Tx, transactions: &[TransactionRecord]) -> Result<()> {
    const COLUMNS: &[(&str, Col)] = &[
        ("lane", Col::Small),
        ("user_id", Col::Id),
        ("sequence", Col::Int),
        ("id", Col::Id),
        ("amount", Col::Int),
        ("balance_after", Col::Int),
        ("overdraft_limit", Col::Int),
        ("kind", Col::Small),
        ("reason", Col::Text),
        ("actor_id", Col::Id),
        ("idempotency_key", Col::Text),
        ("input_hash", Col::Bytes),
        ("reverses_id", Col::OptId),
        ("prev_hash", Col::Bytes),
        ("field_marks", Col::Bytes),
        ("hash", Col::Bytes),
        ("created_at", Col::Int),
    ];
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Sql::new(&format!("INSERT INTO point_transactions ({names}) SELECT {names} FROM {{rows}} WHERE true"), COLUMNS)
    });
    let mut rows = SQL.rows();
    for t in transactions {
        rows.push([
            t.lane.into(),
            t.user_id.into(),
            t.sequence.into(),
            t.id.into(),
            t.amount.into(),
            t.balance_after.into(),
            t.overdraft_limit.into(),
            t.kind.into(),
            t.reason.clone().into(),
            t.actor_id.into(),
            t.idempotency_key.clone().into(),
            t.input_hash.clone().into(),
            t.reverses_id.into(),
            t.prev_hash.clone().into(),
            t.field_marks.clone().into(),
            t.hash.clone().into(),
            t.created_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// A figure of an account that was not what its ledger says, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct IncidentRow {
    pub(in super::super) user_id: Uuid,
    /// See [`crate::modules::points::incidents::id_of`].
    pub(in super::super) id: Uuid,
    pub(in super::super) field: String,
    pub(in super::super) stored: String,
    pub(in super::super) actual: String,
    /// `WRITE`: a write put it right on its way; `REPAIR`: a repair did; `UNDO`: that was taken back.
    pub(in super::super) found_by: &'static str,
    pub(in super::super) found_at: Millis,
}

/// Writes incidents of locked accounts.
pub(in super::super) async fn incident_insert(tx: &Tx, incidents: &[IncidentRow]) -> Result<()> {
    const COLUMNS: &[(&str, Col)] = &[
        ("lane", Col::Small),
        ("user_id", Col::Id),
        ("id", Col::Id),
        ("field", Col::Text),
        ("stored", Col::Text),
        ("actual", Col::Text),
        ("found_by", Col::Text),
        ("found_at", Col::Int),
    ];
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Sql::new(&format!("INSERT INTO point_incidents ({names}) SELECT {names} FROM {{rows}} WHERE true"), COLUMNS)
    });
    let mut rows = SQL.rows();
    for incident in incidents {
        rows.push([
            lane(incident.user_id).into(),
            incident.user_id.into(),
            incident.id.into(),
            incident.field.clone().into(),
            incident.stored.clone().into(),
            incident.actual.clone().into(),
            incident.found_by.into(),
            incident.found_at.0.into(),
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
        let wanted = [
            (&LAST, "point_transactions_pkey"),
            (&BY_SEQUENCES, "point_transactions_pkey"),
            (&BY_KEYS, "point_transactions_by_key"),
            (&BY_IDS, "point_transactions_by_id"),
            (&REVERSALS, "point_transactions_by_reversed"),
        ];
        let texts = wanted.map(|(sql, _)| sql.text(DbBackend::Postgres));
        let found = plans::of_empty_tables(&[module], &texts).await.unwrap();
        for (plans, (sql, index)) in found.iter().zip(&wanted) {
            for plan in plans {
                let text = sql.text(DbBackend::Postgres);
                assert!(plan.contains(&format!("using {index} ")), "{text}:\n{plan}");
                assert!(!plan.contains("Sort") && !plan.contains("Seq Scan"), "{text}:\n{plan}");
            }
        }
    }
}
