//! All SQL of the module: `batch` for the writer, `board` for the leaderboard, `imported` for imports, `read` for
//! resolvers, `recount` for checks and explanations, `walk` for whoever follows the chain, `incidents` for whoever looks at
//! what was found to differ, `rules` for what acts of others give, `rule_checks` for their check,
//! `rule_versions` for what they were when.

pub(super) mod batch;
pub(super) mod board;
pub(super) mod imported;
pub(super) mod incidents;
mod plans;
pub(super) mod read;
pub(super) mod recount;
pub(super) mod rule_checks;
pub(super) mod rule_versions;
pub(super) mod rules;
pub(super) mod walk;

use uuid::Uuid;

use super::ledger::lane;
use crate::kernel::db::{Col, Rows, Sql};

/// What [`super::ledger::AccountRecord`] is read from.
const ACCOUNT: &str = "a.user_id, a.version, a.balance, a.sequence, a.last_hash, a.overdraft_limit";

/// What [`super::ledger::TransactionRecord`] is read from.
const TRANSACTION: &str = "t.lane, t.user_id, t.sequence, t.id, t.amount, t.balance_after, t.overdraft_limit, t.kind, \
     t.reason, t.actor_id, t.idempotency_key, t.input_hash, t.reverses_id, t.prev_hash, t.field_marks, t.hash, t.created_at";

/// The columns of a key.
const KEYS: &[(&str, Col)] = &[("lane", Col::Small), ("id", Col::Id)];

fn keys(sql: &Sql, keys: impl IntoIterator<Item = (i16, Uuid)>) -> Rows {
    let mut rows = sql.rows();
    for (lane, id) in keys {
        rows.push([lane.into(), id.into()]);
    }
    rows
}

fn keys_of_users(sql: &Sql, users: &[Uuid]) -> Rows {
    keys(sql, users.iter().map(|user| (lane(*user), *user)))
}

fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
