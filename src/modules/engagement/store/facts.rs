//! The facts that heat is made of, one after the other: a content may have millions.

use std::pin::pin;
use std::sync::LazyLock;

use futures_util::TryStreamExt as _;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Statement, StreamTrait as _};
use uuid::Uuid;

use super::batch::{KEYS, keys};
use super::recount::{Range, WITHIN};
use crate::kernel::db::{Sql, Tx};
use crate::kernel::error::Result;
use crate::modules::engagement::content::BehaviorKind;
use crate::modules::engagement::hotness::{Fact, RolledUp, Source, Weight};
use crate::modules::engagement::openings::Counted;
use crate::modules::engagement::settings::Versions;

/// Statements on the rows of some contents, and on those of a range of contents: the same facts.
struct Facts {
    of: Sql,
    within: Sql,
}

impl Facts {
    /// `text` says `{from TABLE}` where its rows `t` come from, with the condition on the contents.
    fn new(text: &str) -> Self {
        let (mut of, mut within) = (text.to_owned(), text.to_owned());
        while let Some((before, rest)) = of.clone().split_once("{from ") {
            let Some((table, after)) = rest.split_once('}') else { break };
            let joined = format!("{{rows}} {{cross}} {table} t ON t.lane = r.lane AND t.content_id = r.id WHERE true");
            of = format!("{before}FROM {joined}{after}");
            within = within.replace(&format!("{{from {table}}}"), &format!("FROM {table} t WHERE {WITHIN}"));
        }
        Self { of: Sql::new(&of, KEYS), within: Sql::new(&within, &[]) }
    }
}

static BEHAVIORS: LazyLock<Facts> =
    LazyLock::new(|| Facts::new("SELECT t.content_id, t.acted_at, t.kind {from behaviors} AND t.removed_at IS NULL"));
static COMMENTS: LazyLock<Facts> =
    LazyLock::new(|| Facts::new("SELECT t.content_id, t.commented_at {from comments} AND t.deleted_at IS NULL"));
static SHARES: LazyLock<Facts> = LazyLock::new(|| Facts::new("SELECT t.content_id, t.shared_at {from shares}"));
static VIEWS: LazyLock<Facts> = LazyLock::new(|| {
    Facts::new(
        "SELECT t.content_id, t.hour, count(*) AS count {from content_views} GROUP BY t.content_id, t.hour
         UNION ALL SELECT t.content_id, t.hour, t.count {from content_view_hours}",
    )
});
static EPOCHS: LazyLock<Facts> = LazyLock::new(|| {
    Facts::new("SELECT t.content_id, t.heat_version, t.epoch, t.count, t.mass {from content_view_epochs}")
});

static OPENINGS: LazyLock<Facts> =
    LazyLock::new(|| Facts::new("SELECT t.content_id, t.at, t.count, t.figure {from content_openings}"));

/// Of a figure that nobody knows nothing follows; the check `types` says so.
fn opening(row: &QueryResult) -> Result<Option<Fact>, DbErr> {
    let Ok(counted) = Counted::from_number(row.try_get_by_index(3)?) else { return Ok(None) };
    Ok(Some(Fact { weight: counted.weight(), at: row.try_get_by_index(1)?, count: row.try_get_by_index(2)? }))
}

fn behavior(row: &QueryResult) -> Result<Fact, DbErr> {
    let like = row.try_get_by_index::<i16>(2)? == BehaviorKind::Like.number();
    let weight = if like { Weight::Like } else { Weight::Favorite };
    Ok(Fact { weight, at: row.try_get_by_index(1)?, count: 1 })
}

fn view(row: &QueryResult) -> Result<Fact, DbErr> {
    Ok(Fact { weight: Weight::View, at: row.try_get_by_index(1)?, count: row.try_get_by_index(2)? })
}

/// Hands all that adds to heat of these locked contents to `take`, publications left out: the contents' own rows tell of
/// those.
pub(in super::super) async fn each(
    tx: &Tx,
    versions: &Versions,
    ids: &[Uuid],
    take: impl FnMut(Uuid, Source) + Send,
) -> Result<()> {
    let bind = |facts: &Facts| facts.of.bind(tx.backend(), keys(&facts.of, ids), []);
    stream(tx.connection(), versions, bind, take).await
}

/// The same of all contents of a range of keys.
pub(in super::super) async fn each_within(
    reads: &DatabaseTransaction,
    versions: &Versions,
    range: Range,
    take: impl FnMut(Uuid, Source) + Send,
) -> Result<()> {
    let backend = ConnectionTrait::get_database_backend(reads);
    let bind = |facts: &Facts| Statement::from_sql_and_values(backend, facts.within.text(backend), range.values());
    stream(reads, versions, bind, take).await
}

async fn stream(
    connection: &DatabaseTransaction,
    versions: &Versions,
    bind: impl Fn(&Facts) -> Statement + Send,
    mut take: impl FnMut(Uuid, Source) + Send,
) -> Result<()> {
    type Read = fn(&QueryResult) -> Result<Option<Fact>, DbErr>;
    let facts: [(&'static Facts, Read); 5] = [
        (&BEHAVIORS, |row| behavior(row).map(Some)),
        (&OPENINGS, opening),
        (&COMMENTS, |row| Ok(Some(Fact { weight: Weight::Comment, at: row.try_get_by_index(1)?, count: 1 }))),
        (&SHARES, |row| Ok(Some(Fact { weight: Weight::Share, at: row.try_get_by_index(1)?, count: 1 }))),
        (&VIEWS, |row| view(row).map(Some)),
    ];
    for (facts, read) in facts {
        let mut rows = pin!(connection.stream_raw(bind(facts)).await?);
        while let Some(row) = rows.try_next().await? {
            if let Some(fact) = read(&row)? {
                take(row.try_get_by_index(0)?, Source::Fact(fact));
            }
        }
    }
    // Few: a row a content and epoch.
    for row in connection.query_all_raw(bind(&EPOCHS)).await? {
        let made_with = versions.of(connection, row.try_get("", "heat_version")?).await?;
        let (count, mass) = (row.try_get("", "count")?, row.try_get("", "mass")?);
        let rolled_up = RolledUp { epoch: row.try_get("", "epoch")?, count, mass };
        take(row.try_get("", "content_id")?, Source::RolledUp(made_with.heat, rolled_up));
    }
    Ok(())
}
