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

/// What a repair does besides, in a transaction of its own.
pub type Changed = for<'a> fn(&'a Tx) -> BoxFuture<'a, Result<()>>;

/// A module's check of its tables.
pub struct Cells {
    /// Whose tables they are.
    pub module: &'static str,
    /// The check's name.
    pub name: &'static str,
    /// The tables.
    pub tables: &'static [Table],
    /// Called after repairs, as [`Check::changed`].
    pub changed: Option<Changed>,
    /// Lane and id of the item with this TypeID; `None` of what is in none of the tables.
    pub item: fn(&str) -> Option<(i16, Uuid)>,
}

/// Items of a table: its place among the tables, and a lane, are in the first part of a key. That of an item in all of them
/// is below 0.
const LANES: i16 = 256;

impl Cells {
    /// What a key is of: one table, or all of them, where it is that of an item. And the item.
    fn tables(&self, key: Key) -> (&'static [Table], (i16, Uuid)) {
        match self.of(key) {
            Some((at, _, item)) => (&self.tables[at..=at], item),
            None => (self.tables, (-1 - key.0, key.1)),
        }
    }

    /// The table of a key of a scan, and the key in it.
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

    fn key(&self, id: &str) -> Option<Key> {
        (self.item)(id).map(|(lane, id)| (-1 - lane, id))
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        let Some(item) = (self.item)(id) else { return Ok(false) };
        for table in self.tables {
            if table.has(&kernel.db, item, id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remedy(&self) -> Remedy {
        Remedy::RepairOr(
            "what a fact held a repair cannot tell, and leaves: the drift names table and column; put back what a backup has",
        )
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
        let (tables, item) = self.tables(key);
        let found = kernel.db.write(move |tx| {
            Box::pin(async move {
                let mut found = Vec::new();
                for table in tables {
                    found.extend(table.find(tx.connection(), item).await?);
                }
                Ok(found)
            })
        });
        Ok(found.await?.into_iter().map(|wrong| wrong.drift).collect())
    }

    async fn repair(&self, kernel: &Kernel, tx: &Tx, key: Key) -> Result<Vec<Drift>> {
        let (tables, item) = self.tables(key);
        let mut repaired = Vec::new();
        for table in tables {
            for wrong in table.find(tx.connection(), item).await? {
                if table.mend(tx, item, &wrong, kernel.clock.now()).await? {
                    repaired.push(wrong.drift);
                }
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
            let (tables, item) = self.tables(key);
            let named = name
                .split_once('.')
                .and_then(|(table, column)| Some((tables.iter().find(|held| held.name == table)?, column)));
            restored.push(match named {
                Some((table, column)) => table.put_back(tx, item, (column, row), &drift.stored).await?,
                None => false,
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
