//! What can be done to contents, one file each: check the input, then fold into a batch.

pub(super) mod act;
pub(super) mod comment;
pub(super) mod cool;
pub(super) mod delete_content;
pub(super) mod forget;
pub(super) mod import;
pub(super) mod publish;
pub(super) mod recalculate;
pub(super) mod set_status;
pub(super) mod share;
pub(super) mod view;
