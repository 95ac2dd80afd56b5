//! What an import reads: each table once, in the order of its keys.

use super::schema::Found;

/// Makes the texts.
pub(in super::super) struct Streams;

impl Streams {
    /// These columns of every row, as text.
    pub(in super::super) fn rows(table: &Found, columns: &[&str]) -> String {
        let columns: Vec<_> = columns.iter().map(|column| table.text("t", column)).collect();
        format!("SELECT {} FROM {} t", columns.join(", "), table.quoted)
    }

    /// The same, those of one key together: of one to the byte, whatever the collation.
    pub(in super::super) fn by_key(table: &Found, columns: &[&str], keys: &[&str]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| table.key("t", key)).collect();
        format!("{} ORDER BY {}", Self::rows(table, columns), keys.join(", "))
    }
}
