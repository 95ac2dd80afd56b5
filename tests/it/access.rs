//! Who may do what. The tables have a line for every root field of the schema, every argument that names a user, every
//! field of `me`, every kind of node and every path, and fail when one lacks. `docs/access.md` is made of them.

mod document;
mod tables;
mod vault;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tally::kernel::auth::Role;

use self::tables::{FIELDS, Gets, NODES, OTHERS, OWN, PATHS, PUBLIC, VIEWER, YES};
use crate::harness::{Backend, Client, Options, TestApp, on_every_backend};

on_every_backend!(
    every_root_field_has_a_line_and_keeps_to_it,
    another_users_data_is_for_those_who_may,
    me_is_the_token_s_own_user,
    every_kind_of_node_keeps_to_its_rule,
    pages_and_health_are_for_everybody,
);

/// The callers of the tables' columns, none of them the author.
fn callers(app: &TestApp) -> [Client; 6] {
    [
        app.anonymous(),
        app.user("a user"),
        app.client("a teacher", &[Role::Teacher]),
        app.client("a service", &[Role::Service]),
        app.client("an operator", &[Role::Operator]),
        app.client("an administrator", &[Role::Admin]),
    ]
}

/// What the tables' documents are about, all of one author.
struct Stage {
    app: TestApp,
    author: Client,
    artwork: String,
    video: String,
    comment: String,
    user: String,
    /// A content and its author, who may be deleted: nothing else is theirs.
    doomed: (String, String),
}

impl Stage {
    async fn set(backend: Backend) -> Self {
        let app = TestApp::start(backend).await;
        let author = app.user("author");
        let artwork = author.publish("an artwork").await;
        let video = author.query("mutation { publishVideo(input: { title: \"a video\" }) { video { id } } }").await;
        let video = video.data()["publishVideo"]["video"]["id"].as_str().unwrap().to_owned();
        let say = format!("mutation {{ comment(contentId: \"{artwork}\", body: \"hello\") {{ comment {{ id }} }} }}");
        let said = author.query(&say).await;
        let comment = said.data()["comment"]["comment"]["id"].as_str().unwrap().to_owned();
        let user = author.id().await;
        let leaver = app.user("leaver");
        let doomed = (leaver.publish("doomed").await, leaver.id().await);
        Self { app, author, artwork, video, comment, user, doomed }
    }

    /// A document with the ids that its letters stand for.
    fn filled(&self, document: &str) -> String {
        let (d, w) = (&self.doomed.0, &self.doomed.1);
        let letters =
            [("A", &self.artwork), ("V", &self.video), ("C", &self.comment), ("U", &self.user), ("D", d), ("W", w)];
        letters.into_iter().fold(document.to_owned(), |document, (letter, id)| {
            document.replace(&format!("\"{letter}\""), &format!("\"{id}\""))
        })
    }

    async fn run(&self, caller: &Client, root: &str, document: &str) -> Gets {
        let document = self.filled(document);
        let body = match root {
            "subscription" => self.first_of(caller, &document).await,
            _ => caller.query(&document).await.body,
        };
        what(&body)
    }

    /// The first message of a subscription, while there is something to hear: a publication, points for its
    /// author, and a like of something of the caller's own.
    async fn first_of(&self, caller: &Client, document: &str) -> Value {
        let mut listener = caller.listen(document).await;
        let publish = "mutation { publishArtwork(input: { title: \"theirs\" }) { artwork { id } } }";
        let giver = self.app.client("a giver", &[Role::Teacher]);
        let news = async || {
            self.author.publish("news").await;
            let (user, key) = (&self.user, self.app.kernel.ids.next());
            let give = format!(
                "mutation {{ addPoints(input: {{ userId: \"{user}\", amount: 1, reason: \"x\", idempotencyKey: \"{key}\" }})
                 {{ replayed }} }}"
            );
            giver.query(&give).await.data();
            let answer = caller.query(publish).await;
            if let Some(id) = answer.body["data"]["publishArtwork"]["artwork"]["id"].as_str() {
                self.author.act("like", id).await.data();
                self.app.kernel.outbox.deliver_all().await.unwrap();
            }
        };
        listener.next_while(news).await
    }
}

fn what(body: &Value) -> Gets {
    let Some(errors) = body.get("errors") else { return YES };
    let codes = ["UNAUTHENTICATED", "FORBIDDEN", "INVALID_INPUT"];
    let code = codes.into_iter().find(|code| errors[0]["extensions"]["code"] == **code);
    Gets::Code(code.unwrap_or_else(|| panic!("another error: {body:#}")))
}

/// The schema as it describes itself.
async fn described(client: &Client) -> Value {
    let query = "{ __schema { types { name fields { name args { name description type { ...T } } }
                   inputFields { name description } } } }
                 fragment T on __Type { name ofType { name ofType { name ofType { name } } } }";
    client.query(query).await.data()["__schema"]["types"].clone()
}

