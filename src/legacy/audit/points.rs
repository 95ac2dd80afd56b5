//! Each student's points against what changed them, student by student.

use futures_util::TryStreamExt as _;

use super::{Audit, Example, Finding};
use crate::kernel::error::Result;
use crate::legacy::moment;
use crate::legacy::points::{self, Doubt, Wrong};
use crate::legacy::spec::{ACCOUNTS, TRANSACTIONS, Table};
use crate::legacy::store::{Source, ledgers, place};

/// Balances of one student that are kept: who has more than one has at least one that is wrong.
const BALANCES: usize = 3;

/// A student whose rows are being read.
#[derive(Default)]
struct Student {
    id: String,
    accounts: u64,
    /// Different ones.
    balances: Vec<i64>,
    transactions: u64,
    sum: i128,
}

/// What is looked at; nothing of a table that is not there.
struct Findings {
    balance: Option<Finding>,
    no_transactions: Option<Finding>,
    negative: Option<Finding>,
    account_type: Option<Finding>,
    account_size: Option<Finding>,
    no_account: Option<Finding>,
    zero: Option<Finding>,
    change_type: Option<Finding>,
    change_size: Option<Finding>,
    unknown: Option<Finding>,
    sign: Option<Finding>,
    no_reason: Option<Finding>,
    bad_time: Option<Finding>,
    future: Option<Finding>,
}

