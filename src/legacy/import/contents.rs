//! Artworks, with the counters that have no rows behind them, and videos.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::{CHUNK, Run};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Result};
use crate::legacy::audit::whole;
use crate::legacy::spec::{ARTWORKS, FAVORITES, LIKES, VIDEOS};
use crate::legacy::store::{Found, Source, Streams};
use crate::modules::engagement::NewContent;
use crate::modules::engagement::content::Detail;
use crate::modules::engagement::importing::{Content, Imported, Known};
use crate::modules::engagement::openings::{Counted, Opening};

/// Works in one transaction: each is some rows.
const WORKS: usize = CHUNK / 4;
/// More than this nobody has counted.
const COUNT_MOST: i64 = 1_000_000_000_000;

/// The columns that are read of artworks, in order. The counters come last.
const ARTWORK: [&str; 14] = [
    "id",
    "author_id",
    "title",
    "created_at",
    "last_hot_update",
    "prompt",
    "model",
    "width",
    "height",
    "image_url",
    "comment_count",
    "share_count",
    "view_count",
    "like_count",
];
/// Where the counters are, and what each counts.
const COUNTERS: [(usize, Counted); 3] = [(10, Counted::Comment), (11, Counted::Share), (12, Counted::View)];

/// A work as its table has it.
pub(super) struct Work {
    pub(super) id: String,
    pub(super) author: Option<String>,
    pub(super) title: Option<String>,
    pub(super) published: Published,
    pub(super) detail: Detail,
    /// Openings at the moment of publication.
    pub(super) counts: Vec<(Counted, i64)>,
}

/// When a work was published, as far as anybody knows.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The moment, or the next best one; `None`: [`LONG_AGO`].
    pub(super) at: Option<Millis>,
    /// Whether its table says so.
    pub(super) is_told: bool,
    /// What its table says instead of a moment that has passed, and why it is none.
    pub(super) wrong: Option<(String, &'static str)>,
}

/// Of whose publication nobody knows the moment: cold, whatever else is known. The present one would make it hot.
const LONG_AGO: Millis = Millis(0);

