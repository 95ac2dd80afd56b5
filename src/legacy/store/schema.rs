//! Which of the tables and columns are there, and what they are called.

use super::dialect::{Class, Dialect};
use super::source::Source;
use crate::kernel::error::{Code, Error, Result};
use crate::legacy::map::Mapping;
use crate::legacy::spec::{self, Table};

/// A table that is there, with the columns that are.
pub(in super::super) struct Found {
    pub(in super::super) spec: Table,
    /// As its database calls it.
    pub(in super::super) theirs: String,
    pub(super) quoted: String,
    dialect: Dialect,
    columns: Vec<(&'static str, String, Class)>,
}

/// What there is.
pub(in super::super) struct Schema {
    pub(in super::super) tables: Vec<Found>,
    /// What is not there: `artworks_like`, `artworks.hot_score`.
    pub(in super::super) absent: Vec<String>,
}

impl Schema {
    /// Looks.
    ///
    /// # Errors
    /// None of the tables is there; a needed column or one that the mapping names is not; the database's own.
    pub(in super::super) async fn read(source: &mut Source, mapping: &Mapping) -> Result<Self> {
        let mut schema = Self { tables: Vec::new(), absent: Vec::new() };
        for spec in spec::TABLES {
            if mapping.leaves_out(spec.name) {
                schema.absent.push(spec.name.to_owned());
                continue;
            }
            let theirs = mapping.table(spec.name);
            let columns = source.columns(&theirs).await?;
            if columns.is_empty() {
                if theirs != spec.name {
                    return Err(Error::invalid(format!("the mapping says {theirs} for {}: no such table", spec.name)));
                }
                schema.absent.push(spec.name.to_owned());
                continue;
            }
            schema.take(source.dialect(), mapping, spec, theirs, &columns)?;
        }
        let useful = spec::USEFUL.map(|spec| spec.name);
        if !schema.tables.iter().any(|found| useful.contains(&found.spec.name)) {
            return Err(Error::invalid(format!(
                "none of the tables {} is there; if they have other names, give them in a mapping (--map)",
                useful.join(", ")
            )));
        }
        Ok(schema)
    }

    fn take(
        &mut self,
        dialect: Dialect,
        mapping: &Mapping,
        spec: Table,
        theirs: String,
        columns: &[(String, Class)],
    ) -> Result<()> {
        let mut found = Found { spec, quoted: dialect.quoted(&theirs), theirs, dialect, columns: Vec::new() };
        for column in spec.columns {
            let named = mapping.column(spec.name, column.name);
            let places = columns.iter().filter_map(|held| Some((column.place(&held.0)?, held)));
            let held = match named {
                Some(named) => columns.iter().find(|(name, _)| name == named),
                None => places.min_by_key(|(place, _)| *place).map(|(_, held)| held),
            };
            let missing = format!("{}.{}", spec.name, column.name);
            match held {
                Some((name, class)) => found.columns.push((column.name, dialect.quoted_column(name), *class)),
                None if named.is_some() => {
                    let named = named.unwrap_or_default();
                    return Err(Error::invalid(format!("the mapping says {named} for {missing}: no such column")));
                }
                None if column.needed => {
                    return Err(Error::invalid(format!(
                        "the table {} has no column {}; if it has another name, give it in a mapping (--map)",
                        found.theirs, column.name
                    )));
                }
                None => self.absent.push(missing),
            }
        }
        self.tables.push(found);
        Ok(())
    }

    /// A table, if it is there.
    pub(in super::super) fn table(&self, spec: Table) -> Option<&Found> {
        self.tables.iter().find(|found| found.spec.name == spec.name)
    }
}

impl Found {
    /// Whether a column is there.
    pub(in super::super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, ..)| *name == column)
    }

    /// What a column holds.
    pub(in super::super) fn class(&self, column: &str) -> Class {
        self.columns.iter().find(|(name, ..)| *name == column).map_or(Class::Other, |(.., class)| *class)
    }

    /// A column of the table under an alias, as an expression; nothing where there is none.
    pub(super) fn column(&self, alias: &str, column: &str) -> String {
        let held = self.columns.iter().find(|(name, ..)| *name == column);
        held.map_or_else(|| self.dialect.null().to_owned(), |(_, quoted, _)| format!("{alias}.{quoted}"))
    }

    /// The same as text.
    pub(super) fn text(&self, alias: &str, column: &str) -> String {
        match self.has(column) {
            true => self.dialect.text(&self.column(alias, column), self.class(column)),
            false => self.dialect.null().to_owned(),
        }
    }

    /// The same as a key: see [`Dialect::key`].
    pub(super) fn key(&self, alias: &str, column: &str) -> String {
        match self.has(column) {
            true => self.dialect.key(&self.column(alias, column), self.class(column)),
            false => self.dialect.null().to_owned(),
        }
    }
}

impl Source {
    /// Names and types of a table's columns; none where there is no such table.
    async fn columns(&mut self, table: &str) -> Result<Vec<(String, Class)>> {
        let dialect = self.dialect();
        let rows = match dialect {
            Dialect::Sqlite => {
                let text = match table.contains('.') {
                    true => {
                        "SELECT t.name, t.type
                         FROM pragma_database_list d, pragma_table_xinfo(substr(?1, instr(?1, '.') + 1), d.name) t
                         WHERE d.name = substr(?1, 1, instr(?1, '.') - 1) AND t.hidden <> 1"
                    }
                    // Generated columns as well; 1 are those of virtual tables that nobody selects.
                    false => "SELECT name, type FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
                };
                self.rows_of(text, table).await?
            }
            Dialect::Postgres => {
                let text = "SELECT a.attname::text, format_type(a.atttypid, NULL)::text FROM pg_attribute a
                     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
                self.rows_of(text, &dialect.quoted(table)).await?
            }
            Dialect::MySql => {
                let text = match table.contains('.') {
                    true => {
                        "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns
                         WHERE CONCAT(table_schema, '.', table_name) = ? ORDER BY ordinal_position"
                    }
                    false => {
                        "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns
                         WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
                    }
                };
                let rows = self.rows_of(text, table).await?;
                if rows.is_empty() {
                    self.is_denied(table).await?;
                }
                rows
            }
        };
        let mysql = dialect == Dialect::MySql;
        let column = |row: Vec<Option<String>>| {
            let [name, declared] = row.try_into().ok()?;
            let declared = declared.unwrap_or_default();
            // There a timestamp is a moment, and is read in UTC.
            let class = match mysql && declared.eq_ignore_ascii_case("timestamp") {
                true => Class::Instant,
                false => Class::of(&declared),
            };
            Some((name?, class))
        };
        Ok(rows.into_iter().filter_map(column).collect())
    }

    /// MySQL does not list what one may not read: an error where that may be why there is nothing. It does not say whether
    /// there is such a table, and to take it for absent would be to guess.
    async fn is_denied(&mut self, table: &str) -> Result<()> {
        let quoted = self.dialect().quoted(table);
        use futures_util::TryStreamExt as _;
        let looked: Result<Vec<_>> = self.rows(format!("SELECT 1 FROM {quoted} LIMIT 0")).try_collect().await;
        match looked {
            Err(error) if error.code() == Code::FORBIDDEN => {
                let text = format!(
                    "there is no permission to read {table}, or no such table: `leave_out` in a mapping (--map) leaves it out"
                );
                Err(Error::new(Code::FORBIDDEN, text).caused_by(error.cause().unwrap_or_default()))
            }
            // There is no such table.
            _ => Ok(()),
        }
    }
}
