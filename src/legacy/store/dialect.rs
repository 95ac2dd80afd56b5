//! The few words in which the three databases differ.

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Dialect {
    Sqlite,
    Postgres,
    /// MariaDB as well.
    MySql,
}

/// What a column holds, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Class {
    /// Whole numbers.
    Int,
    /// Other numbers.
    Number,
    Text,
    /// Bytes.
    Binary,
    Uuid,
    /// A moment, whatever the time zone.
    Instant,
    /// A date and time of day.
    Local,
    Other,
}

impl Class {
    /// The class of a declared type.
    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.trim().to_lowercase();
        let begins = |names: &[&str]| names.iter().any(|name| declared.starts_with(name));
        match () {
            () if declared == "timestamp with time zone" || declared == "timestamptz" => Self::Instant,
            () if begins(&["timestamp", "datetime", "date"]) => Self::Local,
            () if begins(&["bigint", "int", "smallint", "tinyint", "mediumint", "bigserial", "serial", "boolean"])
                && !declared.starts_with("interval") =>
            {
                Self::Int
            }
            () if begins(&["numeric", "decimal", "real", "double", "float"]) => Self::Number,
            () if declared.contains("blob") || declared.contains("binary") || declared == "bytea" => Self::Binary,
            () if begins(&[
                "text",
                "char",
                "varchar",
                "character",
                "nvarchar",
                "longtext",
                "mediumtext",
                "tinytext",
            ]) =>
            {
                Self::Text
            }
            () if begins(&["uuid"]) => Self::Uuid,
            () => Self::Other,
        }
    }
}

impl Dialect {
    /// A name, as an identifier. A dot separates a schema from a table.
    pub(in super::super) fn quoted(self, name: &str) -> String {
        let mark = if self == Self::MySql { '`' } else { '"' };
        let quote = |part: &str| format!("{mark}{}{mark}", part.replace(mark, &format!("{mark}{mark}")));
        name.split('.').map(quote).collect::<Vec<_>>().join(".")
    }

    /// A column's name, in which a dot is a dot.
    pub(super) fn quoted_column(self, name: &str) -> String {
        let mark = if self == Self::MySql { '`' } else { '"' };
        format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
    }

    /// An expression as text, so that what comes back has one type whatever the column's is.
    pub(super) fn text(self, expression: &str, class: Class) -> String {
        match (self, class) {
            // Any value may stand in any column.
            (Self::Sqlite, _) => format!(
                "CASE typeof({expression}) WHEN 'blob' THEN lower(hex({expression})) ELSE CAST({expression} AS TEXT) END"
            ),
            (Self::Postgres, Class::Binary) => format!("encode({expression}, 'hex')"),
            (Self::Postgres, _) => format!("({expression})::text"),
            (Self::MySql, Class::Binary) => format!("lower(hex({expression}))"),
            // The session's time zone is UTC, and the text does not say so.
            (Self::MySql, Class::Instant) => format!("CONCAT(CAST({expression} AS CHAR), '+00:00')"),
            (Self::MySql, _) => format!("CAST({expression} AS CHAR)"),
        }
    }

    /// No value, as text.
    pub(super) fn null(self) -> &'static str {
        match self {
            Self::Sqlite => "NULL",
            Self::Postgres => "NULL::text",
            Self::MySql => "CAST(NULL AS CHAR)",
        }
    }

    /// Whether a key of this class is missing: NULL, or where it may be a text, nothing but spaces.
    pub(super) fn no_key(self, expression: &str, class: Class) -> String {
        let null = format!("{expression} IS NULL");
        match (self, class) {
            (Self::Sqlite, _) => format!("({null} OR trim({expression}) = '')"),
            (_, Class::Text) => format!("({null} OR trim({expression}) = '')"),
            _ => null,
        }
    }

    /// An expression to group, order and join by: the same only where the texts are, to the byte. Collations that take
    /// `Ann` for `ann` would make one of what tally keeps apart, and those of two columns may refuse to be compared.
    pub(super) fn key(self, expression: &str, class: Class) -> String {
        match (self, class) {
            (Self::Sqlite, Class::Int) => expression.to_owned(),
            (Self::Sqlite, Class::Text) => format!("({expression} COLLATE BINARY)"),
            // A column without a type holds both 1 and '1'.
            (Self::Sqlite, _) => self.text(expression, class),
            (Self::Postgres, Class::Text | Class::Other) => format!("({expression})::text COLLATE \"C\""),
            (Self::MySql, Class::Text | Class::Other) => format!("CAST(CONVERT({expression} USING utf8mb4) AS BINARY)"),
            (Self::Postgres | Self::MySql, _) => expression.to_owned(),
        }
    }

    /// The text of a key that [`Dialect::key`] made.
    pub(super) fn shown(self, key: &str, class: Class) -> String {
        match (self, class) {
            (Self::MySql, Class::Text | Class::Other) => format!("CONVERT({key} USING utf8mb4)"),
            _ => self.text(key, class),
        }
    }

    /// The key of a column that is compared with one of another class: of different ones the texts are, which every
    /// database can compare. Returns the key's own class.
    pub(super) fn key_for(self, expression: &str, class: Class, other: Class) -> (String, Class) {
        match class == other {
            true => (self.key(expression, class), class),
            false => (self.key(&self.text(expression, class), Class::Text), Class::Text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(Dialect::Postgres.quoted("a\"; DROP TABLE b; --"), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(Dialect::MySql.quoted("shop.a`b"), "`shop`.`a``b`");
        assert_eq!(Dialect::Sqlite.quoted_column("a.b"), "\"a.b\"");
    }

    #[test]
    fn types_fall_into_classes() {
        for (declared, class) in [
            ("bigint", Class::Int),
            ("INTEGER", Class::Int),
            ("interval", Class::Other),
            ("timestamp with time zone", Class::Instant),
            ("timestamp without time zone", Class::Local),
            ("character varying", Class::Text),
            ("bytea", Class::Binary),
            ("varbinary", Class::Binary),
            ("double precision", Class::Number),
            ("uuid", Class::Uuid),
        ] {
            assert_eq!(Class::of(declared), class, "{declared}");
        }
    }
}
