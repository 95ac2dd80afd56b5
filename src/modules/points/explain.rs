//! What a balance is made of, and what operators see beside the checks.

use async_trait::async_trait;

use super::checks::{account_key, broken_link};
use super::graphql::PointTransactionIdKind;
use super::ledger::Kind;
use super::store::recount::{self, Listed};
use crate::kernel::clock::Millis;
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
        let mut facts: Vec<Fact> = found.into_iter().take(page.size).map(fact).collect();
        if page.backward {
            facts.reverse();
        }
        let stored = stored.map_or_else(|| "none".to_owned(), |row| row.balance.to_string());
        let actual = sum.total.to_string();
        let broken = if stored == actual { None } else { broken_link(kernel, key).await? };
        let remedy = broken.map(|link| {
            format!("the ledger does not hold at «{link}»: see `tally check --check point-chain --id {id}`")
        });
        Ok(Some(Explained {
            id: id.to_owned(),
            figure: self.figure().to_owned(),
            stored,
            actual,
            unit: "points",
            total: sum.count.unsigned_abs(),
            facts,
            more,
            remedy,
        }))
    }
}

/// One that cannot be read is listed with what can, and named: it is what an operator looks for.
fn fact(found: Listed) -> Fact {
    let Listed { sequence, id, kind, amount, at, unreadable } = found;
    let contribution = amount.map(|amount| amount.to_string());
    Fact {
        cursor: Cursor { order: 0, value: Some(sequence), id: id.unwrap_or_default() },
        kind: if unreadable.is_some() { "UNREADABLE" } else { kind.map_or("UNKNOWN", Kind::word) },
        source: id.map(|id| Id::<PointTransactionIdKind>::new(id).to_string()),
        at: at.unwrap_or(Millis(0)),
        contribution: match unreadable {
            None => contribution.unwrap_or_default(),
            Some(field) => {
                let said = format!("{field} of transaction {sequence} cannot be read");
                contribution.map_or_else(|| said.clone(), |amount| format!("{amount} ({said})"))
            }
        },
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
