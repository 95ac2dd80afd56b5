//! Events a second: put with their facts, and delivered to a consumer that writes a row for each. Next to the same facts
//! without events, and to the effects as plain inserts, in the same run; rounds alternate, so read the ratios.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "benchmarks print, and stop at a fault")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait as _, Statement};
use sea_orm_migration::prelude::*;
use serde_json::json;
use support::{median, row, stopwatch};
use tally::app::App as _;
use tally::kernel::auth::{Access, Root};
use tally::kernel::clock::{Clock, SystemClock};
use tally::kernel::config::Settings;
use tally::kernel::context::Kernel;
use tally::kernel::db::{Col, Sql, Tx};
use tally::kernel::error::Result;
use tally::kernel::events::{AfterCommit, Consumer, Consumes, Delivered, Event};
use tally::kernel::graphql::NoFields;
use tally::kernel::id::{Ids, Lane};
use tally::kernel::module::{Module, Modules, Start};
use tally::server::Worker;
use uuid::Uuid;

const EVENTS: usize = 50_000;
/// Facts in one transaction, as group commit makes them under load.
const BATCH: usize = 100;
const KEYS: usize = 2_000;
const ROUNDS: usize = 3;

tally::app! {
    /// The bench's module, and users for the roots that tally always has.
    pub Benched { Bench, tally::modules::users::Users }
}

/// Facts, effects, and a consumer.
pub struct Bench;

impl Module for Bench {
    type Query = NoFields;
    type Mutation = NoFields;
    type Subscription = NoFields;
    type Viewer = NoFields;

    const NAME: &'static str = "bench";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(M0001Bench)]
    }

    fn consumers() -> Vec<Consumes> {
        vec![Consumes { consumer: "bench", kinds: &["bench.happened"] }]
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        start.consumer("bench", Arc::new(Effects))
    }
}

struct M0001Bench;

impl MigrationName for M0001Bench {
    fn name(&self) -> &str {
        "M0001Bench"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0001Bench {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        let (id, clustered) = if postgres { ("uuid", "") } else { ("BLOB", "WITHOUT ROWID") };
        for table in ["bench_facts", "bench_effects"] {
            let sql = format!(
                "CREATE TABLE {table} (lane smallint NOT NULL, key {id} NOT NULL, sequence bigint NOT NULL,
                 PRIMARY KEY (lane, key, sequence)) {clustered}"
            );
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}

struct Effects;

impl Consumer for Effects {
    fn consume<'a>(&'a self, tx: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        Box::pin(async move {
            insert(tx, "bench_effects", events.iter().map(|event| (event.key, event.sequence)).collect()).await?;
            Ok(None)
        })
    }
}

async fn insert(tx: &Tx, table: &str, rows: Vec<(Uuid, i64)>) -> Result<()> {
    let template = format!("INSERT INTO {table} (lane, key, sequence) SELECT r.lane, r.key, r.sequence FROM {{rows}}");
    let sql = Sql::new(&template, &[("lane", Col::Small), ("key", Col::Id), ("sequence", Col::Int)]);
    let mut values = sql.rows();
    for (key, sequence) in rows {
        values.push([i16::from(Lane::of(key).0).into(), key.into(), sequence.into()]);
    }
    tx.write_all(&sql, values).await
}

#[tokio::main]
async fn main() {
    println!("\n{EVENTS} events of {KEYS} contents, {BATCH} facts a transaction, median of {ROUNDS} rounds\n");
    row(&["database".into(), "what".into(), "a second, by round".into(), "median".into()]);
    row(&vec!["---".into(); 4]);
    let folder = tempfile::tempdir().expect("a folder");
    run("SQLite, FULL", |round| format!("sqlite:{}/{round}.db", folder.path().display())).await;
    match std::env::var("TALLY_TEST_POSTGRES_URL") {
        Err(_) => println!("\nno PostgreSQL: run this with `make bench`, or scripts/postgres.sh cargo bench"),
        Ok(server) => {
            let server = server.trim_end_matches('/').to_owned();
            let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.expect("a server");
            for round in 0..ROUNDS {
                for sql in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
                    let sql = format!("{sql} bench_outbox_{round}");
                    admin.execute_unprepared(&sql).await.expect("a database of its own");
                }
            }
            run("PostgreSQL", |round| format!("{server}/bench_outbox_{round}")).await;
        }
    }
}

