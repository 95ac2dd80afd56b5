//! Tables that every module's writes stand on.

use crate::dialect::migration;

migration!(
    /// `batches`: one marker a committed batch, so that a retry after a COMMIT of unknown outcome can tell.
    M0001Batches,
    [
        "CREATE TABLE batches (id {id} NOT NULL PRIMARY KEY, committed_at {int} NOT NULL) {clustered}",
    ]
);

/// The kernel's migrations, oldest first.
#[must_use]
pub fn migrations() -> Vec<Box<dyn crate::MigrationTrait>> {
    vec![Box::new(M0001Batches)]
}
