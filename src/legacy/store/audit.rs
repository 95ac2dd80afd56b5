//! What an audit asks. The database groups and joins, so that only what is wrong, and one row an artwork, comes here.

use super::dialect::Dialect;
use super::schema::{Found, Schema};
use crate::legacy::spec::{FAVORITES, LIKES};

/// Makes the texts.
pub(in super::super) struct Queries<'a> {
    dialect: Dialect,
    schema: &'a Schema,
}

impl<'a> Queries<'a> {
    pub(in super::super) fn new(dialect: Dialect, schema: &'a Schema) -> Self {
        Self { dialect, schema }
    }

    fn number(&self, expression: &str) -> String {
        self.dialect.text(expression, super::dialect::Class::Int)
    }

    /// How many rows a table has, and how many of them have a NULL among these columns.
    pub(in super::super) fn size(&self, table: &Found, keys: &[&str]) -> String {
        let nulls: Vec<_> = keys.iter().map(|key| format!("{} IS NULL", table.column("t", key))).collect();
        let nulls = format!("coalesce(sum(CASE WHEN {} THEN 1 ELSE 0 END), 0)", nulls.join(" OR "));
        format!("SELECT {}, {} FROM {} t", self.number("count(*)"), self.number(&nulls), table.quoted)
    }

    /// The first rows with a NULL among these columns.
    pub(in super::super) fn nulls(&self, table: &Found, keys: &[&str], most: usize) -> String {
        let columns: Vec<_> = keys.iter().map(|key| table.text("t", key)).collect();
        let nulls: Vec<_> = keys.iter().map(|key| format!("{} IS NULL", table.column("t", key))).collect();
        format!("SELECT {} FROM {} t WHERE {} LIMIT {most}", columns.join(", "), table.quoted, nulls.join(" OR "))
    }

    /// Of each key that more than one row has: the key's columns, and how many rows.
    pub(in super::super) fn duplicates(&self, table: &Found, keys: &[&str]) -> String {
        let columns: Vec<_> = keys.iter().map(|key| table.column("t", key)).collect();
        let texts: Vec<_> = keys.iter().map(|key| table.text("t", key)).collect();
        let held: Vec<_> = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let grouped = columns.join(", ");
        format!(
            "SELECT {}, {} FROM {} t WHERE {} GROUP BY {grouped} HAVING count(*) > 1 ORDER BY {grouped}",
            texts.join(", "),
            self.number("count(*)"),
            table.quoted,
            held.join(" AND ")
        )
    }

    /// Of each value of a column that no row of another table has as its id: the value, and how many rows have it.
    pub(in super::super) fn orphans(&self, table: &Found, column: &str, of: &Found) -> String {
        let (column, class) = table.key("t", column);
        let (id, id_class) = of.key("o", "id");
        let same = self.dialect.same(("g.k", class), (&id, id_class));
        format!(
            "SELECT {}, {} FROM (SELECT {column} AS k, count(*) AS n FROM {} t WHERE {column} IS NOT NULL GROUP BY {column}) g
             LEFT JOIN {} o ON {same} WHERE {id} IS NULL ORDER BY g.k",
            self.dialect.text("g.k", class),
            self.number("g.n"),
            table.quoted,
            of.quoted
        )
    }

    /// A column of every row, as text, with the columns that say which row it is.
    pub(in super::super) fn values(&self, table: &Found, keys: &[&str], column: &str) -> String {
        let keys: Vec<_> = keys.iter().map(|key| table.text("t", key)).collect();
        format!("SELECT {}, {} FROM {} t", keys.join(", "), table.text("t", column), table.quoted)
    }

    /// Each artwork: id, the two counters, the three hot columns; then of likes and of favorites: how many users, how many
    /// rows, the newest moment.
    pub(in super::super) fn artworks(&self, artworks: &Found) -> String {
        let own = ["id", "like_count", "favorite_count", "hot_score", "hot_level", "last_hot_update"];
        let mut columns: Vec<_> = own.iter().map(|column| artworks.text("a", column)).collect();
        let mut joins = String::new();
        for (alias, spec) in [("l", LIKES), ("f", FAVORITES)] {
            let Some(table) = self.schema.table(spec) else {
                columns.extend(std::iter::repeat_n(self.dialect.null().to_owned(), 3));
                continue;
            };
            let (artwork, class) = table.key("t", "artwork_id");
            let user = table.column("t", "user_id");
            let newest = match table.has("created_at") {
                true => format!("max({})", table.column("t", "created_at")),
                false => self.dialect.null().to_owned(),
            };
            let (id, id_class) = artworks.key("a", "id");
            let same = self.dialect.same((&format!("{alias}.k"), class), (&id, id_class));
            joins.push_str(&format!(
                " LEFT JOIN (SELECT {artwork} AS k, count(DISTINCT {user}) AS users, count(*) AS n, {newest} AS newest
                 FROM {} t WHERE {artwork} IS NOT NULL AND {user} IS NOT NULL GROUP BY {artwork}) {alias} ON {same}",
                table.quoted
            ));
            columns.push(self.number(&format!("coalesce({alias}.users, 0)")));
            columns.push(self.number(&format!("coalesce({alias}.n, 0)")));
            columns.push(self.dialect.text(&format!("{alias}.newest"), table.class("created_at")));
        }
        let id = artworks.column("a", "id");
        format!("SELECT {} FROM {} a{joins} ORDER BY {id}", columns.join(", "), artworks.quoted)
    }
}
