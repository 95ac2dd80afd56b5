//! Tables of the `users` module.

use crate::dialect::migration;

migration!(
    /// `users`: one row a subject, made at its first sight.
    M0001Users,
    [
        "CREATE TABLE users (
            id {id} NOT NULL PRIMARY KEY,
            subject {text} NOT NULL UNIQUE,
            external_id {text} UNIQUE,
            name {text} NOT NULL,
            created_at {int} NOT NULL
        )",
    ]
);

migration!(
    /// Subjects whose user was deleted, as SHA-256 of the subject: a token that is still about makes no new user.
    M0002DeletedSubjects,
    [
        "CREATE TABLE deleted_subjects (
            subject_hash {text} NOT NULL PRIMARY KEY,
            deleted_at {int} NOT NULL
        ) {clustered}",
    ]
);

/// The module's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![Box::new(M0001Users), Box::new(M0002DeletedSubjects)]
}
