//! What durable consumers are told: an event a transaction, and none of what makes no transaction.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tally::kernel::auth::{Access, Root};
use tally::kernel::clock::Millis;
use tally::kernel::db::Tx;
use tally::kernel::error::Result;
use tally::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};
use tally::kernel::graphql::NoFields;
use tally::kernel::id::parse_any;
use tally::kernel::module::{Module, Start};
use tally::modules::points::importing::{Importer, OldTransaction};
use tally::modules::points::ledger::Kind;

use super::stage::{Stage, add, add_batch, input, options, whole};
use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    each_transaction_is_told_of_once_in_its_order,
    what_makes_no_transaction_is_told_to_nobody,
    an_import_tells_nothing,
);

tally::app! {
    /// tally with somebody who hears of points.
    WithEar {
        tally::modules::users::Users,
        tally::modules::engagement::Engagement,
        tally::modules::notifications::Notifications,
        tally::modules::points::Points,
        Ear,
    }
}

pub struct Ear;

/// What was delivered and committed, in its order.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Delivered>>>);

impl Module for Ear {
    type Query = NoFields;
    type Mutation = NoFields;
    type Subscription = NoFields;
    type Viewer = NoFields;

    const NAME: &'static str = "ear";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[];

    fn consumers() -> Vec<Consumes> {
        vec![Consumes { consumer: "ear", kinds: &["points.transacted"] }]
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let heard = Heard::default();
        start.consumer("ear", Arc::new(heard.clone()))?;
        start.provide(heard)
    }
}

impl Consumer for Heard {
    fn consume<'a>(&'a self, _: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        let (heard, events) = (Arc::clone(&self.0), events.to_vec());
        Box::pin(async move {
            let after: AfterCommit = Some(Box::new(move || heard.lock().unwrap().extend(events)));
            Ok(after)
        })
    }
}

async fn listening(backend: Backend) -> (Stage, Heard) {
    let stage = Stage::of(TestApp::start_with::<WithEar>(backend, options()).await).await;
    let heard = stage.app.facade::<Heard>();
    (stage, heard)
}

/// What came since the last time.
async fn news(stage: &Stage, heard: &Heard) -> Vec<Delivered> {
    stage.app.settle().await;
    std::mem::take(&mut *heard.0.lock().unwrap())
}

fn sequences(events: &[Delivered]) -> Vec<i64> {
    events.iter().map(|event| event.sequence).collect()
}

async fn each_transaction_is_told_of_once_in_its_order(backend: Backend) {
    let (stage, heard) = listening(backend).await;
    let user = parse_any(&stage.id).unwrap().1;
    let teacher = parse_any(&stage.teacher.id().await).unwrap().1;
    let award = stage.award(10, "a").await.data()["addPoints"]["transaction"].clone();
    let told = news(&stage, &heard).await;
    let [event] = &told[..] else { panic!("one event: {told:#?}") };
    let id = parse_any(award["id"].as_str().unwrap()).unwrap().1;
    assert_eq!((&*event.kind, event.key, event.sequence), ("points.transacted", user, 1));
    let due = json!({
        "transactionId": id, "userId": user, "sequence": 1, "kind": "ADD_POINTS", "amount": 10, "balanceAfter": 10,
        "actorId": teacher, "reversesId": null, "at": event.at,
    });
    assert_eq!(event.payload, due);

    stage.reverse(&award["id"], "b").await.data();
    stage.limit(&stage.id, 5, "c").await.data();
    stage.deduct(2, "d").await.data();
    let told = news(&stage, &heard).await;
    assert_eq!(sequences(&told), [2, 3, 4]);
    assert_eq!(told[0].payload["reversesId"], json!(id));
    let shown = |event: &Delivered| ["kind", "amount", "balanceAfter"].map(|field| event.payload[field].clone());
    assert_eq!(shown(&told[0]), [json!("REVERSAL"), json!(-10), json!(0)]);
    assert_eq!(shown(&told[1]), [json!("OVERDRAFT_LIMIT"), json!(0), json!(0)]);
    assert_eq!(shown(&told[2]), [json!("DEDUCT_POINTS"), json!(-2), json!(-2)]);

    // Of a batch each entry for itself.
    for atomic in [true, false] {
        let inputs = (0..5).map(|n| input(&stage.id, "ADD_POINTS", 1, &format!("{atomic} {n}"))).collect();
        add_batch(&stage.teacher, inputs, atomic).await.data();
    }
    assert_eq!(sequences(&news(&stage, &heard).await), (5..15).collect::<Vec<_>>());
    stage.app.finish().await;
}

async fn what_makes_no_transaction_is_told_to_nobody(backend: Backend) {
    let (stage, heard) = listening(backend).await;
    stage.award(1, "a").await.data();
    assert_eq!(sequences(&news(&stage, &heard).await), [1]);
    // Refused, done before, asked for another thing under the same key, a dry run.
    assert_eq!(stage.deduct(2, "b").await.code(), "INSUFFICIENT_POINTS");
    assert_eq!(stage.award(1, "a").await.data()["addPoints"]["replayed"], true);
    assert_eq!(stage.award(2, "a").await.code(), "CONFLICT");
    let mut dry = input(&stage.id, "ADD_POINTS", 1, "c");
    dry["dryRun"] = json!(true);
    add(&stage.teacher, dry).await.data();
    let batch = || vec![input(&stage.id, "ADD_POINTS", 1, "d"), input(&stage.id, "REDEEM", 100, "e")];
    assert_eq!(add_batch(&stage.teacher, batch(), true).await.code(), "INSUFFICIENT_POINTS");
    assert!(news(&stage, &heard).await.is_empty());
    // Of those that stand for themselves the one that is made.
    add_batch(&stage.teacher, batch(), false).await.data();
    assert_eq!(sequences(&news(&stage, &heard).await), [2]);
    stage.app.finish().await;
}

/// What happened long ago is no news; the sequences of an account have a gap then.
async fn an_import_tells_nothing(backend: Backend) {
    let (stage, heard) = listening(backend).await;
    let [user, actor] = [&stage.id, &stage.teacher.id().await].map(|id| parse_any(id).unwrap().1);
    let (kind, reason, key) = (Kind::AddPoints, "long ago".to_owned(), "import:transaction:1".to_owned());
    let old = OldTransaction { user, kind, amount: 5, reason, key, actor, at: Millis(1_000) };
    let outcomes = Importer::open(&stage.app.kernel).import(&[old]).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(news(&stage, &heard).await.is_empty());
    let answer = stage.award(1, "a").await.data()["addPoints"]["account"].clone();
    assert_eq!((whole(&answer["balance"]), &answer["transactionCount"]), (6, &Value::from(2)));
    assert_eq!(sequences(&news(&stage, &heard).await), [2]);
    stage.app.finish().await;
}
