//! A server with people who give points, and some who get them.

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;

use crate::harness::{Answer, Backend, Client, Options, TestApp, run};

/// What a payload is asked for.
pub(super) const PAYLOAD: &str = "{ replayed account { balance transactionCount overdraftLimit }
     transaction { id sequence kind amount balanceAfter reason idempotencyKey createdAt reverses { id } actor { id } } }";

pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) teacher: Client,
    pub(super) operator: Client,
    pub(super) admin: Client,
    pub(super) ann: Client,
    /// Ann's id.
    pub(super) id: String,
}

impl Stage {
    pub(super) async fn set(backend: Backend) -> Self {
        Self::of(TestApp::start_with::<Tally>(backend, options()).await).await
    }

    pub(super) async fn of(app: TestApp) -> Self {
        let ann = app.user("ann");
        let id = ann.id().await;
        Self {
            teacher: app.client("teacher", &[Role::Teacher]),
            operator: app.client("operator", &[Role::Operator]),
            admin: app.client("admin", &[Role::Admin]),
            ann,
            id,
            app,
        }
    }

    /// Users with these names; their ids.
    pub(super) async fn people(&self, count: usize) -> Vec<String> {
        let ids = (0..count).map(async |n| self.app.user(&format!("person {n}")).id().await);
        futures_util::future::join_all(ids).await
    }

    /// The teacher awards Ann points.
    pub(super) async fn award(&self, amount: i64, key: &str) -> Answer {
        add(&self.teacher, input(&self.id, "ADD_POINTS", amount, key)).await
    }

    /// The teacher takes points of Ann.
    pub(super) async fn deduct(&self, amount: i64, key: &str) -> Answer {
        add(&self.teacher, input(&self.id, "DEDUCT_POINTS", amount, key)).await
    }

    pub(super) async fn reverse(&self, id: &Value, key: &str) -> Answer {
        let query = format!(
            "mutation ($id: ID!, $key: String!) {{
               reversePointTransaction(id: $id, reason: \"a mistake\", idempotencyKey: $key) {PAYLOAD} }}"
        );
        self.operator.run(&query, json!({ "id": id, "key": key })).await
    }

    pub(super) async fn limit(&self, user: &str, limit: i64, key: &str) -> Answer {
        let query = format!(
            "mutation ($id: ID!, $limit: BigInt!, $key: String!) {{
               setOverdraftLimit(userId: $id, limit: $limit, reason: \"trust\", idempotencyKey: $key) {PAYLOAD} }}"
        );
        self.admin.run(&query, json!({ "id": user, "limit": limit, "key": key })).await
    }

    /// A user's balance and how many transactions there are.
    pub(super) async fn account(&self, user: &str) -> (i64, i64) {
        let query = "query ($id: ID!) { pointAccount(userId: $id) { balance transactionCount } }";
        let answer = self.teacher.run(query, json!({ "id": user })).await;
        let account = &answer.data()["pointAccount"];
        (whole(&account["balance"]), whole(&account["transactionCount"]))
    }

    /// Runs a command beside the server: status, output, errors.
    pub(super) async fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let folder = tempfile::tempdir().unwrap();
        run(arguments, &[("DATABASE_URL", &self.app.database.url), ("TALLY_LOG", "off")], folder.path()).await
    }

    /// All rows of the module, counted.
    pub(super) async fn rows(&self) -> [i64; 3] {
        let mut counts = [0; 3];
        for (count, table) in counts.iter_mut().zip(["point_accounts", "point_transactions", "point_incidents"]) {
            *count = self.app.number(&format!("SELECT count(*) FROM {table}")).await;
        }
        counts
    }
}

pub(super) fn options() -> Options {
    Options::default().with("points.live_interval_ms", 20)
}

/// A `BigInt` of an answer.
pub(super) fn whole(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no whole number: {value:#}"))
}

pub(super) fn input(user: &str, kind: &str, amount: i64, key: &str) -> Value {
    json!({ "userId": user, "kind": kind, "amount": amount, "reason": "homework", "idempotencyKey": key })
}

pub(super) const ADD: &str = "mutation ($input: AddPointsInput!) { addPoints(input: $input)
     { replayed account { balance transactionCount overdraftLimit }
       transaction { id sequence kind amount balanceAfter reason idempotencyKey createdAt reverses { id } actor { id } } } }";

pub(super) async fn add(client: &Client, input: Value) -> Answer {
    client.run(ADD, json!({ "input": input })).await
}

pub(super) const BATCH: &str = "mutation ($inputs: [AddPointsInput!]!, $atomic: Boolean!) {
     addPointsBatch(inputs: $inputs, atomic: $atomic) { succeeded failed
       items { replayed transaction { id amount balanceAfter } account { balance } error { code message balance overdraftLimit } } } }";

pub(super) async fn add_batch(client: &Client, inputs: Vec<Value>, atomic: bool) -> Answer {
    client.run(BATCH, json!({ "inputs": inputs, "atomic": atomic })).await
}
