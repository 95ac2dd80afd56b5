//! What checks read of users: who has rows here, what is known of them, and what takes a deletion up again.

use std::collections::HashSet;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement, Value};
use uuid::Uuid;

use super::deletions::Target;
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::hash_of;

/// THE LIST of tables whose rows belong to a user. Those of views do not say whose they are.
const OF_USER: [&str; 3] = ["behaviors", "comments", "shares"];

/// The users after `after` who have rows, by id.
pub(in super::super) async fn user_page(db: &Db, after: Uuid, size: usize) -> Result<Vec<Uuid>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let of = |table: &str| {
            format!(
                "SELECT user_id FROM (SELECT DISTINCT user_id FROM {table} WHERE user_id > $1 ORDER BY user_id LIMIT $2) t"
            )
        };
        format!("SELECT user_id FROM ({}) u ORDER BY user_id LIMIT $2", OF_USER.map(of).join(" UNION "))
    });
    let values: [Value; 2] = [after.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), &*SQL, values)).await?;
    Ok(found.iter().map(|row| row.try_get("", "user_id")).collect::<Result<_, DbErr>>()?)
}

/// How many rows of each table are a user's; tables without any are left out.
pub(in super::super) async fn user_rows(reads: &DatabaseTransaction, user: Uuid) -> Result<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for table in OF_USER {
        let text = format!("SELECT count(*) AS n FROM {table} WHERE user_id = $1");
        let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, [user.into()]);
        let row = reads.query_one_raw(statement).await?;
        let count: i64 = row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0);
        if count > 0 {
            found.push((table, count));
        }
    }
    Ok(found)
}

/// Which of these users are being deleted, and which were.
pub(in super::super) async fn user_gone(db: &Db, users: &[Uuid]) -> Result<(HashSet<Uuid>, HashSet<Uuid>)> {
    static LEAVING: LazyLock<Sql> = LazyLock::new(|| {
        let text = "SELECT r.id FROM {rows} {cross} deletions d ON d.id = r.id AND d.kind = 1";
        Sql::new(text, &[("id", Col::Id)])
    });
    static DELETED: LazyLock<Sql> = LazyLock::new(|| {
        let text = "SELECT r.id FROM {rows} {cross} deleted_users d ON d.id_hash = r.id_hash";
        Sql::new(text, &[("id", Col::Id), ("id_hash", Col::Id)])
    });
    let (mut leaving, mut deleted) = (LEAVING.rows(), DELETED.rows());
    for user in users {
        leaving.push([(*user).into()]);
        deleted.push([(*user).into(), hash_of(*user).into()]);
    }
    let leaving = ids(db, LEAVING.bind(db.backend(), leaving, [])).await?;
    Ok((leaving, ids(db, DELETED.bind(db.backend(), deleted, [])).await?))
}

/// SQLite gives a blob that `unhex` made back as it took it.
async fn ids(db: &Db, statement: Statement) -> Result<HashSet<Uuid>> {
    let found = db.query(statement).await?;
    Ok(found.iter().map(|row| row.try_get("", "id")).collect::<Result<_, DbErr>>()?)
}

/// Lets the deletion of a user, which was accepted before, go on. Whether it had ended.
pub(in super::super) async fn deletion_resume(tx: &Tx, user: Uuid, now: Millis) -> Result<bool> {
    let text =
        "INSERT INTO deletions (id, kind, accepted_at, removed) VALUES ($1, $2, $3, 0) ON CONFLICT (id) DO NOTHING";
    let values: [Value; 3] = [user.into(), (Target::User as i16).into(), now.0.into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected() == 1)
}

/// Takes that back, unless it has removed something by now. Whether it could.
pub(in super::super) async fn deletion_call_off(tx: &Tx, user: Uuid) -> Result<bool> {
    let text = "DELETE FROM deletions WHERE id = $1 AND kind = $2 AND removed = 0";
    let values: [Value; 2] = [user.into(), (Target::User as i16).into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected() == 1)
}
