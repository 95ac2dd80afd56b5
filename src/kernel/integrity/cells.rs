//! The check of what stands in cells: numbers, where numbers are due. SQLite puts anything into any column, and a number
//! that stands for nothing is a number on PostgreSQL as well. What cannot be read no other check can compare.

use std::fmt::Write as _;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::{Error, Result};

/// A module's check of its tables.
pub struct Cells {
    /// Whose tables they are.
    pub module: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// The tables.
    pub tables: &'static [Table],
    /// Called after repairs, as [`Check::changed`].
    pub changed: Option<for<'a> fn(&'a Tx) -> BoxFuture<'a, Result<()>>>,
}

/// A table whose rows are of items: of those with a `lane` and an id.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column of the item's id.
    pub id: &'static str,
    /// The column behind both, a number, where an item has several rows that a repair must tell apart.
    pub row: Option<&'static str>,
    /// An SQL expression over a row `t`, handed to `text`.
    pub kind: &'static str,
    /// The item's TypeID.
    pub text: fn(i16, Uuid) -> String,
    /// The columns that are looked at.
    pub cells: &'static [Cell],
}

/// A column.
pub struct Cell(pub &'static str, pub Due, pub Left);

/// What is due in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A whole number.
    Int,
    /// The same, or nothing.
    IntOrNull,
    /// A whole number of 16 bits.
    Small,
    /// A number with a fraction.
    Real,
    /// A number that stands for something: from the first to the last.
    Known(i16, i16),
}

/// What a repair leaves where nothing can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// This SQL value: what is right the other checks find, and write.
    Neutral(&'static str),
    /// The present moment: a version after all that there can have been.
    Now,
    /// All as it is: nobody knows what is right.
    All,
}

impl Due {
    /// A condition on a cell that is not what is due; `None` where the database sees to it.
    fn wrong(self, cell: &str, backend: DbBackend) -> Option<String> {
        let sqlite = backend != DbBackend::Postgres;
        match self {
            Self::Known(first, last) if sqlite => {
                Some(format!("(typeof({cell}) <> 'integer' OR {cell} NOT BETWEEN {first} AND {last})"))
            }
            Self::Known(first, last) => Some(format!("{cell} NOT BETWEEN {first} AND {last}")),
            _ if !sqlite => None,
            Self::Int => Some(format!("typeof({cell}) <> 'integer'")),
            Self::IntOrNull => Some(format!("typeof({cell}) NOT IN ('integer', 'null')")),
            Self::Small => Some(format!("(typeof({cell}) <> 'integer' OR {cell} NOT BETWEEN -32768 AND 32767)")),
            Self::Real => Some(format!("typeof({cell}) <> 'real'")),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Int | Self::Real => "a number".to_owned(),
            Self::IntOrNull => "a number or nothing".to_owned(),
            Self::Small => "a number of 16 bits".to_owned(),
            Self::Known(first, last) => format!("a number from {first} to {last}"),
        }
    }
}

/// A value as SQL writes it.
fn quoted(cell: &str, backend: DbBackend) -> String {
    if backend == DbBackend::Postgres { format!("({cell})::text") } else { format!("quote({cell})") }
}

/// What [`quoted`] wrote, to be bound: an SQL text with values in it could say more than a value.
fn value(quoted: &str) -> Option<Value> {
    let inner = |text: &str| text.strip_suffix('\'').map(str::to_owned);
    if quoted == "NULL" {
        return Some(Value::BigInt(None));
    }
    if let Some(hex) = quoted.strip_prefix("X'").and_then(inner) {
        let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        return (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>().map(Value::from);
    }
    if let Some(text) = quoted.strip_prefix('\'').and_then(inner) {
        return Some(text.replace("''", "'").into());
    }
    quoted.parse::<i64>().map(Value::from).or_else(|_| quoted.parse::<f64>().map(Value::from)).ok()
}

/// Items of a table: its place among the tables, and a lane, are in the first part of a key.
const LANES: i16 = 256;

/// A wrong cell.
struct Wrong<'a> {
    cell: &'a Cell,
    /// The number of its row, as it is written.
    row: Option<String>,
    drift: Drift,
}

