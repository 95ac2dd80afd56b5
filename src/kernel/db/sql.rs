//! Constant SQL text for any number of rows: `unnest` on PostgreSQL, `json_each` on SQLite.
//!
//! `IN (…)` lists and multi-row `VALUES` make a new text for each size, and with it a new plan. Here a set of rows is
//! one parameter a column (PostgreSQL) or one in all (SQLite), so that every statement is prepared once.

use std::fmt::Write as _;

use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

/// The type of a column of [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Col {
    /// `smallint`
    Small,
    /// `bigint`
    Int,
    /// `bigint`, nullable
    OptInt,
    /// `uuid`
    Id,
    /// `uuid`, nullable
    OptId,
    /// `bytea`
    Bytes,
    /// `double precision`. Text between here and SQLite's parser: for values that need not come back bit by bit.
    Float,
    /// `text`
    Text,
    /// `text`, nullable
    OptText,
}

/// What stands for NULL in an array of integers: SeaORM binds no arrays with NULLs in them.
/// Its literal must be a `bigint`: that of `i64::MIN` is not, for PostgreSQL reads the sign apart.
const NULL_INT: i64 = -i64::MAX;

/// A statement in both dialects, made once from a template.
///
/// | in the template | PostgreSQL | SQLite |
/// |---|---|---|
/// | `{rows}` | `(SELECT … FROM unnest($1::…, …) AS u(a, b)) AS r` | `(SELECT … FROM json_each($1)) AS r` |
/// | `{1}`, `{2}`, … | the scalar parameters after the rows | the same |
/// | `{lock f}` | `FOR NO KEY UPDATE OF f`: leaves foreign keys and readers alone | nothing: there is one writer |
/// | `{by index}` | nothing: it knows what a partial index leaves out | `INDEXED BY index` |
/// | `{cross}` | `JOIN` … `ON` | `CROSS JOIN`: rows outside, table inside, whatever the statistics say |
pub struct Sql {
    columns: &'static [(&'static str, Col)],
    postgres: String,
    sqlite: String,
}

impl Sql {
    /// Makes both texts. `columns` are those of `r`; empty for a statement without rows.
    #[must_use]
    pub fn new(template: &str, columns: &'static [(&'static str, Col)]) -> Self {
        Self::of_both(template, template, columns)
    }

    /// The same from a template for each database: where one plans well what the other does not, or cannot say it.
    #[must_use]
    pub fn of_both(postgres: &str, sqlite: &str, columns: &'static [(&'static str, Col)]) -> Self {
        Self {
            columns,
            postgres: expand(postgres, &postgres_rows(columns), columns.len(), true),
            sqlite: expand(sqlite, &sqlite_rows(columns), usize::from(!columns.is_empty()), false),
        }
    }

    /// An empty set of rows for this statement.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows { columns: self.columns, cells: self.columns.iter().map(|_| Vec::new()).collect() }
    }

    /// The statement with its rows and the scalar parameters that follow them.
    #[must_use]
    pub fn bind(&self, backend: DbBackend, rows: Rows, scalars: impl IntoIterator<Item = Value>) -> Statement {
        let mut values = match backend {
            DbBackend::Postgres => rows.into_arrays(),
            _ if self.columns.is_empty() => Vec::new(),
            _ => vec![Value::from(rows.into_json())],
        };
        values.extend(scalars);
        Statement::from_sql_and_values(backend, self.text(backend), values)
    }

    /// The text for a database.
    #[must_use]
    pub fn text(&self, backend: DbBackend) -> &str {
        if backend == DbBackend::Postgres { &self.postgres } else { &self.sqlite }
    }
}

fn expand(template: &str, rows: &str, row_params: usize, postgres: bool) -> String {
    let mut sql = template.replace("{rows}", rows).replace("{cross}", if postgres { "JOIN" } else { "CROSS JOIN" });
    while let Some(at) = sql.find("{lock ") {
        let end = at + sql[at..].find('}').unwrap_or(0);
        let table = sql[at + "{lock ".len()..end].to_owned();
        let lock = if postgres { format!("FOR NO KEY UPDATE OF {table}") } else { String::new() };
        sql.replace_range(at..=end, &lock);
    }
    while let Some(at) = sql.find("{by ") {
        let end = at + sql[at..].find('}').unwrap_or(0);
        let index = sql[at + "{by ".len()..end].to_owned();
        sql.replace_range(at..=end, &if postgres { String::new() } else { format!("INDEXED BY {index}") });
    }
    for scalar in 1..=9 {
        sql = sql.replace(&format!("{{{scalar}}}"), &format!("${}", row_params + scalar));
    }
    sql
}

