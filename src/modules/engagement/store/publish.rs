//! Inserts of new contents: constant text for any number of rows.

use std::sync::LazyLock;

use crate::kernel::db::{Col, Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::{ContentInfo, Detail, key};

/// Adds contents with what only their kind has. `contents` pairs each with its author's client key.
pub(in super::super) async fn content_insert(tx: &Tx, contents: &[(&ContentInfo, Option<&str>)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "lane, id, external_id, client_key, kind, author_id, title, cover_url, status, published_at, \
                       quality, base_weight, source";
        Sql::new(
            &format!("INSERT INTO contents ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("lane", Col::Small),
                ("id", Col::Id),
                ("external_id", Col::OptText),
                ("client_key", Col::OptText),
                ("kind", Col::Small),
                ("author_id", Col::Id),
                ("title", Col::Text),
                ("cover_url", Col::OptText),
                ("status", Col::Small),
                ("published_at", Col::Int),
                ("quality", Col::Int),
                ("base_weight", Col::Int),
                ("source", Col::OptText),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (info, client_key) in contents {
        let (lane, id) = key(info.id);
        rows.push([
            lane.into(),
            id.into(),
            info.external_id.clone().into(),
            client_key.map(str::to_owned).into(),
            i16::from(info.kind.number()).into(),
            info.author_id.into(),
            info.title.clone().into(),
            info.cover_url.clone().into(),
            info.status.number().into(),
            info.published_at.0.into(),
            info.quality.into(),
            info.base_weight.into(),
            info.source.clone().into(),
        ]);
    }
    tx.write_all(&SQL, rows).await?;
    artwork_insert(tx, contents).await?;
    video_insert(tx, contents).await
}

async fn artwork_insert(tx: &Tx, contents: &[(&ContentInfo, Option<&str>)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "lane, content_id, prompt, model, width, height, image_url";
        Sql::new(
            &format!("INSERT INTO artworks ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("prompt", Col::OptText),
                ("model", Col::OptText),
                ("width", Col::OptInt),
                ("height", Col::OptInt),
                ("image_url", Col::OptText),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (info, _) in contents {
        if let Detail::Artwork { prompt, model, width, height, image_url } = &info.detail {
            let (lane, id) = key(info.id);
            rows.push([
                lane.into(),
                id.into(),
                prompt.clone().into(),
                model.clone().into(),
                (*width).into(),
                (*height).into(),
                image_url.clone().into(),
            ]);
        }
    }
    tx.write_all(&SQL, rows).await
}

async fn video_insert(tx: &Tx, contents: &[(&ContentInfo, Option<&str>)]) -> Result<()> {
    static SQL: LazyLock<Sql> = LazyLock::new(|| {
        let columns = "lane, content_id, item_id, duration_ms, video_url";
        Sql::new(
            &format!("INSERT INTO videos ({columns}) SELECT {columns} FROM {{rows}}"),
            &[
                ("lane", Col::Small),
                ("content_id", Col::Id),
                ("item_id", Col::OptText),
                ("duration_ms", Col::OptInt),
                ("video_url", Col::OptText),
            ],
        )
    });
    let mut rows = SQL.rows();
    for (info, _) in contents {
        if let Detail::Video { item_id, duration_ms, video_url } = &info.detail {
            let (lane, id) = key(info.id);
            rows.push([
                lane.into(),
                id.into(),
                item_id.clone().into(),
                (*duration_ms).into(),
                video_url.clone().into(),
            ]);
        }
    }
    tx.write_all(&SQL, rows).await
}
