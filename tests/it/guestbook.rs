//! A module defined outside `src/` is as good as a built-in one: schema, tables, settings, access, node, `me`, check.

mod checks;
mod module;
mod tables;

use std::collections::BTreeMap;

use serde_json::json;
use tally::app::App as _;
use tally::kernel::auth::Role;
use tally::kernel::config::Settings;
use tally::kernel::integrity;
use tally::kernel::module::{Module as _, Modules};

pub(crate) use self::module::Guestbook;
use crate::harness::{Backend, Options, TestApp, on_every_backend, unnamed};

tally::app! {
    /// tally with a guestbook: the whole of what a crate with its own module writes.
    pub(crate) WithGuestbook {
        // Before what it depends on, on purpose: the order of the list is nobody's concern.
        module::Guestbook,
        tally::modules::users::Users,
        tally::modules::engagement::Engagement,
    }
}

on_every_backend!(
    its_fields_its_node_and_its_part_of_me_work,
    its_rules_and_its_setting_hold,
    its_listeners_hear_and_so_do_everybody_elses,
    its_check_finds_a_drift,
    switched_off_it_does_not_exist,
);

async fn start(backend: Backend) -> TestApp {
    TestApp::start_with::<WithGuestbook>(backend, Options::default()).await
}

const WRITE: &str = "mutation ($text: String!) { writeNote(text: $text) { id text author { id } } }";

async fn its_fields_its_node_and_its_part_of_me_work(backend: Backend) {
    let app = start(backend).await;
    let visitor = app.user("visitor");
    let answer = visitor.run(WRITE, json!({ "text": "I was here" })).await;
    let note = answer.data()["writeNote"].clone();
    assert_eq!(note["text"], "I was here");
    assert_eq!(note["author"]["id"], json!(visitor.id().await));
    assert!(note["id"].as_str().unwrap().starts_with("note_"));
    visitor.run(WRITE, json!({ "text": "again" })).await.data();

    let answer = app.anonymous().query("{ notes { text } }").await;
    assert_eq!(*answer.data(), json!({ "notes": [{ "text": "again" }, { "text": "I was here" }] }));
    let node = "query ($id: ID!) { node(id: $id) { __typename id ... on Note { text } } }";
    let answer = app.anonymous().run(node, json!({ "id": note["id"] })).await;
    assert_eq!(answer.data()["node"], json!({ "__typename": "Note", "id": note["id"], "text": "I was here" }));
    let answer = visitor.query("{ me { noteCount user { name } roles } }").await;
    let name = unnamed(&visitor.id().await);
    let me = json!({ "noteCount": 2, "user": { "name": name }, "roles": ["USER"] });
    assert_eq!(answer.data()["me"], me, "the fields of two modules side by side");
    app.finish().await;
}

async fn its_rules_and_its_setting_hold(backend: Backend) {
    let options = Options::default().with("guestbook.note_chars", 5);
    let app = TestApp::start_with::<WithGuestbook>(backend, options).await;
    let (visitor, operator) = (app.user("visitor"), app.client("operator", &[Role::Operator]));
    assert_eq!(app.anonymous().run(WRITE, json!({ "text": "12345" })).await.code(), "UNAUTHENTICATED");
    let answer = visitor.run(WRITE, json!({ "text": "123456" })).await;
    assert_eq!((answer.code(), answer.message()), ("INVALID_INPUT", "text has more than 5 characters"));
    let answer = visitor.run(WRITE, json!({ "text": "12345" })).await;
    let id = answer.data()["writeNote"]["id"].clone();

    let erase = "mutation ($id: ID!) { eraseNote(id: $id) }";
    assert_eq!(visitor.run(erase, json!({ "id": id })).await.code(), "FORBIDDEN");
    assert_eq!(operator.run(erase, json!({ "id": id })).await.data()["eraseNote"], true);
    assert_eq!(operator.run(erase, json!({ "id": id })).await.data()["eraseNote"], false);
    assert_eq!(visitor.query("{ me { noteCount } }").await.data()["me"]["noteCount"], 0);
    app.finish().await;
}

