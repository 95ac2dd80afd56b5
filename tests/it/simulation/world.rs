//! The server, its clock, and how the model's deeds reach it: by GraphQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{Clock as _, ManualClock, Millis};
use tally::kernel::id::parse_any;
use tally::modules::engagement::EngagementFacade;
use tally::modules::engagement::hotness::{Hotness, Level};
use uuid::Uuid;

use super::Deed;
use super::model::Content;
use crate::deletion::{delete, traces, uuid};
use crate::harness::{Answer, Backend, Client, Options, START, TestApp, http};

/// A year: no rows of history but those of a change of level.
const NEVER_SECS: u32 = 31_536_000;
/// From where people without a token look. Of IPv6 the /64 is one viewer: the last two are.
pub(crate) const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:1::2"];
const WINDOWS: [(&str, i64); 6] = [
    ("H1", Millis::HOUR),
    ("H6", 6 * Millis::HOUR),
    ("H24", Millis::DAY),
    ("D7", 7 * Millis::DAY),
    ("D30", 30 * Millis::DAY),
    ("ALL", i64::MAX),
];

/// Who looks at contents.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Viewer {
    User(usize),
    /// One of [`ADDRESSES`], without a token.
    Address(usize),
}

pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) clock: Arc<ManualClock>,
    users: Vec<String>,
    /// Users who were deleted.
    pub(crate) gone: BTreeSet<usize>,
    /// Those of them whose acts are still there: the job comes to them when it runs.
    leaving: Vec<usize>,
    /// Deleted contents and users, of whom nothing is to be left.
    buried: Vec<Uuid>,
    hotness: Hotness,
}

fn options(clock: &Arc<ManualClock>) -> Options {
    Options::default()
        .at(clock)
        .with("engagement.history_interval_secs", NEVER_SECS)
        .with("limits.fields", 4_000)
        .with("limits.aliases", 500)
        .with("server.trusted_proxies", "127.0.0.0/8")
        // A key makes the same comment for as long as its tombstone is there: here to the end.
        .with("engagement.tombstone_days", 365)
        .with("notifications.retention_days", 3_650)
}

