//! What a balance is made of, and what operators see beside the checks.

use async_trait::async_trait;

use super::checks::account_key;
use super::graphql::PointTransactionIdKind;
use super::store::recount;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Explain, Explained, Fact, Overview};
use crate::kernel::page::{Cursor, Page};

/// The transactions of a user, oldest first.
pub(super) struct Balance;

#[async_trait]
impl Explain for Balance {
    fn module(&self) -> &'static str {
        "points"
    }

    fn figure(&self) -> &'static str {
        "balance"
    }

    async fn explain(&self, kernel: &Kernel, id: &str, page: Page) -> Result<Option<Explained>> {
        let key = account_key(id)?;
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let stored = recount::account_by_keys(&reads, backend, &[key]).await?.remove(&key);
        let sum = recount::sums(&reads, backend, &[key]).await?.remove(&key).unwrap_or_default();
        if stored.is_none() && sum.count == 0 {
            // Never had points, or nobody at all: users are another module's.
            return Ok(None);
        }
        let found = recount::transaction_page(&reads, backend, key, &page).await?;
        reads.commit().await?;
        let more = found.len() > page.size;
        let fact = |found: super::ledger::TransactionRecord| Fact {
            cursor: Cursor { order: 0, value: Some(found.sequence), id: found.id },
            kind: found.kind().map_or("UNKNOWN", super::ledger::Kind::word),
            source: Some(Id::<PointTransactionIdKind>::new(found.id).to_string()),
            at: found.created_at,
            contribution: found.amount.to_string(),
        };
        let mut facts: Vec<Fact> = found.into_iter().take(page.size).map(fact).collect();
        if page.backward {
            facts.reverse();
        }
        Ok(Some(Explained {
            id: id.to_owned(),
            figure: self.figure().to_owned(),
            stored: stored.map_or_else(|| "none".to_owned(), |row| row.balance.to_string()),
            actual: sum.total.to_string(),
            unit: "points",
            total: sum.count.unsigned_abs(),
            facts,
            more,
        }))
    }
}

/// How many accounts there are, and how often a field of one was not what its ledger says: found by writes and by
/// repairs, and made again by what undoes a repair.
///
/// # Errors
/// The database's own.
pub(super) async fn overview(kernel: &Kernel) -> Result<Overview> {
    let (accounts, incidents) = recount::totals(kernel.db.reader(), kernel.backend()).await?;
    let lines = [("accounts", accounts), ("incidents so far", incidents)];
    let lines = lines.into_iter().map(|(name, number)| (name.to_owned(), number.to_string()));
    Ok(vec![("points".to_owned(), lines.collect())])
}
