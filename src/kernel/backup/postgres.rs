//! PostgreSQL: an archive of `pg_dump`, put back by `pg_restore` and `psql`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use sea_orm::{AccessMode, DatabaseConnection, IsolationLevel, TransactionTrait as _};

use super::store::postgres as sql;
use super::store::script::{Room, Script};
use super::tools::Tools;
use super::{Copied, Manifest, Placed, backed_up, refused, stamp, store};
use crate::kernel::clock::Millis;
use crate::kernel::config::Settings;
use crate::kernel::context::Kernel;
use crate::kernel::db::{Db, Migrations, tables};
use crate::kernel::error::{Code, Error, Result};

/// Writes an archive of one snapshot to a file, tally's tables alone, and reads all of it again.
pub(super) async fn dump(kernel: &Kernel, known: &[Migrations], to: &Path) -> Result<Copied> {
    let at = Db::postgres_at(&kernel.settings)?;
    // The snapshot lives as long as this transaction: the manifest and the archive are of the same moment.
    let tx = kernel.db.reader();
    let tx = tx.begin_with_config(Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly)).await?;
    let tools = Tools::find(&kernel.settings, sql::server_major(&tx).await?).await?;
    let migrations = store::applied(&tx, known).await?;
    backed_up(&migrations, known)?;
    let schema = sql::schema(&tx).await?;
    let own = sql::own_tables(&tx, &schema, &tables::known(known).await?).await?;
    let snapshot = sql::export_snapshot(&tx).await?;
    let mut arguments: Vec<OsString> =
        ["--format=custom", "--no-owner", "--no-privileges", "--no-password"].map(OsString::from).to_vec();
    arguments.push(format!("--snapshot={snapshot}").into());
    // In quotes no letter of a name stands for others.
    let quoted = |name: &str| name.replace('"', "\"\"");
    arguments.extend(own.iter().map(|name| format!("--table=\"{}\".\"{}\"", quoted(&schema), quoted(name)).into()));
    arguments.extend(["--file".into(), to.as_os_str().to_owned()]);
    tools.dump(&at, &arguments).await?;
    let tables = store::count(&tx, &own).await?;
    // Only its snapshot was needed.
    let _ = tx.rollback().await;
    let listed = listed(&tools, to).await?;
    if (&listed.schema, &listed.tables) != (&schema, &own) {
        let lacking: Vec<_> = own.difference(&listed.tables).collect();
        let what = format!("of schema {schema}, the tables {lacking:?} are not in the archive");
        return Err(Error::new(Code::INTERNAL, "the backup is not whole, and was removed").caused_by(what));
    }
    // The list is at the archive's head: this reads its rows, to the end.
    tools.read(&["--file=/dev/null".as_ref(), to.as_os_str()]).await?;
    Ok(Copied { migrations, schema: Some(schema), tables, tool: format!("pg_dump {}", tools.major) })
}

/// What an archive says that it holds.
struct Listed {
    schema: String,
    tables: BTreeSet<String>,
}

/// Reads the head of an archive: one of a later pg_dump is refused here.
async fn listed(tools: &Tools, file: &Path) -> Result<Listed> {
    let list = tools.read(&[OsStr::new("--list"), file.as_os_str()]).await?;
    // `215; 1259 16385 TABLE public users postgres`, behind it the owner.
    let entries: Vec<_> = list.lines().filter_map(|line| Some(line.split_once(" TABLE ")?.1)).collect();
    let tables = entries.iter().filter(|entry| !entry.starts_with("DATA "));
    let kernel = tables.clone().find_map(|entry| entry.split_once(" migrations_kernel "));
    let (schema, owner) =
        kernel.ok_or_else(|| Error::invalid(format!("{} holds no tables of tally", file.display())))?;
    let owned = format!(" {owner}");
    let unowned =
        |entry: &'_ str| entry.strip_suffix(&owned).or_else(|| Some(entry.rsplit_once(' ')?.0)).map(str::to_owned);
    let within = format!("{schema} ");
    let tables = tables.filter_map(|entry| unowned(entry.strip_prefix(&within)?)).collect();
    Ok(Listed { schema: schema.to_owned(), tables })
}

