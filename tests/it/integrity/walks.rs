//! A check of many items, which two walks share, compares each of them once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use rand::RngExt as _;
use tally::app::Tally;
use tally::kernel::context::Kernel;
use tally::kernel::error::Result;
use tally::kernel::integrity::{self, Check, Chunk, Drift, Key, Remedy};
use uuid::Uuid;

use crate::harness::{Backend, Options, Seeded, TestApp, rounds};

/// Items that are numbers; some are wrong.
struct Numbers {
    keys: BTreeSet<Key>,
    wrong: BTreeSet<Key>,
    confirmed: Mutex<Vec<Key>>,
}

#[async_trait]
impl Check for Numbers {
    fn module(&self) -> &'static str {
        "tests"
    }

    fn name(&self) -> &'static str {
        "numbers"
    }

    fn remedy(&self) -> Remedy {
        Remedy::Advice("nothing")
    }

    fn middle(&self) -> Option<Key> {
        Some((127, Uuid::max()))
    }

    async fn scan(&self, _: &Kernel, after: Option<Key>, size: usize) -> Result<Chunk> {
        let after = after.unwrap_or((i16::MIN, Uuid::nil()));
        let keys: Vec<Key> = self.keys.range(after..).filter(|key| **key > after).take(size).copied().collect();
        tokio::task::yield_now().await;
        Ok(Chunk {
            checked: keys.len() as u64,
            suspects: keys.iter().copied().filter(|key| self.wrong.contains(key)).collect(),
            next: keys.last().copied().filter(|_| keys.len() == size),
        })
    }

    async fn confirm(&self, _: &Kernel, key: Key) -> Result<Vec<Drift>> {
        self.confirmed.lock().unwrap().push(key);
        let drift = |field: &str| Drift {
            id: key.1.to_string(),
            field: field.to_owned(),
            stored: "1".to_owned(),
            actual: "2".to_owned(),
        };
        Ok(vec![drift("one"), drift("two")])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_is_compared_once_however_many_there_are_and_wherever() {
    let mut seeded = Seeded::new();
    let app = TestApp::start_with::<Tally>(Backend::Sqlite, Options::default()).await;
    // Lanes on both sides of the middle, and on one alone.
    let lanes = [0..256, 0..128, 128..256, 127..129, 0..1];
    for round in 0..rounds(60) {
        let lanes = lanes[round as usize % lanes.len()].clone();
        let count = match seeded.random.random_range(0..4) {
            0 => seeded.random.random_range(0..20),
            1 => seeded.random.random_range(1_990..2_010),
            2 => seeded.random.random_range(2_490..2_510),
            _ => seeded.random.random_range(2_000..12_000),
        };
        let random = &mut seeded.random;
        let keys: BTreeSet<Key> =
            (0..count).map(|_| (random.random_range(lanes.clone()), Uuid::from_u128(random.random()))).collect();
        let wrong: BTreeSet<Key> = keys.iter().copied().filter(|_| random.random_bool(0.01)).collect();
        let numbers = Numbers { keys, wrong: wrong.clone(), confirmed: Mutex::default() };
        let most = Mutex::new(0);
        let progress = |checked: u64| {
            let mut most = most.lock().unwrap();
            *most = checked.max(*most);
        };
        let report = integrity::run(&numbers, &app.kernel, &progress).await.unwrap();
        let mut confirmed = numbers.confirmed.into_inner().unwrap();
        confirmed.sort_unstable();
        assert_eq!(confirmed, wrong.iter().copied().collect::<Vec<_>>(), "{count} items");
        assert_eq!(report.checked, numbers.keys.len() as u64);
        assert_eq!(*most.lock().unwrap(), report.checked, "it is told how far it is");
        assert_eq!((report.items, report.drifted), (wrong.len() as u64, 2 * wrong.len() as u64));
        assert_eq!(report.examples.len(), 20.min(2 * wrong.len()));
    }
    app.finish().await;
}
