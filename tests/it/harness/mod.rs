//! A server a test, on a database of its own. At the end the harness checks that every number tallies, whatever the
//! test was about, and that the server stops.

mod client;
mod database;
mod issuer;
mod process;
mod proxy;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tally::app::{App, Tally};
use tally::kernel::auth::{Role, Tokens};
use tally::kernel::clock::{Clock, ManualClock, Millis, SystemClock};
use tally::kernel::config::Settings;
use tally::kernel::context::{Facades, Kernel};
use tally::kernel::id::Ids;
use tally::kernel::module::Modules;
use tally::server::{Auditor, Server};

pub(crate) use client::{Answer, Client, Listener, http, unnamed};
pub(crate) use database::{Backend, TestDatabase};
pub(crate) use issuer::{Issuer, Key, Says};
pub(crate) use process::{Process, command, run};
pub(crate) use proxy::LossyProxy;
pub(crate) use wire::Wire;

/// Long enough to be taken.
pub(crate) const SECRET: &str = "a secret of the tests, 32 characters or more";

/// 2026-01-01T00:00:00Z: where manual clocks begin.
pub(crate) const START: Millis = Millis(1_767_225_600_000);

/// Declares tests that run on every backend: `async fn(Backend)`.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::harness::ends(super::$name($crate::harness::Backend::Sqlite)).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::harness::ends(super::$name($crate::harness::Backend::Postgres)).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_backend;

/// Fails a test that hangs, which would else keep the whole run from its end; far from what any test takes.
pub(crate) async fn ends(test: impl Future<Output = ()>) {
    let patience = Duration::from_secs(900) * rounds(1);
    tokio::time::timeout(patience, test).await.expect("the test hangs");
}

/// What a test may set.
#[derive(Default)]
pub(crate) struct Options {
    /// Settings, as flags.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Settings of the harness that are not to be set.
    pub(crate) without: Vec<&'static str>,
    /// A clock that the test moves; the system's when left out.
    pub(crate) clock: Option<Arc<ManualClock>>,
}

impl Options {
    #[expect(clippy::needless_pass_by_value, reason = "reads better with literals")]
    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.settings.push((key, value.to_string()));
        self
    }

    pub(crate) fn without(mut self, key: &'static str) -> Self {
        self.without.push(key);
        self
    }

    pub(crate) fn at(mut self, clock: &Arc<ManualClock>) -> Self {
        self.clock = Some(Arc::clone(clock));
        self
    }
}

/// A running server.
pub(crate) struct TestApp {
    pub(crate) kernel: Kernel,
    pub(crate) facades: Arc<Facades>,
    pub(crate) url: String,
    tokens: Tokens,
    auditor: Auditor,
    serving: tokio::task::JoinHandle<tally::kernel::error::Result<()>>,
    pub(crate) database: TestDatabase,
}