impl Run<'_> {
    /// Takes the table of artworks over.
    pub(super) async fn artworks(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        let mut columns = ARTWORK.to_vec();
        columns.push("favorite_count");
        let mut counters = COUNTERS.to_vec();
        // With no table of them, likes and favorites have no rows behind them either.
        counters.extend(self.schema.table(LIKES).is_none().then_some((13, Counted::Like)));
        counters.extend(self.schema.table(FAVORITES).is_none().then_some((14, Counted::Favorite)));
        self.note_timeless(table, "created_at");
        let mut rows = source.rows(Streams::by_key(table, &columns, &["id"]));
        let mut chunk: Vec<Work> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            self.read(ARTWORKS.name, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let Some(id) = self.id(ARTWORKS.name, text(0)) else { continue };
            let mut counts = Vec::new();
            for (at, counted) in &counters {
                let column = columns.get(*at).copied().unwrap_or_default();
                match text(*at).map(|text| (text, whole(text))) {
                    None | Some((_, Some(0))) => {}
                    Some((_, Some(count @ 1..=COUNT_MOST))) => counts.push((*counted, count)),
                    // The work comes along all the same.
                    Some((wrong, _)) => {
                        let example = format!("id {id}: {column} {wrong}");
                        self.report.note_value(ARTWORKS.name, self.options.examples, example);
                    }
                }
            }
            let pixels = |n: usize| text(n).and_then(whole).filter(|side| (1..=100_000).contains(side));
            let size = pixels(7).zip(pixels(8));
            let plain = |n: usize, most: usize| text(n).map(|text| clean(text, most)).filter(|text| !text.is_empty());
            let detail = Detail::Artwork {
                prompt: plain(5, 10_000),
                model: plain(6, 200),
                width: size.map(|(width, _)| width),
                height: size.map(|(_, height)| height),
                image_url: text(9).and_then(url),
            };
            let published = self.published(table, text(3), text(4));
            let (author, title) = (text(1).map(str::to_owned), plain(2, 200));
            let work = Work { id: id.to_owned(), author, title, published, detail, counts };
            self.take(ARTWORKS.name, &mut chunk, work).await?;
        }
        self.works(ARTWORKS.name, chunk).await
    }

    /// Takes the table of videos over: titles, authors, times. What was done to them is in the behaviors.
    pub(super) async fn videos(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        self.note_timeless(table, "created_at");
        let mut rows = source.rows(Streams::by_key(table, &["id", "author_id", "title", "created_at"], &["id"]));
        let mut chunk: Vec<Work> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            self.read(VIDEOS.name, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let Some(id) = self.id(VIDEOS.name, text(0)) else { continue };
            let published = self.published(table, text(3), None);
            let title = text(2).map(|title| clean(title, 200)).filter(|title| !title.is_empty());
            let work = Work { title, author: text(1).map(str::to_owned), ..Work::video(id, published) };
            self.take(VIDEOS.name, &mut chunk, work).await?;
        }
        self.works(VIDEOS.name, chunk).await
    }

    /// The id of a row that has one.
    fn id<'r>(&mut self, table: &'static str, id: Option<&'r str>) -> Option<&'r str> {
        let reason = match id {
            None => "there is no id",
            // Nothing could be found by it again: each import would make it anew.
            Some(id) if is_blank(id) => "the id is blank",
            Some(id) => return Some(id),
        };
        self.drop(table, reason, 1, format!("id {}", id.map_or("NULL".to_owned(), |id| format!("{id:?}"))));
        None
    }

    /// When a work was published: as its table says, or at another moment that it knows.
    fn published(&self, table: &Found, told: Option<&str>, other: Option<&str>) -> Published {
        let (at, why) = match self.moment(told) {
            Ok(at) => return Published { at: Some(at), is_told: true, wrong: None },
            Err(why) => (self.moment(other).ok(), why),
        };
        let wrong = || (told.unwrap_or("NULL").to_owned(), why);
        Published { at, is_told: false, wrong: table.has("created_at").then(wrong) }
    }

    /// Says that a table does not know when anything in it was published.
    pub(super) fn note_timeless(&mut self, table: &Found, column: &str) {
        if !table.has(column) {
            let other = if table.has("last_hot_update") { "at its last_hot_update, or else " } else { "" };
            let name = table.spec.name;
            self.report.notes.push(format!("{name} has no {column}: what is new counts as published {other}in 1970"));
        }
    }

    /// Says of a work that it does not count as published at the moment of its table.
    fn note_moment(&mut self, table: &'static str, work: &Work, held: Option<&Known>) {
        let Published { at, is_told, wrong } = &work.published;
        let (reason, example) = match (wrong, held, at) {
            (Some((value, why)), held, at) => {
                let done = match (held, at) {
                    (Some(_), _) => "the work keeps the moment that it has here",
                    (None, Some(_)) => "the work counts as published at its last_hot_update",
                    (None, None) => "the work counts as published in 1970",
                };
                (format!("created_at: {why}: {done}"), format!("id {}: created_at {value}", work.id))
            }
            (None, Some(held), Some(at)) if *is_told && *at != held.published_at => {
                let (told, kept) = (at.to_text(), held.published_at.to_text());
                let reason = "created_at is not when the work was published here: it keeps that moment";
                (reason.to_owned(), format!("id {}: created_at {told}, here {kept}", work.id))
            }
            _ => return,
        };
        self.report.alter(table, &reason, self.options.examples, example);
    }

    /// Takes the next work, in the order of ids. Of several rows with one id the last published counts, of equals the one
    /// with more: the same one whatever the order, or each run would set the counts of the other.
    async fn take(&mut self, table: &'static str, chunk: &mut Vec<Work>, work: Work) -> Result<()> {
        if let Some(last) = chunk.last_mut().filter(|last| last.id == work.id) {
            self.report.table(table).duplicates += 1;
            if work.rank() > last.rank() {
                *last = work;
            }
            return Ok(());
        }
        if chunk.len() >= WORKS {
            self.works(table, std::mem::take(chunk)).await?;
        }
        chunk.push(work);
        Ok(())
    }

    /// Makes the works that are not there, and sets what the counts of all of them open with.
    pub(super) async fn works(&mut self, table: &'static str, works: Vec<Work>) -> Result<()> {
        if works.is_empty() {
            return Ok(());
        }
        let people = self.people(works.iter().filter_map(|work| work.author.clone()).collect()).await?;
        let external = |run: &Self, work: &Work| match table == ARTWORKS.name {
            true => run.artwork_id(&work.id),
            false => run.video_id(&work.id),
        };
        let ids: Vec<String> = works.iter().map(|work| external(self, work)).collect();
        let known = self.importer.find(&ids).await?;
        let mut nobody = None;
        let mut seen = BTreeSet::new();
        let (mut imported, mut told) = (Vec::new(), Vec::new());
        for (work, external_id) in works.into_iter().zip(ids) {
            if !seen.insert(external_id.clone()) {
                self.report.table(table).duplicates += 1;
                continue;
            }
            let held = known.get(&external_id);
            if held.is_some_and(|held| held.kind != work.kind()) {
                self.drop(table, "a content of another kind has this externalId", 1, format!("id {}", work.id));
                continue;
            }
            let author = work.author.as_ref().and_then(|author| people.get(author)).copied();
            if author.is_none() && nobody.is_none() && held.is_none() {
                nobody = self.nobody().await?;
            }
            self.note_moment(table, &work, held);
            let published_at = held.map_or(work.published.at.unwrap_or(LONG_AGO), |held| held.published_at);
            let opening =
                |(figure, count): &(Counted, i64)| Opening { figure: *figure, count: *count, at: published_at };
            let openings: Vec<Opening> = work.counts.iter().map(opening).collect();
            told.push(work.id.clone());
            let content = match (held, author.or(nobody)) {
                (Some(held), _) => Content::Known(held.id),
                (None, Some(author)) => Content::New(Box::new(work.made(author, external_id, published_at))),
                (None, None) => {
                    told.pop();
                    self.drop(table, "nobody can be its author", 1, format!("id {}", work.id));
                    continue;
                }
            };
            imported.push(Imported { content, acts: Vec::new(), openings });
        }
        for (id, outcome) in told.into_iter().zip(self.importer.import(imported).await?) {
            let held = self.report.table(table);
            match outcome {
                Ok(outcome) => {
                    held.new += u64::from(outcome.created);
                    held.there += u64::from(!outcome.created);
                    held.openings += outcome.opened;
                    held.opened += outcome.opened_by;
                }
                Err(error) if error.code() == Code::UNAVAILABLE => return Err(error),
                Err(error) => self.drop(table, error.client(), 1, format!("id {id}")),
            }
        }
        self.announce().await
    }
}

