//! What an account and a transaction are, and the chain that transactions make. The encodings are described, with a test
//! vector, in `docs/points-ledger.md`.

use async_graphql::Enum;
use sea_orm::FromQueryResult;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::kernel::clock::Millis;
use crate::kernel::id::Lane;

/// Begin what is hashed: a hash of one thing is never that of another, nor of another version of the encoding.
const TRANSACTION: &[u8] = b"tally/points/transaction/1";
const GENESIS: &[u8] = b"tally/points/genesis/1";
const INPUT: &[u8] = b"tally/points/input/1";
/// Bytes of a field's mark.
const MARK: usize = 2;
/// Fields of a transaction that are hashed one by one, in the order of their marks.
pub(super) const FIELDS: [&str; 15] = [
    "lane",
    "userId",
    "sequence",
    "id",
    "amount",
    "balanceAfter",
    "overdraftLimit",
    "kind",
    "reason",
    "actorId",
    "idempotencyKey",
    "inputHash",
    "reversesId",
    "prevHash",
    "createdAt",
];

/// What a transaction does to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enum)]
#[graphql(name = "PointTransactionKind")]
pub enum Kind {
    /// Points were awarded.
    AddPoints,
    /// Points were taken away.
    DeductPoints,
    /// Points were spent.
    Redeem,
    /// An administrator put the balance right, up or down.
    Adjustment,
    /// It takes back another transaction.
    Reversal,
    /// An administrator set how far below zero the account may go. Moves no points.
    OverdraftLimit,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::AddPoints, Self::DeductPoints, Self::Redeem, Self::Adjustment, Self::Reversal, Self::OverdraftLimit];

    /// As the database and the hashes have it; never changes.
    pub(super) fn number(self) -> i16 {
        match self {
            Self::AddPoints => 0,
            Self::DeductPoints => 1,
            Self::Redeem => 2,
            Self::Adjustment => 3,
            Self::Reversal => 4,
            Self::OverdraftLimit => 5,
        }
    }

    /// The kind of a number; none if there is no such.
    pub(super) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// As explanations name it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::AddPoints => "ADD_POINTS",
            Self::DeductPoints => "DEDUCT_POINTS",
            Self::Redeem => "REDEEM",
            Self::Adjustment => "ADJUSTMENT",
            Self::Reversal => "REVERSAL",
            Self::OverdraftLimit => "OVERDRAFT_LIMIT",
        }
    }
}

/// The lane of a user's account, as the database has it.
pub(super) fn lane(user: Uuid) -> i16 {
    Lane::of(user).0.into()
}

/// `id` as that of a transaction of a user: its lane is the user's, by which it is found.
pub(super) fn transaction_id(id: Uuid, user: Uuid) -> Uuid {
    let mut bytes = id.into_bytes();
    bytes[15] = Lane::of(user).0;
    Uuid::from_bytes(bytes)
}

/// What a user's transactions add up to.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct AccountRecord {
    /// Whose.
    pub user_id: Uuid,
    /// How many transactions and incidents there were.
    pub version: i64,
    /// The points.
    pub balance: i64,
    /// That of the last transaction; 0 without any.
    pub sequence: i64,
    /// That of the last transaction; the genesis without any.
    pub last_hash: Vec<u8>,
    /// How far below zero the balance may go.
    pub overdraft_limit: i64,
}

