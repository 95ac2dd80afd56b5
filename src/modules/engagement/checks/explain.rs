//! What a content's figures are made of.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::{Ground, content_key, heat};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{self, Explain, Explained, Key};
use crate::kernel::page::{Cursor, Page};
use crate::modules::engagement::graphql::{CommentKind, ShareKind, content_id_text};
use crate::modules::engagement::hotness::{Fact, HeatSettings, RolledUp, Source, Weight};
use crate::modules::engagement::openings::{Counted, Opening};
use crate::modules::engagement::settings;
use crate::modules::engagement::store::explain::{self, FactRow, Of};
use crate::modules::engagement::store::recount::{self, Range, Stored, Which};
use crate::modules::engagement::store::{openings, rollups};
use crate::modules::users::UserKind;

/// The explanations of the module's figures.
pub(in crate::modules::engagement) fn all() -> Vec<Arc<dyn Explain>> {
    FIGURES.iter().map(|figure| Arc::new(*figure) as Arc<dyn Explain>).collect()
}

/// A figure, and the kinds of fact that it is made of, in the order of its list.
#[derive(Clone, Copy)]
struct Figure {
    name: &'static str,
    unit: &'static str,
    /// `None`: the heat.
    counted: Option<Counted>,
    parts: &'static [Part],
}

/// A part of a list of facts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Being published, and the weight given by hand.
    Publication,
    Facts(Of),
    /// Views that were summed up by the epoch.
    Epochs,
    /// What an import took over of a count, or of all five.
    Openings(Option<Counted>),
    /// What the quality, a factor of all the others, makes of them.
    Quality,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "like-count",
        unit: "likes",
        counted: Some(Counted::Like),
        parts: &[Part::Facts(Of::Likes), Part::Openings(Some(Counted::Like))],
    },
    Figure {
        name: "favorite-count",
        unit: "favorites",
        counted: Some(Counted::Favorite),
        parts: &[Part::Facts(Of::Favorites), Part::Openings(Some(Counted::Favorite))],
    },
    Figure {
        name: "comment-count",
        unit: "comments",
        counted: Some(Counted::Comment),
        parts: &[Part::Facts(Of::Comments), Part::Openings(Some(Counted::Comment))],
    },
    Figure {
        name: "share-count",
        unit: "shares",
        counted: Some(Counted::Share),
        parts: &[Part::Facts(Of::Shares), Part::Openings(Some(Counted::Share))],
    },
    Figure {
        name: "view-count",
        unit: "views",
        counted: Some(Counted::View),
        parts: &[Part::Facts(Of::Hours), Part::Epochs, Part::Openings(Some(Counted::View))],
    },
    Figure {
        name: "hotness",
        unit: "points of the score now",
        counted: None,
        parts: &[
            Part::Publication,
            Part::Facts(Of::Likes),
            Part::Facts(Of::Favorites),
            Part::Facts(Of::Comments),
            Part::Facts(Of::Shares),
            Part::Facts(Of::Hours),
            Part::Epochs,
            Part::Openings(None),
            Part::Quality,
        ],
    },
];

/// A fact and its place in its part.
struct Row {
    place: (i64, Uuid),
    kind: &'static str,
    source: Option<String>,
    at: Millis,
    contribution: String,
}

/// Bits of a cursor's value that are of a place within its part.
const PLACE_BITS: u32 = 56;

/// One content, read in one snapshot.
struct Reader<'a> {
    reads: &'a DatabaseTransaction,
    ground: &'a Ground,
    content: Key,
    stored: &'a Stored,
    now: Millis,
    /// Whether contributions are points.
    points: bool,
    /// What the facts add up to in points, if they are.
    score: f64,
}

