//! Root mutations.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::types::{PointAccount, PointTransaction, PointTransactionIdKind};
use super::viewer;
use crate::kernel::auth::{Role, Session};
use crate::kernel::context::FacadeExt as _;
use crate::kernel::error::{Error, Result};
use crate::kernel::graphql::BigInt;
use crate::kernel::id::Id;
use crate::modules::points::ledger::Kind;
use crate::modules::points::{NewTransaction, PointsFacade, Posted};
use crate::modules::users::UserKind;

/// What `addPoints` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum AddPointsKind {
    /// Awards points.
    AddPoints,
    /// Takes points away.
    DeductPoints,
    /// Spends points.
    Redeem,
    /// Puts the balance right, up or down. For administrators.
    Adjustment,
}

/// Points to be given or taken.
#[derive(InputObject)]
pub struct AddPointsInput {
    /// Whose points.
    user_id: Id<UserKind>,
    /// How many: above 0, the kind gives the sign. Of an ADJUSTMENT it has its own sign, and is not 0.
    amount: BigInt,
    /// What is done.
    #[graphql(default_with = "AddPointsKind::AddPoints")]
    kind: AddPointsKind,
    /// Why, 1 to 500 characters.
    reason: String,
    /// 1 to 200 characters, unique in the account. The same key and input again is the first transaction, `replayed`;
    /// another input is `CONFLICT`. Refused are keys that begin with `import:`, which imports use, and
    /// those of the form of a rule's award.
    idempotency_key: String,
    /// Says what would come of it, and writes nothing.
    #[graphql(default)]
    dry_run: bool,
}

impl AddPointsInput {
    /// What it asks for, in the name of an actor.
    fn asked(&self, session: &Session, actor: Uuid) -> NewTransaction {
        let kind = match self.kind {
            AddPointsKind::AddPoints => Kind::AddPoints,
            AddPointsKind::DeductPoints => Kind::DeductPoints,
            AddPointsKind::Redeem => Kind::Redeem,
            AddPointsKind::Adjustment => Kind::Adjustment,
        };
        let may_adjust = session.has_any(&[Role::Admin]);
        let (user, amount) = (self.user_id.uuid(), self.amount.0);
        let (reason, key) = (self.reason.clone(), self.idempotency_key.clone());
        NewTransaction { user, kind, amount, reason, key, actor, may_adjust }
    }
}

/// What came of a transaction.
#[derive(SimpleObject)]
pub struct PointTransactionPayload {
    /// The transaction; null after a dry run, which makes none, unless it was there before.
    transaction: Option<PointTransaction>,
    /// The account after it; after a dry run, as it would be.
    account: PointAccount,
    /// Whether it was there before: the same was asked for under the same key.
    replayed: bool,
}

impl PointTransactionPayload {
    fn new(posted: Posted, dry_run: bool) -> Self {
        let Posted { transaction, account, replayed } = posted;
        let there_is = replayed || !dry_run;
        let transaction = there_is.then_some(PointTransaction(transaction));
        Self { transaction, account: PointAccount::new(account), replayed }
    }
}

/// Why an item of a batch was refused.
#[derive(SimpleObject)]
pub struct PointBatchError {
    /// As an error's `extensions.code`.
    code: &'static str,
    /// In words; may change.
    message: String,
    /// Of `INSUFFICIENT_POINTS`, the balance that the item found; null of most others.
    balance: Option<BigInt>,
    /// Of `INSUFFICIENT_POINTS`, how far below zero the balance might go; null of others.
    overdraft_limit: Option<BigInt>,
}

impl From<&Error> for PointBatchError {
    fn from(error: &Error) -> Self {
        let number = |wanted: &str| {
            let (_, value) = error.details().iter().find(|(name, _)| *name == wanted)?;
            value.as_str()?.parse().ok().map(BigInt)
        };
        let (code, message) = (error.code().0, error.client().to_owned());
        Self { code, message, balance: number("balance"), overdraft_limit: number("overdraftLimit") }
    }
}

/// What came of one item of a batch: either `error`, or the rest.
#[derive(SimpleObject)]
pub struct PointBatchItem {
    /// The transaction; null after an error, and after a dry run unless it was there before.
    transaction: Option<PointTransaction>,
    /// The account after it; null after an error.
    account: Option<PointAccount>,
    /// Whether it was there before.
    replayed: bool,
    /// Why it was refused; null where it was not.
    error: Option<PointBatchError>,
}

/// What came of a batch.
#[derive(SimpleObject)]
pub struct PointBatchPayload {
    /// An outcome an input, in their order.
    items: Vec<PointBatchItem>,
    /// How many hold now, replayed ones too; of a dry run, how many would.
    succeeded: i32,
    /// How many were refused.
    failed: i32,
}