async fn run(database: &str, url: impl Fn(usize) -> String) {
    let what = ["facts alone", "facts with events", "delivered to a consumer", "the effects as plain inserts"];
    let mut rates = vec![Vec::new(); what.len()];
    for round in 0..ROUNDS {
        for (rates, rate) in rates.iter_mut().zip(measure(url(round)).await) {
            rates.push(rate);
        }
    }
    for (what, rates) in what.iter().zip(rates) {
        let by_round: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        row(&[database.into(), (*what).into(), by_round.join(", "), format!("{:.0}", median(rates))]);
    }
}

async fn measure(url: String) -> [f64; 4] {
    let list = Modules::new(Benched::modules()).expect("modules that fit").settings();
    let flags = [("database.url", url)];
    let settings = Settings::read(&list, None, &BTreeMap::new(), &flags).expect("settings");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let worker = Worker::start::<Benched>(settings, clock, ids).await.expect("it starts");
    let kernel = &worker.kernel;
    let keys: Vec<Uuid> = (0..KEYS).map(|_| kernel.ids.next()).collect();
    let plain = facts(kernel, &keys, 0, false).await;
    let put = facts(kernel, &keys, 1_000_000, true).await;
    let began = stopwatch();
    let delivered = kernel.outbox.deliver_all().await.expect("delivered");
    let deliver = EVENTS as f64 / began.elapsed().as_secs_f64();
    assert_eq!(delivered, EVENTS as u64, "all of them");
    clear(kernel).await;
    let effects = effects_alone(kernel, &keys).await;
    [plain, put, deliver, effects]
}

fn sequence(n: usize) -> i64 {
    (n / KEYS) as i64
}

/// Writes the facts, with or without their events. How many a second.
async fn facts(kernel: &Kernel, keys: &[Uuid], offset: i64, with_events: bool) -> f64 {
    let began = stopwatch();
    for batch in 0..EVENTS / BATCH {
        let rows: Vec<(Uuid, i64)> =
            (batch * BATCH..(batch + 1) * BATCH).map(|n| (keys[n % KEYS], offset + sequence(n))).collect();
        let at = kernel.clock.now();
        let event = |(key, sequence): &(Uuid, i64)| Event {
            id: kernel.ids.next(),
            kind: "bench.happened",
            key: *key,
            sequence: *sequence,
            at,
            payload: json!({ "contentId": key, "userId": key, "kind": 1, "authorId": key, "at": at.0 }),
        };
        let events: Vec<Event> = if with_events { rows.iter().map(event).collect() } else { Vec::new() };
        let outbox = kernel.outbox.clone();
        let written = kernel.db.write(move |tx| {
            let (rows, events, outbox) = (rows.clone(), events.clone(), outbox.clone());
            Box::pin(async move {
                insert(tx, "bench_facts", rows).await?;
                outbox.put(tx, &events).await
            })
        });
        written.await.expect("facts");
    }
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

async fn clear(kernel: &Kernel) {
    let cleared = kernel.db.write(|tx| {
        Box::pin(async move {
            tx.execute(Statement::from_string(tx.backend(), "DELETE FROM bench_effects")).await?;
            Ok(())
        })
    });
    cleared.await.expect("an empty table");
}

/// What a consumer writes, in batches of the relay's size and without a relay. How many a second.
async fn effects_alone(kernel: &Kernel, keys: &[Uuid]) -> f64 {
    let size = kernel.settings.count("events.batch") as usize;
    let began = stopwatch();
    for batch in 0..EVENTS / size {
        let rows: Vec<(Uuid, i64)> =
            (batch * size..(batch + 1) * size).map(|n| (keys[n % KEYS], sequence(n))).collect();
        let written = kernel.db.write(move |tx| {
            let rows = rows.clone();
            Box::pin(async move { insert(tx, "bench_effects", rows).await })
        });
        written.await.expect("effects");
    }
    EVENTS as f64 / began.elapsed().as_secs_f64()
}
