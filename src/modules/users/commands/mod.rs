//! What can be done to users, one file each.

pub(super) mod delete_user;
pub(super) mod ensure_user;
pub(super) mod import_users;
