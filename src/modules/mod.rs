//! The built-in modules. Each has the same rooms: `facade`, `entity`, `store`, `commands/`, `graphql/`.

pub mod engagement;
pub mod notifications;
pub mod points;
pub mod users;
