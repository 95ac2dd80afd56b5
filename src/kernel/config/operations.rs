//! The kernel's settings of operations: checks and repairs, signs of life, backups.

use super::{Form, Setting};
use crate::kernel::days;

/// What operators set, beside [`super::SETTINGS`].
pub const OPERATIONS: &[Setting] = &[
    Setting::new(
        "integrity.check",
        Some("0 37 3 * * *"),
        Form::Schedule,
        "when every figure is compared with its facts: a cron expression with seconds, in UTC, or `off`",
    ),
    Setting::new(
        "integrity.repair",
        Some("0 7 4 * * SUN"),
        Form::Schedule,
        "when what differs is put right, and what was there before kept (`tally repair --undo`); likewise",
    ),
    Setting::new(
        "integrity.keep_days",
        Some("90"),
        Form::Count(1, 3650),
        "days that records of checks and repairs are kept, and with them what repairs replaced",
    ),
    Setting::new(
        "integrity.outbox_secs",
        Some("3600"),
        Form::Count(0, 31_536_000),
        "seconds after which an event that was not delivered is named by the check `outbox`, beside those that are set \
         aside; 0 turns the check off",
    ),
    Setting::new(
        "integrity.webhook_url",
        None,
        Form::Secret(0),
        "where a message (JSON, POST) goes when a job finds a figure that differs, or cannot look: `https://…`; none \
         turns that off",
    ),
    Setting::new(
        days::TIME_ZONE,
        Some("Asia/Shanghai"),
        Form::Checked(days::zone_form),
        "whose days are meant where something is counted by the day: a name of the IANA database such as \
         `Europe/Berlin`, or `UTC`",
    ),
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
        "folder of `pg_dump`, `pg_restore` and `psql`; none looks in `/usr/lib/postgresql`, then along `PATH`",
    ),
];
