//! Backups: a consistent copy of the whole database while servers run, proved to be whole, and its way back.
//!
//! A backup is two files: what the database's own programs read (a SQLite file, an archive of `pg_dump`), and beside it
//! a manifest with its hash, which comes last. Without a manifest it was never finished.

mod files;
mod manifest;
mod postgres;
mod sqlite;
mod store;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sea_orm::DbBackend;

pub use manifest::Manifest;

use super::clock::Millis;
use super::config::Settings;
use super::context::Kernel;
use super::db::Migrations;
use super::error::{Error, Result};
use files::Partial;

/// A backup that was made.
pub struct Backup {
    /// Where it is; its manifest is beside it.
    pub file: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
}

/// What a restore did.
pub struct Restored {
    /// What was restored.
    pub manifest: Manifest,
    /// What became of the database that was there before, if there was one: a sentence.
    pub kept: Option<String>,
    /// What is not as it should be although the backup is in its place: a sentence.
    pub warning: Option<String>,
}

/// What a database's own way back says of it.
struct Placed {
    kept: Option<String>,
    warning: Option<String>,
}

/// The migrations that a copy has, by the module's name.
type Applied = BTreeMap<String, Vec<String>>;

/// The rows of tables, by name.
type Counted = BTreeMap<String, u64>;

/// What a database's own way of copying says of the copy.
struct Copied {
    migrations: Applied,
    /// PostgreSQL: where its tables are.
    schema: Option<String>,
    tables: Counted,
    /// What made it: `SQLite`, `pg_dump 17`.
    tool: String,
}

/// Makes a backup of the state at one moment, and reads it again. `known` are the migrations of this build; `to` is a
/// file that must not be there yet, or a folder; without it, `backup.folder`. Nothing is left behind when it fails.
///
/// # Errors
/// A database without tables, or one of a newer tally or of modules that this build lacks, which could not restore it; a
/// file that is there, a disk that is full, PostgreSQL's programs missing or too old.
pub async fn create(kernel: &Kernel, known: &[Migrations], to: Option<&Path>) -> Result<Backup> {
    let backend = kernel.backend();
    let now = kernel.clock.now();
    let file = files::target(&kernel.settings, to, backend, now)?;
    let partial = Partial::begin(&file, &kernel.ids)?;
    let copied = match backend {
        DbBackend::Postgres => postgres::dump(kernel, known, partial.path()).await?,
        _ => sqlite::dump(&kernel.settings, known, partial.path()).await?,
    };
    let (bytes, sha256) = files::flush_and_hash(partial.path()).await?;
    let manifest = Manifest {
        tally: env!("CARGO_PKG_VERSION").to_owned(),
        backend: manifest::word(backend).to_owned(),
        taken_at: now.to_text(),
        tool: copied.tool,
        bytes,
        sha256,
        migrations: copied.migrations,
        schema: copied.schema,
        tables: copied.tables,
    };
    partial.publish(&file, &manifest)?;
    Ok(Backup { file, manifest })
}

/// Puts a backup in the place of the database of `database.url`, which nobody may have open. One that has tables is
/// replaced only if `replace` says so, and is kept. Bringing the schema up is left to the caller.
///
/// # Errors
/// Before anything is changed: a file that is broken, cut off, of another kind of database or of a newer tally; a
/// database that is in use, or not empty. PostgreSQL's own, with everything put back as it was.
pub async fn restore(
    settings: &Settings,
    known: &[Migrations],
    file: &Path,
    replace: bool,
    now: Millis,
) -> Result<Restored> {
    let manifest = Manifest::of(file)?;
    let sqlite = super::db::Db::sqlite_file(settings);
    let backend = if sqlite.is_some() { DbBackend::Sqlite } else { DbBackend::Postgres };
    manifest.fits(file, backend, known)?;
    manifest.holds(file).await?;
    let Placed { kept, warning } = match sqlite {
        Some(database) => sqlite::restore(&database, known, (file, &manifest), replace, now).await?,
        None => postgres::restore(settings, known, (file, &manifest), replace, now).await?,
    };
    Ok(Restored { manifest, kept, warning })
}

/// `20260501T083000Z`, for names of files and schemas.
fn stamp(now: Millis) -> String {
    now.to_utc().format("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether this build could restore what it is about to copy.
fn backed_up(migrations: &Applied, known: &[Migrations]) -> Result<()> {
    if migrations.is_empty() {
        return Err(Error::not_found("the database is empty: there is nothing to back up"));
    }
    match manifest::beyond(migrations, known) {
        None => Ok(()),
        Some(beyond) => Err(Error::conflict(format!(
            "this is a database {beyond}, and could not restore: back it up with the build that runs on it. If a module is \
             gone for good, drop its tables and its migrations_MODULE"
        ))),
    }
}

/// That a database is not empty, and nobody said what is to become of it.
fn refused(what: &str) -> Error {
    Error::conflict(format!(
        "{what} is not empty: `--replace` puts the backup in its place and keeps what is there now under another name"
    ))
}