fn postgres_rows(columns: &[(&str, Col)]) -> String {
    let arrays: Vec<_> = columns
        .iter()
        .zip(1..)
        .map(|((_, col), n)| match col {
            Col::Small => format!("${n}::smallint[]"),
            Col::Int | Col::OptInt => format!("${n}::bigint[]"),
            Col::Id | Col::OptId => format!("${n}::uuid[]"),
            Col::Bytes => format!("${n}::bytea[]"),
            Col::Float => format!("${n}::double precision[]"),
            Col::Text | Col::OptText => format!("${n}::text[]"),
        })
        .collect();
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let cells: Vec<_> = columns
        .iter()
        .map(|(name, col)| match col {
            Col::OptInt => format!("NULLIF({name}, {NULL_INT}) AS {name}"),
            Col::OptId => format!("NULLIF({name}, '{}'::uuid) AS {name}", Uuid::nil()),
            Col::OptText => format!("CASE WHEN {name} <> '' THEN substr({name}, 2) END AS {name}"),
            _ => (*name).to_owned(),
        })
        .collect();
    format!("(SELECT {} FROM unnest({}) AS u({})) AS r", cells.join(", "), arrays.join(", "), names.join(", "))
}

fn sqlite_rows(columns: &[(&str, Col)]) -> String {
    let cells: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(n, (name, col))| match col {
            Col::Id | Col::OptId | Col::Bytes => format!("unhex(value->>{n}) AS {name}"),
            _ => format!("value->>{n} AS {name}"),
        })
        .collect();
    format!("(SELECT {} FROM json_each($1)) AS r", cells.join(", "))
}

/// Rows for one [`Sql`]; every `push` gives one value a column, in the columns' order.
pub struct Rows {
    columns: &'static [(&'static str, Col)],
    cells: Vec<Vec<Value>>,
}

impl Rows {
    /// Adds a row.
    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.columns.len());
        for (column, value) in self.cells.iter_mut().zip(row) {
            column.push(value);
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn into_arrays(self) -> Vec<Value> {
        self.columns
            .iter()
            .zip(self.cells)
            .map(|((_, col), cells)| {
                let kind = match col {
                    Col::Small => ArrayType::SmallInt,
                    Col::Int | Col::OptInt => ArrayType::BigInt,
                    Col::Id | Col::OptId => ArrayType::Uuid,
                    Col::Bytes => ArrayType::Bytes,
                    Col::Float => ArrayType::Double,
                    Col::Text | Col::OptText => ArrayType::String,
                };
                Value::Array(kind, Some(Box::new(cells.into_iter().map(|cell| without_null(*col, cell)).collect())))
            })
            .collect()
    }

    /// One JSON text for all rows.
    fn into_json(self) -> String {
        let mut json = String::with_capacity(2 + self.len() * self.columns.len() * 24);
        json.push('[');
        for row in 0..self.len() {
            json.push_str(if row == 0 { "[" } else { ",[" });
            for (n, column) in self.cells.iter().enumerate() {
                if n > 0 {
                    json.push(',');
                }
                push_cell(&mut json, &column[row]);
            }
            json.push(']');
        }
        json.push(']');
        json
    }
}

/// An array's element that stands for a cell: a text is marked, so that every text can be told from NULL.
fn without_null(col: Col, cell: Value) -> Value {
    match (col, cell) {
        (Col::OptInt, Value::BigInt(None)) => Value::BigInt(Some(NULL_INT)),
        (Col::OptId, Value::Uuid(None)) => Value::Uuid(Some(Uuid::nil())),
        (Col::OptText, Value::String(text)) => {
            Value::String(Some(text.map_or_else(String::new, |text| format!("={text}"))))
        }
        (_, cell) => cell,
    }
}

fn push_cell(json: &mut String, value: &Value) {
    // Writing to a String cannot fail.
    let _ = match value {
        Value::SmallInt(Some(n)) => write!(json, "{n}"),
        Value::BigInt(Some(n)) => write!(json, "{n}"),
        Value::Double(Some(n)) => write!(json, "{n:?}"),
        Value::Uuid(Some(id)) => push_id(json, *id),
        Value::Bytes(Some(bytes)) => push_bytes(json, bytes),
        Value::String(Some(text)) => {
            json.push_str(&serde_json::Value::from(text.as_str()).to_string());
            Ok(())
        }
        _ => write!(json, "null"),
    };
}

fn push_id(json: &mut String, id: Uuid) -> std::fmt::Result {
    let mut buffer = Uuid::encode_buffer();
    write!(json, "\"{}\"", id.simple().encode_lower(&mut buffer))
}

fn push_bytes(json: &mut String, bytes: &[u8]) -> std::fmt::Result {
    json.push('"');
    bytes.iter().try_for_each(|byte| write!(json, "{byte:02x}"))?;
    json.push('"');
    Ok(())
}
