//! The books of clients that are told of transactions: what each of them should be, and whether a ledger agrees.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::stage::whole;
use crate::harness::Client;

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Adds so many points; takes them when negative.
    Add(i64),
    /// Takes back the transaction with this id.
    Reverse(String),
}

/// A transaction that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Part {
    user: usize,
    key: String,
    change: Change,
    /// The id that was told of.
    told: Option<String>,
}

impl Part {
    pub(super) fn new(user: usize, key: String, change: Change) -> Self {
        Self { user, key, change, told: None }
    }
}

/// A transaction that somebody was told of.
#[derive(Clone, Debug)]
pub(super) struct Made {
    user: usize,
    key: String,
    change: Change,
    amount: i64,
}

/// How often what was answered.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) repeats: u64,
    pub(super) reversals: u64,
    /// Batches of which all holds.
    pub(super) atomic: u64,
    /// Batches whose items stand for themselves.
    pub(super) each: u64,
    pub(super) refused: u64,
    /// Answers to what may have been done before.
    pub(super) unknown: u64,
}

/// What clients were told.
#[derive(Default)]
pub(super) struct Books {
    pub(super) made: HashMap<String, Made>,
    /// What somebody else had taken back before.
    conflicts: HashSet<String>,
    pub(super) counts: Counts,
}

impl Books {
    /// Takes the books of one client.
    pub(super) fn add(&mut self, other: Self) {
        for (id, made) in other.made {
            assert!(self.made.insert(id, made).is_none(), "two clients were told of one transaction");
        }
        self.conflicts.extend(other.conflicts);
        let (all, one) = (&mut self.counts, other.counts);
        all.repeats += one.repeats;
        all.reversals += one.reversals;
        all.atomic += one.atomic;
        all.each += one.each;
        all.refused += one.refused;
        all.unknown += one.unknown;
    }
}

/// What a client asks for, so that it can ask for the same again.
#[derive(Debug)]
pub(super) struct Request {
    query: &'static str,
    variables: Value,
    parts: Vec<Part>,
    /// Whether it was sent before, and nobody knows what came of it.
    unknown: bool,
}

impl Request {
    pub(super) fn new(query: &'static str, variables: Value, parts: Vec<Part>) -> Self {
        Self { query, variables, parts, unknown: false }
    }

    pub(super) async fn send(&mut self, client: &Client) -> Option<Value> {
        let answer = client.try_run(self.query, self.variables.clone()).await.ok();
        self.unknown |= answer.is_none();
        answer.map(|answer| answer.body)
    }

    /// What was awarded, with its account.
    pub(super) fn awards(&self) -> impl Iterator<Item = (String, usize)> {
        let awards = self.parts.iter().filter(|part| matches!(part.change, Change::Add(1..)));
        awards.filter_map(|part| Some((part.told.clone()?, part.user)))
    }

    /// Writes down what was made; whether all is known by now. What was told before must be told again.
    pub(super) fn note(&mut self, answer: &Value, books: &mut Books) -> bool {
        if let Some(error) = answer["errors"].get(0) {
            let code = error["extensions"]["code"].as_str().expect("a code");
            if is_passing(code) {
                self.unknown = true;
                return false;
            }
            assert!(self.parts.iter().all(|part| part.told.is_none()), "{self:#?} was done: {answer:#}");
            match (code, &self.parts[0].change) {
                ("CONFLICT", Change::Reverse(id)) => _ = books.conflicts.insert(id.clone()),
                ("INSUFFICIENT_POINTS", _) => {}
                _ => panic!("{self:#?}: {answer:#}"),
            }
            books.counts.refused += 1;
            books.counts.unknown += u64::from(self.unknown);
            self.unknown = false;
            return true;
        }
        let data = &answer["data"];
        let single = [&data["addPoints"], &data["reversePointTransaction"]].into_iter().filter(|made| made.is_object());
        let batch = data["addPointsBatch"]["items"].as_array();
        let items: Vec<&Value> = single.chain(batch.into_iter().flatten()).collect();
        assert_eq!(items.len(), self.parts.len(), "{answer:#}");
        let mut known = true;
        for (part, item) in self.parts.iter_mut().zip(&items) {
            known &= note_one(part, item, self.unknown, books);
        }
        if batch.is_some() {
            let count =
                if self.variables["atomic"] == true { &mut books.counts.atomic } else { &mut books.counts.each };
            *count += 1;
        }
        books.counts.unknown += u64::from(self.unknown && known);
        self.unknown = !known;
        known
    }
}

