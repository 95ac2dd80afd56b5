//! A module for tests of events and jobs: it writes facts with events, consumers that do as the events say, and jobs.

mod consumers;
mod jobs;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, Object};
use sea_orm::{FromQueryResult, Statement, Value};
use sea_orm_migration::prelude::*;
use serde_json::json;
use tally::kernel::auth::{Access, Root};
use tally::kernel::config::{Form, Setting};
use tally::kernel::context::{FacadeExt as _, Kernel};
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::events::{Consumes, Event};
use tally::kernel::graphql::NoFields;
use tally::kernel::module::{Module, Start};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub(crate) use self::consumers::{KIND, OTHER_KIND};

tally::app! {
    /// tally with the courier.
    pub(crate) WithCourier {
        Courier,
        tally::modules::users::Users,
        tally::modules::engagement::Engagement,
    }
}

pub struct Courier;

impl Module for Courier {
    type Query = CourierQuery;
    type Mutation = NoFields;
    type Subscription = NoFields;
    type Viewer = NoFields;

    const NAME: &'static str = "courier";
    const SETTINGS: &'static [Setting] = &[
        Setting::new("courier.tick", Some("off"), Form::Schedule, "when the job `courier.tick` runs"),
        Setting::new("courier.slow", Some("off"), Form::Schedule, "when the job `courier.slow` runs"),
        Setting::new("courier.idle", Some("off"), Form::Schedule, "when the job `courier.idle` runs"),
        Setting::new("courier.long", Some("off"), Form::Schedule, "when the job `courier.long` runs"),
        Setting::new("courier.gated", Some("off"), Form::Schedule, "when the job `courier.gated` runs"),
        Setting::new("courier.moody", Some("off"), Form::Schedule, "when the job `courier.moody` runs"),
    ];
    const ACCESS: &'static [(Root, &'static str, Access)] = &[(Root::Query, "effects", Access::Anyone)];

    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(M0001Courier)]
    }

    fn consumers() -> Vec<Consumes> {
        consumers::ALL.to_vec()
    }

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let largest = Arc::new(AtomicUsize::new(0));
        for Consumes { consumer, .. } in consumers::ALL {
            let largest = Arc::clone(&largest);
            start.consumer(consumer, Arc::new(consumers::Recorder { name: consumer, largest }))?;
        }
        let gate = jobs::Gate::new();
        for job in jobs::all(&gate) {
            start.job(job).await?;
        }
        start.provide(CourierFacade(start.kernel.clone(), gate, largest))
    }
}

struct M0001Courier;

impl MigrationName for M0001Courier {
    fn name(&self) -> &str {
        "M0001Courier"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0001Courier {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let (id, serial) = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => ("uuid", "bigserial PRIMARY KEY"),
            _ => ("BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT"),
        };
        for sql in [
            format!("CREATE TABLE courier_keys (id {id} NOT NULL PRIMARY KEY, version bigint NOT NULL)"),
            // Without a unique key: an effect that comes twice is to be seen.
            format!(
                "CREATE TABLE courier_effects (n {serial}, consumer text NOT NULL, key {id} NOT NULL,
                 sequence bigint NOT NULL, attempt bigint NOT NULL)"
            ),
            format!(
                "CREATE TABLE courier_ticks (n {serial}, job text NOT NULL, tick bigint NOT NULL, chunk bigint NOT NULL)"
            ),
        ] {
            connection.execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}

/// One row of effects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, FromQueryResult)]
pub(crate) struct Effect {
    pub(crate) consumer: String,
    pub(crate) key: Uuid,
    pub(crate) sequence: i64,
    pub(crate) attempt: i64,
}

/// What a job wrote.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Ticked {
    pub(crate) tick: i64,
    pub(crate) chunk: i64,
}

/// The courier, for tests.
#[derive(Clone)]
pub struct CourierFacade(Kernel, jobs::Gate, Arc<AtomicUsize>);

