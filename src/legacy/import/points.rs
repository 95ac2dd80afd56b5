//! Points: each transaction becomes one of the ledger, with its time. Where that leaves a balance that is not the one of
//! its table, an adjustment makes up for it, or it is reported.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::{CHUNK, Run};
use crate::kernel::clock::Millis;
use crate::kernel::error::{Code, Result};
use crate::legacy::points::{self, Doubt};
use crate::legacy::spec::{ACCOUNTS, TRANSACTIONS, USERS};
use crate::legacy::store::{Row, Source, ledgers, place};
use crate::modules::points::importing::{IMPORTED, Importer, OldTransaction, Outcome, REASON_MOST};
use crate::modules::points::ledger::Kind;
use crate::modules::users::ImportedUser;

/// Rows of one student that are put in order here; of more, each such part is, after the database's own order.
const BLOCK: usize = 10_000;
/// Characters of an id that is part of a key.
const ID_MOST: usize = 150;
/// Under which name users are counted whose prefix says that they are not among those of the table.
pub(super) const PEOPLE: &str = "people";
/// What a transaction without a reason gets.
const NO_REASON: &str = "imported without a reason";

/// What becomes of balances that their transactions do not add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Differences {
    /// They are listed, and the ledger's balance is what the transactions add up to.
    #[default]
    Report,
    /// They become `ADJUSTMENT` transactions, and the ledger's balance is the one of its table.
    Adjust,
}

/// A student whose rows are being read.
#[derive(Default)]
struct Student {
    id: String,
    /// Rows with a balance that can be read, and the different ones among the balances, of many the least and the most.
    accounts: u64,
    balances: Vec<i64>,
    told: Vec<Told>,
    /// Keys of what is waiting.
    keys: HashSet<String>,
    /// The last row without an id, and how many like it stood before it.
    last: Option<(String, u64)>,
    /// Whether something came over that is new.
    changed: bool,
}

/// A transaction as its table has it.
struct Told {
    kind: Kind,
    amount: i64,
    reason: String,
    key: String,
    teacher: Option<String>,
    at: Millis,
    named: String,
}

/// What differences add up to.
#[derive(Default)]
struct Sizes {
    count: u64,
    too_many: u128,
    too_few: u128,
}

