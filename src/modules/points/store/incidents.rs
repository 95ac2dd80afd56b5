//! What was found to differ, account by account.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::limit;
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::kernel::integrity::Key;

/// An incident as it is stored.
#[derive(FromQueryResult)]
pub(in super::super) struct StoredIncident {
    pub(in super::super) id: Uuid,
    pub(in super::super) field: String,
    pub(in super::super) stored: String,
    pub(in super::super) actual: String,
    pub(in super::super) found_by: String,
    pub(in super::super) found_at: Millis,
}

/// The accounts after `after` that have incidents.
pub(in super::super) async fn account_keys(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    after: Key,
    size: usize,
) -> Result<Vec<Key>> {
    let text = "SELECT DISTINCT lane, user_id FROM point_incidents WHERE (lane, user_id) > ($1, $2)
         ORDER BY lane, user_id LIMIT $3";
    let values: [Value; 3] = [after.0.into(), after.1.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    found.iter().map(|row| Ok((row.try_get("", "lane")?, row.try_get("", "user_id")?))).collect()
}

/// Incidents of an account after one of them, with their ids; one that cannot be read is none.
pub(in super::super) async fn incident_page(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    (lane, user): Key,
    after: Uuid,
    size: usize,
) -> Result<Vec<(Uuid, Option<StoredIncident>)>> {
    let text = "SELECT id, field, stored, actual, found_by, found_at FROM point_incidents
         WHERE lane = $1 AND user_id = $2 AND id > $3 ORDER BY lane, user_id, id LIMIT $4";
    let values: [Value; 4] = [lane.into(), user.into(), after.into(), limit(size).into()];
    let found = connection.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    let incident =
        |row| Ok((sea_orm::QueryResult::try_get(row, "", "id")?, StoredIncident::from_query_result(row, "").ok()));
    found.iter().map(incident).collect()
}