impl Table {
    /// Conditions on its rows, of the cells that can be wrong.
    fn wrong(&self, backend: DbBackend) -> Vec<(&'static Cell, String)> {
        let cells: &'static [Cell] = self.cells;
        let wrong = |cell: &'static Cell| Some((cell, cell.1.wrong(&format!("t.{}", cell.0), backend)?));
        cells.iter().filter_map(wrong).collect()
    }

    /// The wrong cells of an item.
    async fn find(&'static self, reads: &DatabaseTransaction, (lane, id): (i16, Uuid)) -> Result<Vec<Wrong<'static>>> {
        let backend = reads.get_database_backend();
        let mut found = Vec::new();
        for (cell, wrong) in self.wrong(backend) {
            let row = self.row.map_or("NULL".to_owned(), |row| quoted(&format!("t.{row}"), backend));
            let text = format!(
                "SELECT {} AS kind, {row} AS place, {} AS stored FROM {} t WHERE t.lane = $1 AND t.{} = $2 AND {wrong}
                 ORDER BY 2 LIMIT 1000",
                self.kind,
                quoted(&format!("t.{}", cell.0), backend),
                self.name,
                self.id
            );
            let statement = Statement::from_sql_and_values(backend, text, [lane.into(), id.into()]);
            for held in reads.query_all_raw(statement).await? {
                found.push(self.read(cell, id, &held)?);
            }
        }
        Ok(found)
    }

    fn read(&self, cell: &'static Cell, id: Uuid, held: &QueryResult) -> Result<Wrong<'static>, DbErr> {
        // Whose it is may be unreadable itself.
        let kind = held.try_get("", "kind").unwrap_or(0);
        let row: Option<String> = held.try_get("", "place")?;
        let mut field = format!("{}.{}", self.name, cell.0);
        if let (Some(name), Some(row)) = (self.row, &row) {
            let _ = write!(field, " of {name} {row}");
        }
        let stored = held.try_get("", "stored")?;
        let drift = Drift { id: (self.text)(kind, id), field, stored, actual: cell.1.text() };
        Ok(Wrong { cell, row, drift })
    }

    /// Writes a cell of an item while a condition holds. Whether it did.
    async fn write(
        &self,
        tx: &Tx,
        (lane, id): (i16, Uuid),
        (cell, row): (&Cell, Option<&str>),
        (to, is): (Value, &str),
    ) -> Result<bool> {
        let mut values: Vec<Value> = vec![lane.into(), id.into(), to];
        let mut of = String::new();
        if let (Some(name), Some(row)) = (self.row, row) {
            values.push(value(row).ok_or_else(|| Error::internal(format!("{row} is no {name}")))?);
            of = format!("AND t.{name} = $4");
        }
        let text = format!(
            "UPDATE {} AS t SET {} = $3 WHERE t.lane = $1 AND t.{} = $2 {of} AND {is}",
            self.name, cell.0, self.id
        );
        let written = tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?;
        Ok(written.rows_affected() == 1)
    }
}

impl Cells {
    /// The table of a key, and the key in it.
    fn of(&self, (place, id): Key) -> Option<(usize, &'static Table, (i16, Uuid))> {
        let at = usize::try_from(place.div_euclid(LANES)).ok()?;
        Some((at, self.tables.get(at)?, (place.rem_euclid(LANES), id)))
    }
}

/// The first key of a table.
fn start(at: usize) -> Key {
    (i16::try_from(at).unwrap_or(i16::MAX).saturating_mul(LANES), Uuid::nil())
}

#[async_trait]
impl Check for Cells {
    fn module(&self) -> &'static str {
        self.module
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    /// One pass over the rows of a chunk of one table's items.
    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let mut after = after.unwrap_or(start(0));
        loop {
            let Some((at, table, (lane, id))) = self.of(after) else {
                return Ok(Chunk { checked: 0, suspects: Vec::new(), next: None });
            };
            let wrong: Vec<_> = table.wrong(kernel.backend()).into_iter().map(|(_, wrong)| wrong).collect();
            if wrong.is_empty() {
                after = start(at + 1);
                continue;
            }
            let text = format!(
                "SELECT t.lane, t.{0} AS id, max(CASE WHEN {1} THEN 1 ELSE 0 END) AS wrong FROM {2} t
                 WHERE (t.lane, t.{0}) > ($1, $2) GROUP BY t.lane, t.{0} ORDER BY t.lane, t.{0} LIMIT $3",
                table.id,
                wrong.join(" OR "),
                table.name
            );
            let limit = i64::try_from(size).unwrap_or(i64::MAX);
            let values: [Value; 3] = [lane.into(), id.into(), limit.into()];
            let found = kernel.db.query(Statement::from_sql_and_values(kernel.backend(), text, values)).await?;
            let read = |row: &QueryResult| {
                let key = (start(at).0 + row.try_get::<i16>("", "lane")?, row.try_get("", "id")?);
                Ok((key, row.try_get::<i32>("", "wrong")? != 0))
            };
            let keys: Vec<(Key, bool)> = found.iter().map(read).collect::<Result<_, DbErr>>()?;
            let last = keys.last().map(|(key, _)| *key).filter(|_| keys.len() == size);
            let next = last.or_else(|| Some(start(at + 1)).filter(|_| at + 1 < self.tables.len()));
            let suspects = keys.iter().filter(|(_, wrong)| *wrong).map(|(key, _)| *key).collect();
            return Ok(Chunk { checked: keys.len() as u64, suspects, next });
        }
    }

    /// In a transaction that writes: on SQLite nobody else does meanwhile. On PostgreSQL nothing is put right.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let Some((_, table, item)) = self.of(key) else { return Ok(Vec::new()) };
        let found = kernel.db.write(move |tx| Box::pin(table.find(tx.connection(), item)));
        Ok(found.await?.into_iter().map(|wrong| wrong.drift).collect())
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<Vec<Drift>> {
        let Some((_, table, item)) = self.of(key) else { return Ok(Vec::new()) };
        let mut repaired = Vec::new();
        for Wrong { cell, row, drift } in table.find(tx.connection(), item).await? {
            let Some(wrong) = cell.1.wrong(&format!("t.{}", cell.0), tx.backend()) else { continue };
            let to = match cell.2 {
                Left::Neutral(neutral) => neutral_value(tx, neutral).await?,
                Left::Now => kernel.clock.now().0.into(),
                Left::All => continue,
            };
            if table.write(tx, item, (cell, row.as_deref()), (to, &wrong)).await? {
                repaired.push(drift);
            }
        }
        Ok(repaired)
    }

    /// Only while it is what the repair left there.
    async fn restore(&self, _: &Kernel, tx: &Tx, key: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let mut restored = Vec::with_capacity(drifts.len());
        for drift in drifts {
            let (name, row) = drift.field.split_once(" of ").unwrap_or((&drift.field, ""));
            let row = row.split_once(' ').map(|(_, row)| row);
            let column = name.split_once('.').map(|(_, column)| column);
            let held = self.of(key).and_then(|(_, table, item)| {
                let cell = table.cells.iter().find(|cell| Some(cell.0) == column)?;
                Some((table, item, cell, value(&drift.stored)?))
            });
            restored.push(match held {
                Some((table, item, cell @ Cell(column, _, Left::Neutral(neutral)), to)) => {
                    table.write(tx, item, (cell, row), (to, &format!("t.{column} IS {neutral}"))).await?
                }
                _ => false,
            });
        }
        Ok(restored)
    }

    async fn changed(&self, kernel: &Kernel, keys: &[Key]) -> Result<()> {
        match self.changed {
            Some(changed) if !keys.is_empty() => kernel.db.write(move |tx| changed(tx)).await,
            _ => Ok(()),
        }
    }
}

/// What an SQL value is: a number, a number with a fraction, or nothing.
async fn neutral_value(tx: &Tx, neutral: &str) -> Result<Value> {
    let text = format!("SELECT quote({neutral}) AS value");
    let found = tx.connection().query_one_raw(Statement::from_string(tx.backend(), text)).await?;
    let text: Option<String> = found.map(|row| row.try_get("", "value")).transpose()?;
    text.as_deref().and_then(value).ok_or_else(|| Error::internal(format!("{neutral} is no value")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqlite_quotes_is_read_again() {
        for (quoted, due) in [
            ("NULL", Value::BigInt(None)),
            ("-7", Value::from(-7_i64)),
            ("2.5", Value::from(2.5)),
            ("1.0e+30", Value::from(1e30)),
            ("'it''s'", Value::from("it's")),
            ("X'00FF'", Value::from(vec![0_u8, 255])),
        ] {
            assert_eq!(value(quoted), Some(due), "{quoted}");
        }
        assert_eq!(value("2; DROP TABLE contents"), None);
    }
}
