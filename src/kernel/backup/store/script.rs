//! What `psql` runs before and after an archive, all of it one transaction: at any moment either what was there before
//! is in its place or what is restored, whoever is killed when.

use std::collections::BTreeSet;

use super::quoted;
use crate::kernel::backup::Manifest;

/// Where tables go that a backup replaces, with a moment behind it.
const REPLACED: &str = "tally_replaced_";
/// What a schema of the archive's name is called meanwhile.
const ASIDE: &str = "tally_aside_";

/// What `psql` says when all is done but the COMMIT.
pub(in super::super) const READY: &str = "tally: all is there";
/// What makes it count. No part of the script: a `psql` that begins late, when nobody waits for it any more, reads all that
/// it was sent.
pub(in super::super) const COMMIT: &str = "COMMIT;\n";

/// Where the tables of an archive come from and where they go.
pub(in super::super) struct Script<'a> {
    /// The archive's schema: its statements name it.
    pub(in super::super) from: &'a str,
    /// The schema that they are to be in.
    pub(in super::super) into: &'a str,
    /// The tables of the archive.
    pub(in super::super) tables: &'a BTreeSet<String>,
    /// The tables that they replace.
    pub(in super::super) replaced: &'a BTreeSet<String>,
    /// What becomes of a schema of the archive's name meanwhile.
    pub(in super::super) room: Room,
    /// The moment, for names.
    pub(in super::super) stamp: &'a str,
}

/// Where an archive's tables are made before they go to another schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Room {
    /// In a schema that is made for it and goes again: there is none of that name.
    Made,
    /// In the one of that name, which has room for them.
    There,
    /// In one that is made for it: that of the name has such tables, and is called otherwise until the end.
    Aside,
}

impl Script<'_> {
    /// Where the tables go that were there.
    pub(in super::super) fn kept_in(&self) -> String {
        format!("{REPLACED}{}", self.stamp)
    }

    /// Makes room.
    pub(in super::super) fn before(&self) -> String {
        // A session that reads the old tables would keep this waiting for ever.
        let mut sql = "BEGIN;\nSET LOCAL lock_timeout = '10s';\n".to_owned();
        if !self.replaced.is_empty() {
            sql += &format!("CREATE SCHEMA {};\n", quoted(&self.kept_in()));
            sql += &moved(self.replaced, self.into, &self.kept_in());
        }
        if self.from != self.into {
            if self.room == Room::Aside {
                sql += &format!("ALTER SCHEMA {} RENAME TO {};\n", quoted(self.from), quoted(&self.aside()));
            }
            if self.room != Room::There {
                sql += &format!("CREATE SCHEMA {};\n", quoted(self.from));
            }
        }
        sql
    }

    /// Puts the tables where they belong, and says so if they are those of the manifest.
    pub(in super::super) fn after(&self, manifest: &Manifest) -> String {
        let mut sql = String::from("\n");
        if self.from != self.into {
            sql += &moved(self.tables, self.from, self.into);
            if self.room != Room::There {
                sql += &format!("DROP SCHEMA {};\n", quoted(self.from));
            }
            if self.room == Room::Aside {
                sql += &format!("ALTER SCHEMA {} RENAME TO {};\n", quoted(&self.aside()), quoted(self.from));
            }
        }
        sql + &self.verified(manifest) + &format!("\\echo '{READY}'\n")
    }

    /// Fails unless every table has the rows, and every module the migrations, that the manifest says.
    fn verified(&self, manifest: &Manifest) -> String {
        let at = |table: &str| format!("{}.{}", quoted(self.into), quoted(table));
        let rows = manifest.tables.iter().map(|(table, rows)| {
            let found = format!("(SELECT count(*)::text FROM {})", at(table));
            format!("({}, '{rows}', {found})", literal(&format!("rows of {table}")))
        });
        let migrations = manifest.migrations.iter().map(|(module, names)| {
            let mut names = names.clone();
            names.sort_unstable();
            let found = format!(
                "(SELECT coalesce(string_agg(version, ' ' ORDER BY version COLLATE \"C\"), '') FROM {})",
                at(&format!("migrations_{module}"))
            );
            format!("({}, {}, {found})", literal(&format!("migrations of {module}")), literal(&names.join(" ")))
        });
        let expected: Vec<_> = rows.chain(migrations).collect();
        format!(
            "DO $tally$ DECLARE wrong text; BEGIN\n\
             SELECT string_agg(format('%s: %s instead of %s', what, there, expected), '; ') INTO wrong\n\
             FROM (VALUES {}) AS told (what, expected, there) WHERE there <> expected;\n\
             IF wrong IS NOT NULL THEN RAISE EXCEPTION 'what was restored is not what the manifest says: %', wrong; END IF;\n\
             END $tally$;\n",
            expected.join(",\n")
        )
    }

    fn aside(&self) -> String {
        format!("{ASIDE}{}", self.stamp)
    }
}

/// Moves tables, with their indexes.
fn moved(tables: &BTreeSet<String>, from: &str, to: &str) -> String {
    let one = |table: &String| format!("ALTER TABLE {}.{} SET SCHEMA {};\n", quoted(from), quoted(table), quoted(to));
    tables.iter().map(one).collect()
}

/// A text as SQL takes it. Backslashes stand for themselves: archives begin with that setting.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
