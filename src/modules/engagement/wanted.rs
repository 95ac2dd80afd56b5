//! What a batch needs to read before it folds its commands.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::commands::import;
use super::content::{BehaviorKind, key};
use super::interactions;
use super::store;
use super::writer::Command;

/// What a batch needs to read.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// By (lane, id): the one order in which every writer locks.
    pub(super) contents: BTreeSet<(i16, Uuid)>,
    pub(super) behaviors: HashSet<(Uuid, Uuid, i16)>,
    pub(super) publishes: bool,
    /// External ids and client keys of those to be published.
    pub(super) publications: Vec<(Option<&'a str>, Uuid, Option<&'a str>)>,
    pub(super) taken: Vec<store::batch::TakenRow>,
    pub(super) recalculations: BTreeSet<Uuid>,
    pub(super) interactions: interactions::Wanted<'a>,
    /// Whose acts these are.
    pub(super) users: BTreeSet<Uuid>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(commands: &'a [Command]) -> Self {
        let mut wanted = Self { users: commands.iter().filter_map(Command::user).collect(), ..Self::default() };
        for command in commands {
            wanted.interactions.by(command);
            match command {
                Command::Act(act) => {
                    wanted.contents.insert(key(act.content));
                    wanted.behaviors.insert((act.content, act.user, act.kind.number()));
                }
                Command::Publish(publish) => {
                    wanted.publishes = true;
                    let (info, client_key) = (&publish.info, publish.client_key.as_deref());
                    if info.external_id.is_some() || client_key.is_some() {
                        wanted.publications.push((info.external_id.as_deref(), info.author_id, client_key));
                    }
                }
                Command::Recalculate(recalculate) => {
                    wanted.contents.insert(key(recalculate.content));
                    wanted.recalculations.insert(recalculate.content);
                }
                Command::View(view) => wanted.contents.extend(view.contents.iter().map(|(content, _)| key(*content))),
                Command::Forget(forget) => {
                    wanted.contents.insert(key(forget.content));
                    for kind in [BehaviorKind::Like, BehaviorKind::Favorite] {
                        wanted.behaviors.insert((forget.content, forget.user, kind.number()));
                    }
                }
                Command::Import(import) => {
                    if let Some(publish) = &import.publish {
                        let info = &publish.info;
                        wanted.publishes = true;
                        wanted.publications.push((info.external_id.as_deref(), info.author_id, None));
                    }
                    wanted.contents.insert(key(import.content));
                    wanted.users.extend(import.acts.iter().map(|act| act.user));
                    let key = |act: &import::ImportedAct| (import.content, act.user, act.kind.number());
                    wanted.behaviors.extend(import.acts.iter().map(key));
                }
                other => {
                    wanted.contents.insert(key(other.content()));
                }
            }
        }
        wanted
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.contents.iter().map(|(_, id)| *id).collect()
    }
}
