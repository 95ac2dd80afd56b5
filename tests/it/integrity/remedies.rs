//! What a run makes of checks that answer as the test says: no remedy, a repair that fails, an old value that stays away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tally::kernel::context::Kernel;
use tally::kernel::db::Tx;
use tally::kernel::error::{Code, Error, Result};
use tally::kernel::integrity::{Check, Chunk, Drift, Integrity, Key, Remedy, Scope, Silent, State};
use uuid::Uuid;

use crate::harness::{Backend, TestApp, on_every_backend};

on_every_backend!(
    without_a_remedy_there_is_advice,
    what_cannot_be_put_back_is_left_and_said,
    a_repair_that_fails_keeps_what_it_did,
    an_undo_that_fails_tells_of_what_it_did,
    a_round_is_told_of_at_once,
    a_run_within_a_long_chunk_says_that_it_goes_on,
);

/// Some items, each wrong until it is put right.
struct Actor {
    remedy: Remedy,
    items: u128,
    /// Items that were put right, one bit each.
    right: AtomicU64,
    /// The item whose repair fails, while it does.
    fails_at: Option<u128>,
    fails: AtomicBool,
    /// The item whose undo fails, while it does.
    undo_fails_at: Option<u128>,
    /// Of how many changes it heard, and how often.
    told: AtomicU64,
    calls: AtomicU64,
    /// How long a look at an item takes.
    slow: std::time::Duration,
}

impl Actor {
    fn new(remedy: Remedy, items: u128) -> Self {
        let [right, told, calls] = [0; 3].map(AtomicU64::new);
        let (fails, slow) = (AtomicBool::new(true), std::time::Duration::ZERO);
        Self { remedy, items, right, fails_at: None, fails, undo_fails_at: None, told, calls, slow }
    }

    fn drifts(&self, item: u128) -> Vec<Drift> {
        if self.right.load(Ordering::SeqCst) & (1 << item) != 0 {
            return Vec::new();
        }
        vec![Drift { id: format!("item {item}"), field: "size".into(), stored: "2".into(), actual: "1".into() }]
    }
}

