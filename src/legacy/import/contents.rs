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
use crate::modules::engagement::importing::{Content, Imported};
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
    pub(super) published_at: Option<Millis>,
    pub(super) detail: Detail,
    /// Openings at the moment of publication.
    pub(super) counts: Vec<(Counted, i64)>,
}

impl Run<'_> {
    /// Takes the table of artworks over.
    pub(super) async fn artworks(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        let mut columns = ARTWORK.to_vec();
        columns.push("favorite_count");
        let mut counters = COUNTERS.to_vec();
        // With no table of them, likes and favorites have no rows behind them either.
        counters.extend(self.schema.table(LIKES).is_none().then_some((13, Counted::Like)));
        counters.extend(self.schema.table(FAVORITES).is_none().then_some((14, Counted::Favorite)));
        let mut rows = source.rows(Streams::by_key(table, &columns, &["id"]));
        let mut chunk: Vec<Work> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            self.read(ARTWORKS.name, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let Some(id) = text(0) else {
                self.drop(ARTWORKS.name, "there is no id", 1, "id NULL".to_owned());
                continue;
            };
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
            let published_at = self.moment(text(3)).or_else(|_| self.moment(text(4))).ok();
            let (author, title) = (text(1).map(str::to_owned), plain(2, 200));
            let work = Work { id: id.to_owned(), author, title, published_at, detail, counts };
            self.take(ARTWORKS.name, &mut chunk, work).await?;
        }
        self.works(ARTWORKS.name, chunk).await
    }

    /// Takes the table of videos over: titles, authors, times. What was done to them is in the behaviors.
    pub(super) async fn videos(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        let mut rows = source.rows(Streams::by_key(table, &["id", "author_id", "title", "created_at"], &["id"]));
        let mut chunk: Vec<Work> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            self.read(VIDEOS.name, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let Some(id) = text(0) else {
                self.drop(VIDEOS.name, "there is no id", 1, "id NULL".to_owned());
                continue;
            };
            let published_at = self.moment(text(3)).ok();
            let title = text(2).map(|title| clean(title, 200)).filter(|title| !title.is_empty());
            let work = Work { title, author: text(1).map(str::to_owned), ..Work::video(id, published_at) };
            self.take(VIDEOS.name, &mut chunk, work).await?;
        }
        self.works(VIDEOS.name, chunk).await
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
            let published_at = held.map_or(work.published_at.unwrap_or(self.now), |held| held.published_at);
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
    pub(super) fn video(id: &str, published_at: Option<Millis>) -> Self {
        let detail = Detail::Video { item_id: Some(id.to_owned()), duration_ms: None, video_url: None };
        Self { id: id.to_owned(), author: None, title: None, published_at, detail, counts: Vec::new() }
    }

    fn rank(&self) -> impl PartialOrd + '_ {
        (self.published_at, &self.counts, &self.title, &self.author)
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

/// A link, if pages may have it.
fn url(text: &str) -> Option<String> {
    crate::kernel::text::optional_url("imageUrl", Some(text.trim())).ok().flatten()
}
