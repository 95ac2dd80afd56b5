//! What checks read of users: who has rows here, what is known of them, and what takes a deletion up again.

use std::collections::HashSet;
use std::sync::LazyLock;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement, Value};
use uuid::Uuid;

use super::deletions::{Target, USER_TABLES};
use super::suspicion::USER;
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::kernel::id::hash_of;

/// What is shown of the rows of a table, the table, and the column that says whose they are.
type OfUser = (&'static str, &'static str, &'static str);

/// Not every actor of a finding is a user.
fn of_users(table: &str) -> String {
    if table == "suspicious_activity" { format!(" AND actor_kind = {USER}") } else { String::new() }
}

/// What goes with a user: all that must be gone before a deletion ends. Rows of views do not say whose they are.
fn of_user() -> impl Iterator<Item = OfUser> {
    USER_TABLES.iter().map(|(table, column)| {
        let what = match (*table, *column) {
            ("comments", "deleted_by") => "deletions in comments",
            (table, _) => table,
        };
        (what, *table, *column)
    })
}

/// Whose repair deletes whole contents, with all that others did to them.
pub(in super::super) const CONTENTS: &str = "contents";

/// The users after `after` who have rows, by id.
pub(in super::super) async fn user_page(db: &Db, after: Uuid, size: usize) -> Result<Vec<Uuid>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let of = |(_, table, column): OfUser| {
            format!(
                "SELECT user_id FROM (SELECT DISTINCT {column} AS user_id FROM {table} WHERE {column} > $1{}
                 ORDER BY {column} LIMIT $2) t",
                of_users(table)
            )
        };
        let all = of_user().map(of).collect::<Vec<_>>().join(" UNION ");
        format!("SELECT user_id FROM ({all}) u ORDER BY user_id LIMIT $2")
    });
    let values: [Value; 2] = [after.into(), i64::try_from(size).unwrap_or(i64::MAX).into()];
    let found = db.query(Statement::from_sql_and_values(db.backend(), &*SQL, values)).await?;
    Ok(found.iter().map(|row| row.try_get("", "user_id")).collect::<Result<_, DbErr>>()?)
}

/// How many rows of each table are a user's, by what they are; those without any are left out.
pub(in super::super) async fn user_rows(reads: &DatabaseTransaction, user: Uuid) -> Result<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for (what, table, column) in of_user() {
        let text = format!("SELECT count(*) AS n FROM {table} WHERE {column} = $1{}", of_users(table));
        let statement = Statement::from_sql_and_values(reads.get_database_backend(), text, [user.into()]);
        let row = reads.query_one_raw(statement).await?;
        let count: i64 = row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0);
        if count > 0 {
            found.push((what, count));
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

/// Takes that back, unless the job has begun with it, see [`super::deletions::user_begin`]. Whether it could.
pub(in super::super) async fn deletion_call_off(tx: &Tx, user: Uuid) -> Result<bool> {
    let text = "DELETE FROM deletions WHERE id = $1 AND kind = $2 AND removed = 0";
    let values: [Value; 2] = [user.into(), (Target::User as i16).into()];
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected() == 1)
}
