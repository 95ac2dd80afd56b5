//! A server with a clock that stands still, so that scores are sums of weights, and `tally recalculate` beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::ManualClock;

use crate::harness::{Backend, Options, SECRET, START, TestApp, TestDatabase, run};

pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) clock: Arc<ManualClock>,
    /// What was done to the one content, by field of the weight.
    pub(super) acts: Vec<&'static str>,
    users: usize,
}

impl Stage {
    pub(super) async fn new(backend: Backend, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(backend, options.at(&clock)).await;
        Self { app, clock, acts: vec!["publishWeight"], users: 0 }
    }

    /// Starts anew with other settings.
    pub(super) async fn again(self, settings: &[(&'static str, String)]) -> Self {
        let Self { app, clock, acts, users } = self;
        let database = app.stop().await;
        let options = Options { settings: settings.to_vec(), ..Options::default() }.at(&clock);
        Self { app: TestApp::start_on::<Tally>(database, options).await, clock, acts, users }
    }

    /// Two of every act.
    pub(super) async fn busy(&mut self, id: &str) {
        for verb in ["like", "favorite", "comment", "share", "view"].repeat(2) {
            self.act(verb, id).await;
        }
    }

    /// An act of somebody new.
    pub(super) async fn act(&mut self, verb: &str, id: &str) {
        self.users += 1;
        let user = self.app.user(&format!("user {}", self.users));
        let (query, weight) = match verb {
            "like" => ("mutation ($id: ID!) { like(contentId: $id) { changed } }", "likeWeight"),
            "favorite" => ("mutation ($id: ID!) { favorite(contentId: $id) { changed } }", "favoriteWeight"),
            "comment" => ("mutation ($id: ID!) { comment(contentId: $id, body: \"x\") { changed } }", "commentWeight"),
            "share" => ("mutation ($id: ID!) { share(contentId: $id, channel: LINK) { changed } }", "shareWeight"),
            _ => ("mutation ($id: ID!) { recordViews(contentIds: [$id]) { counted } }", "viewWeight"),
        };
        user.run(query, json!({ "id": id })).await.data();
        self.acts.push(weight);
    }

    pub(super) async fn hotness(&self, id: &str) -> Value {
        let query = "query ($id: ID!) { artwork(id: $id) { hotness { score level rank
            history(first: 100) { score level calculationMethod } } } }";
        self.app.anonymous().run(query, json!({ "id": id })).await.data()["artwork"]["hotness"].clone()
    }

    pub(super) async fn score(&self, id: &str) -> f64 {
        self.hotness(id).await["score"].as_f64().expect("a score")
    }
}

/// The model's weights.
pub(super) struct Weights(Vec<(&'static str, f64)>);

impl Default for Weights {
    fn default() -> Self {
        Self(vec![
            ("publishWeight", 10.0),
            ("likeWeight", 2.0),
            ("favoriteWeight", 5.0),
            ("commentWeight", 3.0),
            ("shareWeight", 8.0),
            ("viewWeight", 0.1),
            ("warmFrom", 20.0),
            ("hotFrom", 50.0),
            ("blazingFrom", 100.0),
        ])
    }
}

impl Weights {
    pub(super) fn set(&mut self, field: &str, value: f64) {
        self.0.iter_mut().filter(|(name, _)| *name == field).for_each(|(_, weight)| *weight = value);
    }

    pub(super) fn get(&self, field: &str) -> f64 {
        self.0.iter().find(|(name, _)| *name == field).map_or(0.0, |(_, weight)| *weight)
    }

    /// The clock stands still at the start of an hour: nothing fades.
    pub(super) fn score(&self, acts: &[&str]) -> f64 {
        acts.iter().map(|act| self.get(act)).sum()
    }

    pub(super) fn level(&self, score: f64) -> &'static str {
        match score {
            score if score >= self.get("blazingFrom") => "BLAZING",
            score if score >= self.get("hotFrom") => "HOT",
            score if score >= self.get("warmFrom") => "WARM",
            _ => "NEW",
        }
    }
}

pub(super) async fn settings_of(app: &TestApp) -> Value {
    let fields = "version halfLifeHours likeWeight favoriteWeight commentWeight shareWeight viewWeight publishWeight
        warmFrom hotFrom blazingFrom";
    let query = format!(
        "{{ hotnessSettings {{ {fields} recalculationDue pending {{ {fields} }}
            recalculation {{ version succeeded failed startedAt }} }} }}"
    );
    app.client("operator", &[Role::Operator]).query(&query).await.data()["hotnessSettings"].clone()
}

/// Status, output and errors of a command.
pub(super) async fn outcome(
    database: &TestDatabase,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> (i32, String, String) {
    let own = [("DATABASE_URL", &*database.url), ("TALLY_AUTH_SECRET", SECRET), ("TALLY_LOG", "error")];
    let environment: Vec<_> = own.iter().chain(settings).copied().collect();
    run(arguments, &environment, tempfile::tempdir().unwrap().path()).await
}

/// `tally recalculate --json` with more arguments: status, output and errors.
pub(super) async fn recalculate_with(
    database: &TestDatabase,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> (i32, String, String) {
    let arguments: Vec<_> = ["recalculate", "--json"].iter().chain(arguments).copied().collect();
    outcome(database, settings, &arguments).await
}

/// The same, with its report.
pub(super) async fn recalculate(
    database: &TestDatabase,
    settings: &[(&str, &str)],
    arguments: &[&str],
) -> (i32, Value, String) {
    let (status, output, errors) = recalculate_with(database, settings, arguments).await;
    (status, serde_json::from_str(&output).unwrap_or_else(|_| panic!("{status} {output} {errors}")), errors)
}

/// Columns with their types, and the columns of each index, of a table.
pub(super) async fn shape(app: &TestApp, table: &str) -> BTreeSet<String> {
    let backend = app.kernel.backend();
    let queries: &[&str] = match backend {
        DbBackend::Postgres => &[
            "SELECT column_name || ' ' || data_type || ' ' || is_nullable AS line FROM information_schema.columns
             WHERE table_name = $1",
            "SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') AS line
             FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname = $1",
        ],
        _ => &[
            "SELECT name || ' ' || type || ' ' || \"notnull\" AS line FROM pragma_table_info($1)",
            "SELECT coalesce((SELECT group_concat(coalesce(x.name, 'expression'), ', ') FROM pragma_index_info(i.name) x), '')
             || i.\"unique\" || coalesce((SELECT substr(m.sql, instr(m.sql, '(')) FROM sqlite_master m WHERE m.name = i.name), '')
             AS line FROM pragma_index_list($1) i",
        ],
    };
    let mut lines = BTreeSet::new();
    for query in queries {
        let statement = Statement::from_sql_and_values(backend, *query, [table.into()]);
        for row in app.kernel.db.reader().query_all_raw(statement).await.expect("the schema") {
            lines.insert(row.try_get::<String>("", "line").expect("a line"));
        }
    }
    lines
}

/// How many rows a table has.
pub(super) async fn count(app: &TestApp, table: &str) -> i64 {
    let statement = Statement::from_string(app.kernel.backend(), format!("SELECT count(*) AS n FROM {table}"));
    let rows = app.kernel.db.reader().query_all_raw(statement).await.expect("a count");
    rows[0].try_get("", "n").expect("a number")
}