impl TestApp {
    /// tally as it is shipped.
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::start_with::<Tally>(backend, Options::default()).await
    }

    /// Any list of modules.
    pub(crate) async fn start_with<A: App>(backend: Backend, options: Options) -> Self {
        let database = TestDatabase::create(backend).await;
        Self::start_on::<A>(database, options).await
    }

    /// On a database that is there already.
    pub(crate) async fn start_on<A: App>(database: TestDatabase, options: Options) -> Self {
        let settings = settings::<A>(&database, options.settings, &options.without);
        let clock: Arc<dyn Clock> = match options.clock {
            Some(clock) => clock,
            None => Arc::new(SystemClock),
        };
        let ids = Arc::new(Ids::new(Arc::clone(&clock)));
        let server = Server::start::<A>(settings, clock, ids).await.expect("the server starts");
        Self {
            kernel: server.kernel.clone(),
            facades: Arc::clone(&server.facades),
            url: format!("http://{}", server.listening.address),
            tokens: server.tokens.clone(),
            auditor: server.auditor(),
            serving: tokio::spawn(server.serve(axum::Router::new())),
            database,
        }
    }

    /// A client that speaks for a subject.
    pub(crate) fn client(&self, subject: &str, roles: &[Role]) -> Client {
        Client::new(&self.url, Some(self.token(subject, roles, 3600)))
    }

    /// A client that speaks for a plain user.
    pub(crate) fn user(&self, subject: &str) -> Client {
        self.client(subject, &[Role::User])
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(&self.url, None)
    }

    pub(crate) fn token(&self, subject: &str, roles: &[Role], life_secs: i64) -> String {
        self.tokens.mint(subject, roles, life_secs).expect("a token")
    }

    /// How many tokens the server has verified by their signature.
    pub(crate) fn verified(&self) -> u64 {
        self.tokens.verified()
    }

    pub(crate) fn facade<T: Clone + Send + Sync + 'static>(&self) -> T {
        self.facades.get::<T>().expect("a facade").1.clone()
    }

    /// Delivers the events and runs the jobs that are due by the clock, and what comes of them, until nothing is left.
    pub(crate) async fn settle(&self) {
        loop {
            let delivered = self.kernel.outbox.deliver_all().await.expect("events are delivered");
            let runs = self.kernel.jobs.run_due().await.expect("jobs run");
            if delivered + runs == 0 {
                return;
            }
        }
    }

    /// The checks that found something, with its first example.
    pub(crate) async fn drifts(&self) -> Vec<(&'static str, u64, String)> {
        let reports = self.auditor.run().await.expect("the checks run").into_iter();
        let drifted = reports.filter(|report| report.drifted > 0);
        drifted.map(|report| (report.name, report.drifted, report.examples[0].field.clone())).collect()
    }

    /// Fails the test if any number does not tally.
    pub(crate) async fn audit(&self) {
        for report in self.auditor.run().await.expect("the checks run") {
            assert_eq!(report.drifted, 0, "{} drifted: {:#?}", report.name, report.examples);
        }
    }

    /// The checks that find a drift, for tests that plant one.
    pub(crate) async fn drifted(&self) -> Vec<&'static str> {
        let reports = self.auditor.run().await.expect("the checks run");
        reports.into_iter().filter(|report| report.drifted > 0).map(|report| report.name).collect()
    }

    /// One number that a statement selects.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let statement = sea_orm::Statement::from_string(self.kernel.backend(), sql);
        let rows = self.kernel.db.query(statement).await.expect("the statement runs");
        rows[0].try_get_by_index(0).expect("a number")
    }

    /// Audits, stops, and drops the database.
    pub(crate) async fn finish(self) {
        self.stop().await.remove().await;
    }

    /// Audits and stops; the database stays.
    pub(crate) async fn stop(self) -> TestDatabase {
        self.audit().await;
        self.stop_unaudited().await
    }

    /// Stops whatever is under way.
    pub(crate) async fn stop_unaudited(self) -> TestDatabase {
        let Self { kernel, facades, auditor, serving, database, .. } = self;
        kernel.shutdown.cancel();
        drop((facades, auditor, kernel));
        serving.await.expect("the server ends").expect("the server ends well");
        database
    }
}

fn settings<A: App>(database: &TestDatabase, given: Vec<(&'static str, String)>, without: &[&str]) -> Settings {
    let mut flags = vec![
        ("database.url", database.url.clone()),
        ("auth.secret", SECRET.to_owned()),
        ("server.listen", "127.0.0.1:0".to_owned()),
        ("server.shutdown_secs", "10".to_owned()),
        ("engagement.live_interval_ms", "20".to_owned()),
        // Tests count statements; those of recalculations set theirs.
        ("engagement.settings_poll_ms", "3600000".to_owned()),
        // Nothing in the background: clocks are moved and statements counted. `TestApp::settle` does what is due.
        ("worker.enabled", "false".to_owned()),
        ("integrity.check", "off".to_owned()),
        ("integrity.repair", "off".to_owned()),
        // Clocks are moved by days while events wait; tests of the outbox leave some set aside.
        ("integrity.outbox_secs", "0".to_owned()),
        ("nodes.heartbeat_secs", "3600".to_owned()),
        // Tests hammer, all from one address; those of the limits set theirs.
        ("limits.rate_anonymous", "0".to_owned()),
        ("limits.rate_user", "0".to_owned()),
    ];
    flags.retain(|(key, _)| !without.contains(key));
    let list = Modules::new(A::modules()).expect("modules that fit").settings();
    flags.extend(given.into_iter().filter(|(key, _)| list.iter().any(|setting| setting.key == *key)));
    flags.retain(|(key, _)| list.iter().any(|setting| setting.key == *key));
    Settings::read(&list, None, &BTreeMap::new(), &flags).expect("settings of their forms")
}

/// A random schedule whose seed is printed when the test fails; `TALLY_TEST_SEED` repeats one.
pub(crate) struct Seeded {
    pub(crate) seed: u64,
    pub(crate) random: StdRng,
}

impl Seeded {
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("TALLY_TEST_SEED") {
            Ok(seed) => seed.parse().expect("TALLY_TEST_SEED is a number"),
            Err(_) => rand::random(),
        };
        Self { seed, random: StdRng::seed_from_u64(seed) }
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with TALLY_TEST_SEED={}", self.seed);
        }
    }
}

/// How many rounds a random test makes: few in `make test`, many in `make soak`.
pub(crate) fn rounds(usual: u32) -> u32 {
    std::env::var("TALLY_TEST_SOAK")
        .map_or(usual, |factor| usual * factor.parse::<u32>().expect("TALLY_TEST_SOAK is a number"))
}
