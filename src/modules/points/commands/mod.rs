//! One command a file.

pub(super) mod post;
