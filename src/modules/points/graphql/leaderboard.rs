//! Who has most points.

use async_graphql::{Context, Object};

use super::types::PointAccount;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::Result;
use crate::kernel::graphql::Count;
use crate::kernel::page::{Connection, Cursor, Page, checked_size};
use crate::modules::points::PointsFacade;

/// Marks the cursors of the leaderboard; another number than those of other lists.
const ORDER: u8 = 41;

/// A page of the leaderboard, and how many accounts it has in all.
pub struct LeaderboardTotal(usize);

/// What a connection has besides its page.
#[Object]
impl LeaderboardTotal {
    /// How many accounts the whole list has.
    async fn total_count(&self) -> Count {
        Count::from(self.0 as u64)
    }
}

/// The best accounts.
pub(super) async fn best(ctx: &Context<'_>, first: i32) -> Result<Vec<PointAccount>> {
    let size = checked_size("first", first)?;
    let page = Page { size, backward: false, from: None, until: None };
    let found = match size {
        0 => Vec::new(),
        _ => ctx.facade::<PointsFacade>()?.board().page(&page).await?,
    };
    // One more than was asked for is read.
    Ok(found.into_iter().take(size).map(|ranked| PointAccount::ranked(ranked.account, ranked.rank)).collect())
}

/// A page of accounts by balance.
pub(super) async fn page(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<&str>,
    last: Option<i32>,
    before: Option<&str>,
) -> Result<Connection<PointAccount, LeaderboardTotal>> {
    let page = Page::new(ORDER, first, after, last, before)?;
    let board = ctx.facade::<PointsFacade>()?.board();
    let found = match page.size {
        0 => Vec::new(),
        _ => board.page(&page).await?,
    };
    Ok(page.connection(found, LeaderboardTotal(board.size()), |ranked| {
        let cursor = Cursor { order: ORDER, value: ranked.standing.heat, id: ranked.standing.id };
        (cursor, PointAccount::ranked(ranked.account, ranked.rank))
    }))
}