impl AccountRecord {
    /// An account without transactions.
    #[must_use]
    pub fn new(user: Uuid) -> Self {
        let last_hash = genesis(user);
        Self { user_id: user, version: 0, balance: 0, sequence: 0, last_hash, overdraft_limit: 0 }
    }
}

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct TransactionRecord {
    /// That of the user.
    pub lane: i16,
    /// Whose points.
    pub user_id: Uuid,
    /// Its place in the user's ledger, from 1 without gaps.
    pub sequence: i64,
    /// Its id; the last byte is the lane.
    pub id: Uuid,
    /// What it adds; negative when it takes.
    pub amount: i64,
    /// The balance with it.
    pub balance_after: i64,
    /// The account's limit with it.
    pub overdraft_limit: i64,
    /// See [`Kind`].
    pub kind: i16,
    /// Why, in the words of the actor.
    pub reason: String,
    /// Who did it.
    pub actor_id: Uuid,
    /// By which a repetition is known.
    pub idempotency_key: String,
    /// Of what was asked for under the key.
    pub input_hash: Vec<u8>,
    /// The transaction that it takes back.
    pub reverses_id: Option<Uuid>,
    /// The hash of the transaction before it; the genesis in the first.
    pub prev_hash: Vec<u8>,
    /// A mark a field, by which a field that was changed is told from the others.
    pub field_marks: Vec<u8>,
    /// Of all of the above.
    pub hash: Vec<u8>,
    /// When; never before the one before it.
    pub created_at: Millis,
}

impl TransactionRecord {
    /// Its kind; none where the database has another number.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }

    /// The account as it is after it; the version is not known.
    pub(super) fn account(&self) -> AccountRecord {
        AccountRecord {
            user_id: self.user_id,
            version: 0,
            balance: self.balance_after,
            sequence: self.sequence,
            last_hash: self.hash.clone(),
            overdraft_limit: self.overdraft_limit,
        }
    }

    /// With marks and hash of the fields as they are.
    pub(super) fn sealed(mut self) -> Self {
        self.field_marks = self.marks();
        self.hash = self.hash_of();
        self
    }

    /// Whether its hash is that of its fields.
    pub(super) fn holds(&self) -> bool {
        self.hash_of() == self.hash
    }

    /// The fields that are not as they were hashed; `hash` or `fieldMarks` where it is that itself. Empty if all hold.
    pub(super) fn changed_fields(&self) -> Vec<&'static str> {
        if self.holds() {
            return Vec::new();
        }
        let marks = self.marks();
        let sealed_again = Self { field_marks: marks.clone(), ..self.clone() };
        if sealed_again.holds() {
            return vec!["fieldMarks"];
        }
        if self.field_marks.len() != marks.len() {
            return vec!["fieldMarks", "hash"];
        }
        let pairs = marks.chunks(MARK).zip(self.field_marks.chunks(MARK));
        let changed = FIELDS.into_iter().zip(pairs).filter(|(_, (actual, stored))| actual != stored);
        let changed: Vec<_> = changed.map(|(field, _)| field).collect();
        if changed.is_empty() { vec!["hash"] } else { changed }
    }

    /// A field in words.
    pub(super) fn text_of(&self, field: &str) -> String {
        match field {
            "lane" => self.lane.to_string(),
            "userId" => self.user_id.to_string(),
            "sequence" => self.sequence.to_string(),
            "id" => self.id.to_string(),
            "amount" => self.amount.to_string(),
            "balanceAfter" => self.balance_after.to_string(),
            "overdraftLimit" => self.overdraft_limit.to_string(),
            "kind" => self.kind.to_string(),
            "reason" => self.reason.clone(),
            "actorId" => self.actor_id.to_string(),
            "idempotencyKey" => self.idempotency_key.clone(),
            "inputHash" => hex(&self.input_hash),
            "reversesId" => self.reverses_id.map_or_else(|| "none".to_owned(), |id| id.to_string()),
            "prevHash" => hex(&self.prev_hash),
            "createdAt" => self.created_at.0.to_string(),
            "fieldMarks" => hex(&self.field_marks),
            _ => hex(&self.hash),
        }
    }

    /// The fields as they are hashed: numbers big-endian, ids as their 16 bytes, no reversed transaction as no bytes.
    fn fields(&self) -> [Vec<u8>; FIELDS.len()] {
        [
            self.lane.to_be_bytes().to_vec(),
            self.user_id.as_bytes().to_vec(),
            self.sequence.to_be_bytes().to_vec(),
            self.id.as_bytes().to_vec(),
            self.amount.to_be_bytes().to_vec(),
            self.balance_after.to_be_bytes().to_vec(),
            self.overdraft_limit.to_be_bytes().to_vec(),
            self.kind.to_be_bytes().to_vec(),
            self.reason.as_bytes().to_vec(),
            self.actor_id.as_bytes().to_vec(),
            self.idempotency_key.as_bytes().to_vec(),
            self.input_hash.clone(),
            self.reverses_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            self.prev_hash.clone(),
            self.created_at.0.to_be_bytes().to_vec(),
        ]
    }

    fn marks(&self) -> Vec<u8> {
        let marks = self.fields().into_iter().map(|field| Sha256::digest(&field));
        marks.flat_map(|digest| digest.into_iter().take(MARK)).collect()
    }

    fn hash_of(&self) -> Vec<u8> {
        let fields = self.fields();
        let fields = fields.iter().map(Vec::as_slice);
        hash(std::iter::once(TRANSACTION).chain(fields).chain([self.field_marks.as_slice()]))
    }
}

