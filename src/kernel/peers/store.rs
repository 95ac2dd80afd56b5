//! The statements of the words between servers.

use std::sync::LazyLock;

use sea_orm::Statement;

use crate::kernel::db::{Col, Db, Sql};
use crate::kernel::error::{Error, Result};

/// A channel is of a database; tally may have several schemas in one.
const CHANNEL: &str = "'tally_' || md5(coalesce(current_schema(), ''))";

/// The name of the channel.
///
/// # Errors
/// The database's own.
pub(super) async fn channel(db: &Db) -> Result<String> {
    let statement = Statement::from_string(db.backend(), format!("SELECT {CHANNEL} AS name"));
    let rows = db.query(statement).await?;
    let row = rows.first().ok_or_else(|| Error::internal("a SELECT without a row"))?;
    Ok(row.try_get("", "name")?)
}

/// Says these words, all at one moment. A transaction of its own, after the one that it tells of: a NOTIFY takes a lock
/// of the whole server until its commit is on the disk, and writers would wait for one another.
///
/// # Errors
/// The database's own.
pub(super) async fn say(db: &Db, words: Vec<String>) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            &format!("SELECT count(*) AS n FROM (SELECT pg_notify({CHANNEL}, r.word) FROM {{rows}}) AS said"),
            &[("word", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    words.into_iter().for_each(|word| rows.push([word.into()]));
    db.query(SQL.bind(db.backend(), rows, [])).await?;
    Ok(())
}
