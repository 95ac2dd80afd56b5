//! What a backup says of itself, beside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};

use super::{Applied, Counted, files};
use crate::kernel::db::Migrations;
use crate::kernel::error::{Code, Error, Result};

/// The manifest of a backup: `FILE.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of tally that made it.
    pub tally: String,
    /// `sqlite` or `postgres`.
    pub backend: String,
    /// Of which moment it is, RFC 3339.
    pub taken_at: String,
    /// What made it: `SQLite`, `pg_dump 17`.
    pub tool: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The migrations that it has, by module.
    pub migrations: Applied,
    /// PostgreSQL: the schema that the tables were in. Backups of tally 0.1.0's first days do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The rows of each table; a restore counts them again.
    #[serde(default)]
    pub tables: Counted,
}

/// Something that a database has and this build does not know: `module users` is missing, or a migration of it.
pub(super) fn beyond(applied: &Applied, known: &[Migrations]) -> Option<String> {
    applied.iter().find_map(|(module, names)| {
        let Some(own) = known.iter().find(|own| own.module == module) else {
            return Some(format!("whose module {module} this tally {VERSION} does not have"));
        };
        let list: Vec<_> = (own.list)().iter().map(|migration| migration.name().to_owned()).collect();
        let newer = names.iter().find(|name| !list.contains(name))?;
        Some(format!("whose migration {module}/{newer} this tally {VERSION} does not know"))
    })
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A database's name in manifests.
pub(super) fn word(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "postgres" } else { "sqlite" }
}

impl Manifest {
    /// Where the manifest of a backup is.
    #[must_use]
    pub fn path(file: &Path) -> PathBuf {
        let mut name = OsString::from(file);
        name.push(".json");
        name.into()
    }

    /// Reads that of a backup.
    ///
    /// # Errors
    /// No such file, or none that has a manifest.
    pub fn of(file: &Path) -> Result<Self> {
        let shown = file.display();
        if !file.is_file() {
            return Err(Error::not_found(format!("there is no file {shown}")));
        }
        let path = Self::path(file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::invalid(format!(
                    "{shown} has no {} beside it: it is no backup of `tally backup`, or one that was never finished",
                    path.display()
                )));
            }
            Err(error) => return Err(files::failed("read", &path, &error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            Error::invalid(format!("{} is not the manifest of a backup", path.display())).caused_by(error)
        })
    }

    /// Whether it can go back to such a database, under this binary.
    pub(super) fn fits(&self, file: &Path, backend: DbBackend, known: &[Migrations]) -> Result<()> {
        let shown = file.display();
        if self.backend != word(backend) {
            let (of, to) = (&self.backend, word(backend));
            return Err(Error::invalid(format!(
                "{shown} is a backup of {of}, and DATABASE_URL names {to}: it goes back to the kind it came from"
            )));
        }
        if let Some(beyond) = beyond(&self.migrations, known) {
            return Err(Error::invalid(format!(
                "{shown} is of tally {}, {beyond}: restore it with a build that has it",
                self.tally
            )));
        }
        Ok(())
    }

    /// Whether a database has the migrations and the rows that were backed up.
    pub(super) fn tallies(&self, migrations: &Applied, tables: &Counted) -> Result<()> {
        let fault = |what: String| {
            Err(Error::new(Code::INTERNAL, "what was restored is not what the manifest says").caused_by(what))
        };
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        for (module, names) in &self.migrations {
            let there = migrations.get(module).map(|names| sorted(names)).unwrap_or_default();
            if there != sorted(names) {
                return fault(format!("migrations of {module}: {there:?} instead of {names:?}"));
            }
        }
        for (table, rows) in &self.tables {
            if tables.get(table) != Some(rows) {
                return fault(format!("rows of {table}: {:?} instead of {rows}", tables.get(table)));
            }
        }
        Ok(())
    }

    /// Whether the file is what the manifest says, byte for byte.
    pub(super) async fn holds(&self, file: &Path) -> Result<()> {
        let (bytes, sha256) = files::hash(file).await?;
        let shown = file.display();
        if bytes < self.bytes {
            return Err(Error::invalid(format!("{shown} is cut off: {bytes} bytes of {}", self.bytes)));
        }
        if bytes != self.bytes || sha256 != self.sha256 {
            return Err(Error::invalid(format!("{shown} is broken: its SHA-256 is not that of its manifest")));
        }
        Ok(())
    }
}