async fn its_listeners_hear_and_so_do_everybody_elses(backend: Backend) {
    let app = start(backend).await;
    let visitor = app.user("visitor");
    let mut notes = visitor.listen("subscription { noteWritten { text author { name } } }").await;
    let mut ranking = visitor.listen("subscription { hotRankingChanged { entries { content { id } } } }").await;
    assert_eq!(ranking.next().await["hotRankingChanged"]["entries"], json!([]));
    let id = visitor.publish("one").await;
    ranking.until(|data| data["hotRankingChanged"]["entries"][0]["content"]["id"] == json!(id)).await;

    let heard = notes.next_while(async || drop(visitor.run(WRITE, json!({ "text": "hello" })).await)).await;
    assert_eq!(
        heard["data"]["noteWritten"],
        json!({ "text": "hello", "author": { "name": unnamed(&visitor.id().await) } })
    );
    app.finish().await;
}

async fn its_check_finds_a_drift(backend: Backend) {
    let app = start(backend).await;
    let visitor = app.user("visitor");
    visitor.run(WRITE, json!({ "text": "one" })).await.data();
    let check = Guestbook::checks().remove(0);
    let report = integrity::run(&*check, &app.kernel, &|_| ()).await.unwrap();
    assert_eq!((report.checked, report.drifted), (1, 0));

    app.database.sql("UPDATE guestbook_counts SET note_count = 41").await;
    let report = integrity::run(&*check, &app.kernel, &|_| ()).await.unwrap();
    assert_eq!((report.module, report.name, report.drifted), ("guestbook", "note-count", 1));
    let drift = &report.examples[0];
    assert_eq!((drift.field.as_str(), drift.stored.as_str(), drift.actual.as_str()), ("noteCount", "41", "1"));
    assert_eq!(drift.id, visitor.id().await);

    app.database.sql("DELETE FROM guestbook_counts").await;
    let report = integrity::run(&*check, &app.kernel, &|_| ()).await.unwrap();
    assert_eq!((report.drifted, report.examples[0].stored.as_str()), (1, "0"), "a lost row is found too");
    // The audit at the end runs this check as well: mended, it is silent.
    app.database.sql("INSERT INTO guestbook_counts SELECT author_id, count(*) FROM guestbook_notes GROUP BY 1").await;
    app.finish().await;
}

async fn switched_off_it_does_not_exist(backend: Backend) {
    let app = TestApp::start_with::<WithGuestbook>(backend, Options::default().with("modules.off", "guestbook")).await;
    let visitor = app.user("visitor");
    for document in [
        "{ notes { text } }",
        "{ me { noteCount } }",
        "mutation { writeNote(text: \"x\") { id } }",
        "subscription { noteWritten { id } }",
        "{ node(id: \"note_01h455vb4pex5vsknk084sn02q\") { ... on Note { text } } }",
    ] {
        let answer = visitor.query(document).await;
        assert_eq!((answer.status, answer.body.get("data")), (400, None), "{document}: {:#}", answer.body);
        assert_eq!(answer.body["errors"][0]["extensions"]["code"], "INVALID_INPUT", "{document}");
    }
    let answer = visitor.query("{ node(id: \"note_01h455vb4pex5vsknk084sn02q\") { id } }").await;
    assert_eq!(answer.message(), "nothing has ids that begin with note_");
    let answer = visitor.query("{ __schema { types { name } } __type(name: \"Note\") { name } }").await;
    assert_eq!(answer.data()["__type"], json!(null), "introspection does not know it either");
    assert!(!answer.data()["__schema"].to_string().contains("Note"));
    visitor.publish("the others work").await;
    app.finish().await;
}

#[test]
fn only_what_nobody_needs_can_be_switched_off() {
    let switched = |off: &str| {
        let list = Modules::new(WithGuestbook::modules()).unwrap();
        let settings = list.settings();
        let settings = Settings::read(&settings, None, &BTreeMap::new(), &[("modules.off", off.to_owned())]).unwrap();
        list.switched(&settings).map(|(modules, _)| modules.list.len()).map_err(|error| error.client().to_owned())
    };
    assert_eq!(switched(""), Ok(3));
    assert_eq!(switched(" engagement, guestbook "), Ok(1));
    let problems = "modules.off:\n  engagement depends on users: switch it off too\n  guestbook depends on users: \
                    switch it off too\n  there is no module nonsense";
    assert_eq!(switched("users,nonsense"), Err(problems.to_owned()));
}
