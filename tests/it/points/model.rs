//! Any mixture of transactions, repeats, batches and reversals, against a model that knows nothing of chains and rows.

use std::collections::HashMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::stage::{Stage, add, add_batch, input, whole};
use crate::harness::{Answer, Backend, Seeded, on_every_backend, rounds};

on_every_backend!(any_mixture_gives_the_models_balances);

const USERS: usize = 4;

/// A transaction in the model.
#[derive(Clone)]
struct Known {
    id: Value,
    user: usize,
    amount: i64,
    reversible: bool,
    reversed: bool,
}

#[derive(Clone, Default)]
struct Model {
    balances: [i64; USERS],
    limits: [i64; USERS],
    transactions: Vec<Known>,
    /// What was asked for under each key, by user.
    keys: HashMap<(usize, String), (Value, usize)>,
}

impl Model {
    /// The code with which an input is refused, or whether it is a repeat.
    fn post(&mut self, user: usize, input: &Value) -> Result<bool, &'static str> {
        let key = (user, input["idempotencyKey"].as_str().unwrap().to_owned());
        if let Some((first, _)) = self.keys.get(&key) {
            return if first == input { Ok(true) } else { Err("CONFLICT") };
        }
        let amount = whole(&input["amount"]);
        let amount = if input["kind"] == "ADD_POINTS" { amount } else { -amount };
        self.make(user, amount, true)?;
        self.keys.insert(key, (input.clone(), self.transactions.len() - 1));
        Ok(false)
    }

    fn make(&mut self, user: usize, amount: i64, reversible: bool) -> Result<(), &'static str> {
        if amount < 0 && self.balances[user] + amount < -self.limits[user] {
            return Err("INSUFFICIENT_POINTS");
        }
        self.balances[user] += amount;
        self.transactions.push(Known { id: json!(null), user, amount, reversible, reversed: false });
        Ok(())
    }

    fn reverse(&mut self, at: usize) -> Result<(), &'static str> {
        let Known { user, amount, reversible, reversed, .. } = self.transactions[at].clone();
        match (reversible, reversed) {
            (false, _) => Err("INVALID_INPUT"),
            (true, true) => Err("CONFLICT"),
            (true, false) => {
                self.make(user, -amount, false)?;
                self.transactions[at].reversed = true;
                Ok(())
            }
        }
    }
}

fn random_input(random: &mut StdRng, users: &[String], model: &Model) -> (usize, Value) {
    // Some are repeats of earlier ones, some have a key of an earlier one.
    if !model.keys.is_empty() && random.random_bool(0.2) {
        let mut known: Vec<_> = model.keys.iter().collect();
        known.sort_by(|one, other| one.0.cmp(other.0));
        let ((user, _), (first, _)) = known[random.random_range(0..known.len())];
        let mut again = first.clone();
        if random.random_bool(0.3) {
            again["amount"] = json!(whole(&again["amount"]) + 1);
        }
        return (*user, again);
    }
    let user = random.random_range(0..USERS);
    let kind = ["ADD_POINTS", "DEDUCT_POINTS", "REDEEM"][random.random_range(0..3)];
    let key = format!("key {}", random.random::<u64>());
    (user, input(&users[user], kind, random.random_range(1..40), &key))
}

fn code(answer: &Answer) -> Option<&str> {
    answer.body.get("errors").map(|_| answer.code())
}

async fn any_mixture_gives_the_models_balances(backend: Backend) {
    let mut seeded = Seeded::new();
    let stage = Stage::set(backend).await;
    let users = stage.people(USERS).await;
    let mut model = Model::default();
    for round in 0..rounds(60) {
        let random = &mut seeded.random;
        match random.random_range(0..10) {
            0 => {
                let (user, limit) = (random.random_range(0..USERS), random.random_range(0..30));
                stage.limit(&users[user], limit, &format!("limit {round}")).await.data();
                model.limits[user] = limit;
            }
            1 | 2 if !model.transactions.is_empty() => {
                let at = random.random_range(0..model.transactions.len());
                let expected = model.reverse(at).err();
                let id = model.transactions[at].id.clone();
                let answer = stage.reverse(&id, &format!("reversal {round}")).await;
                assert_eq!(code(&answer), expected, "{:#}", answer.body);
                if expected.is_none() {
                    let made = &answer.data()["reversePointTransaction"]["transaction"];
                    model.transactions.last_mut().unwrap().id = made["id"].clone();
                }
            }
            3..=5 => batch(&stage, &mut model, random, &users).await,
            _ => {
                let (user, input) = random_input(random, &users, &model);
                let expected = model.post(user, &input);
                let answer = add(&stage.teacher, input.clone()).await;
                assert_eq!(code(&answer), expected.err(), "{input:#}");
                if let Ok(replayed) = expected {
                    let payload = &answer.data()["addPoints"];
                    assert_eq!(payload["replayed"], replayed);
                    assert_eq!(whole(&payload["account"]["balance"]), model.balances[user]);
                    learn(&mut model, user, &input, &payload["transaction"]["id"]);
                }
            }
        }
    }
    for (user, id) in users.iter().enumerate() {
        assert_eq!(stage.account(id).await.0, model.balances[user]);
    }
    stage.app.finish().await;
}

/// Keeps a new transaction's id; a repeated one's must be that of the first.
fn learn(model: &mut Model, user: usize, input: &Value, id: &Value) {
    let at = model.keys[&(user, input["idempotencyKey"].as_str().unwrap().to_owned())].1;
    let known = &mut model.transactions[at].id;
    if known.is_null() {
        *known = id.clone();
    }
    assert_eq!(known, id);
}

async fn batch(stage: &Stage, model: &mut Model, random: &mut StdRng, users: &[String]) {
    let mut inputs: Vec<(usize, Value)> = Vec::new();
    for _ in 0..random.random_range(1..8) {
        let (user, input) = random_input(random, users, model);
        if inputs.iter().all(|(_, other)| other["idempotencyKey"] != input["idempotencyKey"]) {
            inputs.push((user, input));
        }
    }
    let atomic = random.random_bool(0.5);
    let before = model.clone();
    // Each for itself: of different accounts in any order, of one account in theirs.
    let expected: Vec<_> = inputs.iter().map(|(user, input)| model.post(*user, input)).collect();
    let answer = add_batch(&stage.teacher, inputs.iter().map(|(_, input)| input.clone()).collect(), atomic).await;
    if atomic && let Some(first) = expected.iter().find_map(|expected| expected.err()) {
        assert_eq!(answer.code(), first, "{:#}", answer.body);
        *model = before;
        return;
    }
    let items = &answer.data()["addPointsBatch"]["items"];
    for (at, ((user, input), expected)) in inputs.iter().zip(expected).enumerate() {
        let item = &items[at];
        match expected {
            Ok(replayed) => {
                assert_eq!(item["replayed"], replayed, "{item:#}");
                learn(model, *user, input, &item["transaction"]["id"]);
            }
            Err(code) => assert_eq!(item["error"]["code"], code, "{item:#}"),
        }
    }
}
