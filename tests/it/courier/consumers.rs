//! Consumers that do as the payload says: `fail` so many tries, `panic`, `hang`, take `slow_ms` in the transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::Statement;
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};

pub(crate) const KIND: &str = "courier.posted";
pub(crate) const OTHER_KIND: &str = "courier.stamped";

pub(super) const ALL: &[Consumes] = &[
    Consumes { consumer: "careful", kinds: &[KIND, OTHER_KIND] },
    // Every event fails with it, every time.
    Consumes { consumer: "hopeless", kinds: &[OTHER_KIND] },
];

pub(super) struct Recorder {
    pub(super) name: &'static str,
    /// Events of the largest batch so far.
    pub(super) largest: Arc<AtomicUsize>,
}

impl Consumer for Recorder {
    fn consume<'a>(&'a self, tx: &'a Tx, events: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        self.largest.fetch_max(events.len(), Ordering::Relaxed);
        Box::pin(async move {
            for event in events {
                // The effect first: a failure must take it back.
                let sql = "INSERT INTO courier_effects (consumer, key, sequence, attempt) VALUES ($1, $2, $3, $4)";
                let values = [self.name.into(), event.key.into(), event.sequence.into(), event.attempt.into()];
                tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?;
                if let Some(millis) = event.payload["slow_ms"].as_u64() {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                if event.payload["hang"] == true {
                    std::future::pending::<()>().await;
                }
                let fails = event.payload["fail"].as_i64().unwrap_or(0);
                if self.name == "hopeless" || event.attempt <= fails {
                    return Err(Error::conflict("no thanks").caused_by(format!("try {}", event.attempt)));
                }
                assert!(event.payload["panic"].is_null(), "told to");
            }
            Ok(None)
        })
    }
}