impl Reader<'_> {
    fn heat(&self) -> Option<HeatSettings> {
        self.ground.hotness.as_ref().map(|hotness| hotness.heat)
    }

    /// What something adds: a count, or points of the score at this moment.
    fn contribution(&self, source: &Source, count: i64) -> String {
        match self.heat().filter(|_| self.points) {
            Some(heat) => heat.adds(source).map_or(0.0, |(epoch, mass)| heat.points(epoch, mass, self.now)).to_string(),
            None => count.to_string(),
        }
    }

    fn fact(&self, of: Of, row: &FactRow) -> Row {
        let (kind, weight, source) = match of {
            Of::Likes => ("LIKE", Weight::Like, Some(Id::<UserKind>::new(row.id).to_string())),
            Of::Favorites => ("FAVORITE", Weight::Favorite, Some(Id::<UserKind>::new(row.id).to_string())),
            Of::Comments => ("COMMENT", Weight::Comment, Some(Id::<CommentKind>::new(row.id).to_string())),
            Of::Shares => ("SHARE", Weight::Share, Some(Id::<ShareKind>::new(row.id).to_string())),
            Of::Hours => ("VIEWS_OF_AN_HOUR", Weight::View, None),
        };
        let fact = Source::Fact(Fact { weight, at: row.at, count: row.count });
        let contribution = self.contribution(&fact, row.count);
        let id = if of == Of::Hours { Uuid::nil() } else { row.id };
        Row { place: (row.place, id), kind, source, at: row.at, contribution }
    }

    /// All of a part that has a few.
    async fn few(&self, part: Part) -> Result<Vec<Row>> {
        let at = self.stored.published_at;
        let row =
            |place, kind, at, contribution| Row { place: (place, Uuid::nil()), kind, source: None, at, contribution };
        Ok(match part {
            Part::Publication => {
                let publish = |by_hand| Fact { weight: Weight::Publish { by_hand }, at, count: 1 };
                let by_hand = self.stored.base_weight;
                let mut rows = vec![row(0, "PUBLICATION", at, self.contribution(&Source::Fact(publish(0)), 1))];
                if let (true, Some(heat)) = (by_hand != 0, self.heat()) {
                    // What both add together, without what the first does: masses are whole numbers.
                    let mass = |by_hand| heat.mass(&publish(by_hand)).unwrap_or(0);
                    let points = heat.points(heat.epoch(at), mass(by_hand).saturating_sub(mass(0)), self.now);
                    rows.push(row(1, "BASE_WEIGHT", at, points.to_string()));
                }
                rows
            }
            Part::Epochs => {
                let range = Range { first: self.content, last: self.content };
                let mut held = rollups::epochs_within(self.reads, range).await?;
                let mut epochs = held.remove(&self.stored.id).unwrap_or_default();
                epochs.sort_by_key(|(version, views)| (*version, views.epoch));
                let mut rows = Vec::with_capacity(epochs.len());
                for (place, (version, views)) in (0..).zip(epochs) {
                    let RolledUp { epoch, count, .. } = views;
                    let heat = self.ground.versions.of(self.reads, version).await?.heat;
                    let contribution = self.contribution(&Source::RolledUp(heat, views), count);
                    rows.push(row(place, "VIEWS_OF_AN_EPOCH", heat.epoch_start(epoch), contribution));
                }
                rows
            }
            Part::Openings(counted) => {
                let held = openings::opening_of(self.reads, self.content).await?;
                let wanted = held.iter().filter(|opening| counted.is_none_or(|counted| counted == opening.figure));
                let opening = |opening: &Opening| {
                    let contribution = self.contribution(&Source::Fact(opening.fact()), opening.count);
                    row(opening.figure.number().into(), opening.figure.opening(), opening.at, contribution)
                };
                wanted.map(opening).collect()
            }
            Part::Quality => {
                // The rest of the score: without it the facts add up to the score by the quality.
                let factor = self.stored.quality as f64 / 1000.0;
                let adds = if factor > 0.0 { self.score - self.score / factor } else { 0.0 };
                vec![row(0, "QUALITY", at, adds.to_string())]
            }
            Part::Facts(_) => Vec::new(),
        })
    }

    async fn total(&self, parts: &[Part]) -> Result<u64> {
        let mut total = 0;
        for part in parts {
            total += match part {
                Part::Facts(of) => explain::fact_count(self.reads, *of, self.content).await?.unsigned_abs(),
                few => self.few(*few).await?.len() as u64,
            };
        }
        Ok(total)
    }

    /// Up to `size` facts of a part after a place, in the direction of reading.
    async fn part(&self, part: Part, after: Option<(i64, Uuid)>, backward: bool, size: usize) -> Result<Vec<Row>> {
        if let Part::Facts(of) = part {
            let found = explain::fact_page(self.reads, of, self.content, after, backward, size).await?;
            return Ok(found.iter().map(|row| self.fact(of, row)).collect());
        }
        let mut rows = self.few(part).await?;
        if backward {
            rows.reverse();
        }
        rows.retain(|row| after.is_none_or(|after| (row.place > after) != backward && row.place != after));
        rows.truncate(size);
        Ok(rows)
    }
}

