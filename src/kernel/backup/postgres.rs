//! PostgreSQL: an archive of `pg_dump`, put back by `pg_restore`.

use std::ffi::OsStr;
use std::path::Path;

use sea_orm::{AccessMode, DatabaseConnection, IsolationLevel, TransactionTrait as _};

use super::tools::Tools;
use super::{Copied, refused, stamp, store};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::db::Db;
use crate::kernel::error::{Code, Error, Result};

/// Writes an archive of one snapshot to a file, and reads all of it again.
pub(super) async fn dump(kernel: &Kernel, to: &Path) -> Result<Copied> {
    let at = Db::postgres_at(&kernel.settings)?;
    // The snapshot lives as long as this transaction: the manifest and the archive are of the same moment.
    let tx = kernel.db.reader();
    let tx = tx.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
    let tools = Tools::find(&kernel.settings, store::server_major(&tx).await?).await?;
    let migrations = store::applied(&tx).await?;
    if migrations.is_empty() {
        return Err(Error::not_found("the database is empty: there is nothing to back up"));
    }
    let snapshot = format!("--snapshot={}", store::export_snapshot(&tx).await?);
    let replaced = format!("--exclude-schema={}*", store::REPLACED);
    let mut arguments = ["--format=custom", "--no-owner", "--no-privileges", "--no-password", &snapshot, &replaced]
        .map(OsStr::new)
        .to_vec();
    arguments.extend([OsStr::new("--file"), to.as_os_str()]);
    tools.dump(&at, &arguments).await?;
    // Only its snapshot was needed.
    let _ = tx.rollback().await;
    let listed = tools.restore(None, &[OsStr::new("--list"), to.as_os_str()]).await?;
    for module in migrations.keys() {
        if !listed.contains(&format!(" migrations_{module} ")) {
            let what = format!("the table migrations_{module} is not in the archive");
            return Err(Error::new(Code::INTERNAL, "the backup is not whole, and was removed").caused_by(what));
        }
    }
    // The list is at the archive's head: this reads its rows, to the end.
    tools.restore(None, &["--file=/dev/null".as_ref(), to.as_os_str()]).await?;
    Ok(Copied { migrations, tool: format!("pg_dump {}", tools.major) })
}

/// Puts an archive into the database: all of it or nothing. Tables that were there are moved to another schema.
pub(super) async fn restore(settings: &Settings, file: &Path, replace: bool, now: Millis) -> Result<Option<String>> {
    let alone = Db::postgres_alone(settings).await?;
    let restored = restore_on(&alone, settings, file, replace, now).await;
    // With the session goes the lock for which servers wait that begin now.
    alone.close().await?;
    restored
}

async fn restore_on(
    alone: &DatabaseConnection,
    settings: &Settings,
    file: &Path,
    replace: bool,
    now: Millis,
) -> Result<Option<String>> {
    let at = Db::postgres_at(settings)?;
    let tools = Tools::find(settings, store::server_major(alone).await?).await?;
    // An archive of a later pg_dump is refused here, before anything is changed.
    tools.restore(None, &[OsStr::new("--list"), file.as_os_str()]).await?;
    if !store::lock_migrations(alone).await? {
        return Err(Error::conflict("the database is in use: a server begins, or another restore runs"));
    }
    let sessions = store::sessions(alone).await?;
    if sessions > 0 {
        return Err(Error::conflict(format!(
            "the database is in use, by {sessions} session(s) of tally: stop servers, workers and every other `tally` on \
             it first"
        )));
    }
    let schema = store::schema(alone).await?;
    let is_empty = store::tables_in(alone, &schema).await?.is_empty();
    if !is_empty && !replace {
        return Err(refused(&format!("schema {schema} of database {}", at.database)));
    }
    let away = format!("{}{}", store::REPLACED, stamp(now).to_lowercase());
    if !is_empty {
        store::move_away(alone, &schema, &away).await?;
    }
    let (only, into) = (format!("--schema={schema}"), format!("--dbname={}", at.conninfo()));
    let mut arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password"]
        .map(OsStr::new)
        .to_vec();
    arguments.extend([OsStr::new(&only), OsStr::new(&into), file.as_os_str()]);
    if let Err(error) = tools.restore(Some(&at), &arguments).await {
        if !is_empty {
            store::move_back(alone, &away, &schema).await?;
        }
        return Err(error);
    }
    store::analyze(alone).await?;
    Ok((!is_empty).then(|| format!("the tables that were there are kept in schema {away}")))
}
