//! What an audit asks. The database groups and joins, so that only what is wrong, and one row an artwork, comes here.

use super::dialect::{Class, Dialect};
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
        self.dialect.text(expression, Class::Int)
    }

    /// How many rows a table has, and how many of them have a NULL among these columns, or a blank id.
    pub(in super::super) fn size(&self, table: &Found, keys: &[&str]) -> String {
        let nulls = self.no_keys(table, keys);
        let nulls = format!("coalesce(sum(CASE WHEN {nulls} THEN 1 ELSE 0 END), 0)");
        format!("SELECT {}, {} FROM {} t", self.number("count(*)"), self.number(&nulls), table.quoted)
    }

    /// The first of those rows.
    pub(in super::super) fn nulls(&self, table: &Found, keys: &[&str], most: usize) -> String {
        let columns: Vec<_> = keys.iter().map(|key| table.text("t", key)).collect();
        let (columns, nulls) = (columns.join(", "), self.no_keys(table, keys));
        format!("SELECT {columns} FROM {} t WHERE {nulls} LIMIT {most}", table.quoted)
    }

    /// Whether one of these columns is NULL, or an id that is blank.
    fn no_keys(&self, table: &Found, keys: &[&str]) -> String {
        let no_key = |key: &&str| match key.ends_with("id") {
            true => self.dialect.no_key(&table.column("t", key), table.class(key)),
            false => format!("{} IS NULL", table.column("t", key)),
        };
        keys.iter().map(no_key).collect::<Vec<_>>().join(" OR ")
    }

    /// Of each key that more than one row has, none of `held` being NULL: the key's columns, and how many rows.
    pub(in super::super) fn duplicates(&self, table: &Found, keys: &[&str], held: &[&str]) -> String {
        let names: Vec<_> = (0..keys.len()).map(|n| format!("k{n}")).collect();
        let made: Vec<_> =
            names.iter().zip(keys).map(|(name, key)| format!("{} AS {name}", table.key("t", key))).collect();
        let held: Vec<_> = held.iter().map(|key| format!("{} IS NOT NULL", table.column("t", key))).collect();
        let shown =
            names.iter().zip(keys).map(|(name, key)| self.dialect.shown(&format!("g.{name}"), table.class(key)));
        let grouped = names.join(", ");
        format!(
            "SELECT {}, {} FROM (SELECT {grouped}, count(*) AS n FROM (SELECT {} FROM {} t WHERE {}) h
             GROUP BY {grouped} HAVING count(*) > 1) g ORDER BY {grouped}",
            shown.collect::<Vec<_>>().join(", "),
            self.number("g.n"),
            made.join(", "),
            table.quoted,
            held.join(" AND ")
        )
    }

    /// Of each value of a column that no row of another table has as its id: the value, and how many rows have it.
    pub(in super::super) fn orphans(&self, table: &Found, column: &str, of: &Found) -> String {
        let (classes, held) = ((table.class(column), of.class("id")), table.column("t", column));
        let (key, class) = self.dialect.key_for(&held, classes.0, classes.1);
        let id = of.column("o", "id");
        let (joined, same) = match (classes.0 == classes.1, self.dialect, class) {
            // As they are: an index on them helps.
            (true, _, Class::Int) => (of.quoted.clone(), format!("{id} = g.k")),
            (true, Dialect::Sqlite, Class::Text) => (of.quoted.clone(), format!("{id} = g.k COLLATE BINARY")),
            // Made once, so that they can be looked up.
            _ => {
                let (key, _) = self.dialect.key_for(&id, classes.1, classes.0);
                let made = format!("(SELECT DISTINCT {key} AS k FROM {} o WHERE {id} IS NOT NULL)", of.quoted);
                (made, "o.k = g.k".to_owned())
            }
        };
        let none = if same.starts_with("o.k") { "o.k" } else { &id };
        format!(
            "SELECT {}, {} FROM (SELECT h.k, count(*) AS n FROM (SELECT {key} AS k FROM {} t WHERE {held} IS NOT NULL) h
             GROUP BY h.k) g LEFT JOIN {joined} o ON {same} WHERE {none} IS NULL ORDER BY g.k",
            self.dialect.shown("g.k", class),
            self.number("g.n"),
            table.quoted,
        )
    }

    /// A column of every row, as text, with the columns that say which row it is.
    pub(in super::super) fn values(&self, table: &Found, keys: &[&str], column: &str) -> String {
        let keys: Vec<_> = keys.iter().map(|key| table.text("t", key)).collect();
        format!("SELECT {}, {} FROM {} t", keys.join(", "), table.text("t", column), table.quoted)
    }

    /// Each artwork: id, the two counters, the three hot columns; then of likes and of favorites: how many users, how many
    /// rows, the newest moment, unless [`Queries::moments`] is to say it.
    pub(in super::super) fn artworks(&self, artworks: &Found) -> String {
        let own = ["id", "like_count", "favorite_count", "hot_score", "hot_level", "last_hot_update"];
        let mut columns: Vec<_> = own.iter().map(|column| artworks.text("a", column)).collect();
        let mut joins = String::new();
        for (alias, spec) in [("l", LIKES), ("f", FAVORITES)] {
            let Some(table) = self.schema.table(spec) else {
                columns.extend(std::iter::repeat_n(self.dialect.null().to_owned(), 3));
                continue;
            };
            let (artwork, id) = (table.column("t", "artwork_id"), artworks.column("a", "id"));
            let classes = (table.class("artwork_id"), artworks.class("id"));
            let (key, _) = self.dialect.key_for(&artwork, classes.0, classes.1);
            let (same, _) = self.dialect.key_for(&id, classes.1, classes.0);
            let (user, person) = (table.column("t", "user_id"), table.key("t", "user_id"));
            let (made, newest) = match table.has("created_at") {
                true if !self.streams_moments() => {
                    (format!(", {} AS at", table.column("t", "created_at")), "max(h.at)")
                }
                _ => (String::new(), self.dialect.null()),
            };
            joins.push_str(&format!(
                " LEFT JOIN (SELECT h.k, count(DISTINCT h.person) AS users, count(*) AS n, {newest} AS newest
                 FROM (SELECT {key} AS k, {person} AS person{made} FROM {} t
                 WHERE {artwork} IS NOT NULL AND {user} IS NOT NULL) h GROUP BY h.k) {alias} ON {alias}.k = {same}",
                table.quoted
            ));
            columns.push(self.number(&format!("coalesce({alias}.users, 0)")));
            columns.push(self.number(&format!("coalesce({alias}.n, 0)")));
            columns.push(self.dialect.text(&format!("{alias}.newest"), table.class("created_at")));
        }
        let id = artworks.key("a", "id");
        format!("SELECT {} FROM {} a{joins} ORDER BY {id}", columns.join(", "), artworks.quoted)
    }

    /// The tables of likes and favorites that know their moments.
    fn timed(&self) -> impl Iterator<Item = &'a Found> {
        let found = [LIKES, FAVORITES].into_iter().filter_map(|spec| self.schema.table(spec));
        found.filter(|table| table.has("created_at"))
    }

    /// Whether the database cannot say which moment is the newest: where one is not a type of its own, numbers stand
    /// beside texts, and texts with different zones beside each other.
    pub(in super::super) fn streams_moments(&self) -> bool {
        let is_moment = |class| matches!(class, Class::Instant | Class::Local);
        self.timed().any(|table| self.dialect == Dialect::Sqlite || !is_moment(table.class("created_at")))
    }

    /// Each moment of a like or favorite, then the artwork that they are of: a key that both have, 0 or 1, the moment or
    /// `last_hot_update`, the artwork's id.
    pub(in super::super) fn moments(&self, artworks: &Found) -> String {
        let classes: Vec<_> =
            self.timed().map(|table| table.class("artwork_id")).chain([artworks.class("id")]).collect();
        let first = artworks.class("id");
        let class = if classes.iter().all(|class| *class == first) { first } else { Class::Text };
        let key = |table: &Found, column: &str| {
            let (held, of) = (table.column("t", column), table.class(column));
            let (key, _) = self.dialect.key_for(&held, of, if of == class { of } else { Class::Text });
            key
        };
        let mut branches = Vec::new();
        for table in self.timed() {
            let (artwork, user) = (table.column("t", "artwork_id"), table.column("t", "user_id"));
            branches.push(format!(
                "SELECT {} AS k, 0 AS which, {} AS at, {} AS id FROM {} t WHERE {artwork} IS NOT NULL AND {user} IS NOT NULL",
                key(table, "artwork_id"),
                table.text("t", "created_at"),
                self.dialect.null(),
                table.quoted
            ));
        }
        branches.push(format!(
            "SELECT {} AS k, 1 AS which, {} AS at, {} AS id FROM {} t",
            key(artworks, "id"),
            artworks.text("t", "last_hot_update"),
            artworks.text("t", "id"),
            artworks.quoted
        ));
        let (shown, which) = (self.dialect.shown("g.k", class), self.number("g.which"));
        let branches = branches.join(" UNION ALL ");
        format!("SELECT {shown}, {which}, g.at, g.id FROM ({branches}) g ORDER BY g.k, g.which")
    }
}
