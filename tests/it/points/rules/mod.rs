//! Rules that give points: through GraphQL, and with events that come in any order.

mod any_order;
mod caps;
mod drifts;
mod given;
mod random;
mod trouble;
mod versions;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::clock::Millis;
use tally::kernel::db::Tx;
use tally::kernel::error::Result;
use tally::kernel::events::{Event, Outbox};
use tally::kernel::id::parse_any;
use uuid::Uuid;

use super::stage::{Stage, options, whole};
use crate::harness::{Backend, Client, Options, START, TestApp};

/// A server with rules.
async fn ruled(backend: Backend, rules: &str) -> Stage {
    Stage::of(TestApp::start_with::<Tally>(backend, options().with("points.rules", rules)).await).await
}

/// The same on a clock and in a time zone.
fn at(rules: &str, zone: &str, clock: &std::sync::Arc<tally::kernel::clock::ManualClock>) -> Options {
    options().with("points.rules", rules).with("days.time_zone", zone).at(clock)
}

impl Stage {
    /// Does something and delivers what comes of it.
    async fn acts(&self, who: &str, verb: &str, content: &str) {
        self.app.user(who).act(verb, content).await.data();
        self.app.settle().await;
    }

    /// Ann's transactions, oldest first.
    async fn history(&self) -> Vec<Value> {
        let query = "query ($id: ID!) { pointAccount(userId: $id) { history(last: 100) { nodes {
             id kind amount balanceAfter reason rule idempotencyKey actor { id } reverses { id } } } } }";
        let answer = self.teacher.run(query, json!({ "id": self.id })).await;
        let mut nodes = answer.data()["pointAccount"]["history"]["nodes"].as_array().unwrap().clone();
        nodes.reverse();
        nodes
    }

    /// Ann's balance.
    async fn balance(&self) -> i64 {
        self.account(&self.id).await.0
    }
}

/// What a teacher sees of somebody's balance.
async fn balance_of(app: &TestApp, id: &str) -> i64 {
    let teacher = app.client("teacher", &[tally::kernel::auth::Role::Teacher]);
    let answer = teacher.run("query ($id: ID!) { pointAccount(userId: $id) { balance } }", json!({ "id": id })).await;
    whole(&answer.data()["pointAccount"]["balance"])
}

fn uuid(id: &str) -> Uuid {
    parse_any(id).expect("an id").1
}

/// Comments; the comment's id.
async fn comment(client: &Client, content: &str) -> String {
    let query = "mutation ($id: ID!) { comment(contentId: $id, body: \"good\") { comment { id } } }";
    let answer = client.run(query, json!({ "id": content })).await;
    answer.data()["comment"]["comment"]["id"].as_str().unwrap().to_owned()
}

async fn delete_comment(client: &Client, comment: &str) {
    let query = "mutation ($id: ID!) { deleteComment(id: $id) { changed } }";
    client.run(query, json!({ "id": comment })).await.data();
}

async fn share(client: &Client, content: &str) {
    let query = "mutation ($id: ID!) { share(contentId: $id, channel: LINK) { changed } }";
    client.run(query, json!({ "id": content })).await.data();
}

/// An event of engagement that the test tells itself, under a key of its own: the relay keeps the order of a key.
fn event(app: &TestApp, kind: &'static str, content: Uuid, author: &str, user: &str, sequence: i64) -> Event {
    let at = moment(sequence);
    let payload = json!({
        "contentId": content, "kind": 0, "authorId": uuid(author), "userId": uuid(user), "at": at.0,
        "commentId": Uuid::from_u128(7),
    });
    Event { id: app.kernel.ids.next(), kind, key: app.kernel.ids.next(), sequence, at, payload }
}

/// The moment of a sequence.
fn moment(sequence: i64) -> Millis {
    START.plus(sequence * 1000)
}

async fn put(app: &TestApp, events: Vec<Event>) {
    let outbox = app.kernel.outbox.clone();
    let write = app.kernel.db.write(move |tx| Box::pin(put_all(tx, outbox.clone(), events.clone())));
    write.await.expect("the outbox takes them");
}

async fn put_all(tx: &Tx, outbox: Outbox, events: Vec<Event>) -> Result<()> {
    outbox.put(tx, &events).await
}

/// All orders of `0..n`.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let inserted = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    orders(n - 1).iter().flat_map(|order| (0..n).map(move |at| inserted(order, at))).collect()
}