impl CourierFacade {
    /// Writes `count` events of a key in one transaction, each with this payload. Its new version.
    pub(crate) async fn post(&self, key: Uuid, kind: &'static str, count: i64, payload: serde_json::Value) -> i64 {
        let kernel = self.0.clone();
        let ids: Vec<Uuid> = (0..count).map(|_| kernel.ids.next()).collect();
        let posted = self.0.db.write(move |tx| {
            let (kernel, ids, payload) = (kernel.clone(), ids.clone(), payload.clone());
            Box::pin(async move {
                let sql = "INSERT INTO courier_keys (id, version) VALUES ($1, $2)
                           ON CONFLICT (id) DO UPDATE SET version = courier_keys.version + excluded.version
                           RETURNING version";
                let version = number(tx, sql, [key.into(), count.into()]).await?;
                let now = kernel.clock.now();
                let events: Vec<Event> = (version - count + 1..=version)
                    .zip(ids)
                    .map(|(sequence, id)| Event { id, kind, key, sequence, at: now, payload: payload.clone() })
                    .collect();
                kernel.outbox.put(tx, &events).await?;
                Ok(version)
            })
        });
        let version = posted.await.expect("a fact");
        self.0.outbox.wake();
        version
    }

    /// Writes one event, and commits when it is let.
    pub(crate) async fn post_held(&self, key: Uuid, written: Arc<Semaphore>, commit: Arc<Semaphore>) {
        let kernel = self.0.clone();
        let id = kernel.ids.next();
        let posted = self.0.db.write(move |tx| {
            let (kernel, written, commit) = (kernel.clone(), Arc::clone(&written), Arc::clone(&commit));
            Box::pin(async move {
                let at = kernel.clock.now();
                let event = Event { id, kind: KIND, key, sequence: 1, at, payload: json!({}) };
                kernel.outbox.put(tx, &[event]).await?;
                written.add_permits(1);
                commit.acquire().await.expect("a gate").forget();
                Ok(())
            })
        });
        posted.await.expect("a fact");
    }

    /// One event that asks for nothing.
    pub(crate) async fn post_one(&self, key: Uuid) -> i64 {
        self.post(key, KIND, 1, json!({})).await
    }

    /// What the consumers wrote, in its order; of one consumer.
    pub(crate) async fn effects(&self, consumer: &str) -> Vec<Effect> {
        let sql = "SELECT consumer, key, sequence, attempt FROM courier_effects WHERE consumer = $1 ORDER BY n";
        let statement = Statement::from_sql_and_values(self.0.backend(), sql, [consumer.into()]);
        Effect::find_by_statement(statement).all(self.0.db.reader()).await.expect("effects")
    }

    /// The sequences of a key that a consumer saw, in its order.
    pub(crate) async fn seen(&self, consumer: &str, key: Uuid) -> Vec<i64> {
        let effects = self.effects(consumer).await;
        effects.into_iter().filter(|effect| effect.key == key).map(|effect| effect.sequence).collect()
    }

    /// What a job wrote, in its order.
    pub(crate) async fn ticks(&self, job: &str) -> Vec<Ticked> {
        let sql = "SELECT tick, chunk FROM courier_ticks WHERE job = $1 ORDER BY n";
        let statement = Statement::from_sql_and_values(self.0.backend(), sql, [job.into()]);
        Ticked::find_by_statement(statement).all(self.0.db.reader()).await.expect("ticks")
    }

    /// Where `courier.gated` waits.
    pub(crate) fn gate(&self) -> &jobs::Gate {
        &self.1
    }

    /// How many events a consumer was given at once at most.
    pub(crate) fn largest_batch(&self) -> usize {
        self.2.load(Ordering::Relaxed)
    }

    /// A number of the kernel's tables.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.0.backend(), sql);
        let found = Number::find_by_statement(statement).one(self.0.db.reader()).await.expect("a number");
        found.expect("a row").n
    }
}

#[derive(FromQueryResult)]
struct Number {
    n: i64,
}

/// Runs a statement that returns `version`.
async fn number(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Version {
        version: i64,
    }
    let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
    let found = Version::find_by_statement(statement).one(tx.connection()).await?;
    found.map(|row| row.version).ok_or_else(|| Error::internal("no row"))
}

#[derive(Default)]
pub struct CourierQuery;

#[Object]
impl CourierQuery {
    /// How many effects a consumer has.
    async fn effects(&self, ctx: &Context<'_>, consumer: String) -> Result<i64> {
        let effects = ctx.facade::<CourierFacade>()?.effects(&consumer).await;
        Ok(effects.len() as i64)
    }
}