#[async_trait]
impl Explain for Figure {
    fn module(&self) -> &'static str {
        "engagement"
    }

    fn figure(&self) -> &'static str {
        self.name
    }

    async fn explain(&self, kernel: &Kernel, id: &str, page: Page) -> Result<Option<Explained>> {
        let content = content_key(id)?;
        let versions = settings::for_checks(kernel).await?;
        let reads = kernel.db.snapshot().await?;
        let ground = Ground::read(kernel, versions, &reads).await?;
        let one = Which::One(content);
        let found = recount::stored_of(&reads, one).await?.pop();
        let Some(stored) = found.filter(|stored| content_id_text(stored.kind, stored.id) == id) else {
            return Ok(None);
        };
        let text = |heat: Option<i64>| heat.map_or_else(|| "none".to_owned(), |heat| heat.to_string());
        let now = kernel.clock.now();
        let mut score = 0.0;
        let (held, actual) = match self.counted {
            Some(counted) => {
                let row = recount::count_of(&reads, counted, one).await?.pop();
                row.map_or_else(Default::default, |row| (text(row.stored), row.actual.to_string()))
            }
            None => {
                let held = stored.figures.and_then(|figures| figures.heat);
                let actual = heat::of_one(&ground, &reads, one).await?;
                let points = |heat| ground.hotness.as_ref().map_or(0.0, |hotness| hotness.heat.score(heat, now));
                score = points(actual);
                let (shown, says) = (points(held).to_string(), score.to_string());
                if held != actual && shown == says {
                    // Too little to show in points: the integers that scores are made of differ.
                    (format!("{shown} of heat {}", text(held)), format!("{says} of heat {}", text(actual)))
                } else {
                    (shown, says)
                }
            }
        };
        let points = self.counted.is_none();
        let reader = Reader { reads: &reads, ground: &ground, content, stored: &stored, now, points, score };
        let total = reader.total(self.parts).await?;
        let (facts, more) = self.page(&reader, &page).await?;
        reads.commit().await?;
        let (id, figure) = (id.to_owned(), self.name.to_owned());
        Ok(Some(Explained { id, figure, stored: held, actual, unit: self.unit, total, facts, more, remedy: None }))
    }
}

impl Figure {
    /// One part after the other, until the page is full.
    async fn page(&self, reader: &Reader<'_>, page: &Page) -> Result<(Vec<integrity::Fact>, bool)> {
        let place = |cursor: Cursor| {
            let value = cursor.value.unwrap_or(0);
            (value >> PLACE_BITS, (value & ((1 << PLACE_BITS) - 1), cursor.id))
        };
        let (from, until) = (page.from.map(place), page.until.map(place));
        let mut parts: Vec<(i64, Part)> = (0..).zip(self.parts.iter().copied()).collect();
        if page.backward {
            parts.reverse();
        }
        let mut facts = Vec::new();
        for (number, part) in parts {
            let after = match from {
                Some((at, place)) if at == number => Some(place),
                // Read before.
                Some((at, _)) if (number < at) != page.backward => continue,
                _ => None,
            };
            for row in reader.part(part, after, page.backward, page.size + 1 - facts.len()).await? {
                let position = (number, row.place);
                if until.is_some_and(|until| (position < until) == page.backward || position == until) {
                    continue;
                }
                let value = Some(number << PLACE_BITS | row.place.0);
                let cursor = Cursor { order: 0, value, id: row.place.1 };
                let Row { kind, source, at, contribution, .. } = row;
                facts.push(integrity::Fact { cursor, kind, source, at, contribution });
            }
            if facts.len() > page.size {
                break;
            }
        }
        let more = facts.len() > page.size;
        facts.truncate(page.size);
        if page.backward {
            facts.reverse();
        }
        Ok((facts, more))
    }
}
