//! What servers on one database tell one another: which things of a topic changed, so that an index or a listener of
//! another process looks at them. Ids only: whoever hears of one reads its row.
//!
//! At most once, and soon: what is said may be lost with the process that was about to say it. Whoever lost the connection
//! is told that something may have been missed, and looks at all. On PostgreSQL through NOTIFY; on SQLite one process
//! serves, and what is told stays within it.

mod store;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::context::Kernel;
use super::db::{Db, Listener};
use super::error::Result;

/// How often something is said at most.
const EVERY: Duration = Duration::from_millis(50);
/// How long after a failure the next try comes.
const PAUSE: Duration = Duration::from_secs(1);
/// Ids in one word: PostgreSQL takes less than 8,000 bytes.
const IDS_MOST: usize = 150;
/// More ids than these are said as «look at all».
const LISTED_MOST: usize = 10_000;

/// What changed of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// These things.
    pub ids: HashSet<Uuid>,
    /// Any of them may have changed: nobody knows which.
    pub missed: bool,
}

impl News {
    fn add(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        if self.missed {
            return;
        }
        self.ids.extend(ids);
        if self.ids.len() > LISTED_MOST {
            self.miss();
        }
    }

    fn miss(&mut self) {
        *self = Self { ids: HashSet::new(), missed: true };
    }

    fn is_none(&self) -> bool {
        self.ids.is_empty() && !self.missed
    }
}

/// News that wait for whoever takes them.
#[derive(Debug, Default)]
struct Waiting {
    news: Mutex<News>,
    wake: Notify,
}

impl Waiting {
    fn change(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }
}

/// Hears the news of a topic.
#[derive(Debug)]
pub struct Ear(Arc<Waiting>);

impl Ear {
    /// Waits for news; all that came since the last ones.
    pub async fn next(&mut self) -> News {
        loop {
            let news = std::mem::take(&mut *self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
            if !news.is_none() {
                return news;
            }
            self.0.wake.notified().await;
        }
    }
}

/// A word between servers.
#[derive(Serialize, Deserialize)]
struct Word {
    /// Who says it.
    node: String,
    topic: String,
    /// `None`: look at all.
    ids: Option<Vec<Uuid>>,
}

/// The other servers on the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Arc<str>,
    /// Whether this process speaks.
    open: AtomicBool,
    unsaid: Mutex<BTreeMap<&'static str, News>>,
    wake: Notify,
    ears: Mutex<Vec<(&'static str, Arc<Waiting>)>>,
}

impl Peers {
    pub(super) fn new(node: &Arc<str>) -> Self {
        Self(Arc::new(Inner {
            node: Arc::clone(node),
            open: AtomicBool::new(false),
            unsaid: Mutex::default(),
            wake: Notify::new(),
            ears: Mutex::default(),
        }))
    }

    /// Hears of a topic from now on: begin it before you read what it is about.
    #[must_use]
    pub fn listen(&self, topic: &'static str) -> Ear {
        let waiting = Arc::<Waiting>::default();
        self.0.ears.lock().unwrap_or_else(PoisonError::into_inner).push((topic, Arc::clone(&waiting)));
        Ear(waiting)
    }

    /// Tells the other servers of what was committed. Returns at once.
    pub fn tell(&self, topic: &'static str, ids: impl IntoIterator<Item = Uuid>) {
        if self.0.open.load(Ordering::Relaxed) {
            let mut unsaid = self.0.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
            unsaid.entry(topic).or_default().add(ids);
            drop(unsaid);
            self.0.wake.notify_one();
        }
    }

    /// The same, and tells this process too.
    pub fn tell_all(&self, topic: &'static str, ids: &[Uuid]) {
        self.heard(topic, Some(ids));
        self.tell(topic, ids.iter().copied());
    }

    /// Tells this process and all servers, from a process that may be none: said when it returns.
    ///
    /// # Errors
    /// The database's own.
    pub async fn tell_now(&self, db: &Db, topic: &'static str, ids: &[Uuid]) -> Result<()> {
        self.heard(topic, Some(ids));
        if db.backend() != DbBackend::Postgres || ids.is_empty() {
            return Ok(());
        }
        let mut news = News::default();
        news.add(ids.iter().copied());
        store::say(db, self.words(topic, &news)).await
    }