#[async_trait]
impl Check for Actor {
    fn module(&self) -> &'static str {
        "stage"
    }
    fn name(&self) -> &'static str {
        "actor"
    }
    fn remedy(&self) -> Remedy {
        self.remedy
    }

    async fn scan(&self, _: &Kernel, after: Option<Key>, _: usize) -> Result<Chunk> {
        tokio::time::sleep(self.slow).await;
        // One item a chunk.
        let item = after.map_or(0, |(_, id)| id.as_u128() + 1);
        let key = (0, Uuid::from_u128(item));
        let suspects = self.drifts(item).iter().map(|_| key).collect();
        Ok(Chunk { checked: 1, suspects, next: Some(key).filter(|_| item + 1 < self.items) })
    }

    async fn confirm(&self, _: &Kernel, (_, id): Key) -> Result<Vec<Drift>> {
        Ok(self.drifts(id.as_u128()))
    }

    async fn repair(&self, _: &Kernel, _: &Tx, (_, id): Key) -> Result<Vec<Drift>> {
        let item = id.as_u128();
        if self.fails_at == Some(item) && self.fails.load(Ordering::SeqCst) {
            return Err(Error::internal("it falls over"));
        }
        let drifts = self.drifts(item);
        self.right.fetch_or(1 << item, Ordering::SeqCst);
        Ok(drifts)
    }

    async fn restore(&self, _: &Kernel, _: &Tx, (_, id): Key, drifts: &[Drift]) -> Result<Vec<bool>> {
        if self.undo_fails_at == Some(id.as_u128()) && self.fails.load(Ordering::SeqCst) {
            return Err(Error::internal("it falls over"));
        }
        // Something has happened to the odd ones.
        let back = id.as_u128() % 2 == 0;
        if back {
            self.right.fetch_and(!(1 << id.as_u128()), Ordering::SeqCst);
        }
        Ok(vec![back; drifts.len()])
    }

    async fn changed(&self, _: &Kernel, keys: &[Key]) -> Result<()> {
        self.told.fetch_add(keys.len() as u64, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn of(actor: &Arc<Actor>) -> Integrity {
    let check: Arc<dyn Check> = Arc::<Actor>::clone(actor);
    Integrity::new(vec![check], Vec::new(), Vec::new())
}

async fn without_a_remedy_there_is_advice(backend: Backend) {
    let app = TestApp::start(backend).await;
    let actor = Arc::new(Actor::new(Remedy::Advice("ask the director"), 4));
    let integrity = of(&actor);
    let report = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    assert_eq!((report.state, report.drifted(), report.changed()), (State::Drift, 4, 0));
    assert_eq!(report.recommendations, ["actor: ask the director"]);
    assert_eq!(report.consistency_rate, 0.0);
    app.finish().await;
}

async fn what_cannot_be_put_back_is_left_and_said(backend: Backend) {
    let app = TestApp::start(backend).await;
    let actor = Arc::new(Actor::new(Remedy::Repair, 5));
    let integrity = of(&actor);
    let repair = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    assert_eq!((repair.state, repair.changed(), actor.told.load(Ordering::SeqCst)), (State::Ok, 5, 5));
    let undo = integrity.undo(&app.kernel, repair.id, "test", &Silent).await.unwrap();
    assert_eq!((undo.state, undo.changed(), undo.left()), (State::Drift, 3, 2));
    assert_eq!(actor.told.load(Ordering::SeqCst), 8, "of what is back, not of what was left");
    let changes = integrity.changes(&app.kernel, repair.id, 0, 10).await.unwrap();
    let back: Vec<_> = changes.iter().map(|change| change.put_back).collect();
    assert_eq!(back, [Some(true), Some(false), Some(true), Some(false), Some(true)]);
    let again = integrity.undo(&app.kernel, repair.id, "test", &Silent).await.unwrap_err();
    assert_eq!(again.code(), Code::CONFLICT);
    let error = integrity.undo(&app.kernel, undo.id, "test", &Silent).await.unwrap_err();
    assert!(error.client().contains("is UNDO: only repairs are undone"), "{error}");
    app.finish().await;
}

async fn a_repair_that_fails_keeps_what_it_did(backend: Backend) {
    let app = TestApp::start(backend).await;
    let actor = Arc::new(Actor { fails_at: Some(3), ..Actor::new(Remedy::Repair, 5) });
    let integrity = of(&actor);
    let report = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    let failure = report.checks[0].failure.as_ref().unwrap();
    assert_eq!((report.state, report.changed(), report.drifted()), (State::Failed, 3, 2));
    assert_eq!(
        (&*failure.error, &*failure.client_error),
        ("INTERNAL: internal error (it falls over)", "internal error")
    );
    let failed = app.number("SELECT count(*) FROM integrity_runs WHERE state = 'FAILED' AND kind = 'REPAIR'").await;
    assert_eq!((failed, app.number("SELECT count(*) FROM integrity_changes").await), (1, 3));
    assert!(!integrity.is_repairing(&app.kernel).await.unwrap());
    assert_eq!(actor.told.load(Ordering::SeqCst), 3, "of what was done before it failed, too");
    actor.fails.store(false, Ordering::SeqCst);
    let rest = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    assert_eq!((rest.state, rest.changed()), (State::Ok, 2));
    app.finish().await;
}

async fn an_undo_that_fails_tells_of_what_it_did(backend: Backend) {
    let app = TestApp::start(backend).await;
    let actor = Arc::new(Actor { undo_fails_at: Some(3), ..Actor::new(Remedy::Repair, 7) });
    let integrity = of(&actor);
    let repair = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    actor.told.store(0, Ordering::SeqCst);
    let error = integrity.undo(&app.kernel, repair.id, "test", &Silent).await.unwrap_err();
    assert_eq!(error.code(), Code::INTERNAL);
    // The last one first: 6 and 4 are back, 5 was left.
    assert_eq!(actor.told.load(Ordering::SeqCst), 2);
    actor.fails.store(false, Ordering::SeqCst);
    let rest = integrity.undo(&app.kernel, repair.id, "test", &Silent).await.unwrap();
    assert_eq!((rest.changed(), rest.left(), actor.told.load(Ordering::SeqCst)), (2, 2, 4));
    app.finish().await;
}

async fn a_round_is_told_of_at_once(backend: Backend) {
    let app = TestApp::start(backend).await;
    // One item a chunk, each a transaction of its own.
    let actor = Arc::new(Actor::new(Remedy::Repair, 60));
    let integrity = of(&actor);
    let repair = integrity.repair(&app.kernel, &Scope::default(), false, "test", &Silent).await.unwrap();
    let heard = || (actor.told.swap(0, Ordering::SeqCst), actor.calls.swap(0, Ordering::SeqCst));
    assert_eq!((repair.changed(), heard()), (60, (60, 1)), "whoever hears reads an index anew, whole");
    let undo = integrity.undo(&app.kernel, repair.id, "test", &Silent).await.unwrap();
    assert_eq!((undo.changed(), heard()), (30, (30, 1)));
    app.finish().await;
}

async fn a_run_within_a_long_chunk_says_that_it_goes_on(backend: Backend) {
    let app = TestApp::start(backend).await;
    let slow = std::time::Duration::from_secs(7);
    let integrity = of(&Arc::new(Actor { slow, ..Actor::new(Remedy::Advice("wait"), 1) }));
    let check = async { integrity.check(&app.kernel, &Scope::default(), "test", &Silent).await.unwrap() };
    let believed = "SELECT alive_until - began_at FROM integrity_runs WHERE ended_at IS NULL";
    let look = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let first = app.number(believed).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        (first, app.number(believed).await)
    };
    let (_, (first, later)) = tokio::join!(check, look);
    assert!(later >= first + 4_000, "it said so within the chunk: {first}, {later}");
    app.finish().await;
}
