//! The few words in which the two databases' DDL differs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

/// Autovacuum by count alone: a fifth of a table that was once large may be more than ever comes again.
const QUEUE: &str = "WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000)";

/// Words with a column's name after them, which `$` stands for.
const NAMED: [(&str, &str, &str); 2] = [
    ("{id ", "$ uuid", "$ BLOB CHECK (length($) = 16)"),
    ("{small ", "$ smallint", "$ INTEGER CHECK ($ BETWEEN -32768 AND 32767)"),
];

/// `sql` with each `{word NAME}` replaced.
fn named(sql: &str, word: &str, by: &str) -> String {
    let mut parts = sql.split(word);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |made, part| {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        made + &by.replace('$', name) + rest
    })
}

/// Runs DDL `template`s in order, each with these words replaced:
///
/// | word | PostgreSQL | SQLite |
/// |---|---|---|
/// | `{id}` | `uuid` | `BLOB` (16 bytes) |
/// | `{bytes}` | `bytea` | `BLOB` |
/// | `{int}` | `bigint` | `INTEGER` |
/// | `{small}` | `smallint` | `INTEGER` |
/// | `{float}` | `double precision` | `REAL` |
/// | `{text}` | `text` | `TEXT` |
/// | `{id NAME}` | `NAME uuid` | `NAME BLOB`, of 16 bytes or `NULL` and nothing else |
/// | `{small NAME}` | `NAME smallint` | `NAME INTEGER`, within 16 bits |
/// | `{clustered}` | nothing | `WITHOUT ROWID`: 52 bytes a behaviour row instead of 98 |
/// | `{strict}` | nothing: it always is | `STRICT`: columns take values of their types alone |
/// | `{clustered and strict}` | nothing | both |
/// | `{hot}` | `WITH (fillfactor = 70)`: room for HOT updates | nothing |
/// | `{queue}` | vacuumed after so many rows, whatever its size: its rows come and go | nothing |
///
/// # Errors
/// The database's own, with the statement that it refused.
pub async fn ddl(manager: &SchemaManager<'_>, templates: &[&str]) -> Result<(), DbErr> {
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    let words = [
        ("{id}", "uuid", "BLOB"),
        ("{bytes}", "bytea", "BLOB"),
        ("{int}", "bigint", "INTEGER"),
        ("{small}", "smallint", "INTEGER"),
        ("{float}", "double precision", "REAL"),
        ("{text}", "text", "TEXT"),
        ("{clustered}", "", "WITHOUT ROWID"),
        ("{clustered and strict}", "", "WITHOUT ROWID, STRICT"),
        ("{strict}", "", "STRICT"),
        ("{hot}", "WITH (fillfactor = 70)", ""),
        ("{queue}", QUEUE, ""),
    ];
    for template in templates {
        let mut sql = (*template).to_owned();
        for (word, on_postgres, on_sqlite) in words {
            sql = sql.replace(word, if postgres { on_postgres } else { on_sqlite });
        }
        for (word, on_postgres, on_sqlite) in NAMED {
            sql = named(&sql, word, if postgres { on_postgres } else { on_sqlite });
        }
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Declares a forward-only migration: its struct's name is what the migration table records, so it never changes.
macro_rules! migration {
    ($(#[$doc:meta])* $name:ident, [$($ddl:expr),+ $(,)?]) => {
        $(#[$doc])*
        pub struct $name;

        impl sea_orm_migration::MigrationName for $name {
            fn name(&self) -> &str {
                stringify!($name)
            }
        }

        #[async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for $name {
            async fn up(&self, manager: &sea_orm_migration::SchemaManager) -> Result<(), sea_orm_migration::DbErr> {
                $crate::dialect::ddl(manager, &[$($ddl),+]).await
            }
        }
    };
}
pub(crate) use migration;