/// A type's fields, or nothing where there is no such type.
fn fields_of<'a>(types: &'a Value, name: &str, which: &str) -> impl Iterator<Item = &'a Value> {
    let found = types.as_array().unwrap().iter().find(|found| found["name"] == name);
    found.and_then(|found| found[which].as_array()).into_iter().flatten()
}

fn root_fields(types: &Value) -> BTreeSet<(String, String)> {
    let roots = ["Query", "Mutation", "Subscription"].into_iter();
    let fields = roots.flat_map(|root| fields_of(types, root, "fields").map(move |field| (root, field)));
    fields.map(|(root, field)| (root.to_lowercase(), field["name"].as_str().unwrap().to_owned())).collect()
}

/// Fails when one of two lists has what the other has not.
fn same<T: Ord + Clone + std::fmt::Debug>(of: &str, schema: &BTreeSet<T>, table: &BTreeSet<T>) {
    let (without, gone): (Vec<_>, Vec<_>) = (schema.difference(table).collect(), table.difference(schema).collect());
    assert!(without.is_empty() && gone.is_empty(), "{of}: add lines for {without:?}, remove those of {gone:?}");
}

async fn every_root_field_has_a_line_and_keeps_to_it(backend: Backend) {
    let stage = Stage::set(backend).await;
    let listed = FIELDS.iter().map(|(root, field, ..)| ((*root).to_owned(), (*field).to_owned()));
    let listed: BTreeSet<_> = listed.collect();
    assert_eq!(listed.len(), FIELDS.len(), "a field has two lines");
    same("FIELDS", &root_fields(&described(&stage.app.anonymous()).await), &listed);
    let callers = callers(&stage.app);
    for (root, field, document, gets) in FIELDS {
        for ((caller, expected), column) in callers.iter().zip(gets).zip(tables::COLUMNS) {
            assert_eq!(stage.run(caller, root, document).await, *expected, "{root} {field}, {column}");
        }
    }
    stage.app.finish().await;
}

/// `field.argument` and `field.argument.field` of all root fields whose name or description speaks of a user.
fn speak_of_users(types: &Value) -> BTreeSet<String> {
    let speaks = |item: &Value| {
        let text = format!("{} {}", item["name"], item["description"]).to_lowercase();
        ["user", "author", "subject", "whom"].iter().any(|word| text.contains(word))
    };
    let mut found = BTreeSet::new();
    for field in ["Query", "Mutation", "Subscription"].iter().flat_map(|root| fields_of(types, root, "fields")) {
        for argument in field["args"].as_array().unwrap() {
            let path = [field["name"].as_str().unwrap(), argument["name"].as_str().unwrap()].join(".");
            let mut kind = &argument["type"];
            while kind["name"].is_null() {
                kind = &kind["ofType"];
            }
            let inputs = fields_of(types, kind["name"].as_str().unwrap(), "inputFields");
            let inner = inputs.filter(|input| speaks(input)).map(|input| input["name"].as_str().unwrap());
            found.extend(inner.map(|name| format!("{path}.{name}")));
            if speaks(argument) {
                found.insert(path);
            }
        }
    }
    found
}