/// Puts an archive into the schema that the database's URL means: all of it or nothing. Tables of tally that were there
/// are moved to another schema; those of others stay.
pub(super) async fn restore(
    settings: &Settings,
    known: &[Migrations],
    (file, manifest): (&Path, &Manifest),
    replace: bool,
    now: Millis,
) -> Result<Placed> {
    let alone = Db::postgres_alone(settings).await?;
    let restored = restore_on(&alone, settings, known, (file, manifest), replace, now).await;
    // With the session goes the lock for which servers wait that begin now.
    alone.close().await?;
    restored
}

async fn restore_on(
    alone: &DatabaseConnection,
    settings: &Settings,
    known: &[Migrations],
    (file, manifest): (&Path, &Manifest),
    replace: bool,
    now: Millis,
) -> Result<Placed> {
    let at = Db::postgres_at(settings)?;
    let tools = Tools::find(settings, sql::server_major(alone).await?).await?;
    let listed = listed(&tools, file).await?;
    let told: BTreeSet<_> = manifest.tables.keys().cloned().collect();
    if manifest.schema.as_ref().is_some_and(|schema| *schema != listed.schema || told != listed.tables) {
        return Err(Error::invalid(format!("{} does not hold the tables of its manifest", file.display())));
    }
    in_peace(alone).await?;
    let schema = sql::schema(alone).await?;
    let own = sql::own_tables(alone, &schema, &tables::known(known).await?).await?;
    if !own.is_empty() && !replace {
        return Err(refused(&format!("schema {schema} of database {}", at.database)));
    }
    let there = sql::names_in(alone, &schema).await?;
    let foreign: Vec<_> =
        there.difference(&own).filter(|name| listed.tables.contains(*name)).map(String::as_str).collect();
    if !foreign.is_empty() {
        return Err(Error::conflict(format!(
            "schema {schema} of database {} has {} of another program, where tally's would be: restore into a schema of \
             tally's own",
            at.database,
            foreign.join(", ")
        )));
    }
    let room = if !sql::has_schema(alone, &listed.schema).await? {
        Room::Made
    } else if sql::names_in(alone, &listed.schema).await?.is_disjoint(&listed.tables) {
        Room::There
    } else {
        Room::Aside
    };
    let stamp = stamp(now).to_lowercase();
    let (from, tables) = (&*listed.schema, &listed.tables);
    let script = Script { from, into: &schema, tables, replaced: &own, room, stamp: &stamp };
    tools.replay(&at, file, from, &script.before(), &script.after(manifest)).await?;
    let kept = (!own.is_empty()).then(|| format!("the tables that were there are kept in schema {}", script.kept_in()));
    // It is committed: whatever is wrong from here on, the backup is in its place.
    let warning = looked_at(alone, known, manifest, &listed.tables).await.err().map(|error| {
        let (wrong, kept) = (error.for_operator(), kept.as_deref().unwrap_or("no tables were there before"));
        format!("the backup is in the place of the database, but a look at it failed: {wrong}; {kept}")
    });
    Ok(Placed { kept, warning })
}

/// Looks at what was restored as a server will, by the connection's own search_path, and reads its statistics.
async fn looked_at(
    alone: &DatabaseConnection,
    known: &[Migrations],
    manifest: &Manifest,
    tables: &BTreeSet<String>,
) -> Result<()> {
    let counted = store::count(alone, tables).await?;
    manifest.tallies(&store::applied(alone, known).await?, &counted)?;
    sql::analyze(alone, tables).await
}

/// Makes sure that nobody of tally's is at work, nor begins until this connection closes.
async fn in_peace(alone: &DatabaseConnection) -> Result<()> {
    if !sql::lock_migrations(alone).await? {
        return Err(Error::conflict("the database is in use: a server begins, or another restore runs"));
    }
    let sessions = sql::sessions(alone).await?;
    if sessions > 0 {
        return Err(Error::conflict(format!(
            "the database is in use, by {sessions} session(s) of tally: stop servers, workers and every other `tally` on \
             it first"
        )));
    }
    Ok(())
}
