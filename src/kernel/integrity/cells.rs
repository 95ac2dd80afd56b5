//! The check of what stands in cells: numbers, where numbers are due. SQLite puts anything into any column, and a number
//! that stands for nothing is a number on PostgreSQL as well. What cannot be read no other check can compare.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::store::cells::Table;
use super::{Check, Chunk, Drift, Key, Remedy};
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;

/// A module's check of its tables.
pub struct Cells {
    /// Whose tables they are.
    pub module: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// The tables.
    pub tables: &'static [Table],
    /// Called after repairs, as [`Check::changed`].
    pub changed: Option<for<'a> fn(&'a Tx) -> BoxFuture<'a, Result<()>>>,
}

/// Items of a table: its place among the tables, and a lane, are in the first part of a key.
const LANES: i16 = 256;

impl Cells {
    /// The table of a key, and the key in it.
    fn of(&self, (place, id): Key) -> Option<(usize, &'static Table, (i16, Uuid))> {
        let at = usize::try_from(place.div_euclid(LANES)).ok()?;
        Some((at, self.tables.get(at)?, (place.rem_euclid(LANES), id)))
    }
}

/// The first key of a table.
fn start(at: usize) -> Key {
    (i16::try_from(at).unwrap_or(i16::MAX).saturating_mul(LANES), Uuid::nil())
}

#[async_trait]
impl Check for Cells {
    fn module(&self) -> &'static str {
        self.module
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    /// One pass over the rows of a chunk of one table's items.
    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let mut after = after.unwrap_or(start(0));
        loop {
            let Some((at, table, (lane, id))) = self.of(after) else {
                return Ok(Chunk { checked: 0, suspects: Vec::new(), next: None });
            };
            let Some(found) = table.chunk(&kernel.db, (lane, id), size).await? else {
                after = start(at + 1);
                continue;
            };
            let keys: Vec<(Key, bool)> =
                found.into_iter().map(|((lane, id), wrong)| ((start(at).0 + lane, id), wrong)).collect();
            let last = keys.last().map(|(key, _)| *key).filter(|_| keys.len() == size);
            let next = last.or_else(|| Some(start(at + 1)).filter(|_| at + 1 < self.tables.len()));
            let suspects = keys.iter().filter(|(_, wrong)| *wrong).map(|(key, _)| *key).collect();
            return Ok(Chunk { checked: keys.len() as u64, suspects, next });
        }
    }

    /// In a transaction that writes: on SQLite nobody else does meanwhile. On PostgreSQL nothing is put right.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let Some((_, table, item)) = self.of(key) else { return Ok(Vec::new()) };
        let found = kernel.db.write(move |tx| Box::pin(table.find(tx.connection(), item)));
        Ok(found.await?.into_iter().map(|wrong| wrong.drift).collect())
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<Vec<Drift>> {
        let Some((_, table, item)) = self.of(key) else { return Ok(Vec::new()) };
        let mut repaired = Vec::new();
        for wrong in table.find(tx.connection(), item).await? {
            if table.mend(tx, item, &wrong, kernel.clock.now()).await? {
                repaired.push(wrong.drift);
            }
        }
        Ok(repaired)
    }

    /// Only while it is what the repair left there.
    async fn restore(&self, _: &Kernel, tx: &Tx, key: Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        let mut restored = Vec::with_capacity(drifts.len());
        for drift in drifts {
            let (name, row) = drift.field.split_once(" of ").unwrap_or((&drift.field, ""));
            let row = row.split_once(' ').map(|(_, row)| row);
            let column = name.split_once('.').map(|(_, column)| column);
            restored.push(match (self.of(key), column) {
                (Some((_, table, item)), Some(column)) => {
                    table.put_back(tx, item, (column, row), &drift.stored).await?
                }
                _ => false,
            });
        }
        Ok(restored)
    }

    async fn changed(&self, kernel: &Kernel, keys: &[Key]) -> Result<()> {
        match self.changed {
            Some(changed) if !keys.is_empty() => kernel.db.write(move |tx| changed(tx)).await,
            _ => Ok(()),
        }
    }
}
