//! Takes over what happened. Every order of the same events, repeated ones included, ends in the same state: an act is
//! a register that its newest event decides, all else follows from the acts, and what is deleted stays deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::clean_up;
use crate::kernel::clock::Millis;
use crate::kernel::db::Tx;
use crate::kernel::error::Result;
use crate::kernel::id::Ids;
use crate::kernel::jobs;
use crate::modules::notifications::change::{Act, Change};
use crate::modules::notifications::events::NotificationEvent;
use crate::modules::notifications::notification::{Kind, NotificationRecord, lane};
use crate::modules::notifications::store::batch::{self, ActRow};
use crate::modules::notifications::store::clean;
use crate::modules::notifications::work::{self, Moved, Totals};

/// Applies what a batch of events changes. Returns what listeners hear once it is committed.
///
/// # Errors
/// The database's own.
pub(in super::super) async fn run(
    tx: &Tx,
    ids: &Ids,
    kinds: &HashSet<Kind>,
    changes: Vec<Change>,
    now: Millis,
) -> Result<Vec<NotificationEvent>> {
    let (mut acts, mut contents, mut users) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            // What is switched off is not told of any more; what was told is still taken back.
            Change::Act(act) if act.present && !kinds.contains(&act.kind) => {}
            Change::Act(act) => acts.push(act),
            Change::ContentGone { content_id, author_id } => {
                contents.insert((author_id, content_id));
            }
            Change::UserGone { user_id } => {
                users.insert(user_id);
            }
        }
    }
    if !(contents.is_empty() && users.is_empty()) {
        // Before the locks of users, as the clean-up has it: it locks its own row first.
        jobs::wake(tx, clean_up::JOB, now).await?;
    }
    let gone = contents.iter().map(|(_, content)| (*content, false)).chain(users.iter().map(|user| (*user, true)));
    clean::gone_put(tx, gone, now).await?;
    let acts = newest(living(tx, acts).await?);

    let told: BTreeSet<Uuid> = acts.values().map(|act| act.user_id).collect();
    let mut totals = Totals::lock(tx, contents.iter().map(|(author, _)| *author), &told).await?;
    let mut events = Vec::new();
    if !acts.is_empty() {
        let moved = fold(tx, ids, acts.into_values().collect(), now).await?;
        events = work::settle(tx, &mut totals, moved).await?;
    }
    if !contents.is_empty() {
        let buried = clean::notification_by_contents(tx, contents.iter().copied()).await?;
        events.extend(work::bury(tx, &mut totals, buried).await?);
    }
    totals.write(tx).await?;
    Ok(events)
}

/// The acts without those of or about what is deleted. Only this writer learns of deletions, and there is one of it at a
/// time: what it reads here cannot change before it commits.
async fn living(tx: &Tx, mut acts: Vec<Act>) -> Result<Vec<Act>> {
    if acts.is_empty() {
        return Ok(acts);
    }
    let named: BTreeSet<Uuid> = acts.iter().flat_map(|act| [act.user_id, act.content_id, act.actor_id]).collect();
    let gone: HashSet<Uuid> = clean::gone_among(tx, named).await?.into_iter().collect();
    acts.retain(|act| ![act.user_id, act.content_id, act.actor_id].iter().any(|id| gone.contains(id)));
    Ok(acts)
}

/// Of several acts of one register the newest, in key order.
fn newest(acts: Vec<Act>) -> BTreeMap<(Uuid, Uuid, Kind, Uuid), Act> {
    let mut newest: BTreeMap<_, Act> = BTreeMap::new();
    for act in acts {
        let key = (act.user_id, act.content_id, act.kind, act.subject_id);
        match newest.get(&key) {
            Some(other) if other.sequence >= act.sequence => {}
            _ => {
                newest.insert(key, act);
            }
        }
    }
    newest
}

/// Writes the acts that are newer than what is known, and says which notifications they move.
async fn fold(tx: &Tx, ids: &Ids, acts: Vec<Act>, now: Millis) -> Result<Vec<Moved>> {
    let key = |act: &Act| (act.user_id, act.content_id, act.kind);
    let wanted: BTreeSet<_> = acts.iter().map(key).collect();
    let found = batch::notification_by_keys(tx, wanted.iter().copied()).await?;
    let mut notifications: BTreeMap<_, NotificationRecord> =
        found.into_iter().map(|found| ((found.user_id, found.content_id, found.kind), found)).collect();
    for (user, content, kind) in wanted {
        notifications
            .entry((user, content, kind))
            .or_insert_with(|| NotificationRecord::new(ids.at(now), user, content, kind, now));
    }
    let id = |act: &Act| notifications.get(&key(act)).map_or(Uuid::nil(), |notification| notification.id);
    let actors: BTreeSet<_> = acts.iter().map(|act| (lane(act.user_id), id(act), act.actor_id)).collect();
    let known = batch::act_by_actors(tx, actors).await?;
    let mut known: HashMap<_, ActRow> =
        known.into_iter().map(|row| ((row.notification_id, row.subject_id), row)).collect();
    let before = presence(known.values());

    let mut written = Vec::new();
    for act in acts {
        let row = row(id(&act), &act);
        match known.get(&(row.notification_id, row.subject_id)) {
            Some(newer) if newer.sequence >= row.sequence => {}
            _ => {
                known.insert((row.notification_id, row.subject_id), row.clone());
                written.push((lane(act.user_id), row));
            }
        }
    }
    let after = presence(known.values());
    let touched: HashSet<Uuid> = written.iter().map(|(_, row)| row.notification_id).collect();
    batch::act_put(tx, written).await?;
    let actors = |present: &HashSet<(Uuid, Uuid)>| {
        let mut counts: HashMap<Uuid, i64> = HashMap::new();
        present.iter().for_each(|(notification, _)| *counts.entry(*notification).or_default() += 1);
        counts
    };
    let (before, after) = (actors(&before), actors(&after));
    let count = |counts: &HashMap<Uuid, i64>, id: Uuid| counts.get(&id).copied().unwrap_or(0);
    let moved = notifications.into_values().filter(|notification| touched.contains(&notification.id));
    let moved = moved.map(|notification| Moved {
        actors: count(&after, notification.id) - count(&before, notification.id),
        notification,
    });
    Ok(moved.collect())
}

/// Who has an act that holds in which notification.
fn presence<'a>(acts: impl Iterator<Item = &'a ActRow>) -> HashSet<(Uuid, Uuid)> {
    acts.filter(|act| act.present).map(|act| (act.notification_id, act.actor_id)).collect()
}

fn row(notification_id: Uuid, act: &Act) -> ActRow {
    ActRow {
        notification_id,
        subject_id: act.subject_id,
        actor_id: act.actor_id,
        level: act.level,
        sequence: act.sequence,
        acted_at: act.acted_at,
        present: act.present,
    }
}
