//! Statements on shares: constant text for any number of rows.

use std::sync::LazyLock;

use sea_orm::Statement;
use uuid::Uuid;

use crate::kernel::db::{Col, Db, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::key;
use crate::modules::engagement::interactions::ShareRecord;

/// Shares that were made with these (user, client key).
pub(in super::super) async fn share_by_client_keys(tx: &Tx, keys: &[(Uuid, &str)]) -> Result<Vec<ShareRecord>> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        Sql::new(
            "SELECT s.id, s.content_id, s.user_id, s.channel, s.client_key, s.shared_at
             FROM {rows} {cross} shares s ON s.user_id = r.user_id AND s.client_key = r.client_key",
            &[("user_id", Col::Id), ("client_key", Col::Text)],
        )
    });
    let mut rows = SQL.rows();
    for (user, client_key) in keys {
        rows.push([(*user).into(), (*client_key).into()]);
    }
    tx.select(&SQL, rows).await
}

/// Whether a user has made a share with this key.
pub(in super::super) async fn client_key_exists(db: &Db, user: Uuid, client_key: &str) -> Result<bool> {
    let text = "SELECT 1 AS one FROM shares WHERE user_id = $1 AND client_key = $2";
    let find = Statement::from_sql_and_values(db.backend(), text, [user.into(), client_key.into()]);
    Ok(!db.query(find).await?.is_empty())
}

/// Adds shares.
pub(in super::super) async fn share_insert(tx: &Tx, shares: &[&ShareRecord]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "lane, content_id, id, user_id, channel, client_key, shared_at";
        Sql::new(
            &format!("INSERT INTO shares ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("id", Col::Id),
                ("user_id", Col::Id),
                ("channel", Col::Small),
                ("client_key", Col::OptText),
                ("shared_at", Col::Int),
            ],
        )
    });
    let mut rows = SQL.rows();
    for share in shares {
        let (lane, content_id) = key(share.content_id);
        rows.push([
            lane.into(),
            content_id.into(),
            share.id.into(),
            share.user_id.into(),
            share.channel.into(),
            share.client_key.clone().into(),
            share.shared_at.0.into(),
        ]);
    }
    tx.write_all(&SQL, rows).await
}