async fn another_users_data_is_for_those_who_may(backend: Backend) {
    let stage = Stage::set(backend).await;
    let types = described(&stage.app.anonymous()).await;
    let listed = OTHERS.iter().map(|(field, argument, ..)| format!("{field}.{argument}"));
    let listed = listed.filter(|path| !path.contains(' ')).chain(PUBLIC.iter().map(|path| (*path).to_owned()));
    same("OTHERS and PUBLIC", &speak_of_users(&types), &listed.collect());

    // Their author has a content under a key of their own: the same key is another content for everybody else.
    let keyed =
        "mutation { publishArtwork(input: { title: \"theirs\", clientKey: \"K\" }) { created artwork { id } } }";
    let theirs = stage.author.query(keyed).await.data()["publishArtwork"]["artwork"]["id"].clone();
    let look = stage.filled(
        "{ contents(ids: [\"A\", \"V\"]) { likeCount favoriteCount commentCount shareCount viewCount status }
           artworks(authorId: \"U\") { totalCount } videos(authorId: \"U\") { totalCount } }",
    );
    let before = stage.app.anonymous().query(&look).await.data().clone();
    let callers = callers(&stage.app);
    // The refused first: nothing of what they tried is to be seen before somebody else may.
    for allowed in [false, true] {
        for (field, argument, document, gets) in OTHERS {
            for ((caller, expected), column) in callers.iter().zip(gets).zip(tables::COLUMNS) {
                if (*expected == YES) == allowed {
                    let got = match (document.starts_with("subscription"), allowed) {
                        (false, _) => stage.run(caller, "mutation", document).await,
                        (true, true) => stage.run(caller, "subscription", document).await,
                        // A refusal comes at once: nothing has to happen for it.
                        (true, false) => what(&caller.listen(&stage.filled(document)).await.next_payload().await),
                    };
                    assert_eq!(got, *expected, "{field} with {argument}, {column}");
                }
            }
        }
        if !allowed {
            assert_eq!(*stage.app.anonymous().query(&look).await.data(), before, "a refused act left something");
        }
    }
    let user = &callers[1];
    let answer = user.query(keyed).await;
    assert_eq!(answer.data()["publishArtwork"]["created"], true);
    assert_ne!(answer.data()["publishArtwork"]["artwork"]["id"], theirs);
    let own = answer.data()["publishArtwork"]["artwork"]["id"].as_str().unwrap().to_owned();
    let said =
        user.query(&stage.filled("mutation { comment(contentId: \"A\", body: \"x\") { comment { id } } }")).await;
    let said = said.data()["comment"]["comment"]["id"].as_str().unwrap().to_owned();
    let id = user.id().await;
    for (field, document) in OWN {
        let letters = [("ME", &id), ("MINE", &own), ("SAID", &said)];
        let document = letters.into_iter().fold((*document).to_owned(), |document, (letter, id)| {
            document.replace(&format!("\"{letter}\""), &format!("\"{id}\""))
        });
        assert_eq!(stage.run(user, "mutation", &document).await, YES, "{field} of one's own");
    }
    stage.app.finish().await;
}

async fn me_is_the_token_s_own_user(backend: Backend) {
    let stage = Stage::set(backend).await;
    let types = described(&stage.app.anonymous()).await;
    let fields = fields_of(&types, "Viewer", "fields").map(|field| field["name"].as_str().unwrap());
    same("VIEWER", &fields.collect(), &VIEWER.iter().map(|(field, _)| *field).collect());
    stage.author.act("like", &stage.artwork).await.data();
    let mut users = BTreeSet::from([stage.user.clone()]);
    for (caller, column) in callers(&stage.app).iter().zip(tables::COLUMNS) {
        let anonymous = column == tables::COLUMNS[0];
        for (field, document) in VIEWER {
            let me = caller.query(document).await.data()["me"].clone();
            assert_eq!(me.is_null(), anonymous, "{field}, {column}: {me:#}");
            if *field == "user" && !anonymous {
                assert!(users.insert(me["user"]["id"].as_str().unwrap().to_owned()), "{column} is somebody else");
            }
            if *field == "roles" && !anonymous {
                assert_eq!(me["roles"], json!([column]));
            }
        }
        let document = stage.filled("{ artwork(id: \"A\") { viewerHasLiked } }");
        let liked = caller.query(&document).await.data()["artwork"]["viewerHasLiked"].clone();
        assert_eq!(liked, false, "{column}: it is somebody else who likes it");
    }
    stage.app.finish().await;
}

async fn every_kind_of_node_keeps_to_its_rule(backend: Backend) {
    let stage = Stage::set(backend).await;
    let declared = document::nodes().into_iter().map(|(prefix, _)| prefix).collect();
    same("NODES", &declared, &NODES.iter().map(|(prefix, ..)| *prefix).collect());
    for (prefix, document, gets) in NODES {
        for ((caller, expected), column) in callers(&stage.app).iter().zip(gets).zip(tables::COLUMNS) {
            assert_eq!(stage.run(caller, "query", document).await, *expected, "{prefix}, {column}");
        }
    }
    stage.app.finish().await;

    // None of tally's own is closed to a role: a module with a closed one shows that `node` opens nothing.
    let app = TestApp::start_with::<vault::WithVault>(backend, Options::default()).await;
    let id = vault::SOME;
    for document in [
        format!("{{ secret(id: \"{id}\") {{ text }} }}"),
        format!("{{ node(id: \"{id}\") {{ id ... on Secret {{ text }} }} }}"),
        format!("{{ hidden: node(id: \"{id}\") {{ __typename }} }}"),
    ] {
        for (caller, expected) in callers(&app).iter().zip(tables::STAFF) {
            let body = caller.query(&document).await.body;
            assert_eq!(what(&body), expected, "{document}: {body:#}");
            assert_eq!(body.to_string().contains("Secret") || body.to_string().contains("hush"), expected == YES);
        }
    }
    app.finish().await;
}

async fn pages_and_health_are_for_everybody(backend: Backend) {
    let app = TestApp::start(backend).await;
    let http = crate::harness::http();
    let good = app.token("somebody", &[Role::User], 3600);
    for (path, _, status) in PATHS {
        for token in [None, Some("nonsense"), Some(&*good)] {
            let request = http.get(format!("{}{path}", app.url));
            let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), *status, "{path} with {token:?}");
        }
    }
    app.finish().await;
}