/// The hash that stands before the first transaction of a user.
pub(super) fn genesis(user: Uuid) -> Vec<u8> {
    hash([GENESIS, user.as_bytes()])
}

/// The hash of what is asked for under a key.
pub(super) fn input_hash(
    user: Uuid,
    kind: Kind,
    number: i64,
    reverses: Option<Uuid>,
    reason: &str,
    actor: Uuid,
) -> Vec<u8> {
    let (kind, number) = (kind.number().to_be_bytes(), number.to_be_bytes());
    let reverses = reverses.map(Uuid::into_bytes);
    let reverses = reverses.as_ref().map_or(&[][..], |id| &id[..]);
    hash([INPUT, user.as_bytes(), &kind, &number, reverses, reason.as_bytes(), actor.as_bytes()])
}

/// SHA-256 over parts, each after its length as 4 bytes, big-endian: no two lists of parts look the same.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// Bytes as digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u128) -> Uuid {
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + last)
    }

    /// The vector of docs/points-ledger.md, which another program made.
    #[test]
    fn the_encoding_is_that_of_the_document() {
        let document = include_str!("../../../docs/points-ledger.md");
        let says = |name: &str| {
            let line = document.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            line.map(str::to_owned)
        };
        let (user, actor) = (id(0x2a), id(0xac));
        let input = input_hash(user, Kind::AddPoints, 10, None, "作业", actor);
        let first = TransactionRecord {
            lane: lane(user),
            user_id: user,
            sequence: 1,
            id: id(0x12a),
            amount: 10,
            balance_after: 10,
            overdraft_limit: 0,
            kind: Kind::AddPoints.number(),
            reason: "作业".to_owned(),
            actor_id: actor,
            idempotency_key: "a".to_owned(),
            input_hash: input.clone(),
            reverses_id: None,
            prev_hash: genesis(user),
            field_marks: Vec::new(),
            hash: Vec::new(),
            created_at: Millis(1_767_225_600_000),
        }
        .sealed();
        let reversal = input_hash(user, Kind::Reversal, 0, Some(first.id), "a mistake", actor);
        let second = TransactionRecord {
            sequence: 2,
            id: id(0x22a),
            amount: -10,
            balance_after: 0,
            kind: Kind::Reversal.number(),
            reason: "a mistake".to_owned(),
            idempotency_key: "b".to_owned(),
            input_hash: reversal.clone(),
            reverses_id: Some(first.id),
            prev_hash: first.hash.clone(),
            created_at: Millis(1_767_225_600_001),
            ..first.clone()
        }
        .sealed();
        assert!(first.holds() && second.holds());
        for (name, bytes) in [
            ("genesis ", &genesis(user)),
            ("input 1 ", &input),
            ("marks 1 ", &first.field_marks),
            ("hash 1 ", &first.hash),
            ("input 2 ", &reversal),
            ("marks 2 ", &second.field_marks),
            ("hash 2 ", &second.hash),
        ] {
            assert_eq!(says(name), Some(hex(bytes)), "{name}");
        }
    }
}
