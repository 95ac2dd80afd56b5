//! What repairs replaced.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::super::{Change, Drift};
use super::{read, run, select};
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::{Error, Result, Retry};

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
    kept: Option<String>,
}

/// `put_back` of a change that an undo tried: left, or put back.
const LEFT: i16 = 0;
const BACK: i16 = 1;
/// Of one that no undo has tried, and whose figure a newer repair has replaced again.
const REPLACED: i16 = 2;
/// In place of none.
const UNTRIED: i16 = -1;

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        let Row { number, module, check_name, lane, item, id, field, stored, actual, put_back, kept } = row;
        Self {
            number,
            module,
            name: check_name,
            key: (lane, item),
            drift: Drift { id, field, stored, actual },
            put_back: put_back.filter(|put_back| *put_back != REPLACED).map(|put_back| put_back == BACK),
            kept,
            replaced_since: put_back == Some(REPLACED),
        }
    }
}

const ROW: &str = "SELECT number, module, check_name, lane, item, id, field, stored, actual, put_back, kept
                   FROM integrity_changes";

fn changes(rows: Vec<Row>) -> Vec<Change> {
    rows.into_iter().map(Change::from).collect()
}

/// What a run has recorded from a number on: by a transaction whose COMMIT was not answered.
pub(in super::super) async fn changes_from(tx: &Tx, run: Uuid, number: i64) -> Result<Vec<Change>> {
    let sql = format!("{ROW} WHERE run = $1 AND number >= $2 ORDER BY number");
    Ok(changes(select(tx, &sql, [run.into(), number.into()]).await?))
}

/// Records what a repair replaced, in the transaction that did so; under the locks of the items, so that of two repairs of
/// a figure the newer one is told from the older one.
pub(in super::super) async fn changes_put(tx: &Tx, of: Uuid, changes: &[Change]) -> Result<()> {
    let sql = "INSERT INTO integrity_changes (run, number, module, check_name, lane, item, id, field, stored, actual,
               kept) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let again = "UPDATE integrity_changes SET put_back = $1, replaced_by = $7 WHERE lane = $2 AND item = $3
                 AND module = $4 AND check_name = $5 AND field = $6 AND run <> $7 AND put_back IS NULL";
    for Change { number, module, name, key: (lane, item), drift, kept, .. } in changes {
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
            kept.as_deref().into(),
        ];
        run(tx, sql, values).await?;
        let values = [
            REPLACED.into(),
            (*lane).into(),
            (*item).into(),
            module.as_str().into(),
            name.as_str().into(),
            drift.field.as_str().into(),
            of.into(),
        ];
        run(tx, again, values).await?;
    }
    Ok(())
}

/// The newest changes before `before` that no undo has tried yet, newest first. Not locked: a repair locks the item first
/// and its changes then, and so does an undo; [`changes_tried`] tells when somebody was faster.
pub(in super::super) async fn changes_open(tx: &Tx, run: Uuid, before: i64, most: i64) -> Result<Vec<Change>> {
    let sql = format!(
        "{ROW} WHERE run = $1 AND number < $2 AND (put_back IS NULL OR put_back = $3) ORDER BY number DESC LIMIT $4"
    );
    Ok(changes(select(tx, &sql, [run.into(), before.into(), REPLACED.into(), most.into()]).await?))
}

/// What was kept with the first change of an item whose change `until` is.
pub(in super::super) async fn kept_before(tx: &Tx, run: Uuid, until: i64) -> Result<Option<String>> {
    let sql = format!("{ROW} WHERE run = $1 AND number < $2 AND kept IS NOT NULL ORDER BY number DESC LIMIT 1");
    Ok(select::<Row>(tx, &sql, [run.into(), until.into()]).await?.pop().and_then(|row| row.kept))
}

/// Records what came of putting back. Where it did, the figure is again what the repair before made of it, which may be
/// undone next.
pub(in super::super) async fn changes_tried(tx: &Tx, of: Uuid, changes: &[Change]) -> Result<()> {
    let before =
        "UPDATE integrity_changes SET put_back = NULL, replaced_by = NULL WHERE replaced_by = $1 AND put_back = $2
                  AND lane = $3 AND item = $4 AND module = $5 AND check_name = $6 AND field = $7";
    let sql = "UPDATE integrity_changes SET put_back = $1
               WHERE run = $2 AND number = $3 AND coalesce(put_back, $4) = $4";
    for change in changes {
        let put_back = if change.put_back == Some(true) { BACK } else { LEFT };
        let expected = if change.replaced_since { REPLACED } else { UNTRIED };
        let values = [put_back.into(), of.into(), change.number.into(), expected.into()];
        if run(tx, sql, values).await? != 1 {
            // Another undo of it, or a repair that replaced the figure between the two statements: look again.
            return Err(Error::conflict("another undo of this repair is under way").with_retry(Retry::Soon));
        }
        if change.put_back == Some(true) {
            let (lane, item) = change.key;
            let values = [
                of.into(),
                REPLACED.into(),
                lane.into(),
                item.into(),
                change.module.as_str().into(),
                change.name.as_str().into(),
                change.drift.field.as_str().into(),
            ];
            run(tx, before, values).await?;
        }
    }
    Ok(())
}

/// The changes of a run after a number, oldest first.
pub(crate) async fn changes_page(db: &Db, run: Uuid, after: i64, most: i64) -> Result<Vec<Change>> {
    let sql = format!("{ROW} WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3");
    Ok(changes(read(db, &sql, [run.into(), after.into(), most.into()]).await?))
}
