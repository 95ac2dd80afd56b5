//! The kernel's part of the list.

use super::{Form, Setting};

/// The kernel's own settings.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "database.url",
        alias: Some("DATABASE_URL"),
        default: Some("sqlite:data/tally.db"),
        form: Form::Secret(1),
        doc: "`sqlite:PATH` or `postgres://…`",
    },
    Setting {
        key: "database.readers",
        alias: None,
        default: Some("4"),
        form: Form::Count(1, 100),
        doc: "connections for reads",
    },
    Setting {
        key: "database.writers",
        alias: None,
        default: Some("6"),
        form: Form::Count(1, 100),
        doc: "connections for writes on PostgreSQL; SQLite has one",
    },
    Setting {
        key: "batch.commands",
        alias: None,
        default: Some("512"),
        form: Form::Count(1, 10_000),
        doc: "writes in one transaction at most; 1 turns group commit off",
    },
    Setting {
        key: "batch.queue",
        alias: None,
        default: Some("8192"),
        form: Form::Count(1, 1_000_000),
        doc: "writes that wait for one writer at most; past it clients get OVERLOADED",
    },
    Setting {
        key: "batch.groups",
        alias: None,
        default: Some("2"),
        form: Form::Count(1, 64),
        doc: "writers on PostgreSQL, each with its own lanes; SQLite has one",
    },
    Setting {
        key: "batch.single_lane",
        alias: None,
        default: Some("false"),
        form: Form::Switch,
        doc: "whether a transaction holds one lane only, for a database sharded by lane",
    },
    Setting {
        key: "server.listen",
        alias: Some("TALLY_LISTEN"),
        default: Some("127.0.0.1:8080"),
        form: Form::Text,
        doc: "address and port; port 0 takes a free one",
    },
    Setting {
        key: "server.shutdown_secs",
        alias: None,
        default: Some("10"),
        form: Form::Count(0, 600),
        doc: "seconds that open requests get to end after a signal",
    },
    Setting {
        key: "server.body_bytes",
        alias: None,
        default: Some("1048576"),
        form: Form::Count(1024, 1_000_000_000),
        doc: "size of a request's body at most",
    },
    Setting {
        key: "auth.secret",
        alias: None,
        default: None,
        form: Form::Secret(32),
        doc: "HS256 key of the tokens, 32 characters or more",
    },
    Setting {
        key: "telemetry.log",
        alias: Some("TALLY_LOG"),
        default: Some("info,sea_orm_migration=warn"),
        form: Form::Text,
        doc: "what is logged: `info`, `debug`, `tally=debug,sqlx=warn`, …",
    },
    Setting {
        key: "telemetry.format",
        alias: None,
        default: Some("text"),
        form: Form::Word(&["text", "json"]),
        doc: "how log lines are written",
    },
];
