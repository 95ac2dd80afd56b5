//! Statements on cells that are not what is due in them: the words in which both databases differ, and what SQLite quotes.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::{Db, Tx};
use crate::kernel::error::{Error, Result};
use crate::kernel::integrity::Drift;

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

/// A wrong cell.
pub(in super::super) struct Wrong {
    cell: &'static Cell,
    /// The number of its row, as it is written.
    row: Option<String>,
    pub(in super::super) drift: Drift,
}

impl Table {
    /// Conditions on its rows, of the cells that can be wrong.
    fn wrong(&self, backend: DbBackend) -> Vec<(&'static Cell, String)> {
        let cells: &'static [Cell] = self.cells;
        let wrong = |cell: &'static Cell| Some((cell, cell.1.wrong(&format!("t.{}", cell.0), backend)?));
        cells.iter().filter_map(wrong).collect()
    }

    /// The items after a key, and whether a cell of theirs is wrong, in one pass; `None` where the database sees to all.
    pub(in super::super) async fn chunk(
        &'static self,
        db: &Db,
        (lane, id): (i16, Uuid),
        size: usize,
    ) -> Result<Option<Vec<((i16, Uuid), bool)>>> {
        let wrong: Vec<_> = self.wrong(db.backend()).into_iter().map(|(_, wrong)| wrong).collect();
        if wrong.is_empty() {
            return Ok(None);
        }
        let text = format!(
            "SELECT t.lane, t.{0} AS id, max(CASE WHEN {1} THEN 1 ELSE 0 END) AS wrong FROM {2} t
             WHERE (t.lane, t.{0}) > ($1, $2) GROUP BY t.lane, t.{0} ORDER BY t.lane, t.{0} LIMIT $3",
            self.id,
            wrong.join(" OR "),
            self.name
        );
        let limit = i64::try_from(size).unwrap_or(i64::MAX);
        let values: [Value; 3] = [lane.into(), id.into(), limit.into()];
        let found = db.query(Statement::from_sql_and_values(db.backend(), text, values)).await?;
        let read = |row: &QueryResult| {
            Ok(((row.try_get("", "lane")?, row.try_get("", "id")?), row.try_get::<i32>("", "wrong")? != 0))
        };
        Ok(Some(found.iter().map(read).collect::<Result<_, DbErr>>()?))
    }

    /// Whether the item with this TypeID has a row.
    pub(in super::super) async fn has(&self, db: &Db, (lane, id): (i16, Uuid), named: &str) -> Result<bool> {
        let text = format!(
            "SELECT {} AS kind FROM {} t WHERE t.lane = $1 AND t.{} = $2 LIMIT 1",
            self.kind, self.name, self.id
        );
        let statement = Statement::from_sql_and_values(db.backend(), text, [lane.into(), id.into()]);
        let found = db.query(statement).await?;
        // Of a kind that cannot be read it may be.
        let is_named = |row: &QueryResult| row.try_get("", "kind").map_or(true, |kind| (self.text)(kind, id) == named);
        Ok(found.first().is_some_and(is_named))
    }

    /// The wrong cells of an item.
    pub(in super::super) async fn find(
        &'static self,
        reads: &DatabaseTransaction,
        (lane, id): (i16, Uuid),
    ) -> Result<Vec<Wrong>> {
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

    fn read(&self, cell: &'static Cell, id: Uuid, held: &QueryResult) -> Result<Wrong, DbErr> {
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

    /// Leaves something readable in a wrong cell of an item. Whether it did.
    pub(in super::super) async fn mend(&self, tx: &Tx, item: (i16, Uuid), wrong: &Wrong, now: Millis) -> Result<bool> {
        let Wrong { cell: cell @ Cell(column, due, left), row, .. } = wrong;
        let Some(is) = due.wrong(&format!("t.{column}"), tx.backend()) else { return Ok(false) };
        let to = match left {
            Left::Neutral(neutral) => neutral_value(tx, neutral).await?,
            Left::Now => now.0.into(),
            Left::All => return Ok(false),
        };
        self.write(tx, item, (cell, row.as_deref()), (to, &is)).await
    }

    /// Puts back what stood in a cell of an item, while it is what was left there. Whether it was.
    pub(in super::super) async fn put_back(
        &self,
        tx: &Tx,
        item: (i16, Uuid),
        (column, row): (&str, Option<&str>),
        stored: &str,
    ) -> Result<bool> {
        let cell = self.cells.iter().find(|cell| cell.0 == column);
        match (cell, value(stored)) {
            (Some(cell @ Cell(_, _, Left::Neutral(neutral))), Some(to)) => {
                self.write(tx, item, (cell, row), (to, &format!("t.{column} IS {neutral}"))).await
            }
            _ => Ok(false),
        }
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
