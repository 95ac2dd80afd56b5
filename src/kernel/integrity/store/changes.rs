//! What repairs replaced.

use sea_orm::{DbBackend, FromQueryResult};
use uuid::Uuid;

use super::super::{Change, Drift};
use super::{read, run, select};
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::{Error, Result};

#[derive(FromQueryResult)]
struct Row {
    number: i64,
    module: String,
    check_name: String,
    lane: i16,
    item: Uuid,
    id: String,
    field: String,
    stored: String,
    actual: String,
    put_back: Option<i16>,
}

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        let Row { number, module, check_name, lane, item, id, field, stored, actual, put_back } = row;
        Self {
            number,
            module,
            name: check_name,
            key: (lane, item),
            drift: Drift { id, field, stored, actual },
            put_back: put_back.map(|put_back| put_back == 1),
        }
    }
}

const ROW: &str = "SELECT number, module, check_name, lane, item, id, field, stored, actual, put_back
                   FROM integrity_changes";

fn changes(rows: Vec<Row>) -> Vec<Change> {
    rows.into_iter().map(Change::from).collect()
}

/// What a run has recorded from a number on: by a transaction whose COMMIT was not answered.
pub(in super::super) async fn changes_from(tx: &Tx, run: Uuid, number: i64) -> Result<Vec<Change>> {
    let sql = format!("{ROW} WHERE run = $1 AND number >= $2 ORDER BY number");
    Ok(changes(select(tx, &sql, [run.into(), number.into()]).await?))
}

/// Records what a repair replaced, in the transaction that did so.
pub(in super::super) async fn changes_put(tx: &Tx, of: Uuid, changes: &[Change]) -> Result<()> {
    let sql = "INSERT INTO integrity_changes (run, number, module, check_name, lane, item, id, field, stored, actual)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    for Change { number, module, name, key: (lane, item), drift, .. } in changes {
        let values = [
            of.into(),
            (*number).into(),
            module.as_str().into(),
            name.as_str().into(),
            (*lane).into(),
            (*item).into(),
            drift.id.as_str().into(),
            drift.field.as_str().into(),
            drift.stored.as_str().into(),
            drift.actual.as_str().into(),
        ];
        run(tx, sql, values).await?;
    }
    Ok(())
}

/// The newest changes before `before` that no undo has tried yet, newest first. Locks them.
pub(in super::super) async fn changes_open(tx: &Tx, run: Uuid, before: i64, most: i64) -> Result<Vec<Change>> {
    let lock = if tx.backend() == DbBackend::Postgres { " FOR NO KEY UPDATE" } else { "" };
    let sql = format!("{ROW} WHERE run = $1 AND number < $2 AND put_back IS NULL ORDER BY number DESC LIMIT $3{lock}");
    Ok(changes(select(tx, &sql, [run.into(), before.into(), most.into()]).await?))
}

/// Records what came of putting back.
pub(in super::super) async fn changes_tried(tx: &Tx, of: Uuid, changes: &[Change]) -> Result<()> {
    let sql = "UPDATE integrity_changes SET put_back = $1 WHERE run = $2 AND number = $3 AND put_back IS NULL";
    for change in changes {
        let put_back = i16::from(change.put_back == Some(true));
        if run(tx, sql, [put_back.into(), of.into(), change.number.into()]).await? != 1 {
            return Err(Error::conflict("another undo of this repair is under way"));
        }
    }
    Ok(())
}

/// The changes of a run after a number, oldest first.
pub(crate) async fn changes_page(db: &Db, run: Uuid, after: i64, most: i64) -> Result<Vec<Change>> {
    let sql = format!("{ROW} WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3");
    Ok(changes(read(db, &sql, [run.into(), after.into(), most.into()]).await?))
}
