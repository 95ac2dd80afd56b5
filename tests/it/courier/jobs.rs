//! Jobs: one that notes its tick, one that takes its time, one that fails now and then, one whose probe finds nothing.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::Statement;
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::jobs::{Job, JobRun};
use tokio::sync::Semaphore;

/// Where the job `courier.gated` waits in the middle.
#[derive(Clone)]
pub(crate) struct Gate {
    begun: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a run is in the middle.
    pub(crate) async fn begun(&self) {
        self.begun.acquire().await.expect("a gate").forget();
    }

    /// Lets one run go on.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}

pub(super) fn all(gate: &Gate) -> Vec<Job> {
    let gate = gate.clone();
    vec![
        // It never asks whether it may go on.
        Job::new("courier.gated", "courier.gated", move |run: JobRun| {
            let gate = gate.clone();
            async move {
                note(&run, "courier.gated", 0).await?;
                gate.begun.add_permits(1);
                gate.open.acquire().await.expect("a gate").forget();
                note(&run, "courier.gated", 1).await?;
                Ok("through".to_owned())
            }
        }),
        Job::new("courier.tick", "courier.tick", |run: JobRun| async move {
            note(&run, "courier.tick", 0).await?;
            Ok("noted".to_owned())
        }),
        // Its transaction takes longer than a third of a lease of one second.
        Job::new("courier.slow", "courier.slow", |run: JobRun| async move {
            let tick = run.tick.0;
            let slow = run.write(move |tx| {
                Box::pin(async move {
                    for chunk in 0..4 {
                        insert(tx, "courier.slow", tick, chunk).await?;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    Ok(())
                })
            });
            slow.await?;
            Ok("slowly".to_owned())
        }),
        Job::new("courier.idle", "courier.idle", |run: JobRun| async move {
            note(&run, "courier.idle", 0).await?;
            Ok("asked for".to_owned())
        })
        .when(|_| async { Ok(false) }),
        Job::new("courier.long", "courier.long", |run: JobRun| async move {
            for chunk in 0..40 {
                note(&run, "courier.long", chunk).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                run.go_on().await?;
            }
            Ok("40 chunks".to_owned())
        }),
        Job::new("courier.moody", "courier.moody", |run: JobRun| async move {
            note(&run, "courier.moody", 0).await?;
            let second = run.tick.0 / 1000;
            assert!(second % 3 != 1, "in a bad mood");
            if second % 3 == 0 { Err(Error::conflict("not now")) } else { Ok("fine".to_owned()) }
        }),
    ]
}

async fn note(run: &JobRun, job: &'static str, chunk: i64) -> Result<()> {
    let tick = run.tick.0;
    run.write(move |tx| Box::pin(insert(tx, job, tick, chunk))).await
}

async fn insert(tx: &Tx, job: &'static str, tick: i64, chunk: i64) -> Result<()> {
    let sql = "INSERT INTO courier_ticks (job, tick, chunk) VALUES ($1, $2, $3)";
    let values = [job.into(), tick.into(), chunk.into()];
    tx.execute(Statement::from_sql_and_values(tx.backend(), sql, values)).await?;
    Ok(())
}