impl Work {
    /// A video of which only the id is known.
    pub(super) fn video(id: &str, published: Published) -> Self {
        let detail = Detail::Video { item_id: Some(id.to_owned()), duration_ms: None, video_url: None };
        Self { id: id.to_owned(), author: None, title: None, published, detail, counts: Vec::new() }
    }

    fn rank(&self) -> impl PartialOrd + '_ {
        (self.published.at, &self.counts, &self.title, &self.author)
    }

    fn kind(&self) -> crate::modules::engagement::content::Kind {
        match self.detail {
            Detail::Artwork { .. } => crate::modules::engagement::content::Kind::Artwork,
            Detail::Video { .. } => crate::modules::engagement::content::Kind::Video,
        }
    }

    fn made(self, author_id: Uuid, external_id: String, published_at: Millis) -> NewContent {
        let word = if matches!(self.detail, Detail::Artwork { .. }) { "artwork" } else { "video" };
        NewContent {
            author_id,
            title: self.title.unwrap_or_else(|| clean(&format!("{word} {}", self.id), 200)),
            cover_url: None,
            external_id: Some(external_id),
            client_key: None,
            source: None,
            base_weight: None,
            published_at: Some(published_at),
            detail: self.detail,
        }
    }
}

/// A text without what no text may hold, and not longer than it may be.
fn clean(text: &str, most: usize) -> String {
    text.trim().chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect()
}

/// Whether an id is none that anything could be found by.
pub(super) fn is_blank(id: &str) -> bool {
    id.trim().is_empty()
}

/// A link, if pages may have it.
fn url(text: &str) -> Option<String> {
    crate::kernel::text::optional_url("imageUrl", Some(text.trim())).ok().flatten()
}