impl PointBatchPayload {
    fn new(outcomes: impl IntoIterator<Item = Result<Posted>>, dry_run: bool) -> Self {
        let (mut items, mut succeeded, mut failed) = (Vec::new(), 0, 0);
        for outcome in outcomes {
            items.push(match outcome {
                Ok(posted) => {
                    succeeded += 1;
                    let PointTransactionPayload { transaction, account, replayed } =
                        PointTransactionPayload::new(posted, dry_run);
                    PointBatchItem { transaction, account: Some(account), replayed, error: None }
                }
                Err(refused) => {
                    failed += 1;
                    if refused.cause().is_some() {
                        tracing::error!(error = refused.for_operator(), "an item of a batch failed");
                    }
                    let error = Some(PointBatchError::from(&refused));
                    PointBatchItem { transaction: None, account: None, replayed: false, error }
                }
            });
        }
        Self { items, succeeded, failed }
    }
}

/// Root mutations.
#[derive(Default)]
pub struct PointsMutation;

#[Object]
impl PointsMutation {
    /// Gives a user points or takes them, in the name of the token's user. For teachers and above. Refused with
    /// `INSUFFICIENT_POINTS` where the balance would fall below zero less the account's `overdraftLimit`; the error's
    /// extensions have `balance` and `overdraftLimit`. `LEDGER_BROKEN` is a fault of the server, of which operators are
    /// told: the account's ledger does not hold, and nothing is added until they have mended it.
    async fn add_points(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, whose and why.")] input: AddPointsInput,
    ) -> Result<PointTransactionPayload> {
        let new = input.asked(Session::of(ctx), viewer(ctx).await?);
        let posted = ctx.facade::<PointsFacade>()?.add(&new, input.dry_run).await?;
        Ok(PointTransactionPayload::new(posted, input.dry_run))
    }

    /// The same for 1 to 1,000 at once: all of them or nothing, in one transaction, or each for itself. Two inputs with
    /// one key refuse the whole. With `atomic` an error names the refused items, and its extensions list them (`items {
    /// item code message }`, with `balance` and `overdraftLimit` where an item was `INSUFFICIENT_POINTS`); without, each item has its own outcome. An ADJUSTMENT of somebody who is no administrator is
    /// such a refused item, `FORBIDDEN`. `dryRun` is the same in all.
    async fn add_points_batch(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "1 to 1,000 of them.")] inputs: Vec<AddPointsInput>,
        #[graphql(desc = "All of them or nothing.", default = true)] atomic: bool,
    ) -> Result<PointBatchPayload> {
        let (session, actor) = (Session::of(ctx), viewer(ctx).await?);
        let dry_run = inputs.first().is_some_and(|input| input.dry_run);
        if inputs.iter().any(|input| input.dry_run != dry_run) {
            return Err(Error::invalid("dryRun must be the same in all inputs"));
        }
        let new: Vec<_> = inputs.iter().map(|input| input.asked(session, actor)).collect();
        let points = ctx.facade::<PointsFacade>()?;
        Ok(if atomic {
            PointBatchPayload::new(points.add_all(&new, dry_run).await?.into_iter().map(Ok), dry_run)
        } else {
            PointBatchPayload::new(points.add_each(&new, dry_run).await?, dry_run)
        })
    }

    /// Takes a transaction back, once, by another one of the opposite amount. For operators. `CONFLICT` when it was
    /// reversed before; a reversal cannot be reversed. Never leaves less than the account may have. `LEDGER_BROKEN` as in
    /// `addPoints`.
    async fn reverse_point_transaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The transaction to take back.")] id: Id<PointTransactionIdKind>,
        #[graphql(desc = "Why, 1 to 500 characters.")] reason: String,
        #[graphql(desc = "1 to 200 characters, unique in the account, as in `addPoints`.")] idempotency_key: String,
    ) -> Result<PointTransactionPayload> {
        let points = ctx.facade::<PointsFacade>()?;
        let posted = points.reverse(id.uuid(), &reason, &idempotency_key, viewer(ctx).await?).await?;
        Ok(PointTransactionPayload::new(posted, false))
    }

    /// Sets how far below zero a user's balance may go, as an entry of the ledger. For administrators. A balance that is
    /// further below stays so.
    async fn set_overdraft_limit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose account.")] user_id: Id<UserKind>,
        #[graphql(desc = "How many points below zero, 0 or more.")] limit: BigInt,
        #[graphql(desc = "Why, 1 to 500 characters.")] reason: String,
        #[graphql(desc = "1 to 200 characters, unique in the account, as in `addPoints`.")] idempotency_key: String,
    ) -> Result<PointTransactionPayload> {
        let (points, actor) = (ctx.facade::<PointsFacade>()?, viewer(ctx).await?);
        let posted = points.set_overdraft_limit(user_id.uuid(), limit.0, &reason, &idempotency_key, actor).await?;
        Ok(PointTransactionPayload::new(posted, false))
    }
}
