//! One execution for equal listeners, and never one for listeners that differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_graphql::{Context, Object, Subscription};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tally::kernel::auth::{Access, Role, Root, Session};
use tally::kernel::context::FacadeExt as _;
use tally::kernel::error::{Code, Error, Result};
use tally::kernel::graphql::{NoFields, shared};
use tally::kernel::live::{Conflate, Live, Tick};
use tally::kernel::module::{Module, Start};
use tokio_stream::wrappers::BroadcastStream;

use crate::harness::{Backend, Listener, Options, TestApp, on_every_backend};
use crate::probe::until;

on_every_backend!(what_a_viewer_did_is_told_to_that_viewer_only, equal_listeners_hear_the_same_of_contents);

tally::app! {
    /// tally with a bell.
    Belled { Bell, tally::modules::users::Users }
}

/// A module whose executions can be counted.
struct Bell;

impl Module for Bell {
    type Query = NoFields;
    type Mutation = NoFields;
    type Subscription = BellSubscription;
    type Viewer = NoFields;

    const NAME: &'static str = "bell";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[
        (Root::Subscription, "rung", Access::Anyone),
        (Root::Subscription, "rungForTeachers", Access::Roles(&[Role::Teacher])),
    ];

    async fn start(start: &mut Start<'_>) -> Result<()> {
        let (tasks, shutdown) = (start.kernel.tasks.clone(), start.kernel.shutdown.clone());
        let live = Live::start(Duration::from_millis(20), &tasks, shutdown);
        start.provide(BellFacade(Arc::new(Inner {
            live,
            listening: AtomicUsize::new(0),
            executed: AtomicUsize::new(0),
        })))
    }
}

#[derive(Clone)]
struct BellFacade(Arc<Inner>);

struct Inner {
    live: Arc<Live<Tone>>,
    listening: AtomicUsize,
    executed: AtomicUsize,
}

#[derive(Clone)]
struct Tone(i32);

impl Conflate for Tone {
    type Key = i32;
    type Topic = ();

    fn key(&self) -> i32 {
        self.0
    }

    fn topic(&self) {}

    fn absorb(&mut self, _: Self) {}
}

impl BellFacade {
    fn ring(&self, tone: i32) {
        self.0.live.publish([Tone(tone)]);
    }

    async fn heard_by(&self, listeners: usize) {
        until("all listen", || self.0.listening.load(Ordering::SeqCst) >= listeners).await;
    }

    fn tones<'a>(&self, ctx: &Context<'a>, add: i32) -> impl Stream<Item = Result<Rung>> + use<'a> {
        let ticks = BroadcastStream::new(self.0.live.listen()).take_while(|tick| std::future::ready(tick.is_ok()));
        self.0.listening.fetch_add(1, Ordering::SeqCst);
        let tones = ticks.flat_map(|tick| stream::iter(tick.into_iter().flat_map(Tick::numbered).map(Ok)));
        shared(ctx, tones, move |tone| std::future::ready(Some(Ok(Rung(tone.0 + add)))))
    }
}

struct Rung(i32);

#[Object]
impl Rung {
    async fn tone(&self) -> i32 {
        self.0
    }

    /// Which execution this is.
    async fn execution(&self, ctx: &Context<'_>) -> Result<usize> {
        Ok(ctx.facade::<BellFacade>()?.0.executed.fetch_add(1, Ordering::SeqCst))
    }

    /// Who listens.
    async fn by(&self, ctx: &Context<'_>) -> Option<String> {
        Session::of(ctx).0.as_ref().map(|principal| principal.subject.clone())
    }

    /// Who listens, of high tones only.
    async fn high_by(&self, ctx: &Context<'_>) -> Option<String> {
        if self.0 < 100 {
            return None;
        }
        Session::of(ctx).0.as_ref().map(|principal| principal.subject.clone())
    }

    /// As a role has it.
    async fn privileged(&self, ctx: &Context<'_>) -> bool {
        Session::of(ctx).has_any(&[Role::Operator])
    }

    async fn broken(&self) -> Option<Result<i32>> {
        Some(Err(Error::new(Code::NOT_FOUND, "it has a crack")))
    }
}

#[derive(Default)]
struct BellSubscription;

#[Subscription]
impl BellSubscription {
    async fn rung<'a>(
        &self,
        ctx: &Context<'a>,
        #[graphql(default)] add: i32,
    ) -> Result<impl Stream<Item = Result<Rung>> + use<'a>> {
        Ok(ctx.facade::<BellFacade>()?.tones(ctx, add))
    }

    async fn rung_for_teachers<'a>(&self, ctx: &Context<'a>) -> Result<impl Stream<Item = Result<Rung>> + use<'a>> {
        Ok(ctx.facade::<BellFacade>()?.tones(ctx, 0))
    }
}

