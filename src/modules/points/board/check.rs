//! The leaderboard of this process against the database.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::DbBackend;
use uuid::Uuid;

use super::{ALL, Board};
use crate::kernel::context::Kernel;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Patience, Remedy};
use crate::kernel::ranking::Standing;
use crate::modules::points::checks::account_key;
use crate::modules::points::events::PointsEvent;
use crate::modules::points::ledger::{AccountRecord, lane};
use crate::modules::points::store::{board, read, recount};
use crate::modules::users::{UserKind, UsersFacade};

/// The leaderboard against the accounts: what it holds of each, and that it lists no others.
pub(in super::super) struct PointRanking {
    board: Arc<Board>,
    /// A write shows in the index after its commit, on other servers a moment later.
    patience: Patience,
}

impl PointRanking {
    pub(in super::super) fn new(board: Arc<Board>) -> Self {
        Self { board, patience: Patience::default() }
    }
}
const START: Key = (i16::MIN, Uuid::nil());

#[async_trait]
impl Check for PointRanking {
    fn module(&self) -> &'static str {
        "points"
    }

    fn name(&self) -> &'static str {
        "point-ranking"
    }

    fn key(&self, id: &str) -> Option<Key> {
        account_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Repair
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        let user = account_key(id)?.1;
        let listed = self.board.index.standing(user).is_some_and(|standing| standing.listed);
        Ok(listed || !UsersFacade::among(&kernel.db, &[user]).await?.is_empty())
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let index = &self.board.index;
        if after.is_none() && kernel.backend() == DbBackend::Sqlite {
            // Commands beside the server write and have nobody to tell. On PostgreSQL they tell, and what is missed counts.
            self.board.read_all().await?;
        }
        if let Some(from) = after.and_then(beyond) {
            let Some(listed) = index.listed_chunk(from, size) else {
                return Ok(Chunk { checked: 0, suspects: Vec::new(), next: None });
            };
            let found = read::account_by_users(&kernel.db, &listed).await?;
            let lost = listed.into_iter().filter(|user| !found.contains_key(user));
            return Ok(Chunk { checked: 0, suspects: lost.map(key).collect(), next: Some(place(from + size)) });
        }
        let (last, standings) = board::standing_chunk(&kernel.db, after.unwrap_or(START), size).await?;
        let users: Vec<Uuid> = standings.iter().map(|standing| standing.id).collect();
        let people = UsersFacade::among(&kernel.db, &users).await?;
        let suspects = standings.iter().filter(|standing| {
            let due = Standing { listed: people.contains(&standing.id), ..**standing };
            index.seen(ALL.now, standing.id) != Some(index.due(ALL.now, due))
        });
        let suspects = suspects.map(|standing| key(standing.id)).collect();
        Ok(Chunk { checked: standings.len() as u64, suspects, next: last.or(Some(place(0))) })
    }

    async fn confirm(&self, kernel: &Kernel, account: Key) -> Result<Vec<Drift>> {
        let first = self.compare(kernel, account).await?;
        if first.drifts.is_empty() {
            return Ok(first.drifts);
        }
        let wait = self.patience.begin();
        loop {
            let goes_on = wait.goes_on().await;
            let second = self.compare(kernel, account).await?;
            // Of an account that another server writes all the time the index is always a moment behind: it lags if it has
            // not even what was there before the pause.
            let follows = second.held < second.version() && second.held >= first.version();
            if follows || second.drifts.is_empty() {
                return Ok(Vec::new());
            }
            if !goes_on {
                return Ok(second.drifts);
            }
        }
    }

    /// Under the account's lock: whoever writes it next comes after, with a newer version. The index is this process's; a
    /// drift of it is not put back.
    async fn repair(&self, kernel: &Kernel, tx: &Tx, account: Key) -> Result<Vec<Drift>> {
        recount::account_lock(tx, account).await?;
        let Compared { drifts, actual, .. } = self.compare(kernel, account).await?;
        if !drifts.is_empty() {
            let newer = actual.filter(|read| self.board.is_newer(read));
            let last = self.board.last_of(newer.into_iter().map(|read| read.id)).await?;
            self.board.index.put(ALL.now, account.1, actual);
            self.board.live.publish(last.into_iter().map(PointsEvent));
        }
        Ok(drifts)
    }
}

/// The index beside the database.
struct Compared {
    drifts: Vec<Drift>,
    /// The version that the index has.
    held: Option<i64>,
    /// How the account stands in the database.
    actual: Option<Standing>,
}

impl Compared {
    fn version(&self) -> Option<i64> {
        self.actual.map(|standing| standing.version)
    }
}

impl PointRanking {
    async fn compare(&self, kernel: &Kernel, (_, user): Key) -> Result<Compared> {
        let index = &self.board.index;
        // Before the read: what the index had by then was committed, so that no row of the database is older.
        let early = index.seen(ALL.now, user);
        let account = read::account_by_users(&kernel.db, &[user]).await?.remove(&user);
        let listed = !UsersFacade::among(&kernel.db, &[user]).await?.is_empty();
        let seen = index.seen(ALL.now, user);
        let actual = account.as_ref().map(AccountRecord::standing).map(|standing| Standing { listed, ..standing });
        let due = actual.map(|standing| index.due(ALL.now, standing));
        let (held, known) = (seen.as_ref().map(|seen| seen.standing), early.map(|early| early.standing));
        let version = |standing: Option<Standing>| standing.map(|standing| standing.version);
        // Newer than what was read: a write came in between, and the index has it, unless it had so before.
        let differs = match actual {
            Some(_) => {
                let too_new = version(known) > version(actual) && version(held) == version(known);
                too_new || seen != due && version(held) <= version(actual)
            }
            None => held.is_some_and(|held| held.listed),
        };
        let said = |standing: Option<Standing>| match standing {
            Some(Standing { version, heat: Some(balance), listed, .. }) => {
                format!("balance {balance}, version {version}{}", if listed { "" } else { ", not listed" })
            }
            _ => "none".to_owned(),
        };
        let (stored, facts) = (said(held), said(actual));
        let places =
            seen.filter(|_| stored == facts).map(|seen| format!(", places {:?} {:?}", seen.ranked, seen.dated));
        let drift = differs.then(|| Drift {
            id: Id::<UserKind>::new(user).to_string(),
            field: "rank index".into(),
            stored: stored + &places.unwrap_or_default(),
            actual: facts,
        });
        Ok(Compared { drifts: drift.into_iter().collect(), held: version(held), actual })
    }
}

fn key(user: Uuid) -> Key {
    (lane(user), user)
}

/// After the last lane: the places of the index, which a scan goes through once it has seen the database.
const PLACES: i16 = i16::MAX;

fn place(from: usize) -> Key {
    (PLACES, Uuid::from_u128(from as u128))
}

/// From which place on a scan looks at the index, if it has come that far.
fn beyond(after: Key) -> Option<usize> {
    (after.0 == PLACES).then(|| usize::try_from(after.1.as_u128()).unwrap_or(usize::MAX))
}
