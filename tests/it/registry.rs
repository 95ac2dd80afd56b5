//! The list of modules is validated as a whole before anything starts: every problem is named, at once.

use std::sync::Arc;

use async_graphql::{Object, SimpleObject};
use async_trait::async_trait;
use serde_json::json;
use tally::kernel::auth::{Access, Root};
use tally::kernel::config::{Form, Setting};
use tally::kernel::context::Kernel;
use tally::kernel::error::{Code, Result};
use tally::kernel::graphql::{NoFields, NodeKind};
use tally::kernel::integrity::{Check, Chunk, Drift, Key, Remedy};
use tally::kernel::module::{Module, ModuleDecl, Modules, Start};
use tally::modules::engagement::{Engagement, EngagementFacade};
use tally::modules::users::{Users, UsersFacade};

use crate::guestbook::Guestbook;
use crate::harness::{Backend, Options, TestApp, on_every_backend};

/// A module of which only what is said differs from nothing at all.
macro_rules! module {
    ($name:ident, $text:literal, query: $query:ty, viewer: $viewer:ty, { $($rest:item)* }) => {
        struct $name;

        impl Module for $name {
            type Query = $query;
            type Mutation = NoFields;
            type Subscription = NoFields;
            type Viewer = $viewer;

            const NAME: &'static str = $text;
            $($rest)*
        }
    };
}

const NONE: &[(Root, &str, Access)] = &[];

async fn idle(_: &mut Start<'_>) -> Result<()> {
    Ok(())
}

fn thing() -> Vec<NodeKind> {
    vec![NodeKind {
        access: tally::kernel::auth::Access::Anyone,
        prefix: "thing",
        register: <NoFields as async_graphql::OutputType>::create_type_info,
        load: |_, _| Box::pin(async { Ok(None) }),
    }]
}

struct NothingToCheck;

#[async_trait]
impl Check for NothingToCheck {
    fn module(&self) -> &'static str {
        "any"
    }
    fn name(&self) -> &'static str {
        "nothing"
    }
    fn remedy(&self) -> Remedy {
        Remedy::Advice("repairs come next")
    }

    async fn scan(&self, _: &Kernel, _: Option<Key>, _: usize) -> Result<Chunk> {
        Ok(Chunk { checked: 0, suspects: Vec::new(), next: None })
    }
    async fn confirm(&self, _: &Kernel, _: Key) -> Result<Vec<Drift>> {
        Ok(Vec::new())
    }
}

mod one {
    use super::{Object, SimpleObject};

    #[derive(SimpleObject)]
    pub(super) struct Thing {
        size: i32,
    }
    #[derive(Default)]
    pub(super) struct Query;
    #[Object(name = "OneQuery")]
    impl Query {
        async fn shared(&self) -> Thing {
            Thing { size: 1 }
        }
        async fn unruled(&self) -> i32 {
            1
        }
    }
    #[derive(Default)]
    pub(super) struct Viewer;
    #[Object(name = "OneViewer")]
    impl Viewer {
        async fn badge(&self) -> i32 {
            1
        }
    }
}

mod two {
    use super::{Object, SimpleObject};

    #[derive(SimpleObject)]
    pub(super) struct Thing {
        colour: String,
    }
    #[derive(Default)]
    pub(super) struct Query;
    #[Object(name = "TwoQuery")]
    impl Query {
        async fn shared(&self) -> Thing {
            Thing { colour: "red".into() }
        }
        async fn me(&self) -> i32 {
            2
        }
    }
    #[derive(Default)]
    pub(super) struct Viewer;
    #[Object(name = "TwoViewer")]
    impl Viewer {
        async fn badge(&self) -> i32 {
            2
        }
    }
}

module!(One, "one", query: one::Query, viewer: one::Viewer, {
    const DEPENDS_ON: &'static [&'static str] = &["nowhere"];
    const SETTINGS: &'static [Setting] =
        &[Setting { key: "server.one", alias: None, default: None, form: Form::Text, doc: "" }];
    const ACCESS: &'static [(Root, &'static str, Access)] =
        &[(Root::Query, "shared", Access::Anyone), (Root::Query, "ghost", Access::Anyone)];
    fn nodes() -> Vec<NodeKind> { thing() }
    fn checks() -> Vec<Arc<dyn Check>> { vec![Arc::new(NothingToCheck)] }
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

module!(Two, "two", query: two::Query, viewer: two::Viewer, {
    const ACCESS: &'static [(Root, &'static str, Access)] =
        &[(Root::Query, "shared", Access::Anyone), (Root::Query, "me", Access::Anyone)];
    fn nodes() -> Vec<NodeKind> { thing() }
    fn checks() -> Vec<Arc<dyn Check>> { vec![Arc::new(NothingToCheck)] }
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

