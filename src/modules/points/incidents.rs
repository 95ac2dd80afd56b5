//! What was found to differ is a fact of its own: its id holds a seal of its fields.

use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::checks::{START, account_key, is_there};
use super::ledger::{hash, hex, lane};
use super::store::batch::IncidentRow;
use super::store::incidents::{self, StoredIncident};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::Result;
use crate::kernel::id::Id;
use crate::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use crate::modules::users::UserKind;

/// Begins what is hashed.
const INCIDENT: &[u8] = b"tally/points/incident/1";
/// Where the seal begins in an id, after its time.
const SEAL: usize = 8;
/// Incidents read at once.
const PAGE: usize = 1_000;

/// A new incident; `id` is any new one.
pub(super) fn sealed(
    id: Uuid,
    user: Uuid,
    (field, stored, actual): (&str, String, String),
    found_by: &'static str,
    found_at: Millis,
) -> IncidentRow {
    let id = id_of(id, user, [field, &stored, &actual, found_by], found_at);
    IncidentRow { user_id: user, id, field: field.to_owned(), stored, actual, found_by, found_at }
}

/// An incident's id: the first half of `id`, and a seal of that and of the incident's fields. Described in
/// `docs/points-ledger.md`.
pub(super) fn id_of(id: Uuid, user: Uuid, texts: [&str; 4], found_at: Millis) -> Uuid {
    let mut bytes = id.into_bytes();
    let (head, seal) = bytes.split_at_mut(SEAL);
    let moment = found_at.0.to_be_bytes();
    let fields = [INCIDENT, &*head, user.as_bytes()].into_iter().chain(texts.map(str::as_bytes));
    let hashed = hash(fields.chain([&moment[..]]));
    seal.iter_mut().zip(hashed).for_each(|(byte, hashed)| *byte = hashed);
    // A UUID says in two bits of which layout it is.
    seal[0] = seal[0] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

/// Every incident as it was written; how many an account has, is in its version.
pub(super) struct PointIncidents;

impl PointIncidents {
    async fn drifts(connection: &impl ConnectionTrait, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        let (mut drifts, mut after) = (Vec::new(), Uuid::nil());
        let drift = |field: String, stored: String, actual: String| Drift {
            id: Id::<UserKind>::new(key.1).to_string(),
            field,
            stored,
            actual,
        };
        loop {
            let rows = incidents::incident_page(connection, kernel.backend(), key, after, PAGE).await?;
            for (id, row) in &rows {
                after = *id;
                if key.0 != lane(key.1) {
                    drifts.push(drift(format!("lane of incident {id}"), key.0.to_string(), lane(key.1).to_string()));
                    continue;
                }
                let Some(StoredIncident { id, field, stored, actual, found_by, found_at }) = row else {
                    let text = "a value that is none of its column's".to_owned();
                    drifts.push(drift(format!("incident {id}"), text, "what was sealed".to_owned()));
                    continue;
                };
                let sealed = id_of(*id, key.1, [field, stored, actual, found_by], *found_at);
                if sealed != *id {
                    let seal = |id: Uuid| format!("seal {}", hex(&id.as_bytes()[SEAL..]));
                    drifts.push(drift(format!("incident {id}"), seal(*id), seal(sealed)));
                }
            }
            if rows.len() < PAGE {
                return Ok(drifts);
            }
        }
    }
}

#[async_trait]
impl Check for PointIncidents {
    fn module(&self) -> &'static str {
        "points"
    }

    fn name(&self) -> &'static str {
        "point-incidents"
    }

    fn key(&self, id: &str) -> Option<Key> {
        account_key(id).ok()
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("somebody wrote into point_incidents past tally: put the row back as a backup has it")
    }

    async fn is_there(&self, kernel: &Kernel, id: &str) -> Result<bool> {
        is_there(kernel, id).await
    }

    async fn scan(&self, kernel: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let reader = kernel.db.reader();
        let keys = incidents::account_keys(reader, kernel.backend(), after.unwrap_or(START), size).await?;
        let mut suspects = Vec::new();
        for key in &keys {
            if !Self::drifts(reader, kernel, *key).await?.is_empty() {
                suspects.push(*key);
            }
        }
        let next = keys.last().copied().filter(|_| keys.len() == size);
        Ok(Chunk { checked: keys.len() as u64, suspects, next })
    }

    /// Without a lock: incidents are never changed.
    async fn confirm(&self, kernel: &Kernel, key: Key) -> Result<Vec<Drift>> {
        Self::drifts(kernel.db.reader(), kernel, key).await
    }
}
