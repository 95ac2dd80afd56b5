//! `tally import`: contents of another system, with their likes, favorites and counts, while servers run.
//!
//! Each call is one transaction of this process's own writer, as a recalculation's chunks are. What was taken over before
//! changes nothing: an import that was cut off is run again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::commands::import::Import;
pub use super::commands::import::{ImportOutcome, ImportedAct};
use super::commands::publish::NewContent;
use super::content::Kind;
use super::openings::Opening;
use super::ranks::Ranks;
use super::settings::{self, Versions};
use super::store::in_force;
use super::store::openings as store;
use super::writer::{Command, EngagementWriter, Outcome};
use crate::kernel::batch::BatchWriter as _;
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::kernel::live::Live;

/// One content to be taken over, and at most once in a call.
pub struct Imported {
    /// Which one, where it is known.
    pub content: Content,
    /// Its likes and favorites; of a user and kind one.
    pub acts: Vec<ImportedAct>,
    /// What its counts are to open with; of a figure one.
    pub openings: Vec<Opening>,
}

/// A content that is there, or is to be made.
pub enum Content {
    /// It is there.
    Known(Uuid),
    /// It is made, unless another import was first. Needs an external id.
    New(Box<NewContent>),
}

/// A content that is there.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// When it was published.
    pub published_at: Millis,
}

/// Writes imports.
pub struct Importer {
    kernel: Kernel,
    writer: Arc<EngagementWriter>,
}

impl Importer {
    /// Makes a writer of the settings in force. Needs no running server.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open(kernel: &Kernel) -> Result<Self> {
        let standing = settings::register(kernel).await?;
        let versions: Arc<Versions> = Arc::default();
        let ranks = Ranks::new(kernel, &versions, standing.in_force);
        // Nobody listens to this process.
        let live = Live::start(Duration::from_secs(1), &kernel.tasks, kernel.shutdown.clone());
        let writer = Arc::new(EngagementWriter::new(kernel, &versions, &ranks, &live));
        Ok(Self { kernel: kernel.clone(), writer })
    }

    /// Which contents have these external ids, by external id; unknown ones are left out.
    ///
    /// # Errors
    /// The database's own.
    pub async fn find(&self, external_ids: &[String]) -> Result<HashMap<String, Known>> {
        let found = store::content_by_external_ids(&self.kernel.db, external_ids).await?;
        let kind = |number| if number == 0 { Kind::Artwork } else { Kind::Video };
        let known = found.into_iter().map(|(external_id, id, number, published_at)| {
            (external_id, Known { id, kind: kind(number), published_at })
        });
        Ok(known.collect())
    }

    /// Takes contents over, in one transaction; durable when it returns. An outcome each, in their order.
    ///
    /// # Errors
    /// The database's own; then nothing was taken over.
    pub async fn import(&self, contents: Vec<Imported>) -> Result<Vec<Result<ImportOutcome>>> {
        let mut outcomes: Vec<Option<Result<ImportOutcome>>> = Vec::with_capacity(contents.len());
        let mut commands = Vec::with_capacity(contents.len());
        for Imported { content, acts, openings } in contents {
            let made = match content {
                Content::Known(content) => Ok((content, None)),
                Content::New(new) => {
                    new.check(self.kernel.ids.next()).and_then(|publish| match publish.info.external_id {
                        Some(_) => Ok((publish.info.id, Some(publish))),
                        None => Err(Error::invalid("without an externalId the next import would make it again")),
                    })
                }
            };
            match made {
                Ok((content, publish)) => {
                    outcomes.push(None);
                    commands.push(Command::Import(Box::new(Import { content, publish, acts, openings })));
                }
                Err(error) => outcomes.push(Some(Err(error))),
            }
        }
        let (writer, commands) = (Arc::clone(&self.writer), Arc::new(commands));
        let applied = self.kernel.db.write(move |tx| {
            let (writer, commands) = (Arc::clone(&writer), Arc::clone(&commands));
            Box::pin(async move { writer.apply(tx, &commands).await })
        });
        let mut applied = applied.await?.outcomes.into_iter();
        let mut next = || match applied.next() {
            Some(Ok(Outcome::Imported(outcome))) => Ok(outcome),
            Some(Err(error)) => Err(error),
            _ => Err(Error::internal("another command's outcome for an import")),
        };
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(&mut next)).collect())
    }

    /// Tells the servers that figures changed behind the back of their rank indexes.
    ///
    /// # Errors
    /// The database's own.
    pub async fn announce(&self) -> Result<()> {
        self.kernel.db.write(|tx| Box::pin(in_force::generation_raise(tx))).await
    }
}