impl Audit<'_> {
    pub(super) async fn points(&mut self, source: &mut Source) -> Result<()> {
        let Some(sql) = ledgers(source.dialect(), self.schema) else { return Ok(()) };
        let mut findings = self.looked_at();
        let mut student: Option<Student> = None;
        let read = async {
            let mut found = source.rows(sql);
            while let Some(row) = found.try_next().await? {
                // Of nobody: a row without a key.
                let Some(id) = row.get(place::STUDENT).and_then(Option::as_deref) else { continue };
                if student.as_ref().is_none_or(|student| student.id != id)
                    && let Some(ended) = student.replace(Student { id: id.to_owned(), ..Student::default() })
                {
                    self.ended(&mut findings, &ended);
                }
                let Some(student) = &mut student else { continue };
                match row.get(place::WHICH).and_then(Option::as_deref) {
                    Some("0") => self.account(&mut findings, student, &row),
                    _ => self.transaction(&mut findings, student, &row),
                }
            }
            Ok(())
        };
        let read = read.await;
        if let Some(ended) = student.filter(|_| read.is_ok()) {
            self.ended(&mut findings, &ended);
        }
        let Findings { balance, no_transactions, negative, account_type, account_size, .. } = findings;
        let of_accounts = [balance, no_transactions, negative, account_type, account_size];
        let Findings { no_account, zero, change_type, change_size, unknown, sign, no_reason, bad_time, future, .. } =
            findings;
        let of_changes = [no_account, zero, change_type, change_size, unknown, sign, no_reason, bad_time, future];
        self.report.findings.extend(of_accounts.into_iter().chain(of_changes).flatten());
        read
    }

    fn looked_at(&self) -> Findings {
        let (accounts, changes) = (self.schema.table(ACCOUNTS), self.schema.table(TRANSACTIONS));
        let rows = |spec: Table| {
            let table = self.report.tables.iter().find(|table| table.table == spec.name);
            table.map_or(0, |table| table.rows)
        };
        let finding = |of: Table, there: bool, name| there.then(|| Finding::new(name, of.name, rows(of)));
        let both = accounts.is_some() && changes.is_some();
        let of_account = |name| finding(ACCOUNTS, accounts.is_some(), name);
        let of_column =
            |column: &str, name| finding(TRANSACTIONS, changes.is_some_and(|table| table.has(column)), name);
        Findings {
            balance: finding(ACCOUNTS, both, "balance"),
            no_transactions: finding(ACCOUNTS, both, "no-transactions"),
            negative: of_account("negative-balance"),
            account_type: of_account("wrong-type"),
            account_size: of_account("out-of-range"),
            no_account: finding(TRANSACTIONS, both, "no-account"),
            zero: of_column("points_change", "zero-amount"),
            change_type: of_column("points_change", "wrong-type"),
            change_size: of_column("points_change", "out-of-range"),
            unknown: of_column("transaction_type", "unknown-type"),
            sign: of_column("transaction_type", "wrong-sign"),
            no_reason: of_column("reason", "no-reason"),
            bad_time: of_column("created_at", "bad-time"),
            future: of_column("created_at", "future-time"),
        }
    }

    fn note(&self, finding: &mut Option<Finding>, example: impl FnOnce() -> Example) {
        if let Some(finding) = finding {
            finding.note(1, self.options.examples, example);
        }
    }

    fn account(&self, findings: &mut Findings, student: &mut Student, row: &[Option<String>]) {
        student.accounts += 1;
        let text = row.get(place::POINTS).and_then(Option::as_deref);
        let id = format!("student_id {}", student.id);
        let stored = || format!("points {}", text.unwrap_or("NULL"));
        match points::points(text) {
            Ok(balance) => {
                if balance < 0 {
                    self.note(&mut findings.negative, || Example::new(&*id, stored(), "0 or more"));
                }
                if student.balances.len() < BALANCES && !student.balances.contains(&balance) {
                    student.balances.push(balance);
                }
            }
            Err(wrong) => {
                let finding = match wrong {
                    Wrong::NotWhole => &mut findings.account_type,
                    Wrong::TooLarge => &mut findings.account_size,
                };
                self.note(finding, || Example::new(&*id, stored(), wrong.due()));
            }
        }
    }

    fn transaction(&self, findings: &mut Findings, student: &mut Student, row: &[Option<String>]) {
        student.transactions += 1;
        let Some(table) = self.schema.table(TRANSACTIONS) else { return };
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        let example = |column: &str, at: usize, due: &str| {
            let stored = format!("{column} {}", text(at).unwrap_or("NULL"));
            Example::new(points::named(table, row), stored, due)
        };
        match points::points(text(place::POINTS)) {
            Ok(0) => self.note(&mut findings.zero, || example("points_change", place::POINTS, "not 0")),
            Ok(change) => {
                let typed = table.has("transaction_type");
                let (_, amount, doubt) = points::kind(self.options.mapping, typed, text(place::TYPE), change);
                student.sum += i128::from(amount);
                match doubt {
                    Some(Doubt::Unknown) => self.note(&mut findings.unknown, || {
                        example("transaction_type", place::TYPE, "a type that the mapping knows")
                    }),
                    Some(Doubt::Sign) => self.note(&mut findings.sign, || {
                        let due = format!("the sign of {}", text(place::TYPE).unwrap_or_default());
                        example("points_change", place::POINTS, &due)
                    }),
                    None => {}
                }
            }
            Err(wrong) => {
                let finding = match wrong {
                    Wrong::NotWhole => &mut findings.change_type,
                    Wrong::TooLarge => &mut findings.change_size,
                };
                self.note(finding, || example("points_change", place::POINTS, wrong.due()));
            }
        }
        if !points::is_reason(text(place::REASON)) {
            self.note(&mut findings.no_reason, || example("reason", place::REASON, "a reason"));
        }
        match text(place::CREATED).and_then(|text| moment::parse(text, self.offset)) {
            Some(at) if at <= self.options.now => {}
            Some(_) => {
                self.note(&mut findings.future, || example("created_at", place::CREATED, "a moment that has passed"));
            }
            None => self.note(&mut findings.bad_time, || example("created_at", place::CREATED, "a moment")),
        }
    }

    /// All of a student's rows were read.
    fn ended(&mut self, findings: &mut Findings, student: &Student) {
        let (id, most) = (format!("student_id {}", student.id), self.options.examples);
        if findings.balance.is_none() {
            return;
        }
        if student.accounts == 0 {
            if let Some(finding) = &mut findings.no_account {
                let rows = if student.transactions == 1 { "row" } else { "rows" };
                let stored = format!("{} {rows}, together {}", student.transactions, student.sum);
                finding.note(student.transactions, most, || Example::new(&*id, stored, "an account"));
            }
            return;
        }
        let Some(stored) = student.balances.iter().min().copied() else {
            // What is no number was found as such.
            return;
        };
        let difference = i128::from(stored) - student.sum;
        let mut balances = student.balances.clone();
        balances.sort_unstable();
        let shown: Vec<_> = balances.iter().map(i64::to_string).collect();
        let totals = self.report.points.get_or_insert_default();
        totals.students += 1;
        if student.balances.len() == 1 && difference == 0 {
            return;
        }
        totals.add(&id, difference);
        let finding = if student.transactions == 0 { &mut findings.no_transactions } else { &mut findings.balance };
        if let Some(finding) = finding {
            let size = if difference > 0 { "too many" } else { "too few" };
            let actual = format!("{} ({} {size})", student.sum, difference.unsigned_abs());
            finding.note(1, most, || Example::new(&*id, shown.join(" and "), actual));
        }
    }
}