module!(Hen, "hen", query: NoFields, viewer: NoFields, {
    const DEPENDS_ON: &'static [&'static str] = &["egg"];
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

module!(Egg, "egg", query: NoFields, viewer: NoFields, {
    const DEPENDS_ON: &'static [&'static str] = &["hen"];
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

// It uses users and does not say so.
module!(Sneak, "sneak", query: NoFields, viewer: NoFields, {
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { start.facade::<UsersFacade>().map(|_| ()) }
});

module!(Quiet, "quiet", query: NoFields, viewer: NoFields, {
    const DEPENDS_ON: &'static [&'static str] = &["engagement"];
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { start.facade::<EngagementFacade>().map(|_| ()) }
});

/// What an operator reads of a list that is refused.
fn refusal(list: Vec<ModuleDecl>) -> String {
    let Err(error) = Modules::new(list) else { panic!("the list was accepted") };
    assert_eq!(error.code(), Code::INTERNAL);
    error.cause().unwrap().to_owned()
}

#[test]
fn every_problem_of_a_list_is_named_at_once() {
    let list = vec![
        ModuleDecl::of::<One>(),
        ModuleDecl::of::<Two>(),
        ModuleDecl::of::<Hen>(),
        ModuleDecl::of::<Egg>(),
        ModuleDecl::of::<Egg>(),
    ];
    let refusal = refusal(list);
    for problem in [
        "module egg is declared by egg and by egg",
        "Query.shared is declared by one and by two",
        "Query.me is declared by kernel and by two",
        "Viewer.badge is declared by one and by two",
        "id prefix thing is declared by one and by two",
        "check nothing is declared by one and by two",
        "type Thing is declared by one",
        "one: Query.unruled does not say who may use it",
        "one: a rule for Query.ghost, which does not exist",
        "one: setting server.one is outside its section",
        "one depends on nowhere, which is not in the list",
        "dependencies go in a circle among: hen, egg, egg",
    ] {
        assert!(refusal.contains(problem), "«{problem}» is missing in:\n{refusal}");
    }
    assert_eq!(refusal.lines().count(), 1 + 12, "and nothing else:\n{refusal}");
    assert!(refusal.starts_with("12 wrong module(s):"), "{refusal}");
}

#[test]
fn the_shipped_list_and_any_order_of_it_are_accepted() {
    let forward = Modules::new(vec![ModuleDecl::of::<Users>(), ModuleDecl::of::<Engagement>()]);
    let backward = Modules::new(vec![ModuleDecl::of::<Engagement>(), ModuleDecl::of::<Users>()]);
    for modules in [forward, backward] {
        let order: Vec<_> =
            modules.map_err(|error| error.for_operator()).unwrap().list.iter().map(|m| m.name).collect();
        assert_eq!(order, ["users", "engagement"], "what others depend on starts first");
    }
}

tally::app! {
    /// Modules without subscriptions before, between and after those that have some.
    Mixed { Quiet, Users, Guestbook, Hush, Engagement, Last }
}

module!(Hush, "hush", query: NoFields, viewer: NoFields, {
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

module!(Last, "last", query: NoFields, viewer: NoFields, {
    const ACCESS: &'static [(Root, &'static str, Access)] = NONE;
    async fn start(start: &mut Start<'_>) -> Result<()> { idle(start).await }
});

on_every_backend!(
    modules_without_subscriptions_swallow_no_others,
    a_facade_that_is_not_declared_is_refused_at_the_start,
);

async fn modules_without_subscriptions_swallow_no_others(backend: Backend) {
    let app = TestApp::start_with::<Mixed>(backend, Options::default()).await;
    let visitor = app.user("visitor");
    let mut ranking = visitor.listen("subscription { hotRankingChanged { kind } }").await;
    assert_eq!(ranking.next().await, json!({ "hotRankingChanged": { "kind": null } }));
    let mut notes = visitor.listen("subscription { noteWritten { text } }").await;
    let write = "mutation { writeNote(text: \"hello\") { id } }";
    let heard = notes.next_while(async || drop(visitor.query(write).await)).await;
    assert_eq!(heard["data"], json!({ "noteWritten": { "text": "hello" } }));
    app.finish().await;
}

async fn a_facade_that_is_not_declared_is_refused_at_the_start(backend: Backend) {
    let app = TestApp::start(backend).await;
    let modules = Modules::new(vec![ModuleDecl::of::<Users>(), ModuleDecl::of::<Sneak>()]);
    let Err(error) = modules.map_err(|error| error.for_operator()).unwrap().start(&app.kernel).await else {
        panic!("it started");
    };
    assert_eq!(error.cause(), Some("sneak uses users and does not declare it in DEPENDS_ON"));

    let Err(error) = Modules::new(vec![ModuleDecl::of::<Sneak>()]).map_err(|_| ()).unwrap().start(&app.kernel).await
    else {
        panic!("it started");
    };
    assert!(error.cause().unwrap().starts_with("no module provides "), "{error:?}");
    app.finish().await;
}
