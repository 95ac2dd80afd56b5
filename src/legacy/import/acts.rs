//! Likes and favorites: of an artwork and a user one, the last time of several.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;

use super::{CHUNK, Run};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Result};
use crate::legacy::store::{Found, Source, Streams};
use crate::modules::engagement::content::{BehaviorKind, Kind};
use crate::modules::engagement::importing::{Content, Imported, ImportedAct};
use crate::modules::engagement::openings::{Counted, Opening};

pub(super) const LIKE: BehaviorKind = BehaviorKind::Like;
pub(super) const FAVORITE: BehaviorKind = BehaviorKind::Favorite;

/// What was done to a content, or a part of it.
pub(super) struct Pending {
    pub(super) external_id: String,
    /// How its table names it: `artwork_id 7`.
    pub(super) named: String,
    pub(super) acts: Vec<Told>,
    pub(super) openings: Vec<Opened>,
}

/// A count with no rows of its own.
pub(super) struct Opened {
    pub(super) figure: Counted,
    pub(super) count: i64,
    /// When; where its table does not say, when the content was published.
    pub(super) at: Option<Millis>,
}

/// A like or favorite.
pub(super) struct Told {
    pub(super) user: String,
    pub(super) kind: BehaviorKind,
    /// When; where its table does not say, when the content was published.
    pub(super) at: Option<Millis>,
}

impl Run<'_> {
    /// Takes a table of likes or favorites over.
    pub(super) async fn relation(&mut self, source: &mut Source, table: &Found, kind: BehaviorKind) -> Result<()> {
        let name = table.spec.name;
        let timed = table.has("created_at");
        let columns = ["artwork_id", "user_id", "created_at"];
        let mut rows = source.rows(Streams::by_key(table, &columns, &["artwork_id", "user_id"]));
        let (mut pending, mut waiting): (Vec<Pending>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            self.read(name, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let shown = |n: usize| text(n).unwrap_or("NULL");
            let example = format!("artwork_id {}, user_id {}, created_at {}", shown(0), shown(1), shown(2));
            let (Some(artwork), Some(user)) = (text(0), text(1)) else {
                self.drop(name, "a key is NULL", 1, example);
                continue;
            };
            let at = match timed.then(|| self.moment(text(2))).transpose() {
                Ok(at) => at,
                Err(reason) => {
                    self.drop(name, reason, 1, example);
                    continue;
                }
            };
            let external_id = self.artwork_id(artwork);
            if pending.last().is_none_or(|last| last.external_id != external_id) {
                // Not between two rows of one user: of these the last time counts.
                if waiting >= CHUNK {
                    self.flush(name, Kind::Artwork, std::mem::take(&mut pending)).await?;
                    waiting = 0;
                }
                let named = format!("artwork_id {artwork}");
                pending.push(Pending { external_id, named, acts: Vec::new(), openings: Vec::new() });
            }
            let Some(last) = pending.last_mut() else { continue };
            match last.acts.last_mut().filter(|told| told.user == user) {
                Some(told) => {
                    told.at = told.at.max(at);
                    self.report.table(name).duplicates += 1;
                }
                None => {
                    last.acts.push(Told { user: user.to_owned(), kind, at });
                    waiting += 1;
                    if last.acts.len() > CHUNK {
                        // A popular one: what is behind the last user is complete.
                        let newest = last.acts.split_off(last.acts.len() - 1);
                        let (external_id, named) = (last.external_id.clone(), last.named.clone());
                        self.flush(name, Kind::Artwork, std::mem::take(&mut pending)).await?;
                        pending.push(Pending { external_id, named, acts: newest, openings: Vec::new() });
                        waiting = 1;
                    }
                }
            }
        }
        self.flush(name, Kind::Artwork, pending).await
    }

    /// Writes what was done to some contents, each of them once.
    pub(super) async fn flush(&mut self, table: &'static str, kind: Kind, mut pending: Vec<Pending>) -> Result<()> {
        let ids: Vec<String> = pending.iter().map(|content| content.external_id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.importer.find(&ids).await?;
        let word = if kind == Kind::Artwork { "there is no such artwork" } else { "there is no such video" };
        let is_known = |content: &Pending| known.get(&content.external_id).is_some_and(|held| held.kind == kind);
        let gone = pending.iter().filter(|content| !is_known(content));
        for (rows, named) in gone.map(|content| (content.rows(), content.named.clone())).collect::<Vec<_>>() {
            self.drop(table, word, rows, named);
        }
        pending.retain(is_known);
        let users: BTreeSet<String> =
            pending.iter().flat_map(|content| &content.acts).map(|told| told.user.clone()).collect();
        let people = if users.is_empty() { Default::default() } else { self.people(users).await? };
        let (mut imported, mut told_of) = (Vec::new(), Vec::new());
        for content in pending {
            let Some(held) = known.get(&content.external_id) else { continue };
            let mut acts = Vec::new();
            for told in content.acts {
                match people.get(&told.user) {
                    Some(user) => {
                        acts.push(ImportedAct {
                            user: *user,
                            kind: told.kind,
                            at: told.at.unwrap_or(held.published_at),
                        });
                    }
                    None => {
                        let example = format!("{}, user_id {}", content.named, told.user);
                        self.drop(table, "there is no such user", 1, example);
                    }
                }
            }
            let opened: i64 = content.openings.iter().map(|opening| opening.count).sum();
            told_of.push((content.named, acts.len() as u64, opened.unsigned_abs()));
            let opening = |Opened { figure, count, at }| {
                let at = at.unwrap_or(held.published_at);
                Opening { figure, count, at }
            };
            let openings = content.openings.into_iter().map(opening).collect();
            imported.push(Imported { content: Content::Known(held.id), acts, openings });
        }
        for ((named, acts, opened), outcome) in told_of.into_iter().zip(self.importer.import(imported).await?) {
            match outcome {
                Ok(outcome) => {
                    let held = self.report.table(table);
                    // Of so many who did so, as many more than the last time.
                    let more = u64::try_from(outcome.opened_by).unwrap_or_default().min(opened);
                    held.new += outcome.added + more;
                    held.there += outcome.repeated + opened - more;
                    held.openings += outcome.opened;
                    held.opened += outcome.opened_by;
                    if outcome.of_deleted > 0 {
                        self.drop(table, "the user was deleted here", outcome.of_deleted, named);
                    }
                }
                Err(error) if error.code() == Code::UNAVAILABLE => return Err(error),
                Err(error) => self.drop(table, error.client(), acts + opened, named),
            }
        }
        self.announce().await
    }
}

impl Pending {
    /// How many rows it came from, duplicates left out.
    fn rows(&self) -> u64 {
        let opened: i64 = self.openings.iter().map(|opening| opening.count).sum();
        self.acts.len() as u64 + opened.unsigned_abs()
    }
}
