//! Accounts of points and what changed them, read together: one student after the other.

use super::dialect::{Class, Dialect};
use super::schema::{Found, Schema};
use crate::legacy::spec::{ACCOUNTS, TRANSACTIONS};

/// The columns of [`ledgers`], by place.
pub(in super::super) mod place {
    pub(in super::super::super) const STUDENT: usize = 0;
    /// 0: an account; 1: a transaction.
    pub(in super::super::super) const WHICH: usize = 1;
    /// The points of an account, or by how many they changed.
    pub(in super::super::super) const POINTS: usize = 2;
    pub(in super::super::super) const ID: usize = 3;
    pub(in super::super::super) const TEACHER: usize = 4;
    pub(in super::super::super) const TYPE: usize = 5;
    pub(in super::super::super) const REASON: usize = 6;
    pub(in super::super::super) const CREATED: usize = 7;
}

const OF_TRANSACTION: [&str; 5] = ["id", "teacher_id", "transaction_type", "reason", "created_at"];

/// Every row of both tables, those of a student together: accounts first, then transactions in the order of their times,
/// of one time in that of their ids. Without ids, rows that say the same stand together. The database sorts.
pub(in super::super) fn ledgers(dialect: Dialect, schema: &Schema) -> Option<String> {
    let (accounts, transactions) = (schema.table(ACCOUNTS), schema.table(TRANSACTIONS));
    let class = |table: &Found| table.class("student_id");
    let (own, other) = (accounts.or(transactions).map(class)?, transactions.or(accounts).map(class)?);
    let mut branches = Vec::new();
    let mut shown = Class::Text;
    for (which, table, class, other) in [(0, accounts, own, other), (1, transactions, other, own)] {
        let Some(table) = table else { continue };
        let (key, made) = dialect.key_for(&table.column("t", "student_id"), class, other);
        shown = made;
        let mut columns = vec![format!("{key} AS k"), format!("{which} AS which")];
        let points = if which == 0 { "points" } else { "points_change" };
        columns.push(format!("{} AS points", table.text("t", points)));
        columns.extend(OF_TRANSACTION.map(|column| format!("{} AS {column}", table.text("t", column))));
        if let Some(transactions) = transactions {
            let orders = orders(transactions).into_iter().enumerate();
            columns.extend(orders.map(|(n, order)| format!("{} AS o{n}", if which == 0 { "NULL" } else { &order })));
        }
        branches.push(format!("SELECT {} FROM {} t", columns.join(", "), table.quoted));
    }
    let orders = transactions.map_or(0, |table| orders(table).len());
    let orders: String = (0..orders).map(|n| format!(", g.o{n}")).collect();
    let columns = OF_TRANSACTION.map(|column| format!("g.{column}")).join(", ");
    Some(format!(
        "SELECT {}, {}, g.points, {columns} FROM ({}) g ORDER BY g.k, g.which{orders}",
        dialect.shown("g.k", shown),
        dialect.text("g.which", Class::Int),
        branches.join(" UNION ALL ")
    ))
}

/// What transactions of one student are ordered by: as it is where that helps, else as it is told from others.
fn orders(table: &Found) -> Vec<String> {
    let mut orders = Vec::new();
    if table.has("created_at") {
        orders.push(table.column("t", "created_at"));
    }
    if table.has("id") {
        orders.push(table.column("t", "id"));
    }
    // Of rows without an id, or of one id.
    let told = ["points_change", "teacher_id", "transaction_type", "reason"];
    orders.extend(told.iter().filter(|column| table.has(column)).map(|column| table.key("t", column)));
    orders
}
