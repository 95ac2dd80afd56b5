//! What a list of modules may say of consumers and jobs: every problem is named before anything is served.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tally::kernel::auth::{Access, Root};
use tally::kernel::clock::{Clock, SystemClock};
use tally::kernel::config::{Form, Setting, Settings};
use tally::kernel::context::Kernel;
use tally::kernel::db::Tx;
use tally::kernel::error::{Error, Result};
use tally::kernel::events::{AfterCommit, Consumer, Consumes, Delivered};
use tally::kernel::graphql::NoFields;
use tally::kernel::id::Ids;
use tally::kernel::jobs::{Job, JobRun};
use tally::kernel::module::{Module, ModuleDecl, Modules, Start};

use crate::courier::Courier;
use crate::harness::{Backend, TestDatabase};

struct Deaf;

impl Consumer for Deaf {
    fn consume<'a>(&'a self, _: &'a Tx, _: &'a [Delivered]) -> BoxFuture<'a, Result<AfterCommit>> {
        Box::pin(async { Ok(None) })
    }
}

/// A module with these consumers, that starts like this.
macro_rules! module {
    ($name:ident, $text:literal, $consumers:expr, |$start:ident| $starts:expr) => {
        struct $name;

        impl Module for $name {
            type Query = NoFields;
            type Mutation = NoFields;
            type Subscription = NoFields;
            type Viewer = NoFields;

            const NAME: &'static str = $text;
            const ACCESS: &'static [(Root, &'static str, Access)] = &[];
            const SETTINGS: &'static [Setting] = &[
                Setting::new(concat!($text, ".due"), Some("off"), Form::Schedule, "when it is due"),
                Setting::new(concat!($text, ".words"), Some("soon"), Form::Text, "any words"),
            ];

            fn consumers() -> Vec<Consumes> {
                $consumers
            }

            async fn start($start: &mut Start<'_>) -> Result<()> {
                $starts
            }
        }
    };
}

fn job(name: &'static str, schedule: &'static str) -> Job {
    Job::new(name, schedule, |_: JobRun| async { Ok(String::new()) })
}

module!(Copycat, "copycat", vec![Consumes { consumer: "careful", kinds: &["x.y"] }], |_start| Ok(()));
module!(Idle, "idle", vec![Consumes { consumer: "idle", kinds: &[] }], |_start| Ok(()));
module!(Twice, "twice", vec![Consumes { consumer: "twice", kinds: &["x.y", "x.y"] }], |_start| Ok(()));
module!(Silent, "silent", vec![Consumes { consumer: "silent", kinds: &["x.y"] }], |_start| Ok(()));
module!(Sudden, "sudden", vec![], |start| start.consumer("sudden", Arc::new(Deaf)));
module!(Outside, "outside", vec![], |start| start.job(job("outside.x", "jobs.retention")).await);
module!(Foreign, "foreign", vec![], |start| start.job(job("courier.x", "foreign.due")).await);
module!(Wordy, "wordy", vec![], |start| start.job(job("wordy.x", "wordy.words")).await);
module!(Unset, "unset", vec![], |start| start.job(job("unset.x", "unset.nothing")).await);
module!(Double, "double", vec![], |start| {
    start.job(job("double.x", "double.due")).await?;
    start.job(job("double.x", "double.due")).await
});

fn problems(list: Vec<ModuleDecl>) -> String {
    Modules::new(list).map(drop).expect_err("a problem").for_operator()
}

#[test]
fn consumers_have_names_of_their_own_and_kinds() {
    let said = problems(vec![
        ModuleDecl::of::<Courier>(),
        ModuleDecl::of::<Copycat>(),
        ModuleDecl::of::<Idle>(),
        ModuleDecl::of::<Twice>(),
    ]);
    for problem in [
        "3 wrong module(s)",
        "consumer careful is declared by courier and by copycat",
        "idle: consumer idle takes no kind, or one twice",
        "twice: consumer twice takes no kind, or one twice",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
}

/// Starts one module on a database of its own.
async fn start<M: Module>() -> Result<(), Error> {
    let database = TestDatabase::create(Backend::Sqlite).await;
    let modules = Modules::new(vec![ModuleDecl::of::<M>()])?;
    let flags = [("database.url", database.url.clone())];
    let settings = Settings::read(&modules.settings(), None, &Default::default(), &flags)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::new(Arc::clone(&clock)));
    let kernel = Kernel::open(settings, clock, ids).await?;
    kernel.db.migrate(&modules.migrations()).await?;
    let started = modules.start(&kernel).await.map(drop);
    database.remove().await;
    started
}

#[tokio::test]
async fn consumers_and_jobs_are_what_the_module_declares() {
    let said = |result: Result<(), Error>| result.expect_err("refused").for_operator();
    for (result, problem) in [
        (start::<Silent>().await, "silent declares consumer silent and does not start it"),
        (start::<Sudden>().await, "sudden starts consumer sudden and does not declare it"),
        (start::<Outside>().await, "job outside.x with schedule jobs.retention is outside outside"),
        (start::<Foreign>().await, "job courier.x with schedule foreign.due is outside foreign"),
        (start::<Wordy>().await, "wordy.words: must be off or a cron expression"),
        (start::<Unset>().await, "unset.nothing: must be off or a cron expression"),
        (start::<Double>().await, "job double.x is started twice"),
    ] {
        let said = said(result);
        assert!(said.contains(problem), "{problem}: {said}");
    }
    start::<Courier>().await.expect("nothing is wrong with it");
}
