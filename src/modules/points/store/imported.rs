//! What an import reads of what imports wrote.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{DbErr, FromQueryResult};
use uuid::Uuid;

use super::{KEYS, keys_of_users};
use crate::kernel::db::{Db, Sql};
use crate::kernel::error::Result;

/// What imports brought into a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What all of it adds up to, differences included.
    pub total: i128,
    /// How many differences were made up for: entries whose key begins with `import:difference:`.
    pub differences: i64,
}

#[derive(FromQueryResult)]
struct Row {
    user_id: Uuid,
    high: i64,
    low: i64,
    differences: i64,
}

/// The entries of these users whose keys are an import's, added up; users without any are left out.
pub(in super::super) async fn imported_sums(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, Imported>> {
    // In two halves, as in `recount`. Not by a range of keys: their order is the database's collation.
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let sums = "CAST(sum(t.amount / 4294967296) AS bigint) AS high,
             CAST(sum(t.amount % 4294967296) AS bigint) AS low,
             CAST(sum(CASE WHEN substr(t.idempotency_key, 1, 18) = 'import:difference:' THEN 1 ELSE 0 END) AS bigint)
                 AS differences";
        let of_import = "t.lane = r.lane AND t.user_id = r.id AND substr(t.idempotency_key, 1, 7) = 'import:'";
        Sql::of_both(
            // Each by itself: joined, PostgreSQL reads the whole table for some hundred users.
            &format!(
                "SELECT r.id AS user_id, s.high, s.low, s.differences FROM {{rows}}
                 CROSS JOIN LATERAL (SELECT {sums} FROM point_transactions t WHERE {of_import}) s
                 WHERE s.differences IS NOT NULL"
            ),
            &format!(
                "SELECT r.id AS user_id, {sums} FROM {{rows}} {{cross}} point_transactions t ON {of_import} GROUP BY r.id"
            ),
            KEYS,
        )
    });
    let found = db.query(SQL.bind(db.backend(), keys_of_users(&SQL, users), [])).await?;
    let sum = |row: Row| {
        let total = (i128::from(row.high) << 32) + i128::from(row.low);
        (row.user_id, Imported { total, differences: row.differences })
    };
    Ok(found.iter().map(|row| Row::from_query_result(row, "").map(sum)).collect::<Result<_, DbErr>>()?)
}
