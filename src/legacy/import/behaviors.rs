//! What users did to videos. Likes and favorites come over one by one; views, comments and shares, of which nothing but
//! user and time is known, become openings: how many users did so, at the mean of their last times; where the table has
//! no times, at the publication.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;

use super::acts::{FAVORITE, LIKE, Opened, Pending, Told};
use super::contents::{Published, Work, is_blank};
use super::{CHUNK, Run};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::legacy::map::BehaviorType;
use crate::legacy::spec::{BEHAVIORS, VIDEOS};
use crate::legacy::store::{Found, Source, Streams};
use crate::modules::engagement::content::Kind;
use crate::modules::engagement::openings::Counted;

const NAME: &str = BEHAVIORS.name;

/// A video whose rows are being read.
#[derive(Default)]
struct Video {
    id: String,
    acts: Vec<Told>,
    /// How many users, and the sum of their times; without one where the table has no times.
    counted: BTreeMap<BehaviorType, (i64, Option<i128>)>,
}

/// A user at a video: the last time of each type.
#[derive(Default)]
struct Visit {
    user: String,
    last: BTreeMap<BehaviorType, Option<Millis>>,
}

impl Run<'_> {
    /// Takes the table of behaviors over.
    pub(super) async fn behaviors(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        if self.schema.table(VIDEOS).is_none() {
            self.videos_of_behaviors(source, table).await?;
        }
        let timed = table.has("behavior_time");
        let columns = ["video_id", "user_id", "behavior_type", "behavior_time"];
        let mut rows = source.rows(Streams::by_key(table, &columns, &["video_id", "user_id"]));
        let (mut video, mut visit) = (Video::default(), Visit::default());
        let mut pending = Vec::new();
        while let Some(row) = rows.try_next().await? {
            self.read(NAME, 1);
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let shown: Vec<_> =
                columns.iter().enumerate().map(|(n, name)| format!("{name} {}", text(n).unwrap_or("NULL"))).collect();
            let shown = shown.join(", ");
            let (Some(id), Some(user), Some(kind)) = (text(0), text(1), text(2)) else {
                self.drop(NAME, "a key is NULL", 1, shown);
                continue;
            };
            if is_blank(id) {
                self.drop(NAME, "the id is blank", 1, shown);
                continue;
            }
            let Some(kind) = self.options.mapping.behavior(kind) else {
                self.drop(NAME, "nobody knows what this behavior_type means: say so in a mapping", 1, shown);
                continue;
            };
            let at = match timed.then(|| self.moment(text(3))).transpose() {
                Ok(at) => at,
                Err(reason) => {
                    self.drop(NAME, reason, 1, shown);
                    continue;
                }
            };
            if video.id != id || visit.user != user {
                video.take(std::mem::take(&mut visit));
                user.clone_into(&mut visit.user);
            }
            if video.id != id {
                let ended = std::mem::replace(&mut video, Video { id: id.to_owned(), ..Video::default() });
                pending.extend(self.pending(ended));
            } else if video.acts.len() >= CHUNK {
                let acts = std::mem::take(&mut video.acts);
                pending.extend(self.pending(Video { id: id.to_owned(), acts, ..Video::default() }));
                self.flush(NAME, Kind::Video, std::mem::take(&mut pending)).await?;
            }
            match visit.last.get_mut(&kind) {
                Some(last) => {
                    *last = (*last).max(at);
                    match kind {
                        BehaviorType::Like | BehaviorType::Favorite => self.report.table(NAME).duplicates += 1,
                        // Not the same fact told twice, and still no more than one comes over.
                        _ => self.drop(NAME, "a user's views, comments or shares of one video count once", 1, shown),
                    }
                }
                None => {
                    visit.last.insert(kind, at);
                }
            }
            if pending.iter().map(|video| video.acts.len() + 1).sum::<usize>() >= CHUNK {
                self.flush(NAME, Kind::Video, std::mem::take(&mut pending)).await?;
            }
        }
        video.take(visit);
        pending.extend(self.pending(video));
        self.flush(NAME, Kind::Video, pending).await
    }

    fn pending(&self, video: Video) -> Option<Pending> {
        if video.acts.is_empty() && video.counted.is_empty() {
            return None;
        }
        let opened = |(kind, (count, sum)): (BehaviorType, (i64, Option<i128>))| {
            let figure = match kind {
                BehaviorType::Comment => Counted::Comment,
                BehaviorType::Share => Counted::Share,
                _ => Counted::View,
            };
            let at = sum.and_then(|sum| i64::try_from(sum / i128::from(count.max(1))).ok()).map(Millis);
            Opened { figure, count, at }
        };
        Some(Pending {
            external_id: self.video_id(&video.id),
            named: format!("video_id {}", video.id),
            acts: video.acts,
            openings: video.counted.into_iter().map(opened).collect(),
        })
    }

    /// Where there is no table of videos: one for each id, published when somebody first did something to it.
    async fn videos_of_behaviors(&mut self, source: &mut Source, table: &Found) -> Result<()> {
        self.note_timeless(table, "behavior_time");
        let mut rows = source.rows(Streams::by_key(table, &["video_id", "behavior_time"], &["video_id"]));
        let mut chunk: Vec<Work> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let text = |n: usize| row.get(n).and_then(Option::as_deref);
            let Some(id) = text(0).filter(|id| !is_blank(id)) else { continue };
            let at = self.moment(text(1)).ok();
            match chunk.last_mut().filter(|last| last.id == id) {
                Some(last) => {
                    last.published.at = match (last.published.at, at) {
                        (Some(first), Some(at)) => Some(first.min(at)),
                        (first, at) => first.or(at),
                    }
                }
                None => {
                    if chunk.len() >= CHUNK / 4 {
                        self.works(VIDEOS.name, std::mem::take(&mut chunk)).await?;
                    }
                    chunk.push(Work::video(id, Published { at, ..Published::default() }));
                }
            }
        }
        self.works(VIDEOS.name, chunk).await
    }
}

impl Video {
    /// Takes what a user did.
    fn take(&mut self, visit: Visit) {
        for (kind, at) in visit.last {
            let told = |kind| Told { user: visit.user.clone(), kind, at };
            match kind {
                BehaviorType::Like => self.acts.push(told(LIKE)),
                BehaviorType::Favorite => self.acts.push(told(FAVORITE)),
                BehaviorType::View | BehaviorType::Comment | BehaviorType::Share => {
                    let (count, sum) = self.counted.entry(kind).or_insert((0, Some(0)));
                    *count += 1;
                    // Not the present moment for an unknown one: the next run would move it.
                    *sum = sum.zip(at).map(|(sum, at)| sum + i128::from(at.0));
                }
            }
        }
    }
}
