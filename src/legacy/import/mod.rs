//! `tally import`: takes another system's tables over, while servers run.
//!
//! One table after the other, in chunks, a transaction each. Who runs it again finds everything by its external id and by
//! (content, user, kind): nothing doubles, and what was cut off is gone on with. Memory does not grow with the tables.

mod acts;
mod behaviors;
mod contents;
mod people;
mod points;
mod report;

use std::time::{Duration, Instant};

use chrono::FixedOffset;
use uuid::Uuid;

pub use points::Differences;
pub use report::{Dropped, Report, Table};

use super::map::Mapping;
use super::moment;
use super::spec::{ARTWORKS, BEHAVIORS, FAVORITES, LIKES, USERS, VIDEOS};
use super::store::{Schema, Source};
use crate::kernel::clock::Millis;
use crate::kernel::context::Kernel;
use crate::kernel::error::{Error, Result};
use crate::modules::engagement::importing::Importer;

/// Rows in one transaction, about.
const CHUNK: usize = 1_000;
/// How often servers are told to look at their rankings, at most.
const ANNOUNCED: Duration = Duration::from_secs(5);
/// Whose the works are whose author nobody knows.
const NOBODY: &str = "tally-import";

/// How to import.
pub struct Options<'a> {
    /// Other names, and what values mean.
    pub mapping: &'a Mapping,
    /// Examples of each reason to leave rows behind.
    pub examples: usize,
    /// What becomes of balances that their transactions do not add up to.
    pub differences: Differences,
    /// Hears how many rows were read so far, and of which table.
    pub heard: &'a (dyn Fn(&str, u64) + Sync),
}

/// Takes over what is there of the tables. Returns what came over, and what ended it before its end, if anything did: what
/// was taken over by then stays, and a second run goes on.
///
/// # Errors
/// None of the tables is there, no permission, the databases' own, before anything was read.
pub async fn run(kernel: &Kernel, source: &mut Source, options: &Options<'_>) -> Result<(Report, Option<Error>)> {
    let schema = Schema::read(source, options.mapping).await?;
    let report = Report {
        source: source.name().to_owned(),
        failure: None,
        dry_run: false,
        absent: schema.absent.clone(),
        tables: Vec::new(),
        dropped: Vec::new(),
        altered: Vec::new(),
        notes: Vec::new(),
    };
    let mut run = Run {
        kernel,
        importer: Importer::open(kernel).await?,
        schema: &schema,
        options,
        offset: options.mapping.offset()?,
        now: kernel.clock.now(),
        report,
        announced: Instant::now(),
        nobody: None,
    };
    match run.all(source).await {
        Err(error) if run.report.tables.is_empty() => Err(error),
        ended => Ok((run.report, ended.err())),
    }
}

/// An import under way.
struct Run<'a> {
    kernel: &'a Kernel,
    importer: Importer,
    schema: &'a Schema,
    options: &'a Options<'a>,
    offset: FixedOffset,
    now: Millis,
    report: Report,
    announced: Instant,
    /// [`NOBODY`], once it is needed for points.
    nobody: Option<Uuid>,
}

impl Run<'_> {
    /// One table after the other.
    async fn all(&mut self, source: &mut Source) -> Result<()> {
        let schema = self.schema;
        if schema.table(USERS).is_some() {
            self.users(source).await?;
        }
        if let Some(table) = schema.table(ARTWORKS) {
            self.artworks(source, table).await?;
        }
        for (spec, kind) in [(LIKES, acts::LIKE), (FAVORITES, acts::FAVORITE)] {
            if let Some(table) = schema.table(spec) {
                self.relation(source, table, kind).await?;
            }
        }
        if let Some(table) = schema.table(VIDEOS).filter(|_| schema.table(BEHAVIORS).is_some()) {
            self.videos(source, table).await?;
        }
        if let Some(table) = schema.table(BEHAVIORS) {
            self.behaviors(source, table).await?;
        }
        self.importer.announce().await?;
        self.points(source).await
    }

    /// What a text says of a moment that has passed; why not, otherwise.
    fn moment(&self, text: Option<&str>) -> Result<Millis, &'static str> {
        let text = text.ok_or("there is no time")?;
        let at = moment::parse(text, self.offset).ok_or("the time is none")?;
        if at > self.now { Err("the time has not come yet") } else { Ok(at) }
    }

    fn drop(&mut self, table: &'static str, reason: &str, rows: u64, example: String) {
        self.report.drop(table, reason, rows, self.options.examples, example);
    }

    /// Notes rows that were read.
    fn read(&mut self, table: &'static str, rows: u64) {
        let held = self.report.table(table);
        held.rows += rows;
        (self.options.heard)(table, held.rows);
    }

    /// Lets servers see what is new.
    async fn announce(&mut self) -> Result<()> {
        if self.announced.elapsed() < ANNOUNCED {
            return Ok(());
        }
        self.announced = Instant::now();
        self.importer.announce().await
    }

    fn artwork_id(&self, id: &str) -> String {
        format!("{}{id}", self.options.mapping.artwork_prefix())
    }

    fn video_id(&self, id: &str) -> String {
        let beside_artworks = self.schema.table(ARTWORKS).is_some();
        format!("{}{id}", self.options.mapping.video_prefix(beside_artworks))
    }
}
