//! What repairs write of one locked content, and what undoes them: by values that are bound one by one, so that a number
//! that comes back is the same to the last bit. (Rows by the hundred go through texts, which SQLite parses less exactly.)

use sea_orm::{ConnectionTrait as _, DbErr, Statement, Value};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::modules::engagement::content::{Figures, key};

async fn write(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(tx.execute(Statement::from_sql_and_values(tx.backend(), text, values)).await?.rows_affected())
}

/// Writes the figures of a locked content, in force or beside it.
pub(in super::super) async fn figures_write(tx: &Tx, content: Uuid, f: &Figures, is_next: bool) -> Result<()> {
    let columns = "SET version = $3, like_count = $4, favorite_count = $5, comment_count = $6, share_count = $7,
         view_count = $8, heat = $9, wake_at = $10, hot_level = $11, hot_score = $12, last_hot_update = $13,
         last_history_at = $14, heat_version = $15 WHERE lane = $1 AND content_id = $2";
    let table = if is_next { "content_figures_next" } else { "content_figures" };
    let (lane, id) = key(content);
    let values: [Value; 15] = [
        lane.into(),
        id.into(),
        f.version.into(),
        f.like_count.into(),
        f.favorite_count.into(),
        f.comment_count.into(),
        f.share_count.into(),
        f.view_count.into(),
        f.heat.into(),
        f.wake_at.map(|at| at.0).into(),
        f.hot_level.into(),
        f.hot_score.into(),
        f.last_hot_update.0.into(),
        f.last_history_at.0.into(),
        f.heat_version.into(),
    ];
    match write(tx, &format!("UPDATE {table} {columns}"), values).await? {
        1 => Ok(()),
        rows => Err(crate::kernel::error::Error::internal(format!("{rows} rows of figures written instead of 1"))),
    }
}

/// Removes the figures of a locked content, if a repair that made them is undone.
pub(in super::super) async fn figures_delete(tx: &Tx, content: Uuid) -> Result<()> {
    let (lane, id) = key(content);
    write(tx, "DELETE FROM content_figures WHERE lane = $1 AND content_id = $2", [lane.into(), id.into()]).await?;
    Ok(())
}

/// The epochs of a locked content that have a mass, in force or beside it.
pub(in super::super) async fn mass_epochs(tx: &Tx, content: Uuid, is_next: bool) -> Result<Vec<i64>> {
    let table = if is_next { "content_heat_next" } else { "content_heat" };
    let text = format!("SELECT epoch FROM {table} WHERE lane = $1 AND content_id = $2");
    let (lane, id) = key(content);
    let statement = Statement::from_sql_and_values(tx.backend(), text, [lane.into(), id.into()]);
    let rows = tx.connection().query_all_raw(statement).await?;
    Ok(rows.iter().map(|row| row.try_get("", "epoch")).collect::<Result<_, DbErr>>()?)
}

/// Removes a mass of a locked content, if it is none: there was no such row before a repair wrote one.
pub(in super::super) async fn mass_delete(tx: &Tx, content: Uuid, epoch: i64, is_next: bool) -> Result<()> {
    let table = if is_next { "content_heat_next" } else { "content_heat" };
    let text = format!("DELETE FROM {table} WHERE lane = $1 AND content_id = $2 AND epoch = $3 AND mass = 0");
    let (lane, id) = key(content);
    write(tx, &text, [lane.into(), id.into(), epoch.into()]).await?;
    Ok(())
}

/// Moves a row of history of a locked content, if it stands at `from`. Whether it did.
pub(in super::super) async fn history_move(tx: &Tx, content: Uuid, row: Uuid, from: i64, to: i64) -> Result<bool> {
    let (lane, id) = key(content);
    let text = "UPDATE hot_history SET calculated_at = $5
         WHERE lane = $1 AND content_id = $2 AND id = $3 AND calculated_at = $4";
    let values: [Value; 5] = [lane.into(), id.into(), row.into(), from.into(), to.into()];
    Ok(write(tx, text, values).await? == 1)
}

/// Removes a row of history that a repair wrote. Whether it was there.
pub(in super::super) async fn history_delete(tx: &Tx, content: Uuid, row: Uuid) -> Result<bool> {
    let (lane, id) = key(content);
    let text = "DELETE FROM hot_history WHERE lane = $1 AND content_id = $2 AND id = $3 AND calculation_method = 3";
    Ok(write(tx, text, [lane.into(), id.into(), row.into()]).await? == 1)
}

/// Removes the newest row of a locked content's history, if a repair wrote it, at this moment and of this level. Whether
/// it was so. For repairs of before they kept which row it was.
pub(in super::super) async fn history_delete_newest(tx: &Tx, content: Uuid, at: Millis, level: i16) -> Result<bool> {
    let (lane, id) = key(content);
    let text = "DELETE FROM hot_history WHERE lane = $1 AND content_id = $2 AND calculation_method = 3
         AND calculated_at = $3 AND hot_level = $4 AND id =
         (SELECT t.id FROM hot_history t WHERE t.lane = $1 AND t.content_id = $2 ORDER BY t.id DESC LIMIT 1)";
    Ok(write(tx, text, [lane.into(), id.into(), at.0.into(), level.into()]).await? == 1)
}