impl Run<'_> {
    /// Takes accounts and transactions over, student by student.
    pub(super) async fn points(&mut self, source: &mut Source) -> Result<()> {
        let Some(sql) = ledgers(source.dialect(), self.schema) else { return Ok(()) };
        let importer = Importer::open(self.kernel);
        let mut sizes = Sizes::default();
        let mut rows = source.rows(sql);
        let (mut pending, mut waiting): (Vec<Student>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let is_account = row.get(place::WHICH).and_then(Option::as_deref) == Some("0");
            let table = if is_account { ACCOUNTS.name } else { TRANSACTIONS.name };
            self.read(table, 1);
            let Some(id) = row.get(place::STUDENT).and_then(Option::as_deref) else {
                self.drop(table, "a key is NULL", 1, "student_id NULL".to_owned());
                continue;
            };
            if pending.last().is_none_or(|last| last.id != id) {
                if waiting >= CHUNK {
                    self.students(&importer, &mut pending, true, &mut sizes).await?;
                    waiting = 0;
                }
                pending.push(Student { id: id.to_owned(), ..Student::default() });
                waiting += 1;
            }
            let Some(student) = pending.last_mut() else { continue };
            if is_account {
                self.account(student, &row);
                continue;
            }
            if let Some(told) = self.told(student, &row) {
                student.told.push(told);
                waiting += 1;
                if student.told.len() >= BLOCK {
                    self.students(&importer, &mut pending, false, &mut sizes).await?;
                    waiting = 0;
                }
            }
        }
        self.students(&importer, &mut pending, true, &mut sizes).await?;
        if sizes.count > 0 {
            let Sizes { count, too_many, too_few } = sizes;
            let (verb, what) = if count == 1 { ("balance is", "it") } else { ("balances are", "them") };
            let done = match self.options.differences {
                Differences::Report => format!("`--point-differences adjust` makes up for {what}"),
                Differences::Adjust => format!("an ADJUSTMENT makes up for each of {what}"),
            };
            self.report.notes.push(format!(
                "{count} {verb} not what came over adds up to: together {too_many} too many and {too_few} too few; {done}"
            ));
        }
        Ok(())
    }

    fn account(&mut self, student: &mut Student, row: &Row) {
        let text = row.get(place::POINTS).and_then(Option::as_deref);
        match points::points(text) {
            Ok(balance) => {
                student.accounts += 1;
                // The least and the most: two different ones are as bad as more.
                student.balances.push(balance);
                student.balances.sort_unstable();
                student.balances.dedup();
                if student.balances.len() > 2 {
                    student.balances.remove(1);
                }
            }
            Err(wrong) => {
                let example = format!("student_id {}: points {}", student.id, text.unwrap_or("NULL"));
                self.drop(ACCOUNTS.name, &format!("points is not {}", wrong.due()), 1, example);
            }
        }
    }

    /// A transaction, if it is one.
    fn told(&mut self, student: &mut Student, row: &Row) -> Option<Told> {
        let (name, schema) = (TRANSACTIONS.name, self.schema);
        let table = schema.table(TRANSACTIONS)?;
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        let named = points::named(table, row);
        // First of all: of rows that say the same each has its number, whatever becomes of it.
        let key = student.key(row);
        let change = match points::points(text(place::POINTS)) {
            Ok(0) => Err("a change of 0 moves nothing".to_owned()),
            Err(wrong) => Err(format!("points_change is not {}", wrong.due())),
            Ok(change) => Ok(change),
        };
        let at = if table.has("created_at") { self.moment(text(place::CREATED)) } else { Ok(self.now) };
        let (change, at) = match (change, at) {
            (Ok(change), Ok(at)) => (change, at),
            (Err(reason), _) => {
                self.drop(
                    name,
                    &reason,
                    1,
                    format!("{named}: points_change {}", text(place::POINTS).unwrap_or("NULL")),
                );
                return None;
            }
            (_, Err(reason)) => {
                self.drop(name, reason, 1, format!("{named}: created_at {}", text(place::CREATED).unwrap_or("NULL")));
                return None;
            }
        };
        if !student.keys.insert(key.clone()) {
            self.drop(name, "another row of this student has this id", 1, named);
            return None;
        }
        let most = self.options.examples;
        let typed = table.has("transaction_type");
        let (kind, amount, doubt) = points::kind(self.options.mapping, typed, text(place::TYPE), change);
        if let Some(doubt) = doubt {
            let reason = match doubt {
                Doubt::Unknown => "nobody knows what this transaction_type means: it became an ADJUSTMENT",
                Doubt::Sign => "its transaction_type contradicts its sign: it became an ADJUSTMENT",
            };
            let example = format!("{named}: {} {change}", text(place::TYPE).unwrap_or("NULL"));
            self.report.alter(name, reason, most, example);
        }
        // NUL is the one character that a ledger does not take.
        let reason: String = text(place::REASON).unwrap_or_default().chars().filter(|c| *c != '\0').collect();
        let reason = match reason.chars().count() {
            _ if !points::is_reason(Some(&reason)) => {
                self.report.alter(name, "there is no reason: it says so", most, named.clone());
                NO_REASON.to_owned()
            }
            length if length > REASON_MOST => {
                self.report.alter(name, "the reason is longer than 500 characters: it was cut", most, named.clone());
                reason.chars().take(REASON_MOST).collect()
            }
            _ => reason,
        };
        let teacher = text(place::TEACHER).map(str::to_owned);
        Some(Told { kind, amount, reason, key, teacher, at, named })
    }

    /// Writes what waits, and looks at the balances of students whose rows were all read: all but the last one, or it too.
    async fn students(
        &mut self,
        importer: &Importer,
        pending: &mut Vec<Student>,
        is_last_ended: bool,
        sizes: &mut Sizes,
    ) -> Result<()> {
        let mapping = self.options.mapping;
        let old_id = |student: &Student| format!("{}{}", mapping.student_prefix(), student.id);
        let ids: BTreeSet<String> = pending.iter().map(old_id).collect();
        let known = self.people_of(ids, !mapping.student_prefix().is_empty()).await?;
        let teacher = |told: &Told| told.teacher.as_ref().map(|id| format!("{}{id}", mapping.teacher_prefix()));
        let ids: BTreeSet<String> = pending.iter().flat_map(|student| &student.told).filter_map(teacher).collect();
        let teachers = self.people_of(ids, !mapping.teacher_prefix().is_empty()).await?;
        let (mut old, mut of) = (Vec::new(), Vec::new());
        for (place, student) in pending.iter_mut().enumerate() {
            student.keys.clear();
            let mut told = std::mem::take(&mut student.told);
            let Some(user) = known.get(&old_id(student)).copied() else {
                if !told.is_empty() {
                    let example = format!("student_id {}", student.id);
                    self.drop(TRANSACTIONS.name, "there is no such user", told.len() as u64, example);
                }
                continue;
            };
            // Stable: of one moment the database's order counts.
            told.sort_by_key(|told| told.at);
            for told in told {
                let id = teacher(&told);
                let known = id.as_ref().and_then(|id| teachers.get(id)).copied();
                if let (Some(id), None) = (&id, known) {
                    let example = format!("{}, teacher_id {id}", told.named);
                    let reason = "there is no such teacher: it is said to be done by tally-import";
                    self.report.alter(TRANSACTIONS.name, reason, self.options.examples, example);
                }
                let actor = match known {
                    Some(actor) => Some(actor),
                    None => self.stand_in().await?,
                };
                let Some(actor) = actor else {
                    let reason = "nobody can stand for its teacher: the user tally-import was deleted here";
                    self.drop(TRANSACTIONS.name, reason, 1, told.named);
                    continue;
                };
                let Told { kind, amount, reason, key, at, named, .. } = told;
                old.push(OldTransaction { user, kind, amount, reason, key, actor, at });
                of.push((place, named));
            }
        }
        for (old, of) in old.chunks(CHUNK).zip(of.chunks(CHUNK)) {
            for ((old, (place, named)), outcome) in old.iter().zip(of).zip(importer.import(old).await?) {
                let added = self.came(outcome, old.at, named)?;
                if let Some(student) = pending.get_mut(*place) {
                    student.changed |= added;
                }
            }
        }
        let ended = if is_last_ended { pending.len() } else { pending.len().saturating_sub(1) };
        let ended: Vec<(Student, Option<Uuid>)> = pending
            .drain(..ended)
            .map(|student| {
                let user = known.get(&old_id(&student)).copied();
                (student, user)
            })
            .collect();
        self.balances(importer, ended, sizes).await
    }

    /// Notes what came of a transaction. Returns whether it is new.
    fn came(&mut self, outcome: Result<Outcome>, at: Millis, named: &str) -> Result<bool> {
        let name = TRANSACTIONS.name;
        match outcome {
            Ok(Outcome::Added(counts_from)) => {
                self.report.table(name).new += 1;
                if counts_from > at {
                    let reason = "newer ones were there before it: it counts from the moment of the last of them";
                    self.report.alter(name, reason, self.options.examples, named.to_owned());
                }
                return Ok(true);
            }
            Ok(Outcome::There) => self.report.table(name).there += 1,
            Ok(Outcome::Another) => {
                let reason = "it came over before with another amount, kind or reason: a ledger is not edited";
                self.drop(name, reason, 1, named.to_owned());
            }
            Err(error) if error.code() == Code::UNAVAILABLE => return Err(error),
            Err(error) => self.drop(name, error.client(), 1, named.to_owned()),
        }
        Ok(false)
    }

    /// The balances of students whose transactions are all there.
    async fn balances(
        &mut self,
        importer: &Importer,
        ended: Vec<(Student, Option<Uuid>)>,
        sizes: &mut Sizes,
    ) -> Result<()> {
        let name = ACCOUNTS.name;
        let users: Vec<Uuid> = ended.iter().filter_map(|(_, user)| *user).collect();
        let imported = if users.is_empty() { HashMap::new() } else { importer.imported(&users).await? };
        let mut adjustments = Vec::new();
        for (student, user) in ended {
            let example = format!("student_id {}", student.id);
            let balance = match (&student.balances[..], user) {
                ([], _) => continue,
                (_, None) => {
                    self.drop(name, "there is no such user", student.accounts, example);
                    continue;
                }
                ([balance], Some(_)) => *balance,
                ([one, other, ..], _) => {
                    let example = format!("{example}: {one} and {other}");
                    self.drop(
                        name,
                        "the student has different balances: none of them counts",
                        student.accounts,
                        example,
                    );
                    continue;
                }
            };
            let Some(user) = user else { continue };
            self.report.table(name).duplicates += student.accounts - 1;
            let held = imported.get(&user).copied().unwrap_or_default();
            let difference = i128::from(balance) - held.total;
            if difference == 0 {
                let table = self.report.table(name);
                if student.changed {
                    table.new += 1;
                } else {
                    table.there += 1;
                }
                continue;
            }
            sizes.count += 1;
            let size = if difference > 0 { &mut sizes.too_many } else { &mut sizes.too_few };
            *size += difference.unsigned_abs();
            let example = format!("{example}: balance {balance}, what came over adds up to {}", held.total);
            if self.options.differences == Differences::Report {
                self.drop(name, "the balance is not what came over adds up to", 1, example);
                continue;
            }
            let (Ok(amount), Some(actor)) = (i64::try_from(difference), self.stand_in().await?) else {
                self.drop(name, "nothing can make up for the difference", 1, example);
                continue;
            };
            let old = OldTransaction {
                user,
                kind: Kind::Adjustment,
                amount,
                reason: format!("imported: the balance was {balance}, what came over added up to {}", held.total),
                // Two imports at the same time make up for it once.
                key: format!("{IMPORTED}difference:{}", held.differences + 1),
                actor,
                at: self.now,
            };
            adjustments.push((old, example));
        }
        self.adjust(importer, &adjustments).await
    }

    /// Makes up for differences.
    async fn adjust(&mut self, importer: &Importer, adjustments: &[(OldTransaction, String)]) -> Result<()> {
        let name = ACCOUNTS.name;
        for chunk in adjustments.chunks(CHUNK) {
            let old: Vec<OldTransaction> = chunk.iter().map(|(old, _)| old.clone()).collect();
            for ((_, example), outcome) in chunk.iter().zip(importer.import(&old).await?) {
                match outcome {
                    Ok(Outcome::Added(_)) => self.report.table(name).new += 1,
                    Ok(Outcome::There) => self.report.table(name).there += 1,
                    Ok(Outcome::Another) => self.drop(name, "another import runs: run it again", 1, example.clone()),
                    Err(error) if error.code() == Code::UNAVAILABLE => return Err(error),
                    Err(error) => self.drop(name, error.client(), 1, example.clone()),
                }
            }
        }
        Ok(())
    }

    /// The users behind ids. Those who are not among the users, as their prefix says, are made; the others as of works.
    async fn people_of(&mut self, ids: BTreeSet<String>, apart: bool) -> Result<HashMap<String, Uuid>> {
        let (mut found, ids) = (HashMap::new(), ids.into_iter().collect::<Vec<_>>());
        let listed = self.schema.table(USERS).is_some() && !apart;
        for ids in ids.chunks(CHUNK) {
            found.extend(match listed {
                true => self.people(ids.iter().cloned().collect()).await?,
                false => {
                    let table = if apart { PEOPLE } else { "" };
                    let users = ids.iter().map(|id| ImportedUser { old_id: id.clone(), ..ImportedUser::default() });
                    self.make(table, users.collect()).await?
                }
            });
        }
        Ok(found)
    }

    /// Who is said to have done what nobody did that is known.
    async fn stand_in(&mut self) -> Result<Option<Uuid>> {
        if self.nobody.is_none() {
            self.nobody = self.nobody().await?;
        }
        Ok(self.nobody)
    }
}

impl Student {
    /// By which a transaction is known in the ledger: its id; where there is none, all that its row says, and the how
    /// many-th of its like it is.
    fn key(&mut self, row: &Row) -> String {
        let id = row.get(place::ID).and_then(Option::as_deref);
        if let Some(id) = id.filter(|id| id.chars().count() <= ID_MOST && !id.contains('\0')) {
            return format!("{IMPORTED}transaction:{id}");
        }
        let print = points::fingerprint(row);
        let number = match &self.last {
            Some((last, number)) if *last == print => number + 1,
            _ => 1,
        };
        let key = format!("{IMPORTED}row:{print}:{number}");
        self.last = Some((print, number));
        key
    }
}