    /// Begins to speak and to listen, where there may be others. A server that does not hear the others serves all the
    /// same.
    pub(super) async fn open(&self, kernel: &Kernel) {
        if kernel.backend() != DbBackend::Postgres || self.0.open.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut listener = self.begin(&kernel.db).await;
        let (peers, db, shutdown) = (self.clone(), kernel.db.clone(), kernel.shutdown.clone());
        kernel.tasks.spawn(async move {
            let hear = async {
                loop {
                    match &mut listener {
                        Some(heard) => match heard.next().await {
                            Some(word) => {
                                peers.take(&word);
                                continue;
                            }
                            None => {
                                tracing::warn!("the connection that hears other servers is lost");
                                tokio::time::sleep(EVERY).await;
                            }
                        },
                        None => tokio::time::sleep(PAUSE).await,
                    }
                    listener = peers.begin(&db).await;
                    if listener.is_some() {
                        peers.missed();
                    }
                }
            };
            let _: Option<()> = shutdown.run_until_cancelled(hear).await;
        });
        let (peers, db, shutdown) = (self.clone(), kernel.db.clone(), kernel.shutdown.clone());
        kernel.tasks.spawn(async move {
            // Only the waiting ends with the server: a word that is being said is said to its end.
            while shutdown.run_until_cancelled(peers.0.wake.notified()).await.is_some() {
                let pause = if peers.say(&db).await { EVERY } else { PAUSE };
                if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    break;
                }
            }
        });
    }

    /// Says what is left when everything else has ended: requests that were under way still commit after the shutdown has
    /// begun.
    pub(crate) async fn close(&self, db: &Db) {
        self.say(db).await;
    }

    async fn begin(&self, db: &Db) -> Option<Listener> {
        let begun = async { db.listener(&store::channel(db).await?).await };
        match begun.await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(error = error.for_operator(), "other servers cannot be heard yet");
                None
            }
        }
    }

    /// Says what waits to be said; what could not be is kept for the next time.
    async fn say(&self, db: &Db) -> bool {
        let unsaid = std::mem::take(&mut *self.0.unsaid.lock().unwrap_or_else(PoisonError::into_inner));
        let words: Vec<_> = unsaid.iter().flat_map(|(topic, news)| self.words(topic, news)).collect();
        if words.is_empty() {
            return true;
        }
        let Err(error) = store::say(db, words).await else { return true };
        tracing::warn!(error = error.for_operator(), "other servers could not be told of changes");
        let mut kept = self.0.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, news) in unsaid {
            let kept = kept.entry(topic).or_default();
            match news.missed {
                true => kept.miss(),
                false => kept.add(news.ids),
            }
        }
        drop(kept);
        self.0.wake.notify_one();
        false
    }

    fn words(&self, topic: &str, news: &News) -> Vec<String> {
        let word = |ids| {
            let word = Word { node: self.0.node.to_string(), topic: topic.to_owned(), ids };
            serde_json::to_string(&word).unwrap_or_default()
        };
        if news.missed {
            return vec![word(None)];
        }
        let ids: Vec<Uuid> = news.ids.iter().copied().collect();
        ids.chunks(IDS_MOST).map(|ids| word(Some(ids.to_vec()))).collect()
    }

    /// Takes a word of another server.
    fn take(&self, word: &str) {
        match serde_json::from_str::<Word>(word) {
            Ok(word) if *word.node == *self.0.node => {}
            Ok(word) => self.heard(&word.topic, word.ids.as_deref()),
            // That of another version, perhaps.
            Err(_) => self.missed(),
        }
    }

    fn heard(&self, topic: &str, ids: Option<&[Uuid]>) {
        let ears = self.0.ears.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, waiting) in ears.iter().filter(|(of, _)| *of == topic) {
            waiting.change(|news| match ids {
                Some(ids) => news.add(ids.iter().copied()),
                None => news.miss(),
            });
        }
    }

    fn missed(&self) {
        let ears = self.0.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.iter().for_each(|(_, waiting)| waiting.change(News::miss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(node: &str) -> Peers {
        Peers::new(&node.into())
    }

    #[tokio::test]
    async fn a_word_fits_and_is_heard_by_others_only() {
        let (here, there) = (peers("here/1/00"), peers(&"there/".repeat(40)));
        let (mut ear, mut other) = (here.listen("things"), here.listen("others"));
        let ids: HashSet<Uuid> = (0..400).map(Uuid::from_u128).collect();
        let words = there.words("things", &News { ids: ids.clone(), missed: false });
        assert_eq!(words.len(), 3);
        assert!(words.iter().all(|word| word.len() < 8_000), "PostgreSQL takes no longer ones");
        words.iter().for_each(|word| here.take(word));
        assert_eq!(ear.next().await, News { ids, missed: false });
        here.words("things", &News { ids: [Uuid::nil()].into(), missed: false })
            .iter()
            .for_each(|word| here.take(word));
        let nothing = tokio::time::timeout(Duration::from_millis(20), ear.next());
        assert!(nothing.await.is_err(), "one's own words are no news");
        here.take("no word");
        assert!(ear.next().await.missed && other.next().await.missed);
    }

    #[test]
    fn too_many_are_all() {
        let mut news = News::default();
        news.add((0..=LISTED_MOST as u128).map(Uuid::from_u128));
        assert_eq!(peers("here").words("things", &news).len(), 1);
    }
}