/// Whether to ask again.
fn is_passing(code: &str) -> bool {
    ["UNAVAILABLE", "OVERLOADED"].contains(&code)
}

fn note_one(part: &mut Part, item: &Value, unknown: bool, books: &mut Books) -> bool {
    if let Some(code) = item["error"]["code"].as_str() {
        assert!(part.told.is_none(), "{part:?} was done: {item:#}");
        assert!(is_passing(code) || code == "INSUFFICIENT_POINTS", "{part:?}: {item:#}");
        return !is_passing(code);
    }
    let id = item["transaction"]["id"].as_str().expect("an id").to_owned();
    if let Some(told) = &part.told {
        assert_eq!((told, &item["replayed"]), (&id, &json!(true)), "{part:?}: {item:#}");
        books.counts.repeats += 1;
        return true;
    }
    assert!(unknown || item["replayed"] == false, "{part:?} was never asked for before: {item:#}");
    let amount = whole(&item["transaction"]["amount"]);
    match &part.change {
        Change::Add(asked) => assert_eq!(amount, *asked, "{part:?}: {item:#}"),
        Change::Reverse(_) => books.counts.reversals += 1,
    }
    let made = Made { user: part.user, key: part.key.clone(), change: part.change.clone(), amount };
    assert!(books.made.insert(id.clone(), made).is_none(), "{part:?} is another's: {item:#}");
    part.told = Some(id);
    true
}

/// Every transaction that the accounts have was told to somebody, and the other way round; sequences have no gaps,
/// balances are sums that are never below zero, and what was taken back was taken back once.
pub(super) async fn agrees(client: &Client, accounts: &[String], books: &Books) {
    let query = "query ($id: ID!, $after: String) { pointAccount(userId: $id) { balance transactionCount
         history(first: 100, after: $after) { nodes { id amount sequence balanceAfter idempotencyKey reverses { id } }
           pageInfo { hasNextPage endCursor } } } }";
    let (mut there, mut reversed) = (0, HashSet::new());
    for (user, id) in accounts.iter().enumerate() {
        let mut after = json!(null);
        // What the next older transaction has to be.
        let mut next: Option<(i64, i64)> = None;
        loop {
            let answer = client.run(query, json!({ "id": id, "after": after })).await;
            let account = &answer.data()["pointAccount"];
            let first = (whole(&account["transactionCount"]), whole(&account["balance"]));
            for node in account["history"]["nodes"].as_array().unwrap() {
                let made = &books.made[node["id"].as_str().unwrap()];
                let (amount, balance) = (whole(&node["amount"]), whole(&node["balanceAfter"]));
                assert_eq!((made.user, made.amount), (user, amount), "{node:#}");
                assert_eq!(node["idempotencyKey"], made.key.as_str(), "{node:#}");
                assert_eq!((whole(&node["sequence"]), balance), next.unwrap_or(first), "{node:#}");
                assert!(balance >= 0, "{node:#}");
                match &made.change {
                    Change::Add(_) => assert!(node["reverses"].is_null(), "{node:#}"),
                    Change::Reverse(original) => {
                        assert_eq!(node["reverses"]["id"], original.as_str(), "{node:#}");
                        assert_eq!(books.made[original].amount, -amount, "{node:#}");
                        assert!(reversed.insert(original.clone()), "taken back twice: {node:#}");
                    }
                }
                next = Some((whole(&node["sequence"]) - 1, balance - amount));
                there += 1;
            }
            if account["history"]["pageInfo"]["hasNextPage"] == false {
                assert_eq!(next.unwrap_or(first), (0, 0), "a ledger begins with nothing");
                break;
            }
            after = account["history"]["pageInfo"]["endCursor"].clone();
        }
    }
    assert_eq!(there, books.made.len(), "something acknowledged is missing");
    assert!(books.conflicts.iter().all(|id| reversed.contains(id)), "refused as taken back, and is not");
}
