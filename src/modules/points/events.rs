//! What listeners and durable consumers are told.

use serde_json::json;
use uuid::Uuid;

use super::ledger::TransactionRecord;
use crate::kernel::events::Event;
use crate::kernel::live::Conflate;

/// A transaction came to a ledger. Its key is the user, its sequence that of the transaction.
pub const TRANSACTED: &str = "points.transacted";

/// A user's points changed: the newest of the transactions.
#[derive(Clone, Debug)]
pub struct PointsEvent(pub TransactionRecord);

impl Conflate for PointsEvent {
    type Key = Uuid;
    type Topic = Uuid;

    fn key(&self) -> Uuid {
        self.0.user_id
    }

    fn topic(&self) -> Uuid {
        self.0.user_id
    }

    fn absorb(&mut self, newer: Self) {
        // Two writers may publish in another order than they committed.
        if newer.0.sequence > self.0.sequence {
            *self = newer;
        }
    }
}

/// What durable consumers are told of a transaction.
pub(super) fn transacted(id: Uuid, made: &TransactionRecord) -> Event {
    Event {
        id,
        kind: TRANSACTED,
        key: made.user_id,
        sequence: made.sequence,
        at: made.created_at,
        payload: json!({
            "transactionId": made.id,
            "userId": made.user_id,
            "sequence": made.sequence,
            "kind": made.kind().map(super::ledger::Kind::word),
            "amount": made.amount,
            "balanceAfter": made.balance_after,
            "actorId": made.actor_id,
            "reversesId": made.reverses_id,
            "at": made.created_at,
        }),
    }
}