async fn start() -> (TestApp, BellFacade) {
    let app = TestApp::start_with::<Belled>(Backend::Sqlite, Options::default()).await;
    let bell = app.facade::<BellFacade>();
    (app, bell)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_execution_is_enough_for_equal_listeners() {
    let (app, bell) = start().await;
    let query = "subscription ($add: Int! = 7) { rung(add: $add) { tone execution } }";
    let subscribe = |id: &str, variables: Value| json!({ "type": "subscribe", "id": id, "payload": { "query": query, "variables": variables } });
    let mut sockets = Vec::new();
    // The third leaves its variable out, the default is the same; the fourth is of another mind.
    for (id, variables) in [("1", json!({ "add": 7 })), ("a \"quoted\" id", json!({ "add": 7.0 })), ("3", json!({}))] {
        let mut socket = Listener::acknowledged(&app.url).await;
        socket.send(subscribe(id, variables)).await;
        sockets.push((id, socket));
    }
    let mut other = app.user("ann").listen("subscription { rung { tone execution } }").await;
    let mut signed_in = app.user("ben").listen("subscription { rung { tone execution } }").await;
    bell.heard_by(5).await;
    let mut last = None;
    for tone in 0..20 {
        bell.ring(tone);
        let mut executions = Vec::new();
        for (id, socket) in &mut sockets {
            let message = socket.message().await;
            assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)));
            let rung = &message["payload"]["data"]["rung"];
            assert_eq!(rung["tone"], tone + 7, "in their order, with their own arguments");
            executions.push(rung["execution"].clone());
        }
        let (others, signed) = (other.next().await, signed_in.next().await);
        assert_eq!((&others["rung"]["tone"], &signed["rung"]["tone"]), (&json!(tone), &json!(tone)));
        assert!(!executions.contains(&others["rung"]["execution"]), "other arguments are another execution");
        assert_ne!(last.replace(executions[0].clone()), Some(executions[0].clone()), "each event has its own");
    }
    // Two workers may begin at the same moment; more than two groups' executions at once there cannot be.
    let executed = bell.0.executed.load(Ordering::SeqCst);
    assert!((40..=80).contains(&executed), "{executed} executions of 20 events for 2 groups of 5 listeners");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_is_a_listener_as_any_other() {
    let (app, bell) = start().await;
    let query = "subscription { rung { tone execution } }";
    let mut socket = app.anonymous().listen(query).await;
    let request = crate::harness::http().post(format!("{}/graphql/stream", app.url));
    let mut response =
        request.header("Accept", "text/event-stream").json(&json!({ "query": query })).send().await.expect("an answer");
    bell.heard_by(2).await;
    let mut events = String::new();
    for tone in 0..5 {
        bell.ring(tone);
        let rung = socket.next().await["rung"].clone();
        let wanted = format!("\"tone\":{tone}");
        while !events.contains(&wanted) || !events.ends_with("\n\n") {
            events.push_str(std::str::from_utf8(&response.chunk().await.expect("open").expect("more")).expect("text"));
        }
        assert_eq!(rung["tone"], tone);
    }
    let told = events.split("\n\n").filter_map(|event| event.strip_prefix("event: next\ndata: "));
    let tones: Vec<Value> = told.map(|data| serde_json::from_str(data).expect("JSON")).collect();
    let tones: Vec<_> = tones.iter().map(|answer| answer["data"]["rung"]["tone"].as_i64()).collect();
    assert_eq!(tones, (0..5).map(Some).collect::<Vec<_>>());
    drop(response);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_who_asks_is_each_ones_own() {
    let (app, bell) = start().await;
    let query = "subscription { rung { tone by privileged } }";
    let operator = app.client("otto", &[Role::Operator]);
    let mut listeners = Vec::new();
    for (client, by, privileged) in [
        (app.user("ann"), json!("ann"), false),
        (app.anonymous(), Value::Null, false),
        (app.user("ben"), json!("ben"), false),
        (operator, json!("otto"), true),
        (app.anonymous(), Value::Null, false),
    ] {
        listeners.push((client.listen(query).await, by, privileged));
    }
    bell.heard_by(5).await;
    for tone in 0..10 {
        bell.ring(tone);
        for (listener, by, privileged) in &mut listeners {
            let told = json!({ "rung": { "tone": tone, "by": by, "privileged": privileged } });
            assert_eq!(listener.next().await, told);
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_it_now_and_then_only_is_too() {
    let (app, bell) = start().await;
    let query = "subscription { rung { tone highBy } }";
    let mut ann = app.user("ann").listen(query).await;
    let mut ben = app.user("ben").listen(query).await;
    let mut nobody = app.anonymous().listen(query).await;
    bell.heard_by(3).await;
    let mut carl = None;
    for tone in [1, 100, 2, 101, 102, 3] {
        bell.ring(tone);
        let told = |by: &str| json!({ "rung": { "tone": tone, "highBy": (tone >= 100).then_some(by) } });
        assert_eq!(ann.next().await, told("ann"));
        assert_eq!(ben.next().await, told("ben"));
        assert_eq!(nobody.next().await, json!({ "rung": { "tone": tone, "highBy": null } }));
        // Who comes later hears from then on, and was not asked before.
        match &mut carl {
            None => {
                carl = Some(app.user("carl").listen(query).await);
                bell.heard_by(4).await;
            }
            Some(carl) => assert_eq!(carl.next().await, told("carl")),
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_asked_for_each_listener() {
    let (app, bell) = start().await;
    let query = "subscription { rungForTeachers { tone } }";
    let mut teachers = Vec::new();
    for name in ["thea", "theo"] {
        teachers.push(app.client(name, &[Role::Teacher]).listen(query).await);
    }
    bell.heard_by(2).await;
    for (client, code) in [(app.user("ann"), "FORBIDDEN"), (app.anonymous(), "UNAUTHENTICATED")] {
        let refused = client.listen(query).await.next_payload().await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], code);
    }
    bell.ring(1);
    for teacher in &mut teachers {
        assert_eq!(teacher.next().await, json!({ "rungForTeachers": { "tone": 1 } }));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_to_each_listener() {
    let (app, bell) = start().await;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(app.anonymous().listen("subscription { rung { tone broken } }").await);
    }
    bell.heard_by(3).await;
    for tone in 0..3 {
        bell.ring(tone);
        for listener in &mut listeners {
            let payload = listener.next_payload().await;
            assert_eq!(payload["data"], json!({ "rung": { "tone": tone, "broken": null } }));
            assert_eq!(payload["errors"][0]["extensions"]["code"], "NOT_FOUND");
            assert_eq!(payload["errors"][0]["path"], json!(["rung", "broken"]));
            assert_eq!(payload["errors"].as_array().map(Vec::len), Some(1));
        }
    }
    app.finish().await;
}

async fn what_a_viewer_did_is_told_to_that_viewer_only(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ann, ben, carl) = (app.user("ann"), app.user("ben"), app.user("carl"));
    let id = ann.publish("one").await;
    let query = "subscription { hotnessChanged { content { likeCount viewerHasLiked } } }";
    let mut listeners = [
        ann.listen(query).await,
        ben.listen(query).await,
        app.anonymous().listen(query).await,
        ben.listen(query).await,
    ];
    for listener in &mut listeners {
        listener.next_while(async || drop((carl.act("like", &id).await, carl.act("unlike", &id).await))).await;
    }
    ben.act("like", &id).await.data();
    for (listener, liked) in listeners.iter_mut().zip([false, true, false, true]) {
        let told = |count: i32, liked| json!({ "hotnessChanged": { "content": { "likeCount": count, "viewerHasLiked": liked } } });
        let data = listener
            .until(|data| {
                data["hotnessChanged"]["content"]["viewerHasLiked"] == json!(liked)
                    && data["hotnessChanged"]["content"]["likeCount"] == 1
            })
            .await;
        assert_eq!(data, told(1, liked));
    }
    app.finish().await;
}

async fn equal_listeners_hear_the_same_of_contents(backend: Backend) {
    let app = TestApp::start(backend).await;
    let (ann, ben) = (app.user("ann"), app.user("ben"));
    let (one, other) = (ann.publish("one").await, ann.publish("other").await);
    let of = |id: &str| {
        format!(
            "subscription {{ hotnessChanged(contentIds: [\"{id}\"]) {{ score cause content {{ id likeCount author {{ id }} }} }} }}"
        )
    };
    let mut equal = [ann.listen(&of(&one)).await, ben.listen(&of(&one)).await, app.anonymous().listen(&of(&one)).await];
    let mut differs = ben.listen(&of(&other)).await;
    for (listener, id) in equal.iter_mut().map(|listener| (listener, &one)).chain([(&mut differs, &other)]) {
        listener.next_while(async || drop((ben.act("like", id).await, ben.act("unlike", id).await))).await;
    }
    for verb in ["favorite", "like"] {
        ben.act(verb, &one).await.data();
        ben.act(verb, &other).await.data();
        let mut told = Vec::new();
        let wanted = if verb == "like" { "LIKED" } else { "FAVORITED" };
        for listener in &mut equal {
            let data = listener.until(|data| data["hotnessChanged"]["cause"] == wanted).await;
            assert_eq!(data["hotnessChanged"]["content"]["id"], json!(one));
            told.push(data);
        }
        assert!(told.iter().all(|data| *data == told[0]), "{told:#?}");
        let data = differs.until(|data| data["hotnessChanged"]["cause"] == wanted).await;
        assert_eq!(data["hotnessChanged"]["content"]["id"], json!(other));
    }
    app.finish().await;
}