impl World {
    pub(crate) async fn new(backend: Backend, users: usize) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let app = TestApp::start_with::<Tally>(backend, options(&clock)).await;
        let operator = app.client("operator", &[Role::Operator, Role::Service]);
        let mut ids = Vec::new();
        for chunk in (0..users).collect::<Vec<_>>().chunks(50) {
            let fields: Vec<_> = chunk
                .iter()
                .map(|n| format!("u{n}: ensureUser(subject: \"user {n}\", name: \"{n}\") {{ id }}"))
                .collect();
            let answer = operator.query(&format!("mutation {{ {} }}", fields.join(" "))).await;
            ids.extend(chunk.iter().map(|n| text(&answer.data()[format!("u{n}")]["id"])));
        }
        let hotness = *app.facade::<EngagementFacade>().hotness();
        Self { app, clock, users: ids, gone: BTreeSet::new(), leaving: Vec::new(), buried: Vec::new(), hotness }
    }

    /// With a token of this moment: days pass between two calls.
    fn operator(&self) -> Client {
        self.app.client("operator", &[Role::Operator, Role::Service])
    }

    fn user(&self, n: usize) -> Client {
        self.app.user(&format!("user {n}"))
    }

    pub(crate) async fn publish(&self, author: usize) -> Content {
        let id = self.user(author).publish("a content").await;
        let (_, uuid) = parse_any(&id).expect("an id");
        Content::new(id, uuid, author, self.clock.now().0, &self.hotness)
    }

    /// Does all of it in one document; what each gave.
    pub(crate) async fn perform(&self, deeds: &[Deed], contents: &[Content]) -> Vec<Value> {
        let field = |(n, deed): (usize, &Deed)| match deed {
            Deed::Act { content, user, kind, on } => {
                let verb = [["unlike", "like"], ["unfavorite", "favorite"]][*kind][usize::from(*on)];
                let (content, user) = (&contents[*content].id, &self.users[*user]);
                format!("d{n}: {verb}(contentId: \"{content}\", userId: \"{user}\") {{ changed }}")
            }
            Deed::Comment { content, user, key } => {
                let (content, user, key) = (&contents[*content].id, &self.users[*user], client_key(*key));
                format!(
                    "d{n}: comment(contentId: \"{content}\", userId: \"{user}\", body: \"well\"{key}) \
                     {{ changed comment {{ id body createdAt }} }}"
                )
            }
            Deed::DeleteComment { content, comment } => {
                format!("d{n}: deleteComment(id: {}) {{ changed }}", contents[*content].comments[*comment].id)
            }
            Deed::Share { content, user, key } => {
                let (content, user, key) = (&contents[*content].id, &self.users[*user], client_key(*key));
                format!(
                    "d{n}: share(contentId: \"{content}\", userId: \"{user}\", channel: WECHAT{key}) \
                     {{ changed share {{ id channel sharedAt }} }}"
                )
            }
        };
        let fields: Vec<_> = deeds.iter().enumerate().map(field).collect();
        if fields.is_empty() {
            return Vec::new();
        }
        let answer = self.operator().query(&format!("mutation {{ {} }}", fields.join(" "))).await;
        (0..deeds.len()).map(|n| answer.data()[format!("d{n}")].clone()).collect()
    }

    /// Lets the model do what the server did.
    pub(crate) fn model(&self, contents: &mut [Content], deed: &Deed, made: &Value, now: i64) {
        let hotness = &self.hotness;
        match deed {
            Deed::Act { content, user, kind, on } => {
                let changed = contents[*content].act(hotness, *user, *kind, *on, now);
                assert_eq!(made["changed"], json!(changed), "{deed:?} at {now}");
            }
            Deed::Comment { content, user, key } => {
                let expected = contents[*content].comment(hotness, *user, *key, made, now);
                assert_eq!(*made, expected, "{deed:?} at {now}");
            }
            Deed::DeleteComment { content, comment } => {
                let changed = contents[*content].delete_comment(hotness, *comment, now);
                assert_eq!(made["changed"], json!(changed), "{deed:?} at {now}");
            }
            Deed::Share { content, user, key } => {
                let expected = contents[*content].share(hotness, *user, *key, made, now);
                assert_eq!(*made, expected, "{deed:?} at {now}");
            }
        }
    }

    pub(crate) async fn view(&self, contents: &mut [Content], viewer: Viewer, seen: &[usize], now: i64) {
        if seen.is_empty() {
            return;
        }
        let ids: Vec<_> = seen.iter().map(|at| &contents[*at].id).collect();
        let query = "mutation ($ids: [ID!]!) { recordViews(contentIds: $ids) { counted } }";
        let (answer, viewer) = match viewer {
            Viewer::User(user) => (self.user(user).run(query, json!({ "ids": ids })).await, user),
            Viewer::Address(from) => {
                let request =
                    http().post(format!("{}/graphql", self.app.url)).header("x-forwarded-for", ADDRESSES[from]);
                let response = request.json(&json!({ "query": query, "variables": { "ids": ids } })).send().await;
                let response = response.expect("an answer");
                let status = response.status().as_u16();
                let answer = Answer { status, body: response.json().await.expect("JSON") };
                (answer, self.users.len() + from.min(2))
            }
        };
        let counted = seen.iter().filter(|at| contents[**at].view(&self.hotness, viewer, now)).count();
        assert_eq!(answer.data()["recordViews"]["counted"], json!(counted), "views of {viewer} at {now}");
    }

    /// Its author deletes a content: from now on there is none.
    pub(crate) async fn delete_content(&mut self, contents: &mut Vec<Content>, at: usize) {
        let content = contents.remove(at);
        let author = self.user(content.author);
        assert!(delete(&author, "deleteContent", &content.id).await, "{} is there", content.id);
        assert!(!delete(&author, "deleteContent", &content.id).await, "a repeat");
        self.assert_gone(&content).await;
        self.buried.push(content.uuid);
    }

    /// A user leaves: from now on there is neither the user nor a content of theirs. What they did to others' contents
    /// goes when the jobs run.
    pub(crate) async fn delete_user(&mut self, contents: &mut Vec<Content>, user: usize) {
        let id = &self.users[user];
        assert!(delete(&self.user(user), "deleteUser", id).await, "user {user} is there");
        for content in contents.extract_if(.., |content| content.author == user) {
            self.assert_gone(&content).await;
            self.buried.push(content.uuid);
        }
        if let Some(content) = contents.iter().find(|content| content.listed) {
            let like = format!("mutation {{ like(contentId: \"{}\", userId: \"{id}\") {{ changed }} }}", content.id);
            assert_eq!(self.operator().query(&like).await.code(), "NOT_FOUND", "user {user}");
            assert_eq!(self.user(user).act("like", &content.id).await.code(), "FORBIDDEN", "user {user}");
        }
        self.buried.push(uuid(id));
        self.gone.insert(user);
        self.leaving.push(user);
    }

    async fn assert_gone(&self, content: &Content) {
        let answer = self.operator().query(&format!("{{ artwork(id: \"{}\") {{ id }} }}", content.id)).await;
        assert_eq!(answer.data()["artwork"], Value::Null, "{}", content.id);
    }

    /// Lets the relay and the jobs do all that is due.
    pub(crate) async fn settle(&mut self, contents: &mut [Content], now: i64) {
        self.app.settle().await;
        for user in self.leaving.drain(..) {
            contents.iter_mut().for_each(|content| content.forget(&self.hotness, user, now));
        }
    }

    /// Hides a content, or shows it again.
    pub(crate) async fn turn(&self, content: &mut Content, now: i64) {
        let verb = if content.listed { "unpublishContent" } else { "republishContent" };
        let answer =
            self.operator().query(&format!("mutation {{ {verb}(id: \"{}\") {{ changed }} }}", content.id)).await;
        assert_eq!(answer.data()[verb]["changed"], json!(true));
        content.turn(&self.hotness, now);
    }

    /// An author marks all as read.
    pub(crate) async fn read_all(&self, contents: &mut [Content], author: usize) {
        let answer = self.user(author).query("mutation { markNotificationsRead { marked unreadNotifications } }").await;
        let marked: i64 = contents.iter_mut().filter(|content| content.author == author).map(Content::read).sum();
        assert_eq!(answer.data()["markNotificationsRead"], json!({ "marked": marked, "unreadNotifications": 0 }));
    }

    /// Another server on the same database.
    pub(crate) async fn restart(self) -> Self {
        let app = TestApp::start_on::<Tally>(self.app.stop_unaudited().await, options(&self.clock)).await;
        Self { app, ..self }
    }

    /// Compares every number; `settled`: also what comes later than its facts, the timer's and the relay's.
    pub(crate) async fn compare(&self, contents: &mut [Content], now: i64, settled: bool) {
        let ranked = self.compare_ranking(contents, now, "ALL", i64::MAX).await;
        let engagement = self.app.facade::<EngagementFacade>();
        for content in contents.iter_mut() {
            let query = format!(
                "{{ artwork(id: \"{}\") {{ likeCount favoriteCount commentCount shareCount viewCount hotness {{ level rank \
                 history(first: 100) {{ level calculatedAt }} }} }} }}",
                content.id
            );
            let answer = self.operator().query(&query).await;
            let found = &answer.data()["artwork"];
            let counts =
                ["likeCount", "favoriteCount", "commentCount", "shareCount", "viewCount"].map(|name| &found[name]);
            assert_eq!(json!(counts), json!(content.counts()), "{}", content.id);
            let figures = engagement.content(content.uuid).await.expect("a read").expect("a content").figures;
            assert_eq!(figures.heat, content.heat(), "heat of {}, to the last bit", content.id);
            let rank = ranked.iter().position(|id| *id == content.id).map(|at| at + 1);
            assert_eq!(found["hotness"]["rank"], json!(rank), "{}", content.id);
            if !settled {
                continue;
            }
            content.fade(&self.hotness, now);
            assert_eq!(found["hotness"]["level"], json!(name(content.level())), "{}", content.id);
            let moments = content.history();
            let rows = list(&found["hotness"]["history"]);
            let all = rows.len() < 100;
            let history = rows.iter().map(|row| (text(&row["calculatedAt"]), text(&row["level"]))).collect();
            let history = content.last_of_steps(history);
            let newest = if all { 0 } else { moments.len().saturating_sub(history.len()) };
            let expected = &moments[newest..];
            assert_eq!(history, expected, "history of {}, published at {}", content.id, expected[0].0);
        }
        if settled {
            for (window, span) in WINDOWS {
                self.compare_ranking(contents, now, window, span).await;
            }
            self.compare_notifications(contents).await;
            for id in &self.buried {
                assert_eq!(traces(&self.app, *id).await, Vec::<String>::new(), "{id}");
            }
        }
    }

    /// Compares the ranking of what was published within a span; all that is in it, best first.
    async fn compare_ranking(&self, contents: &[Content], now: i64, window: &str, span: i64) -> Vec<String> {
        let within = |content: &&Content| content.listed && now - content.published_at <= span;
        let mut ranked: Vec<_> = contents.iter().filter(within).collect();
        ranked.sort_by_key(|content| std::cmp::Reverse((content.heat(), content.uuid)));
        let ranked: Vec<_> = ranked.into_iter().map(|content| content.id.clone()).collect();
        let query = format!("{{ hotRanking(first: 100, publishedWithin: {window}) {{ rank content {{ id }} }} }}");
        let answer = self.operator().query(&query).await;
        let entries = list(&answer.data()["hotRanking"]).iter().zip(1..);
        let ranking: Vec<_> = entries
            .map(|(entry, rank)| {
                assert_eq!(entry["rank"], rank, "{window}");
                text(&entry["content"]["id"])
            })
            .collect();
        assert_eq!(ranking, ranked[..ranked.len().min(100)], "{window} at {now}");
        ranked
    }

    async fn compare_notifications(&self, contents: &[Content]) {
        let mut expected: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for content in contents {
            let own = expected.entry(content.author).or_default();
            own.extend(
                content
                    .notifications()
                    .into_iter()
                    .map(|(kind, count, unread)| json!([content.id, kind, count, unread])),
            );
        }
        for (author, mut expected) in expected {
            let user = self.user(author);
            let (mut found, mut unread, mut after) = (Vec::new(), json!(null), Value::Null);
            loop {
                let query =
                    "query ($after: String) { me { unreadNotifications } notifications(first: 100, after: $after) {
                    nodes { kind actorCount readAt content { id } } pageInfo { hasNextPage endCursor } } }";
                let answer = user.run(query, json!({ "after": after })).await;
                let page = &answer.data()["notifications"];
                unread.clone_from(&answer.data()["me"]["unreadNotifications"]);
                found.extend(list(&page["nodes"]).iter().map(|node| {
                    json!([node["content"]["id"], node["kind"], node["actorCount"], node["readAt"].is_null()])
                }));
                if page["pageInfo"]["hasNextPage"] != json!(true) {
                    break;
                }
                after.clone_from(&page["pageInfo"]["endCursor"]);
            }
            let expected_unread = expected.iter().filter(|notification| notification[3] == json!(true)).count();
            assert_eq!(unread, json!(expected_unread), "unread of author {author}");
            found.sort_by_key(Value::to_string);
            expected.sort_by_key(Value::to_string);
            assert_eq!(found, expected, "notifications of author {author}");
        }
    }
}

fn client_key(key: Option<u64>) -> String {
    key.map_or_else(String::new, |key| format!(", clientKey: \"{key}\""))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn name(level: Level) -> String {
    format!("{level:?}").to_uppercase()
}
