//! All SQL of the module.

use std::collections::HashSet;
use std::sync::LazyLock;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult as _,
    IntoActiveModel as _, QueryFilter as _, QueryTrait as _, Statement,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::entity::{Column, Entity, Model};
use crate::kernel::clock::Millis;
use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;

static USER_BY_IDS: LazyLock<Sql> =
    LazyLock::new(|| Sql::new("SELECT u.* FROM {rows} {cross} users u ON u.id = r.id", &[("id", Col::Id)]));

/// Users by their ids, in no order; unknown ones are left out.
pub(super) async fn user_by_ids(db: &Db, ids: &[Uuid]) -> Result<Vec<Model>> {
    let mut rows = USER_BY_IDS.rows();
    for id in ids {
        rows.push([(*id).into()]);
    }
    let found = db.query(USER_BY_IDS.bind(db.backend(), rows, [])).await?;
    Ok(found.iter().map(|row| Model::from_query_result(row, "")).collect::<Result<_, _>>()?)
}

/// The user of a subject, outside a transaction.
pub(super) async fn user_by_subject_read(db: &Db, subject: &str) -> Result<Option<Model>> {
    let find = Entity::find().filter(Column::Subject.eq(subject)).build(db.backend());
    let found = db.query(find).await?;
    Ok(found.first().map(|row| Model::from_query_result(row, "")).transpose()?)
}

/// The user of a subject.
pub(super) async fn user_by_subject(connection: &impl ConnectionTrait, subject: &str) -> Result<Option<Model>> {
    Ok(Entity::find().filter(Column::Subject.eq(subject)).one(connection).await?)
}

/// The user with a platform's own id.
pub(super) async fn user_by_external_id(connection: &impl ConnectionTrait, external_id: &str) -> Result<Option<Model>> {
    Ok(Entity::find().filter(Column::ExternalId.eq(external_id)).one(connection).await?)
}

/// Adds a user.
pub(super) async fn user_insert(tx: &Tx, user: Model) -> Result<()> {
    user.into_active_model().insert(tx.connection()).await?;
    Ok(())
}

/// Changes what others see of a user.
pub(super) async fn user_update(tx: &Tx, user: Model) -> Result<()> {
    user.into_active_model().reset_all().update(tx.connection()).await?;
    Ok(())
}

/// Removes a user and returns its subject.
pub(super) async fn user_delete(tx: &Tx, id: Uuid) -> Result<Option<String>> {
    let sql = "DELETE FROM users WHERE id = $1 RETURNING subject";
    let delete = Statement::from_sql_and_values(tx.backend(), sql, [id.into()]);
    let gone = tx.connection().query_one_raw(delete).await?;
    Ok(gone.map(|row| row.try_get("", "subject")).transpose()?)
}

/// Not the subject itself, which may be an email address.
fn subject_hash(subject: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(subject.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Remembers that a subject's user was deleted.
pub(super) async fn deleted_subject_put(tx: &Tx, subject: &str, at: Millis) -> Result<()> {
    let sql = "INSERT INTO deleted_subjects (subject_hash, deleted_at) VALUES ($1, $2)
         ON CONFLICT (subject_hash) DO UPDATE SET deleted_at = excluded.deleted_at";
    tx.execute(Statement::from_sql_and_values(tx.backend(), sql, [subject_hash(subject).into(), at.0.into()])).await?;
    Ok(())
}

/// Whether a subject's user was deleted.
pub(super) async fn deleted_subject(tx: &Tx, subject: &str) -> Result<bool> {
    let sql = "SELECT deleted_at FROM deleted_subjects WHERE subject_hash = $1";
    let find = Statement::from_sql_and_values(tx.backend(), sql, [subject_hash(subject).into()]);
    Ok(tx.connection().query_one_raw(find).await?.is_some())
}

/// Forgets that a subject's user was deleted.
pub(super) async fn deleted_subject_remove(tx: &Tx, subject: &str) -> Result<()> {
    let sql = "DELETE FROM deleted_subjects WHERE subject_hash = $1";
    tx.execute(Statement::from_sql_and_values(tx.backend(), sql, [subject_hash(subject).into()])).await?;
    Ok(())
}

/// The users that have one of these subjects as their external id, or as their subject.
pub(super) async fn user_by_old_ids(tx: &Tx, users: &[&Model]) -> Result<Vec<Model>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT u.* FROM {rows} {cross} users u ON u.external_id = r.old_id
             UNION SELECT u.* FROM {rows} {cross} users u ON u.subject = r.old_id",
            &[("old_id", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for user in users {
        rows.push([user.subject.clone().into()]);
    }
    tx.select(&SQL, rows).await
}

/// Gives users that have none an external id.
pub(super) async fn external_id_put(tx: &Tx, users: &[(Uuid, String)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "UPDATE users AS u SET external_id = r.external_id FROM {rows} WHERE u.id = r.id",
            &[("id", Col::Id), ("external_id", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for (id, external_id) in users {
        rows.push([(*id).into(), external_id.clone().into()]);
    }
    tx.write_all(&SQL, rows).await
}

/// Adds users.
pub(super) async fn user_insert_many(tx: &Tx, users: &[&Model]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "id, subject, external_id, name, created_at";
        Sql::new(
            &format!("INSERT INTO users ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("id", Col::Id),
                ("subject", Col::Text),
                ("external_id", Col::OptText),
                ("name", Col::Text),
                ("created_at", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for user in users {
        rows.push([
            user.id.into(),
            user.subject.clone().into(),
            user.external_id.clone().into(),
            user.name.clone().into(),
            user.created_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}

/// Those of these subjects whose users were deleted.
pub(super) async fn deleted_subjects_among(tx: &Tx, subjects: impl Iterator<Item = &str>) -> Result<HashSet<String>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.subject FROM {rows} {cross} deleted_subjects d ON d.subject_hash = r.subject_hash",
            &[("subject", Col::Text), ("subject_hash", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for subject in subjects {
        rows.push([subject.into(), subject_hash(subject).into()]);
    }
    let found = tx.connection().query_all_raw(SQL.bind(tx.backend(), rows, [])).await?;
    Ok(found.iter().map(|row| row.try_get("", "subject")).collect::<Result<_, DbErr>>()?)
}

/// The users that have one of these ids as their external id, or as their subject: (old id, id, whether it is the first).
pub(super) async fn user_ids_by_old_ids(db: &Db, ids: &[String]) -> Result<Vec<(String, Uuid, bool)>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT r.old_id, u.id, CAST(1 AS smallint) AS own
             FROM {rows} {cross} users u ON u.external_id = r.old_id
             UNION ALL
             SELECT r.old_id, u.id, CAST(0 AS smallint) AS own FROM {rows} {cross} users u ON u.subject = r.old_id",
            &[("old_id", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for id in ids {
        rows.push([id.clone().into()]);
    }
    let found = db.query_by_key(SQL.bind(db.backend(), rows, [])).await?;
    let users = found
        .iter()
        .map(|row| Ok((row.try_get("", "old_id")?, row.try_get("", "id")?, row.try_get::<i16>("", "own")? == 1)));
    Ok(users.collect::<Result<_, DbErr>>()?)
}
