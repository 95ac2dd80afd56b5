//! The check of what rules gave: every award has its act or is taken back, no day gave more than it might, and what is
//! known of acts is as it was written.
//!
//! It repairs nothing. What is missing here is an entry of a ledger, and an entry stays: no undo could take it away.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::{Act, SYSTEM, Subject, award_key, seal};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::points::checks::{START, account_key, is_there};
use crate::modules::points::graphql::PointTransactionIdKind;
use crate::modules::points::ledger::{Kind, hex};
use crate::modules::points::store::rule_checks::{self as store, AwardEntry, DayOver, From, Registered, Standing};
use crate::modules::users::UserKind;

/// Rows read at once.
const PAGE: usize = 1_000;
/// Stands for the rows whose user cannot be read: behind all users.
const NOBODY: Key = (i16::MAX, Uuid::nil());
/// What a value is that cannot be read.
const UNREADABLE: &str = "a value that is none of its column's";

/// See the module.
pub(in super::super) struct PointRules;

fn drift((_, user): Key, field: String, stored: String, actual: String) -> Drift {
    Drift { id: Id::<UserKind>::new(user).to_string(), field, stored, actual }
}

fn transaction(id: Uuid) -> String {
    Id::<PointTransactionIdKind>::new(id).to_string()
}

/// What is wrong with a row of the register: what it says, or else that it is not as it was written.
fn fault(row: &Registered) -> Option<Drift> {
    match row {
        Registered::Unreadable { key, field } => {
            Some(drift(*key, format!("{field} of an act"), UNREADABLE.to_owned(), "what was sealed".to_owned()))
        }
        Registered::Read(standing) => {
            let Some(subject) = standing.subject else {
                let award = standing.known.award.map_or_else(|| "no award".to_owned(), |award| transaction(award.id));
                return Some(drift(standing.key, "rule of an act".to_owned(), award, "no rule".to_owned()));
            };
            fault_of_award(standing, subject).or_else(|| broken_seal(standing, subject))
        }
    }
}

/// A row that is not as it was written, in whichever column.
fn broken_seal(standing: &Standing, subject: Subject) -> Option<Drift> {
    let stored = standing.seal.as_ref()?;
    let due = seal(standing.key.0, subject, standing.known);
    let key = award_key(subject.act, subject.content, subject.id, standing.known.at);
    let said = |seal: &[u8]| format!("seal {}", hex(seal));
    (*stored != due).then(|| drift(standing.key, format!("act {key}"), said(stored), said(&due)))
}

/// What is wrong with an award that an act is said to have.
fn fault_of_award(standing: &Standing, subject: Subject) -> Option<Drift> {
    let award = standing.known.award?;
    // Of any time zone: that of then is not known any more.
    let (day, of_utc) = (standing.known.day, standing.known.at.0.div_euclid(Millis::DAY));
    if day.abs_diff(of_utc) > 1 {
        let field = format!("day of the act of {}", transaction(award.id));
        return Some(drift(standing.key, field, day.to_string(), format!("about {of_utc}")));
    }
    let key = award_key(subject.act, subject.content, subject.id, standing.known.at);
    let said = format!("{} of {} points", transaction(award.id), award.points);
    let actual = match &standing.entry {
        None => "no such transaction".to_owned(),
        Some(entry) if is_award(entry, standing.key.1, &key, award.points) => return None,
        Some(entry) => {
            let kind = Kind::from_number(entry.entry_kind).map_or("UNKNOWN", Kind::word);
            format!("{kind} of {} points under {}", entry.entry_amount, entry.entry_key)
        }
    };
    Some(drift(standing.key, format!("award under {key}"), said, actual))
}

fn is_award(entry: &AwardEntry, user: Uuid, key: &str, points: i64) -> bool {
    entry.entry_user == user
        && entry.entry_kind == Kind::AddPoints.number()
        && entry.entry_amount == points
        && entry.entry_actor == SYSTEM
        && entry.entry_key == key
}

fn over(day: &DayOver) -> Drift {
    let word = Act::from_number(day.rule).map_or("an unknown rule", Act::word);
    let date = chrono::DateTime::from_timestamp(day.day.saturating_mul(86_400), 0);
    let date = date.map_or_else(|| format!("day {}", day.day), |date| date.format("%Y-%m-%d").to_string());
    let field = format!("points of {word} on {date}");
    drift((day.lane, day.user_id), field, day.given.to_string(), format!("at most {}", day.most))
}

/// The rows that are wrong from `from` on, of the users up to `to`, who lie close to one another.
async fn faults(reads: &impl ConnectionTrait, backend: DbBackend, from: From, to: Key) -> Result<Vec<(Key, Drift)>> {
    let (mut found, mut next) = (Vec::new(), Some(from));
    while let Some(from) = next {
        let (page, more) = store::standing_page(reads, backend, from, to, PAGE).await?;
        found.extend(page.iter().filter_map(|row| Some((row.key(), fault(row)?))));
        next = more;
    }
    Ok(found)
}

/// The rows whose user cannot be read.
async fn of_nobody(reads: &impl ConnectionTrait, backend: DbBackend) -> Result<Vec<Drift>> {
    let found = store::unkeyed(reads, backend).await?.into_iter();
    let named = found.map(|(lane, user)| {
        let stored = format!("lane {lane}, user {user}");
        drift(NOBODY, "userId of an act".to_owned(), stored, "a user and the lane of that".to_owned())
    });
    Ok(named.collect())
}

#[async_trait]
impl Check for PointRules {
    fn module(&self) -> &'static str {
        "points"
    }

    fn name(&self) -> &'static str {
        "point-rules"
    }

    fn key(&self, id: &str) -> Option<Key> {
        account_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice(
            "an award without its act: take it back with reversePointTransaction, or put the rows of point_rule_acts \
             back from a backup, with every column as it is there; no repair does it, because an entry of a ledger could not be undone",
        )
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.unwrap_or(START);
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        let keys = store::user_keys(&reads, backend, after, size).await?;
        let mut suspects = BTreeSet::new();
        if let Some(last) = keys.last() {
            let found = faults(&reads, backend, From::After(after), *last).await?;
            suspects.extend(found.into_iter().map(|(key, _)| key));
            // Users, not what is wrong: whoever has much of it hides nobody behind.
            suspects.extend(store::users_without_act(&reads, backend, &keys).await?);
            suspects.extend(store::users_over(&reads, backend, &keys).await?);
        }
        let next = keys.last().copied().filter(|_| keys.len() == size);
        if next.is_none() && !of_nobody(&reads, backend).await?.is_empty() {
            suspects.insert(NOBODY);
        }
        reads.commit().await?;
        Ok(Chunk { checked: keys.len() as u64, suspects: suspects.into_iter().collect(), next })
    }

    /// No lock: an award and what is known of its act are written in one transaction, which a snapshot has or has not.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let (reads, backend) = (kernel.db.snapshot().await?, kernel.backend());
        if key == NOBODY {
            return of_nobody(&reads, backend).await;
        }
        let mut found: Vec<Drift> = Vec::new();
        found.extend(faults(&reads, backend, From::Of(key), key).await?.into_iter().map(|(_, drift)| drift));
        let without = store::awards_without_act(&reads, backend, key).await?;
        let without = without.into_iter().filter(|(_, award)| super::is_reserved(award)).map(|(id, award)| {
            let said = "no act for which it stands, and not taken back".to_owned();
            drift(key, format!("award under {award}"), transaction(id), said)
        });
        found.extend(without);
        found.extend(store::days_over(&reads, backend, key).await?.iter().map(over));
        reads.commit().await?;
        Ok(found)
    }
}
