//! Users: those of a table, or, where there is none, whoever did something.

use std::collections::{BTreeSet, HashMap};

use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::points::PEOPLE;
use super::{CHUNK, Run};
use crate::kernel::clock::Millis;
use crate::kernel::error::Result;
use crate::legacy::spec::USERS;
use crate::legacy::store::{Source, Streams};
use crate::modules::users::{ImportedUser, UserOutcome, import_users};

impl Run<'_> {
    /// Takes the table of users over.
    pub(super) async fn users(&mut self, source: &mut Source) -> Result<()> {
        let Some(table) = self.schema.table(USERS) else { return Ok(()) };
        let mut rows = source.rows(Streams::by_key(table, &["id", "name", "created_at"], &["id"]));
        let mut chunk: Vec<ImportedUser> = Vec::new();
        loop {
            let row = rows.try_next().await?;
            let ended = row.is_none();
            if let Some(row) = row {
                self.read(USERS.name, 1);
                let text = |n: usize| row.get(n).and_then(Option::as_deref);
                let Some(id) = text(0) else {
                    self.drop(USERS.name, "there is no id", 1, "id NULL".to_owned());
                    continue;
                };
                let user = ImportedUser {
                    old_id: id.to_owned(),
                    name: text(1).map(|name| name.chars().filter(|c| !c.is_control()).take(100).collect()),
                    created_at: text(2).and_then(|told| self.created(id, told)),
                };
                match chunk.last_mut().filter(|last| last.old_id == user.old_id) {
                    // As of works: the last one counts, whatever the order.
                    Some(last) => {
                        self.report.table(USERS.name).duplicates += 1;
                        if (user.created_at, &user.name) > (last.created_at, &last.name) {
                            *last = user;
                        }
                    }
                    None => {
                        if chunk.len() >= CHUNK {
                            self.make(USERS.name, std::mem::take(&mut chunk)).await?;
                        }
                        chunk.push(user);
                    }
                }
            }
            if ended {
                return self.make(USERS.name, chunk).await.map(|_| ());
            }
        }
    }

    /// When a user was created, if what is said of it is a moment that has passed.
    fn created(&mut self, id: &str, told: &str) -> Option<Millis> {
        let why = match self.moment(Some(told)) {
            Ok(at) => return Some(at),
            Err(why) => why,
        };
        let reason = format!("created_at: {why}: a user who is new counts as created now");
        self.report.alter(USERS.name, &reason, self.options.examples, format!("id {id}: created_at {told}"));
        None
    }

    pub(super) async fn make(
        &mut self,
        table: &'static str,
        users: Vec<ImportedUser>,
    ) -> Result<HashMap<String, Uuid>> {
        let ids: Vec<String> = users.iter().map(|user| user.old_id.clone()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut found = HashMap::new();
        let mut seen = BTreeSet::new();
        for (id, outcome) in ids.into_iter().zip(import_users(self.kernel, users).await?) {
            if !seen.insert(id.clone()) {
                self.report.table(table).duplicates += 1;
                continue;
            }
            let held = self.report.table(if table == PEOPLE { PEOPLE } else { USERS.name });
            match &outcome {
                UserOutcome::Created(_) => held.new += 1,
                UserOutcome::Found(_) => held.there += u64::from(table == USERS.name),
                UserOutcome::Deleted if table == USERS.name => {
                    self.drop(table, "the user was deleted here", 1, format!("id {id}"));
                }
                UserOutcome::Refused(reason) if table == USERS.name => self.drop(table, reason, 1, format!("id {id}")),
                UserOutcome::Deleted | UserOutcome::Refused(_) => {}
            }
            if let Some(user) = outcome.id() {
                found.insert(id, user);
            }
        }
        Ok(found)
    }

    /// The users behind ids. Where there is no table of users they are made; otherwise who is not in it does not exist.
    pub(super) async fn people(&mut self, ids: BTreeSet<String>) -> Result<HashMap<String, Uuid>> {
        if self.schema.table(USERS).is_some() {
            let ids: Vec<String> = ids.into_iter().collect();
            return crate::modules::users::users_by_external_ids(self.kernel, &ids).await;
        }
        let users = ids.into_iter().map(|old_id| ImportedUser { old_id, ..ImportedUser::default() });
        self.make("", users.collect()).await
    }

    /// Whose the works are whose author nobody knows.
    pub(super) async fn nobody(&mut self) -> Result<Option<Uuid>> {
        let user =
            ImportedUser { old_id: super::NOBODY.to_owned(), name: Some("imported".to_owned()), created_at: None };
        Ok(import_users(self.kernel, vec![user]).await?.first().and_then(UserOutcome::id))
    }
}
