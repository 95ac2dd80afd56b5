//! The server, its clock, and how the model's deeds reach it: by GraphQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tally::app::Tally;
use tally::kernel::auth::Role;
use tally::kernel::clock::{Clock as _, ManualClock, Millis};
use tally::kernel::id::parse_any;
use tally::modules::engagement::EngagementFacade;
use tally::modules::engagement::hotness::{Hotness, Level};

use super::Deed;
use super::model::Content;
use crate::harness::{Backend, Client, Options, START, TestApp};

/// A year: no rows of history but those of a change of level.
const NEVER_SECS: u32 = 31_536_000;

pub(crate) struct World {
    pub(crate) app: TestApp,
    pub(crate) clock: Arc<ManualClock>,
    users: Vec<String>,
    hotness: Hotness,
}

fn options(clock: &Arc<ManualClock>) -> Options {
    Options::default()
        .at(clock)
        .with("engagement.history_interval_secs", NEVER_SECS)
        .with("limits.fields", 4_000)
        .with("limits.aliases", 500)
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
        Self { app, clock, users: ids, hotness }
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
            Deed::Comment { content, user } => {
                let (content, user) = (&contents[*content].id, &self.users[*user]);
                format!(
                    "d{n}: comment(contentId: \"{content}\", userId: \"{user}\", body: \"well\") {{ comment {{ id }} }}"
                )
            }
            Deed::DeleteComment { content, comment } => {
                format!(
                    "d{n}: deleteComment(id: \"{}\") {{ comment {{ id }} }}",
                    contents[*content].comments[*comment].id
                )
            }
            Deed::Share { content, user } => {
                let (content, user) = (&contents[*content].id, &self.users[*user]);
                format!("d{n}: share(contentId: \"{content}\", userId: \"{user}\", channel: WECHAT) {{ changed }}")
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
            Deed::Comment { content, user } => {
                contents[*content].comment(hotness, *user, text(&made["comment"]["id"]), now);
            }
            Deed::DeleteComment { content, comment } => contents[*content].delete_comment(hotness, *comment, now),
            Deed::Share { content, user } => {
                assert_eq!(made["changed"], json!(true), "{deed:?}");
                contents[*content].share(hotness, *user, now);
            }
        }
    }

    pub(crate) async fn view(&self, contents: &mut [Content], viewer: usize, seen: &[usize], now: i64) {
        if seen.is_empty() {
            return;
        }
        let ids: Vec<_> = seen.iter().map(|at| &contents[*at].id).collect();
        let query = "mutation ($ids: [ID!]!) { recordViews(contentIds: $ids) { counted } }";
        let answer = self.user(viewer).run(query, json!({ "ids": ids })).await;
        let counted = seen.iter().filter(|at| contents[**at].view(&self.hotness, viewer, now)).count();
        assert_eq!(answer.data()["recordViews"]["counted"], json!(counted), "views of {viewer} at {now}");
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
        let Self { app, clock, users, hotness, .. } = self;
        let app = TestApp::start_on::<Tally>(app.stop_unaudited().await, options(&clock)).await;
        Self { app, clock, users, hotness }
    }

    /// Compares every number; `settled`: also what comes later than its facts, the timer's and the relay's.
    pub(crate) async fn compare(&self, contents: &mut [Content], now: i64, settled: bool) {
        let mut ranked: Vec<_> = contents
            .iter()
            .filter(|c| c.listed)
            .map(|content| (content.heat(), content.uuid, content.id.clone()))
            .collect();
        ranked.sort_by_key(|(heat, id, _)| std::cmp::Reverse((*heat, *id)));
        let answer = self.operator().query("{ hotRanking(first: 100) { rank content { id } } }").await;
        let ranking: Vec<_> =
            list(&answer.data()["hotRanking"]).iter().map(|entry| text(&entry["content"]["id"])).collect();
        assert_eq!(ranking, ranked.iter().take(100).map(|(_, _, id)| id.clone()).collect::<Vec<_>>());

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
            let rank = ranked.iter().position(|(_, id, _)| *id == content.uuid).map(|at| at + 1);
            assert_eq!(found["hotness"]["rank"], json!(rank), "{}", content.id);
            if !settled {
                continue;
            }
            content.fade(&self.hotness, now);
            assert_eq!(found["hotness"]["level"], json!(name(content.level())), "{}", content.id);
            let history: Vec<_> = list(&found["hotness"]["history"])
                .iter()
                .map(|row| (text(&row["calculatedAt"]), text(&row["level"])))
                .collect();
            let newest = content.history.len().saturating_sub(100);
            let expected: Vec<_> = content.history[newest..]
                .iter()
                .map(|(at, level)| (Millis(*at).to_utc().to_rfc3339(), name(*level)))
                .collect();
            assert_eq!(history, expected, "history of {}, published at {}", content.id, expected[0].0);
        }
        if settled {
            self.compare_notifications(contents).await;
        }
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn name(level: Level) -> String {
    format!("{level:?}").to_uppercase()
}
