//! The kernel's settings of operations: signs of life, backups.

use super::{Form, Setting};

/// What operators set, beside [`super::SETTINGS`].
pub const OPERATIONS: &[Setting] = &[
    Setting::new(
        "nodes.heartbeat_secs",
        Some("15"),
        Form::Count(1, 3600),
        "seconds between two signs of life of a server or worker; silent for four of them, it counts as dead",
    ),
    Setting::new(
        "backup.folder",
        Some("data/backups"),
        Form::Text,
        "where `tally backup` puts what it makes, unless `--to` says otherwise",
    ),
    Setting::new(
        "backup.pg_bin",
        None,
        Form::Text,
        "folder of `pg_dump` and `pg_restore`; none looks along `PATH` and in `/usr/lib/postgresql`",
    ),
];
