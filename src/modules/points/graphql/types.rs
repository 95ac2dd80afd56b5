//! Types.

use async_graphql::{Context, Object};

use crate::kernel::clock::Millis;
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::graphql::{BigInt, Count, InField};
use crate::kernel::id::Id;
use crate::kernel::page::{Connection, Cursor, Page};
use crate::modules::points::PointsFacade;
use crate::modules::points::ledger::{AccountRecord, Kind, TransactionRecord, hex};
use crate::modules::points::rules::{self, Act};
use crate::modules::points::store::read::{self, Filter};
use crate::modules::users::UserKind;
use crate::modules::users::graphql::User;

/// Marks the cursors of histories; another number than those of other lists.
const ORDER: u8 = 40;

crate::id_kind! {
    /// Ids of accounts: the user's id with another prefix.
    PointAccountKind = "point_account";
    /// Ids of transactions.
    PointTransactionIdKind = "point_transaction";
}

/// A user's points.
pub struct PointAccount {
    record: AccountRecord,
    /// Its rank in the list that it is shown in.
    rank: Option<usize>,
}

impl PointAccount {
    /// An account, whose rank is looked up when it is asked for.
    pub(super) fn new(record: AccountRecord) -> Self {
        Self { record, rank: None }
    }

    /// An account of the leaderboard: its rank is that of the list.
    pub(super) fn ranked(record: AccountRecord, rank: usize) -> Self {
        Self { record, rank: Some(rank) }
    }
}

/// A user's points: what the transactions of the user add up to.
#[Object]
impl PointAccount {
    /// `point_account_…`; never changes.
    async fn id(&self) -> Id<PointAccountKind> {
        Id::new(self.record.user_id)
    }

    /// Whose points they are; null once the user is gone.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::find(ctx, self.record.user_id).await.transpose()
    }

    /// The points: the amounts of all transactions, added up.
    async fn balance(&self) -> BigInt {
        BigInt(self.record.balance)
    }

    /// The rank among all accounts by balance, from 1, as in `pointLeaderboard`: of equal balances the id decides. Null
    /// before the first transaction, and once the user is gone.
    async fn rank(&self, ctx: &Context<'_>) -> Option<Result<Count>> {
        let rank = match self.rank {
            Some(rank) => Ok(Some(rank)),
            None => ctx.facade::<PointsFacade>().map(|points| points.board().rank(self.record.user_id)),
        };
        rank.transpose().map(|rank| Ok(Count::from(rank? as u64)))
    }

    /// How far below zero the balance may go; 0 unless an administrator has set it.
    async fn overdraft_limit(&self) -> BigInt {
        BigInt(self.record.overdraft_limit)
    }

    /// How many transactions there are: they are numbered from 1 without gaps.
    async fn transaction_count(&self) -> BigInt {
        BigInt(self.record.sequence)
    }

    /// The balance at a moment, with what happened at it; 0 before the first transaction.
    async fn balance_at(&self, ctx: &Context<'_>, #[graphql(desc = "The moment.")] time: Millis) -> Result<BigInt> {
        async { Ok(BigInt(ctx.facade::<PointsFacade>()?.balance_at(self.record.user_id, time).await?)) }
            .await
            .in_field(ctx)
    }

    /// The transactions, newest first; 20 unless `first` or `last` says otherwise, never both. Nothing ever moves in this
    /// list: new ones come before all others.
    #[expect(clippy::too_many_arguments, reason = "the four of Relay, and four filters")]
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many from the beginning, 0 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only those of these kinds; of all when left out or empty.")] kinds: Option<Vec<Kind>>,
        #[graphql(desc = "Only those of this actor.")] actor_id: Option<Id<UserKind>>,
        #[graphql(desc = "Only those from this moment on.")] from: Option<Millis>,
        #[graphql(desc = "Only those before this moment.")] to: Option<Millis>,
    ) -> Result<Connection<PointTransaction, HistoryTotal>> {
        async {
            let page = Page::new(ORDER, first, after.as_deref(), last, before.as_deref())?;
            let mut kinds = kinds.unwrap_or_default();
            kinds.sort_unstable();
            kinds.dedup();
            let filter = Filter { user_id: self.record.user_id, kinds, actor_id: actor_id.map(Id::uuid), from, to };
            let found = match page.size {
                0 => Vec::new(),
                _ => read::transaction_page(&ctx.facade::<PointsFacade>()?.kernel().db, &filter, &page).await?,
            };
            Ok(page.connection(found, HistoryTotal(filter), |record| {
                (Cursor { order: ORDER, value: Some(record.sequence), id: record.id }, PointTransaction(record))
            }))
        }
        .await
        .in_field(ctx)
    }
}

/// A page of a history, and how many transactions there are in all.
pub struct HistoryTotal(Filter);

/// What a connection has besides its page.
#[Object]
impl HistoryTotal {
    /// How many transactions the whole list has; counted only when asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i64> {
        async { read::transaction_count(&ctx.facade::<PointsFacade>()?.kernel().db, &self.0).await }.await.in_field(ctx)
    }
}

/// An entry of a ledger.
pub struct PointTransaction(pub(super) TransactionRecord);

/// An entry of a user's ledger. It never changes; another one may take it back.
#[Object]
impl PointTransaction {
    /// `point_transaction_…`; never changes.
    async fn id(&self) -> Id<PointTransactionIdKind> {
        Id::new(self.0.id)
    }

    /// Whose points they are; null once the user is gone.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::find(ctx, self.0.user_id).await.transpose()
    }

    /// Its number in the user's ledger, from 1 without gaps.
    async fn sequence(&self) -> BigInt {
        BigInt(self.0.sequence)
    }

    /// What it is.
    async fn kind(&self, ctx: &Context<'_>) -> Result<Kind> {
        let number = self.0.kind;
        let unknown = || Error::internal(format!("transaction {}: no kind {number}", self.0.id));
        self.0.kind().ok_or_else(unknown).in_field(ctx)
    }

    /// What it added to the balance; below zero where it took points.
    async fn amount(&self) -> BigInt {
        BigInt(self.0.amount)
    }

    /// The balance with it.
    async fn balance_after(&self) -> BigInt {
        BigInt(self.0.balance_after)
    }

    /// How far below zero the balance might go, from it on.
    async fn overdraft_limit(&self) -> BigInt {
        BigInt(self.0.overdraft_limit)
    }

    /// Why, in the words of who did it.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Who did it; null once the user is gone, and of what nobody did: see `rule`.
    async fn actor(&self, ctx: &Context<'_>) -> Option<Result<User>> {
        User::find(ctx, self.0.actor_id).await.transpose()
    }

    /// The rule that gave it, or took it back; null where somebody did.
    async fn rule(&self) -> Option<Act> {
        rules::rule_of(&self.0)
    }

    /// The key that it was asked for under.
    async fn idempotency_key(&self) -> &str {
        &self.0.idempotency_key
    }

    /// The transaction that it takes back; null unless it is a REVERSAL.
    async fn reverses(&self, ctx: &Context<'_>) -> Option<Result<PointTransaction>> {
        let id = self.0.reverses_id?;
        let found = match ctx.facade::<PointsFacade>() {
            Ok(points) => points.transaction(id).await,
            Err(error) => Err(error),
        };
        found.map(|found| found.map(PointTransaction)).transpose()
    }

    /// The hash of it and, through the one before it, of all before it; 64 hexadecimal digits.
    async fn hash(&self) -> String {
        hex(&self.0.hash)
    }

    /// When it happened; never before the one before it.
    async fn created_at(&self) -> Millis {
        self.0.created_at
    }
}
