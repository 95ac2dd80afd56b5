//! The guestbook's figure: how it is checked, put right, put back, and explained.

use std::str::FromStr as _;

use async_trait::async_trait;
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QuerySelect as _, Statement};
use tally::kernel::clock::Millis;
use tally::kernel::context::Kernel;
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::id::Id;
use tally::kernel::integrity::{Check, Chunk, Drift, Explain, Explained, Fact, Key, Overview, Remedy};
use tally::kernel::module::Module as _;
use tally::kernel::page::{Cursor, Page};
use tally::modules::users::UserKind;

use super::module::{Guestbook, NoteKind, note_count_add};
use super::tables;

/// A figure that is stored needs a check that recomputes it from its facts.
pub(super) struct NoteCount;

#[derive(FromQueryResult)]
struct Counted {
    author_id: Uuid,
    stored: i64,
    actual: i64,
}

impl NoteCount {
    async fn read(
        connection: &impl ConnectionTrait,
        which: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Counted>> {
        // Of both tables: a lost counter is a drift as much as a wrong one.
        let sql = format!(
            "SELECT a.author_id, coalesce(c.note_count, 0) AS stored,
             (SELECT count(*) FROM guestbook_notes n WHERE n.author_id = a.author_id) AS actual
             FROM (SELECT author_id FROM guestbook_notes UNION SELECT author_id FROM guestbook_counts) a
             LEFT JOIN guestbook_counts c ON c.author_id = a.author_id WHERE a.author_id {which}"
        );
        let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
        Ok(Counted::find_by_statement(statement).all(connection).await?)
    }

    /// Compares one author's under the lock that every write of the counter takes.
    async fn compare(tx: &Tx, author: Uuid) -> Result<Vec<Drift>> {
        let lock = tables::counts::Entity::find_by_id(author).lock_exclusive();
        lock.one(tx.connection()).await?;
        let counted = Self::read(tx.connection(), "= $1", [author.into()]).await?;
        let wrong = counted.into_iter().filter(|count| count.stored != count.actual);
        let drift = |count: Counted| Drift {
            id: Id::<UserKind>::new(count.author_id).to_string(),
            field: "noteCount".into(),
            stored: count.stored.to_string(),
            actual: count.actual.to_string(),
        };
        Ok(wrong.map(drift).collect())
    }
}

#[async_trait]
impl Check for NoteCount {
    fn module(&self) -> &'static str {
        Guestbook::NAME
    }

    fn name(&self) -> &'static str {
        "note-count"
    }

    fn key(&self, id: &str) -> Option<Key> {
        Some((0, Id::<UserKind>::from_str(id).ok()?.uuid()))
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.map_or(Uuid::nil(), |(_, author)| author);
        let limit = i64::try_from(size).unwrap_or(i64::MAX);
        let which = "> $1 ORDER BY a.author_id LIMIT $2";
        let counted = Self::read(kernel.db.reader(), which, [after.into(), limit.into()]).await?;
        let wrong = counted.iter().filter(|count| count.stored != count.actual);
        Ok(Chunk {
            checked: counted.len() as u64,
            suspects: wrong.map(|count| (0, count.author_id)).collect(),
            next: counted.last().map(|count| (0, count.author_id)).filter(|_| counted.len() == size),
        })
    }

    async fn confirm(&self, kernel: &Kernel, (_, author): Key) -> Result<Vec<Drift>> {
        kernel.db.write(move |tx| Box::pin(Self::compare(tx, author))).await
    }

    async fn repair(&self, _: &Kernel, tx: &Tx, (_, author): Key) -> Result<Vec<Drift>> {
        let drifts = Self::compare(tx, author).await?;
        for drift in &drifts {
            note_count_add(tx, author, difference(drift)?).await?;
        }
        Ok(drifts)
    }

    async fn restore(&self, _: &Kernel, tx: &Tx, (_, author): Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        // A sum gets its difference back: what was written since stays counted.
        for drift in drifts {
            note_count_add(tx, author, -difference(drift)?).await?;
        }
        Ok(vec![true; drifts.len()])
    }
}

/// What a repair adds.
fn difference(drift: &Drift) -> Result<i64> {
    let number = |text: &str| text.parse::<i64>().map_err(Error::internal);
    Ok(number(&drift.actual)? - number(&drift.stored)?)
}

/// The notes behind the count.
pub(super) struct NotesCounted;

#[async_trait]
impl Explain for NotesCounted {
    fn module(&self) -> &'static str {
        Guestbook::NAME
    }

    fn figure(&self) -> &'static str {
        "note-count"
    }

    async fn explain(&self, kernel: &Kernel, id: &str, page: Page) -> Result<Option<Explained>> {
        let author = Id::<UserKind>::from_str(id)?;
        // A page of facts, their number and the figure have to be of one snapshot: they are one statement.
        #[derive(FromQueryResult)]
        struct Row {
            stored: i64,
            total: i64,
            id: Option<Uuid>,
            written_at: Option<Millis>,
        }
        let sql = "SELECT coalesce((SELECT note_count FROM guestbook_counts WHERE author_id = $1), 0) AS stored,
                   (SELECT count(*) FROM guestbook_notes WHERE author_id = $1) AS total, n.id, n.written_at
                   FROM (SELECT 1 AS one) o LEFT JOIN (SELECT id, written_at FROM guestbook_notes
                       WHERE author_id = $1 AND (written_at > $2 OR (written_at = $2 AND id > $3))
                       ORDER BY written_at, id LIMIT $4) n ON 1 = 1 ORDER BY n.written_at, n.id";
        let after = page.from.map_or((i64::MIN, Uuid::nil()), |from| (from.value.unwrap_or(i64::MAX), from.id));
        let limit = i64::try_from(page.size + 1).unwrap_or(i64::MAX);
        let values = [author.uuid().into(), after.0.into(), after.1.into(), limit.into()];
        let rows = kernel.db.query(Statement::from_sql_and_values(kernel.backend(), sql, values)).await?;
        let rows = rows.iter().map(|row| Row::from_query_result(row, "")).collect::<Result<Vec<_>, _>>()?;
        let Some((stored, total)) = rows.first().map(|row| (row.stored, row.total)) else {
            return Ok(None);
        };
        let mut facts: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let (id, at) = (row.id?, row.written_at?);
                Some(Fact {
                    cursor: Cursor { order: 0, value: Some(at.0), id },
                    kind: "NOTE",
                    source: Some(Id::<NoteKind>::new(id).to_string()),
                    at,
                    contribution: "1".into(),
                })
            })
            .collect();
        let more = facts.len() > page.size;
        facts.truncate(page.size);
        Ok((stored != 0 || total != 0).then(|| Explained {
            id: id.to_owned(),
            figure: "note-count".into(),
            stored: stored.to_string(),
            actual: total.to_string(),
            unit: "notes",
            total: total.unsigned_abs(),
            facts,
            more,
            remedy: None,
        }))
    }
}

/// How many notes there are.
pub(super) async fn overview(kernel: &Kernel) -> Result<Overview> {
    let notes = tables::notes::Entity::find().count(kernel.db.reader()).await?;
    Ok(vec![("Guestbook".into(), vec![("notes".into(), notes.to_string())])])
}
